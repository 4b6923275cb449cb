"""The question asked of a pass, and every number that the answer is made from.

Each input is written down once, with its origin: the question's own axes, the model's figures, the system's, and the
defaults. The user's changes take the place of any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headway.catalog import vocabulary
from headway.catalog.entries import LARGEST, SMALLEST
from headway.catalog.store import defaults
from headway.errors import BadInput, UnknownName, shown
from headway.hardware import System, changed_system
from headway.model.config import changed_config
from headway.model.model import Model
from headway.provenance import Origin, Quantity
from headway.units import parse

REFINEMENTS = ("expert-hits", "attention", "communication")
AXES = ("batch", "context_tokens", "pass_tokens")
_FIXED = {"one_sequence"}  # on the worksheet, and not to be set
# Figures of a system that a pass uses, under the names they have on the worksheet.
_FROM_SYSTEM = ("bandwidth_bytes_per_s", "memory_bytes", "scaleup_bytes_per_s", "rental_usd_per_s")
_MAY_BE_ZERO = {"t_comm_s", "t_overhead_s", "lookup_params", "kv_bytes_per_token", "rental_usd_per_s",
                "routed_params", "moe_layers"}  # fmt: skip
_ALSO_ZERO = ("expansion_flop_per_token", "kv_bytes_per_token", "state_bytes", "state_flop")


@dataclass(frozen=True)
class Question:
    """What is asked of a model and a system; the only place where these defaults are written."""

    batch: Any = 8
    context_tokens: Any = 4000
    pass_tokens: Any = 1
    refine: tuple[str, ...] = ()
    beyond_memory: bool = False


def given(model: Model, system: System, asked: Question, changes: dict[str, object]) -> list[Quantity]:
    """Every input of the pass with its origin, the user's changes put in their place."""
    asked_for = Origin("user", "the question")
    shaped = [_along(getattr(asked, axis), position, axis) for position, axis in enumerate(AXES)]
    quantities = [
        Quantity(axis, values, "tokens" if axis.endswith("tokens") else "sequences", asked_for)
        for axis, values in zip(AXES, shaped, strict=True)
    ]
    quantities.append(Quantity("one_sequence", 1.0, "sequences", Origin("default", "what one more sequence adds")))
    quantities += model.quantities()
    quantities.append(Quantity("chips", float(system.chips), "chips", Origin("user", f"--on {system.name}")))
    quantities.append(system.peak(model.weight_dtype))
    quantities += [system.figure(name) for name in _FROM_SYSTEM]
    quantities += defaults().values()
    known = {quantity.name for quantity in quantities} - _FIXED
    for name in changes:
        if name not in known:
            raise UnknownName("quantity to set", name, known)
    changed = [_as_array(_changed(quantity, changes)) for quantity in quantities]
    _check_parts(changed)
    return changed


def changeable(model: Model, system: System) -> list[str]:
    """Names that `changes` may use: every given quantity of the worksheet."""
    return [q.name for q in given(model, system, Question(), {}) if q.name not in _FIXED]


def _as_array(quantity: Quantity) -> Quantity:
    """Plain numbers as NumPy's, whose division by zero is infinity and no exception."""
    value = quantity.value
    return quantity if value is None else replace(quantity, value=np.float64(value) if np.ndim(value) == 0 else value)


def _check_parts(quantities: list[Quantity]) -> None:
    """Refuse a part that is larger than its whole, which only a change of single inputs can bring about."""
    value = {quantity.name: quantity.value for quantity in quantities}
    for part, whole in _PARTS:
        wholes = [value[name] for name in whole]
        if value[part] is None or None in wholes:
            continue
        limit = wholes[0] - sum(wholes[1:])
        if value[part] > limit:
            raise BadInput(f"{part} ({value[part]:g}) cannot exceed {' - '.join(whole)} ({limit:g})")


_PARTS = (
    ("lookup_params", ("total_params",)),
    ("active_params", ("total_params",)),
    ("routed_params", ("total_params", "lookup_params")),
    ("experts_per_token", ("n_experts",)),
    ("moe_layers", ("n_layers",)),
)


