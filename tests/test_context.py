"""Long context: each wall is where two things are equal, and beyond it the needs are the walls turned round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from headway.equations.attention import (
    attention_flop,
    grouped_pair_flop,
    mean_attended_tokens,
    mla_absorbed_pair_flop,
    mla_unabsorbed_pair_flop,
)
from headway.equations.context import (
    attention_wall_tokens,
    capacity_batch,
    capacity_context,
    kv_bytes_at_crossover,
    kv_over_compute,
    needed_bandwidth_bytes_per_s,
    needed_memory_bytes,
    token_cost_at_context_usd,
    weights_parity_context,
)
from headway.equations.kv_variants import full_bytes, hybrid_bytes, sqrt_read_bytes, topk_read_bytes
from headway.equations.roofline import balance_context, kv_bytes, matmul_flop, ridge

BYTES = integers(1, 10**13)
CONTEXT = integers(1, 100_000_000)
COUNT = integers(1, 10_000)
H100_NODE = {"flop_per_s": 8 * 989.4e12, "bandwidth_bytes_per_s": 8 * 3.35e12, "usd_per_s": 8 * 2 / 3600}


@given(memory=BYTES, weights=BYTES, sequence=integers(1, 10**11))
def test_the_largest_batch_fits_and_one_more_does_not(memory, weights, sequence):
    """What the batch needs is within memory, one sequence more is beyond it, and none fit where weights do not."""
    batch = float(capacity_batch(memory, weights, sequence))
    assert batch >= 0
    assert batch == 0 or needed_memory_bytes(batch, weights, sequence) <= memory
    assert needed_memory_bytes(batch + 1, weights, sequence) > memory


@given(memory=BYTES, weights=BYTES, batch=COUNT, per_token=integers(1, 10**6), fixed=integers(0, 10**9))
def test_the_longest_context_fits_and_one_more_token_does_not(memory, weights, batch, per_token, fixed):
    """Likewise in tokens, with the part of a sequence that does not grow set aside first."""
    context = float(capacity_context(memory, weights, batch, per_token, fixed))
    assert context >= 0

    def needed(tokens):
        return needed_memory_bytes(batch, weights, fixed + tokens * per_token)

    assert context == 0 or needed(context) <= memory * (1 + 1e-12)
    assert needed(context + 1) > memory * (1 - 1e-12)


@given(context=CONTEXT, more=CONTEXT)
def test_the_batch_that_fits_falls_as_context_grows(context, more):
    """The capacity wall: fewer sequences at a longer context, down to none."""
    fits = capacity_batch(640e9, 140e9, full_bytes(np.array([context, context + more, 1e13]), 327_680))
    assert fits[0] >= fits[1] >= fits[2] == 0


@given(batch=COUNT, weights=BYTES, per_token=integers(1, 10**6))
def test_at_parity_the_batch_reads_as_much_kv_as_weights(batch, weights, per_token):
    """The context of parity put back into the KV read gives the bytes of the weights."""
    context = weights_parity_context(batch, weights, per_token)
    assert kv_bytes(batch, context, per_token) == pytest.approx(weights)


@given(flop=floats(1e6, 1e14), rate=floats(1e12, 1e18), per_token=floats(1, 1e6), bandwidth=floats(1e9, 1e15))
def test_kv_over_compute_is_one_at_the_balance_context_and_linear(flop, rate, per_token, bandwidth):
    """It measures context in units of the balance context."""
    balance = balance_context(flop, rate, per_token, bandwidth)
    assert kv_over_compute(balance, per_token, bandwidth, flop, rate) == pytest.approx(1)
    assert kv_over_compute(3 * balance, per_token, bandwidth, flop, rate) == pytest.approx(3)


@given(active=floats(1e8, 1e13), weight=floats(0.5, 4), rate=floats(1e12, 1e18), bandwidth=floats(1e9, 1e15))
def test_a_crossover_gives_back_the_kv_bytes_that_made_it(active, weight, rate, bandwidth):
    """The balance context of a model, read as a price's crossover, returns the model's KV bytes per token."""
    crossover = balance_context(matmul_flop(1, 1, active), rate, 2048.0, bandwidth)
    found = kv_bytes_at_crossover(active, weight, ridge(rate, weight, bandwidth), crossover)
    assert found == pytest.approx(2048)


@given(active=floats(1e8, 1e13), pair=floats(1e2, 1e8), context=floats(0, 1e7))
def test_at_the_attention_wall_a_prompt_attends_for_as_much_as_it_multiplies(active, pair, context):
    """A prompt of that length, after any cached context, spends as much on attention as on weights; or it is zero."""
    prompt = float(attention_wall_tokens(active, pair, context))
    if prompt == 0:
        assert context + 0.5 >= 2 * active / pair * (1 - 1e-12)
    else:
        attention = attention_flop(1, prompt, mean_attended_tokens(prompt, context), pair)
        assert attention == pytest.approx(matmul_flop(1, prompt, active), rel=1e-6)


@given(step=floats(1e-4, 1), batch=COUNT, weights=BYTES, sequence=BYTES)
def test_the_needed_bandwidth_makes_the_step(step, batch, weights, sequence):
    """With the bandwidth that a step needs and arithmetic for free, a token costs the step's share of the price."""
    needed = needed_bandwidth_bytes_per_s(step, batch, weights, sequence)
    cost = token_cost_at_context_usd(
        batch, 1.0, weights, sequence, flop_per_s=1e30, bandwidth_bytes_per_s=needed, usd_per_s=0.5
    )
    assert float(cost) == pytest.approx(step * 0.5 / batch)


