"""Which technique saves most: every one alone, all that go together, ranked by a measure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headway.errors import BadInput, UnknownName, neighbours, shown
from headway.hardware import System, load_system
from headway.model.config import load_model
from headway.model.model import Model
from headway.step.first_order import evaluate
from headway.step.question import Question, settle
from headway.techniques.between_turns import BetweenTurns, between_turns
from headway.techniques.kinds import ORDER, Offload, Rematerialisation, Technique
from headway.techniques.measure import Case, Figures, link_of, measure
from headway.techniques.settings import Settings, names, settings
from headway.units import parse

MEASURES = {
    "step": "step_s",
    "stored": "stored_bytes_per_sequence",
    "read": "read_bytes_per_token",
    "cost": "cost_per_mtok_usd",
    "largest-batch": "cost_per_mtok_usd_at_largest_batch",
}
DEFAULT_CONTEXT_TOKENS = 128_000
# Inputs that a technique decides; the user's change of one would undo what it describes.
DECIDED = ("kv_bytes_per_token", "pair_flop", "expansion_flop_per_token", "state_bytes", "state_flop")


@dataclass(frozen=True)
class Row:
    """One technique, or several together: what they do to the cache, or why they do not apply."""

    techniques: tuple[Technique, ...]
    figures: Figures | None
    why_not: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the techniques."""
        return tuple(technique.name for technique in self.techniques)


@dataclass(frozen=True)
class Ranking:
    """The answer: the model as it is, each technique alone, all sets that go together, and the time between turns."""

    model: Model
    case: Case
    by: str
    settings: Settings
    baseline: Figures
    alone: tuple[Row, ...]
    together: tuple[Row, ...]
    turns: BetweenTurns = field(repr=False)

    def saved(self, figures: Figures, name: str) -> float | None:
        """Share of a figure that is saved against the model as it is; None where either is not known."""
        before, after = self.baseline.value(name), figures.value(name)
        if before is None or after is None:
            return None
        return 1 - after / before if before else 0.0

    def over_product(self, row: Row, name: str) -> float | None:
        """What a set leaves, over the product of what its techniques leave alone: 1 where they do not interact."""
        product = 1.0
        parts = {one.names: one for one in self.alone}
        for technique in row.techniques:
            figures = parts[technique.name,].figures
            left = None if figures is None else self.saved(figures, name)
            if left is None:
                return None
            product *= 1 - left
        whole = self.saved(row.figures, name) if row.figures else None
        return None if whole is None or not product else (1 - whole) / product


def ranking(
    model: Model | str, system: System | str, *, batch: float | str = Question.batch,
    context_tokens: float | str = DEFAULT_CONTEXT_TOKENS, by: str = "step",
    changes: Mapping[str, object] | None = None,
) -> Ranking:  # fmt: skip
    """Rank the techniques for a model on a system, at so many sequences of so many tokens.

    Model and system may be given by name, numbers as people write them ("128k"). `changes` replace figures of the
    techniques (`topk_tokens`), of the pass, the chip or the config by name. Raises `BadInput` for what cannot be
    understood and `Infeasible` where not even the weights fit.
    """
    if not isinstance(by, str) or by not in MEASURES:
        raise UnknownName("measure", str(by), MEASURES)
    model, system = _named(model, system)
    batch, context_tokens = _count("batch", batch), _count("context_tokens", context_tokens)
    asked = _table(changes)
    figures = settings({name: value for name, value in asked.items() if name in names()})
    rest = {name: value for name, value in asked.items() if name not in names()}
    if decided := [name for name in rest if name.endswith(DECIDED)]:
        raise BadInput(f"{decided[0]} is what the techniques change; it cannot be set here")
    model, system, inside = _settled(model, system, rest)
    evaluate(model, system, Question(1, 0), inside)  # refuses weights that do not fit
    case = Case(system, batch, context_tokens, inside, link_of(system, figures.figures["host_link_bytes_per_s"]))
    baseline = measure(case, model)
    alone = [by_itself(case, model, technique) for technique in figures.techniques]
    usable = [row.techniques[0] for row in alone if row.figures is not None]
    together = [Row(chosen, _figures(case, model, chosen)) for chosen in _sets(model, context_tokens, usable)]
    turns = between_turns(model, case, figures)
    return Ranking(model, case, by, figures, baseline, _ranked(alone, by), _ranked(together, by), turns)


