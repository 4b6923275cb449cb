"""Where to keep a block of KV cache that will be wanted again: HBM, DRAM, flash, disk, or nowhere.

Keeping costs rent for room and time; fetching costs rent for bandwidth and time; forgetting costs arithmetic. A device
of rent P, capacity C and bandwidth b charges P / C for each byte and second kept, P / b for each byte moved. They are
equal after C / b seconds, the drain time (`throughput.drain_s`), whatever the price: that is the lecture's rule for the
use of one tier. Which of two tiers is cheaper depends on both prices, and is `switching_s`.

The sources: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times); the comparison of
tiers is derived here, in the manner of J. Gray and F. Putzolu 1987, "The 5 Minute Rule".
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def rent_usd_per_s(purchase_usd: Array, life_s: Array) -> Array:
    """Rent that pays a device back over its life. [USD/s]

        rent = purchase_usd / life_s

    purchase_usd: price of the device [USD]
    life_s: time in use [s]

    Source: straight-line depreciation.
    Valid: energy, space and interest left out.

    >>> rent_usd_per_s(7000, 5 * 365.25 * 86400) * 3600
    0.1597...
    """
    return purchase_usd / life_s


def holding_usd_per_s(held_bytes: Array, device_usd_per_s: Array, capacity_bytes: Array) -> Array:
    """Cost of keeping bytes on a device: their share of its room. [USD/s]

        rate = held_bytes * device_usd_per_s / capacity_bytes

    held_bytes: bytes kept [B]
    device_usd_per_s: rent of the device [USD/s]
    capacity_bytes: its capacity [B]

    Source: lecture 01:33:02.
    Valid: a full device; each empty byte is paid by the others.

    >>> round(holding_usd_per_s(1, 2 / 3600, 80e9) * 1e15, 2)
    6.94
    """
    return held_bytes * device_usd_per_s / capacity_bytes


def moving_usd(moved_bytes: Array, device_usd_per_s: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Cost of moving bytes once: the device's rent while it does nothing else. [USD]

        cost = moved_bytes * device_usd_per_s / bandwidth_bytes_per_s

    moved_bytes: bytes read or written [B]
    device_usd_per_s: rent of the device that is busy; of the accelerator, if that waits meanwhile [USD/s]
    bandwidth_bytes_per_s: bandwidth of the transfer, reading or writing [B/s]

    Source: lecture 01:33:02.

    >>> round(moving_usd(1e9, 2 / 3600, 3.35e12) * 1e9)
    166
    """
    return moved_bytes * device_usd_per_s / bandwidth_bytes_per_s


def hold_cost_usd(
    holding_usd_per_s: Array, hold_s: Array, retrieval_usd: Array, reuses: Array = 1.0, write_usd: Array = 0.0
) -> Array:
    """Cost of keeping a block in one tier: written once, held, and fetched for every reuse. [USD]

        cost = write_usd + holding_usd_per_s * hold_s + reuses * retrieval_usd

    holding_usd_per_s: cost of keeping it [USD/s]
    hold_s: time kept, until the last reuse [s]
    retrieval_usd: cost of fetching it once, and of waiting for it [USD]
    reuses: times that it is fetched [1]
    write_usd: cost of storing it [USD]

    Source: lecture 01:33:02.

    >>> hold_cost_usd(0.5, 60, 2, 3, 1)
    37.0
    """
    return write_usd + holding_usd_per_s * hold_s + reuses * retrieval_usd


def recompute_usd(flop: Array, flop_per_s: Array, mfu: Array, device_usd_per_s: Array) -> Array:
    """Cost of making a block again instead of keeping it (rematerialisation). [USD]

        cost = flop / (flop_per_s * mfu) * device_usd_per_s

    flop: arithmetic of the prefill, attention included [FLOP]
    flop_per_s: dense peak of the accelerator [FLOP/s]
    mfu: share of the peak that prefill reaches [1]
    device_usd_per_s: rent of the accelerator [USD/s]

    Source: lecture 01:33:02.

    >>> round(recompute_usd(2 * 37e9 * 1e6, 989.4e12, 0.4, 2 / 3600), 3)
    0.104
    """
    return flop / (flop_per_s * mfu) * device_usd_per_s


