"""How many steps a second the operator model takes: any mix of batch, context, pass length and layout in one call."""

from __future__ import annotations

import itertools
import time

import numpy as np

from headway.hardware import load_system
from headway.model.config import load_model
from headway.step.layout import Layout, refusal
from headway.step.many import steps
from headway.step.question import REFINEMENTS

POINTS = 500_000
CHIPS = 64
BAR_PER_S = 500_000
COMPILED_PER_S = 81_500  # a peer's compiled engine, one layout at a time (science notes: aiconfigurator-core)
COARSER_PER_S = 225_000  # a vectorised notebook with a coarser model
_POWERS = (1, 2, 4, 8, 16, 32, 64)


def legal_layouts(model: object) -> list[Layout]:
    """Every layout of at most so many chips, degrees in powers of two, that an engine can run."""
    found = []
    for tp, pp, dp, ep, cp in itertools.product(_POWERS[:4], _POWERS[:4], _POWERS, _POWERS, (1, 2)):
        layout = Layout(tp, pp, dp, ep, cp)
        if layout.chips <= CHIPS and not refusal(model, CHIPS, layout):
            found.append(layout)
    return found


def measured(name: str, refine: tuple[str, ...]) -> tuple[int, float]:
    """How many layouts are in the mix, and steps a second: the fastest of several calls."""
    rng = np.random.default_rng(1)
    model, system = load_model(name), load_system(f"h100-sxm:{CHIPS}")
    layouts = legal_layouts(model)
    drawn = rng.integers(0, len(layouts), POINTS)
    degrees = {
        degree: np.array([getattr(layout, degree) for layout in layouts], dtype=float)[drawn]
        for degree in (
            "tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "context_parallel",
        )
    }  # fmt: skip
    asked = {
        "batch": rng.integers(1, 8192, POINTS).astype(float),
        "context_tokens": rng.integers(0, 131_072, POINTS).astype(float),
        "pass_tokens": np.where(rng.random(POINTS) < 0.5, 1.0, rng.integers(2, 8192, POINTS)),
    }
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        found = steps(model, system, **asked, **degrees, refine=refine, want=("step_s", "fits"))
        best = min(best, time.perf_counter() - start)
    assert np.isfinite(found["step_s"]).all()
    return len(layouts), POINTS / best


def report() -> list[str]:
    """A table for the page of speed."""
    lines = [
        f"| operator model, {POINTS:,} random points in one call: batch, context, pass length, layout of up to {CHIPS} "
        "chips | layouts | steps/s | against the bar | against compiled | against coarser |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("llama-3.1-70b", "deepseek-v3"):
        for told, refine in (("all refinements", REFINEMENTS), ("refinements off", ())):
            count, rate = measured(name, refine)
            ratios = " | ".join(f"{rate / peer:.1f}x" for peer in (BAR_PER_S, COMPILED_PER_S, COARSER_PER_S))
            lines.append(f"| {name}, {told}, with what fits | {count} | {rate:,.0f} | {ratios} |")
    told = (
        f"The bar is {BAR_PER_S:,} steps a second on one core; peers' figures ({COMPILED_PER_S:,} compiled, "
        f"{COARSER_PER_S:,} of a coarser model) are of their own runs."
    )
    return [*lines, "", told]


if __name__ == "__main__":
    print("\n".join(report()))
