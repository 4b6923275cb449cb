"""One quantity held against another of the same kind: how many times it, or by what share it exceeds it."""

from __future__ import annotations

from typing import Any

Array = Any  # a number or an array of any array-API library


def ratio(quantity: Array, reference: Array) -> Array:
    """How many times a quantity is another of the same kind. [1]

        ratio = quantity / reference

    quantity: what is compared, in any unit [1]
    reference: what it is compared with, in the same unit [1]

    Source: definition.

    >>> ratio(671e9, 37e9)
    18.135...
    """
    return quantity / reference


def excess(quantity: Array, reference: Array) -> Array:
    """Share by which a quantity exceeds another of the same kind; negative where it falls short. [1]

        share = quantity / reference - 1

    quantity: what is compared, in any unit [1]
    reference: what it is compared with, in the same unit [1]

    Source: definition.

    >>> excess(27.2, 19.6)
    0.3877...
    """
    return quantity / reference - 1
