"""Experts: what a batch hits, the rank that reads most, the bin that gets most, and the ranks that a token reaches."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from headway.equations.moe import (
    all_to_all_bytes,
    busiest_load_ratio,
    busiest_load_tokens,
    busiest_rank_share,
    copies_bytes,
    distinct_ranks_hit,
    experts_at_loss,
    fetched_params,
    hit_probability,
    limited_ranks_hit,
    load_imbalance,
    placed_imbalance,
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


def test_a_dispatch_and_a_combine_make_an_exchange():
    """The bytes of both ways add up to those of a token, for as many tokens as there are."""
    out, back = (copies_bytes(128, 8, 7168, value) for value in (1, 2))
    assert out + back == 128 * all_to_all_bytes(8, 7168, 1, 2)


# Very many points at once


def test_a_table_gives_what_the_sums_give():
    """Six thousand points are read from a table, a thousand at a time are summed: they agree to one part in 10^7."""
    rng = np.random.default_rng(11)
    ranks = rng.choice([1, 2, 8, 32, 64, 72, 256], 6000)
    experts = np.ceil(256 / ranks)
    hit = 10 ** rng.uniform(-6, 0, 6000)
    hit[:3] = 0.0, 1.0, 0.5
    summed = [busiest_rank_share(hit[i : i + 1000], experts[i : i + 1000], ranks[i : i + 1000])
              for i in range(0, 6000, 1000)]  # fmt: skip
    np.testing.assert_allclose(busiest_rank_share(hit, experts, ranks), np.concatenate(summed), rtol=1e-7)
    mean = 10 ** rng.uniform(-4, 5, 6000)
    summed = [busiest_load_ratio(ranks[i : i + 1000], mean[i : i + 1000]) for i in range(0, 6000, 1000)]
    # 1e-4 where the sum gives way to the expansion
    np.testing.assert_allclose(busiest_load_ratio(ranks, mean), np.concatenate(summed), rtol=1.5e-4)


def test_arrays_of_layouts_are_elementwise():
    """Experts per rank and ranks may vary from point to point, in any shape that broadcasts."""
    ranks = np.array([8, 64, 72])
    experts = np.ceil(256 / ranks)
    hit = np.linspace(0.01, 1, 5000)[:, None]
    share = busiest_rank_share(hit, experts, ranks)
    assert share.shape == (5000, 3)
    for column, (each, of) in enumerate(zip(experts, ranks, strict=True)):
        expected = busiest_rank_share(hit[::50, 0], each, of)
        np.testing.assert_allclose(share[::50, column], expected, rtol=1e-7)
        np.testing.assert_allclose(busiest_rank_share(hit[::50], experts, ranks)[:, column], expected, rtol=1e-12)


# The busiest bin of any mean


@given(mean=floats(1e-3, 1e6), bins=integers(1, 5000))
def test_the_busiest_bin_over_the_mean_has_its_bounds(mean, bins):
    """At least the mean, at most all copies; one bin has the mean; more bins have a busier one."""
    ratio = float(busiest_load_ratio(bins, mean))
    assert 1 <= ratio <= bins * (1 + 1e-9)
    assert busiest_load_ratio(1, mean) == pytest.approx(1, rel=1e-9)
    # where the sum gives way to the expansion, at a mean of 64, 1e-4 less than it should be
    assert busiest_load_ratio(bins + 1, mean) >= ratio * (1 - 1e-9)
    assert busiest_load_ratio(bins, 2 * mean) <= ratio * (1 + 1e-9)


@pytest.mark.parametrize("bins", [2, 8, 64, 256])
@pytest.mark.parametrize("mean", [0.125, 0.25, 0.5, 1, 2, 8, 32, 128, 1000])
def test_the_busiest_bin_of_any_mean_agrees_with_throwing_copies(bins, mean):
    """Seeded throws of a fixed number of copies: within 5 %, and within 1 % from eight copies a bin."""
    copies = round(bins * mean)
    if copies < 1:
        assert busiest_load_ratio(bins, mean) == pytest.approx(bins)
        return
    thrown = np.random.default_rng(2).multinomial(copies, np.full(bins, 1 / bins), size=4000).max(1).mean()
    ratio = float(busiest_load_ratio(bins, copies / bins))
    assert ratio == pytest.approx(thrown * bins / copies, rel=0.01 if mean >= 8 else 0.05)


@pytest.mark.parametrize(("tokens", "tolerance"), [(1, 0.08), (4, 0.05), (16, 0.03)])
def test_the_busiest_rank_of_few_tokens_agrees_with_routing(tokens, tolerance):
    """Experts of a token are all different, which the independent copies do not know: 8 % too much for one token."""
    rng, loads = np.random.default_rng(6), np.zeros((3000, 64))
    for _ in range(tokens):
        np.add.at(loads, (np.arange(3000)[:, None], routing(rng, 3000) // 4), 1)
    routed = loads.max(1).mean() / (tokens * 8 / 64)
    assert busiest_load_ratio(64, tokens * 8 / 64) == pytest.approx(routed, rel=tolerance)


@pytest.mark.parametrize(("bins", "mean", "claimed"), [(256, 75, 1.341), (64, 300, 1.139)])
def test_the_busiest_bin_over_the_mean_meets_the_claims(bins, mean, claimed):
    """D16 and D17, with their tolerance, and below the Gaussian bound."""
    ratio = busiest_load_ratio(bins, mean)
    assert ratio == pytest.approx(claimed, rel=0.02)
    assert ratio < load_imbalance(bins, mean)


# Uneven experts, copied and placed


def placed_by_hand(loads, redundant, ranks):
    """The same two greedy steps in the plainest words: load of the busiest rank over the mean."""
    copies = [1] * len(loads)
    for _ in range(redundant):
        heaviest = max(range(len(loads)), key=lambda i: loads[i] / copies[i])
        copies[heaviest] += 1
    pieces = sorted((loads[i] / copies[i] for i in range(len(loads)) for _ in range(copies[i])), reverse=True)
    places, total, held = -(-len(pieces) // ranks), [0.0] * ranks, [0] * ranks
    for piece in pieces:
        lightest = min((rank for rank in range(ranks) if held[rank] < places), key=lambda rank: total[rank])
        total[lightest] += piece
        held[lightest] += 1
    return max(total) / (sum(loads) / ranks)


def test_placing_two_experts_on_two_ranks():
    """Loads of 3 and 1: alone 1.5 times the mean; a copy makes 1.5, 1.5 and 1; two copies make four equal ones."""
    found = [float(placed_imbalance(2, 1.5, copies, 2)) for copies in (0, 1, 2)]
    assert found == pytest.approx([1.5, 1.25, 1.0])


@pytest.mark.parametrize(("experts", "exponent"), [(16, 0.6), (64, 0.95), (60, 1.45)])
@pytest.mark.parametrize("ranks", [4, 7, 16])
def test_placing_copies_by_hand_gives_the_imbalance(experts, exponent, ranks):
    """The best of as many copies as are allowed, each count placed by hand."""
    loads = [i**-exponent for i in range(1, experts + 1)]
    skew = experts / sum(loads)
    for allowed in (0, 1, 5):
        best = min(placed_by_hand(loads, copies, ranks) for copies in range(allowed + 1))
        assert placed_imbalance(experts, skew, allowed, ranks) == pytest.approx(best, rel=1e-6)


@given(experts=integers(1, 128), skew=floats(1, 32), redundant=integers(0, 16), ranks=integers(1, 64))
def test_redundant_experts_never_make_it_worse(experts, skew, redundant, ranks):
    """At least the mean, at most everything; another copy never hurts; one rank has all."""
    ratio = placed_imbalance(experts, skew, redundant, ranks)
    assert 1 - 1e-9 <= placed_imbalance(experts, skew, redundant + 1, ranks) <= ratio <= ranks * (1 + 1e-9)
    assert placed_imbalance(experts, skew, redundant, 1) == pytest.approx(1)


@given(each=integers(1, 8), ranks=integers(1, 64), redundant=integers(0, 16))
def test_uniform_experts_that_divide_evenly_are_in_balance(each, ranks, redundant):
    """Without skew there is nothing to even out; where they do not divide, the fullest rank decides."""
    assert placed_imbalance(each * ranks, 1.0, redundant, ranks) == pytest.approx(1)
    assert placed_imbalance(256, 1.0, 0, 72) == pytest.approx(4 / (256 / 72))


@given(experts=integers(1, 200), skew=floats(1, 300))
def test_the_skew_is_that_of_the_busiest_expert(experts, skew):
    """A rank for each expert shows the skew itself, which cannot be more than all the load on one of them."""
    assert placed_imbalance(experts, skew, 0, experts) == pytest.approx(min(skew, experts), rel=1e-6)


def test_placing_takes_arrays_and_numbers_out_of_reason():
    """Every combination is placed once, wherever it occurs; a billion copies or experts take no longer than is left."""
    ranks, skew = np.array([8, 64]), np.array([[1.0], [4.0]])
    found = placed_imbalance(256, skew, 32, ranks)
    assert found.shape == (2, 2)
    assert found[1, 0] == placed_imbalance(256, 4.0, 32, 8)
    assert placed_imbalance(256, 4.0, 10**9, 64) == pytest.approx(1, rel=0.01)
    assert placed_imbalance(100_000, 2.0, 1000, 8) == pytest.approx(1, rel=0.01)


# A limit on nodes


def test_a_limit_on_nodes_is_the_mean_over_every_choice():
    """Three of eight experts on four nodes, two of them open: every choice of nodes and of their experts."""
    hits = [
        len({expert // 2 for expert in chosen})
        for nodes in combinations(range(4), 2)
        for chosen in combinations([expert for expert in range(8) if expert // 2 in nodes], 3)
    ]
    assert limited_ranks_hit(8, 4, 3, 2) == pytest.approx(np.mean(hits))


@given(per_rank=integers(1, 16), ranks=integers(1, 64), k=integers(1, 8), most=integers(1, 64))
def test_a_limit_on_nodes_is_kept_and_one_that_is_none_changes_nothing(per_rank, ranks, k, most):
    """Never more than the limit, nor than without it; with every node allowed it is no limit."""
    experts = max(per_rank * ranks, k)
    free = distinct_ranks_hit(experts, ranks, k)
    assert limited_ranks_hit(experts, ranks, k, most) <= min(free, most) * (1 + 1e-9)
    assert limited_ranks_hit(experts, ranks, k, ranks) == pytest.approx(free)


def test_ranks_hit_takes_arrays_of_layouts():
    """As many ranks in each layout as computed one by one, also where the count of experts is a worksheet's float."""
    ranks = np.array([1, 8, 64])
    np.testing.assert_allclose(
        distinct_ranks_hit(256.0, ranks, np.float64(8)), [distinct_ranks_hit(256, n, 8) for n in (1, 8, 64)]
    )
