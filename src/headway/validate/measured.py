"""Measured rows: the shipped ones, and a user's own file with the same columns.

A row is one published number. What it says is kept as it was written; a cell that cannot be what its column means makes
the row one that is not predicted, with that reason, and never an error of the whole file.
"""

from __future__ import annotations

import csv
import difflib
import fnmatch
import functools
import gzip
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from headway.catalog.store import read_text
from headway.errors import BadInput, neighbours, shown

DATA = files("headway.validate") / "data" / "measured"
SHIPPED = "the shipped rows"
NEEDED = ("model", "metric", "value")  # and a machine
MACHINE = ("hw_key", "hardware")
COLUMNS = (
    "id", "group_id", "tier", "source_key", "source_title", "source_url", "source_date", "model", "params_total_b",
    "params_active_b", "weight_dtype", "act_dtype", "kv_dtype", "hardware", "hw_key", "n_chips", "tp", "pp", "ep", "dp",
    "cp", "framework", "framework_version", "phase", "regime", "batch", "batch_kind", "input_len", "output_len",
    "avg_context", "metric", "value", "unit", "per", "spec_decode", "quarantine", "derived", "notes",
)  # fmt: skip
MOST_ROWS = 200_000
KNOWN = (*COLUMNS, "overlap")
# What other tables call a column; only to say which is meant.
_OTHER_NAMES = {
    "tensor": "tp", "tensor_parallel": "tp", "pipeline": "pp", "pipeline_parallel": "pp", "expert_parallel": "ep",
    "experts": "ep", "data_parallel": "dp", "context_parallel": "cp", "gpu": "hw_key", "chip": "hw_key",
    "accelerator": "hw_key", "device": "hw_key", "system": "hw_key", "machine": "hw_key", "gpus": "n_chips",
    "num_gpus": "n_chips", "chips": "n_chips", "isl": "input_len", "prompt_len": "input_len",
    "prompt_tokens": "input_len", "osl": "output_len", "generated_tokens": "output_len", "concurrency": "batch",
    "batch_size": "batch", "batchsize": "batch", "context": "avg_context", "dtype": "weight_dtype",
    "precision": "weight_dtype", "quantization": "weight_dtype", "engine": "framework", "load": "batch_kind",
    "units": "unit", "result": "value",
}  # fmt: skip
_LOWERED = ("metric", "phase")  # words of ours, in any case
_DELIMITERS = ",;\t"
# Columns of numbers, and the least and the most that each can be; of those that count, only whole numbers.
_LIMITS = {"value": (1e-30, 1e30), "input_len": (0, 1e8), "output_len": (0, 1e8), "avg_context": (0, 1e8)}
_COUNTS = {"n_chips": 1e6, "tp": 1e6, "pp": 1e6, "ep": 1e6, "dp": 1e6, "cp": 1e6, "batch": 1e8}
_TIERS = ("A", "B", "C")
_LIKE = 0.75  # likeness from which a name is what was typed with a slip of the fingers


@dataclass(frozen=True)
class Row:
    """One measured number: the cells as they are written, its numbers read, and what is wrong with it, if anything."""

    cells: Mapping[str, str]
    numbers: Mapping[str, float]
    wrong: str = ""
    place: int = 0
    filled: tuple[str, ...] = field(default=())

    def text(self, column: str) -> str:
        """A cell as it is written; empty where the column is blank or missing."""
        return self.cells.get(column, "")

    def number(self, column: str) -> float | None:
        """A cell of a column of numbers; None where it is blank or missing."""
        return self.numbers.get(column)

    @property
    def value(self) -> float:
        """What was measured, in the unit of the row."""
        return self.numbers["value"]

    def fits(self, when: Mapping[str, Any]) -> bool:
        """Whether every condition holds: a pattern, or one of several, on the text of a column, in any case."""
        return all(self._like(column, wanted) for column, wanted in when.items())

    def _like(self, column: str, wanted: str | Sequence[str]) -> bool:
        text = self.text(column).lower()
        patterns = [wanted] if isinstance(wanted, str) else wanted
        return any(fnmatch.fnmatchcase(text, pattern.lower()) for pattern in patterns)


@functools.cache
def shipped() -> tuple[Row, ...]:
    """The measured rows that headway carries; where they come from stands in the README beside them."""
    packed = (DATA / "inference.csv.gz").read_bytes()
    return tuple(_rows(gzip.decompress(packed).decode("utf-8"), SHIPPED))


def read(path: str | Path, note: Callable[[str], None] = lambda _: None) -> tuple[Row, ...]:
    """The rows of a CSV file with the columns of the shipped one; those not needed may be missing.

    Cells are parted by commas, or by semicolons or tabs where the header is. `note` is told what is not read: columns
    that mean nothing here. Raises `BadInput` for a file that is no such table: no text, no header, columns missing or
    twice, no rows, too many.
    """
    path = Path(path)
    return tuple(_rows(read_text(path), path.name, note))


