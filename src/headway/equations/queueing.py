"""Waiting for the next batch: timetables, single queues, bulk service and continuous batching.

Arrivals are Poisson unless a function says otherwise, and served in the order they come. A wait ends when service
begins; a latency ends with it. A queue that is given more than it can serve has no mean wait: the result is infinity.

The sources: N. T. J. Bailey 1954, "On Queueing Processes with Bulk Service", J. R. Stat. Soc. B 16; F. Downton 1955,
"Waiting Time in Bulk Service Queues", J. R. Stat. Soc. B 17; M. Chaudhry and J. Templeton 1983, "A First Course in
Bulk Queues"; F. Spitzer 1956, "A Combinatorial Lemma", Trans. AMS 82; L. Kleinrock 1975 and 1976, "Queueing Systems"
I and II; F. P. Kelly 1979, "Reversibility and Stochastic Networks"; Y. Zhong et al. 2024, DistServe, arXiv 2401.09670;
R. Pope with D. Patel, blackboard lecture of 2026-04-29.
"""

from __future__ import annotations

import math
from typing import Any

from headway.equations._namespace import arrays, namespace, standard

Array = Any  # a number or an array of any array-API library


def _per_slack(xp: Any, numerator: Array, slack: Array) -> Array:
    """The quotient while there is slack; without slack the queue grows for ever."""
    numerator, slack = arrays(xp, numerator, slack)
    stable = slack > 0
    return xp.where(stable, numerator / xp.where(stable, slack, xp.ones_like(slack)), xp.inf)


def _left_behind(arrivals: Array, batch_limit: Array) -> tuple[Array, Array]:
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
        of_mean, of_none = _integrands(xp, rho, limit, theta)
        mean, log_none = mean + xp.sum(of_mean * weight, axis=-1), log_none + xp.sum(of_none * weight, axis=-1)

    mean = xp.where(growing, xp.inf, xp.where(some, mean, xp.zeros_like(mean)))
    none = xp.where(growing, 0.0, xp.where(some, xp.exp(log_none), xp.ones_like(log_none)))
    return mean, none


def _integrands(xp: Any, rho: Array, limit: Array, theta: Array) -> tuple[Array, Array]:
    """What `_left_behind` integrates, at z = e^(i theta) / rho; ln(1 - q) keeps its digits where |q| nears 0 or 1."""
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


# Timetable: a batch leaves every beat, full or not.


def timetable_wait_s(beat_s: Array) -> Array:
    """Mean wait for the next departure when every departure has room. [s]

        t = beat_s / 2

    beat_s: interval between departures [s]

    Source: lecture 00:00:00; the wait of a random arrival is uniform over the beat.
    Valid: far below capacity; `timetable_limited_wait_s` has the limit.

    >>> timetable_wait_s(0.020)
    0.01
    """
    return beat_s / 2


def timetable_worst_wait_s(beat_s: Array) -> Array:
    """Wait of a request that has just missed a departure, when the next has room. [s]

        t = beat_s

    beat_s: interval between departures [s]

    Source: lecture 00:00:00; `roofline.worst_latency_s` adds the ride.
    Valid: far below capacity.

    >>> timetable_worst_wait_s(0.020)
    0.02
    """
    return beat_s


def timetable_capacity_per_s(batch_limit: Array, beat_s: Array) -> Array:
    """Requests that full departures carry in a second. [requests/s]

        rate = batch_limit / beat_s

    batch_limit: most requests of one departure [requests]
    beat_s: interval between departures [s]

    Source: lecture 00:00:00.

    >>> timetable_capacity_per_s(2000, 0.020)
    100000.0
    """
    return batch_limit / beat_s


def timetable_left_behind(arrivals_per_s: Array, beat_s: Array, batch_limit: Array) -> Array:
    """Mean number of requests that a departure leaves behind for want of room. [requests]

        a = arrivals_per_s * beat_s
        z_k = the batch_limit - 1 roots of z**batch_limit = exp(a * (z - 1)) inside the unit circle
        left = sum_k 1 / (1 - z_k) - (batch_limit * (batch_limit - 1) - a**2) / (2 * (batch_limit - a))

    arrivals_per_s: mean arrival rate [requests/s]
    beat_s: interval between departures [s]
    batch_limit: most requests of one departure, a whole number [requests]

    Source: Bailey 1954; Downton 1955; computed as an integral after Spitzer 1956.
    Valid: infinite at or above capacity.

    >>> round(float(timetable_left_behind(1400, 0.020, 32)), 4)
    1.3805
    """
    return _left_behind(arrivals_per_s * beat_s, batch_limit)[0]


