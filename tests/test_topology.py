"""Exchanges over two kinds of link, on switches, meshes and tori: shares moved, tokens routed, rings walked."""

import itertools
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, sampled_from

from headway.equations import collectives, fabrics, moe, parallelism, topology

BYTES = floats(1.0, 1e12)
RATE = floats(1e9, 1e13)
LATENCY = floats(0, 1e-3)
TWO_LEVELS = [
    (topology.two_level_all_reduce_s, collectives.all_reduce_s, collectives.all_reduce_sent_bytes),
    (topology.two_level_all_gather_s, collectives.all_gather_s, collectives.all_gather_sent_bytes),
    (topology.two_level_reduce_scatter_s, collectives.reduce_scatter_s, collectives.reduce_scatter_sent_bytes),
    (topology.two_level_all_to_all_s, collectives.all_to_all_s, collectives.all_to_all_sent_bytes),
]
FREE = 1e300  # a bandwidth that takes no time


# Laws


@given(payload=BYTES, ranks=integers(1, 512), fast=RATE, slow=RATE, wait=LATENCY, kind=sampled_from(TWO_LEVELS))
def test_within_one_domain_and_with_one_rank_in_each_there_is_one_kind_of_link(payload, ranks, fast, slow, wait, kind):
    """One domain gives the equation of the fast links, one rank in each domain that of the slow ones."""
    both, one, _ = kind
    inside = both(payload, ranks, 1, fast, slow, wait, 7.0, 3, 0)
    outside = both(payload, 1, ranks, fast, slow, 7.0, wait, 0, 3)
    assert inside == pytest.approx(one(payload, ranks, fast, wait, 3))
    assert outside == pytest.approx(one(payload, ranks, slow, wait, 3))


@given(payload=BYTES, inside=integers(1, 64), outside=integers(1, 64), kind=sampled_from(TWO_LEVELS))
def test_both_kinds_of_link_together_carry_what_one_would(payload, inside, outside, kind):
    """The bytes on fast and on slow links add up to those of Thakur et al. for all ranks."""
    both, _, sent = kind
    fast, slow = both(payload, inside, outside, 1.0, FREE), both(payload, inside, outside, FREE, 1.0)
    assert fast + slow == pytest.approx(sent(payload, inside * outside))


@given(inside=integers(1, 64), outside=integers(1, 64), copies=integers(1, 16))
def test_forwarding_needs_no_more_slow_bytes_than_every_copy_alone(inside, outside, copies):
    """One copy for each domain is at most one copy for each expert; the fast links get the difference and more."""
    hit = moe.distinct_ranks_hit(64 * inside * outside, outside, copies)
    alone, once = (
        topology.two_level_all_to_all_s(float(copies), inside, outside, FREE, 1.0),
        topology.forwarded_all_to_all_s(float(copies), hit, inside, outside, FREE, 1.0),
    )
    assert once <= alone * (1 + 1e-9) + 1e-12
    delivered = topology.forwarded_all_to_all_s(float(copies), hit, inside, outside, 1.0, FREE)
    assert delivered >= topology.two_level_all_to_all_s(float(copies), inside, outside, 1.0, FREE) * (1 - 1e-9) - 1e-12


@given(racks=integers(2, 16), r=floats(1, 50), k=integers(1, 8))
def test_exchanges_of_large_racks_slow_down_as_the_two_lines_say(racks, r, k):
    """Against one rack of as many ranks: D18's `racks_slowdown_every_copy`, and D19's with one copy for each rack."""
    inside, hit = 1e9, moe.distinct_ranks_hit(1e12, racks, k)
    one = float(k)
    alone = topology.two_level_all_to_all_s(float(k), inside, racks, 1.0, 1 / r)
    once = topology.forwarded_all_to_all_s(float(k), hit, inside, racks, 1.0, 1 / r)
    assert alone / one == pytest.approx(float(parallelism.racks_slowdown_every_copy(racks, r)), rel=1e-6)
    assert once / one == pytest.approx(float(parallelism.racks_slowdown_one_copy(racks, r, k)), rel=1e-6)


@given(payload=BYTES, inside=integers(1, 64), outside=integers(2, 64), fast=RATE, slow=RATE)
def test_a_passage_around_all_ranks_crosses_once_for_every_domain(payload, inside, outside, fast, slow):
    """Of the passages around a group as many change domain as there are domains."""
    mean = topology.two_level_point_to_point_s(payload, inside, outside, fast, slow)
    total = (inside - 1) * outside * payload / fast + outside * payload / slow
    assert mean * inside * outside == pytest.approx(total)


