"""Recompute the claims of the ledger: each one's steps on a worksheet, and the result held against what was said."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headway.equations._docstring import equation
from headway.errors import FEW, BadInput, HeadwayError, UnknownName, shown
from headway.provenance import Cell, Origin, Quantity, Worksheet
from headway.units import parse
from headway.validate import ledger, verdict
from headway.validate.facts import look_up
from headway.validate.ledger import Claim
from headway.validate.steps import Earlier, Fact, Step, Term, Written, public_equation, read_step

_LARGEST_COUNT = 1_000_000  # a whole number up to here is counted with, and may be an index
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Recomputed:
    """A claim, the worksheet on which it was recomputed, and what came out; `computed` is None where nothing did."""

    claim: Claim
    verdict: str
    sheet: Worksheet = field(repr=False)
    name: str = ""
    computed: float | None = None
    stated_number: float | None = None
    readings: Mapping[str, float] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why there is no number."""
        return "" if self.claim.built else f"not built yet: comes with {self.claim.part}"

    @property
    def formula(self) -> str:
        """The steps as formulas, each with its numbers put in; empty where there are none."""
        return formula(self.sheet, self.name) if self.name else ""


def recompute(claim: Claim | str) -> Recomputed:
    """A claim, or the one with an id, with its computed number and verdict.

    A mistake in its steps raises `BadInput` with claim and step.
    """
    claim = claim if isinstance(claim, Claim) else ledger.claim(claim)
    if not claim.built:
        return Recomputed(claim, verdict.NOT_BUILT, Worksheet())
    bench = _Bench()
    names = bench.work(claim)
    result = names[claim.result] if claim.result else list(names.values())[-1]
    computed = float(bench.sheet.need(result))
    if not math.isfinite(computed):
        raise BadInput(f"claim {claim.id} comes out as {computed}")
    readings = {title: float(bench.sheet.need(names[step])) for title, step in (claim.readings or {}).items()}
    judged, stated = _judge(claim, bench.sheet, names, result)
    return Recomputed(claim, judged, bench.sheet, result, computed, stated, readings)


def recompute_all(claims: Iterable[Claim] | None = None) -> list[Recomputed]:
    """Every claim of the ledger, or those given, in order."""
    return [recompute(claim) for claim in (ledger.claims().values() if claims is None else claims)]


def chosen(
    ids: Iterable[str] = (), areas: str | Iterable[str] = (), verdicts: str | Iterable[str] = ()
) -> list[Recomputed]:
    """The claims of some ids, of some areas, with some verdicts; without any of them all.

    An unknown one raises `UnknownName`, a claim asked for by id that is in none of the areas `BadInput`.
    """
    asked = {claim.id: claim for claim in map(ledger.claim, _several(ids))}
    within = [_known("area", area.lower(), {area: area for area in ledger.AREAS}) for area in _several(areas)]
    wanted = [_known("verdict", name, {_hyphened(known): known for known in verdict.VERDICTS})
              for name in _several(verdicts)]  # fmt: skip
    if outside := {claim.id: claim.area for claim in asked.values() if within and claim.area not in within}:
        told = ", ".join(f"{name} is in area {area}" for name, area in list(outside.items())[:FEW])
        raise BadInput(f"{told}, not in {' or '.join(within)}; leave out the area or the claim")
    found = recompute_all(c for c in (asked or ledger.claims()).values() if not within or c.area in within)
    return [r for r in found if not wanted or r.verdict in wanted]


def _several(names: str | Iterable[str]) -> list[str]:
    """One name, or several."""
    if isinstance(names, str):
        return [names]
    listed = list(names) if isinstance(names, Iterable) else [names]
    for name in listed:
        if not isinstance(name, str):
            raise BadInput(f"expected a name, or a list of names, found {shown(name)}")
    return listed


def _known(what: str, name: str, known: Mapping[str, str]) -> str:
    """A name as it is known; what a claim of the JSON waits for may follow a colon."""
    typed = _hyphened(name.partition(":")[0])
    if typed not in known:
        raise UnknownName(what, name, known)
    return known[typed]


def _hyphened(text: str) -> str:
    return "-".join(text.lower().replace("_", " ").replace("-", " ").split())


def _judge(claim: Claim, sheet: Worksheet, names: Mapping[str, str], result: str) -> tuple[str, float | None]:
    """The verdict, and the number that was stated, if one was."""
    compared = sheet[names[claim.compare] if claim.compare else result].quantity

    def stated(text: str) -> verdict.Figure:
        if text in names:
            return verdict.Figure(float(sheet.need(names[text])))
        return verdict.figure(text, compared.unit)

    value, number = float(compared.value), stated(claim.number) if claim.number else None
    said = None if number is None else number.value
    if claim.readings:
        return verdict.AMBIGUOUS, said
    if number is not None:
        return verdict.of_number(value, number, exact=claim.exact), said
    if not (claim.low or claim.high):
        return verdict.DERIVED, None
    low = stated(claim.low).value if claim.low else -math.inf
    high = stated(claim.high).value if claim.high else math.inf
    return verdict.of_range(value, low, high), None