def timetable_limited_wait_s(arrivals_per_s: Array, beat_s: Array, batch_limit: Array) -> Array:
    """Mean wait when a departure takes a limited number: half a beat, and a beat each time one is left behind. [s]

        t = beat_s / 2 + timetable_left_behind / arrivals_per_s

    arrivals_per_s: mean arrival rate [requests/s]
    beat_s: interval between departures [s]
    batch_limit: most requests of one departure, a whole number [requests]

    Source: Bailey 1954; Downton 1955; Chaudhry and Templeton 1983.
    Valid: infinite at or above capacity.

    >>> [round(float(timetable_limited_wait_s(a / 0.020, 0.020, b)) * 1e3, 4) for a, b in [(28, 32), (3.2, 4)]]
    [10.9861, 17.7219]
    """
    return beat_s / 2 + timetable_left_behind(arrivals_per_s, beat_s, batch_limit) / arrivals_per_s


def timetable_lower_wait_s(
    upper_arrivals_per_s: Array, lower_arrivals_per_s: Array, beat_s: Array, batch_limit: Array
) -> Array:
    """Mean wait of a lower class that rides only in the seats that an upper class leaves empty. [s]

        left(rate) = timetable_left_behind(rate, beat_s, batch_limit)
        total = upper_arrivals_per_s + lower_arrivals_per_s
        t = beat_s / 2 + (left(total) - left(upper_arrivals_per_s)) / lower_arrivals_per_s

    upper_arrivals_per_s: mean arrival rate of the upper class [requests/s]
    lower_arrivals_per_s: mean arrival rate of the lower class [requests/s]
    beat_s: interval between departures [s]
    batch_limit: most requests of one departure, a whole number [requests]

    Source: derived here: the upper class waits as if alone, and who boards first does not change how many stay.
    Valid: infinite at or above capacity of both together.

    >>> round(float(timetable_lower_wait_s(700, 700, 0.020, 32)) * 1e3, 3)
    11.972
    """
    xp = namespace(upper_arrivals_per_s, lower_arrivals_per_s, beat_s, batch_limit)
    (upper_per_s,) = arrays(xp, upper_arrivals_per_s)
    both = timetable_left_behind(upper_per_s + lower_arrivals_per_s, beat_s, batch_limit)
    upper = timetable_left_behind(upper_per_s, beat_s, batch_limit)
    upper = xp.where(xp.isfinite(both), upper, xp.zeros_like(upper))
    return beat_s / 2 + (both - upper) / lower_arrivals_per_s


def overload_backlog(elapsed_s: Array, arrivals_per_s: Array, beat_s: Array, batch_limit: Array) -> Array:
    """Requests that have piled up some time after arrivals began to outrun the departures. [requests]

        n = max(arrivals_per_s * beat_s - batch_limit, 0) * elapsed_s / beat_s

    elapsed_s: time since the overload began [s]
    arrivals_per_s: mean arrival rate [requests/s]
    beat_s: interval between departures [s]
    batch_limit: most requests of one departure [requests]

    Source: Kleinrock 1976 ch. 2, the fluid approximation.
    Valid: the mean trend; the queue of a system within its capacity is left out.

    >>> float(overload_backlog(60, 2000, 0.020, 32))
    24000.0
    """
    xp = namespace(elapsed_s, arrivals_per_s, beat_s, batch_limit)
    return xp.maximum(*arrays(xp, arrivals_per_s * beat_s - batch_limit, 0.0)) * elapsed_s / beat_s


