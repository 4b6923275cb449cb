"""What a layout puts on each chip and each link: checked by placing every part and routing every token."""

import itertools
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from headway.equations import moe, parallelism, roofline

BYTES = floats(1.0, 1e13)


# Laws


@given(experts=BYTES, rest=BYTES, domain=integers(1, 512), tensor=integers(1, 64), stages=integers(1, 64))
def test_all_weights_are_held_as_often_as_they_are_repeated(experts, rest, domain, tensor, stages):
    """Over the chips of all stages the experts are held once, the rest once in every tensor-parallel group."""
    held = parallelism.weights_per_chip_bytes(experts, rest, domain, tensor, stages) * domain * stages
    assert held == pytest.approx(experts + rest * domain / tensor)


@given(experts=BYTES, rest=BYTES, domain=integers(1, 512))
def test_no_larger_domain_reads_the_repeated_part_faster(experts, rest, domain):
    """With attention data-parallel a larger domain reads sooner, but never sooner than the rest alone."""
    smaller, larger = (parallelism.weights_read_s(experts, rest, n, 1, 1e12) for n in (domain, 2 * domain))
    assert rest / 1e12 <= larger <= smaller


@given(r=floats(1, 100), racks=integers(2, 64), k=integers(1, 16))
def test_one_copy_per_rack_never_crosses_more_often_than_every_copy_alone(r, racks, k):
    """A token visits no more other racks than it sends copies to them, nor more than there are."""
    visited = parallelism.remote_racks_per_token(racks, k)
    assert visited <= k * parallelism.share_leaving_rack(racks) * (1 + 1e-9)
    assert visited <= racks - 1
    assert parallelism.racks_slowdown_one_copy(racks, r, k) >= 1


@given(r=floats(1, 100), racks=integers(2, 64))
def test_with_one_expert_per_token_both_ways_of_sending_cross_alike(r, racks):
    """One copy has nothing to share a crossing with."""
    alone = parallelism.racks_slowdown_every_copy(racks, r)
    assert parallelism.racks_slowdown_one_copy(racks, r, 1) == pytest.approx(max(float(alone), 1))


@given(r=floats(0.1, 100), k=integers(1, 16))
def test_one_rack_is_its_own_measure(r, k):
    """Relative to one rack, one rack takes 1."""
    assert parallelism.racks_slowdown_every_copy(1, r) == 1
    assert parallelism.racks_slowdown_one_copy(1, r, k) == 1


@given(step=floats(1e-4, 1), stages=integers(1, 64), hop=floats(0, 1e-2))
def test_stages_cost_latency_only_by_their_hops(step, stages, hop):
    """Cutting the same work into stages adds the hops and nothing else."""
    assert parallelism.pipeline_latency_s(stages, step / stages, stages, hop) == pytest.approx(step + stages * hop)


@given(experts=integers(1, 512), redundant=integers(0, 64), chips=integers(1, 128))
def test_every_expert_has_a_place_and_no_chip_could_be_spared(experts, redundant, chips):
    """The chips in use hold all experts; with one expert fewer on each, the domain could not."""
    each = parallelism.experts_per_chip(experts, redundant, chips)
    used = chips - parallelism.idle_chips(experts, redundant, chips)
    copies = experts + redundant
    assert (used - 1) * each < copies <= used * each
    assert (each - 1) * chips < copies


# Independent computation: place every part


def test_placing_every_layer_and_sequence_gives_the_bytes_of_the_formula():
    """Stages take layers in turn, chips take experts in turn, sequences in turn; each part weighs what it weighs."""
    layers, experts, chips, stages, micro_batch, context, token = 12, 32, 8, 3, 16, 100, 7
    expert_bytes, rest_bytes = 5, 11  # of one expert, of one layer's rest
    held = np.full((stages, chips), 13.0)  # of buffers
    for layer in range(layers):
        stage = layer * stages // layers
        held[stage] += rest_bytes  # repeated on every chip
        for expert in range(experts):
            held[stage, expert % chips] += expert_bytes
        for sequence in range(micro_batch * stages):  # one micro-batch in flight for every stage
            held[stage, sequence % chips] += context * token / layers
    expected = parallelism.chip_bytes(
        parallelism.weights_per_chip_bytes(layers * experts * expert_bytes, layers * rest_bytes, chips, 1, stages),
        parallelism.kv_per_chip_bytes(micro_batch, context, token, chips),
        13,
    )
    np.testing.assert_allclose(held, expected)


