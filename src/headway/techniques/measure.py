"""What a model's cache costs at a question: the pass that `headway.step` evaluates, and what memory allows.

The arithmetic is that of every other answer: `evaluate`, with attention counted (techniques differ in it) and the
experts that a batch hits. Only the way over the link to the host is added here, as time that nothing hides. Where
nothing is kept, the pass is over the whole context and the new token, with nothing before them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headway.equations import context, cost, kv_variants, parallelism, roofline
from headway.hardware import System
from headway.model.cache import write_read, write_stored
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.first_order import Pass, evaluate
from headway.step.question import Question
from headway.units import format_si

REFINED = ("expert-hits", "attention")
_FIGURES = ("stored_bytes_per_sequence", "read_bytes_per_token", "step_s", "cost_per_mtok_usd", "largest_batch",
            "cost_per_mtok_usd_at_largest_batch")  # fmt: skip
UNFIT = "does not fit"
_UNLIMITED = "no limit: nothing is kept for a sequence"


@dataclass(frozen=True)
class Case:
    """A model on a system at a batch and a context, with the user's changes of the pass and what it counts."""

    system: System
    batch: float
    context_tokens: float
    changes: Mapping[str, object] = field(default_factory=dict)
    link: Quantity | None = None
    refine: tuple[str, ...] = REFINED

    def ask(self, model: Model, batch: float, more: Mapping[str, object] | None = None) -> Pass:
        """The pass of a model at a batch, whether it fits or not."""
        refine = self.refine if model.architecture is not None else ()
        question = Question(batch, self.context_tokens, refine=refine, beyond_memory=True)
        return evaluate(model, self.system, question, {**self.changes, **(more or {})})

    def ask_again(self, model: Model) -> Pass:
        """The pass that makes the whole context again, for one new token of each sequence."""
        question = Question(self.batch, 0, self.context_tokens + 1, self.refine, beyond_memory=True)
        answer = evaluate(model, self.system, question, self.changes)
        sheet = answer.sheet
        sheet.drop("cost_per_token_usd")  # of all the tokens that are passed; one of them is new
        sheet.give(Quantity("new_tokens", 1.0, "tokens", Origin("default", "the others were there before")))
        sheet.compute("cost_per_token_usd", cost.cost_per_token_usd, "USD/token",
                      "step_s price_usd_per_s=system_usd_per_s batch pass_tokens=new_tokens")  # fmt: skip
        return answer


@dataclass(frozen=True)
class Figures:
    """The figures of one cache, the reasons of those that are not known, and the pass behind them."""

    values: Mapping[str, float | None]
    reasons: Mapping[str, str]
    answer: Pass
    link_bytes_per_token: float = 0.0

    def value(self, name: str) -> float | None:
        """A figure, None where it is not known; `reasons` then says why."""
        return self.values[name]

    @property
    def fits(self) -> bool:
        """Whether the batch that was asked for fits."""
        return not self.reasons.get("step_s", "").startswith(UNFIT)

    @property
    def arithmetic_s(self) -> float:
        """The time that a step would take, whether it fits or not; infinite where that is not known."""
        step = self.answer.sheet.value("step_s")
        return math.inf if step is None or (self.reasons.get("step_s") and self.fits) else float(step)


@dataclass(frozen=True)
class _Moved:
    """What lies in the host's memory of one sequence, and crosses the link for each token."""

    stored_bytes: float
    read_bytes: float


def measure(case: Case, model: Model, *, moved: Model | None = None, again: Model | None = None) -> Figures:
    """The figures of a model's cache.

    `moved` is the part of it that lies in the host's memory; `again` the model whose cache each step makes anew, where
    `model` is what is left of it from one step to the next.
    """
    if again is not None:
        return _made_again(case, model, again)
    away = None if moved is None else _away(case, moved)
    answer, reason = _answer(case, model, case.batch, away)
    sheet = answer.sheet
    write_stored(sheet, model, "context_tokens", "stored_bytes_per_sequence")
    write_read(sheet, model, "context_tokens", "read_bytes_per_token", passed="pass_tokens")
    values: dict[str, float | None] = {name: _number(sheet.value(name)) for name in _FIGURES[:2]}
    largest, no_largest = _largest(case, answer, away)
    reasons = {}
    if not reason:
        reason = _unfit(case, answer, away)
    values["step_s"] = None if reason else _number(sheet.value("step_s"))
    values["cost_per_mtok_usd"], no_cost = _cost(answer, reason)
    values["largest_batch"] = largest
    values["cost_per_mtok_usd_at_largest_batch"] = None
    no_best = no_largest or ("not one such sequence fits" if largest == 0 else "")
    if not no_best and largest is not None:
        best, unknown = _answer(case, model, largest, away)
        values["cost_per_mtok_usd_at_largest_batch"], no_best = _cost(best, unknown)
    for name, why in zip(_FIGURES[2:], (reason, no_cost, no_largest, no_best), strict=True):
        if values[name] is None:
            reasons[name] = why
    return Figures(values, reasons, answer, 0.0 if away is None else away.read_bytes)


