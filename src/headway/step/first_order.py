"""The pass: the blackboard's equation on a real model and a real system, with everything it implies.

By default the answer is the blackboard itself: `max(arithmetic, weights + KV)`. Refinements add by name what it leaves
out (`headway.step.question.REFINED`). With a layout, or a refinement that needs it, the pass is taken apart into
operators, whose sums are the same terms.

The arrays broadcast over three axes: batch, context, pass length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headway.equations import cost, layout, operators, parallelism, roofline, speculation, throughput
from headway.equations._total import total
from headway.errors import Infeasible, UnknownName, neighbours
from headway.hardware import System
from headway.model.model import Model
from headway.provenance import Worksheet
from headway.step import blackboard
from headway.step.exchanging import write_communication, write_handover
from headway.step.layout import check_layout
from headway.step.memory import write_chip_memory
from headway.step.question import AXES, REFINEMENTS, Question, given
from headway.step.refusal import does_not_fit
from headway.step.sharing import Sharing
from headway.step.speculating import write_drafter, write_drafting
from headway.step.work import Row, write_work
from headway.uncertainty import DEFAULT_LEVEL, unmeasured

_WHY_NO_INTERVAL = "its error was measured only as a whole (headway validate), and is not yet told apart by causes"


@dataclass(frozen=True)
class Pass:
    """The time of a pass and what follows from it, over the axes batch, context and pass length.

    Quantities are attributes, by the names of the worksheet: `step_s`, `t_compute_s`, `balance_batch`, … Arrays are
    masked where the memory does not hold the weights and the KV cache, unless the question was asked beyond memory.
    """

    model: Model
    system: System
    question: Question
    sheet: Worksheet
    changes: Mapping[str, object] = field(default_factory=dict)
    asked_changes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()  # the operators, where the pass was taken apart

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "sheet" not in self.__dict__:
            raise AttributeError(name)
        if name not in self.sheet:
            hint = " or ".join(neighbours(name, [cell.quantity.name for cell in self.sheet]))
            raise AttributeError(f"a pass has no {name!r}" + (f"; did you mean {hint}?" if hint else ""))
        return self.value(name)

    def value(self, name: str) -> Any:
        """A quantity of the worksheet, masked where the configuration does not fit; None for a gap."""
        value = self.sheet.value(name)
        if value is None or self._independent_of_fit(name):
            return value
        fits = np.asarray(self.fits)
        if self.question.beyond_memory or fits.all():
            return value
        return np.ma.masked_array(np.broadcast_to(value, fits.shape), ~fits)

    def _independent_of_fit(self, name: str) -> bool:
        """Inputs, and what describes the machine and not a pass, hold whether or not the pass fits."""
        cell = self.sheet[name]
        return cell.equation is None or name in _OF_THE_MACHINE

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), *(cell.quantity.name for cell in self.sheet)])

    def __repr__(self) -> str:
        return f"<pass of {self.model.name} on {self.system.name}, {math.prod(self.grid):,} point(s)>"

    @property
    def grid(self) -> tuple[int, ...]:
        """How many values each axis has: batch, context, pass length."""
        return tuple(np.size(getattr(self.question, axis)) for axis in AXES)

    @property
    def best(self) -> tuple[int, ...]:
        """Position in the grid of the point that fits and makes most tokens a second, which is the cheapest."""
        rate = np.broadcast_to(self.sheet.value("tokens_per_s"), self.grid)
        fits = np.broadcast_to(self.fits, self.grid)
        scored = np.where(fits, rate, 0.0) if fits.any() else rate
        return tuple(int(i) for i in np.unravel_index(np.argmax(scored), self.grid))

    def point(self, index: tuple[int, ...]) -> dict[str, float]:
        """The values of the axes at a position, those that vary."""
        return {
            axis: float(np.ravel(getattr(self.question, axis))[i])
            for axis, i, size in zip(AXES, index, self.grid, strict=True)
            if size > 1
        }

    @property
    def without_effect(self) -> list[str]:
        """Changes that nothing in this pass depends on, such as a rate of another dtype."""
        used = " ".join(cell.quantity.origin.where for cell in self.sheet.used())
        return [name for name in self.asked_changes if f"--set {name}=" not in used]

    def remark(self, index: tuple[int, ...]) -> str:
        """What a reader of the derivation at a position must know before its numbers."""
        if not index or np.broadcast_to(self.fits, self.grid)[index]:
            return ""
        return "The memory does not hold this point: what follows is arithmetic beyond it, not an answer."

    @property
    def fits(self) -> Any:
        """Where weights and KV cache fit into the usable memory."""
        needed, usable = (self.sheet.value(name) for name in self.memory_names)
        return np.asarray(needed) <= usable

    @property
    def memory_names(self) -> tuple[str, str]:
        """The memory that is needed and that there is: of the fullest chip of a layout, or of the whole system."""
        laid = "chip_needed_bytes" in self.sheet
        return ("chip_needed_bytes", "memory_bytes") if laid else ("needed_bytes", "usable_bytes")

    @property
    def bound(self) -> Any:
        """What takes most of the time: compute, weights, kv, communication, or overhead."""
        value = self.sheet.value
        terms = ("t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "t_overhead_s")
        compute, weights, kv, comm, overhead = np.broadcast_arrays(*(np.asarray(value(term)) for term in terms))
        moved = np.asarray(value("t_activations_s") if "t_activations_s" in self.sheet else 0.0)
        comm = comm + (value("t_hops_s") if "t_hops_s" in self.sheet else 0.0)
        memory = np.where(weights >= kv, "weights", "kv")
        memory = np.where(moved > np.maximum(weights, kv), "activations", memory)
        traffic = weights + kv + moved
        inner = np.where(compute >= traffic, "compute", memory)
        draft = np.asarray(value("t_draft_s") if "t_draft_s" in self.sheet else 0.0)
        outside = np.where(comm >= overhead, "communication", "overhead")
        outside = np.where(draft > np.maximum(comm, overhead), "drafting", outside)
        return np.where(np.maximum(np.maximum(comm, overhead), draft) > np.maximum(compute, traffic), outside, inner)

    @property
    def left_out(self) -> list[str]:
        """What the pass does not count: refinements that were not asked for, and overhead that nobody gave."""
        given = {"communication"} if np.any(np.asarray(self.sheet.value("t_comm_s")) > 0) else set()
        names = [name for name in REFINEMENTS if name not in (*self.question.refine, *given)]
        return names if np.any(np.asarray(self.sheet.value("t_overhead_s")) > 0) else [*names, "overhead"]

    def interval(self, name: str, level: float = DEFAULT_LEVEL) -> tuple[Any, Any] | None:
        """The interval of a quantity at a level, or None; `interval_reason` then says why."""
        return self.sheet.error(name).interval(self.value(name), level)

    def interval_reason(self, name: str) -> str:
        """Why a quantity has no interval yet."""
        return self.sheet.error(name).unmeasured


_OF_THE_MACHINE = frozenset(
    {"ridge", "balance_batch", "balance_batch_with_kv", "balance_context", "drain_s", "system_flop_per_s",
     "system_bandwidth_bytes_per_s", "system_memory_bytes", "usable_bytes", "system_usd_per_s", "read_params",
     "stored_weight_bytes", "needed_bytes", "largest_batch", "largest_context", "weights_bytes",
     "chip_needed_bytes", "chip_weights_bytes", "chip_kv_bytes", "chip_room_bytes"}
)  # fmt: skip


def evaluate(model: Model, system: System, question: Question | None = None,
             changes: Mapping[str, object] | None = None) -> Pass:  # fmt: skip
    """The pass of a model on a system: the blackboard's, or operator by operator where the question asks for more.

    `changes` replace quantities of the worksheet by name, as the user states them. Raises `BadInput` for numbers that
    make no sense, `MissingFact` where a figure that the step needs is not known, `Infeasible` where no point fits or
    no engine can run the layout.
    """
    asked = question or Question()
    for name in asked.refine:
        if name not in REFINEMENTS:
            raise UnknownName("refinement", name, REFINEMENTS)
    if asked.layout is not None:
        check_layout(model, system, asked.layout)
    result = write_pass(model, system, asked, changes)
    for needed in ("step_s", *result.memory_names):
        result.sheet.need(needed)
    if not asked.beyond_memory and not np.any(result.fits):
        raise Infeasible(does_not_fit(result, write_pass))
    return result


def write_pass(
    model: Model, system: System, asked: Question, changes: Mapping[str, object] | None = None,
    paper: type[Worksheet] = Worksheet,
) -> Pass:  # fmt: skip
    """The pass on its worksheet, whether or not it fits and whatever is missing."""
    sheet = paper(given(model, system, asked, dict(changes or {})))
    with np.errstate(all="ignore"):  # no KV cache means no limit from it: infinities are answers here
        _machine(sheet)
        if asked.detailed:

            def again(other: Model, question: Question) -> Pass:
                return write_pass(other, system, question, _of_machine(changes or {}), paper)

            write_drafter(sheet, asked, again)
            rows = _by_operator(sheet, model, system, asked)
        else:
            rows = _as_a_whole(sheet, model, system, asked)
        _consequences(sheet, asked, rows)
    return Pass(model, system, asked, sheet, dict(changes or {}), rows=rows)


def _of_machine(changes: Mapping[str, object]) -> dict[str, object]:
    """Changes that hold for a drafter too: those of the machine, not of the model."""
    return {name: value for name, value in changes.items() if name.endswith(("_per_s", "latency_s", "memory_bytes"))}


def _machine(sheet: Worksheet) -> None:
    sheet.compute_all([
        ("system_flop_per_s", roofline.system_flop_per_s, "FLOP/s", "chips flop_per_s"),
        ("system_bandwidth_bytes_per_s", roofline.system_bandwidth_bytes_per_s, "B/s", "chips bandwidth_bytes_per_s"),
        ("system_memory_bytes", parallelism.domain_memory_bytes, "B",
         "domain_chips=chips chip_memory_bytes=memory_bytes"),
        ("system_usd_per_s", cost.system_usd_per_s, "USD/s", "chips chip_usd_per_s=rental_usd_per_s"),
        ("drain_s", throughput.drain_s, "s", "memory_bytes bandwidth_bytes_per_s"),
        ("ridge", roofline.ridge, "1", "flop_per_s weight_bytes_per_param bandwidth_bytes_per_s"),
        ("read_params", roofline.read_params, "params", "total_params lookup_params"),
    ])  # fmt: skip


def _as_a_whole(sheet: Worksheet, model: Model, system: System, asked: Question) -> tuple[Row, ...]:
    """The blackboard: two FLOP for each active parameter, all weights, all of the cache."""
    blackboard.write_arithmetic(sheet, model, asked)
    blackboard.write_traffic(sheet, model, asked)
    if "communication" in asked.refine and system.chips > 1:
        blackboard.write_communication(sheet, model, system)
    blackboard.write_memory(sheet, model)
    sheet.compute("step_s", roofline.pass_time_s, "s", "t_compute_s t_weights_s t_kv_s t_comm_s t_overhead_s",
                  unmeasured(_WHY_NO_INTERVAL))  # fmt: skip
    sheet.compute("bytes_read", roofline.bytes_read, "B", "weights_bytes kv_bytes")
    sheet.compute("t_memory_s", roofline.stream_time_s, "s",
                  "bytes_read bandwidth_bytes_per_s=system_bandwidth_bytes_per_s")  # fmt: skip
    blackboard.write_balance(sheet, model)
    return ()


def _by_operator(sheet: Worksheet, model: Model, system: System, asked: Question) -> tuple[Row, ...]:
    """The same terms as sums over operators, under a layout or shared evenly, and what the refinements add."""
    share = Sharing(sheet, model, system, asked)
    work = write_work(share)
    if share.laid:
        write_chip_memory(share, work)
    else:
        blackboard.write_memory(sheet, model)
    work.rows += write_communication(share)
    work.rows += write_drafting(sheet, asked.draft)
    sheet.compute("step_s", operators.layout_pass_s, "s", "work_s t_comm_s t_hops_s t_draft_s t_overhead_s",
                  unmeasured(_WHY_NO_INTERVAL))  # fmt: skip
    if asked.handed_over:
        write_handover(share)
    _of_one_sequence(share)
    blackboard.write_balance(sheet, model)
    return tuple(work.rows)


def _of_one_sequence(share: Sharing) -> None:
    """Times that grow with the batch, for one sequence; and reading all experts, as large batches do."""
    carried = "batch"
    if share.laid:
        carried = "carried_sequences"
        share.sheet.compute(carried, layout.carried_sequences, "sequences",
                            "micro_batch data_parallel pipeline_parallel")  # fmt: skip
    for name in ("compute", "kv"):
        share.sheet.compute(f"t_{name}_per_sequence_s", layout.per_sequence_s, "s",
                            f"seconds=t_{name}_s batch={carried}")  # fmt: skip
    if not share.refined("expert-hits") or not share.ops.banks:
        return
    read = "layers_and_head_bytes"
    if share.laid:
        share.sheet.compute(read, total, "B", "layers_bytes head_bytes")
    else:
        share.sheet.compute(read, roofline.weights_bytes, "B", "read_params weight_bytes_per_param")
    share.sheet.compute("t_all_weights_s", roofline.stream_time_s, "s",
                        f"bytes_read={read} bandwidth_bytes_per_s={share.bandwidth}")  # fmt: skip


def _consequences(sheet: Worksheet, asked: Question, rows: tuple[Row, ...]) -> None:
    made = "made_tokens" if asked.draft else "pass_tokens"
    flop = _useful_flop(sheet, asked, rows)
    chips_bandwidth = "bandwidth_bytes_per_s" if asked.degrees is not None else "system_bandwidth_bytes_per_s"
    peak = "system_flop_per_s"
    if asked.degrees is not None:  # of the chips at work
        peak = "layout_flop_per_s"
        sheet.compute(peak, roofline.system_flop_per_s, "FLOP/s", "chips=layout_chips flop_per_s")
    sheet.compute_all([
        ("beat_s", throughput.beat_s, "s", "drain_s step_s"),
        ("worst_latency_s", throughput.worst_latency_s, "s", "beat_s step_s"),
        ("tokens_per_s", throughput.tokens_per_s, "tokens/s", f"batch pass_tokens={made} step_s"),
        ("tokens_per_s_per_chip", throughput.tokens_per_s_per_chip, "tokens/s", "tokens_per_s chips"),
        ("tokens_per_s_per_user", throughput.tokens_per_s_per_user, "tokens/s", f"pass_tokens={made} step_s"),
        ("mfu", throughput.mfu, "1", f"flop={flop} step_s flop_per_s={peak}"),
        ("mbu", throughput.mbu, "1", f"bytes_read step_s bandwidth_bytes_per_s={chips_bandwidth}"),
        ("cost_per_token_usd", cost.cost_per_token_usd, "USD/token",
         f"step_s price_usd_per_s=system_usd_per_s batch pass_tokens={made}"),
    ])  # fmt: skip


def _useful_flop(sheet: Worksheet, asked: Question, rows: tuple[Row, ...]) -> str:
    """The arithmetic that the model's tokens need, however often a layout repeats some of it."""
    if asked.degrees is None:
        return "pass_flop" if "pass_flop" in sheet else "matmul_flop"
    parts = _useful_matmul(sheet, asked)
    if whole := [row.whole_flop for row in rows if row.whole_flop]:
        sheet.compute("rank_attention_flop", total, "FLOP", " ".join(whole))
        sheet.compute("useful_attention_flop", layout.of_whole_batch, "FLOP",
                      "flop=rank_attention_flop sequences=micro_batch batch")  # fmt: skip
        parts.append("useful_attention_flop")
    if asked.chunk_tokens:
        sheet.compute_all([
            ("prompt_tokens", layout.chunks_in_flight, "tokens", "chunk_tokens data_parallel pipeline_parallel"),
            ("useful_prompt_flop", roofline.matmul_flop, "FLOP",
             "batch=one_sequence pass_tokens=prompt_tokens active_params"),
            ("prompt_tokens_per_s", throughput.tokens_per_s, "tokens/s",
             "batch=one_sequence pass_tokens=prompt_tokens step_s"),
        ])  # fmt: skip
        parts.append("useful_prompt_flop")
        if chunks := [row.chunk_flop for row in rows if row.chunk_flop]:
            sheet.compute("chunk_attention_flop", total, "FLOP", " ".join(chunks))
            sheet.compute("useful_chunk_attention_flop", layout.of_all_chunks, "FLOP",
                          "flop=chunk_attention_flop data_parallel pipeline_parallel")  # fmt: skip
            parts.append("useful_chunk_attention_flop")
    sheet.compute("useful_flop", total, "FLOP", " ".join(parts))
    if asked.draft is None:
        return "useful_flop"
    sheet.compute("kept_flop", speculation.kept_flop, "FLOP", "flop=useful_flop made_tokens pass_tokens")
    return "kept_flop"


def _useful_matmul(sheet: Worksheet, asked: Question) -> list[str]:
    """The matrices' arithmetic of all tokens; with `logits` the head's only of those whose successor is asked for."""
    if "logits" not in asked.refine or "head_params" not in sheet:
        sheet.compute("useful_matmul_flop", roofline.matmul_flop, "FLOP", "batch pass_tokens active_params")
        return ["useful_matmul_flop"]
    asked_for = "pass_tokens" if asked.verifies else "one_token"
    sheet.compute_all([
        ("body_params", operators.body_params, "params", "active_params head_params"),
        ("useful_matmul_flop", roofline.matmul_flop, "FLOP", "batch pass_tokens active_params=body_params"),
        ("useful_head_flop", roofline.matmul_flop, "FLOP", f"batch pass_tokens={asked_for} active_params=head_params"),
    ])  # fmt: skip
    return ["useful_matmul_flop", "useful_head_flop"]
