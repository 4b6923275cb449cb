"""What a board is: controls, and columns of an answer with its figures.

Everything on the page is computed and put into words here or further left. The browser lists and draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headway.equations import comparison
from headway.explanation import Explained
from headway.figures import Dots, Panel
from headway.units import format_si

Json = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A chart and what stands under it.

    `result` keeps the worksheet of the point that is written out, and `names` say whose equations are shown at once; a
    figure without a result has no such point, for it does not fit. `rows` are the points of x that the
    command and the call ask for, and that the table shows. `table` makes another table beside it, when somebody asks.
    """

    key: str
    chart: Panel | Dots
    command: str
    call: str
    result: Explained | None = None
    names: tuple[str, ...] = ()
    present: float | None = None
    rows: tuple[float, ...] = ()
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
    compared: str = ""


def compared(columns: tuple[Column, ...]) -> str:
    """What tells two columns apart, in a sentence: their passes at the present point; empty where there are not two."""
    if len(columns) != 2 or any(column.refused or column.given is None for column in columns):
        return ""
    if columns[0].heading == columns[1].heading:
        return ""
    (left, right), (one, other) = columns, [column.given.sheet for column in columns if column.given is not None]
    rate = float(comparison.ratio(other.value("tokens_per_s"), one.value("tokens_per_s")))
    told = f"{right.heading}: {format_si(rate, '1')} times the tokens a second of {left.heading}"
    costs = [sheet.value("cost_per_token_usd") for sheet in (one, other)]
    if all(cost is not None and cost > 0 for cost in costs):
        told += f", at {format_si(float(comparison.ratio(costs[1], costs[0])), '1')} times its cost of a token"
    return f"{told}."
