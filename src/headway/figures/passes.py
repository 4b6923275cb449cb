"""Latency and cost of a pass along an axis, with the terms apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from headway.figures.panel import MOST_CURVES, POINTS, Curve, Mark, Panel, plain
from headway.step.first_order import Pass, evaluate
from headway.step.question import AXES, Question

AXIS_LABELS = {"batch": ("batch", "sequences"), "context_tokens": ("context", "tokens"),
               "pass_tokens": ("pass length", "tokens")}  # fmt: skip
_PLURALS = {"batch": "batches", "context_tokens": "contexts", "pass_tokens": "pass lengths"}
Term = tuple[str, str, str, str]  # label, quantity, role, letter
TERMS: tuple[Term, ...] = (
    ("arithmetic", "t_compute_s", "compute", "a"),
    ("reading weights", "t_weights_s", "weights", "w"),
    ("reading KV cache", "t_kv_s", "kv", "k"),
    ("communication", "t_comm_s", "comm", "c"),
    ("overhead", "t_overhead_s", "overhead", "o"),
)
# Where the pass was taken apart, as far as it has them.
MORE_TERMS: tuple[Term, ...] = (
    ("moving activations", "t_activations_s", "moved", "m"),
    ("hops between stages", "t_hops_s", "hops", "h"),
    ("drafting", "t_draft_s", "draft", "d"),
)
# At first sight: the two of which a pass takes the longer, and what nothing hides where there is any.
TWO_TERMS: tuple[Term, ...] = (TERMS[0], ("memory traffic", "t_memory_s", "memory", "m"), *TERMS[3:])


def varying_axes(result: Pass) -> list[str]:
    """The axes along which a result was asked for more than one value, longest first."""
    sizes = {axis: np.size(getattr(result.question, axis)) for axis in AXES}
    return sorted((axis for axis in AXES if sizes[axis] > 1), key=lambda axis: -sizes[axis])


def caption(result: Pass) -> str:
    """What a picture of the result leaves out, and how far its curves go; empty where there is nothing to say."""
    axes = varying_axes(result)
    told = []
    if len(axes) > 1:
        drawn, all_of_them = len(_chosen(result, axes[1])), np.unique(_values(result, axes[1])).size
        if drawn < all_of_them:
            told.append(f"{drawn} of {all_of_them:,} {_PLURALS[axes[1]]} drawn")
    for axis in axes[2:]:
        told.append(f"drawn at {AXIS_LABELS[axis][0]} {plain(_values(result, axis)[0])}")
    if axes and _values(result, axes[0]).min() == 0 and not _evenly_spaced(_values(result, axes[0])):
        told.append(f"{AXIS_LABELS[axes[0]][0]} 0 has no place on a logarithmic axis")
    if result.sheet.value("system_usd_per_s") is None:
        told.append("no cost: the rent of a chip is not known")
    return "; ".join(told + _memory_ends(result, axes))


def _memory_ends(result: Pass, axes: list[str]) -> list[str]:
    """Where curves of several values end, or that they do not."""
    if len(axes) < 2:
        return []
    chosen = _chosen(result, axes[1])
    fits = np.broadcast_to(result.fits, result.grid)
    for axis in axes[2:]:
        fits = np.take(fits, [0], axis=AXES.index(axis))
    along = _values(result, axes[0])
    fits = np.compress((along > 0) | _evenly_spaced(along), fits, axis=AXES.index(axes[0]))
    rows = np.moveaxis(fits, AXES.index(axes[1]), 0)
    held = {value: rows[position].ravel() for position, value in chosen.items()}
    if all(row.all() for row in held.values()):
        return []
    if result.question.beyond_memory:
        return ["thin where the memory does not suffice"]
    name = AXIS_LABELS[axes[1]][0]
    never = [plain(value) for value, row in held.items() if not row.any()]
    ends = any(row.any() and not row.all() for row in held.values())
    return (["a curve ends where the memory is full"] if ends else []) + (
        [f"{name} {' and '.join(never)} does not fit in memory"] if never else []
    )


def _values(result: Pass, axis: str) -> np.ndarray[Any, Any]:
    return np.asarray(getattr(result.question, axis), dtype=float).ravel()


def _chosen(result: Pass, axis: str) -> dict[int, float]:
    """The values of a second axis that get a curve, by position: all of a few, else the ends and some between."""
    values, positions = np.unique(_values(result, axis), return_index=True)
    take = np.unique(np.linspace(0, values.size - 1, min(values.size, MOST_CURVES)).round().astype(int))
    return {int(positions[i]): float(values[i]) for i in take}


def _evenly_spaced(values: np.ndarray[Any, Any]) -> bool:
    """Whether somebody counted up by equal steps, and not by equal ratios (of which the last may be cut short).

    A range is rounded to whole sequences and tokens, hence the half. Two points are taken for a range of ratios, which
    has no room for zero.
    """
    points = np.unique(values)
    if points.size < 3:
        return bool(points.size == 2 and points[0] == 0)
    if points[0] > 0:
        ratios = (points[1:] / points[:-1])[: max(2, points.size - 2)]
        if np.allclose(ratios, ratios[0], rtol=1e-9):
            return False
    even = np.linspace(points[0], points[-1], points.size)
    return bool(np.abs(points - even).max() <= 0.5 + 1e-9 * points[-1])


def roofline_panels(result: Pass) -> list[Panel]:
    """Latency and cost along the longest axis of a result, with the terms apart.

    The curves are evaluated on an even grid over the asked range, logarithmic or linear as the range is, so that they
    are smooth; the places where they bend or end are points of it. A second axis that varies gives one curve of the
    total for each of its values.
    """
    axes = varying_axes(result)
    axis = axes[0] if axes else "batch"
    asked = np.unique(_values(result, axis))
    linear = _evenly_spaced(asked)
    grid = _grid(asked, linear)
    marks = [Mark("asked", x=float(asked[0]))] if asked.size == 1 else []
    families = _families(result, axes)
    # Of one curve the places are known already: they do not depend on where along the axis one asks.
    ends = [result] if len(families) == 1 else [_evaluated(result, fixed, axis, grid) for _, fixed in families]
    grid = _with_corners(grid, [place for end in ends for place in _places(axis, end)])
    if result.question.degrees is not None:  # a layout deals out whole sequences and tokens
        grid = np.unique(np.round(grid))
    passes = [(label, _evaluated(result, fixed, axis, grid)) for label, fixed in families]
    if len(passes) == 1:  # the places of several would crowd
        marks += _places(axis, passes[0][1])
    blank = Panel("", *AXIS_LABELS[axis], "", "", grid, (), tuple(marks), linear)
    terms = (*TERMS, *(term for term in MORE_TERMS if term[1] in result.sheet))
    return _both(axis, blank, passes, result.question.beyond_memory, (terms, terms))


def panels_over(
    point: Pass, axis: str, rows: Sequence[float], *, time_terms: Sequence[Term], cost_terms: Sequence[Term],
    more: Sequence[Mark] = (),
) -> list[Panel]:  # fmt: skip
    """Latency and cost along one axis of the question of a single point; curves end where the memory is full.

    The axis runs from the first to the last of `rows`, all of which are points of the curves; `more` are further marks.
    """
    places = (*_places(axis, point), *more)
    grid = _with_corners(np.union1d(np.geomspace(rows[0], rows[-1], POINTS), rows), places)
    passes = [("", _evaluated(point, point.question, axis, grid))]
    return _both(axis, Panel("", *AXIS_LABELS[axis], "", "", grid, (), places), passes, False, (time_terms, cost_terms))


def _with_corners(grid: np.ndarray[Any, Any], places: Sequence[Mark]) -> np.ndarray[Any, Any]:
    """A grid with the places where curves bend or end among its points."""
    return np.union1d(grid, [one.x for one in places if one.x is not None and grid[0] < one.x < grid[-1]])


def _both(axis: str, panel: Panel, passes: list[tuple[str, Pass]], beyond: bool,
          terms: tuple[Sequence[Term], Sequence[Term]]) -> list[Panel]:  # fmt: skip
    return [_latency(axis, panel, passes, beyond, terms[0]), *_cost(axis, panel, passes, beyond, terms[1])]


def _grid(asked: np.ndarray[Any, Any], linear: bool) -> np.ndarray[Any, Any]:
    """Even steps or even ratios over what was asked; a single value stands in the middle of a range."""
    if linear:
        return np.linspace(asked[0], asked[-1], POINTS)
    above = asked[asked > 0] if asked[-1] > 0 else np.ones(1)
    low, high = above[0], above[-1]
    if low == high:
        low, high = max(1.0, low / 64), high * 64
    return np.geomspace(low, high, POINTS)


def _families(result: Pass, axes: list[str]) -> list[tuple[str, Question]]:
    """The question with every axis but the drawn one fixed: once, or once for each value of a second axis."""
    question = _asked(result.question, {axis: float(_values(result, axis)[0]) for axis in AXES})
    if len(axes) < 2:
        return [("", question)]
    name, _ = AXIS_LABELS[axes[1]]
    return [(f"{name} {plain(v)}", _asked(question, {axes[1]: v})) for v in _chosen(result, axes[1]).values()]


def _asked(question: Question, along: Mapping[str, Any]) -> Question:
    """The same question with other values along some axes."""
    return replace(question, **along)


def _evaluated(result: Pass, fixed: Question, axis: str, grid: np.ndarray[Any, Any]) -> Pass:
    """The pass along an axis, whether or not the memory suffices."""
    asked = replace(_asked(fixed, {axis: grid}), beyond_memory=True)
    return evaluate(result.model, result.system, asked, result.changes)


def flat(value: Any, size: int) -> np.ndarray[Any, Any] | None:
    """A quantity along the drawn axis; None for a gap."""
    return None if value is None else np.broadcast_to(np.asarray(value, dtype=float).ravel(), (size,))


def _curves(axis: str, panel: Panel, passes: list[tuple[str, Pass]], total: str, beyond: bool,
            terms: Sequence[Term], factor: Any) -> tuple[Curve, ...]:  # fmt: skip
    """The terms of a pass and its total, or the totals of several; they end where the memory is full."""
    wanted = [(passes[0], ("the pass", total, "total", "*"), 1.0)]
    if len(passes) > 1:
        wanted = [(p, (p[0], total, f"family{i}", "ABCD"[i]), 1.0) for i, p in enumerate(passes)]
    elif factor is not None:
        wanted = [*((passes[0], term, factor) for term in terms), *wanted]
    curves = []
    for (_, result), (label, name, role, letter), scale in wanted:
        values = flat(result.sheet.value(name), panel.x.size)
        held = np.broadcast_to(np.asarray(result.fits).ravel(), panel.x.shape) & (panel.x <= _full(axis, result))
        if values is None or values.max() <= 0 or not (beyond or held.any()):
            continue
        shown = np.where(held | beyond, values * scale, np.nan)
        low, high = band(result, name, shown) if name == total else (None, None)
        curves.append(Curve(label, shown, role, letter, held, low, high))
    return tuple(curves)


def band(result: Pass, name: str, shown: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """The interval of a curve where one has been measured; it ends where the curve does."""
    interval = result.sheet.error(name).interval(result.sheet.value(name))
    if interval is None:
        return None, None
    ends = (np.broadcast_to(np.asarray(bound, dtype=float).ravel(), shown.shape) for bound in interval)
    low, high = (np.where(np.isnan(shown), np.nan, end) for end in ends)
    return low, high


def _latency(axis: str, panel: Panel, passes: list[tuple[str, Pass]], beyond: bool, terms: Sequence[Term]) -> Panel:
    drain = Mark("drain time", y=float(passes[0][1].sheet.value("drain_s")))
    curves = _curves(axis, panel, passes, "step_s", beyond, terms, 1.0)
    return replace(panel, title=f"time of one pass against {panel.x_label}", y_label="time", y_unit="s", curves=curves,
                   marks=(drain, *panel.marks))  # fmt: skip


def _cost(axis: str, panel: Panel, passes: list[tuple[str, Pass]], beyond: bool, terms: Sequence[Term]) -> list[Panel]:
    _, first = passes[0]
    price = first.sheet.value("system_usd_per_s")
    if price == 0:
        return []  # a logarithmic axis has no room for what costs nothing
    tokens = np.asarray(first.sheet.value("batch")) * np.asarray(first.sheet.value("pass_tokens"))
    per_token = None if price is None else price / np.broadcast_to(tokens.ravel(), panel.x.shape)
    curves = _curves(axis, panel, passes, "cost_per_token_usd", beyond, terms, per_token)
    if not curves:
        return []
    return [replace(panel, title=f"cost of a token against {panel.x_label}", y_label="cost", y_unit="USD/token",
                    curves=curves)]  # fmt: skip


def _full(axis: str, result: Pass) -> float:
    """The last whole value along an axis that the memory holds."""
    return next((mark.x for mark in _places(axis, result) if mark.label == "memory full" and mark.x), np.inf)


def _places(axis: str, result: Pass) -> tuple[Mark, ...]:
    """Where the picture changes along an axis: balance, and the end of the memory."""
    names = {
        "batch": (("balance, KV left out", "balance_batch"), ("balance batch", "balance_batch_with_kv"),
                  ("memory full", "largest_batch")),
        "context_tokens": (("balance context", "balance_context"), ("memory full", "largest_context")),
        "pass_tokens": (("memory full", "largest_context"),),
    }[axis]  # fmt: skip
    marks = []
    for label, name in names:
        value = result.sheet.value(name)
        if value is not None and np.size(value):
            at = float(np.asarray(value).ravel()[0])
            if axis == "pass_tokens":  # what is left beside the context, for the first pass and for every other
                at += float(np.ravel(result.sheet.value("pass_tokens"))[0] - result.sheet.value("context_tokens"))
            if np.isfinite(at) and at > 0:
                marks.append(Mark(label, x=at))
    return tuple(marks)
