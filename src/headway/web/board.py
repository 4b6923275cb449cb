"""What a board is: controls, and columns of an answer with its figures; and how it is written as JSON.

Everything on the page is computed and put into words here or further left. The browser lists and draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from headway.explanation import Explained, Step, step
from headway.figures import DRAWN_UNITS, Dots, Panel, plain
from headway.units import format_si

Json = dict[str, Any]
DIGITS = 7  # of a drawn number: more than any screen shows


@dataclass(frozen=True)
class Figure:
    """A chart and what stands under it.

    `result` keeps the worksheet of the point that is written out, and `names` say whose equations are shown at once; a
    figure without a result has no such point, for it does not fit. `table` makes a table beside that of the chart's
    points, when somebody asks for it.
    """

    key: str
    chart: Panel | Dots
    command: str
    call: str
    result: Explained | None = None
    names: tuple[str, ...] = ()
    present: float | None = None
    caption: str = ""
    table: Callable[[], Json] | None = None


@dataclass(frozen=True)
class Column:
    """One side of a board: the answer first, then why, then the figures."""

    key: str
    heading: str
    answer: str
    why: str = ""
    refused: bool = False
    facts: tuple[tuple[str, str], ...] = ()
    assumptions: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    controls: tuple[Json, ...] = ()
    given: Explained | None = None


@dataclass(frozen=True)
class Board:
    """A page: the question it answers, what can be moved, and one column or two."""

    title: str
    question: str
    controls: tuple[Json, ...]
    columns: tuple[Column, ...]

    def as_json(self) -> Json:
        """The board as the browser reads it, figures of the same kind on the same y axis."""
        ranges = _shared_ranges(figure for column in self.columns for figure in column.figures)
        return {
            "title": self.title,
            "question": self.question,
            "controls": list(self.controls),
            "columns": [_column_json(column, ranges) for column in self.columns],
        }


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
        "answer": column.answer,
        "why": column.why,
        "refused": column.refused,
        "facts": [{"label": label, "text": text} for label, text in column.facts],
        "assumptions": list(column.assumptions),
        "figures": [_figure_json(figure, ranges[figure.key]) for figure in column.figures],
    }


def _figure_json(figure: Figure, y_range: tuple[float, float]) -> Json:
    chart = figure.chart
    scale, unit = DRAWN_UNITS[chart.y_unit]
    common: Json = {
        "key": figure.key,
        "title": chart.title,
        "about": chart.told(),
        "caption": figure.caption,
        "y": {
            "label": chart.y_label,
            "unit": unit,
            "log": True,
            "range": [rounded(limit * scale) for limit in y_range],
        },
        "equations": [asdict(one) for one in steps(figure)],
        "call": figure.call,
        "command": figure.command,
    }
    return common | (_dots_json(chart, scale) if isinstance(chart, Dots) else _curves_json(chart, scale, figure))


def _curves_json(panel: Panel, scale: float, figure: Figure) -> Json:
    letters = {id(mark): letter for letter, mark in panel.places().items()}
    marks = [
        {"letter": letters[id(mark)], "label": mark.label, "x": mark.x, "text": plain_place(mark.x)}
        for mark in panel.marks
        if mark.x is not None and id(mark) in letters
    ]
    marks += [
        {"letter": "", "label": mark.label, "y": mark.y * scale, "text": format_si(mark.y, panel.y_unit)}
        for mark in panel.marks
        if mark.y is not None
    ]
    present = figure.present
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
        "present": None if present is None else {"x": present, "text": plain_place(present)},
        "notes": [note for note in panel.key() if "off to the" in note],
    }  # fmt: skip


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


def plain_place(value: float) -> str:
    """A place along an axis, in words."""
    return f"{value:,.0f}" if value >= 10 else plain(value)


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


def tables(figure: Figure, most: int = 18) -> list[Json]:
    """The numbers of a figure as tables: its own where it has one, and a row for some of the points or for each dot."""
    own = [] if figure.table is None else [figure.table()]
    chart = figure.chart
    if isinstance(chart, Dots):
        rows: Sequence[Sequence[str]] = [chart.row(dot) for dot in chart.dots]
        return [*own, {"caption": chart.title, "header": list(chart.header), "rows": rows}]
    header = [f"{chart.x_label} [{chart.x_unit}]", *(curve.label for curve in chart.curves)]
    places = np.unique(np.linspace(0, chart.x.size - 1, min(most, chart.x.size)).round().astype(int))
    rows = [
        [plain_place(float(chart.x[i])), *(_cell(float(curve.values[i]), chart.y_unit) for curve in chart.curves)]
        for i in places
    ]
    caption = f"{chart.title} ({len(rows)} of {chart.x.size} points)"
    return [*own, {"caption": caption, "header": header, "rows": rows}]


def _cell(value: float, unit: str) -> str:
    return format_si(value, unit) if np.isfinite(value) else "does not fit"