def overload_wait_s(nth: Array, arrivals_per_s: Array, beat_s: Array, batch_limit: Array) -> Array:
    """Wait of the n-th request since arrivals began to outrun the departures. [s]

        t = nth / arrivals_per_s * max(arrivals_per_s * beat_s / batch_limit - 1, 0)

    nth: requests that arrived since the overload began [requests]
    arrivals_per_s: mean arrival rate [requests/s]
    beat_s: interval between departures [s]
    batch_limit: most requests of one departure [requests]

    Source: Kleinrock 1976 ch. 2, the fluid approximation.
    Valid: the mean trend; the wait of a system within its capacity is left out.

    >>> round(float(overload_wait_s(120_000, 2000, 0.020, 32)), 9)
    15.0
    """
    xp = namespace(nth, arrivals_per_s, beat_s, batch_limit)
    return nth / arrivals_per_s * xp.maximum(*arrays(xp, arrivals_per_s * beat_s / batch_limit - 1, 0.0))


# Queues that hold for any service, and single servers.


def in_flight(arrivals_per_s: Array, latency_s: Array) -> Array:
    """Little's law: the mean number in a system is its arrival rate times the mean time spent in it. [requests]

        n = arrivals_per_s * latency_s

    arrivals_per_s: mean rate of those that enter and leave [requests/s]
    latency_s: mean time in the system [s]

    Source: J. D. C. Little 1961, Operations Research 9, L = λW.
    Valid: any stable system, any order of service, any arrivals.

    >>> in_flight(100, 20.0)
    2000.0
    """
    return arrivals_per_s * latency_s


def utilisation(arrivals_per_s: Array, service_s: Array, servers: Array = 1.0) -> Array:
    """Share of their time that servers would need to be busy; at 1 or more they cannot keep up. [1]

        u = arrivals_per_s * service_s / servers

    arrivals_per_s: mean arrival rate [requests/s]
    service_s: mean service time [s]
    servers: identical servers [1]

    Source: Kleinrock 1975 ch. 2, ρ = λ x̄ / m.

    >>> utilisation(40, 0.020)
    0.8
    """
    return arrivals_per_s * service_s / servers


def md1_wait_s(utilisation: Array, service_s: Array) -> Array:
    """Mean wait for one server whose service always takes the same time (M/D/1). [s]

        t = where(utilisation < 1, utilisation * service_s / (2 * (1 - utilisation)), inf)

    utilisation: share of time that the server is busy [1]
    service_s: service time [s]

    Source: Kleinrock 1975 ch. 5.

    >>> round(float(md1_wait_s(0.9, 0.020)), 9)
    0.09
    """
    xp = namespace(utilisation, service_s)
    return _per_slack(xp, utilisation * service_s, 2 * (1 - utilisation))


def mm1_wait_s(utilisation: Array, service_s: Array) -> Array:
    """Mean wait for one server with exponential service times (M/M/1): twice that of constant ones. [s]

        t = where(utilisation < 1, utilisation * service_s / (1 - utilisation), inf)

    utilisation: share of time that the server is busy [1]
    service_s: mean service time [s]

    Source: Kleinrock 1975 ch. 3, ρ / (μ - λ).

    >>> round(float(mm1_wait_s(0.9, 0.020)), 9)
    0.18
    """
    xp = namespace(utilisation, service_s)
    return _per_slack(xp, utilisation * service_s, 1 - utilisation)


def residual_s(arrivals_per_s: Array, service_s: Array, service_scv: Array) -> Array:
    """Mean time that an arrival finds still to go of the service under way, an idle server counting as nothing. [s]

        t = arrivals_per_s * service_s**2 * (1 + service_scv) / 2

    arrivals_per_s: mean arrival rate [requests/s]
    service_s: mean service time [s]
    service_scv: variance of the service time over its mean squared [1]

    Source: Kleinrock 1975 ch. 5, λ E[S²] / 2.
    Valid: utilisation below 1.

    >>> round(residual_s(45, 0.020, 1.0), 9)
    0.018
    """
    return arrivals_per_s * service_s**2 * (1 + service_scv) / 2


