"""Which array library the arguments belong to: NumPy for plain numbers, else the caller's own."""

from __future__ import annotations

from typing import Any

import numpy as np


def namespace(*values: Any) -> Any:
    """The array-API namespace of the arguments that are neither plain numbers nor NumPy arrays.

    Give it every argument of an equation, so that one array among numbers decides. Plain numbers and NumPy arrays give
    NumPy; JAX arrays and tracers give JAX, so that any equation can be differentiated; quantities that follow NumPy's
    protocols (pint's, say) go through NumPy too.
    """
    foreign = [v for v in values if not isinstance(v, (int, float, np.ndarray, np.generic))]
    if not foreign:
        return np
    from array_api_compat import array_namespace, is_array_api_obj  # noqa: PLC0415  (numbers and NumPy do without)

    foreign = [v for v in foreign if is_array_api_obj(v)]
    return array_namespace(*foreign) if foreign else np


def arrays(xp: Any, *values: Any) -> list[Any]:
    """Numbers as arrays of floats where the namespace's functions insist on arrays; NumPy takes both."""
    if xp is np:
        return list(values)
    return [xp.asarray(float(v) if isinstance(v, (int, float)) else v) for v in values]


def standard(xp: Any, name: str, values: Any) -> Any:
    """A function by its name in the standard, for an array; NumPy took up `atan` in 2.0, `cumulative_sum` in 2.1."""
    if not hasattr(xp, name):
        from array_api_compat import array_namespace  # noqa: PLC0415

        xp = array_namespace(values)
    return getattr(xp, name)
