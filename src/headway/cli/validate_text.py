"""What `headway validate` prints: the headline, tables of scores, and rows that are left out, too fast, or far off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.validate.predictions import Prediction
    from headway.validate.score import Beaten, Bin, Report, Score

SHOWN_BEATEN = 10
SHOWN_SKIPPED = 8  # rows of a user's own that are not predicted, each with its reason; all with --explain
SAME = 1.05  # factors up to this are none to speak of


def counted(report: Report) -> str:
    """Which rows the headline counts."""
    tiers = " and ".join(report.tiers) if len(report.tiers) < 3 else "A, B and C"
    return f"{'tiers' if len(report.tiers) > 1 else 'tier'} {tiers}, without rows in quarantine"


def per_cent(value: float | None) -> str:
    """A share in per cent with as many digits as a person reads.

    >>> per_cent(61.234), per_cent(-7.125), per_cent(1234.5), per_cent(None)
    ('61 %', '-7.1 %', '1,234 %', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f} %" if abs(value) >= 10 else f"{value:.1f} %"


def headline(report: Report) -> str:
    """The answer in a sentence or two."""
    found = report.whole.counted
    number = sum(p.predicted is not None for p in report.predictions)
    told = f"{number:,} of {len(report.predictions):,} rows are predicted"
    if found.median_abs_pct_error is None:
        return f"{told}. None of them is of {counted(report)}."
    return (
        f"{told}{_too_fast(report)}. The median error is {per_cent(found.median_abs_pct_error)}, nine in ten are "
        f"within {per_cent(found.p90_abs_pct_error)}, the bias is {per_cent(found.bias_pct)} "
        f"({found.groups:,} configuration{'s' if found.groups > 1 else ''} of {counted(report)})."
    )


def _too_fast(report: Report) -> str:
    """By how much the passes of the headline are too fast, and first tokens under load; empty where none is a time."""
    found, waiting = report.whole.counted, report.first_tokens_under_load
    middle, most, first = found.median_times_too_fast, found.p90_times_too_fast, waiting.median_times_too_fast
    if middle is None or most is None:
        return ""

    def short(value: float) -> str:
        return _factor(value).removesuffix(" too fast" if middle >= SAME else "")

    parts = [f"{short(most)} at the 90th percentile"] if found.groups > 1 else []
    if first is not None and waiting.groups < found.groups:
        parts.append(f"first tokens under load {short(first)}")
    told = f" ({'; '.join(parts)})" if parts else ""
    return f"; predicted passes are {_factor(middle)} in the median{told}"


def _factor(value: float) -> str:
    """A factor by which a pass is too fast, or too slow.

    >>> _factor(2.93), _factor(17.2), _factor(0.5), _factor(1.01)
    ('2.9 times too fast', '17 times too fast', '2.0 times too slow', 'as fast as measured')
    """
    if 1 / SAME < value < SAME:
        return "as fast as measured"
    return f"{times(max(value, 1 / value))} times too {'fast' if value > 1 else 'slow'}"


