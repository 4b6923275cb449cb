"""Where a block of KV is cheapest to keep: checked by comparing all tiers at all times."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis.strategies import floats

from headway.equations import memory_tiers as tiers
from headway.equations import roofline, throughput

RATE, USD = floats(1e-9, 1e3), floats(0, 1e3)


# Laws


@given(price=floats(1e-6, 1), capacity=floats(1e9, 1e15), bandwidth=floats(1e6, 1e13), size=floats(1, 1e9))
def test_after_one_drain_time_holding_has_cost_as_much_as_fetching(price, capacity, bandwidth, size):
    """The lecture's rule for one tier: the price cancels, and so does the block."""
    held = tiers.holding_usd_per_s(size, price, capacity) * throughput.drain_s(capacity, bandwidth)
    assert held == pytest.approx(tiers.moving_usd(size, price, bandwidth))


@given(h=RATE, r=USD, cheaper=floats(0.001, 0.999), extra=floats(0, 1e3))
def test_at_the_switching_time_two_tiers_cost_the_same(h, r, cheaper, extra):
    """Before it the first is cheaper, after it the second."""
    t = float(tiers.switching_s(h, r, cheaper * h, r + extra))
    now, later = (
        (lambda at: tiers.hold_cost_usd(h, at, r)),
        (lambda at: tiers.hold_cost_usd(cheaper * h, at, r + extra)),
    )
    assert now(t) == pytest.approx(later(t), rel=1e-9)
    assert now(t / 2) <= later(t / 2) * (1 + 1e-9)
    assert now(2 * t + 1) >= later(2 * t + 1) * (1 - 1e-9)


@given(h=RATE, r=USD, r_next=USD, dearer=floats(1, 10))
def test_a_tier_no_cheaper_to_hold_is_never_switched_to(h, r, r_next, dearer):
    """Infinity, not a negative time."""
    assert tiers.switching_s(h, r, dearer * h, r_next) == np.inf


@given(h=RATE, r=USD, remake=USD)
def test_recomputing_breaks_even_where_the_costs_meet(h, r, remake):
    """At the break-even time holding and fetching cost what making again does; never a negative time."""
    t = float(tiers.recompute_break_even_s(remake, r, h))
    assert t >= 0
    if remake >= r:
        assert tiers.hold_cost_usd(h, t, r) == pytest.approx(remake, abs=1e-9)


@given(h=RATE, seconds=floats(0, 1e6), r=USD, reuses=floats(1, 100), write=USD)
def test_holding_costs_a_write_a_rent_and_a_fetch_for_every_reuse(h, seconds, r, reuses, write):
    """One reuse more costs one fetch more, one second more one second's rent."""
    base = tiers.hold_cost_usd(h, seconds, r, reuses, write)
    assert tiers.hold_cost_usd(h, seconds, r, reuses + 1, write) - base == pytest.approx(r, abs=1e-6 * (1 + base))
    assert tiers.hold_cost_usd(h, seconds + 1, r, reuses, write) - base == pytest.approx(h, abs=1e-6 * (1 + base))
    assert tiers.hold_cost_usd(h, 0, r, 0, write) == write


@given(capacity=floats(1, 1e15), bandwidth=floats(1, 1e13))
def test_capacity_and_drain_time_are_inverse(capacity, bandwidth):
    """The capacity whose drain is the drain of a capacity is that capacity."""
    assert tiers.capacity_for_drain_bytes(throughput.drain_s(capacity, bandwidth), bandwidth) == pytest.approx(capacity)


@given(price=floats(1, 1e6), life=floats(1, 1e9))
def test_rent_over_a_life_is_the_price(price, life):
    """Straight-line: nothing left over."""
    assert tiers.rent_usd_per_s(price, life) * life == pytest.approx(price)


@given(input_usd=floats(0, 1e-3), rent=floats(0, 1e-6), seconds=floats(1, 1e5))
def test_a_vendor_who_adds_the_rent_is_found_out(input_usd, rent, seconds):
    """From the two prices the rent that went into them comes back."""
    found = tiers.implied_holding_usd_per_s(input_usd + rent * seconds, input_usd, seconds)
    assert found == pytest.approx(rent, abs=1e-12)


# Independent computation: the cheapest tier at every time


@given(
    h=floats(1e-3, 1), steps=floats(0.05, 0.5), r=floats(1e-3, 1), fetch_steps=floats(2, 50), remake=floats(1e2, 1e4)
)
def test_the_cheapest_tier_over_time_changes_at_the_switching_times(h, steps, r, fetch_steps, remake):
    """Three tiers and recomputing: the lower envelope is concave, and bends where the pairwise times say."""
    holding = [h, h * steps, h * steps**2]
    fetch = [r, r * fetch_steps, r * fetch_steps**2]
    first = float(tiers.switching_s(holding[0], fetch[0], holding[1], fetch[1]))
    second = float(tiers.switching_s(holding[1], fetch[1], holding[2], fetch[2]))
    last = float(tiers.recompute_break_even_s(remake, fetch[2], holding[2]))
    assume(first * 1.01 < second * 0.99)
    assume(second * 1.01 < last * 0.99)
    times = np.sort(np.concatenate([[t * 0.99, t * 1.01] for t in (first, second, last)]))
    costs = np.stack(
        [tiers.hold_cost_usd(a, times, b) for a, b in zip(holding, fetch, strict=True)] + [0 * times + remake]
    )
    assert list(np.argmin(costs, axis=0)) == [0, 1, 1, 2, 2, 3]
    slopes = np.diff(costs.min(axis=0)) / np.diff(times)
    assert np.all(np.diff(slopes) <= 1e-9 * slopes[0])