@given(batch=COUNT, context=CONTEXT, more=CONTEXT)
def test_cost_is_flat_and_then_a_line_in_context(batch, context, more):
    """It never falls with context or with a smaller batch, and is the arithmetic's own at a context of nothing."""
    flop = matmul_flop(1, 1, 70.6e9)

    def cost(sequences, tokens):
        return float(token_cost_at_context_usd(sequences, flop, 141e9, full_bytes(tokens, 327_680), **H100_NODE))

    assert cost(batch, context + more) >= cost(batch, context) >= cost(batch + 1, context) * (1 - 1e-12)  # rounding
    assert cost(100_000, 0) == pytest.approx(flop / H100_NODE["flop_per_s"] * H100_NODE["usd_per_s"])


def test_at_twice_the_balance_context_a_large_batch_costs_twice_the_arithmetic():
    """The corner of the lecture's cost curve, weights amortised away."""
    flop = matmul_flop(1, 1, 70.6e9)
    corner = balance_context(flop, H100_NODE["flop_per_s"], 327_680, H100_NODE["bandwidth_bytes_per_s"])
    below, at, twice = (
        float(token_cost_at_context_usd(1e12, flop, 141e9, full_bytes(x * corner, 327_680), **H100_NODE))
        for x in (0.5, 1, 2)
    )
    assert below == pytest.approx(at)
    assert twice == pytest.approx(2 * at)


def test_a_hundred_million_tokens_need_less_of_everything_the_sparser_the_attention():
    """At 1e8 tokens the bandwidth for a 20 ms step falls from full over hybrid and top-k to the square root."""
    tokens = 1e8
    reads = [
        full_bytes(tokens, 70_272),
        hybrid_bytes(tokens, 4096, 70_272 / 6, 70_272 * 5 / 6),
        topk_read_bytes(tokens, 2048, 70_272, 61 * 132),
        sqrt_read_bytes(tokens, 16, 70_272),
    ]
    needed = [float(needed_bandwidth_bytes_per_s(0.02, 1, 37e9, read)) for read in reads]
    assert needed == sorted(needed, reverse=True)
    # By hand: 37e9 of weights and 1e8 · 70,272 bytes of KV in 0.02 s, which is the bandwidth of 106 H100s.
    assert needed[0] == pytest.approx((37e9 + 7.0272e12) / 0.02)


@pytest.mark.parametrize(
    ("weight_bytes_per_param", "machine_ridge", "published"),
    [
        pytest.param(1, 300, 1666.7, id="E01 one byte per weight"),
        pytest.param(0.5, 300, 833.33, id="E02 fp4"),
        pytest.param(2, ridge(989.4e12, 2, 3.35e12), 3385.9, id="E03 bf16 on an H100"),
    ],
)
def test_kv_bytes_from_a_crossover_at_200k_depend_on_the_weights_dtype(
    weight_bytes_per_param, machine_ridge, published
):
    """Claims E01 to E03: 100 B active parameters, 200k tokens; the tolerance of the tightest claim."""
    found = kv_bytes_at_crossover(1e11, weight_bytes_per_param, machine_ridge, 2e5)
    assert found == pytest.approx(published, rel=1e-3)


@pytest.mark.parametrize(
    ("active_params", "pair_flop", "attended"),
    [
        pytest.param(70.6e9, grouped_pair_flop(80, 64, 128, 128), 54e3, id="Llama-70B"),
        pytest.param(405e9, grouped_pair_flop(126, 128, 128, 128), 98e3, id="Llama-405B"),
        pytest.param(37e9, mla_unabsorbed_pair_flop(61, 128, 128, 64, 128), 14.8e3, id="V3 prefill"),
        pytest.param(37e9, mla_absorbed_pair_flop(61, 128, 512, 64), 4.4e3, id="V3 decode"),
    ],
)
def test_a_prompt_reaches_the_attention_wall_at_twice_the_attended_tokens(active_params, pair_flop, attended):
    """A causal prompt averages half its length: the published balance points, of two or three digits, double."""
    assert float(attention_wall_tokens(active_params, pair_flop)) == pytest.approx(2 * attended, rel=0.012)
