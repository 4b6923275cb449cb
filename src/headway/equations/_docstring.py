"""What an equation says of itself: its docstring, read as data.

Every public equation documents itself in one layout, so that `explain` can print it and the tests can hold it
to its word (the formula is evaluated and must equal the code; the units are checked with pint):

    Summary in one sentence. [unit of the result]

        result = formula in the names of the arguments

    argument: meaning [unit]

    Source: paper, equation number.
    Valid: where it holds (only if it has a limit).
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (.*)\[([^\]]+)\]\.?$")


@dataclass(frozen=True)
class Argument:
    """One argument of an equation: what it means and its unit."""

    meaning: str
    unit: str


@dataclass(frozen=True)
class Equation:
    """The parts of an equation's docstring."""

    name: str
    summary: str
    unit: str
    formulas: tuple[str, ...]
    arguments: dict[str, Argument]
    source: str
    valid: str


@functools.cache
def equation(function: Callable[..., Any]) -> Equation:
    """Read a function's docstring; a part that is missing comes out empty."""
    blocks = (inspect.getdoc(function) or "").split("\n\n")
    head = re.match(r"(.*?)\s*\[([^\]]*)\]$", " ".join(blocks[0].split()))
    summary, unit = head.groups() if head else (blocks[0], "")
    formulas = tuple(line.strip() for block in blocks for line in block.splitlines() if line.startswith("    "))
    return Equation(
        name=function.__name__,
        summary=summary,
        unit=unit,
        formulas=formulas,
        arguments=_arguments(blocks),
        source=_paragraph(blocks, "Source"),
        valid=_paragraph(blocks, "Valid"),
    )


def _arguments(blocks: list[str]) -> dict[str, Argument]:
    found: dict[str, Argument] = {}
    for block in blocks:
        entries = re.sub(r"\n\s+", " ", block).splitlines()
        for match in filter(None, map(_ARGUMENT.match, entries)):
            for name in match.group(1).split(", "):
                found[name] = Argument(match.group(2).strip(), match.group(3))
    return found


def _paragraph(blocks: list[str], title: str) -> str:
    for block in blocks:
        if match := re.search(rf"^{title}: (.*?)(?=^\w+: |\Z)", block, re.S | re.M):
            return " ".join(match.group(1).split())
    return ""