@pytest.mark.parametrize(("racks", "k"), [(2, 1), (2, 4), (3, 3), (4, 4), (5, 2)])
def test_enumerating_every_choice_of_racks_gives_the_remote_racks_visited(racks, k):
    """All ways to choose a rack for each of k experts, a token at home in rack 0."""
    choices = list(itertools.product(range(racks), repeat=k))
    visited = sum(len(set(choice) - {0}) for choice in choices) / len(choices)
    assert parallelism.remote_racks_per_token(racks, k) == pytest.approx(visited)


@pytest.mark.parametrize(("racks", "r"), [(2, 4.0), (2, 18.0), (4, 8.0), (8, 1.0)])
def test_routing_tokens_at_random_loads_the_links_as_the_two_lines_say(racks, r):
    """64 experts on each rack, 8 chosen; times are copies over bandwidth, in units of one copy on a fast link."""
    rng, k = np.random.default_rng(7), 8
    experts = np.argsort(rng.random((20_000, 64 * racks)), axis=1)[:, :k]  # all different
    rack = experts // 64
    local = np.mean((rack == 0).sum(axis=1))
    visited = np.mean([np.unique(row[row > 0]).size for row in rack])
    alone = max(local, r * (k - local)) / k
    once = max(k, r * visited) / k
    # independent choices instead of different experts, and 20,000 tokens: 1 % each
    assert float(parallelism.racks_slowdown_every_copy(racks, r)) == pytest.approx(alone, rel=0.02)
    assert float(parallelism.racks_slowdown_one_copy(racks, r, k)) == pytest.approx(once, rel=0.02)


def test_remote_racks_and_the_hypergeometric_count_of_ranks_agree_for_many_experts():
    """`moe.distinct_ranks_hit` draws different experts; with many of them the two counts meet."""
    home_too = float(moe.distinct_ranks_hit(256_000, 4, 8))
    assert parallelism.remote_racks_per_token(4, 8) == pytest.approx(home_too * 3 / 4, rel=1e-4)


def deepseek_v3_params():
    """(routed, rest without the looked-up embedding) from the dimensions of DeepSeek-V3's config, norms left out."""
    hidden, heads, layers, dense = 7168, 128, 61, 3
    attention = hidden * 1536 + 1536 * heads * 192 + hidden * 576 + 512 * heads * 256 + heads * 128 * hidden
    expert = 3 * hidden * 2048
    rest = layers * attention + dense * 3 * hidden * 18432 + (layers - dense) * (expert + 256 * hidden)
    return (layers - dense) * 256 * expert, rest + 129_280 * hidden


def test_deepseek_v3_on_64_h100_reads_its_weights_in_7_9_ms():
    """EP64 with attention data-parallel; cutting everything 64 ways would take 3.1 ms (quoted to two digits)."""
    experts, rest = deepseek_v3_params()
    assert parallelism.weights_read_s(experts, rest, 64, 1, 3.35e12) == pytest.approx(7.9e-3, rel=0.01)
    assert parallelism.weights_read_s(671e9, 0, 64, 64, 3.35e12) == pytest.approx(3.1e-3, rel=0.01)


# Published figures


def test_two_racks_cost_four_or_nothing():
    """D18, D19, and the two columns at the bandwidth ratios of H100 pods and GB200 (rounded as quoted)."""
    alone, once = parallelism.racks_slowdown_every_copy, parallelism.racks_slowdown_one_copy
    assert float(alone(2, 8)) == 4
    assert float(alone(2, 18)) == 9
    # D19's 0.996 is the slow links' time alone; the fast links still deliver every copy, so the layer takes 1
    assert parallelism.slow_links_slowdown(2, 8, 8) == 0.99609375
    assert float(once(2, 8, 8)) == 1
    assert float(once(2, 18, 8)) == pytest.approx(2.2, abs=0.05)
    assert float(once(4, 8, 8)) == pytest.approx(2.7, abs=0.05)
    assert float(once(4, 18, 8)) == pytest.approx(6.1, abs=0.05)


