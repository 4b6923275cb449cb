"""Experts: what a batch hits, the rank that reads most, the bin that gets most, and the ranks that a token reaches."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from headway.equations.moe import (
    all_to_all_bytes,
    busiest_load_tokens,
    busiest_rank_share,
    distinct_ranks_hit,
    experts_at_loss,
    fetched_params,
    hit_probability,
    load_imbalance,
    rank_imbalance,
    rest_params,
    routed_copies,
    routed_params,
    sparsity,
)
from headway.equations.roofline import balance_batch

ROUTED = routed_params(58, 256, 7168, 2048)  # DeepSeek-V3
REST = 671.026e9 - ROUTED


def routing(rng, tokens, n_experts=256, experts_per_token=8):
    """Experts chosen by each token, uniformly and all different."""
    return rng.random((tokens, n_experts)).argpartition(experts_per_token - 1, axis=1)[:, :experts_per_token]


@given(tokens=integers(0, 10_000), more=integers(0, 1000), k=integers(1, 256))
def test_more_tokens_hit_more_experts(tokens, more, k):
    """The probability grows with tokens, from none hit to all hit, and a dense layer is hit by the first token."""
    assert 0 <= hit_probability(tokens, 256, k) <= hit_probability(tokens + more, 256, k) <= 1
    assert hit_probability(0, 256, k) == 0
    assert hit_probability(1, 256, 256) == 1


@given(k=integers(1, 256), rest=floats(0, 1e12), routed=floats(1, 1e13))
def test_one_token_fetches_the_active_parameters(k, rest, routed):
    """At a batch of one, what is fetched is what is multiplied; at a large batch it is everything."""
    assert fetched_params(rest, routed, hit_probability(1, 256, k)) == pytest.approx(rest + routed * k / 256)
    assert fetched_params(rest, routed, hit_probability(1e5, 256, k)) == pytest.approx(rest + routed)


@given(p=floats(0, 1), experts=integers(1, 32), ranks=integers(1, 1000))
def test_the_busiest_rank_reads_between_the_mean_and_everything(p, experts, ranks):
    """Its share is at least the mean share and at most one, grows with the number of ranks, and is the mean of one."""
    share = busiest_rank_share(p, experts, ranks)
    assert p - 1e-9 <= share <= 1 + 1e-9
    assert busiest_rank_share(p, experts, ranks + 1) >= share - 1e-12
    assert busiest_rank_share(p, experts, 1) == pytest.approx(p, abs=1e-9)


def test_the_busiest_rank_at_its_limits():
    """No expert hit, none read; all hit, all read; one expert per rank, the chance that any is hit; few, the ranks."""
    assert busiest_rank_share(0.0, 4, 64) == 0
    assert busiest_rank_share(1, 4, 64) == busiest_rank_share(1.0, 4, 64) == 1
    assert busiest_rank_share(0.1, 1, 64) == pytest.approx(1 - 0.9**64)
    assert rank_imbalance(1e-9, 4, 64) == pytest.approx(64, rel=1e-6)


def test_the_busiest_rank_of_arrays_is_elementwise():
    """Probabilities and rank counts broadcast against each other."""
    p, ranks = np.array([[0.1], [0.5]]), np.array([8, 64, 72])
    share = busiest_rank_share(p, 4, ranks)
    assert share.shape == (2, 3)
    assert share[1, 2] == busiest_rank_share(0.5, 4, 72)


def test_the_busiest_rank_is_the_mean_over_every_outcome():
    """For independent ranks, enumerating all outcomes of three ranks of two experts gives the same mean of maxima."""
    p, experts, ranks = 0.3, 2, 3
    chance = [comb(experts, x) * p**x * (1 - p) ** (experts - x) for x in range(experts + 1)]
    outcomes = product(range(experts + 1), repeat=ranks)
    mean = sum(max(counts) * np.prod([chance[x] for x in counts]) for counts in outcomes)
    assert busiest_rank_share(p, experts, ranks) == pytest.approx(mean / experts)


@pytest.mark.parametrize(("tokens", "published"), [(1, 0.328), (4, 0.57), (8, 0.76), (16, 0.946), (32, 1.0)])
def test_the_busiest_rank_of_ep64_agrees_with_simulated_routing(tokens, published):
    """Claims D25, D26 and the notes: EP64 with four experts each, routed without replacement, seeded."""
    rng = np.random.default_rng(5)
    experts_hit = np.zeros((2000, 256), dtype=bool)
    for hit in experts_hit:
        hit[routing(rng, tokens).ravel()] = True
    simulated = experts_hit.reshape(2000, 64, 4).sum(2).max(1).mean() / 4
    share = busiest_rank_share(hit_probability(tokens, 256, 8), 4, 64)
    # Independent ranks and 2,000 passes: each within 2 %. The published figures come from 400 passes and two digits.
    assert share == pytest.approx(simulated, rel=0.03)
    assert share == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize(("tokens", "published", "tolerance"), [(8, 3.41, 0.05), (128, 1.02, 0.03)])
def test_the_busiest_rank_over_the_mean(tokens, published, tolerance):
    """Claims D23 and D24, with the claims' tolerances."""
    assert rank_imbalance(hit_probability(tokens, 256, 8), 4, 64) == pytest.approx(published, rel=tolerance)


