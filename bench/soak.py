"""The long runs, and their dated results.

Each run is a part of the test suite with more of everything. `make soak` runs them and writes docs/soak.md; a run that
fails is written down as failed and makes the script fail. Progress goes to stderr; Ctrl-C stops between runs.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

FUZZ_EXAMPLES = 30_000
LAW_EXAMPLES = 5_000
LOAD_REQUESTS = 20_000


class Run(NamedTuple):
    """One long run: what it holds, the tests, and the environment that makes them long."""

    what: str
    tests: tuple[str, ...]
    environment: dict[str, str]


RUNS = (
    Run(
        f"fuzz: {FUZZ_EXAMPLES:,} command lines, systems, numbers, configs, layouts, addresses, TOML files, pictures",
        ("tests/test_fuzz.py",),
        {"HEADWAY_FUZZ_EXAMPLES": str(FUZZ_EXAMPLES)},
    ),
    Run(
        f"laws: {LAW_EXAMPLES:,} random examples of each law",
        tuple(f"tests/test_{name}.py" for name in (
            "attention", "collectives", "context", "cost", "first_order", "kv_variants", "layouts", "memory_tiers",
            "model", "moe", "network", "parallelism", "queueing", "speculation", "topology", "uncertainty", "units")),
        {"HEADWAY_LAW_EXAMPLES": str(LAW_EXAMPLES)},
    ),
    Run(
        f"load: {LOAD_REQUESTS:,} requests to the page, eight at once",
        ("tests/test_web.py::test_the_server_bears_a_crowd",),
        {"HEADWAY_LOAD_REQUESTS": str(LOAD_REQUESTS)},
    ),
)  # fmt: skip


def carry_out(run: Run) -> tuple[bool, str]:
    """Run it; whether it passed, and its row of the table."""
    print(f"{run.what} ...", file=sys.stderr)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", *run.tests], env=os.environ | run.environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    minutes = (time.perf_counter() - start) / 60
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    closing = (done.stdout.strip().splitlines() or ["no output"])[-1]
    verdict = "passed" if done.returncode == 0 else f"FAILED: {closing}"
    return done.returncode == 0, f"| {run.what} | {verdict} | {minutes:.1f} |"


def main() -> int:
    """Carry out every run and write the page."""
    options = argparse.ArgumentParser()
    options.add_argument("--write", type=Path)
    target = options.parse_args().write
    outcomes = [carry_out(run) for run in RUNS]
    page = "\n".join([
        "# Long runs", "", "Written by `make soak`.", "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {platform.machine()}, two cores, Python "
        f"{platform.python_version()}.", "",
        "| run | result | minutes |", "|---|---|---|", *(row for _, row in outcomes), "",
    ])  # fmt: skip
    print(page)
    if target:
        target.write_text(page, "utf-8")
    return 0 if all(passed for passed, _ in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
