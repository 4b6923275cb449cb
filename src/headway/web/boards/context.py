"""What length costs: a token against the context, and the walls of bandwidth, capacity and attention."""

from __future__ import annotations

import contextlib
import functools
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from headway import words
from headway.errors import Infeasible, MissingFact, UnknownName
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
from headway.model.model import Model
from headway.step.first_order import Pass, evaluate
from headway.step.question import REFINEMENTS, Question
from headway.techniques.kinds import Technique
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
from headway.web.library import settled
from headway.web.state import Side, State

REACH = doubling(SHORTEST, LONGEST)
_NONE = {"bandwidth": "none: arithmetic takes longer", "capacity": "none: length fills no memory",
         "attention": "none up to a billion tokens"}  # fmt: skip


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
    return replace(state, refine=tuple(name for name in REFINEMENTS if name in counted))


def _column(key: str, side: Side, state: State) -> Column:
    point, why_not = point_or_why(side, state)
    blank = Column(key, heading(side), why_not, refused=True, controls=controls.of_side(key, side))
    if point is None:
        return blank
    write_shares(point)
    closed = point.sheet.value("balance_context") is not None
    found = walls(point, _attention_wall(side), None if closed else _bandwidth_wall(side, state.refine))
    fits = bool(point.fits)
    return replace(
        blank,
        answer=why_not or _answer(point, found),
        why=_why(point, found, fits),
        refused=not fits,
        facts=_facts(side, state, point, found),
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


@functools.lru_cache(maxsize=32)
def _changed(side: Side, short: str) -> tuple[Model | None, str]:
    """A column's model under a technique, or why there is nothing to draw of it."""
    technique = _by_name()[short]
    model, _, rest = settled(side)
    if decided := [name for name in rest if name.endswith(DECIDED)]:
        return None, f"it would change {decided[0]}, which was set"
    if technique.family == "place":
        return None, "it lies elsewhere, and what it costs is in the table"
    why_not = technique.why_not(model, LONGEST)
    return (None, why_not) if why_not else (technique.changed(model), "")


def _by_name() -> Mapping[str, Technique]:
    return {technique.short: technique for technique in settings().techniques}


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
    beside, left_out = _beside(side, state, along)
    cost = cost_panel([(AS_IT_IS, along), *beside], found, TERMS if state.terms else ())
    return cost, walls_panel(along, found), tuple(left_out)


def _beside(side: Side, state: State, along: Pass) -> tuple[list[tuple[str, Pass]], list[str]]:
    """The same contexts under each chosen technique, and why some are not drawn."""
    drawn, left_out = [], []
    for short in state.techniques:
        label = _label(_by_name()[short])
        model, why_not = _changed(side, short)
        if model is not None:
            try:
                drawn.append((label, evaluate(model, along.system, along.question, along.changes)))
            except UnknownName as error:
                why_not = f"it would change {error.name}, which was set"
        if why_not:
            left_out.append(f"not drawn: {label}: {why_not}")
    return drawn, left_out


def _label(technique: Technique) -> str:
    return technique.name.replace("-", " ")


def _cost(
    side: Side, state: State, panel: Panel, point: Pass, left_out: tuple[str, ...], rows: tuple[float, ...]
) -> Figure:
    priced = panel.y_unit == "USD/token"
    name = "cost_per_token_usd" if priced else "step_s"
    if state.techniques:
        told = ["attention's arithmetic and the experts hit are counted, for techniques differ in them"]
        told += ["the command below leaves communication out"] * ("communication" in state.refine)
        told += ["terms apart are those of the model alone, and not drawn beside techniques"] * state.terms
        told += [f"{_label(_by_name()[short])}: {_by_name()[short].what}" for short in state.techniques]
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
        "caption": f"What {state.context_tokens:,.0f} tokens of context need with {_sequences(state.batch)}, technique "
                   f"by technique; {system.name} has {usable} for weights and cache and reads {rate}, all of its "
                   f"memory in {drain}{left_out}",
        "header": list(NEEDS_HEADER),
        "rows": [one.row() for one in rows],
    }  # fmt: skip


# Words


