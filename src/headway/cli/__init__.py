"""The command. Thin: parse, call the library, format.

Commands are imported when they are called, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from headway.errors import HeadwayError, UnknownName

# command -> (module, what it answers)
COMMANDS = {
    "roofline": ("headway.cli.roofline", "time, cost and balance of one pass, over batch, context or pass length"),
    "model": ("headway.cli.model", "what a model weighs, multiplies and keeps, part by part"),
    "catalog": ("headway.cli.catalog", "chips, systems and memory tiers, every figure with its source"),
    "equation": ("headway.cli.equation", "the equations behind every answer: list, show, put numbers in"),
    "claims": ("headway.cli.claims", "what others said of all this, recomputed: is it true?"),
    "validate": ("headway.cli.validate", "measured rows, predicted and scored: how far off is it?"),
    "ui": ("headway.cli.ui", "live blackboards in a browser: batch, context, pass length, generations"),
    "demo": ("headway.cli.demo", "the main job on DeepSeek-V3 and a GB200 NVL72, with a picture"),
}


def run() -> None:
    """Entry point of the `headway` command."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit status is 0, 2 (bad input), 3 (cannot be done) or 130 (interrupted)."""
    _show_any_character(sys.stdout, sys.stderr)
    try:
        status = _dispatch(list(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()  # here, so that a closed pipe or a full disk is noticed while it can be reported
        return status
    except SystemExit as stop:  # argparse, after --help
        return int(stop.code or 0)
    except HeadwayError as error:
        return _complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _complain("stopped", 130)
    except BrokenPipeError:
        _abandon_output()
        return 0
    except MemoryError:
        return _complain("the question needs more memory than there is; ask for fewer points", 2)
    except RecursionError:
        return _complain("the input is nested too deeply to read", 2)
    except OSError as error:
        _abandon_output()
        return _complain(f"cannot read or write: {error.strerror or error}", 2)


def _abandon_output() -> None:
    """Send what is still to be written nowhere, so that the interpreter's own flush stays quiet."""
    with contextlib.suppress(OSError):  # a standard output that is no file, in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_any_character(*streams: Any) -> None:
    """Let a terminal that lacks a character show its code instead, whatever its encoding."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        from headway import __version__  # noqa: PLC0415

        print(f"headway {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        raise UnknownName("command", command, COMMANDS)
    status: int = importlib.import_module(COMMANDS[command][0]).main(rest)
    return status


def usage() -> str:
    """The top-level help."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name.ljust(width)}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "headway: what it costs to serve a language model, and why.",
            "",
            "usage: headway COMMAND ...",
            "",
            *rows,
            "",
            "headway help COMMAND explains a command. Every command has --json and --explain.",
        ]
    )


def _complain(message: str, status: int) -> int:
    print(f"headway: {' '.join(message.split())}", file=sys.stderr)
    return status
