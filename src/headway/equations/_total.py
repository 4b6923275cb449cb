"""The sum of as many parts as there are: what the operators of a pass add up to."""

from __future__ import annotations

from typing import Any

Array = Any  # a number or an array of any array-API library


def total(**parts: Array) -> Array:
    """All parts together.

        total = sum of the parts

    Source: operators follow each other.
    """
    first, *rest = parts.values()
    for part in rest:
        first = first + part
    return first
