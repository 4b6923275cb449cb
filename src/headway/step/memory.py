"""What a chip of a layout must hold: weights, cache, activations, buffers and the runtime's own, on the worksheet.

Pipeline stages divide the weights and never the cache: with P stages a chip has 1 / P of the layers of P micro-batches.
"""

from __future__ import annotations

import math

from headway.equations import chip_memory, context, kv_variants, operators, roofline
from headway.equations._total import total
from headway.model.cache import write_context_within, write_stored
from headway.provenance import Origin, Quantity
from headway.step.operators import Attend
from headway.step.sharing import Sharing
from headway.step.work import Work


def write_chip_memory(share: Sharing, work: Work) -> None:
    """Write down what the fullest chip needs, and how many sequences there is room for."""
    _weights(share, work)
    _cache(share)
    _activations(share)
    sheet = share.sheet
    parts = {"weights": "chip_weights_bytes", "kv": "chip_kv_bytes", "activation": "chip_activation_bytes"}
    if share.asked.draft:
        for part, own in parts.items():
            sheet.compute(f"both_{part}_bytes", total, "B", f"{own} draft_{part}_bytes")
            parts[part] = f"both_{part}_bytes"
    sheet.compute_all([
        ("groups", chip_memory.collective_groups, "1",
         "tensor_parallel pipeline_parallel data_parallel expert_parallel context_parallel"),
        ("chip_needed_bytes", chip_memory.chip_needed_bytes, "B",
         f"weights_bytes={parts['weights']} kv_bytes={parts['kv']} activation_bytes={parts['activation']} "
         "buffer_bytes=collective_buffer_bytes groups reserve_bytes=runtime_reserve_bytes"),
        ("chip_varying_bytes", total, "B", f"{parts['kv']} sequence_activation_bytes"),
        ("chip_room_bytes", chip_memory.chip_room_bytes, "B",
         "memory_bytes needed_bytes=chip_needed_bytes varying_bytes=chip_varying_bytes"),
        ("largest_batch", chip_memory.largest_layout_batch, "sequences",
         "room_bytes=chip_room_bytes varying_bytes=chip_varying_bytes sequences=micro_batch data_parallel "
         "pipeline_parallel"),
    ])  # fmt: skip
    _largest_context(share)


def _weights(share: Sharing, work: Work) -> None:
    """Weights of the layers by what a chip holds; of experts all that it has, whether or not they are hit."""
    sheet = share.sheet
    layers = []
    for one in share.ops.multiplies:
        if one.tokens == "expert":
            mark = f"_{one.bank}" if one.bank else ""
            sheet.compute(f"{one.name}_on_chip", operators.held_params, "params",
                          f"params={one.name}_held share=experts_held{mark}")  # fmt: skip
            sheet.compute(f"{one.name}_stored_bytes", operators.weight_traffic_bytes, "B",
                          f"held_params={one.name}_on_chip bytes_per_param={one.part}_bytes_per_param")  # fmt: skip
            layers.append(f"{one.name}_stored_bytes")
        elif one.tokens == "rank":
            stored = f"{one.name}_weight_bytes"
            if share.asked.sub_batches > 1:
                stored = f"{one.name}_stored_bytes"
                sheet.compute(stored, operators.weight_traffic_bytes, "B",
                              f"held_params={one.name}_held bytes_per_param={one.part}_bytes_per_param")  # fmt: skip
            layers.append(stored)
    sheet.compute("layers_bytes", total, "B", " ".join(layers))
    _ends(share)
    sheet.compute("chip_weights_bytes", chip_memory.chip_weights_bytes, "B",
                  "layers_bytes head_bytes embedding_bytes pipeline_parallel")  # fmt: skip


def _ends(share: Sharing) -> None:
    """The head, and the input embedding beside it."""
    sheet, heads = share.sheet, share.ops.of("head")
    nothing = Origin("default", "nothing of the kind")
    if not heads:
        sheet.give(Quantity("head_bytes", 0.0, "B", nothing))
    else:
        sheet.compute("head_bytes", operators.weight_traffic_bytes, "B",
                      f"held_params=head_held bytes_per_param={heads[0].part}_bytes_per_param")  # fmt: skip
    if not share.model.lookup_params:
        sheet.give(Quantity("embedding_bytes", 0.0, "B", nothing))
        return
    dealt = share.share(heads[0].pieces) if heads else ""
    sheet.compute("embedding_held", operators.held_params, "params",
                  f"params=lookup_params{share.cut(dealt, filled=False)}")  # fmt: skip
    sheet.compute("embedding_bytes", operators.weight_traffic_bytes, "B",
                  "held_params=embedding_held bytes_per_param=lookup_bytes_per_param")  # fmt: skip


