"""How a pass is put into words, tables and JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headway.cli.output import has_null, plain, table, thinned, wrapped
from headway.cli.textplot import text_plot
from headway.explanation import explain as derivation
from headway.explanation import origin_text
from headway.figures import AXIS_LABELS, caption, roofline_panels, varying_axes
from headway.step.first_order import Pass
from headway.step.question import AXES
from headway.units import format_si

_KEYS = {"batch": "batch", "context_tokens": "context", "pass_tokens": "pass"}
_PASS_LEVEL = (
    "t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "t_overhead_s", "step_s", "mfu", "mbu", "beat_s",
    "worst_latency_s", "tokens_per_s", "tokens_per_s_per_chip", "tokens_per_s_per_user",
)  # fmt: skip
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
    out["left_out"] = result.left_out
    out["assumptions"] = _assumed(result)
    out["inputs"] = _inputs(result)
    if explain:
        out["explanation"] = derivation(result, at=result.point(result.best)).splitlines()
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


def title(result: Pass) -> str:
    """The result's name for a picture: model, system, and the axes that are neither drawn nor left at one token."""
    drawn = (varying_axes(result) or ["batch"])[0]
    words = []
    for axis in AXES:
        value = float(np.ravel(getattr(result.question, axis))[0])
        name, _ = AXIS_LABELS[axis]
        if axis != drawn and result.grid[AXES.index(axis)] == 1 and (axis, value) != ("pass_tokens", 1.0):
            words.append(f"{name} {value:,.0f}")
    return ", ".join([f"{result.model.name} on {result.system.name}", *words])


def head(result: Pass) -> str:
    """The answer in a sentence, and why in a few more."""
    return "\n".join([wrapped(_answer(result)), wrapped(_why(result))])


def as_text(result: Pass, *, explain: bool, chart: bool) -> str:
    """The answer first, then why, the table, and what it rests on."""
    parts = [head(result), "", numbers(result)]
    if chart and varying_axes(result):
        for panel in roofline_panels(result):
            parts += ["", text_plot(panel)]
        parts += [note] if (note := caption(result)) else []
    parts += ["", assumptions(result)]
    if explain:
        parts += ["", derivation(result, at=result.point(result.best))]
    return "\n".join(parts)


def _at(result: Pass, name: str, index: tuple[int, ...]) -> float:
    return float(np.broadcast_to(np.asarray(result.sheet.value(name)), result.grid)[index])


def _answer(result: Pass) -> str:
    """One sentence: how long a pass takes, what it makes and costs."""
    best = result.best
    batch, ctx, new = (_at(result, axis, best) for axis in AXES)
    carried = f"{batch:,.0f} sequence{'s' if batch != 1 else ''}"
    carried += f" of {new:,.0f} new tokens each" if new != 1 else ""
    all_fit = bool(np.all(result.fits))
    cheapest = f"Cheapest of what {'was asked' if all_fit else 'fits'}: a pass of {carried}"
    opening = cheapest if varying_axes(result) else f"One pass of {carried}"
    step, rate = _at(result, "step_s", best), _at(result, "tokens_per_s", best)
    text = (f"{opening} at {ctx:,.0f} tokens of context takes {format_si(step, 's')} on {result.system.name}: "
            f"{rate:,.0f} tokens/s")  # fmt: skip
    if not np.broadcast_to(result.fits, result.grid)[best]:
        text = f"Beyond what the memory holds: {text[0].lower()}{text[1:]}"
    if result.sheet.value("cost_per_token_usd") is None:
        return f"{text}; the cost is not known ({result.sheet['cost_per_token_usd'].quantity.gap})."
    return f"{text}, {format_si(_at(result, 'cost_per_token_usd', best), 'USD/token')}."


def _why(result: Pass) -> str:
    """What binds that pass, and what would change it."""
    best = result.best
    bound = str(np.broadcast_to(result.bound, result.grid)[best])
    words = {"weights": "reading weights", "kv": "reading KV cache", "compute": "arithmetic",
             "communication": "communication", "overhead": "overhead"}  # fmt: skip
    text = f"It is bound by {words[bound]}." + _balance(result, best, bound)
    largest = _at(result, "largest_batch", best)
    if np.isfinite(largest):
        text += f" Memory holds {largest:,.0f} such sequence{'s' * (largest != 1)}."
    step, drain = (format_si(_at(result, name, best), "s") for name in ("step_s", "drain_s"))
    return (f"{text} Back to back, a batch leaves every {step}; the memory, when full, drains in {drain}, the longest "
            "pass that reads no byte twice.")  # fmt: skip


def _balance(result: Pass, best: tuple[int, ...], bound: str) -> str:
    """Where arithmetic takes over from memory, or why it never does."""
    balance, blackboard = _at(result, "balance_batch_with_kv", best), _at(result, "balance_batch", best)
    if not np.isfinite(balance):
        text = " At this context it is memory-bound at every batch"
        if result.sheet.value("balance_context") is None:
            return f"{text}: one sequence's KV takes longer to read than its arithmetic takes."
        context = _at(result, "balance_context", best)
        return (f"{text}: from {context:,.0f} tokens on, one sequence's KV takes longer to read than its arithmetic "
                "takes.")  # fmt: skip
    if balance < 1:
        return " Even a single sequence is past the balance of arithmetic and memory."
    left_out = f" ({blackboard:,.0f} with KV reads left out)" if round(balance) != round(blackboard) else ""
    if bound == "compute":
        return f" A batch of {balance:,.0f}{left_out} would already balance arithmetic and memory."
    return f" Arithmetic takes over at a batch of {balance:,.0f}{left_out}."


