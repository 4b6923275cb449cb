"""The first-order pass: the blackboard's equation on a real model and a real system, with everything it implies.

By default the answer is the blackboard itself: `max(arithmetic, weights + KV)`. Refinements are added by name, each one
the next-largest thing that the blackboard leaves out:

* `expert-hits`: a small batch does not touch every expert, so fewer weights are read;
* `attention`: scores and values are arithmetic too;
* `communication`: the exchanges between the chips of one scale-up domain, not overlapped.

The arrays broadcast over three axes: batch, context, pass length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headway.equations import collectives, context, cost, kv_variants, moe, parallelism, roofline, throughput
from headway.errors import Infeasible, MissingFact, UnknownName, neighbours
from headway.hardware import MOST_CHIPS, System
from headway.model.cache import write_attention_flop, write_context_within, write_read, write_stored
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.question import AXES, REFINEMENTS, Question, given
from headway.uncertainty import DEFAULT_LEVEL, unmeasured
from headway.units import format_si

_WHY_NO_INTERVAL = "no error of the first-order pass has been measured yet; the operator model brings it"


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
        return np.asarray(self.sheet.value("needed_bytes")) <= self.sheet.value("usable_bytes")

    @property
    def bound(self) -> Any:
        """What takes most of the time: compute, weights, kv, communication, or overhead."""
        value = self.sheet.value
        terms = ("t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "t_overhead_s")
        compute, weights, kv, comm, overhead = np.broadcast_arrays(*(np.asarray(value(term)) for term in terms))
        memory = np.where(weights >= kv, "weights", "kv")
        inner = np.where(compute >= weights + kv, "compute", memory)
        outside = np.where(comm >= overhead, "communication", "overhead")
        return np.where(np.maximum(comm, overhead) > np.maximum(compute, weights + kv), outside, inner)

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
     "stored_weight_bytes", "needed_bytes", "largest_batch", "largest_context", "weights_bytes"}
)  # fmt: skip


def evaluate(model: Model, system: System, question: Question | None = None,
             changes: Mapping[str, object] | None = None) -> Pass:  # fmt: skip
    """The first-order pass of a model on a system.

    `changes` replace quantities of the worksheet by name, as the user states them. Raises `BadInput` for numbers that
    make no sense, `MissingFact` where a figure that the step needs is not known, `Infeasible` where no point fits.
    """
    asked = question or Question()
    for name in asked.refine:
        if name not in REFINEMENTS:
            raise UnknownName("refinement", name, REFINEMENTS)
    sheet = Worksheet(given(model, system, asked, dict(changes or {})))
    with np.errstate(all="ignore"):  # no KV cache means no limit from it: infinities are answers here
        _compute(sheet, model, system, asked)
    result = Pass(model, system, asked, sheet, dict(changes or {}))
    for needed in ("step_s", "needed_bytes", "usable_bytes"):
        sheet.need(needed)
    if not asked.beyond_memory and not np.any(result.fits):
        raise Infeasible(_does_not_fit(result))
    return result


def _compute(sheet: Worksheet, model: Model, system: System, asked: Question) -> None:
    """Write the whole pass down, each part from the ones before."""
    _machine(sheet)
    _arithmetic(sheet, model, asked)
    _traffic(sheet, model, system, asked)
    _memory(sheet, model)
    sheet.compute("step_s", roofline.pass_time_s, "s", "t_compute_s t_weights_s t_kv_s t_comm_s t_overhead_s",
                  unmeasured(_WHY_NO_INTERVAL))  # fmt: skip
    _consequences(sheet, model)


def _machine(sheet: Worksheet) -> None:
    sheet.compute_all([
        ("system_flop_per_s", roofline.system_flop_per_s, "FLOP/s", "chips flop_per_s"),
        ("system_bandwidth_bytes_per_s", roofline.system_bandwidth_bytes_per_s, "B/s", "chips bandwidth_bytes_per_s"),
        ("system_memory_bytes", parallelism.domain_memory_bytes, "B",
         "domain_chips=chips chip_memory_bytes=memory_bytes"),
        ("system_usd_per_s", cost.system_usd_per_s, "USD/s", "chips chip_usd_per_s=rental_usd_per_s"),
        ("drain_s", throughput.drain_s, "s", "memory_bytes bandwidth_bytes_per_s"),
        ("ridge", roofline.ridge, "1", "flop_per_s weight_bytes_per_param bandwidth_bytes_per_s"),
    ])  # fmt: skip


def _arithmetic(sheet: Worksheet, model: Model, asked: Question) -> None:
    flop, of_one = (_flop(sheet, model, asked, *of) for of in (("batch", ""), ("one_sequence", "_per_sequence")))
    sheet.compute_all([
        ("t_compute_s", roofline.compute_time_s, "s", f"flop={flop} flop_per_s=system_flop_per_s"),
        ("t_compute_per_sequence_s", roofline.compute_time_s, "s", f"flop={of_one} flop_per_s=system_flop_per_s"),
        ("read_params", roofline.read_params, "params", "total_params lookup_params"),
    ])  # fmt: skip


def _flop(sheet: Worksheet, model: Model, asked: Question, batch: str, suffix: str) -> str:
    """Write down the arithmetic of a batch, with attention if asked; the name of the quantity that has it all."""
    matmul = f"matmul_flop{suffix}"
    sheet.compute(matmul, roofline.matmul_flop, "FLOP", f"batch={batch} pass_tokens active_params")
    if "attention" not in asked.refine:
        return matmul
    write_attention_flop(sheet, model, batch, suffix=suffix)
    sheet.compute(f"pass_flop{suffix}", roofline.pass_flop, "FLOP",
                  f"matmul_flop={matmul} attention_flop=attention_flop{suffix}")  # fmt: skip
    return f"pass_flop{suffix}"


def _traffic(sheet: Worksheet, model: Model, system: System, asked: Question) -> None:
    read = "read_params"
    if "expert-hits" in asked.refine and (model.architecture is None or model.architecture.experts is not None):
        sheet.compute_all([
            ("tokens_in_pass", roofline.tokens_in_pass, "tokens", "batch pass_tokens"),
            ("hit_share", moe.hit_probability, "1", "tokens=tokens_in_pass n_experts experts_per_token"),
            ("rest_params", roofline.read_params, "params", "total_params=read_params lookup_params=routed_params"),
            ("fetched_params", moe.fetched_params, "params", "rest_params routed_params hit_share"),
        ])  # fmt: skip
        # The balance batch is thousands: every expert is hit there, so it is computed with all the weights.
        sheet.compute_all([
            ("all_weights_bytes", roofline.weights_bytes, "B", "read_params weight_bytes_per_param"),
            ("t_all_weights_s", roofline.stream_time_s, "s",
             "bytes_read=all_weights_bytes bandwidth_bytes_per_s=system_bandwidth_bytes_per_s"),
        ])  # fmt: skip
        read = "fetched_params"
    sheet.compute_all([
        ("weights_bytes", roofline.weights_bytes, "B", f"read_params={read} weight_bytes_per_param"),
        ("t_weights_s", roofline.stream_time_s, "s",
         "bytes_read=weights_bytes bandwidth_bytes_per_s=system_bandwidth_bytes_per_s"),
    ])  # fmt: skip
    _kv_traffic(sheet, model)
    sheet.compute_all([
        ("t_kv_s", roofline.stream_time_s, "s",
         "bytes_read=kv_bytes bandwidth_bytes_per_s=system_bandwidth_bytes_per_s"),
        ("t_kv_per_sequence_s", roofline.stream_time_s, "s",
         "bytes_read=kv_bytes_per_sequence bandwidth_bytes_per_s=system_bandwidth_bytes_per_s"),
    ])  # fmt: skip
    if "communication" in asked.refine and system.chips > 1:
        _communication(sheet, model, system)


def _kv_traffic(sheet: Worksheet, model: Model) -> None:
    """Bytes of the cache that a pass moves: as on the blackboard, or group by group where the cache is not plain."""
    if model.cache_is_plain:
        sheet.compute_all([
            ("kv_bytes", roofline.kv_bytes, "B", "batch context_tokens kv_bytes_per_token"),
            ("kv_bytes_per_sequence", roofline.kv_bytes, "B", "batch=one_sequence context_tokens kv_bytes_per_token"),
        ])  # fmt: skip
        return
    write_read(sheet, model, "context_tokens", "kv_bytes_per_sequence", passed="pass_tokens", written_too=True)
    sheet.compute("kv_bytes", kv_variants.batch_bytes, "B", "batch sequence_bytes=kv_bytes_per_sequence")


def _communication(sheet: Worksheet, model: Model, system: System) -> None:
    """Replace the blackboard's zero by the exchanges of experts (MoE) or of tensor-parallel slices (dense)."""
    if system.domains > 1:
        size = system.domain_chips
        raise MissingFact(f"the refinement 'communication' covers one scale-up domain; {system.name} has "
                          f"{system.domains}; ask for {size} chip{'s' * (size > 1)}, or leave it out")  # fmt: skip
    sheet.drop("t_comm_s")
    if model.architecture is not None and model.architecture.experts is None:
        sheet.compute_all([
            ("activation_bytes", collectives.activation_bytes, "B",
             "batch pass_tokens hidden_size value_bytes=combine_bytes_per_element"),
            ("t_comm_s", collectives.tensor_parallel_s, "s",
             "n_layers activation_bytes n_ranks=chips bandwidth_bytes_per_s=scaleup_bytes_per_s"),
        ])  # fmt: skip
        return
    sheet.compute_all([
        ("exchanged_bytes_per_token", moe.all_to_all_bytes, "B",
         "copies_per_token=experts_per_token d_model=expert_input_size dispatch_bytes_per_element "
         "combine_bytes_per_element"),
        ("payload_bytes", collectives.expert_payload_bytes, "B",
         "batch pass_tokens exchanged_bytes_per_token moe_layers n_ranks=chips"),
    ])  # fmt: skip
    if system.fabric != "torus":
        sheet.compute("t_comm_s", collectives.all_to_all_s, "s",
                      "payload_bytes n_ranks=chips bandwidth_bytes_per_s=scaleup_bytes_per_s")  # fmt: skip
        return
    for name, value in (("ring_chips", max(system.torus, default=None)), ("dimensions", len(system.torus) or None)):
        gap = "" if value else f"no source gave the rings of {system.name}; leave the refinement 'communication' out"
        sheet.give(Quantity(name, value and float(value), "1", Origin("catalog", system.name, note="torus"), gap))
    sheet.compute_all([
        ("link_bytes_per_s", collectives.ring_link_bytes_per_s, "B/s", "scaleup_bytes_per_s dimensions"),
        ("t_comm_s", collectives.torus_all_to_all_s, "s",
         "payload_bytes ring_chips link_bandwidth_bytes_per_s=link_bytes_per_s"),
    ])  # fmt: skip


