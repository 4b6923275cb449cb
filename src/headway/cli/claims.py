"""`headway claims`: what others said, recomputed: stated, computed, verdict, formula and why."""

from __future__ import annotations

import argparse
import itertools
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import Parser

STATED_WIDTH = 20  # columns; what is longer goes on below
# Units of the ledger that a person reads with a prefix, as `format_si` calls them; the others stand as they are.
_HUMAN = {"s": "s", "bytes": "B", "B/s": "B/s", "USD": "USD", "FLOP": "FLOP"}
_COUNTED = ("params", "tokens")  # with a prefix from a million on
_MILLION = 1e6
EPILOG = """\
  headway claims                        every claim: stated, computed, verdict
  headway claims --area kv              those of one area; --area kv,moe of two
  headway claims --verdict fails        those that do not follow from what was said
  headway claims B25 E12                some of them, with formula, numbers and reason
  headway claims B25 --explain          the derivation, with the source of every number

Areas: scaling, moe, train, ep, kv, spec, crypto, uncert, queue, batch, rack, price. Verdicts: reproduces,
approximate, ambiguous, derived, fails, not-built-yet.
"""


def parser() -> Parser:
    """The options of `headway claims`."""
    options = Parser(
        "claims", "Claims of a lecture and of the literature, recomputed by headway's own functions.", EPILOG
    )
    options.add_argument("ids", nargs="*", metavar="ID", help="a claim, such as B25 (default: all)")
    options.add_argument("--area", action="append", default=[], metavar="NAME",
                         help="only the claims of an area, or of several: kv,moe")  # fmt: skip
    options.add_argument("--verdict", action="append", default=[], metavar="NAME",
                         help="only the claims with a verdict, or with one of several")  # fmt: skip
    options.add_output_options()
    return options


def main(arguments: Sequence[str]) -> int:
    """List the claims, or show some of them."""
    from headway.cli.output import folded, print_json, wrapped  # noqa: PLC0415
    from headway.validate.claims import chosen  # noqa: PLC0415

    args = parser().read(arguments)
    areas, verdicts = _listed(args.area), _listed(args.verdict)
    found = chosen(args.ids, areas, verdicts)
    counts = _counts(found)
    if args.json:
        print_json({"claims": [_as_json(r, args) for r in found], "counts": counts})
        return 0
    print(wrapped(summary(counts) if found else _none(args.ids, areas, verdicts)))
    if args.ids:
        print("".join(f"\n{_in_full(r)}\n" for r in found), end="")
    elif found:
        print(f"\n{_as_table(found)}")
    if args.explain:
        for r in found:
            print("\n".join(["", r.claim.id, *map(folded, _explanation(r))]))
    return 0


def _listed(words: Sequence[str]) -> list[str]:
    """The names of an option that may be repeated, and may list several.

    >>> _listed(["kv, moe", "rack"])
    ['kv', 'moe', 'rack']
    """
    return [name.strip() for word in words for name in word.split(",")]


def _none(ids: Sequence[str], areas: Sequence[str], verdicts: Sequence[str]) -> str:
    """What was asked for, where no claim is like that.

    >>> _none(["B25"], [], ["reproduces", "derived"])
    '0 claims: none of B25 has the verdict reproduces or derived.'
    """
    among = ", ".join(ids) or f"area {' or '.join(areas)}"
    return f"0 claims: none of {among} has the verdict {' or '.join(verdicts)}."


def summary(counts: dict[str, int]) -> str:
    """The answer in one sentence.

    >>> summary({"claims": 3, "recomputed": 2, "reproduces": 1, "fails": 1, "not built yet": 1})
    '3 claims, 2 of them recomputed: 1 reproduces, 1 fails; 1 is not built yet.'
    """
    words = {"reproduces": "reproduce", "approximate": "are approximate", "ambiguous": "are ambiguous",
             "derived": "are derived (nobody stated a number)", "fails": "fail"}  # fmt: skip
    single = {"reproduces": "reproduces", "approximate": "is approximate", "ambiguous": "is ambiguous",
              "derived": "is derived (nobody stated a number)", "fails": "fails"}  # fmt: skip
    told = ", ".join(f"{n} {(single if n == 1 else words)[v]}" for v in words if (n := counts.get(v, 0)))
    waiting = counts.get("not built yet", 0)
    parts = [f"{counts['claims']} {'claim' if counts['claims'] == 1 else 'claims'}, {counts['recomputed']} of them "
             f"recomputed{f': {told}' if told else ''}"]  # fmt: skip
    if waiting:
        parts.append(f"{waiting} {'is' if waiting == 1 else 'are'} not built yet")
    return f"{'; '.join(parts)}."


def _counts(found: Sequence[Any]) -> dict[str, int]:
    from headway.validate.verdict import VERDICTS  # noqa: PLC0415

    verdicts = Counter(r.verdict for r in found)
    recomputed = sum(r.computed is not None for r in found)
    return {"claims": len(found), "recomputed": recomputed} | {name: verdicts[name] for name in VERDICTS}


