"""Latency and cost against the batch: a floor and then a slope; a hyperbola on a floor."""

from __future__ import annotations

import math

import numpy as np

from headway import words
from headway.figures import TERMS, TWO_TERMS, panels_over
from headway.step.first_order import Pass
from headway.units import format_si
from headway.web import controls
from headway.web.asked import doubling, heading, pass_call, pass_command, point_or_why
from headway.web.board import Board, Column, Figure
from headway.web.state import Side, State

WIDEST = 2**14  # sequences, unless more were asked for


def board(state: State) -> Board:
    """The first chapter: why the batch is everything."""
    moved = (controls.slider(state, "batch"), controls.slider(state, "context"), controls.terms(state),
             controls.refinements(state))  # fmt: skip
    columns = tuple(_column(key, side, state) for key, side in state.sides.items())
    return Board("Batch", "Why is batch size everything, and where is the knee?", moved, columns)


def _column(key: str, side: Side, state: State) -> Column:
    point, why_not = point_or_why(side, state)
    answered = point is not None and not why_not
    return Column(
        key=key,
        heading=heading(side),
        controls=controls.of_side(key, side),
        answer=words.answer(point) if point and answered else why_not,
        why=words.why(point) if point and answered else "",
        refused=not answered,
        facts=_facts(point) if point and answered else (),
        assumptions=tuple(words.assumed(point, options=False)) if point else (),
        figures=_figures(side, state, point, answered) if point else (),
        given=point,
    )


def _figures(side: Side, state: State, point: Pass, answered: bool) -> tuple[Figure, ...]:
    time, cost = (TERMS, TERMS) if state.terms else (TWO_TERMS, ())
    reach = doubling(1, max(WIDEST, 2 ** math.ceil(math.log2(state.batch))))
    panels = panels_over(point, "batch", (reach[0], reach[-1]), time_terms=time, cost_terms=cost)
    command = pass_command(side, state, batch=reach)
    return tuple(
        Figure(key, panel, command, pass_call(side, state, quantity, batch=reach), point if answered else None,
               (quantity,), state.batch)
        for (key, quantity), panel in zip((("latency", "step_s"), ("cost", "cost_per_token_usd")), panels, strict=False)
        if panel.curves
    )  # fmt: skip


def _facts(point: Pass) -> tuple[tuple[str, str], ...]:
    """The numbers that a reader looks for, in a line each."""
    balance = float(point.balance_batch_with_kv)
    largest = float(point.largest_batch)
    return (
        ("balance batch", format_si(balance, "sequences") if np.isfinite(balance) else "none: memory-bound throughout"),
        ("drain time", format_si(float(point.drain_s), "s")),
        ("memory holds", format_si(largest, "sequences") if np.isfinite(largest) else "any batch"),
        ("each user sees", f"{format_si(float(point.tokens_per_s_per_user), 'tokens/s')}"),
        ("arithmetic in use", f"{float(point.mfu):.1%}"),
        ("bandwidth in use", f"{float(point.mbu):.1%}"),
    )