@given(copies=integers(1, 400), bins=integers(1, 400))
def test_the_busiest_bin_holds_at_least_the_mean_and_at_most_everything(copies, bins):
    """Between copies / bins and copies; with one bin it holds them all."""
    assert copies / bins * (1 - 1e-9) <= busiest_load_tokens(copies, bins) <= copies * (1 + 1e-9)
    assert busiest_load_tokens(copies, 1) == pytest.approx(copies)


@pytest.mark.parametrize(
    ("bins", "mean", "simulated", "bound"),
    [
        pytest.param(256, 75, 1.341, 1.385, id="D16 experts"),
        pytest.param(64, 300, 1.139, 1.167, id="D17 GPUs"),
        pytest.param(256, 8, 2.13, 2.18, id="few tokens"),
    ],
)
def test_the_busiest_bin_agrees_with_simulation(bins, mean, simulated, bound):
    """Claims D16 and D17 (2 %, as claimed) and our own throw of copies into bins; the closed form lies above."""
    rng = np.random.default_rng(7)
    thrown = rng.multinomial(bins * mean, np.full(bins, 1 / bins), size=2000).max(1).mean() / mean
    exact = busiest_load_tokens(bins * mean, bins) / mean
    assert exact == pytest.approx(simulated, rel=0.02)
    assert exact == pytest.approx(thrown, rel=0.01)  # bins as independent; the error of 2,000 throws is 0.2 %
    assert exact < load_imbalance(bins, mean) == pytest.approx(bound, abs=5e-3)  # printed with two or three decimals


@given(mean=floats(1, 1e6), bins=integers(1, 10_000))
def test_imbalance_fades_with_load_and_grows_with_bins(mean, bins):
    """One bin is in balance; more bins are less so; more load per bin is more so."""
    assert load_imbalance(1, mean) == 1
    assert load_imbalance(bins + 1, mean) > load_imbalance(bins, mean)
    assert load_imbalance(bins + 1, 2 * mean) < load_imbalance(bins + 1, mean)


@given(per_rank=integers(1, 16), ranks=integers(1, 64), k=integers(1, 8))
def test_a_token_reaches_at_least_one_rank_and_at_most_one_per_expert(per_rank, ranks, k):
    """Between 1 and min(k, ranks); one expert reaches one rank; ranks of one expert each are reached k at a time."""
    experts = max(per_rank * ranks, k)
    hit = distinct_ranks_hit(experts, ranks, k)
    assert 1 - 1e-9 <= hit <= min(k, ranks) + 1e-9
    assert distinct_ranks_hit(experts, ranks, 1) == pytest.approx(1)
    assert distinct_ranks_hit(experts, experts, k) == pytest.approx(k)