def _answer(point: Pass, found: Walls) -> str:
    """What a token costs here, and the first wall."""
    tokens, batch = float(point.context_tokens), float(point.batch)
    cost = point.cost_per_token_usd
    what = "A decoded token costs" if cost is not None else "A pass takes"
    price = format_si(float(point.step_s), "s") if cost is None else format_si(float(cost), "USD/token")
    unknown = "" if cost is not None else f" (the cost is not known: {point.sheet['cost_per_token_usd'].quantity.gap})"
    where = f"at {_tokens(tokens)} of context in a batch of {batch:,.0f}"
    return f"{what} {price} {where}{unknown}; {_first(tokens, found)}."


def _first(tokens: float, found: Walls) -> str:
    if not found.ahead:
        return "no wall is in sight"
    name, at = found.ahead[0]
    if at < 1:
        return f"the {name} wall comes first, and lies before the first token"
    return f"the {name} wall {'comes' if at > tokens else 'came'} first, at {_tokens(at)}"


def _why(point: Pass, found: Walls, fits: bool) -> str:
    """What binds at present, and what each wall means, nearest first."""
    bound = words.BOUND[str(np.ravel(point.bound)[0])]
    batch = float(point.batch)
    alone = "" if batch == 1 else f", and one alone fills it at {_tokens(found.one_sequence)}"
    told = {
        "bandwidth": "from {} on, one sequence's KV takes longer to read than its arithmetic takes, so that at no "
                     "batch all arithmetic is in use",
        "capacity": f"at {{}} {_sequences(batch)} fill{'s' * (batch == 1)} the memory{alone}",
        "attention": "a prompt of {} spends as much arithmetic on attention as on the weights",
    }  # fmt: skip
    parts = [f"At present it is bound by {bound}."] if fits else []
    if found.capacity < 1:
        told["capacity"] = f"not even the first token of {_sequences(batch)} fits beside the weights"
    parts += [f"{name.capitalize()}: {told[name].format(_tokens(max(at, 1)))}." for name, at in found.ahead]
    return " ".join(parts)


def _facts(side: Side, state: State, point: Pass, found: Walls) -> tuple[tuple[str, str], ...]:
    """The walls, and what a token costs here and at ten times the context."""
    facts = [("bandwidth wall", _place("bandwidth", found.bandwidth)),
             (f"capacity wall, {_sequences(float(point.batch))}", _place("capacity", found.capacity)),
             *([("capacity of one sequence", _place("capacity", found.one_sequence))] * (state.batch > 1)),
             ("attention wall of a prompt", _place("attention", found.attention))]  # fmt: skip
    if not bool(point.fits) or point.cost_per_token_usd is None:
        return tuple(facts)
    here = float(point.context_tokens)
    facts.append((f"cost at {_tokens(here)}", format_si(float(point.cost_per_token_usd), "USD/token")))
    if here and not state.techniques:
        facts.append((f"cost at {_tokens(10 * here)}", _later(side, state, 10 * here)))
    return (*facts, *((f"with {label}", cost) for label, cost in _beside_costs(side, state)))


def _beside_costs(side: Side, state: State) -> Iterator[tuple[str, str]]:
    """What a token costs here under each technique that is drawn beside the model."""
    for short in state.techniques:
        model, _ = _changed(side, short)
        _, system, rest = settled(side)
        question = Question(state.batch, state.context_tokens, 1, state.refine, beyond_memory=True)
        with contextlib.suppress(UnknownName):
            if model is not None:
                there = evaluate(model, system, question, rest)
                cost = format_si(float(there.sheet.need("cost_per_token_usd")), "USD/token")
                yield _label(_by_name()[short]), cost if bool(there.fits) else "does not fit"


def _later(side: Side, state: State, tokens: float) -> str:
    """What a token costs at another context."""
    try:
        return format_si(float(ask(side, state, context_tokens=tokens).cost_per_token_usd), "USD/token")
    except (Infeasible, MissingFact):
        return "does not fit"


def _place(name: str, at: float | None) -> str:
    if at is None:
        return "not known"
    if at < 1:
        return "before the first token"
    return _tokens(at) if np.isfinite(at) else _NONE[name]


def _tokens(count: float) -> str:
    return f"{count:,.0f} token{'s' * (round(count) != 1)}" if np.isfinite(count) else "no length"


def _sequences(count: float) -> str:
    return f"{count:,.0f} sequence{'s' * (count != 1)}"