def _rows(text: str, name: str, note: Callable[[str], None] = lambda _: None) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(lines, [])]
        _check_header(header, name)
        told = _not_read(header)
        if told:
            note(f"{name}: not read: {told}")
        count = 0
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > MOST_ROWS:
                raise BadInput(f"{name} has more than {MOST_ROWS:,} rows")
            yield _row(header, cells, count)
    except csv.Error as error:
        raise BadInput(f"{name} is not CSV: {error} (line {lines.line_num:,})") from None
    if count == 0:
        raise BadInput(f"{name} has a header and no rows")


def _delimiter(text: str) -> str:
    """What parts the names of the header most often; a comma where nothing does."""
    header = text.partition("\n")[0]
    return max(_DELIMITERS, key=header.count)


def _not_read(header: Sequence[str]) -> str:
    """The columns that mean nothing here, each with the one that may be meant."""
    found = []
    for column in header:
        if column and column not in KNOWN:
            near = meant(column)
            found.append(f"{shown(column)}{f' (did you mean {near}?)' if near else ''}")
    return f"the column{'s' if len(found) > 1 else ''} {', '.join(found)}" if found else ""


def meant(column: str) -> str:
    """The known column that a name may mean; empty where there is none.

    >>> meant("nchips"), meant("tensor"), meant("GPUs"), meant("colour")
    ('n_chips', 'tp', 'n_chips', '')
    """
    plain = column.lower().replace(" ", "_").replace("-", "_")
    near = difflib.get_close_matches(plain, KNOWN, n=1, cutoff=_LIKE)
    return _OTHER_NAMES.get(plain) or (near[0] if near else "")


def _check_header(header: Sequence[str], name: str) -> None:
    """Refuse a table that lacks what every prediction needs."""
    if not any(header):
        raise BadInput(f"{name} is empty; expected a header with {', '.join(NEEDED)} and {' or '.join(MACHINE)}")
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise BadInput(f"{name} has the column {shown(twice[0])} twice")
    missing = [column for column in NEEDED if column not in header]
    missing += [] if set(MACHINE) & set(header) else [MACHINE[0]]
    if missing:
        near = [column for column in header if meant(column) == missing[0]] or neighbours(missing[0], header)
        hint = f"; did you call it {' or '.join(map(shown, near))}?" if near else ""
        raise BadInput(f"{name} lacks the column {missing[0]}{hint}; headway validate --template prints a header")


def _row(header: Sequence[str], cells: Sequence[str], place: int) -> Row:
    """A row with its numbers read. A missing id is its place, a missing group one of its own, a missing tier A."""
    texts = {column: cell.strip() for column, cell in zip(header, cells, strict=False) if column}
    texts["id"] = texts.get("id") or f"row {place}"
    texts["group_id"] = texts.get("group_id") or texts["id"]
    texts["tier"] = texts.get("tier", "").upper() or "A"
    texts |= {column: texts[column].lower() for column in _LOWERED if column in texts}
    wrong = _wrong_count(header, cells)
    wrong = wrong or (said(texts, "tier", "A, B or C") if texts["tier"] not in _TIERS else "")
    numbers = {}
    for column in (*_LIMITS, *_COUNTS):
        number = _number(texts.get(column, ""), column)
        if number is not None and math.isnan(number):
            wrong = wrong or said(texts, column, _in_range(column))
        elif number is not None:
            numbers[column] = number
    if "value" not in numbers:
        wrong = wrong or said(texts, "value", "a number, what was measured")
        numbers["value"] = math.nan
    return Row(texts, numbers, wrong, place)


def _wrong_count(header: Sequence[str], cells: Sequence[str]) -> str:
    """What is wrong with the number of cells, if anything; blank ones beyond the header are none."""
    if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
        return f"the row has {len(cells)} cells; expected {len(header)}, as the header has"
    return ""


def said(texts: Mapping[str, str], column: str, expected: str) -> str:
    """What stands in a cell, and what was expected there.

    >>> said({"unit": "fortnights"}, "unit", "s or ms"), said({}, "batch", "a number")
    ("unit is 'fortnights'; expected s or ms", 'batch is blank; expected a number')
    """
    text = texts.get(column, "")
    return f"{column} is {shown(text) if text else 'blank'}; expected {expected}"


def _in_range(column: str) -> str:
    if column in _COUNTS:
        return f"a whole number from 1 to {_COUNTS[column]:,.0f}"
    low, high = _LIMITS[column]
    return "a number above 0, written with a point" if column == "value" else f"a number from {low:.0f} to {high:,.0f}"


def _number(text: str, column: str) -> float | None:
    """The number in a cell; None for a blank one, NaN for one that cannot be what the column means."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        return math.nan
    low, high = _LIMITS.get(column, (1, _COUNTS.get(column, 0.0)))
    whole = column not in _COUNTS or number == round(number) if math.isfinite(number) else False
    return number if whole and low <= number <= high else math.nan
