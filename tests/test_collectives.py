"""What moving bytes between chips must cost: checked by moving them, one share and one hop at a time."""

import itertools
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, sampled_from

from headway.equations import collectives, moe

POSITIVE = floats(1e-3, 1e12)
TIMED = [
    (collectives.all_reduce_s, collectives.all_reduce_sent_bytes),
    (collectives.all_gather_s, collectives.all_gather_sent_bytes),
    (collectives.reduce_scatter_s, collectives.reduce_scatter_sent_bytes),
    (collectives.all_to_all_s, collectives.all_to_all_sent_bytes),
]


# Laws


@given(payload=POSITIVE, ranks=integers(1, 4096))
def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather(payload, ranks):
    """The bytes of the two halves add up to the whole."""
    halves = collectives.reduce_scatter_sent_bytes(payload, ranks) + collectives.all_gather_sent_bytes(payload, ranks)
    assert collectives.all_reduce_sent_bytes(payload, ranks) == pytest.approx(halves)


@given(payload=POSITIVE, ranks=integers(1, 4096), timed=sampled_from(TIMED))
def test_more_ranks_send_more_but_never_twice_the_limit(payload, ranks, timed):
    """Bytes per rank grow with the ranks from nothing (one rank) towards a limit that the payload sets."""
    sent = timed[1]
    limit = 2 * payload if sent is collectives.all_reduce_sent_bytes else payload
    assert sent(payload, 1) == 0
    assert sent(payload, ranks) <= sent(payload, ranks + 1) < limit


@given(
    payload=POSITIVE,
    ranks=integers(1, 512),
    latency=floats(0, 1e-3),
    messages=integers(1, 64),
    pair=sampled_from(TIMED),
)
def test_time_is_bytes_over_bandwidth_and_a_latency_for_each_message(payload, ranks, latency, messages, pair):
    """An empty collective takes its latencies, a free wire leaves nothing else."""
    timed, sent = pair
    assert timed(0.0, ranks, 1e9, latency, messages) == pytest.approx(messages * latency)
    assert timed(payload, ranks, 1e9, 0.0, messages) == pytest.approx(sent(payload, ranks) / 1e9)
    both = timed(payload, ranks, 1e9, latency, messages)
    assert both == pytest.approx(timed(payload, ranks, 1e9) + messages * latency)


@given(comm=floats(0, 1e6), overlap=floats(0, 1e6))
def test_exposed_and_hidden_time_add_up(comm, overlap):
    """What is exposed is never negative and, with what the overlap hides, is all of the communication."""
    exposed = collectives.exposed_s(comm, overlap)
    assert exposed >= 0
    assert exposed + min(comm, overlap) == pytest.approx(comm, abs=1e-9)


# Independent computation: move the shares


def ring_all_reduce(ranks, rng):
    """Sum vectors around a ring, share by share; returns the vectors and the shares each rank sent."""
    data = rng.integers(0, 100, (ranks, ranks))  # rank, share
    total, sent = data.sum(axis=0), np.zeros(ranks, int)
    for phase, step in itertools.product(("sum", "copy"), range(ranks - 1)):
        before = data.copy()
        for rank in range(ranks):
            share = (rank - step + (phase == "copy")) % ranks
            to = (rank + 1) % ranks
            data[to, share] = before[rank, share] + (before[to, share] if phase == "sum" else 0)
            sent[rank] += 1
    return data, total, sent


@pytest.mark.parametrize("ranks", [2, 3, 5, 8])
def test_a_ring_that_moves_every_share_sends_what_the_formula_says(ranks):
    """After 2(n-1) steps every rank holds every sum, and has sent 2(n-1) shares of 1/n each."""
    data, total, sent = ring_all_reduce(ranks, np.random.default_rng(0))
    np.testing.assert_array_equal(data, np.tile(total, (ranks, 1)))
    np.testing.assert_allclose(sent / ranks, collectives.all_reduce_sent_bytes(1.0, ranks))