@given(scaleup=RATE, chips=integers(2, 64))
def test_a_whole_mesh_is_a_switch_and_a_pair_has_one_link_of_it(scaleup, chips):
    """All links of all chips carry what a switch would; two chips alone have one link, however large the mesh."""
    link = fabrics.mesh_link_bytes_per_s(scaleup, chips)
    assert fabrics.links_bytes_per_s(link, fabrics.mesh_links(chips)) == pytest.approx(scaleup)
    assert fabrics.links_bytes_per_s(link, fabrics.mesh_links(2)) == pytest.approx(scaleup / (chips - 1))


# Independent computation: move the shares


def gather_in_two_levels(inside, outside):
    """Gather on every rail, then inside; the shares that each rank sent on its slow and its fast links."""
    ranks = list(itertools.product(range(outside), range(inside)))
    held = {rank: {rank} for rank in ranks}
    slow, fast = dict.fromkeys(ranks, 0), dict.fromkeys(ranks, 0)
    for rank in ranks:  # each rank sends its share to its peers in the other domains
        for domain in range(outside):
            if domain != rank[0]:
                held[domain, rank[1]].add(rank)
                slow[rank] += 1
    gathered = {rank: set(shares) for rank, shares in held.items()}
    for rank in ranks:  # then all that a rank has to its neighbours
        for place in range(inside):
            if place != rank[1]:
                gathered[rank[0], place] |= held[rank]
                fast[rank] += len(held[rank])
    assert all(shares == set(ranks) for shares in gathered.values())
    return set(slow.values()), set(fast.values())


@pytest.mark.parametrize(("inside", "outside"), [(1, 4), (4, 1), (2, 3), (8, 2), (3, 5)])
def test_gathering_share_by_share_takes_what_the_formula_says(inside, outside):
    """Every rank ends with every share; on each kind of link it sent as many as the time at a rate of one says."""
    slow, fast = gather_in_two_levels(inside, outside)
    shares = inside * outside
    assert slow == {round(topology.two_level_all_gather_s(shares, inside, outside, FREE, 1.0))}
    assert fast == {round(topology.two_level_all_gather_s(shares, inside, outside, 1.0, FREE))}
    both = topology.two_level_all_reduce_s(shares, inside, outside, 1.0, 1.0)
    assert both == pytest.approx(2 * (*slow,)[0] + 2 * (*fast,)[0])


