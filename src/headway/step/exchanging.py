"""What chips of a layout send each other in a pass, on the worksheet: which collectives, how often, and who waits.

Tensor-parallel chips sum up the results of every block; ranks with sequences of their own send tokens to the
experts and get them back; context ranks exchange keys and values, or queries and results, whichever is less; stages
hand on.
"""

from __future__ import annotations

from headway.equations import chip_memory, moe, operators
from headway.equations import layout as sharing
from headway.equations._total import total
from headway.model.dtypes import dtype
from headway.provenance import Origin, Quantity
from headway.step import blackboard
from headway.step.network import (
    Kind,
    write_collective,
    write_domains_hit,
    write_expert_exchange,
    write_group,
    write_links,
)
from headway.step.operators import Bank
from headway.step.sharing import Sharing
from headway.step.work import Row


def write_communication(share: Sharing) -> list[Row]:
    """Write the communication that a pass waits for, and its hops between stages; returns the rows."""
    sheet, nothing = share.sheet, Origin("default", "left out")
    if not share.refined("communication") or not share.laid:
        if share.refined("communication") and share.system.chips > 1:
            blackboard.write_communication(sheet, share.model, share.system)
        sheet.give(Quantity("t_hops_s", 0.0, "s", nothing))
        return []
    rows = _collectives(share)
    sheet.drop("t_comm_s")
    sheet.compute_all([
        ("comm_s", total, "s", " ".join(["no_comm_s", *(f"{row.comm}_s" for row in rows if row.name != "hops")])),
        ("t_comm_s", operators.waited_for_s, "s", "comm_s work_s sub_batches overlap_share"),
        ("t_hops_s", total, "s", "no_comm_s hops_s"),
    ])  # fmt: skip
    return rows


def _collectives(share: Sharing) -> list[Row]:
    sheet = share.sheet
    write_links(sheet, share.system)
    sheet.give(Quantity("no_comm_s", 0.0, "s", Origin("default", "nothing else")))
    for group, ranks, stride in (
        ("tensor", "tensor_parallel", "one_chip"), ("context", "context_parallel", "tensor_parallel"),
        ("stages", "pipeline_parallel", "stage_chips"),
    ):  # fmt: skip
        if stride not in sheet:
            sheet.give(Quantity(stride, 1.0, "chips", Origin("default", "neighbours")))
        write_group(sheet, group, ranks, stride)
    _payloads(share)
    rows = [*_tensor(share), *_context(share)]
    for bank in share.ops.banks:
        rows += _experts(share, bank)
    return [*rows, _stages(share)]


def _payloads(share: Sharing) -> None:
    """The hidden states that a rank has of a part of the batch, and how often blocks follow each other."""
    tokens = share.tokens
    if share.asked.sub_batches > 1:
        tokens = "rank_sub_tokens"
        share.sheet.compute(tokens, sharing.sub_batch_tokens, "tokens", f"tokens={share.tokens} sub_batches")
    width = "hidden_size" if share.model.architecture else "no_width"
    share.sheet.compute("hidden_bytes", operators.looked_up_bytes, "B",
                        f"tokens={tokens} width={width} bytes_per_element=combine_bytes_per_element")  # fmt: skip


def _times(share: Sharing, name: str, layers: int) -> str:
    """How often something happens in a pass: in each of so many layers, of every stage and part of the batch."""
    share.sheet.give(Quantity(f"{name}_layers", float(layers), "1", share.model.noted("blocks in all layers")))
    share.sheet.compute(f"{name}_times", sharing.repeats, "1", f"count={name}_layers fill sub_batches")
    return f"{name}_times"


def _tensor(share: Sharing) -> list[Row]:
    """All-reduces after each block; and once the embedding's sum and the gathering of logits."""
    blocks = share.ops.mixing_layers + share.ops.feeding_layers
    if not blocks:
        return []
    times = _times(share, "reduce", blocks)
    write_collective(share.sheet, "all_reduce", "reduce", payload="hidden_bytes", group="tensor", times=times)
    write_collective(share.sheet, "all_reduce", "embed", payload="hidden_bytes", group="tensor", times="sub_batches")
    logits = "sampled_tokens" if share.refined("logits") else share.tokens
    if "vocabulary" not in share.sheet:
        share.give("vocabulary", float(share.ops.of("head")[0].outputs), "1", "rows of the head")
    share.sheet.compute("gathered_logits_bytes", operators.looked_up_bytes, "B",
                        f"tokens={logits} width=vocabulary bytes_per_element=combine_bytes_per_element")  # fmt: skip
    write_collective(share.sheet, "all_gather", "gather", payload="gathered_logits_bytes", group="tensor",
                     times="one_token")  # fmt: skip
    return [
        Row("reduce", "all-reduce after each block", "tensor", blocks, share.tokens, comm="reduce"),
        Row("embed", "all-reduce of the embedding", "tensor", 1, share.tokens, comm="embed"),
        Row("gather", "all-gather of logits", "tensor", 1, logits, comm="gather"),
    ]