def _settled(model: Model, system: System, changes: dict[str, object]) -> tuple[Model, System, dict[str, object]]:
    """The changes that come before the pass; a name that nothing has may be a technique's, with a slip."""
    try:
        return settle(model, system, changes)
    except UnknownName as error:
        if error.name in changes and neighbours(error.name, names()):
            raise UnknownName("quantity to set", error.name, names()) from None
        raise


def _named(model: object, system: object) -> tuple[Model, System]:
    """The model and the system, looked up where they are given by name."""
    found = load_model(model) if isinstance(model, str) else model
    machine = load_system(system) if isinstance(system, str) else system
    if not isinstance(found, Model):
        raise BadInput(f"a ranking takes a model or its name, such as llama-3.1-8b, found {shown(model)}")
    if not isinstance(machine, System):
        raise BadInput(f"a ranking takes a system or its name, such as h100-sxm:8, found {shown(system)}")
    return found, machine


def _count(name: str, value: object) -> float:
    """One number of 1 or more, as it is or as people write it."""
    try:
        count = parse(value, "tokens")
    except BadInput:
        count = math.nan
    if not count >= 1:
        raise BadInput(f"{name} must be one number of 1 or more, found {shown(value)}")
    return count


def _table(changes: object) -> dict[str, object]:
    """The changes by name."""
    if changes is None:
        return {}
    if not isinstance(changes, Mapping) or not all(isinstance(name, str) for name in changes):
        raise BadInput(
            f"changes is a table of names and values, such as {{'topk_tokens': 512}}, found {shown(changes)}"
        )
    return dict(changes)


def by_itself(case: Case, model: Model, technique: Technique) -> Row:
    """One technique by itself, or why it does not apply."""
    why = technique.why_not(model, case.context_tokens)
    return Row((technique,), None, why) if why else Row((technique,), _figures(case, model, (technique,)))


def _figures(case: Case, model: Model, chosen: Sequence[Technique]) -> Figures:
    """The figures of a model under techniques, one after the other."""
    moved = again = None
    for technique in chosen:
        if isinstance(technique, Offload):
            moved = technique.moved(model)
        if isinstance(technique, Rematerialisation):
            again = model
        model = technique.changed(model)
    return measure(case, model, moved=moved, again=again)


def _sets(model: Model, tokens: float, usable: Sequence[Technique]) -> Iterator[tuple[Technique, ...]]:
    """Every set of two or more that go together: of a family one, each of use to what those before it leave."""
    families = [[t for t in usable if t.family == family] for family in ORDER]
    for picked in itertools.product(*([None, *family] for family in families)):
        chosen = tuple(technique for technique in picked if technique is not None)
        if len(chosen) > 1 and _go_together(model, tokens, chosen):
            yield chosen


def _go_together(model: Model, tokens: float, chosen: Sequence[Technique]) -> bool:
    families = {technique.family for technique in chosen}
    for technique in chosen:
        if families & set(technique.without):
            return False
        if technique.why_not(model, tokens):
            return False
        model = technique.changed(model)
    return True


def _ranked(rows: Sequence[Row], by: str) -> tuple[Row, ...]:
    """Best first; what does not fit behind what does, where the measure asks for that, and what does not apply last."""
    return tuple(sorted(rows, key=lambda row: _rank(row, by)))


def _rank(row: Row, by: str) -> tuple[float, ...]:
    if row.figures is None:
        return (math.inf,)
    value, time = row.figures.value(MEASURES[by]), row.figures.arithmetic_s
    known = time if value is None else value  # a cost that nobody gave ranks as the step does
    # Of sets that tie to nine digits the smaller comes first.
    return (float(value is None), float(f"{known:.8e}"), float(len(row.techniques)), time)
