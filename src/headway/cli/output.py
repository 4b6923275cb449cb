"""How results are written: JSON without NaN, tables with units in their headers, prose on lines that fit."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

WIDTH = 110
NARROWEST = 40


def plain(value: Any) -> Any:
    """A value as JSON has it: lists for arrays, None for what is masked, unknown or not finite."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value


def has_null(value: Any) -> bool:
    """Whether a plain value is None or holds None anywhere."""
    return value is None or (isinstance(value, list) and any(map(has_null, value)))


def print_json(result: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(plain(result), allow_nan=False))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 0) -> str:
    """Columns in line, numbers to the right; the first `left` columns to the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        placed = (c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return "  ".join(placed).rstrip()

    return "\n".join([line(header), *map(line, rows)])


def wrapped(text: str, bullet: str = "") -> str:
    """Prose on lines of readable length, hanging from a bullet if there is one."""
    return textwrap.fill(text, _width(), initial_indent=bullet, subsequent_indent=" " * len(bullet),
                         break_on_hyphens=False, break_long_words=False)  # fmt: skip


def folded(line: str) -> str:
    """A line of a derivation, its continuation indented further; the address of a source stays whole.

    >>> print(folded("  a = " + 30 * "word "))
      a = word word word word word word word word word word word word word word word word word word word word word
        word word word word word word word word word
    """
    if line.lstrip().startswith("["):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line.strip(), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ",
                         break_on_hyphens=False, break_long_words=False)  # fmt: skip


def _width() -> int:
    """Columns of prose: the terminal's where it is narrow, the same everywhere else."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(NARROWEST, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def thinned(count: int, most: int) -> list[int]:
    """Positions of at most `most` rows out of `count`: every k-th, and the last.

    >>> thinned(20, 16), thinned(3, 16)
    ([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 19], [0, 1, 2])
    """
    step = max(1, -(-(count - 1) // (most - 1)))
    return sorted({*range(0, count, step), *range(count - 1, count)})
