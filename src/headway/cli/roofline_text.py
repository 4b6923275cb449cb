"""How a pass is put into words, tables and JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from headway.cli.output import has_null, plain, table, thinned, wrapped
from headway.cli.textplot import text_plot
from headway.explanation import explain as derivation
from headway.explanation import origin_text
from headway.figures import AXIS_LABELS, roofline_panels, varying_axes
from headway.step.first_order import Pass
from headway.step.question import AXES, REFINEMENTS
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
    out: dict[str, Any] = {"model": result.model.name, "system": result.system.name, "chips": result.system.chips}
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
    out["left_out"] = [name for name in REFINEMENTS if name not in result.question.refine]
    out["inputs"] = _inputs(result)
    if explain:
        out["explanation"] = derivation(result).splitlines()
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
    """Every given quantity with its unit, and who says so."""
    given = {}
    for cell in result.sheet:
        quantity = cell.quantity
        if cell.equation is None and quantity.name not in AXES:
            row = {"value": plain(quantity.value), "unit": quantity.unit, "origin": origin_text(quantity.origin),
                   "sources": [f"{r.where} (read {r.checked})" for r in quantity.origin.references]}  # fmt: skip
            given[quantity.name] = row | ({"value_reason": quantity.gap} if quantity.value is None else {})
    return given


def title(result: Pass) -> str:
    """The result's name for a picture."""
    fixed = [axis for axis in AXES if np.size(getattr(result.question, axis)) == 1]
    words = []
    for axis in fixed:
        value = float(np.asarray(getattr(result.question, axis)).ravel()[0])
        name, unit = AXIS_LABELS[axis]
        if axis != "pass_tokens" or value != 1:
            words.append(f"{name} {format_si(value, unit)}")
    return ", ".join([f"{result.model.name} on {result.system.name}", *words])


def as_text(result: Pass, changes: dict[str, Any], *, explain: bool, chart: bool) -> str:
    """The answer first, then why, the table, and what it rests on."""
    parts = [wrapped(_answer(result)), wrapped(_why(result)), "", numbers(result)]
    if chart and varying_axes(result):
        for panel in roofline_panels(result, changes):
            parts += ["", text_plot(panel)]
    parts += ["", _assumptions(result)]
    if explain:
        best = np.unravel_index(_best(result), np.broadcast_shapes(np.shape(result.sheet.value("step_s")), (1, 1, 1)))
        at = {axis: float(np.ravel(getattr(result.question, axis))[i])
              for axis, i in zip(AXES, best, strict=True) if np.size(getattr(result.question, axis)) > 1}  # fmt: skip
        where = ", ".join(f"{_KEYS[axis]} {value:,.0f}" for axis, value in at.items())
        parts += ["", f"Written out for {where}." if where else "", derivation(result, at=at)]
    return "\n".join(parts)


def _best(result: Pass) -> int:
    """The point to speak of: the cheapest that fits, or the fastest per token where no price is known."""
    value = result.value("cost_per_token_usd")
    if value is None:
        value = 1 / result.value("tokens_per_s")
    full = np.ma.masked_array(np.broadcast_to(value, np.broadcast_shapes(np.shape(value), (1, 1, 1))))
    return int(np.ma.argmin(full))


def _at(result: Pass, name: str, position: int) -> float:
    grid = np.broadcast_shapes(np.shape(result.sheet.value("step_s")), (1, 1, 1))
    return float(np.broadcast_to(np.asarray(result.sheet.value(name)), grid).ravel()[position])


def _answer(result: Pass) -> str:
    """One sentence: how long a pass takes, what it makes and costs."""
    best = _best(result)
    batch, ctx, new = (_at(result, axis, best) for axis in AXES)
    carried = f"{batch:,.0f} sequence{'s' if batch != 1 else ''}"
    carried += f" of {new:,.0f} new tokens each" if new != 1 else ""
    many = len(varying_axes(result)) > 0
    head = f"Cheapest of what was asked: a pass of {carried}" if many else f"One pass of {carried}"
    step, rate = _at(result, "step_s", best), _at(result, "tokens_per_s", best)
    text = (f"{head} at {ctx:,.0f} tokens of context takes {format_si(step, 's')} on {result.system.name}: "
            f"{rate:,.0f} tokens/s")  # fmt: skip
    if result.sheet.value("cost_per_token_usd") is None:
        return f"{text}; the cost is not known ({result.sheet['cost_per_token_usd'].quantity.gap})."
    return f"{text}, {format_si(_at(result, 'cost_per_token_usd', best), 'USD/token')}."


