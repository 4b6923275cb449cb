"""What people write, and the SI numbers that it means: prefixes, bits and bytes, money and time."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, floats, from_regex, integers, sampled_from, text

from headway.catalog import vocabulary
from headway.errors import BadInput
from headway.units import COUNTS, format_si, parse

UNITS = sorted(
    {word.unit for word in vocabulary().values()} | set(COUNTS) | {"s", "USD", "USD/token", "FLOP", "tokens/s"}
)
# Sizes at which each unit is met, from a nanosecond to a campus.
SIZES = floats(1e-9, 1e20, allow_nan=False)


# What DESIGN, STYLE and the catalog's own files write, each beside what a pencil makes of it.
WRITTEN = [
    # memory: GB is 10^9, GiB is 2^30
    ("141 GB", "B", 141e9), ("80GB", "B", 80e9), ("186 GB", "B", 186e9), ("95 GiB", "B", 95 * 2**30),
    ("13.4 TB", "B", 13.4e12), ("1.77 PB", "B", 1.77e15), ("40 MiB", "B", 40 * 2**20), ("8 KiB", "B", 8192),
    ("114441 GiB", "B", 114441 * 2**30), ("24 kB", "B", 24e3), ("24 KB", "B", 24e3), ("70272", "B", 70272),
    ("12 bytes", "B", 12), ("1 byte", "B", 1), ("2 EB", "B", 2e18),
    # bandwidth, of memory in bytes and of networks in bits
    ("3.35 TB/s", "B/s", 3.35e12), ("4.8 TB/s", "B/s", 4.8e12), ("900GB/s", "B/s", 900e9),
    ("284778 MiB/s", "B/s", 284778 * 2**20), ("400 Gb/s", "B/s", 50e9), ("400Gbit/s", "B/s", 50e9),
    ("3.2 Tb/s", "B/s", 400e9), ("8 kbit/s", "B/s", 1000), ("10e12", "B/s", 10e12), ("60 GB/min", "B/s", 1e9),
    # arithmetic
    ("1979 TFLOP/s", "FLOP/s", 1979e12), ("5 PFLOP/s", "FLOP/s", 5e15), ("5 PFLOPS", "FLOP/s", 5e15),
    ("394 TOPS", "FLOP/s", 394e12), ("121 EFLOP/s", "FLOP/s", 121e18), ("2 TFLOP", "FLOP", 2e12),
    ("2 GFLOPs", "FLOP", 2e9),
    # time
    ("20 ms", "s", 0.02), ("15 s", "s", 15), ("200 µs", "s", 2e-4), ("200 us", "s", 2e-4), ("3 ns", "s", 3e-9),
    ("2 min", "s", 120), ("5 hours", "s", 18000), ("1 h", "s", 3600), ("1 day", "s", 86400), ("2 seconds", "s", 2),
    # money: per hour, per million tokens, per gigabyte
    ("$2/h", "USD/s", Fraction(2, 3600)), ("2 USD/h", "USD/s", Fraction(2, 3600)), ("$48/day", "USD/s", 48 / 86400),
    ("$2/Mtok", "USD/token", 2e-6), ("$2/Mtoken", "USD/token", 2e-6), ("2 $/Mtokens", "USD/token", 2e-6),
    ("$2/M tokens", "USD/token", 2e-6), ("$3/ktok", "USD/token", 3e-3), ("$3.98/GB", "USD/B", 3.98e-9),
    ("$4/GiB", "USD/B", 4 / 2**30), ("$30k", "USD", 30e3), ("$3M", "USD", 3e6), ("$1.5bn", "USD", 1.5e9),
    ("$0.79/h", "USD/s", 0.79 / 3600), ("$15000", "USD", 15000), ("87,072 USD", "USD", 87072),
    ("$3k/h", "USD/s", 3e3 / 3600),
    # counts: k is 1000 and Ki is 1024, of tokens as of bytes
    ("200k", "tokens", 200e3), ("8k", "tokens", 8000), ("8Ki", "tokens", 8192), ("128 Ki tokens", "tokens", 131072),
    ("1M", "tokens", 1e6), ("671B", "params", 671e9), ("671B params", "params", 671e9), ("37b", "params", 37e9),
    ("1.04T", "params", 1.04e12), ("64 sequences", "sequences", 64), ("1 chip", "chips", 1), ("0.9", "1", 0.9),
    ("73.7k tokens/s", "tokens/s", 73700), ("1,000,000", "tokens", 1e6), ("8_192", "tokens", 8192),
    # weight and power
    ("1360 kg", "kg", 1360), ("500 g", "kg", 0.5), ("120 kW", "W", 120e3), ("700 W", "W", 700), ("1.2 MW", "W", 1.2e6),
    ("5 mW", "W", 0.005),
]  # fmt: skip


@pytest.mark.parametrize(("written", "unit", "meant"), WRITTEN, ids=[f"{w} as {u}" for w, u, _ in WRITTEN])
def test_what_people_write_is_read(written, unit, meant):
    """A quantity as people and data sheets write it is the SI number that a pencil gives."""
    assert parse(written, unit) == pytest.approx(float(meant), rel=1e-15)


@given(SIZES, sampled_from(UNITS))
def test_a_bare_number_is_in_the_unit_already(value, unit):
    """Without a suffix a number means itself, as Python's number and as text with every digit."""
    assert parse(value, unit) == value
    if unit != "USD/s":
        assert parse(repr(value), unit) == value