def mg1_wait_s(arrivals_per_s: Array, service_s: Array, service_scv: Array) -> Array:
    """Mean wait for one server with any service times (M/G/1), by Pollaczek and Khinchine. [s]

        u = arrivals_per_s * service_s
        t = where(u < 1, arrivals_per_s * service_s**2 * (1 + service_scv) / (2 * (1 - u)), inf)

    arrivals_per_s: mean arrival rate [requests/s]
    service_s: mean service time [s]
    service_scv: variance of the service time over its mean squared; 0 is M/D/1 and 1 is M/M/1 [1]

    Source: Kleinrock 1975 ch. 5, λ E[S²] / (2 (1 - ρ)).

    >>> round(float(mg1_wait_s(45, 0.020, 0.0)), 9), round(float(mg1_wait_s(45, 0.020, 1.0)), 9)
    (0.09, 0.18)
    """
    xp = namespace(arrivals_per_s, service_s, service_scv)
    residual = residual_s(arrivals_per_s, service_s, service_scv)
    return _per_slack(xp, residual, 1 - arrivals_per_s * service_s)


def priority_wait_s(residual_s: Array, load_above: Array, load_own: Array) -> Array:
    """Mean wait of one priority class; a service that has begun is finished. [s]

        left = 1 - load_above - load_own
        t = where(left > 0, residual_s / ((1 - load_above) * left), inf)

    residual_s: mean time still to go of the service under way, of any class [s]
    load_above: utilisation by all classes served before this one [1]
    load_own: utilisation by this class [1]

    Source: A. Cobham 1954, Operations Research 2; Kleinrock 1976 ch. 3, R / ((1 - σ_(k-1)) (1 - σ_k)).

    >>> round(float(priority_wait_s(0.018, 0.4, 0.5)), 9)
    0.3
    """
    xp = namespace(residual_s, load_above, load_own)
    residual, above, own = arrays(xp, residual_s, load_above, load_own)
    left = 1 - above - own
    return _per_slack(xp, residual, xp.where(left > 0, (1 - above) * left, left))


def class_waits_s(arrivals_per_s: Array, service_s: Array, service_scv: Array) -> Array:
    """Mean waits of all priority classes of one server; classes along the last axis, the first served first. [s]

        load_k = arrivals_per_s[k] * service_s[k]
        above_k = load_1 + ... + load_(k-1)
        served_k = min(load_k, max(1 - above_k, 0))
        residual = sum_k served_k * service_s[k] * (1 + service_scv[k]) / 2
        t_k = priority_wait_s(residual, above_k, load_k)

    arrivals_per_s: mean arrival rate of each class [requests/s]
    service_s: mean service time of each class [s]
    service_scv: variance of each class's service time over its mean squared [1]

    Source: Kleinrock 1976 ch. 3; derived here where lower classes overload the server: the upper ones still have a
    wait, and the service under way when they come is of a class that gets the time left over.
    Valid: arrays of one dimension or more.

    >>> import numpy as np
    >>> class_waits_s(np.array([20.0, 25.0]), np.array([0.020, 0.020]), np.array([1.0, 1.0])).round(9).tolist()
    [0.03, 0.3]
    """
    xp = namespace(arrivals_per_s, service_s, service_scv)
    rates, services, scvs = xp.broadcast_arrays(*arrays(xp, arrivals_per_s, service_s, service_scv))
    load = rates * services
    rank = xp.arange(load.shape[-1])
    higher = rank[None, :] < rank[:, None]
    above = xp.sum(xp.where(higher, load[..., None, :], 0.0), axis=-1)
    room = xp.where(above < 1, 1 - above, 0.0)
    served = xp.where(load < room, load, room)
    residual = xp.sum(served * services * (1 + scvs) / 2, axis=-1)
    return priority_wait_s(residual[..., None], above, load)


# Several servers.


def mmc_wait_probability(utilisation: Array, servers: int) -> Array:
    """Chance that all of several servers with exponential service times are busy (M/M/c), Erlang's C. [1]

        a = servers * utilisation
        all = a**servers / servers! / (1 - utilisation)
        probability = all / (all + sum_(k < servers) a**k / k!)

    utilisation: share of time that each server is busy [1]
    servers: identical servers with one queue [1]

    Source: A. K. Erlang 1917; Kleinrock 1975 ch. 3.
    Valid: 1 at or above capacity.

    >>> round(float(mmc_wait_probability(0.8, 2)), 6)
    0.711111
    """
    xp = namespace(utilisation)
    (u,) = arrays(xp, utilisation)
    blocked = 1.0 + 0.0 * u  # Erlang's B, server by server; the sums above overflow
    for server in range(1, servers + 1):
        blocked = servers * u * blocked / (server + servers * u * blocked)
    stable = u < 1
    return xp.where(stable, blocked / xp.where(stable, 1 - u * (1 - blocked), xp.ones_like(blocked)), 1.0)


