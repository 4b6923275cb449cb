"""What length costs, and the walls that it runs into: bandwidth, capacity, attention.

Each wall is where a share passes 1: the time to read one sequence's cache over the time of its arithmetic, the memory
that the batch needs over what there is, the arithmetic of a prompt's attention over that of its weights. The shares go
on beyond the memory, for they are no passes; the cost does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headway.equations import comparison, context, roofline
from headway.figures.panel import POINTS, Curve, Mark, Panel
from headway.figures.passes import AXIS_LABELS, Term, band, flat
from headway.hardware import System
from headway.model.cache import write_attention_flop, write_context_within
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.first_order import Pass, evaluate
from headway.step.question import Question, given

Numbers = np.ndarray[Any, Any]
SHORTEST, LONGEST = 1e2, 1e8
SHARES = ("bandwidth_share", "capacity_share", "attention_share")
_FARTHEST = 1e9  # where the search for a wall ends
_SEARCHED = 128  # contexts in each of its rounds
_LABELS = ("bandwidth: reading KV over arithmetic", "capacity: memory of the batch over what there is",
           "attention: arithmetic of a prompt's over its weights'")  # fmt: skip
_AXIS = AXIS_LABELS["context_tokens"]


@dataclass(frozen=True)
class Walls:
    """Contexts at which each wall stands, in tokens; infinite for one that no context reaches, None if not known."""

    bandwidth: float | None
    capacity: float
    one_sequence: float
    attention: float | None

    @property
    def ahead(self) -> list[tuple[str, float]]:
        """The three walls that a batch meets, nearest first."""
        three = (("bandwidth", self.bandwidth), ("capacity", self.capacity), ("attention", self.attention))
        return sorted(((name, at) for name, at in three if at is not None and np.isfinite(at)), key=lambda one: one[1])

    def marks(self) -> tuple[Mark, ...]:
        """The walls as places along the context; those that stand nowhere, or before the first token, have none."""
        told = [
            ("bandwidth wall", self.bandwidth),
            ("capacity wall", self.capacity),
            ("attention wall", self.attention),
        ]
        if self.one_sequence != self.capacity:
            told.insert(2, ("capacity of one sequence", self.one_sequence))
        return tuple(Mark(label, x=at) for label, at in told if at is not None and np.isfinite(at) and at > 0)


def write_shares(point: Pass) -> None:
    """Write the three shares, and the context at which one sequence fills the memory, on the worksheet of a pass."""
    sheet, model = point.sheet, point.model
    _write_attention_share(sheet, model)
    with np.errstate(all="ignore"):  # a cache that takes no bytes has no wall: infinities are answers here
        sheet.compute_all([
            ("bandwidth_share", comparison.ratio, "1",
             "quantity=t_kv_per_sequence_s reference=t_compute_per_sequence_s"),
            ("capacity_share", comparison.ratio, "1", "quantity=needed_bytes reference=usable_bytes"),
        ])  # fmt: skip
        _write_longest_alone(sheet, model)


def _write_attention_share(sheet: Worksheet, model: Model) -> None:
    """Attention's arithmetic over the weights', in a prompt as long as the context and with nothing before it."""
    prompt = np.maximum(np.asarray(sheet.value("context_tokens")), 1.0)
    sheet.give(Quantity("prompt_tokens", prompt, "tokens", Origin("user", "the question: a prompt as long")))
    sheet.give(Quantity("no_tokens", 0.0, "tokens", Origin("default", "nothing cached before a prompt")))
    write_attention_flop(sheet, model, "one_sequence", passed="prompt_tokens", context="no_tokens", suffix="_of_prompt")
    sheet.compute_all([
        ("matmul_flop_of_prompt", roofline.flop_per_sequence, "FLOP", "pass_tokens=prompt_tokens active_params"),
        ("attention_share", comparison.ratio, "1",
         "quantity=attention_flop_of_prompt reference=matmul_flop_of_prompt"),
    ])  # fmt: skip


def _write_longest_alone(sheet: Worksheet, model: Model) -> None:
    name, memory = "largest_context_of_one", "memory_bytes=usable_bytes weights_bytes=stored_weight_bytes"
    if model.cache_is_plain:
        sheet.compute(name, context.capacity_context, "tokens",
                      f"{memory} batch=one_sequence kv_bytes_per_token fixed_bytes=new_bytes")  # fmt: skip
        return
    sheet.compute("room_of_one_bytes", context.share_per_sequence_bytes, "B", f"{memory} batch=one_sequence")
    write_context_within(sheet, model, "room_of_one_bytes", "length_of_one", read=False)
    sheet.compute(name, context.context_before_pass, "tokens", "tokens=length_of_one pass_tokens")


def attention_wall(model: Model, system: System, changes: Mapping[str, object]) -> float | None:
    """Length of a prompt whose attention takes as much arithmetic as its weights; None if that is not known."""

    def share(tokens: Numbers) -> Numbers | None:
        sheet = Worksheet(given(model, system, Question(1, tokens), dict(changes)))
        _write_attention_share(sheet, model)
        return flat(sheet.value("attention_share"), tokens.size)

    return _crossing(share)


def bandwidth_wall(
    model: Model, system: System, changes: Mapping[str, object], refine: tuple[str, ...]
) -> float | None:
    """Context at which reading a sequence's cache takes as long as its arithmetic, where that grows with it too."""

    def share(tokens: Numbers) -> Numbers | None:
        value = evaluate(model, system, Question(1, tokens, refine=refine, beyond_memory=True), changes).sheet.value
        return flat(comparison.ratio(value("t_kv_per_sequence_s"), value("t_compute_per_sequence_s")), tokens.size)

    return _crossing(share)