def _context(share: Sharing) -> list[Row]:
    """Keys and values of the new tokens to all context ranks, or their queries and partial results: the fewer bytes."""
    attends = [one for one in share.ops.attends if one.width]
    if not attends:
        return []
    sheet, layers = share.sheet, sum(one.layers for one in attends)
    times = _times(share, "share_context", layers)
    share.give("core_width", sum(one.layers * one.width for one in attends) / layers, "1", "queries and results")
    kept = sum(one.kept.numbers for one in attends) * share.model.kv_dtype.bytes_per_number / layers
    share.give("layer_kv_bytes_per_token", kept, "B", "keys and values of a token in a layer")
    heads = share.share(max(one.kept.heads for one in attends)) or "whole"
    pieces = share.share(max(one.kept.kv_heads for one in attends)) or "whole"
    payloads = [_pass_kv_or_q(share, share.sequences, "context_tokens", "pass_tokens", heads, pieces, "")]
    if share.asked.chunk_tokens:
        payloads.append(_pass_kv_or_q(share, "one_sequence", "chunk_context_tokens", "chunk_tokens", heads, pieces,
                                      "_of_chunk"))  # fmt: skip
    sheet.compute("context_payload_bytes", total, "B", " ".join(payloads))
    write_collective(
        sheet, "all_gather", "share_context", payload="context_payload_bytes", group="context", times=times
    )
    return [Row("share_context", "keys and values, or queries, to context ranks", "context", layers, share.tokens,
                comm="share_context")]  # fmt: skip


def _pass_kv_or_q(
    share: Sharing, sequences: str, context: str, passed: str, heads: str, pieces: str, mark: str
) -> str:  # fmt: skip
    """Bytes of one layer: of keys and values of all tokens, or of the queries and results of the new ones."""
    share.sheet.compute_all([
        (f"new_kv_bytes{mark}", sharing.gathered_kv_bytes, "B",
         f"sequences={sequences} context_tokens={context} pass_tokens={passed} "
         f"kv_bytes_per_token=layer_kv_bytes_per_token share={pieces}"),
        (f"query_bytes{mark}", sharing.gathered_query_bytes, "B",
         f"sequences={sequences} pass_tokens={passed} width=core_width "
         f"bytes_per_element=activation_bytes_per_element share={heads}"),
        (f"passed_on_bytes{mark}", sharing.fewer_bytes, "B",
         f"first_bytes=new_kv_bytes{mark} second_bytes=query_bytes{mark}"),
    ])  # fmt: skip
    return f"passed_on_bytes{mark}"


def _experts(share: Sharing, bank: Bank) -> list[Row]:
    """Dispatch and combine, where ranks have tokens of their own; where all have all, the block's sum is enough."""
    sheet, mark = share.sheet, f"_{bank.name}" if bank.name else ""
    if not mark:
        sheet.compute_all([
            ("exchanging", sharing.exchanging, "1", "data_parallel context_parallel expert_parallel"),
            ("gathering", sharing.gathering, "1", "data_parallel context_parallel expert_parallel"),
            ("sender_tokens", sharing.sender_tokens, "tokens",
             f"tokens={share.own_tokens} tensor_parallel context_parallel sub_batches"),
        ])  # fmt: skip
        write_group(sheet, "experts", "expert_parallel", "expert_ways")
        write_group(sheet, "stage", "stage_chips", "one_chip")
        write_group(sheet, "slices", "expert_ways", "one_chip")
        _element(share)
    copies = f"experts_per_token{mark}"
    if share.asked.sends == "rank":
        copies = f"ranks_hit{mark}"
        sheet.compute(copies, moe.distinct_ranks_hit, "ranks",
                      f"n_experts=n_experts{mark} n_ranks=expert_parallel "
                      f"experts_per_token=experts_per_token{mark}")  # fmt: skip
    if share.asked.sends == "domain":
        write_domains_hit(sheet, f"domains_hit{mark}", "experts", n_experts=f"n_experts{mark}",
                          experts_per_token=f"experts_per_token{mark}", limit=_limit(share))  # fmt: skip
    uneven = f" imbalance=imbalance{mark}" if f"imbalance{mark}" in sheet else ""
    sheet.compute(f"exchanged_tokens{mark}", sharing.exchanged_tokens, "tokens",
                  f"sender_tokens stage_tokens={share.stage_tokens} stage_chips sub_batches{uneven}")  # fmt: skip
    times = _times(share, f"experts{mark}", bank.layers)
    for name, when in ((f"exchange{mark}_times", "exchanging"), (f"gathered{mark}_times", "gathering")):
        sheet.compute(name, operators.product, "1", f"first_share={times} second_share={when}")
    share.give(f"expert_width{mark}", float(bank.input_size), "1", "numbers of a token that an expert sees")
    made = []
    for way, size in (("dispatch", "dispatch_element_bytes"), ("combine", "combine_bytes_per_element")):
        write_expert_exchange(
            sheet, f"{way}{mark}", tokens=f"exchanged_tokens{mark}", copies=copies,
            width=f"expert_width{mark}", value_bytes=size, group="experts", times=f"exchange{mark}_times",
            domains=f"domains_hit{mark}" if share.asked.sends == "domain" else "",
        )  # fmt: skip
        made.append(Row(f"{way}{mark}", f"{way} of tokens, {bank.layers} layers", "experts", bank.layers,
                        f"exchanged_tokens{mark}", comm=f"{way}{mark}"))  # fmt: skip
    return made + _sliced(share, bank, mark) + _gathered(share, bank, mark)