def mmc_wait_s(utilisation: Array, service_s: Array, servers: int) -> Array:
    """Mean wait in one queue for several servers with exponential service times (M/M/c). [s]

        t = mmc_wait_probability(utilisation, servers) * service_s / (servers * (1 - utilisation))

    utilisation: share of time that each server is busy [1]
    service_s: mean service time [s]
    servers: identical servers with one queue [1]

    Source: Kleinrock 1975 ch. 3, with Little's law.
    Valid: infinite at or above capacity.

    >>> round(float(mmc_wait_s(0.8, 0.020, 2)) * 1e3, 4)
    35.5556
    """
    xp = namespace(utilisation, service_s)
    return _per_slack(xp, mmc_wait_probability(utilisation, servers) * service_s, servers * (1 - utilisation))


def mdc_wait_s(arrivals_per_s: Array, service_s: Array, servers: Array) -> Array:
    """Mean wait in one queue for several servers whose service always takes the same time (M/D/c). [s]

        t = timetable_left_behind(arrivals_per_s, service_s, servers) / arrivals_per_s

    arrivals_per_s: mean arrival rate [requests/s]
    service_s: service time [s]
    servers: identical servers with one queue, a whole number [1]

    Source: C. D. Crommelin 1932, Post Office Electrical Engineers' Journal 25: seen one service time later, all who
    were served have left, so the number waiting follows the recursion of the timetable.
    Valid: infinite at or above capacity.

    >>> round(float(mdc_wait_s(45, 0.020, 1)), 9)
    0.09
    """
    return timetable_left_behind(arrivals_per_s, service_s, servers) / arrivals_per_s


# Work-conserving bulk service: the next batch leaves as soon as the last is done and anyone waits.


def bulk_unlimited_wait_s(arrivals_per_s: Array, service_s: Array) -> Array:
    """Mean wait when a server takes all who wait, each time it is free, in one pass of constant time. [s]

        a = arrivals_per_s * service_s
        t = a * service_s / 2 / (a + exp(-a))

    arrivals_per_s: mean arrival rate [requests/s]
    service_s: time of one pass, whatever the batch [s]

    Source: M. Neuts 1967, Annals of Mathematical Statistics 38; closed form derived here.

    >>> round(float(bulk_unlimited_wait_s(100, 0.020)) * 1e3, 5)
    9.36621
    """
    xp = namespace(arrivals_per_s, service_s)
    (a,) = arrays(xp, arrivals_per_s * service_s)
    return a * service_s / 2 / (a + xp.exp(-a))


def bulk_wait_s(arrivals_per_s: Array, service_s: Array, batch_limit: Array) -> Array:
    """Mean wait when a free server takes those who wait, up to a limit, in one pass of constant time. [s]

        a = arrivals_per_s * service_s
        X = number waiting at the end of a pass, becoming max(X - batch_limit, 0) + Poisson(a)
        left = E[max(X - batch_limit, 0)]
        t = (service_s * left + a * service_s / 2) / (a + P(X = 0))

    arrivals_per_s: mean arrival rate [requests/s]
    service_s: time of one pass, whatever the batch [s]
    batch_limit: most requests of one pass, a whole number; 1 is M/D/1 [requests]

    Source: M. Neuts 1967, Annals of Mathematical Statistics 38; Chaudhry and Templeton 1983. Who is left behind is
    as in `timetable_left_behind`; only the idle server, which waits for an arrival instead of the clock, differs.
    Valid: infinite at or above capacity.

    >>> round(float(bulk_wait_s(160, 0.020, 4)) * 1e3, 3)
    17.591
    """
    xp = namespace(arrivals_per_s, service_s, batch_limit)
    (a,) = arrays(xp, arrivals_per_s * service_s)
    left, nobody = _left_behind(a, batch_limit)
    stable = a < batch_limit
    left = xp.where(stable, left, xp.zeros_like(left))  # an infinite one would have no derivative
    return xp.where(stable, service_s * (left + a / 2) / (a + nobody * xp.exp(-a)), xp.inf)


