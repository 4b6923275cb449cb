"""What a chip of a layout must hold: weights, cache, activations, buffers and the runtime's own, on the worksheet.

Pipeline stages divide the weights and never the cache: with P stages a chip has 1 / P of the layers of P micro-batches.
"""

from __future__ import annotations

import math

from headway.equations import chip_memory, context, kv_variants, operators, roofline
from headway.equations import layout as sharing
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
    kept = ["own_kv_bytes", *(["draft_kv_bytes"] if share.asked.draft else [])]
    if share.asked.draft:
        for part, own in parts.items():
            sheet.compute(f"both_{part}_bytes", total, "B", f"{own} draft_{part}_bytes")
            parts[part] = f"both_{part}_bytes"
    sheet.compute_all([
        ("buffered_chips", chip_memory.buffered_chips, "chips", "tensor_parallel pipeline_parallel"),
        ("chip_needed_bytes", chip_memory.chip_needed_bytes, "B",
         f"weights_bytes={parts['weights']} kv_bytes={parts['kv']} activation_bytes={parts['activation']} "
         "buffer_bytes=collective_buffer_bytes buffered_chips reserve_bytes=runtime_reserve_bytes"),
        ("chip_varying_kv_bytes", total, "B", " ".join(kept)),
        ("chip_varying_bytes", total, "B", f"chip_varying_kv_bytes {parts['activation']}"),
    ])  # fmt: skip
    grown = "sequence_activation_bytes"
    if share.asked.draft:
        grown = "both_sequence_activation_bytes"
        sheet.compute(grown, total, "B", "sequence_activation_bytes draft_activation_bytes")
    needed = "chip_needed_bytes"
    if share.asked.chunk_tokens:  # its activations stay, however many sequences there are beside it
        needed = "needed_with_chunk_bytes"
        sheet.compute(needed, total, "B", "chip_needed_bytes chunk_needs_bytes")
    sheet.compute_all([
        ("chip_room_bytes", chip_memory.chip_room_bytes, "B",
         f"memory_bytes needed_bytes={needed} varying_bytes=chip_varying_bytes"),
        ("kv_each_bytes", chip_memory.sequence_share_bytes, "B",
         "held_bytes=chip_varying_kv_bytes sequences=rank_sequences"),
        ("activation_each_bytes", chip_memory.sequence_share_bytes, "B",
         f"held_bytes={grown} sequences=micro_batch"),
        ("largest_batch", chip_memory.largest_layout_batch, "sequences",
         "room_bytes=chip_room_bytes kv_each_bytes activation_each_bytes data_parallel pipeline_parallel"),
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
    _of_sequence(share, "sequence_chip_bytes", "cached_tokens", "")
    sheet.compute_all([
        ("rank_sequences", chip_memory.rank_sequences, "sequences", "batch data_parallel"),
        ("own_kv_bytes", chip_memory.held_kv_bytes, "B",
         "sequences=rank_sequences sequence_bytes=sequence_chip_bytes pipeline_parallel"),
    ])  # fmt: skip
    if not share.asked.chunk_tokens:
        sheet.compute("chip_kv_bytes", total, "B", "own_kv_bytes")
        return
    # Each micro-batch in flight carries a chunk, of whose sequence the chip has the layers of its stage.
    sheet.compute("chunk_cached_tokens", roofline.tokens_in_memory, "tokens",
                  "context_tokens=chunk_context_tokens pass_tokens=chunk_tokens")  # fmt: skip
    _of_sequence(share, "chunk_kv_bytes", "chunk_cached_tokens", "_of_chunk")
    sheet.compute("chip_kv_bytes", total, "B", "own_kv_bytes chunk_kv_bytes")


def _of_sequence(share: Sharing, name: str, tokens: str, mark: str) -> None:
    """What one sequence of so many tokens keeps on one chip of every stage."""
    sheet = share.sheet
    rows = [_stored(share, one, tokens, mark) for one in share.ops.attends if one.kept.stored_tokens]
    for state_name, state in share.ops.states:
        stored = f"{state_name}_stored_bytes{mark}"
        sheet.compute(stored, operators.shared_bytes, "B",
                      f"bytes_of_all={state_name}_bytes{share.cut(share.share(state.heads))}")  # fmt: skip
        rows.append(stored)
    if rows:
        sheet.compute(name, total, "B", " ".join(rows))
    else:
        sheet.give(Quantity(name, 0.0, "B", Origin("default", "nothing is kept")))


def _stored(share: Sharing, one: Attend, tokens: str, mark: str) -> str:
    sheet, name = share.sheet, f"{one.name}_stored_bytes{mark}"
    size = f"context_tokens={tokens} kv_bytes_per_token={one.name}_bytes_per_token"
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
    """Activations at the widest point of a layer, and logits; what of them grows with the batch is told apart."""
    sheet, heads = share.sheet, share.ops.of("head")
    if not heads:
        for name in ("chip_activation_bytes", "sequence_activation_bytes"):
            sheet.give(Quantity(name, 0.0, "B", Origin("default", "the shape of bare numbers is not known")))
        return
    dealt = [one.outputs for one in share.ops.of("rank") if one.pieces > 1 and one.outputs]
    share.give("widest", float(max(dealt, default=0)), "1", "outputs of the widest matrix that is dealt out")
    share.give("vocabulary", float(heads[0].outputs), "1", "rows of the head")
    per_head = "sampled_tokens" if share.refined("logits") else "rank_tokens"
    sheet.compute("logits_bytes", chip_memory.logits_bytes, "B",
                  f"tokens={per_head} vocabulary ways=tensor_parallel "
                  "bytes_per_element=logits_bytes_per_element")  # fmt: skip
    peak, own = (_peak(share, f"{which}_activation_bytes", tokens)
                 for which, tokens in (("peak", share.tokens), ("own", "rank_tokens")))  # fmt: skip
    chunk = _peak(share, "chunk_activation_bytes", "rank_chunk_tokens") if share.asked.chunk_tokens else ""
    if share.ops.banks:
        peak, own, chunk = _with_experts(share, peak, own, chunk)
    sheet.compute_all([
        ("chip_activation_bytes", total, "B", f"{peak} logits_bytes"),
        ("sequence_activation_bytes", total, "B", f"{own} logits_bytes"),
    ])  # fmt: skip
    if chunk:
        sheet.compute("chunk_needs_bytes", total, "B", chunk)


def _peak(share: Sharing, name: str, tokens: str) -> str:
    share.sheet.compute(name, chip_memory.activation_peak_bytes, "B",
                        f"tokens={tokens} hidden_size widest ways=tensor_parallel "
                        "bytes_per_element=activation_bytes_per_element")  # fmt: skip
    return name


def _with_experts(share: Sharing, peak: str, own: str, chunk: str) -> tuple[str, ...]:
    """The larger of a layer's other activations and those of the copies at its experts: of all, the batch, a chunk.

    Of what grows with the batch every rank counts as full: one sequence more is one on each.
    """
    sheet = share.sheet
    bank = max(share.ops.banks, key=lambda one: one.n_experts)
    mark = f"_{bank.name}" if bank.name else ""
    features = [one.outputs for one in share.ops.of("expert") if one.bank == bank.name and one.along == "outputs"]
    share.give("expert_features", float(max(features, default=0)), "1", "width of an expert")
    share.give("expert_input", float(bank.input_size), "1", "numbers of a token that an expert sees")
    sheet.compute_all([
        ("full_sequences", sharing.carried_sequences, "sequences",
         "micro_batch data_parallel pipeline_parallel=one_token"),
        ("full_tokens", roofline.tokens_in_pass, "tokens", "batch=full_sequences pass_tokens"),
    ])  # fmt: skip
    uses = [("peak", peak, share.bank(bank)[0]), ("own", own, _busy(share, mark, "full_tokens"))]
    uses += [("chunk", chunk, _busy(share, mark, "stage_chunk_tokens"))] if chunk else []
    names = []
    for which, beside, copies in uses:
        sheet.compute_all([
            (f"{which}_expert_bytes", chip_memory.expert_peak_bytes, "B",
             f"copies={copies} input_width=expert_input features=expert_features ways=expert_ways "
             "bytes_per_element=activation_bytes_per_element"),
            (f"{which}_layer_bytes", chip_memory.larger_bytes, "B",
             f"first_bytes={beside} second_bytes={which}_expert_bytes"),
        ])  # fmt: skip
        names.append(f"{which}_layer_bytes")
    return (*names, "") if not chunk else tuple(names)


def _busy(share: Sharing, mark: str, tokens: str) -> str:
    """Copies of so many tokens of a stage at its busiest rank."""
    imbalance = f"imbalance{mark}" if f"imbalance{mark}" in share.sheet else "whole"
    share.sheet.compute_all([
        (f"mean_copies_of_{tokens}", sharing.rank_copies, "tokens",
         f"stage_tokens={tokens} experts_per_token=experts_per_token{mark} expert_parallel"),
        (f"copies_of_{tokens}", sharing.busy_copies, "tokens",
         f"rank_copies=mean_copies_of_{tokens} imbalance={imbalance}"),
    ])  # fmt: skip
    return f"copies_of_{tokens}"


def _largest_context(share: Sharing) -> None:
    """The longest context at the batch asked; activations of the pass stay as they are."""
    sheet, model = share.sheet, share.model
    sheet.compute("kv_room_bytes", chip_memory.chip_room_bytes, "B",
                  "memory_bytes needed_bytes=chip_needed_bytes varying_bytes=chip_varying_kv_bytes")  # fmt: skip
    write_stored(sheet, model, "cached_tokens", "sequence_bytes")
    sheet.compute("room_per_sequence_bytes", chip_memory.scaled_room_bytes, "B",
                  "room_bytes=kv_room_bytes whole_bytes=sequence_bytes chip_bytes=chip_varying_kv_bytes")  # fmt: skip
    if model.cache_is_plain:
        sheet.give(Quantity("no_bytes", 0.0, "B", Origin("default", "nothing is of a fixed size")))
        sheet.compute("largest_length", context.context_within_bytes, "tokens",
                      "available_bytes=room_per_sequence_bytes saturated_bytes=no_bytes "
                      "growing_bytes_per_token=kv_bytes_per_token")  # fmt: skip
    else:
        write_context_within(sheet, model, "room_per_sequence_bytes", "largest_length", read=False)
    sheet.compute("largest_context", context.context_before_pass, "tokens", "tokens=largest_length pass_tokens")
