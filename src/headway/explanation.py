"""Write a result's derivation out: each equation with the numbers put in, and the source of each input."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from headway.equations._docstring import equation
from headway.errors import BadInput, UnknownName, shown
from headway.provenance import Cell, Origin, Reference, Worksheet
from headway.units import format_si

LECTURE = "R. Pope with D. Patel, blackboard lecture, 2026-04-29; cited by the time at which a chapter starts"


class Explained(Protocol):
    """Anything that keeps the worksheet it was computed on."""

    @property
    def sheet(self) -> Worksheet: ...  # noqa: D102


@runtime_checkable
class Remarking(Protocol):
    """A result that has something to say before its numbers at a point."""

    def remark(self, index: tuple[int, ...]) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Step:
    """One computed quantity: its equation in symbols and with the numbers put in, or the gap that it is."""

    name: str
    symbols: str
    numbers: str
    value: str
    summary: str
    source: str
    gap: str = ""


@dataclass(frozen=True)
class Input:
    """One given quantity, who says so, and the pages that do, by their positions among the derivation's pages."""

    name: str
    value: str
    origin: str
    pages: tuple[int, ...]
    gap: str = ""


@dataclass(frozen=True)
class Derivation:
    """How quantities came about at a point: steps from the first to the last, what they were given, the pages read."""

    where: tuple[str, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Input, ...]
    pages: tuple[Reference, ...]

    @property
    def from_lecture(self) -> bool:
        """Whether an equation cites the lecture, by the time at which a chapter starts."""
        return any("lecture" in step.source for step in self.steps)


def explain(result: Explained, *names: str, at: Mapping[str, float] | None = None) -> str:
    """The derivation of the named quantities (all that were computed, if none is named), as text.

    Where the result holds arrays, `at` picks the point to write out: for each axis by name, the nearest value (the
    first where it says nothing). Raises `UnknownName` for a name that is not on the worksheet.
    """
    told = derivation(result, *names, at=at)
    sources = [f"  [{i}] {page.where} (read {page.checked})" for i, page in enumerate(told.pages, start=1)]
    if told.from_lecture:
        sources.insert(0, f"  lecture: {LECTURE}")
    parts = [*told.where, "Derivation", *map(_step_text, told.steps), "", "Inputs", *map(_input_text, told.inputs)]
    return "\n".join([*parts, *(["", "Sources", *sources] if sources else [])])


def derivation(result: Explained, *names: str, at: Mapping[str, float] | None = None) -> Derivation:
    """The same as `explain`, part by part."""
    if not isinstance(getattr(result, "sheet", None), Worksheet):
        raise BadInput(f"only a result can be explained, found {shown(result)}")
    sheet = result.sheet
    at = _places(sheet, at or {})
    for name in names:
        if name not in sheet:
            raise UnknownName("quantity to explain", name, [cell.quantity.name for cell in sheet])
    index = _index(sheet, at)
    wanted = {c.quantity.name for n in names or [c.quantity.name for c in sheet.used()] for c in sheet.lineage(n)}
    cells = [cell for cell in sheet if cell.quantity.name in wanted]
    pages = list(dict.fromkeys(r for cell in cells for r in cell.quantity.origin.references))
    where = _where(sheet, index)
    if isinstance(result, Remarking):
        where += [remark] if (remark := result.remark(index)) else []
    return Derivation(
        where=tuple(where),
        steps=tuple(step(cell, sheet, index) for cell in cells if cell.equation is not None),
        inputs=tuple(_input(cell, index, pages) for cell in cells if cell.equation is None),
        pages=tuple(pages),
    )


def _places(sheet: Worksheet, at: Mapping[str, float]) -> dict[str, float]:
    """The point to write out, its axes named as on the worksheet."""
    given = [cell.quantity.name for cell in sheet if cell.equation is None]
    found = {}
    for name, value in at.items():
        axis = name if name in given else f"{name}_tokens"
        if axis not in given:
            raise UnknownName("axis", name, given, where=f"axes are given quantities, such as {given[0]}")
        if not isinstance(value, (int, float, np.number)):
            raise BadInput(f"at takes a number for {name}, found {shown(value)}")
        found[axis] = float(value)
    return found


