"""What length costs: a token against the context, and the walls of bandwidth, capacity and attention."""

from __future__ import annotations

import functools
import shlex
from dataclasses import replace
from functools import partial

from headway import words
from headway.errors import UnknownName
from headway.figures import TERMS, Panel
from headway.figures.variants import AS_IT_IS, NEEDS_HEADER, needs
from headway.figures.walls import (
    LONGEST,
    SHARES,
    SHORTEST,
    Walls,
    attention_wall,
    bandwidth_wall,
    contexts,
    cost_panel,
    walls,
    walls_panel,
    write_shares,
)
from headway.step.first_order import Pass
from headway.step.question import PLAIN_REFINEMENTS
from headway.techniques.measure import REFINED, Case, link_of
from headway.techniques.ranking import DECIDED
from headway.techniques.settings import settings
from headway.units import format_si
from headway.web import controls
from headway.web.asked import (
    CONFIG_FILE,
    ask,
    command,
    doubling,
    heading,
    pass_asked,
    pass_call,
    pass_command,
    point_or_why,
    through,
)
from headway.web.board import Board, Column, Figure, Json, compared
from headway.web.boards.context_words import answer, facts, sequences, why
from headway.web.boards.techniques import beside, by_name, changed, label_of
from headway.web.library import settled
from headway.web.state import Side, State

REACH = doubling(SHORTEST, LONGEST)


def board(state: State) -> Board:
    """What length costs, and where it ends."""
    asked = _counted(state)
    forced = REFINED if state.techniques else ()
    moved = (controls.slider(state, "context"), controls.slider(state, "batch"), controls.techniques(state, 3),
             controls.terms(state), controls.refinements(state, forced))  # fmt: skip
    columns = tuple(_column(key, side, asked) for key, side in state.sides.items())
    return Board("Context", "What does length cost, and which wall comes first?", moved, columns, compared(columns))


def _counted(state: State) -> State:
    """The state with what techniques differ in counted too, where some are laid side by side."""
    counted = {*state.refine, *(REFINED if state.techniques else ())}
    return replace(state, refine=tuple(name for name in PLAIN_REFINEMENTS if name in counted))


def _column(key: str, side: Side, state: State) -> Column:
    point, why_not = point_or_why(side, state)
    blank = Column(key, heading(side, key), why_not, refused=True, controls=controls.of_side(key, side))
    if point is None:
        return blank
    write_shares(point)
    closed = point.sheet.value("balance_context") is not None
    found = walls(point, _attention_wall(side), None if closed else _bandwidth_wall(side, state.refine))
    fits = bool(point.fits)
    return replace(
        blank,
        answer=why_not or answer(point, found),
        why=why(point, found, fits),
        refused=not fits,
        facts=facts(side, state, point, found),
        assumptions=tuple(words.assumed(point, options=False)),
        figures=_figures(side, state, point, found),
        given=point,
    )


# What does not change while a slider moves


@functools.lru_cache(maxsize=64)
def _attention_wall(side: Side) -> float | None:
    return attention_wall(*settled(side))


@functools.lru_cache(maxsize=64)
def _bandwidth_wall(side: Side, refine: tuple[str, ...]) -> float | None:
    model, system, rest = settled(side)
    return bandwidth_wall(model, system, rest, refine)


# Figures


def _figures(side: Side, state: State, point: Pass, found: Walls) -> tuple[Figure, ...]:
    cost, shares, left_out = _panels(side, State("context", side, batch=state.batch, refine=state.refine,
                                                 terms=state.terms, techniques=state.techniques), found)  # fmt: skip
    rows = through(REACH, state.context_tokens)
    figures = []
    if cost is not None:
        figures.append(_cost(side, state, cost, point, left_out, rows))
    if shares is not None:
        told = "where a share passes 1 its wall stands; the attention of a prompt as long as the context"
        asked = _walls_command(side, state), _walls_call(side, state)
        figures.append(Figure("walls", shares, *asked, point, SHARES, state.context_tokens, rows, told))
    return (replace(figures[0], table=partial(_needs_table, side, state)), *figures[1:]) if figures else ()


@functools.lru_cache(maxsize=64)
def _panels(side: Side, state: State, found: Walls) -> tuple[Panel | None, Panel | None, tuple[str, ...]]:
    """Both charts, which are the same at every present context, and what is not drawn in the first."""
    along = ask(side, state, beyond=True, context_tokens=contexts(found, (*REACH, *controls.STOPS["context"])))
    write_shares(along)
    others, left_out = beside(side, state, along)
    cost = cost_panel([(AS_IT_IS, along), *others], found, TERMS if state.terms else ())
    return cost, walls_panel(along, found), tuple(left_out)


