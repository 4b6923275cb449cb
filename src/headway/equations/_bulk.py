"""What stays behind when at most so many leave at once: the sums that bulk queues share, as contour integrals.

Sources: N. T. J. Bailey 1954, "On Queueing Processes with Bulk Service", J. R. Stat. Soc. B 16; F. Spitzer 1956, "A
Combinatorial Lemma", Trans. AMS 82.
"""

from __future__ import annotations

import math
from typing import Any

from headway.equations._namespace import arrays, namespace, standard

Array = Any  # a number or an array of any array-API library


def per_slack(xp: Any, numerator: Array, slack: Array) -> Array:
    """The quotient while there is slack; without slack the queue grows for ever."""
    numerator, slack = arrays(xp, numerator, slack)
    stable = slack > 0
    return xp.where(stable, numerator / xp.where(stable, slack, xp.ones_like(slack)), xp.inf)


def left_behind(arrivals: Array, batch_limit: Array) -> tuple[Array, Array]:
    """Mean number that stays when at most `batch_limit` leave, and the chance that nobody stays.

    Per departure X becomes max(X + A - B, 0), A Poisson of mean a. Spitzer's identity gives E[X] as the sum of
    E[max(A_n - n B, 0)] / n over n, A_n Poisson of mean n a, and ln P(X = 0) as that of -P(A_n > n B) / n. As contour
    integrals those sums close: with q(z) = e^(a (z - 1)) / z^B on a circle |z| = r > 1,

        E[X] = -1/(2 pi i) ∮ ln(1 - q) / (z - 1)^2 dz,    ln P(X = 0) = 1/(2 pi i) ∮ ln(1 - q) / (z (z - 1)) dz.

    At r = B/a, the saddle point of q, nothing cancels: a mean of 1e-30 keeps its digits, as it would not in Bailey's
    sum over roots, and B may be an array. The angle is spaced evenly in ln far from 0 and linearly near it, because
    the integrand turns at 1 - a/B and at 1/sqrt(B), which may both be far below 1. The relative error is about
    3e-15 / (1 - a/B), little more than the rounding of a and B itself causes.
    """
    nodes = 192
    xp = namespace(arrivals, batch_limit)
    load = xp.asarray(arrivals / batch_limit)
    growing, some = load >= 1, load > 0
    rho = xp.where(growing | ~some, 0.5 * xp.ones_like(load), load)[..., None]
    limit = (batch_limit * xp.ones_like(load))[..., None]
    scale = xp.where(1 - rho < limit**-0.5, 1 - rho, limit**-0.5) / 2
    reach = 16 - xp.log(scale)

    block = max(1, min(nodes, 2**20 // max(1, math.prod(load.shape))))  # nodes at a time, to bound the memory
    mean, log_none = xp.zeros_like(load), xp.zeros_like(load)
    for first in range(0, nodes, block):
        node = xp.arange(first, min(first + block, nodes), dtype=load.dtype)
        y = reach * node / nodes
        x = scale * xp.sinh(y)
        theta = math.pi * x / xp.sqrt(1 + x * x)
        weight = scale * xp.cosh(y) / (1 + x * x) ** 1.5 * reach / nodes * xp.where(node > 0, xp.ones_like(node), 0.5)
        of_mean, of_none = integrands(xp, rho, limit, theta)
        mean, log_none = mean + xp.sum(of_mean * weight, axis=-1), log_none + xp.sum(of_none * weight, axis=-1)

    mean = xp.where(growing, xp.inf, xp.where(some, mean, xp.zeros_like(mean)))
    none = xp.where(growing, 0.0, xp.where(some, xp.exp(log_none), xp.ones_like(log_none)))
    return mean, none


def integrands(xp: Any, rho: Array, limit: Array, theta: Array) -> tuple[Array, Array]:
    """What `left_behind` integrates, at z = e^(i theta) / rho; ln(1 - q) keeps its digits where |q| nears 0 or 1."""
    slack, sine = 1 - rho, xp.sin(theta / 2)
    log_modulus = limit * (slack + xp.log(rho) - 2 * sine**2)
    modulus = xp.exp(log_modulus)
    argument = limit * (xp.sin(theta) - theta)
    near = modulus > 0.5
    gap = -xp.expm1(log_modulus)  # 1 - |q|
    log_gap = xp.where(near, xp.log(gap), xp.log1p(-xp.where(near, 0.5 * xp.ones_like(modulus), modulus)))
    turn = 2 * modulus * xp.sin(argument / 2) ** 2  # |q| - Re q
    real = log_gap + xp.log1p(2 * turn / gap**2) / 2  # ln(1 - q), its real part ...
    slope = modulus * xp.sin(argument) / (gap + turn)
    imaginary = -standard(xp, "atan", slope)(slope)  # ... and its imaginary part

    across, along = slack * xp.cos(theta / 2), (1 + rho) * sine
    distance = across**2 + along**2
    of_mean = -rho * (real * (across**2 - along**2) + 2 * imaginary * across * along) / distance**2
    of_none = rho * (real * (slack - 2 * sine**2) + imaginary * xp.sin(theta)) / distance
    return of_mean, of_none