# Continuous batching: requests join and leave between steps, and a step lasts longer the more they are.


def continuous_load(
    arrivals_per_s: Array,
    output_tokens: Array,
    sequence_s: Array,
    *,
    prompt_tokens: Array = 0.0,
    prompt_token_s: Array = 0.0,
    context_token_s: Array = 0.0,
    prompt_times_output: Array = 0.0,
    output_squared: Array = 0.0,
) -> Array:
    """Work that requests bring per second, in seconds of step time; a batch without a cap is stable below 1. [1]

        context_steps = prompt_times_output + (output_squared - output_tokens) / 2
        work_s = sequence_s * output_tokens + prompt_token_s * prompt_tokens + context_token_s * context_steps
        load = arrivals_per_s * work_s

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    sequence_s: time that each sequence adds to a step [s]
    prompt_tokens: mean prompt, taken in the first step [tokens]
    prompt_token_s: time that each prompt token adds to its step [s]
    context_token_s: time that each earlier token of each sequence adds to a step [s]
    prompt_times_output: mean of the product of prompt and output [1]
    output_squared: mean of the squared output; needed where context_token_s is not 0 [1]

    Source: derived here; each request is charged what it adds to its own steps.
    Valid: step time linear in the batch, the prompt tokens and the context.

    >>> round(continuous_load(10, 200, 0.0001), 9)
    0.2
    """
    context_steps = prompt_times_output + (output_squared - output_tokens) / 2
    work_s = sequence_s * output_tokens + prompt_token_s * prompt_tokens + context_token_s * context_steps
    return arrivals_per_s * work_s


def continuous_step_s(fixed_s: Array, load: Array, idle_share: Array = 0.0) -> Array:
    """Mean step of a continuous batch without a cap, for any law of prompts and outputs. [s]

        busy = 1 - idle_share
        t = where(load < busy, fixed_s * busy / (busy - load), inf)

    fixed_s: time of a step before anything that depends on the batch [s]
    load: what the requests add, `continuous_load` [1]
    idle_share: share of time without any request [1]

    Source: derived here: busy time is the steps' fixed part plus the load times all time.
    Valid: an unlimited batch; infinite where the load leaves no time for the fixed part.

    >>> round(float(continuous_step_s(0.010, 0.2)), 9)
    0.0125
    """
    xp = namespace(fixed_s, load, idle_share)
    busy = 1 - idle_share
    return _per_slack(xp, fixed_s * busy, busy - load)


def continuous_batch(arrivals_per_s: Array, output_tokens: Array, step_s: Array, idle_share: Array = 0.0) -> Array:
    """Mean number of sequences in a step of a continuous batch. [sequences]

        batch = arrivals_per_s * output_tokens * step_s / (1 - idle_share)

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    step_s: mean step, `continuous_step_s` [s]
    idle_share: share of time without any request [1]

    Source: derived here: every token leaves in some step.
    Valid: averaged over steps; averaged over time, long steps weigh more.

    >>> continuous_batch(10, 200, 0.0125)
    25.0
    """
    return arrivals_per_s * output_tokens * step_s / (1 - idle_share)


def sharing_batch(arrivals_per_s: Array, output_tokens: Array, fixed_s: Array, sequence_s: Array) -> Array:
    """Mean number in a decoding batch at a random moment, for any law of outputs. [sequences]

        load = arrivals_per_s * output_tokens * sequence_s
        batch = where(load < 1, arrivals_per_s * output_tokens * (fixed_s + sequence_s) / (1 - load), inf)

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    fixed_s: time of a step before anything that depends on the batch [s]
    sequence_s: time that each sequence adds to a step [s]

    Source: Kelly 1979 ch. 3, symmetric queues: sharing makes the number negative binomial, of mean
    (1 + α/β) ρ / (1 - ρ); Poisson where sequences add nothing.
    Valid: outputs of many tokens (a simulated batch of 20-token outputs is 1.5 % smaller), no cap on the batch,
    prompts apart.

    >>> round(float(sharing_batch(10, 200, 0.010, 0.0001)), 6)
    25.25
    """
    xp = namespace(arrivals_per_s, output_tokens, fixed_s, sequence_s)
    tokens_per_s = arrivals_per_s * output_tokens
    return _per_slack(xp, tokens_per_s * (fixed_s + sequence_s), 1 - tokens_per_s * sequence_s)


