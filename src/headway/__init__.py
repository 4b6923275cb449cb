"""headway: what it costs to serve and train a language model, and why.

>>> import headway
>>> answer = headway.roofline("deepseek-v3", on="gb200-nvl72", batch=[1, 64, 4096], context=1000)
>>> [f"{1e3 * t:.2f} ms" for t in answer.step_s.ravel()]
['1.17 ms', '1.17 ms', '1.67 ms']

`headway.explain(answer, "step_s")` writes out how a number came about. Heavy imports happen where they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"
__all__ = [
    "BadInput",
    "HeadwayError",
    "Infeasible",
    "catalog",
    "describe",
    "equations",
    "explain",
    "load_model",
    "load_system",
    "roofline",
]  # fmt: skip

if TYPE_CHECKING:
    from headway import catalog, equations
    from headway.api import roofline
    from headway.errors import BadInput, HeadwayError, Infeasible
    from headway.explanation import explain
    from headway.hardware import load_system
    from headway.model.config import load_model
    from headway.model.describe import describe

_HOMES = {
    "roofline": "headway.api",
    "explain": "headway.explanation",
    "load_model": "headway.model.config",
    "describe": "headway.model.describe",
    "load_system": "headway.hardware",
    "BadInput": "headway.errors",
    "Infeasible": "headway.errors",
    "HeadwayError": "headway.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import headway` costs next to nothing."""
    import importlib  # noqa: PLC0415

    if name in ("catalog", "equations"):
        return importlib.import_module(f"headway.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'headway' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
