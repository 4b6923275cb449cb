"""The plain tables behind every chart: what is drawn, in which units, and what is marked.

A figure knows nothing of how it is drawn. The terminal, the image files and the page all draw from these tables, and
print them beside the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from headway.step.first_order import Pass, evaluate
from headway.step.question import AXES, Question

POINTS = 160  # a smooth curve on paper; the corners stay where they are


@dataclass(frozen=True)
class Curve:
    """One line: a label and its values; `role` says which colour and weight it has, `mark` its letter in text."""

    label: str
    values: np.ndarray[Any, Any]
    role: str
    mark: str


@dataclass(frozen=True)
class Mark:
    """A place worth naming: a vertical line at x, or a horizontal one at y."""

    label: str
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Panel:
    """One chart: curves over a shared x axis, both axes logarithmic."""

    title: str
    x_label: str
    x_unit: str
    y_label: str
    y_unit: str
    x: np.ndarray[Any, Any]
    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...] = field(default=())


AXIS_LABELS = {"batch": ("batch", "sequences"), "context_tokens": ("context", "tokens"),
               "pass_tokens": ("pass length", "tokens")}  # fmt: skip
TERMS = (
    ("arithmetic", "t_compute_s", "compute", "a"),
    ("reading weights", "t_weights_s", "weights", "w"),
    ("reading KV cache", "t_kv_s", "kv", "k"),
    ("communication", "t_comm_s", "comm", "c"),
    ("overhead", "t_overhead_s", "overhead", "o"),
)


def varying_axes(result: Pass) -> list[str]:
    """The axes along which a result was asked for more than one value, longest first."""
    sizes = {axis: np.size(getattr(result.question, axis)) for axis in AXES}
    return sorted((axis for axis in AXES if sizes[axis] > 1), key=lambda axis: -sizes[axis])


def roofline_panels(result: Pass, changes: dict[str, Any] | None = None) -> list[Panel]:
    """Latency and cost along the longest axis of a result, with the terms apart.

    The curves are evaluated on an even logarithmic grid over the asked range, so that they are smooth. A second axis
    that varies gives one curve of the total for each of its values.
    """
    axes = varying_axes(result)
    axis = axes[0] if axes else "batch"
    asked = np.sort(np.asarray(getattr(result.question, axis), dtype=float).ravel())
    low, high = max(asked[0], 1.0), max(asked[-1], 1.0)
    if low == high:
        low, high = max(1.0, low / 64), high * 64
    grid = np.geomspace(low, high, POINTS)
    others = _families(result, axes[1:2])
    passes = [
        (label, evaluate(result.model, result.system, _asked(fixed, {axis: grid}, beyond_memory=True), changes))
        for label, fixed in others
    ]
    beyond = result.question.beyond_memory
    return [_latency(axis, grid, passes, beyond), *_cost(axis, grid, passes, beyond)]


def _families(result: Pass, second: list[str]) -> list[tuple[str, Any]]:
    """The question with every axis but the drawn one fixed: once, or once for each value of a second axis."""
    first = {axis: float(np.asarray(getattr(result.question, axis), dtype=float).ravel()[0]) for axis in AXES}
    question = _asked(result.question, first)
    if not second:
        return [("", question)]
    name, _ = AXIS_LABELS[second[0]]
    values = np.asarray(getattr(result.question, second[0]), dtype=float).ravel()
    chosen = values[np.unique(np.linspace(0, values.size - 1, min(values.size, 4)).round().astype(int))]
    return [(f"{name} {v:,.0f}", _asked(question, {second[0]: float(v)})) for v in chosen]


def _asked(question: Question, along: Mapping[str, Any], **how: Any) -> Question:
    """The same question with other values along some axes."""
    return replace(question, **along, **how)


def _flat(result: Pass, name: str, size: int) -> np.ndarray[Any, Any] | None:
    value = result.sheet.value(name)
    return None if value is None else np.broadcast_to(np.asarray(value, dtype=float).ravel(), (size,))


def _total(passes: list[tuple[str, Pass]], name: str, size: int, beyond: bool) -> list[Curve]:
    """The total of each pass, which ends where the memory is full."""
    curves = []
    for i, (label, result) in enumerate(passes):
        values = _flat(result, name, size)
        if values is not None:
            held = np.broadcast_to(result.fits.ravel(), values.shape) | beyond
            curves.append(
                Curve(label or "the pass", np.where(held, values, np.nan), f"total{i}", "*" if not label else "ABCD"[i])
            )
    return curves


def _latency(axis: str, grid: np.ndarray[Any, Any], passes: list[tuple[str, Pass]], beyond: bool) -> Panel:
    _, first = passes[0]
    curves = []
    if len(passes) == 1:
        for label, name, role, mark in TERMS:
            values = _flat(first, name, grid.size)
            if values is not None and values.max() > 0:
                curves.append(Curve(label, values, role, mark))
    curves += _total(passes, "step_s", grid.size, beyond)
    drain = float(first.sheet.value("drain_s"))
    return _panel(
        "time of one pass", axis, "time", "s", grid, curves, (Mark("drain time", y=drain), *_places(axis, passes))
    )


def _cost(axis: str, grid: np.ndarray[Any, Any], passes: list[tuple[str, Pass]], beyond: bool) -> list[Panel]:
    _, first = passes[0]
    curves = []
    price = first.sheet.value("system_usd_per_s")
    if price == 0:
        return []  # a logarithmic axis has no room for what costs nothing
    tokens = np.broadcast_to(
        (np.asarray(first.sheet.value("batch")) * np.asarray(first.sheet.value("pass_tokens"))).ravel(), grid.shape
    )
    if price is not None and len(passes) == 1:
        for label, name, role, mark in TERMS:
            values = _flat(first, name, grid.size)
            if values is not None and values.max() > 0:
                curves.append(Curve(label, values * price / tokens, role, mark))
    curves += _total(passes, "cost_per_token_usd", grid.size, beyond)
    if not curves:
        return []
    return [_panel("cost of a token", axis, "cost", "USD/token", grid, curves, _places(axis, passes))]


def _places(axis: str, passes: list[tuple[str, Pass]]) -> tuple[Mark, ...]:
    """Where the picture changes along an axis: balance, and the end of the memory; for one pass alone, not to crowd."""
    if len(passes) > 1:
        return ()
    _, result = passes[0]
    places = {
        "batch": (("balance, KV left out", "balance_batch"), ("balance batch", "balance_batch_with_kv"),
                  ("memory full", "largest_batch")),
        "context_tokens": (("balance context", "balance_context"), ("memory full", "largest_context")),
        "pass_tokens": (),
    }[axis]  # fmt: skip
    marks = []
    for label, name in places:
        value = result.sheet.value(name)
        if value is not None and np.size(value):
            at = float(np.asarray(value).ravel()[0])
            if np.isfinite(at) and at > 0:
                marks.append(Mark(label, x=at))
    return tuple(marks)


def _panel(title: str, axis: str, y_label: str, y_unit: str, x: np.ndarray[Any, Any], curves: list[Curve],
           marks: tuple[Mark, ...]) -> Panel:  # fmt: skip
    x_label, x_unit = AXIS_LABELS[axis]
    return Panel(f"{title} against {x_label}", x_label, x_unit, y_label, y_unit, x, tuple(curves), marks)