def sharing_latency_s(arrivals_per_s: Array, output_tokens: Array, fixed_s: Array, sequence_s: Array) -> Array:
    """Mean time from arrival to last token in a decoding batch: the rest of the step under way, then its own. [s]

        load = arrivals_per_s * output_tokens * sequence_s
        batch = arrivals_per_s * output_tokens * (fixed_s + sequence_s) / (1 - load)
        idle = max(1 - load, 0)**(1 + fixed_s / sequence_s)
        rest = (fixed_s * (1 - idle) + sequence_s * batch) / 2
        t = where(load < 1, rest + batch / arrivals_per_s, inf)

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    fixed_s: time of a step before anything that depends on the batch [s]
    sequence_s: time that each sequence adds to a step [s]

    Source: Kelly 1979 ch. 3, with Little's law; the half step derived here.
    Valid: outputs of many tokens, no cap on the batch, prompts apart; sequence_s above 0.

    >>> round(float(sharing_latency_s(10, 200, 0.010, 0.0001)), 6)
    2.531262
    """
    xp = namespace(arrivals_per_s, output_tokens, fixed_s, sequence_s)
    load, batch = arrays(
        xp,
        arrivals_per_s * output_tokens * sequence_s,
        sharing_batch(arrivals_per_s, output_tokens, fixed_s, sequence_s),
    )
    idle = xp.where(load < 1, 1 - load, 0.0) ** (1 + fixed_s / sequence_s)
    rest_s = (fixed_s * (1 - idle) + sequence_s * batch) / 2
    return rest_s + batch / arrivals_per_s


# Prefill alone, prompts of equal length.


def prefill_tensor_latency_s(arrivals_per_s: Array, prefill_s: Array, speedup: Array) -> Array:
    """Mean time to first token when every prefill is spread over more chips and so runs faster. [s]

        u = arrivals_per_s * prefill_s / speedup
        t = where(u < 1, prefill_s / speedup + u * prefill_s / speedup / (2 * (1 - u)), inf)

    arrivals_per_s: mean arrival rate [requests/s]
    prefill_s: prefill time of one prompt before the split [s]
    speedup: how many times faster the split makes it, at most the number of chips [1]

    Source: arXiv 2401.09670 (DistServe): D/K + R D² / (2 K (K - R D)).
    Valid: prompts of equal length, one at a time; a `speedup` of 1 is one chip.

    >>> round(float(prefill_tensor_latency_s(5, 0.2, 1.6)), 6)
    0.229167
    """
    service_s = prefill_s / speedup
    return service_s + md1_wait_s(arrivals_per_s * service_s, service_s)


def prefill_pipeline_latency_s(arrivals_per_s: Array, prefill_s: Array, stages: Array = 2.0) -> Array:
    """Mean time to first token when the layers are cut into equal pipeline stages. [s]

        u = arrivals_per_s * prefill_s / stages
        t = where(u < 1, prefill_s + u * prefill_s / stages / (2 * (1 - u)), inf)

    arrivals_per_s: mean arrival rate [requests/s]
    prefill_s: prefill time of one prompt, through all stages [s]
    stages: equal stages, each with its own chips [1]

    Source: arXiv 2401.09670 (DistServe), D + R D² / (4 (2 - R D)) for two stages; more are derived here.
    Valid: prompts of equal length, so that they queue before the first stage only.

    >>> round(float(prefill_pipeline_latency_s(5, 0.2)), 6)
    0.25
    """
    stage_s = prefill_s / stages
    return prefill_s + md1_wait_s(arrivals_per_s * stage_s, stage_s)