def _crossing(share_at: Callable[[Numbers], Numbers | None]) -> float | None:
    """The first context at which a share comes to 1: looked for ever closer, then along a straight line.

    None where the share is not known, infinity where it stays below, 0 where it is above from the first token on.
    """
    low, high = 1.0, _FARTHEST
    for _ in range(3):
        tokens = np.geomspace(low, high, _SEARCHED)
        share = share_at(tokens)
        if share is None:
            return None
        if not np.any(share >= 1):
            return float(np.inf)
        first = int(np.argmax(share >= 1))
        if first == 0:
            return 0.0
        low, high = float(tokens[first - 1]), float(tokens[first])
        below, above = float(share[first - 1]), float(share[first])
    return low + (1 - below) / (above - below) * (high - low)


def walls(point: Pass, attention: float | None, bandwidth: float | None = None) -> Walls:
    """The walls of a pass with its shares written down.

    `attention` is what `attention_wall` found, `bandwidth` what `bandwidth_wall` did where no closed form has it.
    """
    balance = point.sheet.value("balance_context")
    capacity, alone = (float(np.ravel(point.sheet.value(f"largest_context{of}"))[0]) for of in ("", "_of_one"))
    return Walls(bandwidth if balance is None else float(np.ravel(balance)[0]), capacity, alone, attention)


def contexts(found: Walls, rows: Sequence[float] = ()) -> Numbers:
    """Contexts at equal ratios, with those of a table and the walls among them, where curves bend or end."""
    places = [mark.x for mark in found.marks() if mark.x is not None]
    inside = [x for x in (*places, *rows) if SHORTEST <= x <= LONGEST]
    return np.union1d(np.geomspace(SHORTEST, LONGEST, POINTS), inside)


def walls_panel(along: Pass, found: Walls) -> Panel | None:
    """How far each wall is at every context: shares that pass 1 where it stands; None where none is known.

    `along` is a pass over the contexts, beyond memory, with its shares written down.
    """
    tokens = _contexts_of(along)
    curves = []
    for i, (label, name) in enumerate(zip(_LABELS, SHARES, strict=True)):
        share = flat(along.sheet.value(name), tokens.size)
        if share is not None and np.all(share > 0):
            curves.append(Curve(label, share, f"family{i + 1}", "BCA"[i], np.ones(tokens.shape, dtype=bool)))
    if not curves:
        return None
    marks = (Mark("the wall", y=1.0), *found.marks())
    return Panel("share of each wall against context", *_AXIS, "share of the wall", "1", tokens, tuple(curves), marks)


def cost_panel(along: Sequence[tuple[str, Pass]], found: Walls, terms: Sequence[Term] = ()) -> Panel | None:
    """Cost of a decoded token over the contexts, or the time of its pass where nothing has a price.

    One curve for each pass, the first of which is the model as it is; of one pass by itself the terms too. Curves end
    where the memory is full. None where no curve has a point.
    """
    _, first = along[0]
    tokens, price = _contexts_of(first), first.sheet.value("system_usd_per_s")
    priced = price is not None and price > 0
    name, unit = ("cost_per_token_usd", "USD/token") if priced else ("step_s", "s")
    factor = price / first.sheet.value("batch") if priced else 1.0
    drawn = [(first, (label, term, role, mark), factor) for label, term, role, mark in terms if len(along) == 1]
    drawn += [
        (one, (label, name, f"family{i}" if i else "total", "ABCD"[i] if i else "*"), 1.0)
        for i, (label, one) in enumerate(along)
    ]
    curves = tuple(curve for one, term, scale in drawn if (curve := _ending(one, term, scale, tokens)) is not None)
    if not curves:
        return None
    title, y_label = ("cost of a decoded token", "cost") if priced else ("time of a pass", "time")
    return Panel(f"{title} against context", *_AXIS, y_label, unit, tokens, curves, found.marks())


def _ending(one: Pass, term: Term, scale: Any, tokens: Numbers) -> Curve | None:
    """A curve up to where the memory is full; None where it never fits, or is nothing."""
    label, name, role, mark = term
    values, held = flat(one.sheet.value(name), tokens.size), np.broadcast_to(np.ravel(one.fits), tokens.shape)
    if values is None or values.max() <= 0 or not held.any():
        return None
    shown = np.where(held, values * scale, np.nan)
    curve = Curve(label, shown, role, mark, held)
    if not curve.whole:
        return curve
    low, high = band(one, name, shown)
    return replace(curve, low=low, high=high)


def _contexts_of(along: Pass) -> Numbers:
    return np.ravel(np.asarray(along.sheet.value("context_tokens"), dtype=float))
