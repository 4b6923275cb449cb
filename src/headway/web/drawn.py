"""A board as the browser reads it: numbers in drawn units, words in place, figures of a kind on one y axis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np

from headway.explanation import Step, step
from headway.figures import DRAWN_UNITS, Dots, Panel, plain
from headway.figures.panel import whole
from headway.units import format_si
from headway.web.board import Board, Column, Figure, Json

DIGITS = 7  # of a drawn number: more than any screen shows
# What the library's own words say of the command, and how the same is done on the page.
_ON_A_PAGE = (
    (re.compile(r"supply (?:it with )?--set (\w+)=\.\.\."), r'give \1 under "Change a number"'),
    (re.compile(r"supply --price '[^']*'"), 'give rental_usd_per_s under "Change a number"'),
    (re.compile(r"a narrower --weight-dtype"), "weights in a narrower format"),
    (re.compile(r"--explain names the inputs"), '"Change a number" lists them'),
    (re.compile(r"user: --(?:set|on) "), "user: "),
)


def board_as_json(board: Board) -> Json:
    """The parts of a board that do not depend on where it stands among others."""
    ranges = _shared_ranges(figure for column in board.columns for figure in column.figures)
    return {
        "title": board.title,
        "question": board.question,
        "compared": board.compared,
        "controls": list(board.controls),
        "columns": [_column_json(column, ranges) for column in board.columns],
    }


def on_a_page(told: Any) -> Any:
    """Words of the library, however deep, with what the page has in the place of the command's options."""
    if isinstance(told, dict):
        return {name: on_a_page(value) for name, value in told.items()}
    if isinstance(told, (list, tuple)):
        return [on_a_page(value) for value in told]
    if isinstance(told, str) and "--" in told:
        for pattern, instead in _ON_A_PAGE:
            told = pattern.sub(instead, told)
    return told


def _shared_ranges(figures: Iterable[Figure]) -> Mapping[str, tuple[float, float]]:
    """The y axis of each kind of figure, wide enough for both columns, and to whole steps so that it stands still."""
    ranges: dict[str, tuple[float, float]] = {}
    for figure in figures:
        low, high = figure.chart.y_range()
        before = ranges.get(figure.key, (low, high))
        ranges[figure.key] = (min(low, before[0]), max(high, before[1]))
    return {key: (step_below(low), rounded(1 / step_below(1 / high))) for key, (low, high) in ranges.items()}