def test_node_limited_routing_of_deepseek_v3():
    """D15: four nodes, NVLink at 160 and InfiniBand at 50 GB/s, 12.8 experts (printed as 13)."""
    assert parallelism.node_limited_experts(4, 160 / 50) == pytest.approx(12.8)


def test_one_layer_per_stage_already_hides_the_slow_links():
    """C31, lecture 00:47:12: ratio 8, 8 experts, one layer gives 2; with one copy per rank of 64, 1.9."""
    assert parallelism.link_time_ratio(8, 8, 1) == 2
    assert parallelism.link_time_ratio(8, float(moe.distinct_ranks_hit(256, 64, 8)), 1) == pytest.approx(1.92, abs=0.01)


def test_weights_shrink_with_stages_and_kv_does_not():
    """C32, C33, lecture 01:03:37: 1T parameters at one byte over 64 chips and 4 stages is 3.9 GB a chip."""
    assert parallelism.weights_per_chip_bytes(1e12, 0, 64, 64, 4) == pytest.approx(3.90625e9)
    in_flight = parallelism.batch_in_flight(32, 4)
    assert in_flight * 1000 * 70272 / (64 * 4) == parallelism.kv_per_chip_bytes(32, 1000, 70272, 64)


def test_racks_of_the_lecture():
    """Q10 to Q14: the domain grew ninefold, to 13.4 TB; four experts on each of 64 chips; half the tokens leave."""
    hopper, blackwell = parallelism.domain_memory_bytes(8, 80e9), parallelism.domain_memory_bytes(72, 186e9)
    assert 72 / 8 == 9
    assert hopper == 640e9
    assert blackwell == pytest.approx(1.339e13, rel=0.005)
    assert float(parallelism.experts_per_chip(256, 0, 64)) == 4
    assert parallelism.share_leaving_rack(2) == 0.5


def test_72_chips_hold_256_experts_with_8_idle_or_288_with_none():
    """64 of 72 chips at four each; 32 second copies fill the rest."""
    assert float(parallelism.idle_chips(256, 0, 72)) == 8
    assert float(parallelism.idle_chips(256, 32, 72)) == 0
    assert ceil(256 / 72) == parallelism.experts_per_chip(256, 0, 72)


def test_a_whole_dispatch_is_far_below_the_milliseconds_that_the_lecture_guessed():
    """DeepEP's slowest dispatch over RDMA takes 194 µs: four hops add 4 % to a 20 ms pass, not 40 %."""
    plain, hops, guess = (parallelism.pipeline_latency_s(4, 5e-3, 4, hop) for hop in (0.0, 194e-6, 2e-3))
    assert hops / plain - 1 == pytest.approx(0.0388)
    assert guess / plain - 1 == pytest.approx(0.4)


def test_the_largest_model_of_a_domain_fills_what_kv_leaves():
    """Weights and KV together take the usable memory, and a byte more would not fit."""
    memory = parallelism.domain_memory_bytes(72, 186e9)
    params = parallelism.largest_model_params(memory, 0.9, 0.4, 0.5)
    assert roofline.weights_bytes(params, 0.5) + 0.4 * 0.9 * memory == pytest.approx(0.9 * memory)


# Where the ranks of a group lie


@pytest.mark.parametrize("domain", [4, 8, 72])
@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16, 72])
@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 9, 64])
def test_numbering_the_chips_gives_the_domains_of_a_group(ranks, stride, domain):
    """Ranks `stride` apart, whole groups of neighbours kept in a domain: as many domains as hold one of them."""
    held = max(domain // stride, 1)  # those with all their chips up to the next rank in the domain
    domains = {rank // held for rank in range(ranks)}
    assert parallelism.group_domains(ranks, stride, domain) == len(domains)
    inside = parallelism.group_inside(ranks, len(domains))
    assert 1 <= inside <= held
    assert parallelism.group_ranks(inside, len(domains)) == pytest.approx(ranks)


@given(ranks=integers(1, 512), stride=integers(1, 512), domain=integers(1, 512))
def test_a_larger_domain_never_spreads_a_group_further(ranks, stride, domain):
    """Between one domain and one for each rank, and no more of them in larger domains."""
    spread = parallelism.group_domains(ranks, stride, domain)
    assert 1 <= parallelism.group_domains(ranks, stride, domain + 1) <= spread <= ranks
    assert parallelism.group_domains(ranks, stride, ranks * stride) == 1
