"""Which array library the arguments belong to: NumPy for plain numbers, else the caller's own."""

from __future__ import annotations

from typing import Any

import numpy as np


def namespace(*values: Any) -> Any:
    """The array-API namespace of the first argument that is not a plain number or a NumPy array.

    Plain numbers and NumPy arrays give NumPy; JAX arrays and tracers give JAX, so that any equation can be
    differentiated; quantities that follow NumPy's protocols (pint's, say) go through NumPy too.
    """
    foreign = [v for v in values if hasattr(v, "__array_namespace__") and not isinstance(v, (np.ndarray, np.generic))]
    if foreign:
        return foreign[0].__array_namespace__()
    if any(type(v).__module__.startswith("torch") for v in values):
        from array_api_compat import array_namespace  # noqa: PLC0415  (torch speaks the standard only through it)

        return array_namespace(*[v for v in values if type(v).__module__.startswith("torch")])
    return np


def arrays(xp: Any, *values: Any) -> list[Any]:
    """Scalars as arrays where the namespace's functions insist on arrays; NumPy takes both."""
    return list(values) if xp is np else [xp.asarray(v) for v in values]
