"""How a pass is put into words, tables and JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headway.cli.output import has_null, plain, table, thinned, wrapped
from headway.cli.terms_text import terms_as_json, terms_as_text
from headway.cli.textplot import text_plot
from headway.explanation import explain as derivation
from headway.explanation import origin_text
from headway.figures import caption, roofline_panels, varying_axes
from headway.step.first_order import Pass
from headway.step.question import AXES
from headway.units import format_si
from headway.words import answer, assumed, value_at, why

_KEYS = {"batch": "batch", "context_tokens": "context", "pass_tokens": "pass"}
_PASS_LEVEL = (
    "t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "t_overhead_s", "step_s", "mfu", "mbu", "beat_s",
    "worst_latency_s", "tokens_per_s", "tokens_per_s_per_chip", "tokens_per_s_per_user",
)  # fmt: skip
_LAYOUT_LEVEL = ("t_activations_s", "t_hops_s", "t_draft_s", "comm_s", "t_handover_s", "first_token_s", "made_tokens",
                 "prompt_tokens_per_s",
                 "chip_needed_bytes", "chip_weights_bytes", "chip_kv_bytes", "chip_activation_bytes")  # fmt: skip
_MACHINE_LEVEL = ("ridge", "balance_batch", "balance_batch_with_kv", "balance_context", "drain_s", "largest_batch",
                  "largest_context")  # fmt: skip
_MEMORY_BOUND = "memory-bound at every batch: one sequence's KV takes longer to read than its arithmetic takes"


def as_json(result: Pass, *, explain: bool) -> dict[str, Any]:
    """The result as the keys that DESIGN promises, and the inputs it was made from."""
    shape = [np.size(getattr(result.question, axis)) if _is_list(result, axis) else 1 for axis in AXES]
    system = result.system
    out: dict[str, Any] = {"model": result.model.name, "system": system.name, "chips": system.chips}
    out |= {"domains": system.domains, "domain_chips": system.domain_chips}
    out["axes"] = [_KEYS[axis] for axis in AXES if _is_list(result, axis)]
    for axis in AXES:
        out[_KEYS[axis]] = plain(np.asarray(getattr(result.question, axis), dtype=float))
    for name in _PASS_LEVEL:
        _put(out, name, _squeezed(result, result.value(name), shape), _reason(result, name))
    per_token = result.value("cost_per_token_usd")
    cost = None if per_token is None else _squeezed(result, per_token * 1e6, shape)
    _put(out, "cost_per_mtok_usd", cost, _reason(result, "cost_per_token_usd"))
    _put(out, "bound", _squeezed(result, _masked_words(result), shape), _reason(result, "step_s"))
    out["fits"] = plain(_squeezed(result, result.fits, shape))
    for name in _MACHINE_LEVEL:
        value = result.value(name)
        _put(out, name, None if value is None else _natural(result, value), _reason(result, name))
    for name in ("step_s", "cost_per_mtok_usd"):
        cell = "cost_per_token_usd" if name == "cost_per_mtok_usd" else name
        interval = result.interval(cell)
        factor = 1e6 if name == "cost_per_mtok_usd" else 1.0
        bounds = None if interval is None else [_squeezed(result, b * factor, shape) for b in interval]
        _put(out, f"{name}_interval", bounds, result.interval_reason(cell))
    out |= _of_layout(result, shape)
    out["left_out"] = result.left_out
    out["assumptions"] = assumed(result)
    out["inputs"] = _inputs(result)
    if explain:
        out["explanation"] = derivation(result, at=result.point(result.best)).splitlines()
    return out


def _of_layout(result: Pass, shape: list[int]) -> dict[str, Any]:
    """What only a pass that was taken apart has: its layout, further terms, a chip's memory, and the operators."""
    if not result.rows:
        return {}
    out: dict[str, Any] = {"layout": result.question.layout.text if result.question.layout else None}
    if out["layout"] is None:
        out["layout_reason"] = "all chips share the pass evenly"
    for name in _LAYOUT_LEVEL:
        if name in result.sheet:
            _put(out, name, _squeezed(result, result.value(name), shape), _reason(result, name))
    if result.question.by_operator:
        out["terms_at"] = {_KEYS[axis]: value for axis, value in result.point(result.best).items()}
        out["terms"] = terms_as_json(result)
    return out


def _is_list(result: Pass, axis: str) -> bool:
    return np.ndim(getattr(result.question, axis)) > 0


def _squeezed(result: Pass, value: Any, shape: list[int]) -> Any:
    """A quantity of the pass over the axes that were lists; a list for each, in the order of `axes`."""
    if value is None:
        return None
    kept = tuple(size for size, axis in zip(shape, AXES, strict=True) if _is_list(result, axis))
    if isinstance(value, np.ma.MaskedArray):
        mask = np.broadcast_to(np.ma.getmaskarray(value), shape).reshape(kept)
        return np.ma.masked_array(np.broadcast_to(value.data, shape).reshape(kept), mask)
    return np.broadcast_to(np.asarray(value), shape).reshape(kept)


