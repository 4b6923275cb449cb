"""A pass in words: the answer in a sentence, why it is so, and what it rests on."""

from __future__ import annotations

from typing import Any

import numpy as np

from headway.figures import AXIS_LABELS, varying_axes
from headway.step.first_order import Pass
from headway.step.question import AXES
from headway.units import format_si

# What takes most of the time, in words.
BOUND = {"weights": "reading weights", "kv": "reading KV cache", "compute": "arithmetic",
         "activations": "moving activations", "communication": "communication", "overhead": "overhead",
         "drafting": "drafting"}  # fmt: skip


def title(result: Pass) -> str:
    """The result's name for a picture: model, system, and the axes that are neither drawn nor left at one token."""
    drawn = (varying_axes(result) or ["batch"])[0]
    words = []
    for axis in AXES:
        value = float(np.ravel(getattr(result.question, axis))[0])
        name, _ = AXIS_LABELS[axis]
        if axis != drawn and result.grid[AXES.index(axis)] == 1 and (axis, value) != ("pass_tokens", 1.0):
            words.append(f"{name} {value:,.0f}")
    if result.question.layout is not None:
        words.append(result.question.layout.text)
    return ", ".join([f"{result.model.name} on {result.system.name}", *words])


def value_at(result: Pass, name: str, index: tuple[int, ...]) -> float:
    """A quantity at a position of the grid, whether or not it fits there."""
    return float(np.broadcast_to(np.asarray(result.sheet.value(name)), result.grid)[index])


def answer(result: Pass) -> str:
    """One sentence: how long a pass takes, what it makes and costs."""
    best = result.best
    batch, ctx, new = (value_at(result, axis, best) for axis in AXES)
    carried = f"{batch:,.0f} sequence{'s' if batch != 1 else ''}"
    carried += f" of {new:,.0f} new tokens each" if new != 1 else ""
    all_fit = bool(np.all(result.fits))
    cheapest = f"Cheapest of what {'was asked' if all_fit else 'fits'}: a pass of {carried}"
    opening = cheapest if varying_axes(result) else f"One pass of {carried}"
    step, rate = value_at(result, "step_s", best), value_at(result, "tokens_per_s", best)
    text = (f"{opening} at {ctx:,.0f} tokens of context takes {format_si(step, 's')} on {_where(result)}: "
            f"{rate:,.0f} tokens/s")  # fmt: skip
    if not np.broadcast_to(result.fits, result.grid)[best]:
        text = f"Beyond what the memory holds: {text[0].lower()}{text[1:]}"
    if result.sheet.value("cost_per_token_usd") is None:
        return f"{text}; the cost is not known ({result.sheet['cost_per_token_usd'].quantity.gap})."
    return f"{text}, {format_si(value_at(result, 'cost_per_token_usd', best), 'USD/token')}."


def _where(result: Pass) -> str:
    """The system, and how many of its chips a layout uses where that is not all of them."""
    layout = result.question.layout
    idle = layout is not None and layout.chips < result.system.chips
    return f"{layout.chips:,} of the chips of {result.system.name}" if layout and idle else result.system.name


def why(result: Pass) -> str:
    """What binds that pass, and what would change it."""
    best = result.best
    bound = str(np.broadcast_to(result.bound, result.grid)[best])
    text = f"It is bound by {BOUND[bound]}." + _balance(result, best, bound)
    largest = value_at(result, "largest_batch", best)
    if np.isfinite(largest):
        text += f" Memory holds {largest:,.0f} such sequence{'s' * (largest != 1)}."
    step, drain = (format_si(value_at(result, name, best), "s") for name in ("step_s", "drain_s"))
    text = f"{text} Back to back, a batch leaves every {step}; the memory, when full, drains in {drain}"
    return f"{text}." if result.question.degrees else f"{text}, the longest pass that reads no byte twice."


def _balance(result: Pass, best: tuple[int, ...], bound: str) -> str:
    """Where arithmetic takes over from memory, or why it never does."""
    if result.sheet.value("balance_batch_with_kv") is None:
        return ""
    balance, blackboard = value_at(result, "balance_batch_with_kv", best), value_at(result, "balance_batch", best)
    if not np.isfinite(balance):
        text = " At this context it is memory-bound at every batch"
        if result.sheet.value("balance_context") is None:
            return f"{text}: one sequence's KV takes longer to read than its arithmetic takes."
        context = value_at(result, "balance_context", best)
        return (f"{text}: from {context:,.0f} tokens on, one sequence's KV takes longer to read than its arithmetic "
                "takes.")  # fmt: skip
    if balance < 1:
        return " Even a single sequence is past the balance of arithmetic and memory."
    left_out = f" ({blackboard:,.0f} with KV reads left out)" if round(balance) != round(blackboard) else ""
    if bound == "compute":
        return f" A batch of {balance:,.0f}{left_out} would already balance arithmetic and memory."
    return f" Arithmetic takes over at a batch of {balance:,.0f}{left_out}."


