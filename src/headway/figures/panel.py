"""A chart as a plain table: its curves over a shared axis, in which units, and what is marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headway.units import format_si

POINTS = 160  # a smooth curve on paper; the corners stay where they are
MOST_CURVES = 4  # more would not be told apart
# What is drawn for a unit, and its name on paper.
DRAWN_UNITS = {"USD/token": (1e6, "$ per million tokens"), "s": (1e3, "ms"), "B": (1e-9, "GB"), "FLOP": (1e-9, "GFLOP"),
               "params": (1e-9, "billion parameters"), "1": (1.0, "")}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """One line: a label and its values; `role` says which colour and weight it has, `mark` its letter in text.

    `held` is where the memory suffices; the values elsewhere are NaN, unless the question was asked beyond memory.
    `low` and `high` are the ends of its interval, None as long as none has been measured.
    """

    label: str
    values: np.ndarray[Any, Any]
    role: str
    mark: str
    held: np.ndarray[Any, Any]
    low: np.ndarray[Any, Any] | None = None
    high: np.ndarray[Any, Any] | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a pass as a whole, and not one of its terms."""
        return self.role.startswith(("total", "family"))


@dataclass(frozen=True)
class Mark:
    """A place worth naming: a vertical line at x, or a horizontal one at y."""

    label: str
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Panel:
    """One chart: curves over a shared x axis; y is logarithmic, x is too unless `x_linear`."""

    title: str
    x_label: str
    x_unit: str
    y_label: str
    y_unit: str
    x: np.ndarray[Any, Any]
    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...] = field(default=())
    x_linear: bool = False

    def y_range(self) -> tuple[float, float]:
        """Where y begins and ends: a decade or two below the lowest total, so that no vanishing term squashes the rest.

        Of a panel without curves, from 1 to 10.
        """
        totals = [curve.values for curve in self.curves if curve.whole]
        tops = [np.nanmax(curve.values) for curve in self.curves] + [m.y for m in self.marks if m.y is not None]
        if not totals:
            return 1.0, 10.0
        terms = len(totals) < len(self.curves)
        return float(np.nanmin(np.concatenate(totals)) / (50 if terms else 2)), float(max(tops) * 2)

    def told(self) -> str:
        """The chart in a few sentences, for those who do not see it."""
        parts = [f"{self.title}, {plain(self.x[0])} to {plain(self.x[-1])} {self.x_unit}."]
        for curve in self.curves:
            ends = curve.values[np.isfinite(curve.values)][[0, -1]]
            first, last = (format_si(float(value), self.y_unit) for value in ends)
            parts.append(f"{curve.label}: from {first} to {last}.")
        return " ".join(parts + [f"{line}." for line in self.key()])

    def places(self) -> dict[str, Mark]:
        """The marks along x that lie in the picture, from left to right, by the letters that stand for them."""
        inside = [mark for mark in self.marks if mark.x is not None and self.x[0] <= mark.x <= self.x[-1]]
        return dict(zip("ABCDEFGH", sorted(inside, key=lambda mark: mark.x or 0.0), strict=False))

    def key(self) -> list[str]:
        """What the letters stand for, and the marks that lie outside."""
        told = [f"{letter} {mark.label}: {whole(mark.x or 0.0)}" for letter, mark in self.places().items()]
        for mark in self.marks:
            if mark.x is not None and not self.x[0] <= mark.x <= self.x[-1]:
                side = "left" if mark.x < self.x[0] else "right"
                told.append(f"{mark.label}: {whole(mark.x)}, off to the {side}")
        return told


def plain(value: float) -> str:
    """A number without powers of ten: thousands apart, small ones with the digits that they need.

    >>> plain(100000.0), plain(6.0), plain(0.002), plain(1234.5678)
    ('100,000', '6', '0.002', '1,235')
    """
    if value >= 1000:
        return f"{value:,.0f}"
    return str(np.format_float_positional(value, precision=4, fractional=False, trim="-"))


def whole(value: float) -> str:
    """A place along an axis, as whole sequences or tokens where it has ten or more."""
    return f"{value:,.0f}" if value >= 10 else plain(value)
