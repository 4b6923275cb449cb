"""The mean of the largest of several counts, exactly, and from a table where there are very many points.

For independent counts P(max < j) is P(X < j)^draws, and the mean of the largest is the sum of 1 - P(max < j).

A table holds one row for each distinct pair of whole-number arguments, over a grid in the logarithm of the third, and
is read by a cubic through the four nearest points: to one part in 10^7, and in 10^4 where the way of summing changes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from headway.equations._namespace import arrays, namespace, standard

Array = Any  # a number or an array of any array-API library
Floats = np.ndarray[Any, Any]

FEW = 4096  # points from which a table is quicker than the sums
_NEVER = 1e-300  # stands for a probability of zero where a logarithm is taken
_POINTS = 2048  # of the grid of a table
_LARGE_MEAN = 64.0  # Poisson counts from which their distribution is expanded about the Gaussian
_TERMS = 192  # counts that a Poisson variable of a mean up to that one reaches, far beyond any double's resolution
_Z = [-9.0 + 0.1 * i for i in range(181)]  # abscissas of the Gaussian integrals
_PDF = [math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * 0.1 for z in _Z]
_LOG_CDF = [math.log(math.erfc(-z / math.sqrt(2)) / 2) for z in _Z]


def of_binomials(trials: int, probability: Array, draws: Array) -> Array:
    """E[max] of `draws` independent Binomial(trials, probability) counts."""
    xp = namespace(probability, draws)
    p, n = (xp.asarray(value)[..., None] * 1.0 for value in arrays(xp, probability, draws))
    below = range(trials)  # P(X < j) for j = 1..trials needs the terms 0..trials-1
    counts = xp.asarray([float(count) for count in below])
    ways = xp.asarray(
        [math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1) for count in below]
    )
    log_hit = xp.log(xp.maximum(p, xp.full_like(p, _NEVER)))
    log_miss = xp.log(xp.maximum(1 - p, xp.full_like(p, _NEVER)))
    terms = xp.exp(ways + counts * log_hit + (trials - counts) * log_miss)
    at_most = standard(xp, "cumulative_sum", terms)(terms, axis=-1)
    return xp.sum(1 - xp.minimum(at_most, xp.ones_like(at_most)) ** n, axis=-1)


def of_poissons(mean: Array, draws: Array) -> Array:
    """E[max] of `draws` independent Poisson counts: the sum for small means, Cornish and Fisher's expansion for others.

    The expansion takes the largest of so many Gaussian variables, z, to mean + s z + (z^2 - 1)/6 + (z - z^3)/(72 s).
    """
    xp = namespace(mean, draws)
    mean, draws = (xp.asarray(value) * 1.0 for value in arrays(xp, mean, draws))
    m, n = (value[..., None] for value in (mean, draws))
    small = xp.minimum(m, xp.full_like(m, _LARGE_MEAN))
    counts = xp.asarray([float(count) for count in range(_TERMS)])
    factorials = xp.asarray([math.lgamma(count + 1) for count in range(_TERMS)])
    log_mean = xp.log(xp.maximum(small, xp.full_like(small, _NEVER)))
    terms = xp.exp(counts * log_mean - small - factorials)
    at_most = standard(xp, "cumulative_sum", terms)(terms, axis=-1)
    summed = xp.sum(1 - xp.minimum(at_most, xp.ones_like(at_most)) ** n, axis=-1)

    z, pdf, log_cdf = (xp.asarray(values) for values in (_Z, _PDF, _LOG_CDF))
    weight = n * pdf * xp.exp((n - 1) * log_cdf)
    first, second, third = (xp.sum(weight * z**power, axis=-1) for power in (1, 2, 3))
    large = xp.maximum(mean, xp.full_like(mean, _LARGE_MEAN))
    spread = xp.sqrt(large)
    expanded = large + spread * first + (second - 1) / 6 + (first - third) / (72 * spread)
    return xp.where(mean < _LARGE_MEAN, summed, expanded)


def tabulated(row: Callable[..., Floats], place: Floats, low: float, high: float, *whole: Any) -> Floats:
    """Read `row(*whole)` at a place between low and high, for arrays of all of them."""
    combinations, index = distinct(*whole)
    rows = np.concatenate([row(*combination) for combination in combinations])
    steps = (np.clip(place, low, high) - low) * ((_POINTS - 1) / (high - low))
    first = np.clip(steps.astype(np.int64), 1, _POINTS - 3)
    x = steps - first
    at = index * _POINTS + first
    a, b, c, d = rows[at - 1], rows[at], rows[at + 1], rows[at + 2]
    lower, upper = x * (x - 1), (x + 1) * (x - 2)
    found: Floats = (upper * ((x - 1) * b - x * c) + lower * ((x + 1) * d - (x - 2) * a) / 3) / 2
    return found


def grid(low: float, high: float) -> Floats:
    """The places of a table's points."""
    return np.linspace(low, high, _POINTS)


