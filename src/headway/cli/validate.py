"""`headway validate`: measured rows, predicted and scored: how far off, for whom, and what is not predicted."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headway.cli.arguments import Parser, positive
from headway.cli.validate_text import as_text, counted, headline, overall, rules, scores
from headway.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from headway.validate.predictions import Prediction
    from headway.validate.score import Beaten, Bin, Report, Score

SHOWN_BY = ("regime", "metric", "source")  # in text, where nobody asks for others
SHOWN_OWN = 20  # rows of a user's own, the furthest off, where --worst does not say how many
TEMPLATE_ROWS = ("inferencex-aic-1754", "trtllm-v0.17-0012")
TEMPLATE = ("id", "model", "weight_dtype", "kv_dtype", "hw_key", "n_chips", "tp", "framework", "batch", "batch_kind",
            "input_len", "output_len", "metric", "value", "unit")  # fmt: skip
_DRAWN = {"Times": ("time", "steps"), "Rates": ("rate",)}  # what is asked for, by how its name ends
SCORED = ("median_abs_pct_error", "p90_abs_pct_error", "bias_pct", "median_times_too_fast", "p90_times_too_fast")
EPILOG = """\
  headway validate                            the measured rows that headway carries, predicted and scored
  headway validate --refine none              the same by the blackboard alone
  headway validate --source gpt-fast --worst 5    one source, and its rows that are furthest off
  headway validate --by chip,model            scores by chip and by model
  headway validate --template                 a table to fill with rows of your own
  headway validate --data mine.csv --explain  your own rows, and every default that was used

A row's error is predicted / measured - 1; a pass is too fast by measured / predicted of a time, predicted / measured
of a rate. Rows of one group_id are one configuration and count once. The headline counts tiers A and B, without rows
in quarantine; beside it stand those with them, and all tiers.

A row of your own needs these columns; the others, and every default, are in docs/accuracy.md:
  model                a name of headway catalog: llama-3.1-8b
  hw_key, n_chips      a chip and how many, h100-sxm and 8; or a system alone, as --on takes it: h100-sxm:8
  metric, value, unit  what was measured; without a unit ms, tokens/s, GB/s, GB or fraction is taken
and by its metric:
  tpot, tpot_mean, itl_mean, decode_output_tokens_per_s,
  decode_64_tokens_latency, achieved_mem_bandwidth        batch; input_len and output_len, or avg_context
  ttft, ttft_mean, prefill_latency,
  prefill_input_tokens_per_s                              batch, input_len
  e2e_latency, e2e_latency_mean, output_tokens_per_s      batch, input_len, output_len
  peak_memory, mfu                                        batch, input_len, output_len; of mfu also phase
A rate without a batch is that of a full server. Example:
  model,hw_key,tp,batch,input_len,output_len,metric,value,unit
  llama-3.1-8b,h100-sxm:1,1,32,1024,256,tpot,10.9235,ms