def assumed(result: Pass, *, options: bool = True) -> list[str]:
    """The assumptions, one to a line; with the command's `options` that change them, or without."""
    model, system, sheet = result.model, result.system, result.sheet
    flop, price = sheet["flop_per_s"].quantity, sheet["rental_usd_per_s"].quantity
    rate = f"arithmetic at {format_si(float(np.max(flop.value)), 'FLOP/s')} a chip"
    kv = f", KV cache in {model.kv_dtype.name}" if model.architecture else ""
    lines = [
        "; ".join(filter(None, (f"{model.stored_as()}{kv}", rate, flop.origin.note.split(";")[0]))),
        "1 multiply-add = 2 FLOP; dense peaks and data-sheet rates, without efficiency; links count one way; tokens/s "
        "are of the whole system",
        _laid_out(result) if result.question.degrees else
        f"{float(np.max(sheet.value('usable_memory_fraction'))):.0%} of memory usable; {_together(system)}",
        *_beside(result),
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
    overhead = "overhead" if "overhead" in result.left_out else ""
    if options:
        refinements = refinements and f"{refinements} (--refine adds them)"
        overhead = overhead and f"{overhead} (--set t_overhead_s=...)"
    if left_out := ", ".join(filter(None, (refinements, overhead))):
        lines.append(f"left out: {left_out}")
    lines += [f"{'--set ' * options}{name} changes nothing here" for name in result.without_effect]
    lines.append(f"no error bar: {result.interval_reason('step_s')}")
    return lines


def _laid_out(result: Pass) -> str:
    """How a layout deals the pass out, and what of a chip's memory is not for the model."""
    value, system = result.sheet.value, result.system
    used = int(np.max(value("layout_chips")))
    idle = f", {system.chips - used:,} idle and paid for" if used < system.chips else ""
    reserve = format_si(float(np.max(value("runtime_reserve_bytes"))), "B")
    text = result.question.layout.text if result.question.layout else "laid out"
    return f"laid out as {text} on {used:,} chips{idle}; of a chip's memory {reserve} are the runtime's{_links(result)}"


def _links(result: Pass) -> str:
    """What joins the chips, as far as messages were counted."""
    sheet = result.sheet
    told = []
    for word, bandwidth, latency in (("inside", "scaleup_bytes_per_s", "scaleup_latency_s"),
                                     ("between", "scaleout_bytes_per_s", "scaleout_latency_s")):  # fmt: skip
        counted = "domain_chips" in sheet and bandwidth in sheet and sheet.value(bandwidth) is not None
        if counted and result.system.chips > 1 and (word == "inside" or result.system.domains > 1):
            told.append(f"{format_si(float(np.max(sheet.value(bandwidth))), 'B/s')} and "
                        f"{format_si(float(np.max(sheet.value(latency))), 's')} a message {word}")  # fmt: skip
    if not told or "communication" not in result.question.refine:
        return ""
    size = result.system.domain_chips
    return f"; domains of {size} chip{'s' * (size != 1)}, {', '.join(told)}"


def _beside(result: Pass) -> list[str]:
    """What rides along, hides and drafts."""
    asked, lines = result.question, []
    if asked.chunk_tokens:
        cached = f" after {asked.chunk_context_tokens:,.0f} cached" if asked.chunk_context_tokens else ""
        lines.append(f"{asked.chunk_tokens:,.0f} tokens of a prompt{cached} ride along on each data-parallel rank; "
                     "tokens/s and cost are of the decoded ones")  # fmt: skip
    if asked.overlap:
        hidden = "two halves of the batch hide each other's messages" if asked.sub_batches > 1 else (
            f"{float(asked.overlap):.0%} of communication is hidden")  # fmt: skip
        lines.append(hidden)
    if asked.draft:
        made = float(result.sheet.value("made_tokens"))
        lines.append(f"before each pass {asked.draft.who} draft what it verifies; each token is kept with probability "
                     f"{asked.draft.acceptance:g}: {made:.3g} tokens a pass")  # fmt: skip
    if asked.handed_over:
        handed = float(np.min(result.sheet.value("t_handover_s")))
        lines.append(f"the cache is handed over to chips that decode in {format_si(handed, 's')}")
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