# Published figures


@pytest.mark.parametrize(
    ("claim", "capacity", "bandwidth", "seconds"),
    [
        ("E07", 80e9, 3.35e12, 0.023881),
        ("E08", 288e9, 20e12, 0.0144),
        ("E09", 288e9, 22e12, 0.013091),
        ("E10", 2e12, 504e9, 3.9683),
        ("E11", 3.2e12, 14e9, 228.57),
        ("E12", 61.44e12, 7.4e9, 8302.7),
        ("E13", 24e12, 285e6, 84211),
    ],
)
def test_drain_times_of_real_devices(claim, capacity, bandwidth, seconds):
    """From data-sheet capacity and bandwidth: flash takes minutes to hours, a disk a day (figures to five digits)."""
    assert throughput.drain_s(capacity, bandwidth) == pytest.approx(seconds, rel=1e-4), claim
    assert tiers.capacity_for_drain_bytes(seconds, bandwidth) == pytest.approx(capacity, rel=1e-4)


def test_five_minutes_and_an_hour_are_both_flash():
    """E14, E15: at 14 GB/s, 4.2 TB drain in five minutes and 50.4 TB in an hour."""
    assert tiers.capacity_for_drain_bytes(300, 14e9) == 4.2e12
    assert tiers.capacity_for_drain_bytes(3600, 14e9) == 5.04e13


LIFE_S = 5 * 365.25 * 86_400  # five years
H100, SSD, DISK = 2 / 3600, tiers.rent_usd_per_s(7000, LIFE_S), tiers.rent_usd_per_s(1160, LIFE_S)
V3_TOKEN = 70_272


def hbm(size):
    return tiers.holding_usd_per_s(size, H100, 80e9)


def ssd(size):
    return tiers.holding_usd_per_s(size, SSD, 61.44e12), tiers.moving_usd(size, SSD, 7.4e9)


def disk(size):
    return tiers.holding_usd_per_s(size, DISK, 24e12), tiers.moving_usd(size, DISK, 285e6)


def recompute(active_params):
    return tiers.recompute_usd(roofline.matmul_flop(1, 1, active_params), 989.4e12, 0.4, H100)


def test_recomputing_deepseek_v3_costs_ten_cents_a_million_tokens():
    """E21: 37B active, an H100 at 2 USD an hour and 40 % of its peak."""
    assert recompute(37e9) * 1e6 == pytest.approx(0.10388, rel=1e-4)


def test_recomputing_beats_holding_in_hbm_after_minutes_or_hours():
    """E22, E23: 213 s at 70 kB a token; 5.5 h for 100B parameters at 2 kB. HBM is read either way."""
    assert float(tiers.recompute_break_even_s(recompute(37e9), 0.0, hbm(V3_TOKEN))) == pytest.approx(212.87, rel=1e-4)
    assert float(tiers.recompute_break_even_s(recompute(100e9), 0.0, hbm(2048))) == pytest.approx(19740, rel=1e-4)


def test_a_second_in_hbm_pays_for_a_trip_to_flash():
    """E24: 0.863 s, for the pass reads the block from HBM either way; with that read charged to HBM, 0.839 s."""
    held, fetched = ssd(1)
    assert float(tiers.switching_s(hbm(1), 0.0, held, fetched)) == pytest.approx(0.86338, rel=1e-4)
    own_read = tiers.moving_usd(1, H100, 3.35e12)
    assert float(tiers.switching_s(hbm(1), own_read, held, fetched)) == pytest.approx(0.8395, rel=1e-3)


def test_disk_beats_flash_after_thirteen_hours():
    """E25: 47,626 s, at the drive prices of 2024."""
    assert float(tiers.switching_s(*ssd(1), *disk(1))) == pytest.approx(47_626, rel=1e-4)


def test_recomputing_beats_flash_after_three_weeks():
    """E26: 24 days."""
    held, fetched = ssd(V3_TOKEN)
    assert float(tiers.recompute_break_even_s(recompute(37e9), fetched, held)) == pytest.approx(2.0390e6, rel=1e-4)


@pytest.mark.parametrize(("size", "times"), [(2048, 292.97), (V3_TOKEN, 8.5)])
def test_a_cache_write_price_implies_many_times_the_rent_of_hbm(size, times):
    """E27: 6.25 against 5 USD a million for five minutes; 293 times HBM's rent at 2 kB a token, 8.5 at 70 kB."""
    implied = tiers.implied_holding_usd_per_s(6.25e-6, 5e-6, 300)
    assert implied / hbm(size) == pytest.approx(times, rel=0.01)