def numbers(result: Pass, most: int = 16) -> str:
    """The table: one row for each point, thinned where there are many."""
    count = math.prod(result.grid)
    rows = [_row(result, index) for index in (np.unravel_index(i, result.grid) for i in thinned(count, most))]
    empty = {i for i, column in enumerate(zip(*rows, strict=True)) if set(column) <= {"0", ""}}
    drop = {i for i in empty if _HEADER[i] in ("comm ms", "other ms")} | (
        {2} if {row[2] for row in rows} == {"1"} else set()
    )
    keep = [i for i in range(len(_HEADER)) if i not in drop]
    shown = table([_HEADER[i] for i in keep], [[row[i] for i in keep] for row in rows])
    return shown + (f"\n({count:,} points, {len(rows)} shown; --json has them all)" if count > len(rows) else "")


_HEADER = ("batch", "context", "pass", "compute ms", "weights ms", "KV ms", "comm ms", "other ms", "step ms",
           "tokens/s", "MFU %", "$/Mtok", "bound")  # fmt: skip


def _row(result: Pass, index: Any) -> list[str]:
    """One point of the grid, without numbers where it does not fit."""
    fits = bool(np.broadcast_to(result.fits, result.grid)[index])
    asked = [f"{_at(result, axis, index):,.0f}" for axis in AXES]
    if not fits and not result.question.beyond_memory:
        return [*asked, *[""] * 9, "does not fit"]
    times = [
        _number(_at(result, name, index) * 1e3)
        for name in ("t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "t_overhead_s", "step_s")
    ]
    priced = result.sheet.value("cost_per_token_usd") is not None
    money = _number(_at(result, "cost_per_token_usd", index) * 1e6) if priced else "unknown"
    rates = [f"{_at(result, 'tokens_per_s', index):,.0f}", f"{_at(result, 'mfu', index) * 100:.1f}", money]
    bound = str(np.broadcast_to(result.bound, result.grid)[index])
    return [*asked, *times, *rates, bound if fits else f"{bound}, beyond memory"]


def _number(value: float) -> str:
    return format_si(value, "1") if value < 1e15 else f"{value:.2e}"


def assumptions(result: Pass) -> str:
    """The conventions a reader must know to check the numbers, and what is left out."""
    return "\n".join(["Assumptions", *(wrapped(line, "  - ") for line in _assumed(result))])


def _assumed(result: Pass) -> list[str]:
    """The assumptions, one to a line."""
    model, system, sheet = result.model, result.system, result.sheet
    flop, price = sheet["flop_per_s"].quantity, sheet["rental_usd_per_s"].quantity
    rate = f"arithmetic at {format_si(float(np.max(flop.value)), 'FLOP/s')} a chip"
    kv = f", KV cache in {model.kv_dtype.name}" if model.architecture else ""
    lines = [
        "; ".join(filter(None, (f"{model.stored_as()}{kv}", rate, flop.origin.note.split(";")[0]))),
        "1 multiply-add = 2 FLOP; dense peaks and data-sheet rates, without efficiency; links count one way; tokens/s "
        "are of the whole system",
        f"{float(np.max(sheet.value('usable_memory_fraction'))):.0%} of memory usable; {_together(system)}",
    ]  # fmt: skip
    if price.value is not None:
        note = f" ({price.origin.note})" if price.origin.note else ""
        lines.append(f"rent of {format_si(float(np.max(price.value)), 'USD/s')} a chip, {price.origin.kind}{note}")
    if model.lookup_params:
        lines.append(f"{format_si(model.active_params, 'params')} are multiplied per token: the input embedding "
                     f"({format_si(model.lookup_params, 'params')}) is looked up, not streamed")  # fmt: skip
    longest = float(np.max(np.asarray(sheet.value("context_tokens")))) + float(np.max(sheet.value("pass_tokens")))
    if model.positions is not None and longest > model.positions:
        lines.append(f"{longest:,.0f} tokens are more than the {model.positions:,} positions of the model's config")
    refinements = ", ".join(name for name in result.left_out if name != "overhead")
    overhead = "overhead (--set t_overhead_s=...)" if "overhead" in result.left_out else ""
    if left_out := ", ".join(filter(None, (refinements and f"{refinements} (--refine adds them)", overhead))):
        lines.append(f"left out: {left_out}")
    lines += [f"--set {name} changes nothing here" for name in result.without_effect]
    lines.append(f"no error bar: {result.interval_reason('step_s')}")
    return lines


def _together(system: Any) -> str:
    """How the chips share the work, and what lies between them that is not counted."""
    if system.chips == 1:
        return "one chip"
    text = f"all {system.chips:,} chips work at the same moment and share weights and KV evenly"
    if system.domains == 1:
        return text
    return (f"{text}, though they are {system.domains:,} scale-up domains of {system.domain_chips:,} and the network "
            "between is not counted")  # fmt: skip
