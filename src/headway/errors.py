"""Refusals and mistakes: what was asked, what was found, and the nearest thing that works.

Two kinds matter to a caller, and to the exit status of the command:

* `BadInput` (exit 2): the question cannot be understood. Ask again, differently.
* `Infeasible` (exit 3): the question is clear and the answer is "cannot be done".
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HeadwayError(Exception):
    """Anything headway refuses, in one line that a person can act on."""

    exit_status = 2


class BadInput(HeadwayError):
    """The question cannot be understood: a wrong name, field, unit or number."""


class UnknownName(BadInput):
    """A name that nothing answers to; the message suggests its neighbours."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.name, self.suggestions = name, neighbours(name, known)
        hint = f"; did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        super().__init__(f"unknown {what} {shown(name)}{hint}")


class MissingFact(BadInput):
    """The answer needs a figure that no source gave; the message names the figure and how to supply it."""


class Infeasible(HeadwayError):
    """The question is clear and the answer is that it cannot be done."""

    exit_status = 3


def neighbours(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The names a person may have meant, likeliest first.

    >>> neighbours("gb200-nvl27", ["gb200-nvl72", "dgx-h100"]), neighbours("gh200", ["gb200", "gh200-96gb"])
    (['gb200-nvl72'], ['gh200-96gb', 'gb200'])
    """
    wanted, names = name.lower(), sorted(set(known))
    variants = [n for n in names if wanted and n.startswith((f"{wanted}-", f"{wanted}_"))]
    close = difflib.get_close_matches(wanted, names, n=most, cutoff=0.6)
    within = [n for n in names if len(wanted) > 1 and (wanted in n or n in wanted)]
    return list(dict.fromkeys(variants + close + within))[:most]


def shown(text: object, most: int = 60) -> str:
    """User text, quoted on one line and cut to a readable length.

    >>> shown("two\\nlines")
    "'two\\\\nlines'"
    """
    try:
        quoted = ascii(text if isinstance(text, str) else str(text))
    except ValueError:  # Python does not write out a whole number of thousands of digits
        quoted = "a number of thousands of digits"
    return quoted if len(quoted) <= most else f"{quoted[: most - 4]}...{quoted[0]}"