def _memory(sheet: Worksheet, model: Model) -> None:
    sheet.compute_all([
        ("stored_weight_bytes", roofline.stored_weight_bytes, "B",
         "read_params weight_bytes_per_param lookup_params lookup_bytes_per_param"),
        ("usable_bytes", roofline.usable_bytes, "B", "system_memory_bytes usable_memory_fraction"),
        ("cached_tokens", roofline.tokens_in_memory, "tokens", "context_tokens pass_tokens"),
    ])  # fmt: skip
    if model.cache_is_plain:
        sheet.compute("sequence_bytes", roofline.sequence_bytes, "B", "cached_tokens kv_bytes_per_token")
    else:
        write_stored(sheet, model, "cached_tokens", "sequence_bytes")
    sheet.compute_all([
        ("needed_bytes", context.needed_memory_bytes, "B",
         "batch weights_bytes=stored_weight_bytes sequence_bytes"),
        ("largest_batch", context.capacity_batch, "sequences",
         "memory_bytes=usable_bytes weights_bytes=stored_weight_bytes sequence_bytes"),
    ])  # fmt: skip
    _largest_context(sheet, model)


def _largest_context(sheet: Worksheet, model: Model) -> None:
    if model.cache_is_plain:
        sheet.compute_all([
            ("new_bytes", roofline.sequence_bytes, "B", "cached_tokens=pass_tokens kv_bytes_per_token"),
            ("largest_context", context.capacity_context, "tokens",
             "memory_bytes=usable_bytes weights_bytes=stored_weight_bytes batch kv_bytes_per_token "
             "fixed_bytes=new_bytes"),
        ])  # fmt: skip
        return
    sheet.compute("room_per_sequence_bytes", context.share_per_sequence_bytes, "B",
                  "memory_bytes=usable_bytes weights_bytes=stored_weight_bytes batch")  # fmt: skip
    write_context_within(sheet, model, "room_per_sequence_bytes", "largest_length", read=False)
    sheet.compute("largest_context", context.context_before_pass, "tokens", "tokens=largest_length pass_tokens")