def distinct(*values: Any) -> tuple[list[tuple[float, ...]], Any]:
    """The combinations that occur in arrays which broadcast with each other, and which of them is where."""
    index: Any = 0
    seen: list[tuple[float, ...]] = [()]
    for value in values:
        levels, place = _levels(np.asarray(value, dtype=float))
        index = index * len(levels) + place
        seen = [(*before, level) for before in seen for level in levels]
        if len(seen) > 1:
            occurring, index = _levels(np.asarray(index, dtype=float))
            seen = [seen[int(i)] for i in occurring]
    return seen, index


def _levels(values: Floats) -> tuple[list[float], Any]:
    """The values that occur, in order, and the position of each element among them."""
    if values.ndim == 0:
        return [float(values)], 0
    numbers = values.astype(np.int64)
    if values.size > FEW and numbers.min() >= 0 and numbers.max() < values.size and np.all(numbers == values):
        occurs = np.zeros(int(numbers.max()) + 1, dtype=bool)
        occurs[numbers] = True
        return np.flatnonzero(occurs).astype(float).tolist(), (np.cumsum(occurs) - 1)[numbers]
    found, index = np.unique(values, return_inverse=True)
    return found.tolist(), index.reshape(values.shape)


@functools.lru_cache(maxsize=1024)
def share_row(experts: float, ranks: float) -> Floats:
    """Busiest rank's share over the mean share, along the logarithm of -ln(1 - hit probability)."""
    hit = -np.expm1(-np.exp(grid(*SHARE_RANGE)))
    return np.asarray(of_binomials(int(experts), hit, ranks) / experts / hit)


@functools.lru_cache(maxsize=1024)
def load_row(bins: float) -> Floats:
    """Busiest bin's load over the mean load, along the logarithm of the mean load."""
    mean = np.exp(grid(*LOAD_RANGE))
    return np.asarray(of_poissons(mean, bins) / mean)


SHARE_RANGE = (math.log(1e-9), math.log(50.0))
LOAD_RANGE = (math.log(1e-3), math.log(1e9))


def busiest_shares(hit: Array, experts: Array, ranks: Array) -> Floats:
    """Share of its experts that the busiest rank reads, for very many points."""
    hit = np.asarray(hit, dtype=float)
    with np.errstate(divide="ignore"):
        place = np.log(-np.log1p(-hit))
    shares: Floats = tabulated(share_row, place, *SHARE_RANGE, experts, ranks) * hit
    return shares


def busiest_loads(bins: Array, load: Array) -> Floats:
    """Busiest bin's load over the mean load, for very many points."""
    return tabulated(load_row, np.log(load), *LOAD_RANGE, bins)


def by_count(function: Callable[..., Any], counts: Array, *others: Array) -> Floats:
    """Apply a function that takes one whole number at a time to an array of them."""
    each, *rest = np.broadcast_arrays(np.asarray(counts), *others)
    result = np.empty(each.shape)
    for count in np.unique(each):
        here = each == count
        result[here] = function(int(count), *(other[here] for other in rest))
    return result
