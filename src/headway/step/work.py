"""The work of a pass, operator by operator, on the worksheet: arithmetic, bytes, and the terms that they add up to.

Each operator has rows of its own, named after it: `mlp_up_flop`, `mlp_up_weight_bytes`, and with the refinements that
count them `mlp_up_moved_bytes` (activations) and `mlp_up_s` (its own time). Their sums are the blackboard's terms.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.equations import layout as sharing
from headway.equations import operators, roofline
from headway.equations._total import total
from headway.provenance import Origin, Quantity, Worksheet
from headway.step import attending
from headway.step.operators import Bank, Multiply
from headway.step.sharing import Sharing


@dataclass(frozen=True)
class Row:
    """An operator on the worksheet: the names of its quantities, empty where it has none."""

    name: str
    text: str
    part: str
    layers: int
    tokens: str = ""
    flop: str = ""
    weight_bytes: str = ""
    kv_bytes: str = ""
    moved_bytes: str = ""
    rate: str = ""
    comm: str = ""  # prefix of the quantities of a collective
    time: str = ""  # where it is not named after the operator
    whole_flop: str = ""  # of attention: the arithmetic of all heads of the rank's own sequences
    chunk_flop: str = ""  # and of the chunk that rides along
    multiply: Multiply | None = None
    dealt: str = ""  # the share of the matrix that the chip has
    experts: str = ""


@dataclass
class Work:
    """The rows of a pass as they are written, and the sums over them."""

    rows: list[Row] = field(default_factory=list)

    def names(self, kind: str) -> list[str]:
        """The quantities of a kind, row by row."""
        return [name for row in self.rows if (name := getattr(row, kind))]


def write_work(share: Sharing) -> Work:
    """Write every operator's work, and the sums; returns the rows for a table."""
    sheet = share.sheet
    sheet.give(Quantity("whole", 1.0, "1", Origin("default", "nothing is dealt out")))
    work = Work()
    work.rows += [_multiply(share, one) for one in share.ops.multiplies]
    work.rows += attending.write(share, Row)
    if share.refined("activations"):
        work.rows += _edges(share)
    _sums(share, work)
    return work


def _multiply(share: Sharing, one: Multiply) -> Row:
    """A matrix: what a chip holds of it, multiplies with it, reads of it."""
    sheet, name = share.sheet, one.name
    held = f"{name}_params"
    share.give(held, float(one.params), "params", one.text)
    ways = "expert_ways" if one.tokens == "expert" else "tensor_parallel"
    dealt = _dealt(share, one, ways)
    if share.laid:
        sheet.compute(f"{name}_held", operators.held_params, "params",
                      f"params={held}{share.cut(dealt, filled=one.tokens != 'head')}")  # fmt: skip
        held = f"{name}_held"
    tokens, read, experts = _tokens(share, one), held, ""
    if one.tokens == "expert":
        _, experts = share.bank(_bank(share, one))
        sheet.compute(f"{name}_read", operators.held_params, "params", f"params={held} share={experts}")
        read = f"{name}_read"
    flop = _flop(share, one, tokens, held)
    traffic = f"{name}_weight_bytes"
    sheet.compute(traffic, operators.weight_traffic_bytes, "B",
                  f"held_params={read} bytes_per_param={one.part}_bytes_per_param{share.subs}")  # fmt: skip
    moved = _moved(share, one, tokens, dealt) if share.refined("activations") else ""
    return Row(name, one.text, one.part, one.layers, tokens, flop, traffic, "", moved, share.rate(one.part),
               multiply=one, dealt=dealt, experts=experts)  # fmt: skip


def _flop(share: Sharing, one: Multiply, tokens: str, held: str) -> str:
    flop = f"{one.name}_flop"
    if share.model.architecture is None:  # of bare numbers not all are multiplied
        held = "active_params"
        if share.laid:
            share.sheet.compute("active_held", operators.held_params, "params",
                                f"params=active_params{share.cut(share.share(0))}")  # fmt: skip
            held = "active_held"
    share.sheet.compute(flop, operators.matrix_flop, "FLOP", f"tokens={tokens} held_params={held}")
    return flop


def _bank(share: Sharing, one: Multiply) -> Bank:
    return next(bank for bank in share.ops.banks if bank.name == one.bank)


def _dealt(share: Sharing, one: Multiply, ways: str) -> str:
    if ways == "expert_ways" and share.laid and "expert_ways" not in share.sheet:
        share.sheet.compute("expert_ways", sharing.expert_ways, "chips", "stage_chips expert_parallel")
    return share.share(one.pieces, ways)


def _tokens(share: Sharing, one: Multiply) -> str:
    """Whose tokens an operator multiplies."""
    if one.tokens == "expert":
        return share.bank(_bank(share, one))[0]
    if one.tokens == "head" and share.refined("logits"):
        return _sampled(share)
    return share.tokens


def _sampled(share: Sharing) -> str:
    """Tokens whose successor is asked for: the last of each sequence, or all that are verified."""
    name = "sampled_tokens"
    if name not in share.sheet:
        each = "pass_tokens" if share.asked.verifies else "one_token"
        share.sheet.compute(name, roofline.tokens_in_pass, "tokens", f"batch={share.sequences} pass_tokens={each}")
        if share.asked.chunk_tokens:
            share.sheet.compute("all_sampled_tokens", sharing.more_tokens, "tokens",
                                f"tokens={name} further_tokens=one_token")  # fmt: skip
    return "all_sampled_tokens" if share.asked.chunk_tokens else name


