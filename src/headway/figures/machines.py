"""Machines side by side: each a dot over the year in which its chip came out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from headway.figures.dots import Dot, Dots
from headway.generations import Generation

# figure -> (title, label and unit of y)
_DRAWN = {
    "ridge_bf16": ("multiply-adds in the time one parameter is read, bf16", "ridge", "1"),
    "drain_s": ("time to read all of the memory once", "drain time", "s"),
    "scaleup_over_scaleout": ("links inside the domain over links out of it", "ratio", "1"),
    "largest_model_params": ("largest model that one domain serves, fp8", "parameters", "params"),
}
QUANTITIES = tuple(_DRAWN)


def machine_dots(machines: Iterable[Generation], quantity: str, chosen: str = "", key: str = "a") -> Dots:
    """One quantity of every machine that has it; the chosen machine is marked with the key of its column."""
    title, label, unit = _DRAWN[quantity]
    dots, absent = [], []
    for machine in machines:
        value, name, chip = machine.value(quantity), machine.system.name, machine.system.chip
        if value is None:
            absent.append(name)
        else:
            year = launch_year(chip.texts.get("launch", ""))
            maker = chip.texts.get("vendor", "others")
            dots.append(Dot(name, maker, year, float(value), key if name == chosen else ""))
    return Dots(title, "launch", "year", label, unit, tuple(dots), tuple(absent))


def launch_year(text: str) -> float | None:
    """A launch as a year with its part: the middle of the month, or of the year where no month is known.

    >>> launch_year("2024-01"), launch_year("2025"), launch_year("")
    (2024.0416666666667, 2025.5, None)
    """
    match = re.fullmatch(r"(\d{4})(?:-(\d{2}))?(?:-\d{2})?", text)
    if match is None:
        return None
    year, month = int(match[1]), match[2]
    return year + ((int(month) - 0.5) / 12 if month else 0.5)
