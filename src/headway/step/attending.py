"""Attention and recurrent states on the worksheet: arithmetic over pairs, bytes of the cache, what is written to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from headway.equations import attention, kv_variants, operators
from headway.equations._total import total
from headway.model.kept import Kept, State
from headway.step.operators import Attend
from headway.step.sharing import Sharing


def write(share: Sharing, row: Callable[..., Any]) -> list[Any]:
    """A row for each kind of attention and state."""
    rows = [_attend(share, one, row) for one in share.ops.attends]
    return rows + [_state(share, name, state, row) for name, state in share.ops.states]


def _attend(share: Sharing, one: Attend, row: Callable[..., Any]) -> Any:
    kept = one.kept
    _figures(share, one)
    passes = [_Riders(share, one, share.sequences, "pass_tokens", "context_tokens", "")]
    if share.asked.chunk_tokens:
        passes.append(_Riders(share, one, "one_sequence", "chunk_tokens", "chunk_context_tokens", "_of_chunk"))
    heads, kept_share = _shares(share, kept)
    own_heads = share.share(kept.heads) if share.laid and share.model.architecture else ""
    whole = [p.flop() for p in passes] if _counts(share) else []
    flop = _dealt(share, f"{one.name}_flop", whole, "FLOP", heads) if whole else ""
    read = _dealt(share, f"{one.name}_kv_bytes", [p.read() for p in passes], "B", kept_share)
    moved = _moved(share, one, own_heads, kept_share) if share.refined("activations") else ""
    return row(one.name, kept.text, "cache", one.layers, share.tokens, flop, "", read, moved, share.rate(),
               whole_flop=whole[0] if whole else "", chunk_flop=whole[1] if len(whole) > 1 else "")  # fmt: skip


def _counts(share: Sharing) -> bool:
    return share.refined("attention")


def _figures(share: Sharing, one: Attend) -> None:
    """What the cache keeps for a token, and the arithmetic of a pair."""
    kept, size = one.kept, share.model.kv_dtype.bytes_per_number
    share.give(f"{one.name}_bytes_per_token", kept.numbers * size, "B", f"{kept.text} x {size:g} B")
    if not _counts(share):
        return
    gap = "" if share.model.architecture else "bare numbers have no attention; name a model, or give a config.json"
    share.give(f"{one.name}_pair_flop", None if gap else kept.pair_flop, "FLOP", gap=gap)
    if kept.expansion_flop:
        share.give(f"{one.name}_expanded_pair_flop", kept.expanded_pair_flop, "FLOP")
        share.give(f"{one.name}_expansion_flop_per_token", kept.expansion_flop, "FLOP")


def _shares(share: Sharing, kept: Kept) -> tuple[str, str]:
    """What a chip has of the arithmetic, and of the cache: its heads, and its part of the tokens."""
    if not share.laid:
        return "", ""
    heads, pieces = (kept.heads, kept.kv_heads) if share.model.architecture else (0, 0)
    return share.both(share.share(heads), "context_share"), share.both(share.share(pieces), "context_share")


def _dealt(share: Sharing, name: str, parts: list[str], unit: str, dealt: str) -> str:
    """The sum over who rides along, and of it what falls to a chip."""
    whole = parts[0]
    if len(parts) > 1:
        whole = f"{name}_of_all"
        share.sheet.compute(whole, total, unit, " ".join(parts))
    if not share.laid:
        return whole
    equation = operators.shared_flop if unit == "FLOP" else operators.shared_bytes
    of = "flop" if unit == "FLOP" else "bytes_of_all"
    share.sheet.compute(name, equation, unit, f"{of}={whole}{share.cut(dealt)}")
    return name


class _Riders:
    """Sequences of one kind in a pass: those that decode, or the one whose prompt is taken in by chunks."""

    def __init__(self, share: Sharing, one: Attend, batch: str, passed: str, context: str, mark: str) -> None:
        self.share, self.one, self.batch, self.passed, self.context, self.mark = (
            share, one, batch, passed, context, mark,
        )  # fmt: skip

    def flop(self) -> str:
        """Arithmetic of all heads: of latents, the cheaper of two forms."""
        name, own = f"{self.one.name}{self.mark}_all_flop", self.one.name
        if not self.one.kept.expansion_flop:
            return self._pairs(name, f"{own}_pair_flop")
        latent = self._pairs(f"{own}{self.mark}_latent_flop", f"{own}_pair_flop")
        expanded = self._pairs(f"{own}{self.mark}_expanded_flop", f"{own}_expanded_pair_flop")
        expansion = f"{own}{self.mark}_expansion_flop"
        self.share.sheet.compute(expansion, attention.expansion_flop, "FLOP",
                                 f"batch={self.batch} context_tokens={self.context} "
                                 f"expansion_flop_per_token={own}_expansion_flop_per_token")  # fmt: skip
        self.share.sheet.compute(name, attention.cheaper_attention_flop, "FLOP",
                                 f"latent_flop={latent} expanded_flop={expanded} "
                                 f"expansion_flop={expansion}")  # fmt: skip
        return name

    def _pairs(self, name: str, pair: str) -> str:
        self.share.sheet.compute(name, attention.attention_flop, "FLOP",
                                 f"batch={self.batch} pass_tokens={self.passed} attended_tokens={self._attended()} "
                                 f"pair_flop={pair}")  # fmt: skip
        return name

    def _attended(self) -> str:
        kept, sheet = self.one.kept, self.share.sheet
        name = f"attended_{kept.name}{self.mark}"
        where = f"pass_tokens={self.passed} context_tokens={self.context}"
        if name not in sheet and math.isfinite(kept.read_tokens):
            sheet.compute(name, attention.mean_attended_in_window_tokens, "tokens",
                          f"{where} window_tokens={kept.name}_tokens")  # fmt: skip
        elif name not in sheet:
            sheet.compute(name, attention.mean_attended_tokens, "tokens", where)
        return name

    def read(self) -> str:
        """Bytes of the cache of all sequences that the pass reads."""
        kept, sheet, own = self.one.kept, self.share.sheet, self.one.name
        size = f"context_tokens={self.context} kv_bytes_per_token={own}_bytes_per_token"
        each, name = f"{own}{self.mark}_sequence_bytes", f"{own}{self.mark}_all_bytes"
        if math.isfinite(kept.read_tokens):
            sheet.compute(each, kv_variants.window_bytes, "B", f"{size} window_tokens={self._window()}")
        else:
            sheet.compute(each, kv_variants.full_bytes, "B", size)
        sheet.compute(name, kv_variants.batch_bytes, "B", f"batch={self.batch} sequence_bytes={each}")
        return name

    def _window(self) -> str:
        """How many tokens a pass reads at most: each new token of sparse attention chooses for itself."""
        kept, sheet = self.one.kept, self.share.sheet
        if kept.read_tokens >= kept.stored_tokens:
            return kept.bound_name(kept.read_tokens)
        name = f"chosen_{kept.name}{self.mark}"
        if name not in sheet:
            sheet.compute(name, kv_variants.chosen_tokens, "tokens",
                          f"selected_tokens={kept.name}_tokens pass_tokens={self.passed}")  # fmt: skip
        return name


def _moved(share: Sharing, one: Attend, heads: str, kept_share: str) -> str:
    """Queries that come in, results that go out, and new entries of the cache: of each context rank its part."""
    sheet, name = share.sheet, f"{one.name}_moved_bytes"
    fill = " fill" if share.laid else ""
    width = share.give(f"{one.name}_width", float(one.layers * one.width), "1", f"{one.layers} x {one.width:,}")
    dealt = f" input_share={heads}" if heads else ""
    sheet.compute(f"{one.name}_passed_bytes", operators.activation_traffic_bytes, "B",
                  f"tokens={share.tokens} input_width={width} output_width=no_width "
                  f"bytes_per_element=activation_bytes_per_element{fill}{dealt}")  # fmt: skip
    if not one.kept.stored_tokens:
        return f"{one.name}_passed_bytes"
    written = f"{one.name}_written_bytes"
    kept = f" share={kept_share}" if kept_share else ""
    sheet.compute(written, operators.written_bytes, "B",
                  f"tokens={share.own_tokens} bytes_per_token={one.name}_bytes_per_token{kept}{fill}")  # fmt: skip
    sheet.compute(name, total, "B", f"{one.name}_passed_bytes {written}")
    return name


def _state(share: Sharing, name: str, state: State, row: Callable[..., Any]) -> Any:
    """A recurrent state: read and written once in a pass, of everybody who rides along."""
    share.give(f"{name}_bytes", state.numbers * state.bytes_per_number, "B", state.text)
    share.sheet.compute(f"{name}_traffic_bytes", kv_variants.state_traffic_bytes, "B", f"state_bytes={name}_bytes")
    if _counts(share):
        share.give(f"{name}_flop_per_token", state.flop, "FLOP", state.text)
    riders = [(share.sequences, "pass_tokens", "")]
    if share.asked.chunk_tokens:
        riders.append(("one_sequence", "chunk_tokens", "_of_chunk"))
    read, whole = [], []
    for batch, passed, mark in riders:
        read.append(f"{name}{mark}_all_bytes")
        share.sheet.compute(read[-1], kv_variants.batch_bytes, "B",
                            f"batch={batch} sequence_bytes={name}_traffic_bytes")  # fmt: skip
        if _counts(share):
            whole.append(f"{name}{mark}_all_flop")
            share.sheet.compute(whole[-1], attention.states_flop, "FLOP",
                                f"batch={batch} pass_tokens={passed} state_flop={name}_flop_per_token")  # fmt: skip
    dealt = share.share(state.heads) if share.laid else ""
    traffic = _dealt(share, f"{name}_kv_bytes", read, "B", dealt)
    flop = _dealt(share, f"{name}_flop", whole, "FLOP", dealt) if whole else ""
    return row(name, state.text, "state", 0, share.tokens, flop, "", traffic, "", share.rate(),
               whole_flop=whole[0] if whole else "", chunk_flop=whole[1] if len(whole) > 1 else "")  # fmt: skip