def _cost(
    side: Side, state: State, panel: Panel, point: Pass, left_out: tuple[str, ...], rows: tuple[float, ...]
) -> Figure:
    priced = panel.y_unit == "USD/token"
    name = "cost_per_token_usd" if priced else "step_s"
    if state.techniques:
        told = ["attention's arithmetic and the experts hit are counted, for techniques differ in them"]
        told += ["the command below leaves communication out"] * ("communication" in state.refine)
        told += ["terms apart are those of the model alone, and not drawn beside techniques"] * state.terms
        drawn = [by_name()[short] for short in state.techniques if changed(side, short)[0] is not None]
        told += [f"{label_of(technique)}: {technique.what}" for technique in drawn]
        asked, call = _ranking_command(side, state), _ranking_call(side, state)
    else:
        told = []
        asked = pass_command(side, state, context_tokens=rows)
        call = pass_call(side, state, name, context_tokens=rows)
    if any(not curve.held.all() for curve in panel.curves):
        told.append("a curve ends where the memory is full")
    return Figure(
        key="cost" if priced else "time",
        chart=panel,
        command=asked,
        call=call,
        result=point if bool(point.fits) else None,
        names=(*((name,) if priced else ()), "step_s"),
        present=state.context_tokens,
        rows=rows,
        caption="; ".join([*told, *left_out]),
    )


def _ranking_command(side: Side, state: State) -> str:
    """The command that prints what each technique costs at the present context."""
    asked = shlex.join(["--context", f"{max(state.context_tokens, 1):.0f}", "--batch", f"{state.batch:.0f}"])
    return f"{command(side, 'model', '--kv-techniques')} {asked}"


def _ranking_call(side: Side, state: State) -> str:
    """The Python that does."""
    words = [repr(CONFIG_FILE if side.config else side.model), repr(side.on), f"batch={state.batch:.0f}",
             f"context_tokens={max(state.context_tokens, 1):.0f}"]  # fmt: skip
    words += [f"changes={dict(side.changes)!r}"] * bool(side.changes)
    return ("from headway.techniques.ranking import ranking\n\n"
            f"found = ranking({', '.join(words)})\n"
            'print("as it is", found.baseline.value("cost_per_mtok_usd"))\n'
            "for row in found.alone:\n"
            '    print(row.names[0], row.why_not or row.figures.value("cost_per_mtok_usd"))')  # fmt: skip


def _walls_command(side: Side, state: State) -> str:
    """The commands that print both sides of every share: of the pass at this context, and of a prompt as long."""
    model, _, _ = settled(side)
    of_model = replace(side, changes=tuple(change for change in side.changes if change[0] in model.config))
    prompt = command(of_model, "model", "--contexts", f"{state.context_tokens:.0f}", "--explain", machine=False)
    return f"{pass_command(side, state)} --beyond-memory --explain\n{prompt}"


def _walls_call(side: Side, state: State) -> str:
    """The Python that computes the shares over the contexts."""
    asked = pass_asked(side, state, "beyond_memory=True", context_tokens=REACH)
    reach = ", ".join(f"{tokens:.0f}" for tokens in REACH)
    return (f"import headway\n\npasses = {asked}\n"
            f"prompt = headway.describe(passes.model, [{reach}])\n"
            "print(passes.t_kv_per_sequence_s / passes.t_compute_per_sequence_s)\n"
            "print(passes.needed_bytes / passes.usable_bytes)\n"
            'print(prompt.value("attention_flop_of_prompt") / prompt.value("matmul_flop_of_prompt"))')  # fmt: skip


def _needs_table(side: Side, state: State) -> Json:
    """What the present context needs, as it is and under each technique alone that applies."""
    model, system, rest = settled(side)
    counted = tuple(name for name in state.refine if name != "communication")
    link = link_of(system, settings().figures["host_link_bytes_per_s"])
    case = Case(system, state.batch, state.context_tokens, rest, link, counted)
    free = not any(name.endswith(DECIDED) for name in rest)
    try:
        rows = needs(case, model, settings().techniques if free else ())
    except UnknownName:  # a figure of a group that some technique has not got
        rows = needs(case, model, ())
    sheet = rows[0].figures.answer.sheet
    usable, rate, drain = (
        format_si(float(sheet.value(name)), unit)
        for name, unit in (("usable_bytes", "B"), ("system_bandwidth_bytes_per_s", "B/s"), ("drain_s", "s"))
    )
    not_counted = [*(["attention's arithmetic"] if "attention" not in counted else []),
                   *(["communication"] if "communication" in state.refine else [])]  # fmt: skip
    left_out = f"; left out: {' and '.join(not_counted)}" if not_counted else ""
    return {
        "caption": f"What {state.context_tokens:,.0f} tokens of context need with {sequences(state.batch)}, technique "
                   f"by technique; {system.name} has {usable} for weights and cache and reads {rate}, all of its "
                   f"memory in {drain}{left_out}",
        "header": list(NEEDS_HEADER),
        "rows": [one.row() for one in rows],
    }  # fmt: skip
