"""Experts with uneven loads, copied and dealt to ranks: DeepSeek's balancer, github.com/deepseek-ai/EPLB.

Its global policy, read there: the expert with the heaviest load per copy gets the next copy; then copies go, heaviest
first, to the lightest rank that has a place left.
"""

from __future__ import annotations

import functools
import heapq
import math

_MOST_COPIES = 512  # redundant experts that are tried; more would be of no use that anyone could measure
_MOST_WORK = 300_000  # experts times redundant experts


@functools.lru_cache(maxsize=4096)
def busiest_over_mean(n_experts: int, skew: float, redundant: int, n_ranks: int) -> float:
    """Load of the busiest rank over the mean; copies that would not help are left out."""
    loads = power_law(n_experts, skew)
    most = min(redundant, _MOST_COPIES, max(1, _MOST_WORK // n_experts))
    return min(_packed(loads, count, n_ranks) for count in range(most + 1)) * n_ranks / math.fsum(loads)


def power_law(n_experts: int, skew: float) -> tuple[float, ...]:
    """Loads 1, 2^-a, 3^-a, ... of which the first is `skew` times the mean, or all there is."""
    low, high = 0.0, 64.0
    for _ in range(80):
        middle = (low + high) / 2
        mean = math.fsum(i**-middle for i in range(1, n_experts + 1)) / n_experts
        low, high = (middle, high) if 1 / mean < skew else (low, middle)
    return tuple(i**-low for i in range(1, n_experts + 1))


def _packed(loads: tuple[float, ...], redundant: int, n_ranks: int) -> float:
    """Load of the busiest rank with so many copies beside the experts themselves."""
    places = -(-(len(loads) + redundant) // n_ranks)
    ranks = [(0.0, rank) for rank in range(n_ranks)]
    held, busiest = [0] * n_ranks, 0.0
    for load in sorted(_copied(loads, redundant), reverse=True):
        total, rank = heapq.heappop(ranks)
        held[rank] += 1
        busiest = max(busiest, total + load)
        if held[rank] < places:
            heapq.heappush(ranks, (total + load, rank))
    return busiest


def _copied(loads: tuple[float, ...], redundant: int) -> list[float]:
    """Load of every copy."""
    heaviest = [(-load, 1, load) for load in loads]
    heapq.heapify(heaviest)
    for _ in range(redundant):
        _, copies, load = heaviest[0]
        heapq.heapreplace(heaviest, (-load / (copies + 1), copies + 1, load))
    return [load / copies for _, copies, load in heaviest for _ in range(copies)]