def _along(asked: Any, position: int, axis: str) -> Any:
    """One axis of the grid: a list lies along its own dimension, a single number along none."""
    least = 0 if axis == "context_tokens" else 1
    try:
        values = np.asarray(asked, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{axis} must be a number or a list of numbers") from None
    if values.ndim > 1 or values.size == 0:
        raise BadInput(f"{axis} must be a number or a list of numbers")
    if not np.all(np.isfinite(values)) or np.any(values < least) or np.any(values > LARGEST):
        raise BadInput(f"{axis} must be from {least} to {LARGEST:g}, found {shown(values.tolist())}")
    if values.ndim == 0:
        return np.float64(values)
    return values.reshape([-1 if i == position else 1 for i in range(len(AXES))])


def _array(values: np.ndarray[Any, Any], name: str) -> Any:
    """An input as an array that broadcasts with the grid (batch, context, pass length), or adds axes before it."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise BadInput(f"{name} must be a number or an array of numbers, found {shown(values)}") from None


def _changed(quantity: Quantity, changes: Mapping[str, object]) -> Quantity:
    if quantity.name not in changes:
        return quantity
    if quantity.name in AXES:
        option = {"batch": "--batch", "context_tokens": "--context", "pass_tokens": "--pass"}[quantity.name]
        raise BadInput(f"{quantity.name} is set with {option}")
    if quantity.name == "chips":
        raise BadInput("chips is set with the system, such as --on h100-sxm:16")
    text = changes[quantity.name]
    value = _array(text, quantity.name) if isinstance(text, np.ndarray) else parse(text, quantity.unit)
    least = 0.0 if quantity.name in _MAY_BE_ZERO or quantity.name.endswith(_ALSO_ZERO) else SMALLEST
    most = 1.0 if quantity.name == "usable_memory_fraction" else LARGEST
    if not np.all((least <= value) & (value <= most)) or np.any((value > 0) & (value < SMALLEST)):
        asked = ("0 or more" if least == 0 else "positive") if most == LARGEST else "above 0 and at most 1"
        raise BadInput(f"{quantity.name} must be {asked}, found {shown(text)}")
    return Quantity(quantity.name, value, quantity.unit, Origin("user", f"--set {quantity.name}={text}"))


def read_refinements(names: str | Iterable[str]) -> tuple[str, ...]:
    """Refinements as people name them: a name, several with commas, `all`, or `none`.

    >>> read_refinements("attention,expert-hits"), read_refinements(["none"])
    (('attention', 'expert-hits'), ())
    """
    listed = [names] if isinstance(names, str) else list(names)
    if not all(isinstance(name, str) for name in listed):
        raise BadInput(f"refinements are names such as {REFINEMENTS[0]}, found {shown(names)}")
    words = dict.fromkeys(word.strip() for name in listed for word in name.split(","))
    for word in words:
        if word not in (*REFINEMENTS, "all", "none"):
            raise UnknownName("refinement", word, (*REFINEMENTS, "all", "none"))
    return REFINEMENTS if "all" in words else tuple(word for word in words if word != "none")


def settle(model: Model, system: System, changes: Mapping[str, object]) -> tuple[Model, System, dict[str, object]]:
    """Apply the changes that come before the worksheet: fields of the config, figures of the chip and the system.

    A field of the config goes first: hidden_size is on the worksheet too, but changing it there alone would leave the
    parameters as they were. What is left are changes of the worksheet's own inputs.
    """
    inside = changeable(model, system)
    figures = [name for name, word in vocabulary().items() if {"accelerator", "system"} & set(word.of)]
    known = {*inside, *figures, *model.config}
    for name in changes:
        if name not in known:
            raise UnknownName("quantity to set", name, known, where="--explain names the inputs")
    fields = {name: value for name, value in changes.items() if name in model.config}
    outside = {name: value for name, value in changes.items() if name in figures and name not in (*inside, *fields)}
    rest = {name: value for name, value in changes.items() if name not in fields and name not in outside}
    return (
        changed_config(model, fields) if fields else model,
        changed_system(system, outside) if outside else system,
        rest,
    )