def _moved(share: Sharing, one: Multiply, tokens: str, dealt: str) -> str:
    """Activations that go in and out of an operator; of norms, the hidden state twice."""
    if not one.outputs and one.part != "norm":
        return ""
    name = f"{one.name}_moved_bytes"
    # Like matrices of a layer are one product: it reads what comes in once.
    widths = (one.inputs, one.times * one.outputs) if one.outputs else (one.per_layer, one.per_layer)
    for side, width in zip(("in", "out"), widths, strict=True):
        share.give(f"{one.name}_{side}_width", float(one.layers * width), "1", f"{one.layers} layers x {width:,}")
    side = {"outputs": "output_share", "inputs": "input_share"}[one.along]
    cut = f" {side}={dealt}" if dealt else ""
    fill = " fill" if share.laid and one.tokens != "head" else ""
    share.sheet.compute(name, operators.activation_traffic_bytes, "B",
                        f"tokens={tokens} input_width={one.name}_in_width output_width={one.name}_out_width "
                        f"bytes_per_element=activation_bytes_per_element{fill}{cut}")  # fmt: skip
    return name


def _edges(share: Sharing) -> list[Row]:
    """Rows of the input embedding that are looked up."""
    if share.model.architecture is None:
        return []
    share.sheet.compute("embedding_moved_bytes", operators.looked_up_bytes, "B",
                        f"tokens={share.tokens} width=hidden_size "
                        "bytes_per_element=lookup_bytes_per_param")  # fmt: skip
    return [Row("embedding", "rows looked up", "embedding", 1, share.tokens, moved_bytes="embedding_moved_bytes")]


def _sums(share: Sharing, work: Work) -> None:
    """The terms: arithmetic, weights, cache, activations; and with `operators` each operator's own time."""
    sheet = share.sheet
    matmul = [row.flop for row in work.rows if row.flop and row.weight_bytes]
    attention = [row.flop for row in work.rows if row.flop and not row.weight_bytes]
    _sum(sheet, "matmul_flop", matmul, "FLOP")
    if share.refined("attention"):
        _sum(sheet, "attention_flop", attention, "FLOP")
        _sum(sheet, "pass_flop", ["matmul_flop", "attention_flop"], "FLOP")
    _compute_time(share, work)
    _sum(sheet, "weights_bytes", work.names("weight_bytes"), "B")
    _sum(sheet, "kv_bytes", work.names("kv_bytes"), "B")
    terms = [("t_weights_s", "weights_bytes"), ("t_kv_s", "kv_bytes")]
    if share.refined("activations"):
        _sum(sheet, "activation_bytes_moved", work.names("moved_bytes"), "B")
        terms.append(("t_activations_s", "activation_bytes_moved"))
    for name, read in terms:
        sheet.compute(name, roofline.stream_time_s, "s", f"bytes_read={read} bandwidth_bytes_per_s={share.bandwidth}")
    _sum(sheet, "t_memory_s", [name for name, _ in terms], "s")
    _sum(sheet, "bytes_read", [read for _, read in terms], "B")
    alone = share.refined("operators") or share.asked.by_operator
    own = [_own_time(share, row) for row in work.rows] if alone else []
    if share.refined("operators"):
        _sum(sheet, "work_s", own, "s")
    else:
        sheet.compute("work_s", operators.work_time_s, "s", "t_compute_s t_memory_s")


def _compute_time(share: Sharing, work: Work) -> None:
    """Arithmetic at the rate of each format."""
    by_rate: dict[str, list[str]] = {}
    for row in work.rows:
        if row.flop:
            by_rate.setdefault(row.rate, []).append(row.flop)
    if len(by_rate) == 1:
        flop = "pass_flop" if share.refined("attention") else "matmul_flop"
        share.sheet.compute(
            "t_compute_s", roofline.compute_time_s, "s", f"flop={flop} flop_per_s={next(iter(by_rate))}"
        )
        return
    times = []
    for rate, flops in by_rate.items():
        mark = rate.removeprefix("system_").removesuffix("flop_per_s").strip("_") or "most"
        _sum(share.sheet, f"flop_at_{mark}", flops, "FLOP")
        share.sheet.compute(f"t_at_{mark}_s", roofline.compute_time_s, "s", f"flop=flop_at_{mark} flop_per_s={rate}")
        times.append(f"t_at_{mark}_s")
    _sum(share.sheet, "t_compute_s", times, "s")


def _own_time(share: Sharing, row: Row) -> str:
    """The time of one operator by itself."""
    moved = [name for name in (row.weight_bytes, row.kv_bytes, row.moved_bytes) if name]
    traffic = moved[0] if len(moved) == 1 else f"{row.name}_traffic_bytes"
    if len(moved) > 1:
        _sum(share.sheet, traffic, moved, "B")
    name = f"{row.name}_s"
    if row.flop:
        share.sheet.compute(name, operators.operator_time_s, "s",
                            f"flop={row.flop} flop_per_s={row.rate} traffic_bytes={traffic} "
                            f"bandwidth_bytes_per_s={share.bandwidth}")  # fmt: skip
    else:
        share.sheet.compute(name, roofline.stream_time_s, "s",
                            f"bytes_read={traffic} bandwidth_bytes_per_s={share.bandwidth}")  # fmt: skip
    return name


def _sum(sheet: Worksheet, name: str, parts: list[str], unit: str) -> None:
    """The sum of the parts, however many; nothing where there are none."""
    if not parts:
        sheet.give(Quantity(name, 0.0, unit, Origin("default", "nothing of the kind")))
        return
    sheet.compute(name, total, unit, " ".join(parts))
