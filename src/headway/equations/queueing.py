"""Waiting in a queue for one server or several: the closed forms that any simulation of serving must reproduce.

Arrivals are Poisson unless a function says otherwise, and served in the order they come. A wait ends when service
begins; a latency ends with it. A queue that is given more than it can serve has no mean wait: the result is infinity.

The sources: L. Kleinrock 1975 and 1976, "Queueing Systems" I and II; A. Cobham 1954; A. K. Erlang 1917; C. D. Crommelin
1932.
"""

from __future__ import annotations

from typing import Any

from headway.equations._bulk import per_slack
from headway.equations._namespace import arrays, namespace
from headway.equations.timetable import timetable_left_behind

Array = Any  # a number or an array of any array-API library


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

    Source: Kleinrock 1975, ρ = λ x̄ / m.

    >>> utilisation(40, 0.020)
    0.8
    """
    return arrivals_per_s * service_s / servers


def md1_wait_s(utilisation: Array, service_s: Array) -> Array:
    """Mean wait for one server whose service always takes the same time (M/D/1). [s]

        t = where(utilisation < 1, utilisation * service_s / (2 * (1 - utilisation)), inf)

    utilisation: share of time that the server is busy [1]
    service_s: service time [s]

    Source: Kleinrock 1975.

    >>> round(float(md1_wait_s(0.9, 0.020)), 9)
    0.09
    """
    xp = namespace(utilisation, service_s)
    return per_slack(xp, utilisation * service_s, 2 * (1 - utilisation))


def mm1_wait_s(utilisation: Array, service_s: Array) -> Array:
    """Mean wait for one server with exponential service times (M/M/1): twice that of constant ones. [s]

        t = where(utilisation < 1, utilisation * service_s / (1 - utilisation), inf)

    utilisation: share of time that the server is busy [1]
    service_s: mean service time [s]

    Source: Kleinrock 1975, ρ / (μ - λ).

    >>> round(float(mm1_wait_s(0.9, 0.020)), 9)
    0.18
    """
    xp = namespace(utilisation, service_s)
    return per_slack(xp, utilisation * service_s, 1 - utilisation)


def residual_s(arrivals_per_s: Array, service_s: Array, service_scv: Array) -> Array:
    """Mean time that an arrival finds still to go of the service under way, an idle server counting as nothing. [s]

        t = arrivals_per_s * service_s**2 * (1 + service_scv) / 2

    arrivals_per_s: mean arrival rate [requests/s]
    service_s: mean service time [s]
    service_scv: variance of the service time over its mean squared [1]

    Source: Kleinrock 1975, λ E[S²] / 2.
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

    Source: Kleinrock 1975, λ E[S²] / (2 (1 - ρ)).

    >>> round(float(mg1_wait_s(45, 0.020, 0.0)), 9), round(float(mg1_wait_s(45, 0.020, 1.0)), 9)
    (0.09, 0.18)
    """
    xp = namespace(arrivals_per_s, service_s, service_scv)
    residual = residual_s(arrivals_per_s, service_s, service_scv)
    return per_slack(xp, residual, 1 - arrivals_per_s * service_s)


def priority_wait_s(residual_s: Array, load_above: Array, load_own: Array) -> Array:
    """Mean wait of one priority class; a service that has begun is finished. [s]

        left = 1 - load_above - load_own
        t = where(left > 0, residual_s / ((1 - load_above) * left), inf)

    residual_s: mean time still to go of the service under way, of any class [s]
    load_above: utilisation by all classes served before this one [1]
    load_own: utilisation by this class [1]

    Source: A. Cobham 1954, Operations Research 2; Kleinrock 1976, R / ((1 - σ_(k-1)) (1 - σ_k)).

    >>> round(float(priority_wait_s(0.018, 0.4, 0.5)), 9)
    0.3
    """
    xp = namespace(residual_s, load_above, load_own)
    residual, above, own = arrays(xp, residual_s, load_above, load_own)
    left = 1 - above - own
    return per_slack(xp, residual, xp.where(left > 0, (1 - above) * left, left))


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

    Source: Kleinrock 1976; derived here where lower classes overload the server: the upper ones still have a
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


def mmc_wait_probability(utilisation: Array, servers: int) -> Array:
    """Chance that all of several servers with exponential service times are busy (M/M/c), Erlang's C. [1]

        a = servers * utilisation
        all = a**servers / servers! / (1 - utilisation)
        probability = all / (all + sum_(k < servers) a**k / k!)

    utilisation: share of time that each server is busy [1]
    servers: identical servers with one queue [1]

    Source: A. K. Erlang 1917; Kleinrock 1975.
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

    Source: Kleinrock 1975, with Little's law.
    Valid: infinite at or above capacity.

    >>> round(float(mmc_wait_s(0.8, 0.020, 2)) * 1e3, 4)
    35.5556
    """
    xp = namespace(utilisation, service_s)
    return per_slack(xp, mmc_wait_probability(utilisation, servers) * service_s, servers * (1 - utilisation))


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
