"""`headway demo`: the main job, on a real model and a real rack, with a picture."""

from __future__ import annotations

from collections.abc import Sequence

from headway.cli.arguments import Parser

QUESTION = ("deepseek-v3", "--on", "gb200-nvl72", "--batch", "1:8192:log", "--context", "8k")
PICTURE = "headway-demo.svg"


def main(arguments: Sequence[str]) -> int:
    """Run `headway roofline` on the demonstration question and write its picture."""
    options = Parser("demo", f"Runs: headway roofline {' '.join(QUESTION)}")
    options.add_argument("--plot", default=PICTURE, metavar="FILE", help=f"where to draw (default {PICTURE})")
    options.add_output_options()
    args = options.read(arguments)
    from headway.cli import roofline  # noqa: PLC0415

    flags = [flag for flag in ("json", "explain") if getattr(args, flag)]
    command = [*QUESTION, "--plot", args.plot, *(f"--{flag}" for flag in flags)]
    if not args.json:
        print(f"$ headway roofline {' '.join(command)}\n")
    return roofline.main([*command, "--chart", "always"])