def _natural(result: Pass, value: Any) -> Any:
    """A quantity of the machine over only those lists on which it depends."""
    array = np.asarray(value)
    if array.ndim == 0:
        return array
    return array.reshape([n for n, axis in zip(array.shape, AXES, strict=True) if n > 1 and _is_list(result, axis)])


def _masked_words(result: Pass) -> Any:
    words = result.bound
    if result.question.beyond_memory or np.all(result.fits):
        return words
    return np.where(result.fits, words, None)


def _put(out: dict[str, Any], key: str, value: Any, reason: str) -> None:
    """A value, and beside it the reason where it is, or holds, null."""
    out[key] = plain(value)
    if has_null(out[key]):
        out[f"{key}_reason"] = reason


def _reason(result: Pass, name: str) -> str:
    gap = result.sheet[name].quantity.gap
    if gap:
        return gap
    if name == "balance_batch_with_kv":
        return _MEMORY_BOUND
    if name in _MACHINE_LEVEL:
        return "no limit: the model keeps no KV cache"
    return "null where fits is false: the memory does not hold the weights and the KV cache"


def _inputs(result: Pass) -> dict[str, Any]:
    """Every quantity given and used, with its unit, and who says so."""
    given = {}
    for cell in result.sheet.used():
        quantity = cell.quantity
        if cell.equation is None and quantity.name not in AXES:
            row = {"value": plain(quantity.value), "unit": quantity.unit, "origin": origin_text(quantity.origin),
                   "sources": [f"{r.where} (read {r.checked})" for r in quantity.origin.references]}  # fmt: skip
            given[quantity.name] = row | ({"value_reason": quantity.gap} if quantity.value is None else {})
    return given


def head(result: Pass) -> str:
    """The answer in a sentence, and why in a few more."""
    return "\n".join([wrapped(answer(result)), wrapped(why(result))])


def as_text(result: Pass, *, explain: bool, chart: bool) -> str:
    """The answer first, then why, the table, and what it rests on."""
    parts = [head(result), "", numbers(result)]
    if result.question.by_operator:
        parts += ["", terms_as_text(result)]
    if chart and varying_axes(result):
        for panel in roofline_panels(result):
            parts += ["", text_plot(panel)]
        parts += [note] if (note := caption(result)) else []
    parts += ["", assumptions(result)]
    if explain:
        parts += ["", derivation(result, at=result.point(result.best))]
    return "\n".join(parts)


def numbers(result: Pass, most: int = 24) -> str:
    """The table: one row for each point, thinned where there are many."""
    count = math.prod(result.grid)
    rows = [_row(result, index) for index in (np.unravel_index(i, result.grid) for i in thinned(count, most))]
    empty = {i for i, column in enumerate(zip(*rows, strict=True)) if set(column) <= {"0", ""}}
    drop = {i for i in empty if _HEADER[i] in ("moved ms", "comm ms", "other ms")} | (
        {2} if {row[2] for row in rows} == {"1"} else set()
    )
    keep = [i for i in range(len(_HEADER)) if i not in drop]
    shown = table([_HEADER[i] for i in keep], [[row[i] for i in keep] for row in rows])
    return shown + (f"\n({count:,} points, {len(rows)} shown; --json has them all)" if count > len(rows) else "")


_HEADER = ("batch", "context", "pass", "compute ms", "weights ms", "KV ms", "moved ms", "comm ms", "other ms",
           "step ms", "tokens/s", "MFU %", "$/Mtok", "bound")  # fmt: skip
# The columns of times, each with the terms that it adds up.
_TIMES = (("t_compute_s",), ("t_weights_s",), ("t_kv_s",), ("t_activations_s",), ("t_comm_s", "t_hops_s"),
          ("t_overhead_s", "t_draft_s"), ("step_s",))  # fmt: skip


def _row(result: Pass, index: Any) -> list[str]:
    """One point of the grid, without numbers where it does not fit."""
    fits = bool(np.broadcast_to(result.fits, result.grid)[index])
    asked = [f"{value_at(result, axis, index):,.0f}" for axis in AXES]
    if not fits and not result.question.beyond_memory:
        return [*asked, *[""] * 10, "does not fit"]
    times = [
        _number(sum(value_at(result, name, index) for name in names if name in result.sheet) * 1e3) for names in _TIMES
    ]
    priced = result.sheet.value("cost_per_token_usd") is not None
    money = _number(value_at(result, "cost_per_token_usd", index) * 1e6) if priced else "unknown"
    rates = [f"{value_at(result, 'tokens_per_s', index):,.0f}", f"{value_at(result, 'mfu', index) * 100:.1f}", money]
    bound = str(np.broadcast_to(result.bound, result.grid)[index])
    return [*asked, *times, *rates, bound if fits else f"{bound}, beyond memory"]


def _number(value: float) -> str:
    return format_si(value, "1") if value < 1e15 else f"{value:.2e}"


def assumptions(result: Pass) -> str:
    """The conventions a reader must know to check the numbers, and what is left out."""
    return "\n".join(["Assumptions", *(wrapped(line, "  - ") for line in assumed(result))])
