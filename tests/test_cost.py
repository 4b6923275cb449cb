"""What a token and a fleet cost: laws of the cost curve, the two-mode system solved apart, and DeepSeek's day."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis.strategies import floats, integers

from headway.equations import cost, roofline, throughput

SECONDS = floats(1e-6, 1e-1)


def token_cost(batch, compute, weights, kv, price=0.04):
    """The blackboard's cost of one token at a batch."""
    return cost.cost_per_token_usd(roofline.pass_time_s(batch * compute, weights, batch * kv), price, batch)


# Laws


@given(batch=integers(1, 10**6), more=integers(1, 10**6), compute=SECONDS, weights=SECONDS, kv=SECONDS)
def test_a_larger_batch_never_costs_more_and_never_goes_below_the_floor(batch, more, compute, weights, kv):
    """Cost against batch is a falling hyperbola on a floor."""
    floor = cost.cost_floor_usd(compute, kv, 0.04)
    dearer, cheaper = (token_cost(n, compute, weights, kv) for n in (batch, batch + more))
    assert dearer * (1 + 1e-12) >= cheaper >= floor * (1 - 1e-12)


@given(compute=SECONDS, weights=SECONDS, kv=SECONDS)
def test_the_floor_is_the_limit_of_an_endless_batch(compute, weights, kv):
    """At a batch of 10^12 nothing of the weights is left."""
    assert token_cost(1e12, compute, weights, kv) == pytest.approx(
        float(cost.cost_floor_usd(compute, kv, 0.04)), rel=1e-6
    )


@given(step=SECONDS, price=floats(0.01, 10), batch=integers(1, 4096), tokens=integers(1, 4096))
def test_all_tokens_of_a_pass_pay_for_the_pass(step, price, batch, tokens):
    """Cost per token times tokens is price times time."""
    paid = cost.cost_per_token_usd(step, price, batch, tokens) * batch * tokens
    assert paid == pytest.approx(step * price)


@given(weights=SECONDS, slope=SECONDS, slow=floats(2, 1e4), share=floats(0.01, 0.9))
def test_the_fast_mode_algebra_solves_the_two_modes(weights, slope, slow, share):
    """Two passes t = W + K * B are priced by cost; from the two multiples alone, both batches and W : K come back."""
    fast = share * slow
    slow_s, fast_s = weights + slope * slow, weights + slope * fast
    speed, price = slow_s / fast_s, (fast_s / fast) / (slow_s / slow)
    assume(speed > 1 + 1e-6)
    assume(price > 1 + 1e-6)
    assert cost.fast_batch_ratio(price, speed) == pytest.approx(slow / fast)
    kv_over_weights = cost.fast_kv_over_weights(price, speed)
    assert kv_over_weights == pytest.approx(slope * slow / weights, rel=1e-5)
    assert float(cost.fast_price_multiple(kv_over_weights, speed)) == pytest.approx(price, rel=1e-5)
    endless = slope  # time per token as the batch grows without end
    assert cost.slow_cost_floor(kv_over_weights) == pytest.approx(endless / (slow_s / slow), rel=1e-5)


@given(kv_over_weights=floats(0.01, 100))
def test_floor_and_saving_make_up_the_whole(kv_over_weights):
    """What a slow mode cannot save is its floor."""
    whole = cost.slow_cost_floor(kv_over_weights) + cost.most_slow_saving(kv_over_weights)
    assert whole == pytest.approx(1)


@given(kv_over_weights=floats(0.01, 100), beyond=floats(0, 10))
def test_no_price_buys_more_speed_than_an_empty_batch_has(kv_over_weights, beyond):
    """From 1 + KV : weights on, the price is infinite, never negative."""
    assert cost.fast_price_multiple(kv_over_weights, 1.0001 + kv_over_weights + beyond) == np.inf


@given(tokens=floats(1e6, 1e15), period=floats(1, 1e6), rate=floats(1, 1e6), price=floats(1e-5, 1e-2))
def test_a_fleet_spends_on_each_token_what_a_node_does(tokens, period, rate, price):
    """The period cancels: cost over tokens is a node's rent over its rate."""
    spent = cost.fleet_cost_usd(cost.nodes_needed(tokens, period, rate), 8, price, period)
    assert spent / tokens == pytest.approx(cost.system_usd_per_s(8, price) / rate)


