"""From an address to a board and its parts: what the server answers, without the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace

from headway.catalog import vocabulary
from headway.errors import UnknownName
from headway.explanation import LECTURE, Derivation, derivation, origin_text
from headway.step.question import AXES, changeable
from headway.units import format_si
from headway.web.board import Board, Column, Json, tables
from headway.web.boards import batch, context, generations, pass_length
from headway.web.library import settled
from headway.web.state import Side, State, query, read

Pairs = Sequence[tuple[str, str]]
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
        **board.as_json(),
    }


def title_of(name: str) -> str:
    """The title of a board."""
    return _BOARDS[name][0]


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
    return {"tables": tables(figure), "derivation": asdict(told) | {"lecture": lecture}}


def inputs_json(name: str, pairs: Pairs) -> Json:
    """Every number that a column was given and that can be changed, and the fields of its config."""
    state, column, _ = _found(name, pairs)
    side = state.sides.get(column.key, state.a)
    figures = set(vocabulary())
    if name == "generations":
        return {"inputs": _given(column, side, figures)}
    model, system, _ = settled(side)
    return {"inputs": [*_given(column, side, figures | set(changeable(model, system))), *_fields(side)]}


_NOT_CHANGED = {*AXES, "chips"}


def _given(column: Column, side: Side, known: AbstractSet[str]) -> list[Json]:
    if column.given is None:
        return []
    changed = dict(side.changes)
    return [
        {"name": q.name, "unit": q.unit, "origin": origin_text(q.origin), "edited": q.name in changed, "group": "pass",
         "value": "" if q.value is None else format_si(float(q.value), q.unit)}
        for q in (cell.quantity for cell in column.given.sheet.used() if cell.equation is None)
        if q.name in known and q.name not in _NOT_CHANGED
    ]  # fmt: skip


def _fields(side: Side) -> list[Json]:
    """Fields of the config that hold one number, or yes or no."""
    model, _, _ = settled(side)
    changed = dict(side.changes)
    return [
        {"name": name, "unit": "", "origin": "config.json", "edited": name in changed, "group": "config",
         "value": str(value).lower()}
        for name, value in model.config.items()
        if isinstance(value, (int, float)) and len(name) <= 60
    ][:200]  # fmt: skip