def _sliced(share: Sharing, bank: Bank, mark: str) -> list[Row]:
    """Where each expert is cut over chips of its rank, its copies go to all of them, and their results are summed."""
    sheet = share.sheet
    sheet.compute(f"sub_copies{mark}", sharing.sub_batch_tokens, "tokens", f"tokens=copies{mark} sub_batches")
    return _between(share, bank, mark, "slices", f"sub_copies{mark}", f"exchange{mark}_times", ("slice", "unslice"))


def _limit(share: Sharing) -> str:
    """The most domains that routing lets a token reach, where the question says so."""
    if not share.asked.domains_per_token:
        return ""
    if "domains_per_token" not in share.sheet:
        said = Origin("user", "node-limited routing")
        share.sheet.give(Quantity("domains_per_token", float(share.asked.domains_per_token), "ranks", said))
    return "domains_per_token"


def _gathered(share: Sharing, bank: Bank, mark: str) -> list[Row]:
    """Where every expert is cut over all chips of a stage, all tokens go to all of them, and sums come back."""
    return _between(share, bank, mark, "stage", "stage_sub_tokens", f"gathered{mark}_times", ("spread", "sums"))


def _between(
    share: Sharing, bank: Bank, mark: str, group: str, tokens: str, times: str, names: tuple[str, str]
) -> list[Row]:  # fmt: skip
    """An all-gather of tokens among chips that share experts, and a reduce-scatter of their results."""
    sheet, rows = share.sheet, []
    kinds: tuple[Kind, Kind] = ("all_gather", "reduce_scatter")
    for kind, name, size in zip(kinds, names, ("dispatch_element_bytes", "combine_bytes_per_element"), strict=True):
        own = f"{name}{mark}"
        sheet.compute(f"{own}_payload_bytes", operators.looked_up_bytes, "B",
                      f"tokens={tokens} width=expert_width{mark} bytes_per_element={size}")  # fmt: skip
        write_collective(sheet, kind, own, payload=f"{own}_payload_bytes", group=group, times=times)
        rows.append(Row(own, f"{kind.replace('_', '-')} of tokens, {bank.layers} layers", "experts", bank.layers,
                        tokens, comm=own))  # fmt: skip
    return rows


def _element(share: Sharing) -> None:
    """Bytes of a number that is dispatched: of experts in fp8 or less with its scales, else as it is."""
    sheet = share.sheet
    sheet.compute("stage_sub_tokens", sharing.sub_batch_tokens, "tokens", f"tokens={share.stage_tokens} sub_batches")
    formats = [
        share.model.storage["routed_experts"].dtype,
        *([dtype(share.asked.act_dtype)] if share.asked.act_dtype else []),
    ]
    narrow = all(one.bytes_per_number <= 1 for one in formats)
    parts = "dispatch_bytes_per_element dispatch_scale_bytes_per_element" if narrow else "combine_bytes_per_element"
    sheet.compute("dispatch_element_bytes", total, "B", parts)


def _stages(share: Sharing) -> Row:
    """Hidden states from stage to stage; the token that goes back is nothing beside them."""
    share.sheet.compute("hops_between", sharing.hops_between, "1", "pipeline_parallel")
    share.sheet.compute("hops_times", sharing.repeats, "1", "count=hops_between fill=whole sub_batches")
    write_collective(share.sheet, "point_to_point", "hops", payload="hidden_bytes", group="stages", times="hops_times")
    return Row("hops", "from stage to stage", "stages", 1, share.tokens, comm="hops")


def write_handover(share: Sharing) -> None:
    """The cache of a prefill on its way to the chips that decode, once the pass is over."""
    if "scaleout_bytes_per_s" not in share.sheet:
        write_links(share.sheet, share.system)
    share.sheet.compute_all([
        ("handed_bytes", chip_memory.handed_bytes, "B", "batch sequence_bytes layout_chips"),
        ("t_handover_s", chip_memory.handover_s, "s",
         "kv_bytes=handed_bytes bandwidth_bytes_per_s=scaleout_bytes_per_s latency_s=scaleout_latency_s"),
        ("first_token_s", chip_memory.first_token_s, "s", "step_s handover_s=t_handover_s"),
    ])  # fmt: skip
