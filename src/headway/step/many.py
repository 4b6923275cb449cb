"""Many passes in one call: any mix of batch, context, pass length and layout, point by point.

The same worksheet as one pass has, over arrays; what the points have in common stays a single number on it. Long arrays
are taken in parts that fit a core's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headway.errors import BadInput, UnknownName, shown
from headway.hardware import MOST_CHIPS, System
from headway.model.model import Model
from headway.provenance import LazyWorksheet, Worksheet
from headway.step.first_order import write_pass
from headway.step.layout import DEGREES, Layout, refusal
from headway.step.question import AXES, REFINEMENTS, Question

PART = 16384  # points at a time
_DEGREES = (*DEGREES, "redundant_experts")


def steps(
    model: Model,
    system: System,
    *,
    batch: Any,
    context_tokens: Any,
    pass_tokens: Any = 1,
    tensor_parallel: Any = 1,
    pipeline_parallel: Any = 1,
    data_parallel: Any = 1,
    expert_parallel: Any = 1,
    context_parallel: Any = 1,
    redundant_experts: Any = 0,
    padded_heads: bool = False,
    refine: Sequence[str] = REFINEMENTS,
    changes: Mapping[str, object] | None = None,
    want: Sequence[str] = ("step_s",),
    **asked: Any,
) -> dict[str, np.ndarray[Any, Any]]:
    """Passes of a model on a system, as arrays of one shape: all that is asked broadcasts together.

    `want` names quantities of the worksheet, in SI units; "fits" says where the fullest chip holds its share, and
    "refusal" is always there: why no engine can run a layout, "" where one can. Quantities of a refused point are
    infinite. `asked` are further fields of the question, the same for all points (`overlap`, `chunk_tokens`, …).

    Raises `BadInput` for numbers and names that make no sense, and `MissingFact` where a figure is not known.
    """
    given = [_array(one) for one in (
        batch, context_tokens, pass_tokens, tensor_parallel, pipeline_parallel, data_parallel, expert_parallel,
        context_parallel, redundant_experts)]  # fmt: skip
    _check(refine, asked)
    shape = _shape(given)
    points = dict(zip((*AXES, *_DEGREES), (_flat(one, shape) for one in given), strict=True))
    refused = _refusals(model, system, points, shape, padded_heads)
    size = int(np.prod(shape)) if shape else 1
    found = {name: np.empty(size, dtype=bool if name == "fits" else float) for name in want if name != "refusal"}
    for start in range(0, size, PART):
        part = slice(start, start + PART)
        one = _part(model, system, points, part, size, refused, tuple(refine), dict(changes or {}), asked)
        with np.errstate(all="ignore"):  # infinities are answers here
            for name, values in found.items():
                values[part] = one.fits if name == "fits" else _wanted(one.sheet, name)
    for name, values in found.items():
        values[refused != ""] = False if name == "fits" else np.inf
    return {"refusal": refused.reshape(shape)} | {name: values.reshape(shape) for name, values in found.items()}


def _check(refine: Sequence[str], asked: Mapping[str, Any]) -> None:
    for name in refine:
        if name not in REFINEMENTS:
            raise UnknownName("refinement", name, REFINEMENTS)
    if asked.get("layout") is not None:
        raise BadInput("the layout of many passes is given by its degrees, such as tensor_parallel=8")


def _shape(given: Sequence[np.ndarray[Any, Any]]) -> tuple[int, ...]:
    """The shape that all arrays broadcast to."""
    try:
        return np.broadcast_shapes(*(one.shape for one in given))
    except ValueError:
        shapes = ", ".join(dict.fromkeys(str(one.shape) for one in given if one.ndim))
        raise BadInput(f"batch, context, pass length and degrees must broadcast together, found {shapes}") from None


def _wanted(sheet: Worksheet, name: str) -> Any:
    if name not in sheet:
        raise BadInput(f"a pass has no {shown(name)}; --explain names its quantities")
    return sheet.need(name)


def _array(values: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise BadInput("batch, context, pass length and degrees of layouts must be numbers or arrays of them") from None


def _flat(array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> Any:
    """A number as it is; an array laid out along one axis with all others."""
    return array if array.ndim == 0 else np.broadcast_to(array, shape).ravel()


def _part(
    model: Model, system: System, points: Mapping[str, Any], part: slice, size: int, refused: Any,
    refine: tuple[str, ...], changes: dict[str, object], asked: Mapping[str, Any],
) -> Any:  # fmt: skip
    """The pass over some of the points; a refused one is computed as if on one chip, and its numbers thrown away."""
    bad = refused[part] != ""

    def cut(name: str) -> Any:
        values = points[name]
        values = values if np.ndim(values) == 0 else values[part]
        if name in _DEGREES and bad.any():
            return np.where(bad, 0.0 if name == "redundant_experts" else 1.0, values)
        return values

    axes = {axis: cut(axis) for axis in AXES}
    question = Question(
        **axes, refine=refine, beyond_memory=True,
        degrees={name: cut(name) for name in _DEGREES}, aligned=True, **asked,
    )  # fmt: skip
    return write_pass(model, system, question, changes, LazyWorksheet)


def _refusals(
    model: Model, system: System, points: Mapping[str, Any], shape: tuple[int, ...], padded: bool
) -> np.ndarray[Any, Any]:
    """Why a layout cannot be run, point by point; each kind of layout is judged once."""
    size = int(np.prod(shape)) if shape else 1
    degrees = [np.broadcast_to(points[name], (size,)) for name in _DEGREES]
    if all(np.ndim(points[name]) == 0 for name in _DEGREES):
        kinds, which = np.asarray([[float(points[name]) for name in _DEGREES]]), np.zeros(size, dtype=int)
    else:
        table = np.ascontiguousarray(np.stack(degrees, axis=1))
        _, first, which = np.unique(_keys(table), return_index=True, return_inverse=True)
        kinds = table[first]
    reasons = [_refusal(model, system, kind, padded) for kind in kinds]
    return np.asarray(reasons, dtype=object)[which.ravel()]


def _keys(table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A number for each row, the same for like rows; others fall together once in 2^64 or so pairs."""
    keys = np.zeros(len(table), dtype=np.uint64)
    for column in table.T:
        keys = (keys ^ np.ascontiguousarray(column).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def _refusal(model: Model, system: System, kind: Any, padded: bool) -> str:
    whole_numbers = np.all(np.isfinite(kind)) and not np.any(kind % 1)
    if not whole_numbers or min(kind[:-1]) < 1 or kind[-1] < 0 or max(kind) > MOST_CHIPS:
        raise BadInput(f"degrees of a layout are whole numbers from 1 to {MOST_CHIPS:,}, found {kind.tolist()}")
    whole = [int(degree) for degree in kind]
    layout = Layout(**dict(zip(_DEGREES, whole, strict=True)), padded_heads=padded)
    return refusal(model, system.chips, layout)