@pytest.mark.parametrize("written", ["2", "0.8", " $2", "1e-3", "1,000"])
def test_a_price_without_its_time_is_refused(written):
    """Nobody means dollars per second: what is written needs its unit, and what costs nothing needs none."""
    with pytest.raises(BadInput, match=re.escape("'$2/h'")):
        parse(written, "USD/s")
    assert parse("0", "USD/s") == parse("0.0", "USD/s") == 0


def test_a_share_may_be_written_in_per_cent():
    """90% is 0.9 where a plain number is asked for, and nothing where things are counted."""
    assert parse("90%", "1") == parse("90 %", "1") == pytest.approx(0.9)
    with pytest.raises(BadInput, match=r"expected a number such as '0\.9', found '90 percent'"):
        parse("90 percent", "1")
    with pytest.raises(BadInput):
        parse("90%", "tokens")


@given(SIZES, sampled_from(UNITS), booleans())
def test_a_formatted_quantity_reads_back(value, unit, negative):
    """What headway prints, headway reads: the same quantity, to the digits that were printed."""
    signed = -value if negative else value
    # Three digits are printed, so half of the third may be lost; counts below a million are rounded to one.
    slack = max(5.1e-3 * value, 0.5 if unit in (*COUNTS, "tokens/s") and value > 100 else 0)
    assert parse(format_si(signed, unit), unit) == pytest.approx(signed, abs=slack)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (999.6, "B", "1.00 kB"), (9.996, "B", "10.0 B"), (0.9996, "1", "1.00"), (119.99, "s", "2.00 min"),
        (math.inf, "tokens", "infinity"), (-math.inf, "s", "-infinity"), (0, "s", "0 s"), (0, "B", "0 B"),
        (1360, "kg", "1,360 kg"), (0.4, "kg", "0.400 kg"), (5e9, "tokens/s", "5.00B tokens/s"),
        (8000, "tokens", "8,000 tokens"),
    ],
)  # fmt: skip
def test_rounding_up_to_the_next_prefix_stays_at_three_digits(value, unit, shown):
    """A number that rounds up into the next power of ten or the next prefix is written there."""
    assert format_si(value, unit) == shown


@given(floats(1e-3, 1e6, allow_nan=False), sampled_from("kMGTPE"))
def test_binary_prefixes_are_larger_than_decimal_ones_by_their_power(value, prefix):
    """GiB over GB is 1.0737, and each prefix up adds another 2.4 %: the slip that published tools make."""
    power = "kMGTPE".index(prefix) + 1
    binary, decimal = (parse(f"{value!r} {p}B", "B") for p in (f"{prefix.upper()}i", prefix))
    assert binary / decimal == pytest.approx((1024 / 1000) ** power, rel=1e-12)