def test_distinct_ranks_are_the_mean_over_every_choice():
    """Enumerating all choices of three of twelve experts on four ranks gives the same mean, and so does binomials."""
    choices = list(combinations(range(12), 3))
    mean = sum(len({expert // 3 for expert in choice}) for choice in choices) / len(choices)
    assert distinct_ranks_hit(12, 4, 3) == pytest.approx(mean)
    assert distinct_ranks_hit(256, 8, 8) == pytest.approx(8 * (1 - comb(224, 8) / comb(256, 8)))


@pytest.mark.parametrize(
    ("computed", "published", "tolerance"),
    [
        pytest.param(ROUTED, 6.5391e11, 1e-5, id="B27 five digits"),
        pytest.param(fetched_params(REST, ROUTED, 8 / 256), 3.7526e10, 5e-3, id="B28"),
        pytest.param(256 / 8, 32, 0, id="B23"),
        pytest.param(384 / 8, 48, 0, id="B22"),
        pytest.param(balance_batch(300, 671e9, 37e9), 5440.5, 5e-3, id="B25"),
        pytest.param(balance_batch(300, 256, 8), 9600, 0, id="B26"),
        pytest.param(all_to_all_bytes(8, 7168, 1, 2), 172_032, 0, id="D01"),
        pytest.param(hit_probability(1, 256, 8), 0.03125, 0, id="D08"),
        pytest.param(hit_probability(32, 256, 8), 0.63794, 1e-3, id="D09"),
        pytest.param(hit_probability(256, 256, 8), 0.9997, 1e-3, id="D10"),
        pytest.param(fetched_params(REST, ROUTED, hit_probability(32, 256, 8)), 4.3425e11, 5e-3, id="D11"),
        pytest.param(fetched_params(REST, ROUTED, hit_probability(8, 256, 8)), 164e9, 5e-3, id="notes, 8"),
        pytest.param(fetched_params(REST, ROUTED, hit_probability(128, 256, 8)), 660e9, 5e-3, id="notes, 128"),
        pytest.param(distinct_ranks_hit(256, 8, 8), 5.2947, 1e-3, id="D13"),
        pytest.param(distinct_ranks_hit(256, 64, 8), 7.6758, 1e-3, id="D14"),
    ],
)
def test_published_figures_of_mixture_of_experts_models(computed, published, tolerance):
    """Claims of the areas moe and ep, each with the claim's tolerance."""
    assert computed == pytest.approx(published, rel=tolerance or 1e-12)


def test_batch_one_costs_the_ridge_over_the_compute_bound():
    """Claim D12: with perfect sharding one token reads its active parameters, 300 times its arithmetic at ridge 300."""
    active = REST + ROUTED * 8 / 256
    fetched = fetched_params(REST, ROUTED, hit_probability(1, 256, 8))
    assert balance_batch(300, fetched, active) == pytest.approx(300)


@given(low=integers(1, 256), times=integers(2, 16), share=floats(0, 1))
def test_reading_off_a_line_over_the_logarithm_gives_back_the_experts_on_it(low, times, share):
    """On a loss that falls by a fixed amount with each doubling, any count between the two measured ones comes back."""
    high, wanted = low * times, low * times**share

    def loss(experts):
        return 2.5 - 0.03 * np.log2(experts)

    assert experts_at_loss(loss(wanted), low, loss(low), high, loss(high)) == pytest.approx(wanted)


def test_the_experts_and_the_rest_make_the_model():
    """Routed parameters and the rest sum to the total; a pass sends as many copies as its experts work through."""
    assert rest_params(671.026e9, ROUTED) + ROUTED == pytest.approx(671.026e9)
    assert routed_copies(2400, 8) == 75 * 256
    assert sparsity(256, 8) == 256 / 8
