"""How fast headway is: evaluations per second in one call, what importing it and asking for help cost, and the page.

Machines differ and are shared, so the figures that matter are ratios within one run: arrays against a plain loop, and
medians beyond the bare interpreter. `make bench` writes them, with date and machine, to docs/performance.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # one core

import numpy as np
import page
import steps

from headway import catalog
from headway.equations import roofline
from headway.hardware import load_system
from headway.matching.search import find
from headway.model.config import load_model
from headway.step.first_order import evaluate
from headway.step.question import Question

POINTS = 1_000_000
PEER_PER_S = 225_000  # the fastest published tool's evaluations per second, of a model as coarse as this one


def best_s(work: Callable[[], object], repeats: int = 15) -> float:
    """The shortest of several runs: the one least disturbed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def three_terms(batch: object, context: object) -> object:
    """The blackboard's step time of DeepSeek-V3 on a GB200 NVL72, from the equations."""
    flop = roofline.matmul_flop(batch, 1, 36.6e9)
    compute = roofline.compute_time_s(flop, 360e15)
    weights = roofline.stream_time_s(roofline.weights_bytes(670.1e9, 1.0), 576e12)
    kv = roofline.stream_time_s(roofline.kv_bytes(batch, context, 70272), 576e12)
    return roofline.pass_time_s(compute, weights, kv)


def rates() -> list[tuple[str, float]]:
    """Evaluations per second: the three-term equation in arrays and in a loop, and the whole answer."""
    rng = np.random.default_rng(1)
    batch, context = rng.uniform(1, 8192, POINTS), rng.uniform(0, 1e5, POINTS)
    few = list(zip(batch[:20_000].tolist(), context[:20_000].tolist(), strict=True))
    model, system = load_model("deepseek-v3"), load_system("gb200-nvl72")
    grid = Question(batch=np.arange(1.0, 1001), context_tokens=np.linspace(0, 1e5, 1000), beyond_memory=True)
    computed = sum(cell.equation is not None for cell in evaluate(model, system, grid).sheet)
    return [
        ("three-term step time, one array call", POINTS / best_s(lambda: three_terms(batch, context))),
        ("the same, a loop over plain numbers", len(few) / best_s(lambda: [three_terms(b, c) for b, c in few], 5)),
        (f"the whole answer, {computed} computed quantities, one call",
         POINTS / best_s(lambda: evaluate(model, system, grid), 7)),
    ]  # fmt: skip


def readings() -> list[tuple[str, float]]:
    """Milliseconds to read every catalogued config, to parse their JSON alone, and to look for a number's caches."""
    texts = [json.dumps(catalog.read_model(name)[2]) for name in catalog.model_names()]
    find(1667.0)  # the catalog's habits are read once
    return [
        (f"parse the JSON of {len(texts)} configs", best_s(lambda: [json.loads(text) for text in texts]) * 1e3),
        ("parse, and read them into models",
         best_s(lambda: [load_model(json.loads(text)).quantities() for text in texts]) * 1e3),
        ("caches that fit a number, once the catalog is read", best_s(lambda: find(1667.0), 5) * 1e3),
    ]  # fmt: skip


def started_s(code: list[str], repeats: int = 21) -> float:
    """Median wall time of a fresh interpreter doing something."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *code], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def starts() -> list[tuple[str, float]]:
    """Milliseconds beyond the bare interpreter."""
    bare = started_s(["-c", "pass"])
    asked = (
        ("`import headway`", ["-c", "import headway"], 150),
        ("`headway --help`", ["-m", "headway", "--help"], 250),
        ("`headway roofline --help`", ["-m", "headway", "roofline", "--help"], 250),
        ("`headway roofline deepseek-v3 --on gb200-nvl72`",
         ["-m", "headway", "roofline", "deepseek-v3", "--on", "gb200-nvl72"], 0),
        ("`headway model kimi-k3`", ["-m", "headway", "model", "kimi-k3"], 0),
    )  # fmt: skip
    return [(f"{name}{f' (bar {bar} ms)' if bar else ''}", (started_s(code) - bare) * 1e3) for name, code, bar in asked]


def machine() -> str:
    """The machine in words that say nothing of where it stands."""
    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    chip = names[0] if names else platform.machine()
    return f"{chip}, one core, Python {platform.python_version()}, NumPy {np.__version__}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text("utf-8").splitlines() if path.exists() else []


def report() -> str:
    """The page."""
    measured, read, beyond = rates(), readings(), starts()
    loop = measured[1][1]
    lines = [
        "# Speed",
        "",
        "Written by `make bench`. Machines are shared and differ: read the ratios.",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {machine()}.",
        "",
        f"| {POINTS:,} points, best of several runs | per second | against the loop | against {PEER_PER_S:,}/s |",
        "|---|---|---|---|",
    ]
    lines += [f"| {n} | {r:,.0f} | {r / loop:,.1f}x | {r / PEER_PER_S:,.1f}x |" for n, r in measured]
    lines += ["", "The bar is 5,000,000 three-term evaluations a second in one call on one core; the last column"
              " compares with the fastest published tool of the same coarseness, on its own machine.", "",
              *steps.report(), "",
              "| models, best of several runs | ms | against parsing |", "|---|---|---|",
              *(f"| {name} | {ms:.1f} | {ms / read[0][1]:,.1f}x |" for name, ms in read), "",
              "| start-up, median of 21 beyond the bare interpreter | ms |", "|---|---|"]  # fmt: skip
    return "\n".join([*lines, *(f"| {name} | {ms:.0f} |" for name, ms in beyond), "", *page.report(), ""])


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--write", type=Path)
    target = options.parse_args().write
    written = report()
    print(written)
    if target:
        target.write_text(written, "utf-8")
