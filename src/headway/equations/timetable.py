"""Waiting for a batch that leaves by the clock, or as soon as the last is done.

Arrivals are Poisson unless a function says otherwise, and served in the order they come. A wait ends when service
begins; a latency ends with it. A queue that is given more than it can serve has no mean wait: the result is infinity.

The sources: N. T. J. Bailey 1954, "On Queueing Processes with Bulk Service", J. R. Stat. Soc. B 16; F. Downton 1955,
"Waiting Time in Bulk Service Queues", J. R. Stat. Soc. B 17; M. Chaudhry and J. Templeton 1983, "A First Course in
Bulk Queues"; L. Kleinrock 1976, "Queueing Systems" II; R. Pope with D. Patel, blackboard lecture of 2026-04-29.
"""

from __future__ import annotations

from typing import Any

from headway.equations._bulk import left_behind
from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


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

    Source: lecture 00:00:00; `throughput.worst_latency_s` adds the ride.
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
    return left_behind(arrivals_per_s * beat_s, batch_limit)[0]


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

    Source: Kleinrock 1976, the fluid approximation.
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

    Source: Kleinrock 1976, the fluid approximation.
    Valid: the mean trend; the wait of a system within its capacity is left out.

    >>> round(float(overload_wait_s(120_000, 2000, 0.020, 32)), 9)
    15.0
    """
    xp = namespace(nth, arrivals_per_s, beat_s, batch_limit)
    return nth / arrivals_per_s * xp.maximum(*arrays(xp, arrivals_per_s * beat_s / batch_limit - 1, 0.0))


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
    left, nobody = left_behind(a, batch_limit)
    stable = a < batch_limit
    left = xp.where(stable, left, xp.zeros_like(left))  # an infinite one would have no derivative
    return xp.where(stable, service_s * (left + a / 2) / (a + nobody * xp.exp(-a)), xp.inf)
