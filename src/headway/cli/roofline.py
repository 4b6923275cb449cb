"""`headway roofline`: time, cost and balance of one pass."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import MOST_POINTS, Parser, axis, load_model_from, read_changes
from headway.errors import BadInput, shown
from headway.units import parse

EPILOG = """\
Batch, context and pass length take a value (8k), a list (1,8,64) or a range: 1:8192:log doubles,
1:8192:log:40 takes 40 points at equal ratios, 0:100k:10k counts up. k is 1000, Ki is 1024.

  headway roofline deepseek-v3 --on gb200-nvl72 --batch 1:8192:log --context 8k
  headway roofline llama-3.1-70b --on 8xh100-sxm --context 1k:128k:log --plot context.svg
  headway roofline --params 671e9 --active 37e9 --kv-bytes 70272 --on h100-sxm:64 --json
  headway roofline deepseek-v3 --on h100-sxm:64 --layout dp64,ep64 --batch 2048 --refine all --terms

A layout is the degrees of parallelism: tp (tensor), pp (pipeline), dp (attention data), ep (experts), cp (context),
and redundant (copies of experts); without one all chips share everything evenly, as on the blackboard.
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
                         help=f"add what the blackboard leaves out: {', '.join(REFINEMENTS)}, all or none (default: "
                         "all with a layout, none without)")  # fmt: skip
    options.add_argument("--layout", metavar="LAYOUT", help="deal the pass out to chips, such as tp8 or tp1,dp64,ep64")
    options.add_argument("--terms", action="store_true", help="list the operators: work, bytes, messages, time of each")
    _add_serving_options(options)
    options.add_argument("--price", metavar="RATE", help="rent of one chip, such as $2/h (default: the catalog's)")
    options.add_set_option("replace any input, such as bandwidth_bytes_per_s=10e12 (--explain names them)")
    options.add_argument("--beyond-memory", action="store_true", help="answer also where the memory does not suffice")
    options.add_argument("--plot", metavar="FILE", help="draw latency and cost into a .svg, .png or .html file")
    options.add_argument("--chart", choices=("auto", "always", "never"), default="auto",
                         help="draw in characters too (default: where there is a range and a terminal)")  # fmt: skip
    options.add_output_options()
    return options


def _add_serving_options(options: Parser) -> None:
    """What rides along, what hides what, and who drafts."""
    options.add_argument("--chunk", metavar="N", help="tokens of a prompt that ride along on each data-parallel rank")
    options.add_argument("--chunk-context", metavar="N", help="tokens of that prompt which are cached already")
    options.add_argument(
        "--overlap", metavar="HOW", help="two-batch, or the share of communication hidden, such as 0.5"
    )
    options.add_argument("--sends", choices=("each", "rank", "domain"), default="each",
                         help="a token's copies to experts: each alone, or one to each rank or domain")  # fmt: skip
    options.add_argument("--domains-per-token", metavar="N", help="the most domains that routing lets a token reach")
    options.add_argument("--act-dtype", metavar="DTYPE", help="format of activations, where wider than the weights'")
    options.add_argument("--draft", metavar="WHO", help="who drafts tokens: mtp, or a model")
    options.add_argument("--draft-tokens", metavar="N", help="tokens drafted for each pass (mtp: 1)")
    options.add_argument("--acceptance", metavar="P", help="probability that a drafted token is kept (mtp: 0.85)")
    options.add_argument("--disaggregated", action="store_true", help="hand the cache over to chips that decode")


def _serving(args: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as the library takes them."""
    counts = {"chunk_tokens": args.chunk, "chunk_context": args.chunk_context, "draft_tokens": args.draft_tokens}
    given: dict[str, Any] = {name: one_number(text, "tokens") for name, text in counts.items() if text is not None}
    if args.domains_per_token is not None:
        given["domains_per_token"] = int(one_number(args.domains_per_token, "domains"))
        if given["domains_per_token"] < 1:
            raise BadInput(f"a token reaches 1 domain or more, found {shown(args.domains_per_token)}")
    if args.acceptance is not None:
        given["acceptance"] = parse(args.acceptance, "1")
    if args.overlap is not None:
        given["overlap"] = args.overlap if args.overlap == "two-batch" else _share(args.overlap)
    if args.act_dtype is not None:
        given["act_dtype"] = args.act_dtype
    if args.draft is not None:
        given["draft"] = args.draft
    return given | {"sends": args.sends, "layout": args.layout, "terms": args.terms,
                    "disaggregated": args.disaggregated}  # fmt: skip


def one_number(text: str, unit: str) -> float:
    """A whole number of things, and no list."""
    value = axis(text, unit)
    if isinstance(value, list):
        raise BadInput(f"the number of {unit} is one number here, found {shown(text)}")
    return value


def _share(text: str) -> float:
    try:
        return parse(text, "1")
    except BadInput:
        raise BadInput(f"--overlap is two-batch, or a share from 0 to 1, found {shown(text)}") from None


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
    given: dict[str, Any] = {
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
    return roofline(load_model_from(args, args.model), on=args.on, **given, refine=args.refine or None,
                    price=args.price, beyond_memory=args.beyond_memory, changes=changes, **_serving(args))  # fmt: skip


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
