"""Attention arithmetic: it counts what a masked matrix product does, and it overtakes the weights where it should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from headway.equations.attention import (
    attention_balance_tokens,
    attention_flop,
    grouped_pair_flop,
    mean_attended_in_window_tokens,
    mean_attended_tokens,
    mla_absorbed_pair_flop,
    mla_absorption_limit_tokens,
    mla_expansion_flop,
    mla_unabsorbed_pair_flop,
)

TOKENS = integers(1, 300)
V3 = {"kv_lora_rank": 512, "nope_head_dim": 128, "v_head_dim": 128}


@given(first=TOKENS, second=TOKENS, context=integers(0, 100_000), window=integers(1, 1000))
def test_cutting_a_pass_in_two_leaves_its_attention_unchanged(first, second, context, window):
    """A prompt attends to the same pairs in one pass or in chunks, with a window or without."""

    def pairs(attended, *limit):
        whole = (first + second) * attended(first + second, context, *limit)
        parts = first * attended(first, context, *limit) + second * attended(second, context + first, *limit)
        return whole, parts

    for whole, parts in (pairs(mean_attended_tokens), pairs(mean_attended_in_window_tokens, window)):
        assert whole == pytest.approx(parts)


@given(new=TOKENS, context=integers(0, 1000), window=integers(1, 1000))
def test_a_window_never_attends_to_more_than_all_or_than_itself(new, context, window):
    """The windowed mean is at most the full mean and at most the window, and meets the full one in a wide window."""
    windowed = mean_attended_in_window_tokens(new, context, window)
    assert windowed <= min(mean_attended_tokens(new, context), window) * (1 + 1e-12)
    assert mean_attended_in_window_tokens(new, context, context + new) == mean_attended_tokens(new, context)


def test_a_long_prompt_costs_half_the_square():
    """Without earlier context the pairs tend to half of the prompt squared."""
    assert mean_attended_tokens(1e9, 0) / 1e9 == pytest.approx(0.5, rel=1e-8)


def test_sharing_keys_among_heads_saves_no_arithmetic():
    """Only query heads count, so the arithmetic of groups of layers adds whatever their key heads."""
    assert grouped_pair_flop(30, 64, 128, 128) == grouped_pair_flop(10, 64, 128, 128) + grouped_pair_flop(
        20, 64, 128, 128
    )
    assert grouped_pair_flop(1, 1, 100, 60) == grouped_pair_flop(1, 1, 80, 80)


@given(new=integers(1, 20), context=integers(0, 20), window=integers(1, 40))
def test_the_means_count_the_ones_of_the_mask(new, context, window):
    """Enumerating the causal mask, and the causal mask with a window, gives the same number of pairs."""
    query = np.arange(new)[:, None] + context
    key = np.arange(context + new)
    causal = key <= query
    assert new * mean_attended_tokens(new, context) == causal.sum()
    assert new * mean_attended_in_window_tokens(new, context, window) == pytest.approx(
        (causal & (key > query - window)).sum()
    )


class Counting:
    """A matrix product that counts its multiply-adds."""

    def __init__(self):
        self.multiply_adds = 0

    def __call__(self, a, b):
        self.multiply_adds += a.shape[0] * a.shape[1] * b.shape[1]
        return a @ b


def test_both_forms_of_latent_attention_agree_and_cost_what_is_counted():
    """On one head, absorbed and expanded attention give the same output; their products are the counted FLOP."""
    rng = np.random.default_rng(1)
    new, context, rank, nope, rope, v = 3, 11, 7, 4, 2, 5
    latent, key_rope = rng.normal(size=(context, rank)), rng.normal(size=(context, rope))
    query, query_rope = rng.normal(size=(new, nope)), rng.normal(size=(new, rope))
    up_key, up_value = rng.normal(size=(rank, nope)), rng.normal(size=(rank, v))

    weights_product, absorbed = Counting(), Counting()
    score = absorbed(weights_product(query, up_key.T), latent.T) + absorbed(query_rope, key_rope.T)
    in_latents = weights_product(absorbed(np.exp(score), latent), up_value)

    expansion, expanded = Counting(), Counting()
    key, value = expansion(latent, up_key), expansion(latent, up_value)
    score = expanded(query, key.T) + expanded(query_rope, key_rope.T)
    in_heads = expanded(np.exp(score), value)

    np.testing.assert_allclose(in_latents, in_heads)
    assert 2 * absorbed.multiply_adds == attention_flop(1, new, context, mla_absorbed_pair_flop(1, 1, rank, rope))
    assert 2 * expanded.multiply_adds == attention_flop(1, new, context, mla_unabsorbed_pair_flop(1, 1, nope, rope, v))
    assert 2 * expansion.multiply_adds == mla_expansion_flop(
        context, 1, 1, kv_lora_rank=rank, nope_head_dim=nope, v_head_dim=v
    )


def test_expanding_pays_from_the_absorption_limit_on():
    """At the limit both forms cost the same; one token less and absorbing is cheaper, one more and expanding is."""
    limit = float(mla_absorption_limit_tokens(**V3))

    def gain(new, context=1e6):
        absorbed = attention_flop(1, new, context, mla_absorbed_pair_flop(61, 128, 512, 64))
        expanded = attention_flop(1, new, context, mla_unabsorbed_pair_flop(61, 128, 128, 64, 128))
        return float(absorbed - expanded - mla_expansion_flop(context, 61, 128, **V3))

    assert gain(limit) == pytest.approx(0, abs=1e-9 * mla_expansion_flop(1e6, 61, 128, **V3))
    assert gain(limit - 1) < 0 < gain(limit + 1)


def test_a_narrow_latent_is_always_absorbed():
    """Where the latent is no wider than a key and a value together, there is no limit."""
    assert mla_absorption_limit_tokens(64, 128, 128) == np.inf


@pytest.mark.parametrize(
    ("active_params", "pair_flop", "published"),
    [
        pytest.param(70.6e9, grouped_pair_flop(80, 64, 128, 128), 54e3, id="Llama-70B, 54k"),
        pytest.param(405e9, grouped_pair_flop(126, 128, 128, 128), 98_092, id="E16 Llama-405B"),
        pytest.param(37e9, mla_unabsorbed_pair_flop(61, 128, 128, 64, 128), 14.8e3, id="V3 prefill, 14.8k"),
        pytest.param(37e9, mla_absorbed_pair_flop(61, 128, 512, 64), 4355.4, id="E17 V3 decode"),
        pytest.param(100e9, grouped_pair_flop(1, 64, 128, 128), 6.1035e6, id="E18 one global layer"),
    ],
)
def test_attention_overtakes_the_weights_where_the_claims_say(active_params, pair_flop, published):
    """Attended tokens at which the two are equal, claims E16 to E18 and the two rounded figures of the notes."""
    # Half a percent: the claims' own tolerance, which is also the rounding of "54k" and "14.8k".
    assert attention_balance_tokens(active_params, pair_flop) == pytest.approx(published, rel=5e-3)


def test_attention_exceeds_the_weights_in_deepseeks_production():
    """At 4,989 tokens, the mean context that DeepSeek reports, absorbed attention costs more than the weights."""
    assert attention_balance_tokens(37e9, mla_absorbed_pair_flop(61, 128, 512, 64)) < 4989


def test_attention_over_matmuls_of_a_plain_transformer_is_sequence_over_six_widths():
    """Korthikanti et al.: without a causal mask, attention is s / (6 h) of the matrix products of 12 h² per layer."""
    sequence, width = 2048, 12_288
    attention = attention_flop(1, sequence, sequence, grouped_pair_flop(1, 96, width / 96, width / 96))
    assert attention / (2 * 12 * width**2 * sequence) == pytest.approx(sequence / (6 * width))
