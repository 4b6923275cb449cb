"""`headway roofline`: time, cost and balance of one pass."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import MOST_POINTS, Parser, axis, load_model_from, read_changes
from headway.errors import BadInput, UnknownName

EPILOG = """\
Batch, context and pass length take a value (8k), a list (1,8,64) or a range: 1:8192:log doubles,
1:8192:log:40 takes 40 points at equal ratios, 0:100k:10k counts up. k is 1000, Ki is 1024.

  headway roofline deepseek-v3 --on gb200-nvl72 --batch 1:8192:log --context 8k
  headway roofline llama-3.1-70b --on 8xh100-sxm --context 1k:128k:log --plot context.svg
  headway roofline --params 671e9 --active 37e9 --kv-bytes 70272 --on h100-sxm:64 --json
"""


def parser() -> Parser:
    """The options; defaults of the question are in `headway.step.question.Question`."""
    from headway.step.question import REFINEMENTS, Question  # noqa: PLC0415

    asked = Question()
    options = Parser("roofline", "Time, cost and balance of one forward pass of a model on a system.", EPILOG)
    options.add_model_options()
    options.add_argument("--on", required=True, metavar="SYSTEM", help="h100-sxm:8, gb200-nvl72, or a TOML file")
    options.add_argument("--batch", metavar="N", help=f"sequences in the pass (default {asked.batch})")
    options.add_argument("--context", metavar="N",
                         help=f"earlier tokens of each sequence (default {asked.context_tokens})")  # fmt: skip
    options.add_argument("--pass", dest="pass_tokens", metavar="N",
                         help=f"new tokens of each sequence: 1 is decode (default {asked.pass_tokens})")  # fmt: skip
    options.add_argument("--refine", action="append", default=[], metavar="NAME",
                         help=f"add what the blackboard leaves out: {', '.join(REFINEMENTS)}, or all")  # fmt: skip
    options.add_argument("--price", metavar="RATE", help="rent of one chip, such as $2/h (default: the catalog's)")
    options.add_set_option("replace any input, such as bandwidth_bytes_per_s=10e12 (--explain names them)")
    options.add_argument("--beyond-memory", action="store_true", help="answer also where the memory does not suffice")
    options.add_argument("--plot", metavar="FILE", help="draw latency and cost into a .svg, .png or .html file")
    options.add_argument("--chart", choices=("auto", "always", "never"), default="auto",
                         help="draw in characters too (default: where there is a range and a terminal)")  # fmt: skip
    options.add_output_options()
    return options


def main(arguments: Sequence[str]) -> int:
    """Answer in text or JSON, and draw if asked."""
    args = parser().read(arguments)
    target = None
    if args.plot is not None:
        from headway.drawing import check_target  # noqa: PLC0415

        target = check_target(args.plot)
    result, changes = ask(args)
    from headway.cli import roofline_text as text  # noqa: PLC0415

    if target is not None:
        _draw(result, changes, target)
    if args.json:
        from headway.cli.output import print_json  # noqa: PLC0415

        print_json(text.as_json(result, explain=args.explain))
    else:
        chart = args.chart == "always" or (args.chart == "auto" and sys.stdout.isatty())
        print(text.as_text(result, changes, explain=args.explain, chart=chart))
        if target is not None:
            print(f"\nPicture: {args.plot}")
    return 0


def ask(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The pass that the options describe, and the changes that apply to its worksheet."""
    from headway.hardware import load_system  # noqa: PLC0415
    from headway.step.first_order import evaluate  # noqa: PLC0415
    from headway.step.question import REFINEMENTS, Question, changeable  # noqa: PLC0415

    changes: dict[str, Any] = dict(read_changes(args.changes))
    if args.price is not None:
        if "rental_usd_per_s" in changes:
            raise BadInput("give --price or --set rental_usd_per_s, not both")
        if args.price.strip("0. ") and args.price.strip().replace(".", "", 1).isdigit():  # nobody means $ per second
            raise BadInput(f"--price needs a unit, such as ${args.price.strip()}/h")
        changes["rental_usd_per_s"] = args.price
    system = load_system(args.on)
    model = load_model_from(args)
    model, system, changes = _apply_outside(args, model, system, changes, changeable(model, system))
    given = {
        name: axis(text, unit)
        for name, text, unit in (
            ("batch", args.batch, "sequences"),
            ("context_tokens", args.context, "tokens"),
            ("pass_tokens", args.pass_tokens, "tokens"),
        )
        if text is not None
    }
    refine = tuple(dict.fromkeys(name for names in args.refine for name in names.split(",")))
    refine = REFINEMENTS if "all" in refine else () if refine == ("none",) else refine
    question = Question(**given, refine=refine, beyond_memory=args.beyond_memory)
    points = math.prod(len(values) for values in given.values() if isinstance(values, list))
    if points > MOST_POINTS:
        raise BadInput(f"that is {points:,} points together, more than {MOST_POINTS:,}; ask for fewer")
    return evaluate(model, system, question, changes), changes


def _apply_outside(args: Any, model: Any, system: Any, changes: dict[str, Any], inside: list[str]) -> tuple[Any, ...]:
    """Changes to figures of the chip (fp8_flop_per_s) or fields of the config, which come before the worksheet.

    A field of the config goes first: hidden_size is on the worksheet too, but changing it there alone would leave the
    parameters as they were.
    """
    from headway.catalog import vocabulary  # noqa: PLC0415
    from headway.hardware import load_system  # noqa: PLC0415

    config = {n: _json_value(v) for n, v in changes.items() if n in model.config}
    figures = [n for n, word in vocabulary().items() if {"accelerator", "system"} & set(word.of)]
    chip = {n: v for n, v in changes.items() if n in figures and n not in inside}
    for name in changes:
        if name not in (known := {*inside, *figures, *model.config}):
            raise UnknownName("quantity to set", name, known)
    if chip:
        system = load_system(args.on, chip)
    if config:
        model = load_model_from(args, config)
    return model, system, {n: v for n, v in changes.items() if n not in chip and n not in config}


def _json_value(text: str) -> Any:
    import json  # noqa: PLC0415

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _draw(result: Any, changes: dict[str, Any], target: Any) -> None:
    from headway.cli import roofline_text as text  # noqa: PLC0415
    from headway.drawing import draw  # noqa: PLC0415
    from headway.explanation import explain  # noqa: PLC0415
    from headway.figures import roofline_panels  # noqa: PLC0415

    panels = roofline_panels(result, changes)
    notes = explain(result) if target.suffix.lower() == ".html" else ""
    draw(panels, text.title(result), target, notes=notes, table=text.numbers(result, most=10_000))
