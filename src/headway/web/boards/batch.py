"""Latency and cost against the batch: a floor and then a slope; a hyperbola on a floor."""

from __future__ import annotations

import math

import numpy as np

from headway import words
from headway.figures import TERMS, TWO_TERMS, roofline_panels
from headway.step.first_order import Pass
from headway.units import format_si
from headway.web import controls
from headway.web.asked import asked_or_why, doubling, heading, pass_call, pass_command
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
    point, why_not = asked_or_why(side, state)
    reach = doubling(1, max(WIDEST, 2 ** math.ceil(math.log2(state.batch))))
    along, nowhere = asked_or_why(side, state, batch=reach)
    return Column(
        key=key,
        heading=heading(side),
        controls=controls.of_side(key, side),
        answer=words.answer(point) if point else nowhere or why_not,
        why=words.why(point) if point else "",
        refused=point is None,
        facts=_facts(point) if point else (),
        assumptions=tuple(words.assumed(point)) if point else (),
        figures=_figures(side, state, along, point, reach) if along else (),
        given=point or along,
    )


def _figures(side: Side, state: State, along: Pass, point: Pass | None, reach: list[float]) -> tuple[Figure, ...]:
    time, cost = (TERMS, TERMS) if state.terms else (TWO_TERMS, ())
    about = (("latency", "step_s"), ("cost", "cost_per_token_usd"))
    panels = roofline_panels(along, time_terms=time, cost_terms=cost)
    return tuple(
        Figure(key, panel, pass_command(side, state, batch=reach), pass_call(side, state, quantity, batch=reach),
               point, (quantity,), state.batch)
        for (key, quantity), panel in zip(about, panels, strict=False)
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
