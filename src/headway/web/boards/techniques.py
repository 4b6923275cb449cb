"""KV techniques laid beside a model as it is: which of them can be drawn, and what a token costs under each."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping

from headway.errors import UnknownName
from headway.figures.walls import LONGEST
from headway.model.model import Model
from headway.step.first_order import Pass, evaluate
from headway.step.question import Question
from headway.techniques.kinds import Technique
from headway.techniques.ranking import DECIDED
from headway.techniques.settings import settings
from headway.units import format_si
from headway.web.library import settled
from headway.web.state import Side, State


@functools.lru_cache(maxsize=32)
def changed(side: Side, short: str) -> tuple[Model | None, str]:
    """A column's model under a technique, or why there is nothing to draw of it."""
    technique = by_name()[short]
    model, _, rest = settled(side)
    if decided := [name for name in rest if name.endswith(DECIDED)]:
        return None, f"it would change {decided[0]}, which was set"
    why_not = technique.why_not(model, LONGEST)
    return (None, why_not) if why_not else (technique.changed(model), "")


def by_name() -> Mapping[str, Technique]:
    """The techniques by the short names that a state has."""
    return {technique.short: technique for technique in settings().techniques}


def beside(side: Side, state: State, along: Pass) -> tuple[list[tuple[str, Pass]], list[str]]:
    """The same contexts under each chosen technique, and why some are not drawn."""
    drawn, left_out = [], []
    for short in state.techniques:
        label = label_of(by_name()[short])
        model, why_not = changed(side, short)
        if model is not None:
            try:
                drawn.append((label, evaluate(model, along.system, along.question, along.changes)))
            except UnknownName as error:
                why_not = f"it would change {error.name}, which was set"
        if why_not:
            left_out.append(f"not drawn: {label}: {why_not}")
    return drawn, left_out


def label_of(technique: Technique) -> str:
    """What a technique is called on the page."""
    return technique.name.replace("-", " ")


def costs_beside(side: Side, state: State) -> Iterator[tuple[str, str]]:
    """What a token costs here under each technique that is drawn beside the model."""
    for short in state.techniques:
        model, _ = changed(side, short)
        _, system, rest = settled(side)
        question = Question(state.batch, state.context_tokens, 1, state.refine, beyond_memory=True)
        with contextlib.suppress(UnknownName):
            if model is not None:
                there = evaluate(model, system, question, rest)
                cost = format_si(float(there.sheet.need("cost_per_token_usd")), "USD/token")
                yield label_of(by_name()[short]), cost if bool(there.fits) else "does not fit"
