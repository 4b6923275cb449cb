"""What the computed number says of the stated one. The rules are few and the same for every claim.

* `reproduces`: an exact figure comes out to its last digit, a range holds the number, any other figure is within 5 %.
* `approximate`: within a quarter of the figure, or of the nearer end of the range.
* `fails`: further off.
* `derived`: no number was stated.
* `ambiguous`: what was said may be read in several ways that give different numbers; the ledger lists them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from headway.units import parse

AS_SPOKEN = 0.05  # people round to a digit and a half
NEAR = 0.25
REPRODUCES, APPROXIMATE, AMBIGUOUS, DERIVED, FAILS = "reproduces", "approximate", "ambiguous", "derived", "fails"
NOT_BUILT = "not built yet"
VERDICTS = (REPRODUCES, APPROXIMATE, AMBIGUOUS, DERIVED, FAILS, NOT_BUILT)

_DIGITS = re.compile(r"[-+]?(\d*)\.?(\d*)(?:[eE]([-+]?\d+))?")


@dataclass(frozen=True)
class Figure:
    """A number as stated, and half a unit of the last digit that was printed."""

    value: float
    half_digit: float = 0.0


def figure(text: str, unit: str) -> Figure:
    """A stated figure in a unit.

    >>> figure("2.19e6", "1"), figure("20 ms", "s")
    (Figure(value=2190000.0, half_digit=5000.0), Figure(value=0.02, half_digit=0.0005))
    """
    digits = _DIGITS.match(text.replace(",", ""))
    assert digits is not None  # it matches the empty string
    exponent = int(digits[3] or 0) - len(digits[2])
    suffix = text.replace(",", "")[digits.end() :]
    return Figure(parse(text, unit), parse(f"1e{exponent}{suffix}", unit) / 2)


def of_number(computed: float, stated: Figure, *, exact: bool) -> str:
    """The verdict on a stated figure.

    >>> of_number(5440.5, Figure(2400.0), exact=False), of_number(0.0144, Figure(0.015), exact=False)
    ('fails', 'reproduces')
    """
    off = abs(computed - stated.value)
    allowed = stated.half_digit * (1 + 1e-9) if exact else AS_SPOKEN * abs(stated.value)
    return REPRODUCES if off <= allowed else _near(off, stated.value)


def of_range(computed: float, low: float, high: float) -> str:
    """The verdict on a stated range; an end that is not stated is infinite.

    >>> of_range(3.97, 1.0, 10.0), of_range(98e3, 1e6, math.inf)
    ('reproduces', 'fails')
    """
    if low <= computed <= high:
        return REPRODUCES
    end = low if computed < low else high
    return _near(abs(computed - end), end)


def _near(off: float, stated: float) -> str:
    return APPROXIMATE if math.isfinite(stated) and off <= NEAR * abs(stated) else FAILS