"""


def parser() -> Parser:
    """The options of `headway validate`."""
    from headway.step.question import REFINEMENTS  # noqa: PLC0415

    options = Parser("validate", "Measured rows of inference, predicted and scored.", EPILOG)
    options.add_argument("--data", metavar="CSV", help="rows of your own instead, in the columns that stand below")
    options.add_argument("--template", action="store_true", help="print a CSV with two rows, to fill with your own")
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
    options.add_argument(
        "--worst", metavar="N", help=f"list the rows that are furthest off (of --data {SHOWN_OWN}, else none)"
    )
    options.add_argument(
        "--plot", metavar="FILE", help="draw predicted against measured into a .svg, .png or .html file"
    )
    options.add_output_options("write out what each listed prediction is made of, and every default that was used")
    return options


def main(arguments: Sequence[str]) -> int:
    """Predict, score, and print or draw."""
    args = parser().read(arguments)
    if args.template:
        if len(arguments) > 1:
            raise BadInput("--template stands alone: headway validate --template > mine.csv")
        print(template())
        return 0
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
        own = args.data is not None
        shown = int(worst or (SHOWN_OWN if own else 0))
        print(as_text(report, by or SHOWN_BY, worst=shown, explain=args.explain, own=own))
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
    rows = measured.shipped() if args.data is None else measured.read(args.data, _note)
    blank = sum(not row.wrong and not row.text("unit") for row in rows)
    if blank:
        _note(f"rows without a unit: {blank:,}; times are taken in ms, rates in tokens/s, memory in GB, "
              "bandwidth in GB/s, mfu as a fraction")  # fmt: skip
    sources = _listed(args.source)
    for source in sources:
        if not any(row.fits({"source_key": source}) for row in rows):
            raise UnknownName("source", source, {row.text("source_key") for row in rows} - {""})
    of_source = [row for row in rows if not sources or row.fits({"source_key": sources})]
    chosen = [row for row in of_source if not tiers or row.text("tier") in tiers]
    if not chosen:
        raise BadInput(f"no row of {' or '.join(sources) or 'the file'} is of tier {' or '.join(tiers)}")
    return validate(chosen, refine=refine, tiers=tiers or HARD_TIERS)


def _note(text: str) -> None:
    """A line beside the answer, not in it."""
    print(f"headway: {text}", file=sys.stderr)


def template() -> str:
    """The header of a user's table, and two of the shipped rows under it."""
    from headway.validate import measured  # noqa: PLC0415

    found = {row.text("id"): row for row in measured.shipped()}
    lines = [TEMPLATE, *(tuple(map(found[name].text, TEMPLATE)) for name in TEMPLATE_ROWS)]
    return "\n".join(",".join(line) for line in lines)


def _listed(words: Sequence[str]) -> list[str]:
    return [name.strip() for word in words for name in word.split(",") if name.strip()]


def as_json(report: Report, *, explain: bool = False) -> dict[str, Any]:
    """The report as one object."""
    from headway.validate.score import BY, NO_FACTOR, NOTHING, WHY_NO_INTERVAL  # noqa: PLC0415

    whole = report.whole
    out: dict[str, Any] = {
        "n": len(report.predictions),
        "predicted": sum(p.predicted is not None for p in report.predictions),
        "skipped": dict(report.skipped),
        "counted": counted(report),
        "counted_rows": whole.counted.predicted,
        "counted_groups": whole.counted.groups,
    }
    for name in SCORED:
        value, why = getattr(whole.counted, name), NO_FACTOR if whole.counted.predicted else NOTHING
        out |= {name: value} if value is not None else {name: None, f"{name}_reason": f"{why} of {counted(report)}"}
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
    from headway.validate.score import NO_FACTOR, NOTHING  # noqa: PLC0415

    told: dict[str, Any] = {"n": score.rows, "predicted": score.predicted, "groups": score.groups}
    told |= {name: getattr(score, name) for name in SCORED}
    if score.median_times_too_fast is None:
        told["reason"] = NO_FACTOR if score.predicted else NOTHING
    return told


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


def draw_into(report: Report, target: Any, command: str) -> None:
    """Predicted against measured, times beside rates, a mark for each row, a colour for each regime."""
    from headway.drawing import draw  # noqa: PLC0415
    from headway.figures.scatter import Scatter  # noqa: PLC0415
    from headway.validate.score import NOT_STATED  # noqa: PLC0415

    regimes = [name for name, found in report.by("regime").items() if found.all_tiers.predicted]
    panels = []
    for title, unit in (("Times", "s"), ("Rates", "tokens/s")):
        groups: dict[str, list[tuple[float, float]]] = {regime: [] for regime in regimes}
        for p in report.predictions:
            if p.predicted is not None and p.case is not None and p.case.asked.endswith(_DRAWN[title]):
                scale = p.case.si_per_unit
                groups.setdefault(p.row.text("regime") or NOT_STATED, []).append(
                    (p.row.value * scale, p.predicted * scale)
                )
        panels.append(Scatter(title, "measured", "predicted", unit, {n: tuple(points) for n, points in groups.items()}))
    words = {}
    if target.suffix.lower() == ".html":
        words = {"head": f"{headline(report)}\n\n$ {command}\n\n{rules(report)}", "table": overall(report),
                 "notes": "\n\n".join(scores(what, report.by(what)) for what in SHOWN_BY)}  # fmt: skip
    draw(panels, "Predicted against measured", target, caption=headline(report), **words)