class _Bench:
    """Puts the steps of a claim, and of those that it builds on, on one worksheet."""

    def __init__(self) -> None:
        self.sheet = Worksheet()
        self._done: dict[str, dict[str, str]] = {}
        self._open: list[str] = []

    def work(self, claim: Claim, prefix: str = "") -> dict[str, str]:
        """Do the steps of a claim; returns the name on the worksheet of each step's result."""
        if claim.id in self._open:
            raise BadInput(f"claims build on each other in a circle: {', '.join([*self._open, claim.id])}")
        if claim.id not in self._done:
            self._open.append(claim.id)
            steps = [read_step(line) for line in claim.steps]
            reserved = {f"{prefix}{step.name}" for step in steps}
            names: dict[str, str] = {}
            for step in steps:
                try:
                    names[step.name] = self._step(step, f"{prefix}{step.name}", names, reserved, claim)
                except (HeadwayError, TypeError, ValueError, KeyError) as error:
                    raise BadInput(f"claim {claim.id}, step {step.name}: {error}") from error
            self._done[claim.id] = names
            self._open.pop()
        return self._done[claim.id]

    def _step(self, step: Step, name: str, names: dict[str, str], reserved: set[str], claim: Claim) -> str:
        """Write one step down, and return the name under which its result stands."""
        if step.fact is not None:
            if step.fact.kind == "claim":
                return self._of_claim(step.fact)
            self.sheet.give(replace(look_up(step.fact), name=name))
            return name
        function = public_equation(step.equation)
        stated, parameters = equation(function), inspect.signature(function).parameters
        for argument in step.arguments:
            if argument not in parameters:
                raise UnknownName(f"argument of {step.equation}", argument, parameters)
        taken = {
            argument: self._term(term, argument, stated.arguments[argument].unit, names, reserved, claim)
            for argument, term in step.arguments.items()
        }
        arguments = " ".join(f"{argument}={cell}" for argument, cell in taken.items())
        self.sheet.compute(name, _counting(function), stated.unit, arguments)
        return name

    def _term(
        self, term: Term, argument: str, unit: str, names: Mapping[str, str], reserved: set[str], claim: Claim
    ) -> str:
        """The name on the worksheet of what a term stands for; what comes from outside is written down."""
        match term:
            case Earlier(step):
                if step not in names:
                    raise UnknownName("earlier step", step, names)
                return names[step]
            case Fact("claim"):
                return self._of_claim(term)
            case Fact():
                return self._give(look_up(term), reserved)
            case Written(value):
                origin = Origin("claim", claim.id)
                return self._give(Quantity(argument, parse(value, unit), unit, origin), reserved)

    def _of_claim(self, fact: Fact) -> str:
        """The result of another claim, or of one of its steps."""
        other = ledger.claim(str(fact.keys[0]))
        if not other.built:
            raise BadInput(f"claim {other.id} is not built yet")
        names = self.work(other, prefix=f"{other.id}_")
        if fact.field and fact.field not in names:
            raise UnknownName(f"step of claim {other.id}", fact.field, names)
        return names[fact.field or other.result] if fact.field or other.result else list(names.values())[-1]

    def _give(self, quantity: Quantity, reserved: set[str]) -> str:
        """Write a quantity from outside down once, under its own name or, where that is taken, the next free one."""
        if isinstance(quantity.value, float) and quantity.value.is_integer() and abs(quantity.value) < _LARGEST_COUNT:
            quantity = replace(quantity, value=int(quantity.value))
        number, name = 1, quantity.name
        while name in reserved or (name in self.sheet and not _same(self.sheet[name].quantity, quantity)):
            number += 1
            name = f"{quantity.name}_{number}"
        if name not in self.sheet:
            self.sheet.give(replace(quantity, name=name))
        return name


def _counting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same equation, which takes the count that an earlier step computed (19200.0) for the whole number it is."""
    whole = {name for name, p in inspect.signature(function).parameters.items() if p.annotation in (int, "int")}
    if not whole:
        return function

    @functools.wraps(function)
    def counting(**values: Any) -> Any:
        return function(**{name: int(v) if name in whole and v == int(v) else v for name, v in values.items()})

    return counting


def _same(one: Quantity, other: Quantity) -> bool:
    return (one.value, one.unit, one.origin) == (other.value, other.unit, other.origin)


def formula(sheet: Worksheet, name: str) -> str:
    """How a quantity came about: each equation in names and then in numbers, one step after another.

    A quantity that was only looked up has its source instead.
    """
    computed = [cell for cell in sheet.lineage(name) if cell.equation is not None]
    if not computed:
        return f"{name}, as read in {sheet[name].quantity.origin.where}"
    return "; ".join(_written_out(cell, sheet) for cell in computed)


def _written_out(cell: Cell, sheet: Worksheet) -> str:
    assert cell.equation is not None
    *steps, last = equation(cell.equation).formulas
    text = last.split(" = ", 1)[-1] + "".join(f", where {step}" for step in steps)
    defaults = _defaults(cell.equation)
    symbols = _substituted(text, cell.arguments)
    numbers = {argument: f"{sheet.value(source):.6g}" for argument, source in cell.arguments.items()}
    return f"{cell.quantity.name} = {symbols} = {_substituted(text, defaults | numbers)}"


def _defaults(function: Callable[..., Any]) -> dict[str, str]:
    """Arguments that may be left out, with the numbers that then stand for them."""
    parameters = inspect.signature(function).parameters.items()
    return {name: f"{p.default:g}" for name, p in parameters if isinstance(p.default, (int, float))}


def _substituted(text: str, names: Mapping[str, str]) -> str:
    return _WORD.sub(lambda word: names.get(word.group(), word.group()), text)