def step_below(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above a value.

    >>> step_below(3.2), step_below(0.07), step_below(5)
    (2.0, 0.05, 5.0)
    """
    power = 10.0 ** np.floor(np.log10(value) + 1e-9)
    return float(max(power * factor for factor in (1, 2, 5) if power * factor <= value * (1 + 1e-9)))


def _column_json(column: Column, ranges: Mapping[str, tuple[float, float]]) -> Json:
    return {
        "key": column.key,
        "heading": column.heading,
        "controls": list(column.controls),
        "answer": on_a_page(column.answer),
        "why": on_a_page(column.why),
        "refused": column.refused,
        "facts": [{"label": label, "text": on_a_page(text)} for label, text in column.facts],
        "assumptions": on_a_page(column.assumptions),
        "figures": [_figure_json(figure, ranges[figure.key]) for figure in column.figures],
    }


def _figure_json(figure: Figure, y_range: tuple[float, float]) -> Json:
    chart = figure.chart
    scale, unit = DRAWN_UNITS[chart.y_unit]
    common: Json = {
        "key": figure.key,
        "title": chart.title,
        "about": chart.told(),
        "caption": on_a_page(figure.caption),
        "y": {
            "label": chart.y_label,
            "unit": unit,
            "log": True,
            "range": [rounded(limit * scale) for limit in y_range],
        },
        "equations": [on_a_page(asdict(one)) for one in steps(figure)],
        "call": figure.call,
        "command": figure.command,
    }
    return common | (_dots_json(chart, scale) if isinstance(chart, Dots) else _curves_json(chart, scale, figure))


def _curves_json(panel: Panel, scale: float, figure: Figure) -> Json:
    letters = {id(mark): letter for letter, mark in panel.places().items()}
    marks = [
        {"letter": letters[id(mark)], "label": mark.label, "x": mark.x, "text": whole(mark.x)}
        for mark in panel.marks
        if mark.x is not None and id(mark) in letters
    ]
    marks += [
        {
            "letter": "",
            "label": mark.label,
            "y": mark.y * scale,
            "text": plain(mark.y) if panel.y_unit == "1" else format_si(mark.y, panel.y_unit),
        }
        for mark in panel.marks
        if mark.y is not None
    ]
    now, off = _present(panel, figure.present)
    return {
        "kind": "curves",
        "x": {"label": panel.x_label, "unit": panel.x_unit, "log": not panel.x_linear,
              "range": [float(panel.x[0]), float(panel.x[-1])], "values": _rounded(panel.x)},
        "curves": [
            {"label": curve.label, "role": curve.role, "values": _rounded(curve.values * scale),
             "low": None if curve.low is None else _rounded(curve.low * scale),
             "high": None if curve.high is None else _rounded(curve.high * scale),
             "held": int(np.count_nonzero(curve.held))}
            for curve in panel.curves
        ],
        "marks": marks,
        "present": now,
        "notes": [*off, *(note for note in panel.key() if "off to the" in note)],
    }  # fmt: skip


def _present(panel: Panel, present: float | None) -> tuple[Json | None, list[str]]:
    """The present value as a place along x, or the note that it lies outside the picture."""
    if present is None:
        return None, []
    text = whole(present)
    if panel.x[0] <= present <= panel.x[-1]:
        return {"x": present, "text": text}, []
    side = "left" if present < panel.x[0] else "right"
    return None, [f"now, {panel.x_label}: {text}, off to the {side}"]


def _dots_json(chart: Dots, scale: float) -> Json:
    ticks = chart.x_ticks()
    dots = [
        {"name": dot.name, "group": dot.group, "x": chart.unknown_x if dot.x is None else dot.x,
         "y": rounded(dot.y * scale), "text": format_si(dot.y, chart.y_unit), "chosen": dot.chosen}
        for dot in chart.dots
    ]  # fmt: skip
    return {
        "kind": "dots",
        "x": {"label": chart.x_label, "unit": chart.x_unit, "log": False, "range": [ticks[0][0] - 0.5, ticks[-1][0]],
              "ticks": [list(tick) for tick in ticks]},
        "dots": dots,
        "groups": chart.groups(),
        "marks": [],
        "notes": [f"no source gave it: {', '.join(chart.absent)}"] if chart.absent else [],
    }  # fmt: skip


def rounded(value: float) -> float:
    """A number to as many digits as are drawn."""
    return float(f"{value:.{DIGITS - 1}e}")


def _rounded(values: np.ndarray[Any, Any]) -> list[float | None]:
    """The same for a whole curve; None where it is not drawn.

    Powers of ten are multiplied and divided by from above 1 only, where they are exact, so that the digits stay few.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        places = DIGITS - 1 - np.floor(np.log10(np.abs(values)))
        up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
        kept = np.where(values == 0, 0.0, np.round(values * up / down) * down / up)
    return [value if isfinite(value) else None for value in kept.tolist()]


def steps(figure: Figure) -> list[Step]:
    """The equations shown under a figure, with the present numbers."""
    if figure.result is None:
        return []
    sheet = figure.result.sheet
    cells = [sheet[name] for name in figure.names if name in sheet]
    return [step(cell, sheet) for cell in cells if cell.equation is not None]


def tables(figure: Figure) -> list[Json]:
    """The numbers of a figure as tables: its own where it has one, and a row for each point asked or for each dot."""
    own = [] if figure.table is None else [figure.table()]
    chart = figure.chart
    if isinstance(chart, Dots):
        rows: Sequence[Sequence[str]] = [chart.row(dot) for dot in chart.dots]
        return [*own, {"caption": chart.title, "header": list(chart.header), "rows": rows}]
    header = [f"{chart.x_label} [{chart.x_unit}]", *(curve.label for curve in chart.curves)]
    places = [int(np.argmin(np.abs(chart.x - x))) for x in figure.rows if np.isclose(chart.x, x, rtol=1e-9).any()]
    rows = [
        [whole(float(chart.x[i])), *(_cell(float(curve.values[i]), chart.y_unit) for curve in chart.curves)]
        for i in places
    ]
    return [*own, {"caption": chart.title, "header": header, "rows": rows}]


def _cell(value: float, unit: str) -> str:
    return format_si(value, unit) if np.isfinite(value) else "does not fit"
