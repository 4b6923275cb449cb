"""From an address to a board and its parts: what the server answers, without the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace
from typing import Any

from headway.catalog import vocabulary
from headway.catalog.store import harmless_fields
from headway.errors import UnknownName
from headway.explanation import LECTURE, Derivation, derivation, origin_text
from headway.provenance import Quantity
from headway.step.question import AXES, Question, changeable, given
from headway.units import format_si
from headway.web.board import Board, Column, Json
from headway.web.boards import batch, context, generations, pass_length
from headway.web.drawn import board_as_json, on_a_page, tables
from headway.web.library import settled
from headway.web.state import Side, State, query, read

Pairs = Sequence[tuple[str, str]]
LONGEST_NAME, MOST_FIELDS, LARGEST_SHOWN = 60, 200, 1e15  # of the config's fields that are offered
_BOARDS: dict[str, tuple[str, Callable[[State], Board]]] = {
    "batch": ("Batch", batch.board),
    "context": ("Context", context.board),
    "pass-length": ("Pass length", pass_length.board),
    "generations": ("Generations", generations.board),
}


def board_json(name: str, pairs: Pairs) -> Json:
    """A board at the state that a query string describes."""
    state = read(name, pairs)
    _, make = _BOARDS[name]
    board = make(state)
    return {
        "board": name,
        "query": query(state),
        "boards": [
            {"name": other, "title": title, "href": _address(replace(state, board=other)), "current": other == name}
            for other, (title, _) in _BOARDS.items()
        ],
        "compare": _compare(state),
        **board_as_json(board),
    }


def title_of(name: str) -> str:
    """The title of a board, or of a page that is none."""
    return _BOARDS[name][0] if name in _BOARDS else "headway"


def _address(state: State) -> str:
    told = query(state)
    return f"/{state.board}?{told}" if told else f"/{state.board}"


def _compare(state: State) -> Json:
    """The way to two columns, and back."""
    if state.b is None:
        return {"href": _address(replace(state, b=state.a)), "label": "Compare two side by side"}
    return {"href": _address(replace(state, b=None)), "label": "One column again"}


def _found(name: str, pairs: Pairs) -> tuple[State, Column, dict[str, str]]:
    """The state without what says which part of the board is meant, that column, and the part."""
    part = {key: value for key, value in pairs if key in ("column", "figure")}
    state = read(name, [pair for pair in pairs if pair[0] not in ("column", "figure")])
    columns = {column.key: column for column in _BOARDS[name][1](state).columns}
    if part.get("column") not in columns:
        raise UnknownName("column", part.get("column", ""), columns)
    return state, columns[part["column"]], part


def details_json(name: str, pairs: Pairs) -> Json:
    """The table of a figure, and the whole derivation of what it shows with the sources."""
    _, column, part = _found(name, pairs)
    figures = {figure.key: figure for figure in column.figures}
    if part.get("figure") not in figures:
        raise UnknownName("figure", part.get("figure", ""), figures)
    figure = figures[part["figure"]]
    if figure.result is None:
        told = Derivation((column.answer, "What does not fit gets no number."), (), (), ())
    else:
        told = derivation(figure.result, *figure.names)
    lecture = LECTURE if told.from_lecture else ""
    answer: Json = on_a_page({"tables": tables(figure), "derivation": asdict(told) | {"lecture": lecture}})
    return answer


def inputs_json(name: str, pairs: Pairs) -> Json:
    """Every number that a column was given and that can be changed, and the fields of its config."""
    state, column, _ = _found(name, pairs)
    side = state.sides[column.key]
    figures = set(vocabulary())
    if name == "generations":
        return {"inputs": _rows(_given(column), side, figures)}
    model, system, rest = settled(side)
    # Where a figure is missing there is no worksheet: what it would have been given shows the gap.
    quantities = _given(column) if column.given is not None else given(model, system, Question(), rest)
    known = figures | set(changeable(model, system))
    return {"inputs": [*_rows(quantities, side, known), *_fields(model.config, side)]}


_NOT_CHANGED = {*AXES, "chips", "one_sequence", "prompt_tokens", "no_tokens"}
_OF_A_MACHINE = ("catalog", "user")


def _given(column: Column) -> list[Quantity]:
    assert column.given is not None
    return [cell.quantity for cell in column.given.sheet.used() if cell.equation is None]


def _rows(quantities: Sequence[Quantity], side: Side, known: AbstractSet[str]) -> list[Json]:
    """Inputs that are known by a name that can be changed: what is missing first, then the machine, then the model."""
    changed = dict(side.changes)
    ranked = sorted(quantities, key=lambda q: (q.value is not None, q.origin.kind not in _OF_A_MACHINE))
    return [
        {"name": q.name, "unit": q.unit, "edited": q.name in changed, "group": "pass",
         "origin": on_a_page(q.gap if q.value is None else origin_text(q.origin)),
         "value": "not known" if q.value is None else format_si(float(q.value), q.unit)}
        for q in ranked
        if q.name in known and q.name not in _NOT_CHANGED and (q.value is not None or q.origin.kind == "catalog")
    ]  # fmt: skip


def _fields(config: Mapping[str, Any], side: Side) -> list[Json]:
    """Fields of the config that hold one number, or yes or no, and change something."""
    changed = dict(side.changes)
    return [
        {"name": name, "unit": "", "origin": "config.json", "edited": name in changed, "group": "config",
         "value": str(value).lower()}
        for name, value in config.items()
        if _is_number(value) and len(name) <= LONGEST_NAME and name not in harmless_fields()
    ][:MOST_FIELDS]  # fmt: skip


def _is_number(value: object) -> bool:
    """Whether a field holds a number that somebody might change: no text, no infinity, no googol."""
    return isinstance(value, (int, float)) and abs(value) < LARGEST_SHOWN
