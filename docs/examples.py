"""Run the examples of the docs and print them with their output; `cog` calls these from inside the pages."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A bare environment and an empty home, so that a page does not depend on who builds it.
_HOME = tempfile.TemporaryDirectory()
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    "HOME": _HOME.name,
    "COLUMNS": "110",
    "LC_ALL": "C.UTF-8",
}


def run(command: str, *, first: int | None = None, status: int = 0) -> None:
    """A command as typed, with what it prints: all of it, or the `first` lines."""
    lines = _output(command, status)
    _print("console", f"$ {command}", *lines[:first], *(["..."] if first and first < len(lines) else []))


def keys(command: str, *names: str) -> None:
    """A command with `--json`, and of its object the keys asked for."""
    found = json.loads("".join(_output(f"{command} --json", 0)))
    while "generations" in found:
        found = found["generations"][0]
    shown = ", ".join(f'"{name}": {json.dumps(found[name])}' for name in names)
    _print("console", f"$ {command} --json", f"{{... {shown} ...}}")


def _output(command: str, status: int) -> list[str]:
    """The lines that a command prints, run in a folder of its own beside the example files."""
    with tempfile.TemporaryDirectory() as scratch:
        for example in [*(ROOT / "docs").glob("*.toml"), *(ROOT / "docs").glob("*.json")]:
            Path(scratch, example.name).write_text(example.read_text("utf-8"), "utf-8")
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, check=False, env=ENVIRONMENT, cwd=scratch
        )
        for picture in Path(scratch).glob("*.svg") if "HEADWAY_DOCS_PICTURES" in os.environ else []:
            (ROOT / "docs" / picture.name).write_bytes(picture.read_bytes())
    if done.returncode != status:
        raise SystemExit(f"{command!r} ended with {done.returncode}, expected {status}: {done.stderr}")
    return [line.rstrip() for line in (done.stdout + done.stderr).rstrip().splitlines()]


def python(code: str) -> None:
    """A piece of Python, with what it prints."""
    source = code.strip()
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, env=ENVIRONMENT, cwd=ROOT
    )
    if done.returncode:
        raise SystemExit(f"an example failed: {done.stderr}")
    _print("python", source)
    _print("text", done.stdout.rstrip())


def help_of(command: str) -> None:
    """The help of a command."""
    run(f"headway {command} --help".replace("  ", " "))


def _print(language: str, *lines: str) -> None:
    print(f"```{language}", *lines, "```", sep="\n")
