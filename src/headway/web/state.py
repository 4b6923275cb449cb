"""What is asked of a board: a few bounded fields, read from a query string and written back to it.

The state is the address of a view: whatever can be set on the page is here, and nothing else is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from headway.errors import BadInput, UnknownName, shown
from headway.figures import MOST_CURVES
from headway.step.question import PLAIN_REFINEMENTS, Question
from headway.techniques.settings import settings
from headway.units import parse
from headway.web.library import machine_name, model_name

BOARDS = ("batch", "context", "pass-length", "generations")
MOST_CHANGES = 32
LONGEST_CHANGE = 200
LONGEST_PACKED = 48_000
OTHER = "vs_"  # before the fields of the second column
# number -> (field of the state, unit, least, most)
_NUMBERS = {
    "batch": ("batch", "sequences", 1, 2**20),
    "context": ("context_tokens", "tokens", 0, 10**8),
    "prompt": ("prompt_tokens", "tokens", 1, 10**6),
}


@dataclass(frozen=True)
class Side:
    """One column: a catalogued model, or a pasted config in its place; a machine; and the numbers that were changed."""

    model: str = "deepseek-v3"
    config: str = ""
    on: str = "gb200-nvl72"
    changes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class State:
    """Everything that a board is a function of; the only place where the page's own defaults are written."""

    board: str
    a: Side = Side()
    b: Side | None = None
    batch: float = Question.batch
    context_tokens: float = Question.context_tokens
    prompt_tokens: float = 2048
    refine: tuple[str, ...] = ()
    terms: bool = False
    techniques: tuple[str, ...] = ()
    chips: bool = False

    @property
    def sides(self) -> dict[str, Side]:
        """The columns by their keys."""
        return {"a": self.a} if self.b is None else {"a": self.a, "b": self.b}


def technique_names() -> tuple[str, ...]:
    """The KV techniques that can be drawn, by their short names: those that leave the cache where it is."""
    return tuple(technique.short for technique in settings().techniques if technique.family != "place")


def read(board: str, pairs: Sequence[tuple[str, str]]) -> State:
    """The state that the fields of a query string describe; `BadInput` for anything that is out of bounds."""
    if board not in BOARDS:
        raise UnknownName("board", board, BOARDS)
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name.removeprefix(OTHER) not in (*_OF_A_SIDE, *([] if name.startswith(OTHER) else _OF_THE_STATE)):
            known = [*_OF_THE_STATE, *_OF_A_SIDE, *(OTHER + field for field in _OF_A_SIDE)]
            raise UnknownName("field of the state", name, known)
        given.setdefault(name, []).append(value)
    state = State(board, a=_side(given, "", Side()))
    if any(name.startswith(OTHER) for name in given):
        state = replace(state, b=_side(given, OTHER, state.a))
    read_fields = {field: reader(name, given[name]) for name, (field, reader) in _OF_THE_STATE.items() if name in given}
    return replace(state, **read_fields)


def query(state: State) -> str:
    """The state as a query string, without what has its default."""
    plain = State(state.board)
    pairs = _side_pairs(state.a, Side(), "")
    if state.b is not None:  # a second column always says so, also where it is like the first
        pairs += _side_pairs(state.b, state.a, OTHER) or [(f"{OTHER}on", state.b.on)]
    for name, (field, _) in _OF_THE_STATE.items():
        value = getattr(state, field)
        if value != getattr(plain, field):
            pairs += [(name, text) for text in _texts(value)]
    return urlencode(pairs)


def _texts(value: Any) -> list[str]:
    if isinstance(value, tuple):
        return list(value)
    return ["1"] if value is True else [f"{value:.0f}"]


def _side_pairs(side: Side, plain: Side, before: str) -> list[tuple[str, str]]:
    """What a column says beyond what it would have anyway."""
    pairs = []
    if side.config:
        pairs += [("config", side.config)] * (side.config != plain.config)
    elif side.model != plain.model or plain.config:
        pairs.append(("model", side.model))
    pairs += [("on", side.on)] * (side.on != plain.on)
    pairs += [("set", f"{name}={value}") for name, value in side.changes]
    return [(before + name, value) for name, value in pairs]


def _side(given: dict[str, list[str]], before: str, plain: Side) -> Side:
    """One column's fields; a second column has the model and the machine of the first where it does not say."""
    config, model = plain.config, plain.model
    if f"{before}model" in given:
        if f"{before}config" in given:
            raise BadInput(f"give {before}model or {before}config, not both")
        config, model = "", model_name(_one(f"{before}model", given[f"{before}model"]))
    elif f"{before}config" in given:
        config, model = _one(f"{before}config", given[f"{before}config"]), Side.model
    if len(config) > LONGEST_PACKED:
        raise BadInput(f"{before}config is longer than {LONGEST_PACKED:,} characters, packed")
    on = machine_name(_one(f"{before}on", given.get(f"{before}on", [plain.on])))
    return Side(model, config, on, _changes(given.get(f"{before}set", [])))


def _changes(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Changed numbers; the last word on a name wins."""
    if len(texts) > MOST_CHANGES:
        raise BadInput(f"{len(texts)} numbers are changed, more than {MOST_CHANGES}")
    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise BadInput(f"set takes name=value, such as bandwidth_bytes_per_s=10e12, found {shown(text)}")
        if len(text) > LONGEST_CHANGE:
            raise BadInput(f"a change is at most {LONGEST_CHANGE} characters, found {shown(text)}")
        changes[name.strip()] = value.strip()
    return tuple(changes.items())


def _one(name: str, values: Sequence[str]) -> str:
    """The value of a field that is given once."""
    if len(values) != 1:
        raise BadInput(f"{name} is given {len(values)} times, expected once")
    return values[0]


def _number(name: str, values: Sequence[str]) -> float:
    _, unit, least, most = _NUMBERS[name]
    try:
        value = parse(_one(name, values), unit)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None
    if not least <= value <= most or value != round(value):
        raise BadInput(f"{name} must be a whole number from {least:,} to {most:,}, found {shown(values[0])}")
    return float(value)


def _flag(name: str, values: Sequence[str]) -> bool:
    if _one(name, values) not in ("0", "1"):
        raise BadInput(f"{name} must be 0 or 1, found {shown(values[0])}")
    return values[0] == "1"


def _names(what: str, known: Sequence[str], most: int) -> Callable[[str, Sequence[str]], tuple[str, ...]]:
    def read_names(name: str, values: Sequence[str]) -> tuple[str, ...]:
        for value in values:
            if value not in known:
                raise UnknownName(what, value, known)
        chosen = tuple(one for one in known if one in values)
        if len(chosen) > most:
            raise BadInput(f"{name} takes at most {most}, found {len(chosen)}")
        return chosen

    return read_names


_OF_A_SIDE = ("model", "config", "on", "set")
_OF_THE_STATE: dict[str, tuple[str, Callable[[str, Sequence[str]], Any]]] = {
    **{name: (field, _number) for name, (field, *_) in _NUMBERS.items()},
    "refine": ("refine", _names("refinement", PLAIN_REFINEMENTS, len(PLAIN_REFINEMENTS))),
    "terms": ("terms", _flag),
    "technique": ("techniques", _names("technique", technique_names(), MOST_CURVES - 1)),
    "chips": ("chips", _flag),
}
