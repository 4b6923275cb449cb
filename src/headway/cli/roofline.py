"""`headway roofline`: time, cost and balance of one pass."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import MOST_POINTS, Parser, axis, load_model_from, read_changes
from headway.errors import BadInput

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
    result = ask(args)
    from headway.cli import roofline_text as text  # noqa: PLC0415

    if target is not None:
        _draw(result, target, shlex.join(["headway", "roofline", *arguments]))
    if args.json:
        from headway.cli.output import print_json  # noqa: PLC0415

        print_json(text.as_json(result, explain=args.explain))
    else:
        chart = args.chart == "always" or (args.chart == "auto" and sys.stdout.isatty())
        print(text.as_text(result, explain=args.explain, chart=chart))
        if target is not None:
            print(f"\nPicture: {args.plot}")
    return 0


def ask(args: argparse.Namespace) -> Any:
    """The pass that the options describe."""
    from headway.api import roofline  # noqa: PLC0415

    changes: dict[str, Any] = dict(read_changes(args.changes))
    if args.price is not None and "rental_usd_per_s" in changes:
        raise BadInput("give --price or --set rental_usd_per_s, not both")
    given = {
        name: axis(text, unit)
        for name, text, unit in (
            ("batch", args.batch, "sequences"),
            ("context", args.context, "tokens"),
            ("pass_tokens", args.pass_tokens, "tokens"),
        )
        if text is not None
    }
    points = math.prod(len(values) for values in given.values() if isinstance(values, list))
    if points > MOST_POINTS:
        raise BadInput(f"that is {points:,} points together, more than {MOST_POINTS:,}; ask for fewer")
    return roofline(load_model_from(args, args.model), on=args.on, **given, refine=args.refine, price=args.price,
                    beyond_memory=args.beyond_memory, changes=changes)  # fmt: skip


def _draw(result: Any, target: Any, command: str) -> None:
    from headway.cli import roofline_text as text  # noqa: PLC0415
    from headway.drawing import draw  # noqa: PLC0415
    from headway.explanation import explain  # noqa: PLC0415
    from headway.figures import caption, roofline_panels  # noqa: PLC0415
    from headway.words import title  # noqa: PLC0415

    words = {}
    if target.suffix.lower() == ".html":
        words = {
            "head": f"{text.head(result)}\n\n$ {command}\n\n{text.assumptions(result)}",
            "table": text.numbers(result, most=10_000),
            "notes": explain(result, at=result.point(result.best)),
        }
    draw(roofline_panels(result), title(result), target, caption=caption(result), **words)
