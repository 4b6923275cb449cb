"""Predicted against measured: how far off, for whom, and where a row is faster than any pass should be.

The error of a row is predicted / measured - 1. Rows of one `group_id` are one configuration, so a group counts once:
by the mean of its rows' absolute errors, and of their signed ones. A score is the median of the groups, the error that
nine in ten of them do not exceed, and as bias the median signed error.

The error of a time is never below -100 %, that of a rate has no end, so the two cancel in the bias and weigh
differently in the median. On one footing they stand as a factor: by how much a pass is too fast, measured / predicted
of a time and predicted / measured of a rate, averaged over the rows of a group by its logarithm.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.errors import UnknownName
from headway.step.question import REFINEMENTS
from headway.validate.measured import Row
from headway.validate.predictions import Prediction, Steps, predict
from headway.validate.tables import first

BY = {"source": "source_key", "chip": "hw_key", "framework": "framework", "model": "model", "regime": "regime",
      "metric": "metric"}  # fmt: skip
HARD_TIERS = ("A", "B")
WHY_NO_INTERVAL = "no error has been measured yet"
NOTHING = "no row is predicted"
NO_FACTOR = "no predicted row is a time or a rate"
NOT_EXPLAINED = "not explained"
NOT_STATED = "not stated"
# What two configurations share that are compared with each other.
_SHARED = ("source_key", "model", "metric", "unit", "per", "batch", "batch_kind", "input_len", "output_len")
_OF_DECODE = {"decode time": 1, "64 steps": 1, "decode rate": -1, "weight bandwidth": -1}  # longer or less is slower
_OF_OTHERS = {"prefill time": 1, "request time": 1, "prefill rate": -1, "output rate": -1, "mfu": -1}


@dataclass(frozen=True)
class Score:
    """How far off a set of rows is, in per cent, and by how much too fast, as a factor.

    None where no row of it is predicted, and no factor where none of these is a time or a rate.
    """

    rows: int
    predicted: int
    groups: int
    median_abs_pct_error: float | None
    p90_abs_pct_error: float | None
    bias_pct: float | None
    median_times_too_fast: float | None = None
    p90_times_too_fast: float | None = None


@dataclass(frozen=True)
class Bin:
    """The score of the rows that count, of those with the ones in quarantine, and of all tiers."""

    counted: Score
    with_quarantine: Score
    all_tiers: Score


@dataclass(frozen=True)
class Beaten:
    """A row that was measured faster than predicted, by so many per cent, and why that can be."""

    prediction: Prediction
    faster_pct: float
    why: str


@dataclass(frozen=True)
class Report:
    """Everything that is said of some measured rows."""

    predictions: tuple[Prediction, ...]
    refine: tuple[str, ...]
    tiers: tuple[str, ...]

    def counts(self, prediction: Prediction) -> bool:
        """Whether a row stands in the headline: of its tiers, and not in quarantine."""
        return prediction.row.text("tier") in self.tiers and not prediction.row.text("quarantine")

    @property
    def whole(self) -> Bin:
        """The score of all rows."""
        return self._bin(self.predictions)

    @property
    def first_tokens_under_load(self) -> Score:
        """The score of times to the first token that count, of servers with more than one user."""
        return score(self.predictions, lambda p: self.counts(p) and _waits(p))

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows are not predicted, by reason, the commonest first."""
        found = Counter(p.reason for p in self.predictions if p.predicted is None)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def answered(self) -> tuple[int, int]:
        """Rows of tiers A and B that are predicted, and how many there are."""
        hard = [p for p in self.predictions if p.row.text("tier") in HARD_TIERS]
        return sum(p.predicted is not None for p in hard), len(hard)

    def by(self, what: str) -> Mapping[str, Bin]:
        """The scores of the rows that share a source, a chip, …, those with most rows first."""
        if what not in BY:
            raise UnknownName("way to sort the rows", what, BY)
        bins: dict[str, list[Prediction]] = {}
        for prediction in self.predictions:
            bins.setdefault(prediction.row.text(BY[what]) or NOT_STATED, []).append(prediction)
        ordered = sorted(bins.items(), key=lambda item: (-len(item[1]), item[0]))
        return {name: self._bin(members) for name, members in ordered}

    def worst(self, most: int) -> list[Prediction]:
        """The rows of the headline that are furthest off, by the larger of the two over the smaller."""
        found = [p for p in self.predictions if p.predicted is not None and self.counts(p)]
        return sorted(found, key=lambda p: (-_times_off(p), p.row.text("id")))[:most]

    @property
    def beaten(self) -> list[Beaten]:
        """Decode rows that are faster than the computed pass, the furthest first; of every tier."""
        return self._faster(_OF_DECODE)

    @property
    def ahead(self) -> list[Beaten]:
        """Other rows that are faster than predicted: no bound is broken, for their batch or their length is a guess."""
        return self._faster(_OF_OTHERS)

    def _faster(self, of: Mapping[str, int]) -> list[Beaten]:
        found = []
        for prediction in self.predictions:
            if prediction.predicted is None or prediction.case is None or prediction.case.asked not in of:
                continue
            faster = (prediction.predicted / prediction.row.value) ** of[prediction.case.asked] - 1
            if faster > 0:
                why = first("explained", "why", prediction.case.row)
                found.append(Beaten(prediction, 100 * faster, why["text"] if why else NOT_EXPLAINED))
        return sorted(found, key=lambda b: (-b.faster_pct, b.prediction.row.text("id")))

    def ranked(self, least_ratio: float = 1.0, *, same_chips: bool = False) -> tuple[int, int]:
        """Of pairs of configurations that differ in machine, layout, formats or engine alone: in the right order, all.

        A pair shares source, model, metric, load and lengths, and was measured apart by `least_ratio` at least;
        where `same_chips` is set, it also has as many chips.
        """
        alike: dict[tuple[Any, ...], dict[str, list[tuple[float, float]]]] = {}
        for p in self.predictions:
            if p.predicted is not None and self.counts(p):
                chips = p.case.chips if same_chips and p.case else 0
                groups = alike.setdefault((*map(p.row.text, _SHARED), chips), {})
                groups.setdefault(p.row.text("group_id"), []).append((math.log(p.row.value), math.log(p.predicted)))
        right = pairs = 0
        for groups in alike.values():
            means = np.array([np.mean(logs, axis=0) for logs in groups.values()])
            one, other = np.triu_indices(len(means), 1)
            apart = means[one] - means[other]
            chosen = apart[(np.abs(apart[:, 0]) >= math.log(least_ratio)) & (apart[:, 0] != 0)]
            right += int(np.sum(chosen[:, 0] * chosen[:, 1] > 0))
            pairs += len(chosen)
        return right, pairs

    @property
    def filled(self) -> Mapping[str, int]:
        """The defaults that stood in for blank cells, and for how many predicted rows."""
        found = Counter(name for p in self.predictions if p.predicted is not None and p.case for name in p.case.filled)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def _bin(self, members: Sequence[Prediction]) -> Bin:
        return Bin(
            score(members, self.counts),
            score(members, lambda p: p.row.text("tier") in self.tiers),
            score(members, lambda p: not p.row.text("quarantine")),
        )


