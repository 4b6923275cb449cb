"""The blackboard's terms on the worksheet: arithmetic, weights, cache and memory of a whole system, shared evenly.

Three of the refinements need no operators and are written here: `expert-hits`, `attention` and `communication`. All
others, and every layout, take the pass apart (`headway.step.work`).
"""

from __future__ import annotations

from headway.equations import collectives, context, kv_variants, moe, roofline
from headway.errors import MissingFact
from headway.hardware import System
from headway.model.cache import write_attention_flop, write_context_within, write_read, write_stored
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.question import Question


def write_arithmetic(sheet: Worksheet, model: Model, asked: Question) -> None:
    """Two FLOP for each active parameter and token, and attention if asked; its time on the whole system."""
    flop, of_one = (_flop(sheet, model, asked, *of) for of in (("batch", ""), ("one_sequence", "_per_sequence")))
    sheet.compute_all([
        ("t_compute_s", roofline.compute_time_s, "s", f"flop={flop} flop_per_s=system_flop_per_s"),
        ("t_compute_per_sequence_s", roofline.compute_time_s, "s", f"flop={of_one} flop_per_s=system_flop_per_s"),
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


def write_traffic(sheet: Worksheet, model: Model, asked: Question) -> None:
    """All weights, or of the experts those that are hit; and all of the cache."""
    read = "read_params"
    if "expert-hits" in asked.refine and (model.architecture is None or model.architecture.experts is not None):
        sheet.compute_all([
            ("tokens_in_pass", roofline.tokens_in_pass, "tokens", "batch pass_tokens"),
            ("hit_share", moe.hit_probability, "1", "tokens=tokens_in_pass n_experts experts_per_token"),
            ("fetched_params", moe.mean_format_params, "params",
             "read_params routed_params hit_share format_ratio=routed_format_ratio"),
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


def write_communication(sheet: Worksheet, model: Model, system: System) -> None:
    """Replace the blackboard's zero by the exchanges of experts (MoE) or of tensor-parallel slices (dense)."""
    if system.domains > 1:
        size = system.domain_chips
        raise MissingFact(f"the refinement 'communication' covers one scale-up domain; {system.name} has "
                          f"{system.domains}; give a --layout, ask for {size} chip{'s' * (size > 1)}, or leave "
                          "it out")  # fmt: skip
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


def write_memory(sheet: Worksheet, model: Model) -> None:
    """Weights and cache of the whole system, and how much of the cache there is room for."""
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


def write_balance(sheet: Worksheet, model: Model) -> None:
    """Where arithmetic and memory traffic take the same time; all experts count, as they do at such batches."""
    weights = "t_all_weights_s" if "t_all_weights_s" in sheet else "t_weights_s"
    gap = ""
    if "pass_flop" in sheet:
        gap = "with attention counted, arithmetic grows with the context too; sweep --context to see the crossing"
    elif "work_s" in sheet:
        gap = "operator by operator it has no closed form; sweep --context to see the crossing"
    if "chunk_tokens" in sheet:
        gap = "with a chunk of a prompt riding along there is arithmetic that no batch brings; sweep --batch"
        for name, unit in (("balance_batch", "sequences"), ("balance_batch_with_kv", "sequences"),
                           ("balance_context", "tokens")):  # fmt: skip
            sheet.give(Quantity(name, None, unit, Origin("equation", "none in closed form"), gap))
        return
    if gap:
        sheet.compute("balance_batch", roofline.balance_batch_of_times, "sequences",
                      f"t_weights_s={weights} t_compute_per_sequence_s")  # fmt: skip
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
