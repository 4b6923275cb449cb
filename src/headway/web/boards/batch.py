"""Latency and cost against the batch: a floor and then a slope; a hyperbola on a floor."""

from __future__ import annotations

import numpy as np

from headway import words
from headway.equations import comparison
from headway.figures import TERMS, TWO_TERMS, Mark, panels_over
from headway.step.first_order import Pass
from headway.units import format_si
from headway.web import controls
from headway.web.asked import doubling, heading, pass_call, pass_command, point_or_why, through
from headway.web.board import Board, Column, Figure, compared
from headway.web.state import Side, State

REACH = doubling(1, 2**16)  # sequences, unless more were asked for


def board(state: State) -> Board:
    """The first chapter: why the batch is everything."""
    moved = (controls.slider(state, "batch"), controls.slider(state, "context"), controls.terms(state),
             controls.refinements(state))  # fmt: skip
    columns = tuple(_column(key, side, state) for key, side in state.sides.items())
    return Board("Batch", "Why is batch size everything, and where is the knee?", moved, columns, compared(columns))


def _column(key: str, side: Side, state: State) -> Column:
    point, why_not = point_or_why(side, state)
    answered = point is not None and not why_not
    return Column(
        key=key,
        heading=heading(side, key),
        controls=controls.of_side(key, side),
        answer=_answer(point) if point and answered else why_not,
        why=words.why(point) if point and answered else "",
        refused=not answered,
        facts=_facts(point) if point and answered else (),
        assumptions=tuple(words.assumed(point, options=False)) if point else (),
        figures=_figures(side, state, point, answered) if point else (),
        given=point,
    )


def _figures(side: Side, state: State, point: Pass, answered: bool) -> tuple[Figure, ...]:
    time, cost = (TERMS, TERMS) if state.terms else (TWO_TERMS, ())
    rows = through(REACH if state.batch <= REACH[-1] else doubling(1, state.batch), state.batch)
    parity = kv_parity(point)
    more = [Mark("KV as long as weights", x=parity)] if np.isfinite(parity) else []
    panels = panels_over(point, "batch", rows, time_terms=time, cost_terms=cost, more=more)
    command = pass_command(side, state, batch=rows)
    return tuple(
        Figure(key, panel, command, pass_call(side, state, quantity, batch=rows), point if answered else None,
               (quantity,), state.batch, rows)
        for (key, quantity), panel in zip((("latency", "step_s"), ("cost", "cost_per_token_usd")), panels, strict=False)
        if panel.curves
    )  # fmt: skip


def kv_parity(point: Pass) -> float:
    """The batch from which reading KV takes longer than reading the weights, and a larger one saves little."""
    with np.errstate(divide="ignore"):
        return float(comparison.ratio(point.sheet.value("t_weights_s"), point.sheet.value("t_kv_per_sequence_s")))


def _answer(point: Pass) -> str:
    """What the pass takes and costs, and where the knee is."""
    balance, parity = float(point.balance_batch_with_kv), kv_parity(point)
    told = words.answer(point).removesuffix(".")
    if np.isfinite(balance):
        return f"{told}; the knee is at a batch of {max(balance, 1):,.0f}."
    after = f", mostly to read KV from {max(parity, 1):,.0f} sequences on" if np.isfinite(parity) else ""
    return f"{told}; there is no knee, for memory binds at every batch{after}."


def _facts(point: Pass) -> tuple[tuple[str, str], ...]:
    """The numbers that a reader looks for, in a line each."""
    balance, parity = float(point.balance_batch_with_kv), kv_parity(point)
    largest = float(point.largest_batch)
    return (
        ("balance batch", format_si(balance, "sequences") if np.isfinite(balance) else "none: memory-bound throughout"),
        *([("KV as long as weights", format_si(parity, "sequences"))] if np.isfinite(parity) else []),
        ("drain time", format_si(float(point.drain_s), "s")),
        ("memory holds", format_si(largest, "sequences") if np.isfinite(largest) else "any batch"),
        ("each user sees", format_si(float(point.tokens_per_s_per_user), "tokens/s")),
        ("arithmetic in use", f"{float(point.mfu):.1%}"),
        ("bandwidth in use", f"{float(point.mbu):.1%}"),
    )