def _balance(sheet: Worksheet, model: Model) -> None:
    """Where arithmetic and memory traffic take the same time; all experts count, as they do at such batches."""
    weights = "t_all_weights_s" if "t_all_weights_s" in sheet else "t_weights_s"
    if "pass_flop" in sheet:
        sheet.compute("balance_batch", roofline.balance_batch_of_times, "sequences",
                      f"t_weights_s={weights} t_compute_per_sequence_s")  # fmt: skip
        gap = "with attention counted, arithmetic grows with the context too; sweep --context to see the crossing"
        sheet.give(Quantity("balance_context", None, "tokens", Origin("equation", "none in closed form"), gap))
    else:
        sheet.compute(
            "balance_batch", roofline.balance_batch, "sequences", "ridge read_params active_params pass_tokens"
        )
        _balance_context(sheet, model)
    sheet.compute("balance_batch_with_kv", roofline.balance_batch_with_kv, "sequences",
                  f"t_weights_s={weights} t_compute_per_sequence_s t_kv_per_sequence_s")  # fmt: skip


def _balance_context(sheet: Worksheet, model: Model) -> None:
    if model.cache_is_plain:
        sheet.compute("balance_context", roofline.balance_context, "tokens",
                      "flop_per_sequence=matmul_flop_per_sequence flop_per_s kv_bytes_per_token "
                      "bandwidth_bytes_per_s")  # fmt: skip
        return
    sheet.compute("balance_bytes", context.bytes_in_time, "B",
                  "seconds=t_compute_per_sequence_s bandwidth_bytes_per_s=system_bandwidth_bytes_per_s")  # fmt: skip
    write_context_within(
        sheet, model, "balance_bytes", "balance_context", read=True, state="kv_bytes_per_sequence_state"
    )