def _why(result: Pass) -> str:
    """What binds that pass, and what would change it."""
    best = _best(result)
    grid = np.broadcast_shapes(np.shape(result.sheet.value("step_s")), (1, 1, 1))
    bound = str(np.broadcast_to(result.bound, grid).ravel()[best])
    words = {"weights": "reading weights", "kv": "reading KV cache", "compute": "arithmetic",
             "communication": "communication"}  # fmt: skip
    text = f"It is bound by {words[bound]}." + _balance(result, best, bound)
    largest = _at(result, "largest_batch", best)
    held = f" Memory holds {largest:,.0f} such sequences." if np.isfinite(largest) else ""
    beat, drain = (format_si(_at(result, name, best), "s") for name in ("beat_s", "drain_s"))
    why = "the time in which the memory drains" if beat == drain else f"the pass, longer than the drain time of {drain}"
    return f"{text}{held} A batch leaves every {beat} ({why}), so a token waits at most that long."


def _balance(result: Pass, best: int, bound: str) -> str:
    """Where arithmetic takes over from memory, or why it never does."""
    balance, blackboard = _at(result, "balance_batch_with_kv", best), _at(result, "balance_batch", best)
    if not np.isfinite(balance):
        context = _at(result, "balance_context", best)
        return (f" At this context it is memory-bound at every batch: from {context:,.0f} tokens on, one sequence's KV "
                "takes longer to read than its arithmetic takes.")  # fmt: skip
    left_out = f" ({blackboard:,.0f} with KV reads left out)" if round(balance) != round(blackboard) else ""
    if bound == "compute":
        return f" A batch of {balance:,.0f}{left_out} would already balance arithmetic and memory."
    return f" Arithmetic takes over at a batch of {balance:,.0f}{left_out}."


def numbers(result: Pass, most: int = 16) -> str:
    """The table: one row for each point, thinned where there are many."""
    grid = np.broadcast_shapes(np.shape(result.sheet.value("step_s")), (1, 1, 1))
    count = int(np.prod(grid))
    fits = np.broadcast_to(result.fits, grid).ravel() | result.question.beyond_memory
    bound = np.broadcast_to(result.bound, grid).ravel()
    rows = []
    for i in thinned(count, most):
        head = [f"{_at(result, axis, i):,.0f}" for axis in AXES]
        if not fits[i]:
            rows.append([*head, *[""] * 8, "does not fit"])
            continue
        scaled = (("t_compute_s", 1e3), ("t_weights_s", 1e3), ("t_kv_s", 1e3), ("t_comm_s", 1e3), ("step_s", 1e3))
        times = [_number(_at(result, name, i) * scale) for name, scale in scaled]
        cost = result.sheet.value("cost_per_token_usd")
        money = "unknown" if cost is None else _number(_at(result, "cost_per_token_usd", i) * 1e6)
        mfu = f"{_at(result, 'mfu', i) * 100:.1f}"
        rows.append([*head, *times, f"{_at(result, 'tokens_per_s', i):,.0f}", mfu, money, str(bound[i])])
    header = ["batch", "context", "pass", "compute ms", "weights ms", "KV ms", "comm ms", "step ms", "tokens/s",
              "MFU %", "$/Mtok", "bound"]  # fmt: skip
    drop = {
        i for i, column in enumerate(zip(*rows, strict=True)) if header[i] == "comm ms" and set(column) <= {"0", ""}
    }
    drop |= {2} if {row[2] for row in rows} == {"1"} else set()
    keep = [i for i in range(len(header)) if i not in drop]
    shown = table([header[i] for i in keep], [[row[i] for i in keep] for row in rows])
    return shown + (f"\n({count:,} points, {len(rows)} shown; --json has them all)" if count > len(rows) else "")


def _number(value: float) -> str:
    return format_si(value, "1") if value < 1e15 else f"{value:.2e}"


def _assumptions(result: Pass) -> str:
    """The conventions a reader must know to check the numbers, and what is left out."""
    model, sheet = result.model, result.sheet
    flop = sheet["flop_per_s"].quantity
    left_out = [name for name in REFINEMENTS if name not in result.question.refine]
    kv = f", KV cache in {model.kv_dtype.name}" if model.architecture else ""
    lines = [
        f"{model.stored_as()}{kv}; {flop.origin.note.split(';')[0]}" if flop.origin.kind == "catalog" else
        f"{model.stored_as()}{kv}; arithmetic at {format_si(float(flop.value), 'FLOP/s')} a chip, as set",
        "1 multiply-add = 2 FLOP; dense peaks; data-sheet rates without efficiency; tokens/s are of the whole system",
        f"{sheet.value('usable_memory_fraction'):.0%} of memory usable; all {result.system.chips} chips work at the "
        "same moment and share weights and KV evenly",
    ]  # fmt: skip
    if model.lookup_params:
        lines.append(f"{format_si(model.active_params, 'params')} are multiplied per token: the input embedding "
                     f"({format_si(model.lookup_params, 'params')}) is looked up, not streamed")  # fmt: skip
    if left_out:
        lines.append(f"left out: {', '.join(left_out)} (--refine adds them), overhead (--set t_overhead_s=...)")
    lines.append(f"no error bar: {result.interval_reason('step_s')}")
    return "\n".join(["Assumptions", *(wrapped(line, "  - ") for line in lines)])
