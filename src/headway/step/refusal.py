"""Why a pass does not fit, with the arithmetic and the nearest things that do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from headway.hardware import MOST_CHIPS
from headway.step.layout import Layout, refusal
from headway.step.question import AXES
from headway.units import format_si


def does_not_fit(result: Any, again: Callable[..., Any]) -> str:
    """The arithmetic of a refusal, for the smallest point asked, and the nearest things that fit.

    `again` writes a pass of a model on a system down, as it is asked, with changes.
    """
    return _of_chip(result, again) if "chip_needed_bytes" in result.sheet else _of_system(result)


def _of_system(result: Any) -> str:
    value, system = result.sheet.value, result.system
    weights, usable, share = (value(name) for name in ("stored_weight_bytes", "usable_bytes", "usable_memory_fraction"))
    head = f"{result.model.name} does not fit on {system.name}"
    room = f"{system.chips} x {format_si(value('memory_bytes'), 'B')} x {share:g} = {format_si(usable, 'B')}"
    chip_bytes = value("memory_bytes") * share
    if weights > usable:
        return (f"{head}: weights {format_si(weights, 'B')} > {room}; the weights alone need "
                f"{np.ceil(weights / chip_bytes):,.0f} chips, or a narrower --weight-dtype")  # fmt: skip
    needed = float(np.min(value("needed_bytes")))
    chips = np.ceil(needed / chip_bytes)
    more = [f"{chips:,.0f} chips"] if chips <= MOST_CHIPS else []
    cache = f"{_asked(result, 'needed_bytes')} {format_si(needed - weights, 'B')}"
    return f"{head}: weights {format_si(weights, 'B')} + {cache} > {room}; {_fits_with(result, more)}"


def _of_chip(result: Any, again: Callable[..., Any]) -> str:
    """Of the fullest chip of a layout, part by part."""
    value, asked = result.sheet.value, result.question
    text = asked.layout.text if asked.layout else "this layout"
    head = f"{result.model.name} as {text} does not fit on {result.system.name}"
    weights, memory = float(np.max(value("chip_weights_bytes"))), value("memory_bytes")
    needed = np.broadcast_to(value("chip_needed_bytes"), result.grid)
    place = int(np.argmin(needed))
    kv, moved = (float(np.broadcast_to(value(name), result.grid).ravel()[place])
                 for name in ("chip_kv_bytes", "chip_activation_bytes"))  # fmt: skip
    drafter = sum(_at(result, name, place) for name in _OF_DRAFTER)
    rest = float(needed.ravel()[place]) - weights - kv - moved - drafter
    batch, tokens = _point(result, "chip_needed_bytes")
    each = _at(result, "rank_sequences", place)
    beside = f"the drafter {format_si(drafter, 'B')} + " if drafter else ""
    sums = (f"weights {format_si(weights, 'B')} + KV cache {format_si(kv, 'B')} ({each:,.0f} of {batch:,.0f} sequences"
            f", {tokens:,.0f} tokens each) + activations {format_si(moved, 'B')} + "
            f"{beside}runtime and buffers {format_si(rest, 'B')} > {format_si(memory, 'B')} of a chip")  # fmt: skip
    if weights + rest > memory:
        return f"{head}: {sums}; the weights alone are too many{_wider(result, again)}"
    if weights + rest + drafter > memory:
        return f"{head}: {sums}; without the drafter, or with a smaller one, the weights would fit"
    return f"{head}: {sums}; {_fits_with(result, [])}"


_OF_DRAFTER = ("draft_weights_bytes", "draft_kv_bytes", "draft_activation_bytes")
_WIDER = ("tensor_parallel", "data_parallel", "pipeline_parallel")


def _at(result: Any, name: str, place: int) -> float:
    """A quantity at a place of the grid; nothing where the sheet has none."""
    if name not in result.sheet:
        return 0.0
    return float(np.broadcast_to(result.sheet.value(name), result.grid).ravel()[place])


def _wider(result: Any, again: Callable[..., Any]) -> str:
    """The layout with fewest chips that holds the weights, of those that widen one degree; or a narrower format."""
    layout, found = result.question.layout, []
    for degree in _WIDER if layout is not None else ():
        wider = layout
        while wider.chips <= _MOST_TRIED:
            own = {"expert_parallel": 2 * wider.expert_parallel} if degree == "data_parallel" else {}
            wider = replace(wider, **{degree: 2 * getattr(wider, degree)}, **own)
            if refusal(result.model, MOST_CHIPS, wider):
                break
            if _holds_weights(result, wider, again):
                found.append(wider)
                break
    if not found:
        return ": more tp, pp or ep, or a narrower --weight-dtype"
    nearest = min(found, key=lambda one: one.chips)
    return f"; {nearest.text} on {nearest.chips} chips would hold them, or a narrower --weight-dtype"


_MOST_TRIED = 512


def _holds_weights(result: Any, layout: Layout, again: Callable[..., Any]) -> bool:
    """Whether a layout has room for the weights and a sequence."""
    asked = replace(result.question, layout=layout, degrees=None, batch=1.0, beyond_memory=True, draft=None,
                    chunk_tokens=0.0, chunk_context_tokens=0.0, handed_over=False)  # fmt: skip
    system = replace(result.system, chips=max(result.system.chips, layout.chips))
    return bool(np.any(again(result.model, system, asked, result.changes).fits))


def _asked(result: Any, needed: str) -> str:
    """The smallest point that was asked for."""
    batch, tokens = _point(result, needed)
    return f"{batch:,.0f} x {tokens:,.0f} tokens of KV cache"


def _point(result: Any, needed: str) -> tuple[float, float]:
    """Sequences, and tokens of each, where least memory is needed."""
    all_needed = np.broadcast_to(result.sheet.value(needed), result.grid)
    smallest = np.unravel_index(int(np.argmin(all_needed)), result.grid)
    batch, context, passed = (
        float(np.ravel(getattr(result.question, axis))[i]) for axis, i in zip(AXES, smallest, strict=True)
    )
    return batch, context + passed


def _fits_with(result: Any, more: list[str]) -> str:
    batch, tokens = (float(np.max(result.sheet.value(name))) for name in ("largest_batch", "largest_context"))
    ways = [f"{batch:,.0f} such sequences"] if batch >= 1 else []
    ways += [f"{tokens:,.0f} tokens of context"] if tokens >= 1 else []
    return f"it fits with {', or with '.join([*ways, *more]) or 'nothing that can be asked for'}"