def _consequences(sheet: Worksheet, model: Model) -> None:
    _balance(sheet, model)
    flop = "pass_flop" if "pass_flop" in sheet else "matmul_flop"
    sheet.compute_all([
        ("beat_s", throughput.beat_s, "s", "drain_s step_s"),
        ("worst_latency_s", throughput.worst_latency_s, "s", "beat_s step_s"),
        ("tokens_per_s", throughput.tokens_per_s, "tokens/s", "batch pass_tokens step_s"),
        ("tokens_per_s_per_chip", throughput.tokens_per_s_per_chip, "tokens/s", "tokens_per_s chips"),
        ("tokens_per_s_per_user", throughput.tokens_per_s_per_user, "tokens/s", "pass_tokens step_s"),
        ("mfu", throughput.mfu, "1", f"flop={flop} step_s flop_per_s=system_flop_per_s"),
        ("bytes_read", roofline.bytes_read, "B", "weights_bytes kv_bytes"),
        ("t_memory_s", roofline.stream_time_s, "s", "bytes_read bandwidth_bytes_per_s=system_bandwidth_bytes_per_s"),
        ("mbu", throughput.mbu, "1", "bytes_read step_s bandwidth_bytes_per_s=system_bandwidth_bytes_per_s"),
        ("cost_per_token_usd", cost.cost_per_token_usd, "USD/token",
         "step_s price_usd_per_s=system_usd_per_s batch pass_tokens"),
    ])  # fmt: skip


def _does_not_fit(result: Pass) -> str:
    """The arithmetic of a refusal, for the smallest point asked, and the nearest things that fit."""
    value, system = result.sheet.value, result.system
    weights, usable, share = (value(name) for name in ("stored_weight_bytes", "usable_bytes", "usable_memory_fraction"))
    head = f"{result.model.name} does not fit on {system.name}"
    room = f"{system.chips} x {format_si(value('memory_bytes'), 'B')} x {share:g} = {format_si(usable, 'B')}"
    chip_bytes = value("memory_bytes") * share
    if weights > usable:
        return (f"{head}: weights {format_si(weights, 'B')} > {room}; the weights alone need "
                f"{np.ceil(weights / chip_bytes):,.0f} chips, or a narrower --weight-dtype")  # fmt: skip
    needed = float(np.min(value("needed_bytes")))
    batch = float(np.max(value("largest_batch")))
    tokens = float(np.max(value("largest_context")))
    smallest = np.unravel_index(int(np.argmin(np.broadcast_to(value("needed_bytes"), result.grid))), result.grid)
    asked = [float(np.ravel(getattr(result.question, axis))[i]) for axis, i in zip(AXES, smallest, strict=True)]
    cache = f"{asked[0]:,.0f} x {asked[1] + asked[2]:,.0f} tokens of KV cache {format_si(needed - weights, 'B')}"
    ways = [f"{batch:,.0f} such sequences"] if batch >= 1 else []
    ways += [f"{tokens:,.0f} tokens of context"] if tokens >= 1 else []
    ways += [f"{chips:,.0f} chips"] if (chips := np.ceil(needed / chip_bytes)) <= MOST_CHIPS else []
    return (f"{head}: weights {format_si(weights, 'B')} + {cache} > {room}; "
            f"it fits with {', or with '.join(ways) or 'nothing that can be asked for'}")  # fmt: skip