def _waits(prediction: Prediction) -> bool:
    case = prediction.case
    return case is not None and case.asked == "prefill time" and case.load != "static"


def times_too_fast(prediction: Prediction) -> float | None:
    """By how much a predicted pass is too fast, as a factor; None for what is neither a time nor a rate."""
    slower = {**_OF_DECODE, **_OF_OTHERS}.get(prediction.case.asked) if prediction.case else None
    if prediction.predicted is None or slower is None:
        return None
    return float((prediction.predicted / prediction.row.value) ** -slower)


def _times_off(prediction: Prediction) -> float:
    assert prediction.predicted is not None
    ratio = prediction.predicted / prediction.row.value
    return max(ratio, 1 / ratio)


def score(members: Iterable[Prediction], counts: Callable[[Prediction], bool] = lambda _: True) -> Score:
    """The score of the predictions that count, each group once."""
    chosen = [prediction for prediction in members if counts(prediction)]
    groups: dict[str, list[float]] = {}
    for prediction in chosen:
        if prediction.error is not None:
            groups.setdefault(prediction.row.text("group_id"), []).append(prediction.error)
    predicted = sum(map(len, groups.values()))
    if not groups:
        return Score(len(chosen), 0, 0, None, None, None)
    absolute = [100 * float(np.mean(np.abs(errors))) for errors in groups.values()]
    signed = [100 * float(np.mean(errors)) for errors in groups.values()]
    return Score(len(chosen), predicted, len(groups), float(np.median(absolute)), float(np.percentile(absolute, 90)),
                 float(np.median(signed)), *_factors(chosen))  # fmt: skip


def _factors(chosen: Iterable[Prediction]) -> tuple[float, float] | tuple[None, None]:
    """By how much the groups are too fast: the median, and what nine in ten do not exceed."""
    groups: dict[str, list[float]] = {}
    for prediction in chosen:
        factor = times_too_fast(prediction)
        if factor is not None:
            groups.setdefault(prediction.row.text("group_id"), []).append(math.log(factor))
    means = [float(np.mean(logs)) for logs in groups.values()]
    return (math.exp(np.median(means)), math.exp(np.percentile(means, 90))) if means else (None, None)


def validate(
    rows: Iterable[Row], *, refine: Sequence[str] = REFINEMENTS, tiers: Sequence[str] = HARD_TIERS,
    steps: Steps | None = None,
) -> Report:  # fmt: skip
    """Predict measured rows and score the predictions; `tiers` are those that count in the headline."""
    return Report(predict(rows, refine=refine, steps=steps), tuple(refine), tuple(tiers))