def times(value: float | None) -> str:
    """A factor with as many digits as a person reads.

    >>> times(2.93), times(17.2), times(None)
    ('2.9', '17', '-')
    """
    return (
        "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    )


def as_text(
    report: Report, by: Sequence[str], *, worst: int = 0, explain: bool = False, own: bool = False
) -> str:  # fmt: skip
    """The headline, then the tables; of a user's own rows also which are not predicted, and why."""
    from headway.cli.output import wrapped  # noqa: PLC0415
    from headway.validate.score import NOT_STATED  # noqa: PLC0415

    blocks = [wrapped(headline(report)), wrapped(rules(report)), overall(report)]
    bins = {what: report.by(what) for what in by}
    blocks += [scores(what, found) for what, found in bins.items() if list(found) != [NOT_STATED] or not own]
    if report.skipped:
        blocks.append(skipped(report.skipped))
        if own:
            blocks.append(left_out(report, None if explain else SHOWN_SKIPPED))
    if report.beaten:
        blocks.append(faster(report.beaten))
    if worst and report.worst(worst):
        blocks.append(furthest(report.worst(worst)))
    if explain:
        blocks.append(_explained(report, worst))
    return "\n\n".join(blocks)


def rules(report: Report) -> str:
    """What the error is, and what the passes count."""
    counted_too = f" with {', '.join(report.refine)}" if report.refine else ", the blackboard alone"
    return (f"Error: predicted / measured - 1, each configuration once. Passes at data-sheet rates{counted_too}; no "
            "interval, for no error of the step model has been measured yet.")  # fmt: skip


_HEADER = ("predicted", "groups", "median", "90 % within", "bias", "times too fast")


def _cells(score: Score) -> list[str]:
    errors = (score.median_abs_pct_error, score.p90_abs_pct_error, score.bias_pct)
    return [f"{score.predicted:,} of {score.rows:,}", f"{score.groups:,}", *map(per_cent, errors),
            times(score.median_times_too_fast)]  # fmt: skip


def overall(report: Report) -> str:
    """The score of what counts, with quarantine, and of all tiers."""
    from headway.cli.output import table  # noqa: PLC0415

    whole = report.whole
    rows = [(counted(report), whole.counted), ("the same, with rows in quarantine", whole.with_quarantine),
            ("all tiers, without rows in quarantine", whole.all_tiers)]  # fmt: skip
    return table(["rows", *_HEADER], [[name, *_cells(score)] for name, score in rows], left=1)


def scores(what: str, bins: Mapping[str, Bin]) -> str:
    """A table of scores; beside them the median with rows in quarantine."""
    from headway.cli.output import table  # noqa: PLC0415

    rows = [[_cut(name), *_cells(found.counted), per_cent(found.with_quarantine.median_abs_pct_error)]
            for name, found in bins.items() if found.with_quarantine.rows]  # fmt: skip
    return table([what, *_HEADER, "w. quarantine"], rows, left=1)


def _cut(text: str, most: int = 32) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def skipped(reasons: Mapping[str, int]) -> str:
    """Why rows are not predicted."""
    from headway.cli.output import table  # noqa: PLC0415

    return table(["not predicted because", "rows"], [[reason, f"{n:,}"] for reason, n in reasons.items()], left=1)


def left_out(report: Report, most: int | None = None) -> str:
    """Rows that are not predicted, each with what stands in it and what was expected; all, or the first ones."""
    from headway.cli.output import wrapped  # noqa: PLC0415

    found = [p for p in report.predictions if p.predicted is None]
    lines = [wrapped(f"{_place(p)}: {p.detail or p.reason}", "- ") for p in found[:most]]
    more = len(found) - len(lines)
    return "\n".join([*lines, *([f"- and {more:,} more; --explain lists all"] if more else [])])


def _place(prediction: Prediction) -> str:
    """A row by its number in the file, and by its own name if it has one."""
    row = prediction.row
    name = f"row {row.place}"
    return name if row.text("id") == name else f"{name} ({row.text('id')})"


def faster(found: Sequence[Beaten], most: int = SHOWN_BEATEN) -> str:
    """Decode rows that are faster than the computed pass, and under them why."""
    from headway.cli.output import table, wrapped  # noqa: PLC0415

    shown = found[:most]
    reasons = list(dict.fromkeys(beaten.why for beaten in shown))
    rows = [[b.prediction.row.text("id"), b.prediction.row.text("metric"), _value(b.prediction.row.value),
             _value(b.prediction.predicted), per_cent(b.faster_pct), f"[{reasons.index(b.why) + 1}]"]
            for b in shown]  # fmt: skip
    head = f"Decode rows that are faster than the computed pass: {len(found)}"
    listed = table(["id", "metric", "measured", "predicted", "faster by", "why"], rows, left=2)
    notes = [wrapped(why, f"[{i}] ") for i, why in enumerate(reasons, 1)]
    return "\n".join([f"{head}{f', the first {most}' if len(found) > most else ''}", listed, *notes])


def furthest(found: Sequence[Prediction]) -> str:
    """The rows that are furthest off."""
    from headway.cli.output import table  # noqa: PLC0415

    rows = [[p.row.text("id"), _cut(p.row.text("metric"), 26), *_where(p), _value(p.row.value), _value(p.predicted),
             per_cent(None if p.error is None else 100 * p.error)] for p in found]  # fmt: skip
    return table(["id", "metric", "model", "on", "measured", "predicted", "error"], rows, left=4)


def _where(prediction: Prediction) -> list[str]:
    case = prediction.case
    assert case is not None
    return [_cut(case.model.name, 22), f"{case.system.chip.name}:{case.chips} {case.laid.text}"]


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


def _explained(report: Report, worst: int) -> str:
    """What listed predictions are made of, and the defaults that stood in for what the rows leave open."""
    from headway.cli.output import table, wrapped  # noqa: PLC0415

    listed = report.worst(worst) if worst else [b.prediction for b in report.beaten[:SHOWN_BEATEN]]
    lines = [wrapped(f"{p.row.text('id')}: {p.told}{_by_default(p)}", "- ") for p in listed]
    used = table(["default that was used", "rows"], [[n, f"{k:,}"] for n, k in report.filled.items()], left=1)
    return "\n\n".join(filter(None, ["\n".join(lines), used if report.filled else ""]))


def _by_default(prediction: Prediction) -> str:
    filled = prediction.case.filled if prediction.case else ()
    return f"; by default {', '.join(filled)}" if filled else ""