@given(floats(1e-3, 1e6, allow_nan=False), sampled_from(["", "k", "M", "G", "T"]))
def test_eight_bits_are_a_byte(value, prefix):
    """A network's bits per second are an eighth in bytes; a small b is a bit wherever bytes are asked for."""
    assert 8 * parse(f"{value!r} {prefix}b/s", "B/s") == pytest.approx(
        parse(f"{value!r} {prefix}B/s", "B/s"), rel=1e-12
    )


@given(floats(1e-3, 1e9, allow_nan=False))
def test_money_per_hour_token_and_gigabyte(price):
    """A dollar an hour is 1/3600 a second; per million tokens and per GB it is a millionth and a billionth."""
    assert parse(f"${price!r}/h", "USD/s") * 3600 == pytest.approx(price, rel=1e-12)
    assert parse(f"${price!r}/Mtok", "USD/token") * 1e6 == pytest.approx(price, rel=1e-12)
    assert parse(f"${price!r}/GB", "USD/B") * 1e9 == pytest.approx(price, rel=1e-12)


def test_numpy_numbers_are_numbers():
    """A scalar of NumPy, whole or not, is taken like Python's own."""
    assert parse(np.int64(8), "chips") == parse(np.float32(8), "chips") == 8.0


# Another kind of thing, or nothing at all; each must say which unit was expected and show one.
REFUSED = [
    ("80 GB", "B/s"), ("80 GB/s", "B"), ("80 Gb", "B"), ("80 gb", "B"), ("$2", "USD/s"), ("$2/h", "USD"),
    ("$2/Mtok", "USD/s"), ("$2/h", "USD/token"), ("5 TFLOPs", "FLOP/s"), ("5 TFLOPS", "FLOP"), ("5 TB/s", "FLOP/s"),
    ("3 m", "s"), ("GB", "B"), ("", "B"), ("   ", "s"), ("eight", "chips"), ("nan", "B"), ("inf", "B/s"),
    ("1e999", "B"), ("-1e999", "s"), ("3,35 TB/s", "B/s"), ("1,2", "sequences"), ("1,0000", "tokens"), ("5 1", "1"),
    ("1..5", "1"), ("2^30", "B"), ("0x10", "B"), ("8x", "chips"), ("80 GB extra", "B"), ("$$2/h", "USD/s"),
    ("2 tokens", "params"), ("700 W", "kg"), ("$4/Gb", "USD/B"), ("5 GB/", "B/s"), ("20 Mis", "s"),
    ("8 Kitokens/s", "B"),
    (None, "B"), (True, "chips"), ([1], "B"), ({}, "s"), (b"80 GB", "B"), (float("nan"), "B"), (math.inf, "s"),
    (10**400, "B"), (10**5000, "B"), (2 + 1j, "1"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "unit"), REFUSED, ids=[f"case {i}" for i in range(len(REFUSED))])
def test_what_is_no_such_quantity_is_refused(written, unit):
    """A wrong unit, a slip or no number is refused in one line with the unit expected and an example that works."""
    with pytest.raises(BadInput) as refusal:
        parse(written, unit)
    message = str(refusal.value)
    assert "\n" not in message
    assert len(message) < 160
    assert (" a number " if unit == "1" else f" {unit} ") in message or " a finite number " in message
    example = message.split("such as ", 1)[1].split("'")[1]
    assert parse(example, unit) > 0


def outcome(written, unit):
    try:
        return parse(written, unit)
    except BadInput as refusal:
        return str(refusal)


# Near misses: what looks like a quantity and mostly is none.
ALMOST = from_regex(r"[-+$]?[0-9.,_]{1,12}[eE]?[0-9]{0,4} ?[kKMGTPEZi]{0,3}[A-Za-z/$]{0,9}")


@given(text(max_size=40) | ALMOST, sampled_from(UNITS))
def test_any_text_is_a_finite_number_or_a_refusal(written, unit):
    """Whatever is written, the answer is a finite number or one readable line."""
    found = outcome(written, unit)
    assert found.isprintable() if isinstance(found, str) else math.isfinite(found)


@given(integers(0, 10**15))
def test_commas_part_thousands(number):
    """A whole number written with commas between its thousands is that number."""
    assert parse(f"{number:,}", "tokens") == number