def _cache(share: Sharing) -> None:
    """Cache and states of one sequence on one chip of every stage, and of all that the chip serves."""
    sheet = share.sheet
    sheet.compute("cached_tokens", roofline.tokens_in_memory, "tokens", "context_tokens pass_tokens")
    rows = [_stored(share, one) for one in share.ops.attends if one.kept.stored_tokens]
    for name, state in share.ops.states:
        sheet.compute(f"{name}_stored_bytes", operators.shared_bytes, "B",
                      f"bytes_of_all={name}_bytes{share.cut(share.share(state.heads))}")  # fmt: skip
        rows.append(f"{name}_stored_bytes")
    if rows:
        sheet.compute("sequence_chip_bytes", total, "B", " ".join(rows))
    else:
        sheet.give(Quantity("sequence_chip_bytes", 0.0, "B", Origin("default", "nothing is kept")))
    sheet.compute("chip_kv_bytes", kv_variants.batch_bytes, "B", "batch=micro_batch sequence_bytes=sequence_chip_bytes")


def _stored(share: Sharing, one: Attend) -> str:
    sheet, name = share.sheet, f"{one.name}_stored_bytes"
    size = f"context_tokens=cached_tokens kv_bytes_per_token={one.name}_bytes_per_token"
    if math.isfinite(one.kept.stored_tokens):
        bound = one.kept.bound_name(one.kept.stored_tokens)
        sheet.compute(f"{name}_of_all", kv_variants.window_bytes, "B", f"{size} window_tokens={bound}")
    else:
        sheet.compute(f"{name}_of_all", kv_variants.full_bytes, "B", size)
    pieces = one.kept.kv_heads if share.model.architecture else 0
    dealt = share.both(share.share(pieces), "context_share")
    sheet.compute(name, operators.shared_bytes, "B", f"bytes_of_all={name}_of_all{share.cut(dealt)}")
    return name


def _activations(share: Sharing) -> None:
    """Activations and logits at their peak; what of them grows with the batch is kept apart from a chunk's."""
    sheet, heads = share.sheet, share.ops.of("head")
    if not heads:
        for name in ("chip_activation_bytes", "sequence_activation_bytes"):
            sheet.give(Quantity(name, 0.0, "B", Origin("default", "the shape of bare numbers is not known")))
        return
    dealt = [one.outputs for one in share.ops.of("rank") if one.pieces > 1 and one.outputs]
    share.give("widest", float(max(dealt, default=0)), "1", "outputs of the widest matrix that is dealt out")
    share.give("vocabulary", float(heads[0].outputs), "1", "rows of the head")
    per_head = "sampled_tokens" if share.refined("logits") else "rank_tokens"
    sheet.compute_all([
        ("peak_activation_bytes", chip_memory.activation_peak_bytes, "B",
         "tokens=rank_tokens hidden_size widest ways=tensor_parallel bytes_per_element=activation_bytes_per_element"),
        ("logits_bytes", chip_memory.logits_bytes, "B",
         f"tokens={per_head} vocabulary ways=tensor_parallel bytes_per_element=logits_bytes_per_element"),
        ("sequence_activation_bytes", total, "B", "peak_activation_bytes logits_bytes"),
    ])  # fmt: skip
    if not share.asked.chunk_tokens:
        sheet.compute("chip_activation_bytes", total, "B", "sequence_activation_bytes")
        return
    sheet.compute("chunk_activation_bytes", chip_memory.activation_peak_bytes, "B",
                  "tokens=rank_chunk_tokens hidden_size widest ways=tensor_parallel "
                  "bytes_per_element=activation_bytes_per_element")  # fmt: skip
    sheet.compute("chip_activation_bytes", total, "B", "sequence_activation_bytes chunk_activation_bytes")


def _largest_context(share: Sharing) -> None:
    """The longest context at the batch asked; activations of the pass stay as they are."""
    sheet, model = share.sheet, share.model
    sheet.compute("kv_room_bytes", chip_memory.chip_room_bytes, "B",
                  "memory_bytes needed_bytes=chip_needed_bytes varying_bytes=chip_kv_bytes")  # fmt: skip
    write_stored(sheet, model, "cached_tokens", "sequence_bytes")
    sheet.compute("room_per_sequence_bytes", chip_memory.scaled_room_bytes, "B",
                  "room_bytes=kv_room_bytes sequences=micro_batch whole_bytes=sequence_bytes "
                  "chip_bytes=sequence_chip_bytes")  # fmt: skip
    if model.cache_is_plain:
        sheet.give(Quantity("no_bytes", 0.0, "B", Origin("default", "nothing is of a fixed size")))
        sheet.compute("largest_length", context.context_within_bytes, "tokens",
                      "available_bytes=room_per_sequence_bytes saturated_bytes=no_bytes "
                      "growing_bytes_per_token=kv_bytes_per_token")  # fmt: skip
    else:
        write_context_within(sheet, model, "room_per_sequence_bytes", "largest_length", read=False)
    sheet.compute("largest_context", context.context_before_pass, "tokens", "tokens=largest_length pass_tokens")
