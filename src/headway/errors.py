"""Refusals and mistakes: what was asked, what was found, and the nearest thing that works.

Two kinds matter to a caller, and to the exit status of the command:

* `BadInput` (exit 2): the question cannot be understood. Ask again, differently.
* `Infeasible` (exit 3): the question is clear and the answer is "cannot be done".
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

FEW = 12  # names that a message lists in full
_SLIP = 0.85  # likeness from which a name is what was typed with a slip of the fingers


class HeadwayError(Exception):
    """Anything headway refuses, in one line that a person can act on."""

    exit_status = 2


class BadInput(HeadwayError):
    """The question cannot be understood: a wrong name, field, unit or number."""


class UnknownName(BadInput):
    """A name that nothing answers to; the message suggests its neighbours, or lists the names where they are few.

    A `hint` takes the place of the suggestions where the caller knows better what the name is; `where` says where the
    names are listed, for want of neighbours.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "", where: str = "") -> None:
        names = list(dict.fromkeys(known if isinstance(known, (list, tuple, Mapping)) else sorted(known)))
        self.name, self.suggestions = name, [] if hint else neighbours(name, names)
        if self.suggestions:
            hint = f"did you mean {' or '.join(self.suggestions)}?"
        elif not hint and 0 < len(names) <= FEW:
            hint = f"known are {', '.join(names)}"
        elif not hint:
            hint = where
        super().__init__(f"unknown {what} {shown(name)}{f'; {hint}' if hint else ''}")


class MissingFact(BadInput):
    """The answer needs a figure that no source gave; the message names the figure and how to supply it."""


class Infeasible(HeadwayError):
    """The question is clear and the answer is that it cannot be done."""

    exit_status = 3


def neighbours(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The names a person may have meant, likeliest first.

    >>> neighbours("gb200-nvl27", ["gb200-nvl72", "dgx-h100"]), neighbours("gh200", ["gb200", "gh200-96gb"])
    (['gb200-nvl72'], ['gh200-96gb', 'gb200'])
    >>> neighbours("meta-llama/Llama-3.1-8B-Instruct", ["llama-3.1-405b", "llama-3.1-8b"])
    ['llama-3.1-8b', 'llama-3.1-405b']
    """
    lowered = name.lower()
    wanted, names = lowered.rpartition("/")[2] or lowered, sorted(set(known))  # of an org/name id, the name
    variants = [n for n in names if wanted and n.startswith((f"{wanted}-", f"{wanted}_"))]
    shorter = sorted((n for n in names if wanted.startswith((f"{n}-", f"{n}_"))), key=len, reverse=True)
    kin = [n for n in names if n.startswith(tuple(f"{s}-" for s in shorter))]  # h100-sxm for h100-smx, before h100
    slips = difflib.get_close_matches(wanted, kin, n=most, cutoff=_SLIP)
    longer = [n for n in names if len(wanted) > 1 and n.startswith(wanted)]
    close = difflib.get_close_matches(wanted, names, n=most, cutoff=0.6)
    within = [n for n in names if len(wanted) > 1 and (wanted in n or n in wanted)]
    return list(dict.fromkeys(variants + slips + shorter + longer + close + within))[:most]


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
