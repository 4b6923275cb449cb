"""`headway validate`: measured rows, predicted and scored: how far off, for whom, and what is not predicted."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headway.cli.arguments import Parser, positive
from headway.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from headway.validate.predictions import Prediction
    from headway.validate.score import Beaten, Bin, Report, Score

SHOWN_BY = ("regime", "metric", "source")  # in text, where nobody asks for others
SHOWN_BEATEN = 10
EPILOG = """\
  headway validate                            the measured rows that headway carries, predicted and scored
  headway validate --refine none              the same by the blackboard alone
  headway validate --source gpt-fast --worst 5    one source, and its rows that are furthest off
  headway validate --by chip,model            scores by chip and by model
  headway validate --data mine.csv --json     your own rows, in the columns of the shipped ones

A row's error is predicted / measured - 1. Rows of one group_id are one configuration and count once. The headline
counts tiers A and B, without rows in quarantine; beside it stand those with them, and all tiers.
"""


def parser() -> Parser:
    """The options of `headway validate`."""
    from headway.step.question import REFINEMENTS  # noqa: PLC0415

    options = Parser("validate", "Measured rows of inference, predicted and scored.", EPILOG)
    options.add_argument(
        "--data", metavar="CSV", help="rows of your own instead; model, hw_key, metric and value at least"
    )
    options.add_argument("--source", action="append", default=[], metavar="NAME",
                         help="only the rows of a source, or of several; * stands for anything")  # fmt: skip
    options.add_argument("--tier", action="append", default=[], metavar="LETTER",
                         help="only the rows of a tier, or of several: A,B (all are counted then)")  # fmt: skip
    options.add_argument("--refine", action="append", default=[], metavar="NAME",
                         help="what is counted beyond the blackboard: "
                              f"{', '.join(REFINEMENTS)}, all (default) or none")  # fmt: skip
    options.add_argument("--by", action="append", default=[], metavar="NAME",
                         help="tables of scores by source, chip, framework, model, regime, metric "
                              f"(default: {','.join(SHOWN_BY)})")  # fmt: skip
    options.add_argument("--worst", metavar="N", help="list the rows that are furthest off")
    options.add_argument(
        "--plot", metavar="FILE", help="draw predicted against measured into a .svg, .png or .html file"
    )
    options.add_output_options("write out what each listed prediction is made of, and every default that was used")
    return options


def main(arguments: Sequence[str]) -> int:
    """Predict, score, and print or draw."""
    args = parser().read(arguments)
    target = None
    if args.plot is not None:
        from headway.drawing import check_target  # noqa: PLC0415

        target = check_target(args.plot)
    worst = positive(args.worst, "1", "--worst")
    if worst is not None and worst != int(worst):
        raise BadInput(f"--worst takes a whole number, found {args.worst}")
    by = _listed(args.by)
    report = ask(args, by)
    if target is not None:
        draw_into(report, target, shlex.join(["headway", "validate", *arguments]))
    if args.json:
        from headway.cli.output import print_json  # noqa: PLC0415

        print_json(as_json(report, explain=args.explain))
    else:
        print(as_text(report, by or SHOWN_BY, worst=int(worst or 0), explain=args.explain))
        if target is not None:
            print(f"\nPicture: {args.plot}")
    return 0


def ask(args: argparse.Namespace, by: Sequence[str] = ()) -> Report:
    """The report on the rows that the options choose."""
    from headway.step.question import REFINEMENTS, read_refinements  # noqa: PLC0415
    from headway.validate import measured  # noqa: PLC0415
    from headway.validate.score import BY, HARD_TIERS, validate  # noqa: PLC0415

    for name in by:
        if name not in BY:
            raise UnknownName("way to sort the rows", name, BY)
    tiers = tuple(tier.upper() for tier in _listed(args.tier))
    for tier in tiers:
        if tier not in ("A", "B", "C"):
            raise UnknownName("tier", tier, ("A", "B", "C"))
    refine = read_refinements(args.refine) if args.refine else REFINEMENTS
    rows = measured.shipped() if args.data is None else measured.read(args.data)
    sources = _listed(args.source)
    for source in sources:
        if not any(row.fits({"source_key": source}) for row in rows):
            raise UnknownName("source", source, {row.text("source_key") for row in rows} - {""})
    of_source = [row for row in rows if not sources or row.fits({"source_key": sources})]
    chosen = [row for row in of_source if not tiers or row.text("tier") in tiers]
    if not chosen:
        raise BadInput(f"no row of {' or '.join(sources) or 'the file'} is of tier {' or '.join(tiers)}")
    return validate(chosen, refine=refine, tiers=tiers or HARD_TIERS)


def _listed(words: Sequence[str]) -> list[str]:
    return [name.strip() for word in words for name in word.split(",") if name.strip()]


def counted(report: Report) -> str:
    """Which rows the headline counts."""
    tiers = " and ".join(report.tiers) if len(report.tiers) < 3 else "A, B and C"
    return f"{'tiers' if len(report.tiers) > 1 else 'tier'} {tiers}, without rows in quarantine"


def as_json(report: Report, *, explain: bool = False) -> dict[str, Any]:
    """The report as one object."""
    from headway.validate.score import BY, NOTHING, WHY_NO_INTERVAL  # noqa: PLC0415

    whole = report.whole
    out: dict[str, Any] = {
        "n": len(report.predictions),
        "predicted": sum(p.predicted is not None for p in report.predictions),
        "skipped": dict(report.skipped),
        "counted": counted(report),
        "counted_rows": whole.counted.predicted,
        "counted_groups": whole.counted.groups,
    }
    for name in ("median_abs_pct_error", "p90_abs_pct_error", "bias_pct"):
        value = getattr(whole.counted, name)
        out |= {name: value} if value is not None else {name: None, f"{name}_reason": f"{NOTHING} of {counted(report)}"}
    out |= {
        "interval_coverage": None,
        "interval_coverage_reason": WHY_NO_INTERVAL,
        "refine": list(report.refine),
        "with_quarantine": _score(whole.with_quarantine),
        "all_tiers": _score(whole.all_tiers),
    }
    out |= {f"by_{what}": {name: _bin(found) for name, found in report.by(what).items()} for what in BY}
    out["faster_than_pass"] = [_beaten(beaten) for beaten in report.beaten]
    out["filled"] = dict(report.filled)
    out["rows"] = [_row(prediction, explain=explain) for prediction in report.predictions]
    return out


def _score(score: Score) -> dict[str, Any]:
    from headway.validate.score import NOTHING  # noqa: PLC0415

    told = {"n": score.rows, "predicted": score.predicted, "groups": score.groups,
            "median_abs_pct_error": score.median_abs_pct_error, "p90_abs_pct_error": score.p90_abs_pct_error,
            "bias_pct": score.bias_pct}  # fmt: skip
    return told if score.predicted else told | {"reason": NOTHING}


def _bin(found: Bin) -> dict[str, Any]:
    return _score(found.counted) | {"with_quarantine": _score(found.with_quarantine),
                                    "all_tiers": _score(found.all_tiers)}  # fmt: skip


def _beaten(beaten: Beaten) -> dict[str, Any]:
    row = beaten.prediction.row
    return {"id": row.text("id"), "metric": row.text("metric"), "measured": row.value,
            "predicted": beaten.prediction.predicted, "faster_pct": beaten.faster_pct, "why": beaten.why}  # fmt: skip


def _row(prediction: Prediction, *, explain: bool) -> dict[str, Any]:
    """One row; what is null has its reason beside it."""
    from headway.validate.score import WHY_NO_INTERVAL  # noqa: PLC0415

    row, case = prediction.row, prediction.case
    out: dict[str, Any] = {name: row.text(name) for name in ("id", "group_id", "tier", "metric", "unit", "per")}
    out |= {"measured": None if row.wrong else row.value, "predicted": prediction.predicted}
    out |= {"error_pct": None if prediction.error is None else 100 * prediction.error, "low": None, "high": None}
    out["interval_reason"] = prediction.reason or WHY_NO_INTERVAL
    if prediction.reason:
        out |= {"skipped": prediction.reason, "detail": prediction.detail}
    if case is not None:
        out |= {"model": case.model.name, "system": f"{case.system.chip.name}:{case.chips}", "layout": case.laid.text}
        out["filled"] = list(case.filled)
    if explain and prediction.told:
        out["explanation"] = prediction.told
    return out


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
    told = f"{number:,} of {len(report.predictions):,} rows are predicted."
    if found.median_abs_pct_error is None:
        return f"{told} None of them is of {counted(report)}."
    return (
        f"{told} The median error is {per_cent(found.median_abs_pct_error)}, nine in ten are within "
        f"{per_cent(found.p90_abs_pct_error)}, the bias is {per_cent(found.bias_pct)} "
        f"({found.groups:,} configurations of {counted(report)})."
    )


def as_text(report: Report, by: Sequence[str], *, worst: int = 0, explain: bool = False) -> str:
    """The headline, then the tables."""
    from headway.cli.output import wrapped  # noqa: PLC0415

    blocks = [wrapped(headline(report)), wrapped(_rules(report)), overall(report)]
    blocks += [scores(what, report.by(what)) for what in by]
    if report.skipped:
        blocks.append(skipped(report.skipped))
    if report.beaten:
        blocks.append(faster(report.beaten))
    if worst:
        blocks.append(furthest(report.worst(worst)))
    if explain:
        blocks.append(_explained(report, worst))
    return "\n\n".join(blocks)


def _rules(report: Report) -> str:
    counted_too = f" with {', '.join(report.refine)}" if report.refine else ", the blackboard alone"
    return (f"Error: predicted / measured - 1, each configuration once. Passes at data-sheet rates{counted_too}; no "
            "interval, for no error of the step model has been measured yet.")  # fmt: skip


_HEADER = ("predicted", "groups", "median", "90 % within", "bias")


def _cells(score: Score) -> list[str]:
    return [f"{score.predicted:,} of {score.rows:,}", f"{score.groups:,}", per_cent(score.median_abs_pct_error),
            per_cent(score.p90_abs_pct_error), per_cent(score.bias_pct)]  # fmt: skip


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
    return table([what, *_HEADER, "with quarantine"], rows, left=1)


def _cut(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def skipped(reasons: Mapping[str, int]) -> str:
    """Why rows are not predicted."""
    from headway.cli.output import table  # noqa: PLC0415

    return table(["not predicted because", "rows"], [[reason, f"{n:,}"] for reason, n in reasons.items()], left=1)


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
    """What listed predictions are made of, and the defaults that stood in for blank cells."""
    from headway.cli.output import table, wrapped  # noqa: PLC0415

    listed = report.worst(worst) if worst else [b.prediction for b in report.beaten[:SHOWN_BEATEN]]
    lines = [wrapped(f"{p.row.text('id')}: {p.told}", "- ") for p in listed]
    used = table(
        ["default that filled a blank cell", "rows"], [[n, f"{k:,}"] for n, k in report.filled.items()], left=1
    )
    return "\n\n".join(filter(None, ["\n".join(lines), used if report.filled else ""]))


def draw_into(report: Report, target: Any, command: str) -> None:
    """Predicted against measured, times beside rates, a mark for each row, a colour for each regime."""
    from headway.drawing import draw  # noqa: PLC0415
    from headway.figures.scatter import Scatter  # noqa: PLC0415

    regimes = [name for name, found in report.by("regime").items() if found.all_tiers.predicted]
    panels = []
    for title, unit in (("Times", "s"), ("Rates", "tokens/s")):
        groups: dict[str, list[tuple[float, float]]] = {regime: [] for regime in regimes}
        for p in report.predictions:
            if p.predicted is not None and p.case is not None and (p.row.text("unit") == "tokens/s") == (unit != "s"):
                scale = p.case.si_per_unit
                if p.row.text("unit") in ("tokens/s", "s", "ms", "us"):
                    groups.setdefault(p.row.text("regime") or "not stated", []).append(
                        (p.row.value * scale, p.predicted * scale)
                    )
        panels.append(Scatter(title, "measured", "predicted", unit, {n: tuple(points) for n, points in groups.items()}))
    words = {}
    if target.suffix.lower() == ".html":
        words = {"head": f"{headline(report)}\n\n$ {command}\n\n{_rules(report)}", "table": overall(report),
                 "notes": "\n\n".join(scores(what, report.by(what)) for what in SHOWN_BY)}  # fmt: skip
    draw(panels, "Predicted against measured", target, caption=headline(report), **words)
