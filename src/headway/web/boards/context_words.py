"""The board of length in words: the answer, why it is so, and the walls as facts."""

from __future__ import annotations

import numpy as np

from headway import words
from headway.errors import Infeasible, MissingFact
from headway.figures.walls import Walls
from headway.step.first_order import Pass
from headway.units import format_si
from headway.web.asked import ask
from headway.web.boards.techniques import costs_beside
from headway.web.state import Side, State

_NONE = {"bandwidth": "none: arithmetic takes longer", "capacity": "none: length fills no memory",
         "attention": "none up to a billion tokens"}  # fmt: skip


def answer(point: Pass, found: Walls) -> str:
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


def why(point: Pass, found: Walls, fits: bool) -> str:
    """What binds at present, and what each wall means, nearest first."""
    bound = words.BOUND[str(np.ravel(point.bound)[0])]
    batch = float(point.batch)
    alone = "" if batch == 1 else f", and one alone fills it at {_tokens(found.one_sequence)}"
    told = {
        "bandwidth": "from {} on, one sequence's KV takes longer to read than its arithmetic takes, so that at no "
                     "batch all arithmetic is in use",
        "capacity": f"at {{}} {sequences(batch)} fill{'s' * (batch == 1)} the memory{alone}",
        "attention": "a prompt of {} spends as much arithmetic on attention as on the weights",
    }  # fmt: skip
    parts = [f"At present it is bound by {bound}."] if fits else []
    if found.capacity < 1:
        told["capacity"] = f"not even the first token of {sequences(batch)} fits beside the weights"
    parts += [f"{name.capitalize()}: {told[name].format(_tokens(max(at, 1)))}." for name, at in found.ahead]
    return " ".join(parts)


def facts(side: Side, state: State, point: Pass, found: Walls) -> tuple[tuple[str, str], ...]:
    """The walls, and what a token costs here and at ten times the context."""
    told = [("bandwidth wall", _place("bandwidth", found.bandwidth)),
             (f"capacity wall, {sequences(float(point.batch))}", _place("capacity", found.capacity)),
             *([("capacity of one sequence", _place("capacity", found.one_sequence))] * (state.batch > 1)),
             ("attention wall of a prompt", _place("attention", found.attention))]  # fmt: skip
    if point.cost_per_token_usd is None:
        return tuple(told)
    here, fits = float(point.context_tokens), bool(point.fits)
    cost = format_si(float(point.cost_per_token_usd), "USD/token") if fits else "does not fit"
    told.append((f"cost at {_tokens(here)}", cost))
    if fits and here and not state.techniques:
        told.append((f"cost at {_tokens(10 * here)}", _later(side, state, 10 * here)))
    return (*told, *((f"with {label}", cost) for label, cost in costs_beside(side, state)))


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


def sequences(count: float) -> str:
    """So many sequences, in words."""
    return f"{count:,.0f} sequence{'s' * (count != 1)}"