def _as_json(recomputed: Any, args: argparse.Namespace) -> dict[str, Any]:
    claim = recomputed.claim
    out: dict[str, Any] = {"id": claim.id, "area": claim.area, "statement": claim.statement}
    out |= _or_reason("stated", claim.stated or None, "nobody stated it; derived here")
    no_number = "a range or a bound was stated" if claim.low or claim.high else "no number was stated"
    out |= _or_reason("stated_number", recomputed.stated_number, no_number if claim.built else recomputed.reason)
    out |= _or_reason("computed", recomputed.computed, recomputed.reason)
    out |= {"unit": claim.unit, "verdict": _verdict(recomputed), "why": claim.why or recomputed.reason}
    out |= _or_reason("formula", recomputed.formula or None, recomputed.reason)
    out["source"] = claim.source
    if not claim.built:
        out["part"] = claim.part
    if recomputed.readings:
        out["readings"] = dict(recomputed.readings)
    if claim.differs:
        out["differs"] = claim.differs
    return out | ({"explanation": _explanation(recomputed)} if args.explain else {})


def _or_reason(key: str, value: Any, reason: str) -> dict[str, Any]:
    return {key: value} if value is not None else {key: None, f"{key}_reason": reason}


def _verdict(recomputed: Any) -> str:
    """The verdict; of a claim that waits, with what it waits for."""
    return str(recomputed.verdict if recomputed.claim.built else recomputed.reason)


def _explanation(recomputed: Any) -> list[str]:
    from headway.explanation import explain  # noqa: PLC0415

    if recomputed.computed is None:
        return [recomputed.reason]
    return list(explain(recomputed).splitlines())


def number(value: float | None) -> str:
    """A computed number to five digits; a whole one below ten million to the last.

    >>> number(5440.54), number(84210.6), number(128000.0), number(6.539e11), number(None)
    ('5,440.5', '84,211', '128,000', '6.539e11', '-')
    """
    if value is None:
        return "-"
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{value:,.0f}"
    if 1e3 <= abs(value) < 1e5:
        return f"{value:,.{1 if abs(value) < 1e4 else 0}f}"
    return f"{value:.5g}".replace("e+0", "e").replace("e+", "e")


def quantity(value: float | None, unit: str, digits: int = 3) -> str:
    """A computed number as a person reads it: time, bytes, money and counts with a prefix, the rest to five digits.

    >>> quantity(0.023881, "s"), quantity(6.4e11, "bytes"), quantity(84210.5, "s"), quantity(5440.54, "tokens")
    ('23.9 ms', '640 GB', '23.4 h', '5,440.5 tokens')
    >>> quantity(6.539e11, "params"), quantity(1666.7, "B/token"), quantity(0.5, "-"), quantity(None, "s")
    ('654B params', '1,666.7 B/token', '0.5', '-')
    """
    from headway.units import format_si  # noqa: PLC0415

    if value is None:
        return "-"
    if unit in _HUMAN or (unit in _COUNTED and abs(value) >= _MILLION):
        return format_si(value, _HUMAN.get(unit, unit), digits)
    return f"{number(value)} {unit}".removesuffix(" -")


def computed(recomputed: Any) -> str:
    """What a claim comes to, as `quantity` has it; against an exact number with as many digits as that has."""
    claim = recomputed.claim
    mantissa = claim.number.lower().partition("e")[0] if claim.exact else ""
    digits = sum(map(str.isdigit, mantissa.lstrip("0.,")))
    return quantity(recomputed.computed, claim.unit, max(3, digits))


def _as_table(found: Sequence[Any]) -> str:
    """A claim to a row; long words of a claim go on below, in their column."""
    from headway.cli.output import WIDTH, table  # noqa: PLC0415

    header = ["id", "verdict", "claim", "stated", "computed"]
    told = [[r.claim.id, r.verdict, r.claim.statement, _lines(r.claim.stated or "-", STATED_WIDTH), computed(r)]
            for r in found]  # fmt: skip
    others = [max(len(header[i]), *(len(row[i]) for row in told)) for i in (0, 1, 4)]
    others.append(max(len(header[3]), *(len(line) for row in told for line in row[3])))
    room = WIDTH - sum(width + len("  ") for width in others)
    rows = []
    for name, judged, statement, stated, comes_to in told:
        lines = itertools.zip_longest([name], [judged], _lines(statement, room), stated, [comes_to], fillvalue="")
        rows += [list(line) for line in lines]
    return table(header, rows, left=4)


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _in_full(recomputed: Any) -> str:
    from headway.cli.output import wrapped  # noqa: PLC0415

    claim = recomputed.claim
    said = f"stated {claim.stated}" if claim.stated else "nobody stated a number"
    if claim.built:
        human, plain = computed(recomputed), number(recomputed.computed)
        said += f"; computed {human}" + ("" if plain in human else f" ({plain} {claim.unit})")
    told = [claim.statement, said]
    told += [f"- {title}: {quantity(value, claim.unit)}" for title, value in recomputed.readings.items()]
    told += recomputed.formula.split("; ") if recomputed.formula else []
    told += [f"why: {claim.why}"] * bool(claim.why) + [f"source: {claim.source}"]
    return "\n".join([f"{claim.id} ({claim.area}): {_verdict(recomputed)}", *(wrapped(line, "  ") for line in told)])