@given(spent=floats(1, 1e6), earned=floats(1, 1e7))
def test_the_two_margins_tell_the_same_profit(spent, earned):
    """Profit per dollar of cost and per dollar of revenue are one number of dollars."""
    profit = cost.profit_over_cost(earned, spent) * spent
    assert profit == pytest.approx(cost.gross_margin(earned, spent) * earned, abs=1e-6 * (spent + earned))


# Independent computation


def test_solving_both_modes_numerically_gives_the_closed_form():
    """Six times the price for 2.5 times the speed, weights take 1: two equations in the two batches, K = 1."""
    weights, price, speed = 1.0, 6.0, 2.5
    # W + B = s (W + b) and (W + b) / b = p (W + B) / B: linear in B and b once the second is put into the first
    slow, fast = np.linalg.solve([[1.0, -speed], [1.0, -price * speed]], [(speed - 1) * weights, 0.0])
    assert slow / fast == pytest.approx(cost.fast_batch_ratio(price, speed))
    assert slow / weights == pytest.approx(cost.fast_kv_over_weights(price, speed))
    assert (weights + slow) / (weights + fast) == pytest.approx(speed)


# Published figures


def test_six_times_the_price_for_two_and_a_half_times_the_speed():
    """Batch ratio 15, KV : weights 1.8; the slow mode keeps 64 % of the cost and saves at most 36 %."""
    assert cost.fast_batch_ratio(6, 2.5) == 15
    assert cost.fast_kv_over_weights(6, 2.5) == pytest.approx(1.8)
    assert cost.slow_cost_floor(1.8) == pytest.approx(0.643, abs=5e-4)
    assert cost.most_slow_saving(1.8) == pytest.approx(0.357, abs=5e-4)


DAY_S, CHIP_USD_PER_S = 86_400, 2 / 3600


def test_deepseeks_day_needs_the_nodes_that_were_counted():
    """D22: tokens and throughputs give 226.9 nodes, 226.75 were published (inputs have three digits)."""
    nodes = cost.fleet_nodes(cost.nodes_needed(608e9, DAY_S, 73_700), cost.nodes_needed(168e9, DAY_S, 14_800))
    assert nodes == pytest.approx(226.86, abs=0.01)
    assert nodes == pytest.approx(226.75, rel=0.002)


def test_deepseeks_day_costs_what_was_printed():
    """D20: 226.75 nodes of 8 chips at 2 USD an hour are 87,072 USD."""
    assert cost.fleet_cost_usd(226.75, 8, CHIP_USD_PER_S, DAY_S) == pytest.approx(87_072)


def test_deepseeks_day_earns_what_was_printed():
    """D21: 562,100 USD from token counts in whole billions, 562,027 printed; 545 % of cost."""
    revenue = cost.revenue_usd(
        missed_tokens=608e9 - 342e9, cached_tokens=342e9, output_tokens=168e9,
        missed_usd=0.55e-6, cached_usd=0.14e-6, output_usd=2.19e-6,
    )  # fmt: skip
    assert revenue == pytest.approx(562_100)
    assert revenue == pytest.approx(562_027, rel=5e-4)
    assert cost.profit_over_cost(562_027, 87_072) == pytest.approx(5.45, abs=0.005)


def test_batch_figures_of_the_lecture():
    """Q05 to Q09: 128,000 tokens/s; 2,400 for 32 of 256 (8); 5,440 for DeepSeek-V3; half the MFU; 14.4 ms."""
    assert throughput.tokens_per_s(2000, 1, 1 / 64) == pytest.approx(128_000)
    assert roofline.balance_batch(300, 8, 1) == pytest.approx(2400)
    assert throughput.drain_s(288e9, 20e12) == pytest.approx(0.0144)
    balance = 2 * 37e9 / 1e15  # seconds; at the balance context reading takes as long
    kept = [float(throughput.mfu(2 * 37e9, roofline.pass_time_s(balance, 0, n * balance), 1e15)) for n in (1, 2)]
    assert kept == pytest.approx([1, 0.5])


def test_batch_1_pays_the_whole_weight_read():
    """Q07: at batch 1 the weights cost 5,440 times the arithmetic (ridge 300, 671B of 37B active)."""
    compute = 2 * 37e9 / 600e12
    weights = 671e9 / 1e12  # ridge 300 at one byte per parameter
    ratio = cost.cost_per_token_usd(weights, 1.0, 1) / cost.cost_floor_usd(compute, 0.0, 1.0)
    assert float(ratio) == pytest.approx(5440, rel=0.005)