def _where(sheet: Worksheet, index: tuple[int, ...]) -> list[str]:
    """Which point of the arrays is written out."""
    given = [cell for cell in sheet if cell.equation is None and np.size(cell.quantity.value) > 1]
    places = [f"{cell.quantity.name} = {_text(cell, index)}" for cell in given]
    return [f"Written out for {', '.join(places)}."] if places else []


def step(cell: Cell, sheet: Worksheet, index: tuple[int, ...] = ()) -> Step:
    """How one computed cell of a worksheet came about, at a position of the arrays."""
    assert cell.equation is not None
    stated, quantity = equation(cell.equation), cell.quantity
    if quantity.value is None:
        return Step(quantity.name, "", "", "", stated.summary, stated.source, quantity.gap)
    *before, last = stated.formulas
    if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cell.equation).parameters.values()):
        last = " + ".join(cell.arguments)  # a sum of as many parts as there are
    formula = last.split(" = ", 1)[-1] + "".join(f", where {one}" for one in before)
    numbers = {a: _text(sheet[name], index) for a, name in cell.arguments.items()} | _defaults(cell)
    return Step(quantity.name, _substitute(formula, cell.arguments), _substitute(formula, numbers),
                _text(cell, index), stated.summary, stated.source)  # fmt: skip


def _step_text(step: Step) -> str:
    if step.gap:
        return f"  {step.name}: not known: {step.gap}"
    lines = [f"  {step.name} = {step.symbols}", f"    = {step.numbers}", f"    = {step.value}"]
    return "\n".join([*lines, f"    {step.summary} Source: {step.source}"])


def _defaults(cell: Cell) -> dict[str, str]:
    """Arguments left at their default (two FLOP for a multiply-add), as the reader should see them."""
    assert cell.equation is not None
    units = equation(cell.equation).arguments
    return {
        name: format_si(float(parameter.default), units[name].unit)
        for name, parameter in inspect.signature(cell.equation).parameters.items()
        if name not in cell.arguments and isinstance(parameter.default, (int, float))
    }


def _substitute(formula: str, names: Mapping[str, str]) -> str:
    return re.sub(r"[A-Za-z_]\w*", lambda word: names.get(word.group(), word.group()), formula)


def _text(cell: Cell, index: tuple[int, ...]) -> str:
    value = at_index(cell.quantity.value, index)
    return "unknown" if value is None else format_si(float(value), cell.quantity.unit)


def _input(cell: Cell, index: tuple[int, ...], pages: list[Reference]) -> Input:
    quantity = cell.quantity
    places = tuple(pages.index(page) for page in quantity.origin.references)
    value = "" if quantity.value is None else _text(cell, index)
    return Input(
        quantity.name, value, origin_text(quantity.origin), places, "" if value else quantity.gap or "no source gave it"
    )


def _input_text(given: Input) -> str:
    if given.gap:
        return f"  {given.name}: not known: {given.gap}"
    marks = "".join(f" [{page + 1}]" for page in given.pages)
    return f"  {given.name} = {given.value}  ({given.origin}){marks}"


def origin_text(origin: Origin) -> str:
    """An origin in words: who says so, and with what remark."""
    return ". ".join(part for part in (f"{origin.kind}: {origin.where}".rstrip(": "), origin.note) if part)


def at_index(value: Any, index: tuple[int, ...]) -> Any:
    """One element of an array that may lack some of the axes, or the scalar itself."""
    if value is None or np.ndim(value) == 0:
        return value
    array = np.asarray(value)
    padded = array.reshape((1,) * (len(index) - array.ndim) + array.shape)
    return padded[tuple(min(i, size - 1) for i, size in zip(index, padded.shape, strict=True))]


def _index(sheet: Worksheet, at: Mapping[str, float]) -> tuple[int, ...]:
    """The position of the point to write out: the given cells that vary are the axes, first unless `at` says."""
    arrays = {c.quantity.name: np.asarray(c.quantity.value) for c in sheet if np.ndim(c.quantity.value) > 0}
    size = max((array.ndim for array in arrays.values()), default=0)
    index = [0] * size
    for cell in sheet:
        name = cell.quantity.name
        if cell.equation is None and name in at and name in arrays and arrays[name].size > 1:
            array = arrays[name]
            axis = size - array.ndim + int(np.argmax(array.shape))
            index[axis] = int(np.argmin(np.abs(array.ravel() - at[name])))
    return tuple(index)