def switching_s(
    holding_usd_per_s: Array, retrieval_usd: Array, next_holding_usd_per_s: Array, next_retrieval_usd: Array
) -> Array:
    """Time kept from which the next tier is the cheaper; infinite where the next is no cheaper to hold. [s]

        extra = max(next_retrieval_usd, retrieval_usd) - retrieval_usd
        saved = holding_usd_per_s - next_holding_usd_per_s
        t = where(saved > 0, extra / saved, inf)

    holding_usd_per_s: cost of keeping the block in this tier [USD/s]
    retrieval_usd: cost of all its fetches from this tier, and of storing it [USD]
    next_holding_usd_per_s: cost of keeping it in the next tier [USD/s]
    next_retrieval_usd: cost of all its fetches from the next tier, and of storing it [USD]

    Source: derived here: two straight lines cross.
    Valid: zero where the next tier is cheaper in both ways. Leave out of both sides what either would cost.

    >>> float(switching_s(3.0, 1.0, 1.0, 5.0)), float(switching_s(1.0, 1.0, 3.0, 5.0))
    (2.0, inf)
    """
    xp = namespace(holding_usd_per_s, retrieval_usd, next_holding_usd_per_s, next_retrieval_usd)
    retrieval, dearer = arrays(xp, retrieval_usd, next_retrieval_usd)
    (saved,) = arrays(xp, holding_usd_per_s - next_holding_usd_per_s)
    crosses = saved > 0
    extra = xp.maximum(dearer, retrieval) - retrieval
    return xp.where(crosses, extra / xp.where(crosses, saved, xp.ones_like(saved)), xp.inf)


def recompute_break_even_s(recompute_usd: Array, retrieval_usd: Array, holding_usd_per_s: Array) -> Array:
    """Time kept from which making a block again is cheaper than holding and fetching it. [s]

        extra = max(recompute_usd, retrieval_usd) - retrieval_usd
        t = where(holding_usd_per_s > 0, extra / holding_usd_per_s, inf)

    recompute_usd: cost of making the block again, for all its reuses [USD]
    retrieval_usd: cost of all its fetches, and of storing it [USD]
    holding_usd_per_s: cost of keeping it [USD/s]

    Source: derived here. Zero where fetching alone costs more than making it again; never where keeping is free.

    >>> float(recompute_break_even_s(7.0, 1.0, 0.5))
    12.0
    """
    xp = namespace(recompute_usd, retrieval_usd, holding_usd_per_s)
    recompute, retrieval, holding = arrays(xp, recompute_usd, retrieval_usd, holding_usd_per_s)
    extra, costs = xp.maximum(recompute, retrieval) - retrieval, holding > 0
    return xp.where(costs, extra / xp.where(costs, holding, xp.ones_like(holding)), xp.inf)


def capacity_for_drain_bytes(drain_s: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Capacity that a given bandwidth reads once in a given time. [B]

        bytes = drain_s * bandwidth_bytes_per_s

    drain_s: time to read it all once [s]
    bandwidth_bytes_per_s: read bandwidth [B/s]

    Source: lecture 01:33:02, the drain time turned round.

    >>> capacity_for_drain_bytes(300, 14e9) / 1e12
    4.2
    """
    return drain_s * bandwidth_bytes_per_s


def implied_holding_usd_per_s(write_usd: Array, input_usd: Array, hold_s: Array) -> Array:
    """Rent of a cached token that a price page implies: the surcharge for writing it, over the time kept. [USD/s]

        rate = (write_usd - input_usd) / hold_s

    write_usd: price of a token written to the cache [USD/token]
    input_usd: price of a token that is not [USD/token]
    hold_s: time for which the vendor keeps it [s]

    Source: lecture 01:33:02 (5 and 6.25 USD for a million tokens, five minutes).
    Valid: one hold for each write; a vendor that starts the time anew at every use keeps the token longer.

    >>> round(implied_holding_usd_per_s(6.25, 5.0, 300), 5)
    0.00417
    """
    return (write_usd - input_usd) / hold_s