@pytest.mark.parametrize(("inside", "outside"), [(8, 1), (8, 2), (4, 4), (2, 8)])
def test_routing_tokens_gives_the_bytes_on_either_kind_of_link(inside, outside):
    """Tokens to 8 of 256 experts, one copy to the landing chip of each domain, then on to the experts' ranks."""
    rng, ranks, tokens = np.random.default_rng(3), inside * outside, 4000
    home = rng.integers(0, ranks, tokens)
    rank = rng.random((tokens, 256)).argpartition(7, axis=1)[:, :8] // (256 // ranks)
    domain = rank // inside
    landing = domain * inside + (home % inside)[:, None]  # the peer on the sender's rail, or the sender itself
    crossed = np.mean([len(set(row) - {at}) for row, at in zip(domain, home // inside, strict=True)])
    forwarded = np.mean((rank != landing).sum(axis=1))
    hit = moe.distinct_ranks_hit(256, outside, 8)
    slow = topology.forwarded_all_to_all_s(8.0, hit, inside, outside, FREE, 1.0)
    fast = topology.forwarded_all_to_all_s(8.0, hit, inside, outside, 1.0, FREE)
    assert slow == pytest.approx(crossed, rel=0.02, abs=1e-9)  # 4,000 tokens: 1 % each
    assert fast == pytest.approx(forwarded, rel=0.02)
    assert topology.forwarded_sent_bytes(8.0, hit, inside, outside) == pytest.approx(crossed + forwarded, rel=0.02)


# Tori: walk the rings


def links(chip, sides, closed):
    """Neighbours of a chip, one for each link."""
    for axis, (side, wraps) in enumerate(zip(sides, closed, strict=True)):
        for step in (1, -1):
            to = chip[axis] + step
            if side > 1 and (wraps or 0 <= to < side):
                yield (*chip[:axis], to % side, *chip[axis + 1 :])


def farthest(sides, closed):
    """Hops from the worst placed chip to the one farthest from it."""
    worst = 0
    for start in itertools.product(*map(range, sides)):
        distance, queue = {start: 0}, deque([start])
        while queue:
            chip = queue.popleft()
            for to in links(chip, sides, closed):
                if to not in distance:
                    distance[to] = distance[chip] + 1
                    queue.append(to)
        worst = max(worst, *distance.values())
    return worst


@pytest.mark.parametrize(
    ("inside", "rings", "sides", "closed"),
    [
        pytest.param(64, (4, 4, 4), (4, 4, 4), (1, 1, 1), id="whole cube"),
        pytest.param(16, (4, 4, 4), (4, 4, 1), (1, 1, 0), id="two of three dimensions"),
        pytest.param(4, (8, 4, 1), (4, 1, 1), (0, 0, 0), id="half a ring is a line"),
        pytest.param(16, (8, 4, 1), (8, 2, 1), (1, 0, 0), id="a ring and a line"),
        pytest.param(15, (5, 3, 1), (5, 3, 1), (1, 1, 0), id="odd rings"),
        pytest.param(1, (4, 4, 4), (1, 1, 1), (0, 0, 0), id="one chip"),
    ],
)
def test_walking_a_torus_gives_its_links_and_hops(inside, rings, sides, closed):
    """The chip with fewest links bounds a gathering, the chip farthest away its latency."""
    chips = list(itertools.product(*map(range, sides)))
    fewest = min(len(list(links(chip, sides, closed))) for chip in chips)
    assert float(fabrics.torus_links(inside, *rings, 2)) == max(fewest, 1)
    assert float(fabrics.torus_hops(inside, *rings, 2)) == (farthest(sides, closed) if inside > 1 else 0)


@pytest.mark.parametrize("sides", [(4, 2), (2, 2), (4, 4)])
def test_a_slice_without_wrapped_links_has_lines_only(sides):
    """One link in each dimension, and all of it to walk."""
    open_ends = (False, False)
    fewest = min(len(list(links(chip, sides, open_ends))) for chip in itertools.product(*map(range, sides)))
    chips = sides[0] * sides[1]
    assert float(fabrics.torus_links(chips, *sides, 1, 1)) == fewest
    assert float(fabrics.torus_hops(chips, *sides, 1, 1)) == farthest(sides, open_ends)


@pytest.mark.parametrize("chips", [2, 4, 6, 8])
def test_half_of_a_lines_shares_cross_its_middle(chips):
    """An all-to-all on a line takes what the pairs on either side of its middle link have to exchange."""
    crossing = sum(a < chips // 2 <= b for a, b in itertools.permutations(range(chips), 2)) / chips
    length = fabrics.torus_longest_ring(chips, 2 * chips, 1, 1, 2)
    assert float(collectives.torus_all_to_all_s(1.0, length, 1.0)) == pytest.approx(crossing)


@given(dimension=integers(2, 8), dimensions=integers(1, 3), payload=BYTES, link=RATE)
def test_a_gathering_over_all_rings_is_as_fast_as_a_switch_of_the_same_links(dimension, dimensions, payload, link):
    """Chapter 3 of the scaling book: the locality of a torus costs a gathering nothing."""
    rings = [dimension] * dimensions + [1] * (3 - dimensions)
    used = fabrics.torus_links(dimension**dimensions, *rings, 2)
    assert used == 2 * dimensions
    ring = collectives.all_gather_s(payload, dimension**dimensions, fabrics.links_bytes_per_s(link, used))
    assert ring == pytest.approx(collectives.all_gather_s(payload, dimension**dimensions, 2 * dimensions * link))


def test_the_scaling_book_on_a_slice_of_tpu_v5e():
    """Its pop quiz: 34 MB over four chips of an open axis take 560 µs, and three hops of latency."""
    assert float(fabrics.torus_links(4, 16, 16, 1, 2)) == 1
    assert float(fabrics.torus_hops(4, 16, 16, 1, 2)) == 3
    gathered = collectives.all_gather_s(2048 * 8192 * 2, 4, 4.5e10)
    assert gathered == pytest.approx(560e-6, rel=0.005)  # printed with two digits


def test_the_scaling_book_on_domains_of_h100():
    """Its pop quiz in a node: 65 µs; and what a second node makes of an all-to-all: more than four times slower."""
    gathered = topology.two_level_all_gather_s(2 * 1024 * 16384, 8, 1, 450e9, 50e9)
    assert gathered == pytest.approx(65e-6, rel=0.01)
    held = 1e6
    one, two = (float(topology.two_level_all_to_all_s(held, 8, domains, 450e9, 50e9)) for domains in (1, 2))
    assert two / one > 4