def torus_link_loads(shape, payload=1.0):
    """Bytes on every link when each chip sends an equal share to each chip, spread over all shortest paths."""
    chips = list(itertools.product(*map(range, shape)))
    share, loads = payload / len(chips), {}

    def links(chip):
        for axis, step in itertools.product(range(len(shape)), (1, -1)):
            to = list(chip)
            to[axis] = (to[axis] + step) % shape[axis]
            yield (chip, axis, step), tuple(to)

    for source in chips:
        distance, ways, order, arrivals = {source: 0}, {source: 1.0}, [], {}
        queue = deque([source])
        while queue:
            chip = queue.popleft()
            order.append(chip)
            for link, to in links(chip):
                if to not in distance:
                    distance[to], ways[to] = distance[chip] + 1, 0.0
                    queue.append(to)
                if distance[to] == distance[chip] + 1:
                    ways[to] += ways[chip]
                    arrivals.setdefault(to, []).append((chip, link))
        passing = dict.fromkeys(chips, share)
        for chip in reversed(order):
            for previous, link in arrivals.get(chip, []):
                part = passing[chip] * ways[previous] / ways[chip]
                loads[link] = loads.get(link, 0.0) + part
                passing[previous] += part
    return loads


@pytest.mark.parametrize("shape", [(2,), (3,), (4,), (5,), (8,), (2, 4), (3, 5), (4, 6), (2, 3, 4), (4, 4, 4)])
def test_the_busiest_link_of_a_torus_sets_the_time_of_an_all_to_all(shape):
    """Enumerating all shortest paths, the busiest link carries what the longest ring's formula says."""
    busiest = max(torus_link_loads(shape).values())
    assert float(collectives.torus_all_to_all_s(1.0, max(shape), 1.0)) == pytest.approx(busiest)


@pytest.mark.parametrize("chips", [4, 8, 16])
def test_on_an_even_ring_an_all_to_all_takes_an_eighth_of_payload_times_length(chips):
    """V * n / (8 * link), the form in which the rule is quoted."""
    assert float(collectives.torus_all_to_all_s(1.0, chips, 1.0)) == chips / 8


def test_a_cube_of_64_chips_is_three_times_slower_than_a_switch():
    """4 x 4 x 4: the busiest link against six links per chip that all lead to one switch."""
    cube, switch = max(torus_link_loads((4, 4, 4)).values()), 1 / 6
    assert cube / switch == pytest.approx(3.0)
    assert float(collectives.torus_over_switch(4, 3)) == pytest.approx(cube / switch)


def test_a_pod_of_4096_chips_is_twelve_times_slower_than_a_switch():
    """16 x 16 x 16: all links are alike, so that each carries the total distance from one chip over six."""
    steps = [min(place, 16 - place) for place in range(16)]
    distances = sum(sum(chip) for chip in itertools.product(steps, repeat=3)) / 16**3
    assert (distances / 6) / (1 / 6) == pytest.approx(12.0)
    assert float(collectives.torus_over_switch(16, 3)) == 12.0


def test_an_all_to_all_on_a_ring_takes_a_quarter_of_an_all_gather():
    """How to Scale Your Model, chapter 3: a ring's all-gather uses both directions of each link."""
    whole, chips, link = 1e9, 16, 4.5e10
    gather = whole / (2 * link)  # the book leaves (n-1)/n out
    assert float(collectives.torus_all_to_all_s(whole / chips, chips, link)) == pytest.approx(gather / 4)


# Published figures: DeepEP's low-latency table and the exchange bound of DeepSeek-V3


@pytest.mark.parametrize(
    ("claim", "dispatch", "combine", "time_s", "printed", "tolerance"),
    [
        ("D02", 1 + 4 / 128, 0, 77e-6, 98e9, 0.01),
        ("D03", 0, 2, 114e-6, 127e9, 0.02),  # times are printed to the microsecond
        ("D04", 1 + 4 / 128, 0, 194e-6, 39e9, 0.01),
    ],
)
def test_bandwidths_of_deepep_follow_from_its_times(claim, dispatch, combine, time_s, printed, tolerance):
    """128 tokens to 8 experts each, 7168 values; printed in whole GB/s."""
    payload = 128 * moe.all_to_all_bytes(8, 7168, dispatch, combine)
    assert collectives.achieved_bandwidth_bytes_per_s(payload, time_s) == pytest.approx(printed, rel=tolerance), claim


def test_exchanges_alone_bound_deepseek_v3():
    """D05 to D07: 120.96 µs and 67 tokens/s over 50 GB/s, 1,200 over 900 GB/s (printed rounded down)."""
    payload = 32 * moe.all_to_all_bytes(9, 7000, 1, 2)
    slow_s, fast_s = (collectives.point_to_point_s(payload, bandwidth) for bandwidth in (50e9, 900e9))
    assert slow_s == pytest.approx(120.96e-6)
    assert collectives.exchange_bound_tokens_per_s(61, 2, slow_s) == pytest.approx(67.764, rel=1e-4)
    assert collectives.exchange_bound_tokens_per_s(61, 2, fast_s) == pytest.approx(1219.8, rel=1e-4)