def _made_again(case: Case, left: Model, again: Model) -> Figures:
    """The figures where each step makes the cache of the whole context: memory holds what is left of it between steps.

    A layer's keys and values are wanted while that layer is computed, and are not counted, as activations are not.
    """
    answer = case.ask_again(again)
    sheet = answer.sheet
    write_stored(sheet, left, "context_tokens", "stored_bytes_per_sequence")
    write_read(sheet, left, "context_tokens", "read_bytes_per_token")
    values = {
        name: _number(sheet.value(name)) for name in ("stored_bytes_per_sequence", "read_bytes_per_token", "step_s")
    }
    values["cost_per_mtok_usd"], no_cost = _cost(answer, "")
    reasons = {} if values["cost_per_mtok_usd"] is not None else {"cost_per_mtok_usd": no_cost}
    for name in ("largest_batch", "cost_per_mtok_usd_at_largest_batch"):
        values[name], reasons[name] = None, _UNLIMITED
    return Figures(values, reasons, answer)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _away(case: Case, moved: Model) -> _Moved:
    sheet = Worksheet(moved.quantities())
    sheet.give(Quantity("context_tokens", case.context_tokens, "tokens", Origin("user", "the question")))
    sheet.give(Quantity("pass_tokens", 1.0, "tokens", Origin("default", "one token")))
    write_stored(sheet, moved, "context_tokens", "host_bytes")
    write_read(sheet, moved, "context_tokens", "link_bytes", passed="pass_tokens")
    return _Moved(float(sheet.value("host_bytes")), float(sheet.value("link_bytes")))


def _answer(case: Case, model: Model, batch: float, away: _Moved | None) -> tuple[Pass, str]:
    """The pass at a batch, with the way over the link; or why that is not known."""
    answer = case.ask(model, batch)
    if away is None:
        return answer, ""
    assert case.link is not None
    if case.link.value is None:
        return answer, case.link.gap
    crossing = kv_variants.batch_bytes(batch, away.read_bytes)
    rate = roofline.system_bandwidth_bytes_per_s(case.system.chips, case.link.value)
    seconds = float(answer.sheet.value("t_comm_s")) + float(roofline.stream_time_s(crossing, rate))
    return case.ask(model, batch, {"t_comm_s": seconds}), ""


def _largest(case: Case, answer: Pass, away: _Moved | None) -> tuple[float | None, str]:
    """The largest batch that HBM holds, and the host's memory where a part lies there; or why that has no number."""
    here = float(answer.sheet.value("largest_batch"))
    if away is not None:
        host = case.system.figure("host_memory_bytes")
        if host.value is None:
            return None, host.gap
        room = parallelism.domain_memory_bytes(case.system.chips, host.value)
        here = min(here, float(context.capacity_batch(room, 0.0, away.stored_bytes)))
    return (here, "") if math.isfinite(here) else (None, _UNLIMITED)


def _unfit(case: Case, answer: Pass, away: _Moved | None) -> str:
    """Why the batch does not fit, with the arithmetic; empty where it does."""
    value = answer.sheet.value
    needed, usable = float(value("needed_bytes")), float(value("usable_bytes"))
    if needed > usable:
        weights, most = float(value("stored_weight_bytes")), float(value("largest_batch"))
        return (f"{UNFIT}: weights {format_si(weights, 'B')} + KV cache {format_si(needed - weights, 'B')} > "
                f"{format_si(usable, 'B')}; {most:,.0f} such sequence{'s do' if most != 1 else ' does'}")  # fmt: skip
    host = case.system.figure("host_memory_bytes").value
    if away is None or host is None or case.batch * away.stored_bytes <= host * case.system.chips:
        return ""
    return (f"{UNFIT} into the host's memory: {format_si(case.batch * away.stored_bytes, 'B')} > {case.system.chips} x "
            f"{format_si(host, 'B')}")  # fmt: skip


def _cost(answer: Pass, reason: str) -> tuple[float | None, str]:
    """Dollars for a million tokens, or why that is not known."""
    cell = answer.sheet["cost_per_token_usd"].quantity
    if reason or cell.value is None:
        return None, reason or cell.gap
    return float(cell.value) * 1e6, ""


def link_of(system: System, assumed: Quantity) -> Quantity:
    """The link of a chip to its host: what the user says, the assumption for a GPU in a host of its own, else a gap."""
    if assumed.origin.kind == "user" or system.chip.texts.get("device_class") == "gpu":
        return assumed
    gap = (f"no source gave the rate of the link between {system.chip.name} and its host; supply it with --set "
           f"{assumed.name}=...")  # fmt: skip
    return replace(assumed, value=None, gap=gap)
