"""A model's cache and attention on a worksheet, group by group: what is stored, read and multiplied at a context.

A cache that is one group, kept and read as a whole, is written as the blackboard has it. Any other is a sum of groups
(`headway.model.kept`), each bounded by its own reach, beside the states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.equations import attention, context, kv_variants
from headway.model.kept import Kept
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet


def write_stored(sheet: Worksheet, model: Model, tokens: str, name: str) -> None:
    """Bytes that one sequence of so many tokens keeps."""
    kept = [group for group in model.kept if group.stored_tokens]
    _write(sheet, model, name, tokens, {group: group.stored_tokens for group in kept})


def write_read(
    sheet: Worksheet, model: Model, tokens: str, name: str, *, passed: str = "", written_too: bool = False
) -> None:
    """Bytes that a pass reads of one sequence at a context; states are also written where that is asked for.

    Under sparse attention each of the `passed` new tokens chooses for itself.
    """
    reach = {group: group.read_tokens for group in model.kept}
    _write(sheet, model, name, tokens, reach, passed=passed, written_too=written_too)


def write_read_once(sheet: Worksheet, model: Model, tokens: str, name: str) -> None:
    """Bytes of every key and value of so many new tokens, whatever the window that looks at them; and the states."""
    _write(sheet, model, name, tokens, dict.fromkeys(model.kept, math.inf))


def _write(
    sheet: Worksheet, model: Model, name: str, tokens: str, reach: dict[Kept, float], *, passed: str = "",
    written_too: bool = False,
) -> None:  # fmt: skip
    """The sum of the groups, each as far as it reaches, and of the states."""
    if model.cache_is_plain:
        sheet.compute(name, kv_variants.full_bytes, "B", f"context_tokens={tokens} kv_bytes_per_token")
        return
    state = ["state_bytes"] if model.state_bytes else []
    if written_too and state:
        state = [f"{name}_state"]
        sheet.compute(state[0], kv_variants.state_traffic_bytes, "B", "state_bytes")
    alone = len(reach) == 1 and not state
    rows = [
        _group(sheet, model, group, tokens, name if alone else f"{name}_{group.name}", bound,
               passed if group.read_tokens < group.stored_tokens else "")
        for group, bound in reach.items()
    ]  # fmt: skip
    if not alone:
        _sum(sheet, name, [*rows, *state], kv_variants.groups_bytes)


def _group(sheet: Worksheet, model: Model, kept: Kept, tokens: str, name: str, reach: float, passed: str = "") -> str:
    size = f"context_tokens={tokens} kv_bytes_per_token={model.bytes_name(kept)}"
    window = kept.bound_name(reach)
    if passed:
        window = f"{kept.name}_chosen_tokens"
        if window not in sheet:
            sheet.compute(window, kv_variants.chosen_tokens, "tokens",
                          f"selected_tokens={kept.name}_tokens pass_tokens={passed}")  # fmt: skip
    if math.isfinite(reach):
        sheet.compute(name, kv_variants.window_bytes, "B", f"{size} window_tokens={window}")
    else:
        sheet.compute(name, kv_variants.full_bytes, "B", size)
    return name


def _sum(sheet: Worksheet, name: str, rows: Sequence[str], add: Callable[..., Any]) -> None:
    """Write the sum of some rows under a name, pair by pair."""
    kind, unit = ("bytes", "B") if add is kv_variants.groups_bytes else ("flop", "FLOP")
    if len(rows) < 2:
        rows = [*rows, *[_nothing(sheet, kind, unit)] * (2 - len(rows))]
    total = rows[0]
    for i, row in enumerate(rows[1:], start=1):
        fresh = name if i == len(rows) - 1 else f"{name}_sum_{i}"
        sheet.compute(fresh, add, unit, f"first_{kind}={total} second_{kind}={row}")
        total = fresh


def _nothing(sheet: Worksheet, kind: str, unit: str) -> str:
    """A zero, where a sum has one row only."""
    if f"no_{kind}" not in sheet:
        sheet.give(Quantity(f"no_{kind}", 0.0, unit, Origin("default", "nothing else")))
    return f"no_{kind}"


def write_attention_flop(
    sheet: Worksheet, model: Model, batch: str, *, passed: str = "pass_tokens", context: str = "context_tokens",
    suffix: str = "", as_cached: bool = False,
) -> None:  # fmt: skip
    """Arithmetic of attention and states in a pass, as `attention_flop` with the suffix.

    Where the cache holds latents the pass takes the cheaper of two forms, on the latents or on what they expand to;
    with `as_cached` there is no choice, as a decoded token has none.
    """
    groups = model.kept or ((_UNKNOWN,) if model.architecture is None else ())
    asked = _Attending(sheet, model, batch, passed, context, suffix)
    states = []
    if model.state_bytes:
        states = [f"states_flop{suffix}"]
        sheet.compute(states[0], attention.states_flop, "FLOP", f"{asked.shape} state_flop")
    if as_cached or not any(group.expansion_flop or group is _UNKNOWN for group in groups):
        asked.sum("attention", groups, states)
        return
    asked.sum("latent", groups, states)
    asked.sum("expanded", groups, states)
    asked.sum("expansion", groups, [])
    sheet.compute(f"attention_flop{suffix}", attention.cheaper_attention_flop, "FLOP",
                  f"latent_flop=latent_flop{suffix} expanded_flop=expanded_flop{suffix} "
                  f"expansion_flop=expansion_flop{suffix}")  # fmt: skip


@dataclass(frozen=True)
class _Attending:
    """A pass whose attention is written down: the names of its batch, its new tokens and its context."""

    sheet: Worksheet
    model: Model
    batch: str
    passed: str
    context: str
    suffix: str

    @property
    def shape(self) -> str:
        return f"batch={self.batch} pass_tokens={self.passed}"

    def sum(self, form: str, groups: Sequence[Kept], states: list[str]) -> None:
        """The arithmetic of all groups in a form, and of the states."""
        name = f"{form}_flop{self.suffix}"
        alone = len(groups) == 1 and not states
        rows = [
            self._group(form, group, name if alone else f"{form}_{group.name}_flop{self.suffix}") for group in groups
        ]
        if not alone:
            _sum(self.sheet, name, [*rows, *states], attention.groups_flop)

    def _group(self, form: str, group: Kept, name: str) -> str:
        own = "" if self.model.cache_is_plain else f"{group.name}_"
        if form == "expansion":
            self.sheet.compute(name, attention.expansion_flop, "FLOP",
                               f"batch={self.batch} context_tokens={self.context} "
                               f"expansion_flop_per_token={own}expansion_flop_per_token")  # fmt: skip
            return name
        attended = _attended(self.sheet, group, own, self.passed, self.context)
        pair = f"{own}expanded_pair_flop" if form == "expanded" else f"{own}pair_flop"
        self.sheet.compute(name, attention.attention_flop, "FLOP",
                           f"{self.shape} attended_tokens={attended} pair_flop={pair}")  # fmt: skip
        return name


_UNKNOWN = Kept(0.0, 0.0, "not known")  # of bare numbers, whose attention is a gap on the worksheet


def _attended(sheet: Worksheet, kept: Kept, own: str, passed: str, context: str) -> str:
    """Tokens that a new token attends to in a group, written down once for a pass."""
    of_pass = "" if passed == "pass_tokens" else f"_{passed.removesuffix('_tokens')}"
    name = f"attended_{own}tokens{of_pass}"
    if name in sheet:
        return name
    where = f"pass_tokens={passed} context_tokens={context}"
    if math.isfinite(kept.read_tokens):
        sheet.compute(name, attention.mean_attended_in_window_tokens, "tokens",
                      f"{where} window_tokens={kept.name}_tokens")  # fmt: skip
    else:
        sheet.compute(name, attention.mean_attended_tokens, "tokens", where)
    return name


def write_context_within(
    sheet: Worksheet, model: Model, available: str, name: str, *, read: bool, state: str = "state_bytes"
) -> None:
    """The context at which the cache of a sequence stores, or reads, so many bytes.

    The bytes are concave in the context, one window after the other being full; so the context is the largest of those
    that hold with the first few windows full and the others growing. `state` names the bytes of the states, which may
    be read and written.
    """
    groups = [kept for kept in model.kept if read or kept.stored_tokens]
    reach = {kept: kept.read_tokens if read else kept.stored_tokens for kept in groups}
    found = []
    for j, bound in enumerate([0.0, *sorted({tokens for tokens in reach.values() if math.isfinite(tokens)})]):
        full = {kept: tokens for kept, tokens in reach.items() if tokens <= bound}
        saturated = _saturated(sheet, model, full, state, f"{name}_saturated_{j}")
        growth = _growth(sheet, model, [k for k in reach if reach[k] > bound], f"{name}_growth_{j}")
        room = f"available_bytes={available} saturated_bytes={saturated} growing_bytes_per_token={growth}"
        sheet.compute(f"{name}_{j}", context.context_within_bytes, "tokens", room)
        found.append(f"{name}_{j}")
    rest = found[1:] or found
    for i, row in enumerate(rest, start=1):
        longer = name if i == len(rest) else f"{name}_of_{i}"
        sheet.compute(longer, context.longest_context, "tokens", f"first_tokens={found[0]} second_tokens={row}")
        found[0] = longer


def _saturated(sheet: Worksheet, model: Model, full: Mapping[Kept, float], state: str, name: str) -> str:
    """Bytes of the groups whose reach is full, and of the states."""
    rows = []
    for kept, tokens in full.items():
        bound = kept.bound_name(tokens)
        rows.append(f"{bound.removesuffix('_tokens')}_full_bytes")
        if rows[-1] not in sheet:
            sheet.compute(rows[-1], kv_variants.full_bytes, "B",
                          f"context_tokens={bound} kv_bytes_per_token={model.bytes_name(kept)}")  # fmt: skip
    rows += [state] if model.state_bytes else []
    if len(rows) > 1:
        _sum(sheet, name, rows, kv_variants.groups_bytes)
        return name
    return rows[0] if rows else _nothing(sheet, "bytes", "B")


def _growth(sheet: Worksheet, model: Model, growing: Sequence[Kept], name: str) -> str:
    """Bytes by which the other groups grow with each token."""
    rows = [model.bytes_name(kept) for kept in growing]
    if len(rows) == 1:
        return rows[0]
    if not rows:
        return _nothing(sheet, "bytes", "B")
    _sum(sheet, name, rows, kv_variants.groups_bytes)
    return name
