"""Collectives over chips that are joined by two kinds of link: fast ones in a domain, slow ones between domains.

A group has `inside` ranks in each of the `outside` scale-up domains that it spans. Inside a domain the links are fast;
from domain to domain every chip has a slow link of its own, its rail. With one domain each equation is that of
`headway.equations.collectives` on the fast links, with one rank in each domain that on the slow ones. What the fast
links can do is told by `headway.equations.fabrics` where they do not lead to a switch.

On a switch a rank reaches any other in one message, and sends no byte that a ring would not send as well: a ring is
never cheaper there. Where links join neighbours only, rings it is, and every hop is a message.

The sources: R. Thakur, R. Rabenseifner, W. Gropp 2005, "Optimization of Collective Communication Operations in MPICH";
J. Austin et al. 2025, "How to Scale Your Model", chapter 12 for domains of GPUs; DeepSeek-V3, arXiv 2412.19437, §3.2.2,
for sends without duplicates; R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times).
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace
from headway.equations.collectives import (
    all_gather_s,
    all_reduce_s,
    all_to_all_sent_bytes,
    point_to_point_s,
    reduce_scatter_s,
)

Array = Any  # a number or an array of any array-API library


def direct_messages(n_ranks: Array, rounds: Array) -> Array:
    """Messages one after another where every pair is joined: one a round, none for a rank alone. [1]

        messages = where(n_ranks > 1, rounds, 0)

    n_ranks: ranks that take part [ranks]
    rounds: 2 for an all-reduce (reduce-scatter, all-gather), 1 for the other collectives [1]

    Source: Thakur et al. 2005; an all-reduce in two shots, as TensorRT-LLM's customAllReduceUtils.h names it. One shot,
    which engines use for the smallest buffers, saves a message and sends n_ranks / 2 times the bytes.

    >>> float(direct_messages(8, 2)), float(direct_messages(1, 2))
    (2.0, 0.0)
    """
    xp = namespace(n_ranks, rounds)
    ranks, rounds = arrays(xp, n_ranks, rounds)
    return xp.where(ranks > 1, rounds, xp.zeros_like(rounds))


def ring_messages(hops: Array, rounds: Array) -> Array:
    """Messages one after another where links join neighbours only: each round passes all the hops. [1]

        messages = rounds * hops

    hops: hops of a round, `fabrics.torus_hops` [1]
    rounds: 2 for an all-reduce (reduce-scatter, all-gather), 1 for the other collectives [1]

    Source: Thakur et al. 2005.

    >>> ring_messages(6, 2)
    12
    """
    return rounds * hops


def two_level_all_reduce_s(
    payload_bytes: Array,
    inside: Array,
    outside: Array,
    fast_bytes_per_s: Array,
    slow_bytes_per_s: Array,
    fast_latency_s: Array = 0.0,
    slow_latency_s: Array = 0.0,
    fast_messages: Array = 2.0,
    slow_messages: Array = 2.0,
) -> Array:
    """Time of an all-reduce: reduce-scatter inside, all-reduce of what is left on every rail, all-gather inside. [s]

        fast = 2 * (inside - 1) / inside * payload_bytes / fast_bytes_per_s + fast_messages * fast_latency_s
        slow = 2 * (outside - 1) / outside * payload_bytes / inside / slow_bytes_per_s + slow_messages * slow_latency_s
        t = fast + slow

    payload_bytes: the buffer that is summed [B]
    inside: ranks of the group in one domain [ranks]
    outside: domains that the group spans [1]
    fast_bytes_per_s: links inside a domain, per rank and one way [B/s]
    slow_bytes_per_s: link from domain to domain, per rank and one way [B/s]
    fast_latency_s: time of an empty message inside a domain [s]
    slow_latency_s: time of an empty message between domains [s]
    fast_messages: messages one after another inside [1]
    slow_messages: messages one after another between domains [1]

    Source: Thakur et al. 2005 on each kind of link; the phases of Austin et al. 2025, chapter 12.
    Valid: phases one after another; a buffer cut into pieces lets large ones overlap, at best to the longer kind. No
    arithmetic in the network.

    >>> round(two_level_all_reduce_s(1e6, 8, 2, 450e9, 50e9, 1.6e-6, 9.5e-6) * 1e6, 2)
    28.59
    """
    fast_s = all_reduce_s(payload_bytes, inside, fast_bytes_per_s, fast_latency_s, fast_messages)
    return fast_s + all_reduce_s(payload_bytes / inside, outside, slow_bytes_per_s, slow_latency_s, slow_messages)


def two_level_all_gather_s(
    payload_bytes: Array,
    inside: Array,
    outside: Array,
    fast_bytes_per_s: Array,
    slow_bytes_per_s: Array,
    fast_latency_s: Array = 0.0,
    slow_latency_s: Array = 0.0,
    fast_messages: Array = 1.0,
    slow_messages: Array = 1.0,
) -> Array:
    """Time of an all-gather: every rail gathers its share between domains, then the ranks of each domain. [s]

        fast = (inside - 1) / inside * payload_bytes / fast_bytes_per_s + fast_messages * fast_latency_s
        slow = (outside - 1) / outside * payload_bytes / inside / slow_bytes_per_s + slow_messages * slow_latency_s
        t = fast + slow

    payload_bytes: the gathered result [B]
    inside: ranks of the group in one domain [ranks]
    outside: domains that the group spans [1]
    fast_bytes_per_s: links inside a domain, per rank and one way [B/s]
    slow_bytes_per_s: link from domain to domain, per rank and one way [B/s]
    fast_latency_s: time of an empty message inside a domain [s]
    slow_latency_s: time of an empty message between domains [s]
    fast_messages: messages one after another inside [1]
    slow_messages: messages one after another between domains [1]

    Source: Thakur et al. 2005 on each kind of link; the phases of Austin et al. 2025, chapter 12.
    Valid: phases one after another.

    >>> round(two_level_all_gather_s(1e6, 8, 2, 450e9, 50e9) * 1e6, 2)
    3.19
    """
    fast_s = all_gather_s(payload_bytes, inside, fast_bytes_per_s, fast_latency_s, fast_messages)
    return fast_s + all_gather_s(payload_bytes / inside, outside, slow_bytes_per_s, slow_latency_s, slow_messages)


def two_level_reduce_scatter_s(
    payload_bytes: Array,
    inside: Array,
    outside: Array,
    fast_bytes_per_s: Array,
    slow_bytes_per_s: Array,
    fast_latency_s: Array = 0.0,
    slow_latency_s: Array = 0.0,
    fast_messages: Array = 1.0,
    slow_messages: Array = 1.0,
) -> Array:
    """Time of a reduce-scatter: the ranks of each domain sum up, then every rail sums its share between domains. [s]

        fast = (inside - 1) / inside * payload_bytes / fast_bytes_per_s + fast_messages * fast_latency_s
        slow = (outside - 1) / outside * payload_bytes / inside / slow_bytes_per_s + slow_messages * slow_latency_s
        t = fast + slow

    payload_bytes: the buffer that is summed [B]
    inside: ranks of the group in one domain [ranks]
    outside: domains that the group spans [1]
    fast_bytes_per_s: links inside a domain, per rank and one way [B/s]
    slow_bytes_per_s: link from domain to domain, per rank and one way [B/s]
    fast_latency_s: time of an empty message inside a domain [s]
    slow_latency_s: time of an empty message between domains [s]
    fast_messages: messages one after another inside [1]
    slow_messages: messages one after another between domains [1]

    Source: Thakur et al. 2005 on each kind of link; the phases of Austin et al. 2025, chapter 12.
    Valid: phases one after another.

    >>> round(two_level_reduce_scatter_s(1e6, 8, 2, 450e9, 50e9) * 1e6, 2)
    3.19
    """
    fast_s = reduce_scatter_s(payload_bytes, inside, fast_bytes_per_s, fast_latency_s, fast_messages)
    return fast_s + reduce_scatter_s(payload_bytes / inside, outside, slow_bytes_per_s, slow_latency_s, slow_messages)


def two_level_all_to_all_s(
    payload_bytes: Array,
    inside: Array,
    outside: Array,
    fast_bytes_per_s: Array,
    slow_bytes_per_s: Array,
    fast_latency_s: Array = 0.0,
    slow_latency_s: Array = 0.0,
    fast_messages: Array = 1.0,
    slow_messages: Array = 1.0,
) -> Array:
    """Time of an all-to-all, every share sent alone: both kinds of link at work at once. [s]

        fast = (inside - 1) / (inside * outside) * payload_bytes / fast_bytes_per_s + fast_messages * fast_latency_s
        slow = (outside - 1) / outside * payload_bytes / slow_bytes_per_s + slow_messages * slow_latency_s
        t = max(fast, slow)

    payload_bytes: what one rank holds for all ranks, itself included [B]
    inside: ranks of the group in one domain [ranks]
    outside: domains that the group spans [1]
    fast_bytes_per_s: links inside a domain, per rank and one way [B/s]
    slow_bytes_per_s: link from domain to domain, per rank and one way [B/s]
    fast_latency_s: time of an empty message inside a domain [s]
    slow_latency_s: time of an empty message between domains [s]
    fast_messages: messages one after another inside [1]
    slow_messages: messages one after another between domains [1]

    Source: lecture 00:32:09 (`parallelism.racks_slowdown_every_copy`); Thakur et al. 2005.
    Valid: equal shares; with uneven ones the busiest rank decides.

    >>> round(float(two_level_all_to_all_s(1e6, 8, 2, 450e9, 50e9)) * 1e6, 2)
    10.0
    """
    fast_s = all_to_all_sent_bytes(payload_bytes / outside, inside) / fast_bytes_per_s + fast_messages * fast_latency_s
    slow_s = all_to_all_sent_bytes(payload_bytes, outside) / slow_bytes_per_s + slow_messages * slow_latency_s
    return side_by_side_s(fast_s, slow_s)


def forwarded_all_to_all_s(
    payload_bytes: Array,
    crossing_bytes: Array,
    inside: Array,
    outside: Array,
    fast_bytes_per_s: Array,
    slow_bytes_per_s: Array,
    fast_latency_s: Array = 0.0,
    slow_latency_s: Array = 0.0,
    fast_messages: Array = 1.0,
    slow_messages: Array = 1.0,
) -> Array:
    """Time of an all-to-all that sends one copy to each remote domain on its rail, where it is dealt out again. [s]

        fast = (inside - 1) / inside * payload_bytes / fast_bytes_per_s
        slow = (outside - 1) / outside * crossing_bytes / slow_bytes_per_s
        t = max(fast, slow) + fast_messages * fast_latency_s + slow_messages * slow_latency_s

    payload_bytes: what one rank holds for all ranks, every copy counted, itself included [B]
    crossing_bytes: the same with one copy for each domain that needs it, the own one included [B]
    inside: ranks of the group in one domain [ranks]
    outside: domains that the group spans [1]
    fast_bytes_per_s: links inside a domain, per rank and one way [B/s]
    slow_bytes_per_s: link from domain to domain, per rank and one way [B/s]
    fast_latency_s: time of an empty message inside a domain [s]
    slow_latency_s: time of an empty message between domains [s]
    fast_messages: messages one after another inside [1]
    slow_messages: messages one after another between domains [1]

    Source: derived here from the dispatch of arXiv 2412.19437 §3.2.2: the fast links deliver every copy, also those
    that came from elsewhere, unless they land where they are wanted. A combine sends the same bytes the other way.
    Valid: both kinds of link at work at once, as DeepSeek's kernels overlap them; a copy waits for both latencies.

    >>> round(float(forwarded_all_to_all_s(8e6, 2e6, 8, 2, 450e9, 50e9)) * 1e6, 2)
    20.0
    """
    fast_s = all_to_all_sent_bytes(payload_bytes, inside) / fast_bytes_per_s
    slow_s = all_to_all_sent_bytes(crossing_bytes, outside) / slow_bytes_per_s
    return forwarded_s(fast_s, slow_s, fast_messages * fast_latency_s, slow_messages * slow_latency_s)


def side_by_side_s(fast_s: Array, slow_s: Array) -> Array:
    """Time of an exchange whose fast and slow links work at once. [s]

        t = max(fast_s, slow_s)

    fast_s: time of the links inside a domain [s]
    slow_s: time of the links between domains [s]

    Source: lecture 00:32:09.

    >>> float(side_by_side_s(3e-6, 5e-6))
    5e-06
    """
    xp = namespace(fast_s, slow_s)
    return xp.maximum(*arrays(xp, fast_s, slow_s))


def forwarded_s(fast_s: Array, slow_s: Array, fast_wait_s: Array, slow_wait_s: Array) -> Array:
    """Time of an exchange that is forwarded: fast and slow links work at once, a copy waits for both latencies. [s]

        t = max(fast_s, slow_s) + fast_wait_s + slow_wait_s

    fast_s: time in which the links inside a domain move the bytes [s]
    slow_s: time in which the links between domains move the bytes [s]
    fast_wait_s: latencies inside a domain [s]
    slow_wait_s: latencies between domains [s]

    Source: derived here from arXiv 2412.19437 §3.2.2.

    >>> round(float(forwarded_s(3e-6, 5e-6, 1e-6, 2e-6)) * 1e6, 3)
    8.0
    """
    xp = namespace(fast_s, slow_s, fast_wait_s, slow_wait_s)
    return xp.maximum(*arrays(xp, fast_s, slow_s)) + fast_wait_s + slow_wait_s


def forwarded_sent_bytes(payload_bytes: Array, crossing_bytes: Array, inside: Array, outside: Array) -> Array:
    """Bytes that each rank sends on either kind of link when copies are forwarded inside the domain they came to. [B]

        bytes = (inside - 1) / inside * payload_bytes + (outside - 1) / outside * crossing_bytes

    payload_bytes: what one rank holds for all ranks, every copy counted, itself included [B]
    crossing_bytes: the same with one copy for each domain that needs it, the own one included [B]
    inside: ranks of the group in one domain [ranks]
    outside: domains that the group spans [1]

    Source: derived here from arXiv 2412.19437 §3.2.2.

    >>> forwarded_sent_bytes(8e6, 2e6, 8, 2)
    8000000.0
    """
    return all_to_all_sent_bytes(payload_bytes, inside) + all_to_all_sent_bytes(crossing_bytes, outside)


def two_level_point_to_point_s(
    payload_bytes: Array,
    inside: Array,
    outside: Array,
    fast_bytes_per_s: Array,
    slow_bytes_per_s: Array,
    fast_latency_s: Array = 0.0,
    slow_latency_s: Array = 0.0,
) -> Array:
    """Mean time of a passage from rank to rank, around all ranks of the group: one in `inside` changes domain. [s]

        crossing = where(outside > 1, 1 / inside, 0)
        fast = payload_bytes / fast_bytes_per_s + fast_latency_s
        slow = payload_bytes / slow_bytes_per_s + slow_latency_s
        t = (1 - crossing) * fast + crossing * slow

    payload_bytes: bytes sent [B]
    inside: ranks of the group in one domain [ranks]
    outside: domains that the group spans [1]
    fast_bytes_per_s: link between two ranks of a domain, one way [B/s]
    slow_bytes_per_s: link from domain to domain, per rank and one way [B/s]
    fast_latency_s: time of an empty message inside a domain [s]
    slow_latency_s: time of an empty message between domains [s]

    Source: Hockney 1994 on each kind of link; the passage from the last rank back to the first counts, as in decoding.

    >>> round(float(two_level_point_to_point_s(1e6, 4, 2, 450e9, 50e9)) * 1e6, 2)
    6.67
    """
    xp = namespace(payload_bytes, inside, outside, fast_bytes_per_s, slow_bytes_per_s, fast_latency_s, slow_latency_s)
    ranks, domains = arrays(xp, inside, outside)
    crossing = xp.where(domains > 1, 1 / ranks, xp.zeros_like(1 / ranks))
    fast_s = point_to_point_s(payload_bytes, fast_bytes_per_s, fast_latency_s)
    slow_s = point_to_point_s(payload_bytes, slow_bytes_per_s, slow_latency_s)
    return (1 - crossing) * fast_s + crossing * slow_s


def share_of_domain_bytes(payload_bytes: Array, outside: Array) -> Array:
    """What one rank holds for the ranks of one domain. [B]

        bytes = payload_bytes / outside

    payload_bytes: what it holds for all ranks [B]
    outside: domains that the ranks lie in [1]

    Source: definition.

    >>> share_of_domain_bytes(8e6, 2)
    4000000.0
    """
    return payload_bytes / outside


def repeated_s(once_s: Array, times: Array) -> Array:
    """Time of the same thing done several times, one after another. [s]

        t = times * once_s

    once_s: time of one [s]
    times: how many [1]

    Source: definition.

    >>> repeated_s(0.25, 160)
    40.0
    """
    return times * once_s


def repeated_bytes(once_bytes: Array, times: Array) -> Array:
    """Bytes of the same thing done several times. [B]

        bytes = times * once_bytes

    once_bytes: bytes of one [B]
    times: how many [1]

    Source: definition.

    >>> repeated_bytes(1e6, 160)
    160000000.0
    """
    return times * once_bytes


def repeated_count(once: Array, times: Array) -> Array:
    """Messages of the same thing done several times. [1]

        messages = times * once

    once: messages of one [1]
    times: how many [1]

    Source: definition.

    >>> repeated_count(1, 4)
    4
    """
    return times * once


def repeated_messages(fast_messages: Array, slow_messages: Array, times: Array) -> Array:
    """Messages one after another, on either kind of link, of the same thing done several times. [1]

        messages = times * (fast_messages + slow_messages)

    fast_messages: messages of one inside a domain [1]
    slow_messages: messages of one between domains [1]
    times: how many [1]

    Source: definition.

    >>> repeated_messages(2, 2, 160)
    640
    """
    return times * (fast_messages + slow_messages)
