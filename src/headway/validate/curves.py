"""Published training curves of routed language models, and where each run ended.

The table is that of A. Clark et al. 2022, "Unified Scaling Laws for Routed Language Models" (arXiv 2202.01169), as
released at github.com/google-deepmind/scaling_laws_for_routing, data under CC-BY 4.0 (see NOTICE). A run is named by
its size, its router and its number of experts; of the variants, those of the paper's main comparison: one expert for
each token, every second block routed (of the three seeds of the dense 130M, the last).
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from headway.errors import UnknownName

SOURCE = "github.com/google-deepmind/scaling_laws_for_routing 42da0c3, curves.csv"
_EXPERTS_PER_TOKEN, _ROUTED_SHARE = "1", "0.5"  # as the table has them


@dataclass(frozen=True)
class Run:
    """The end of one training run: loss in nats per token, and parameters."""

    size: str
    router: str
    n_experts: int
    validation_loss: float
    total_params: float
    dense_params: float


@functools.cache
def runs() -> Mapping[tuple[str, str, int], Run]:
    """The last point of every run of the main comparison, by size, router and number of experts."""
    found: dict[tuple[str, str, int], Run] = {}
    for row in _rows():  # in the order of the steps, so that the last one stays
        if row["loss_validation"] and row["k"] == _EXPERTS_PER_TOKEN and row["routing_frequency"] == _ROUTED_SHARE:
            run = _run(row)
            found[run.size, run.router, run.n_experts] = run
    return found


def run(size: str, router: str, n_experts: int) -> Run:
    """One run; an unknown one raises `UnknownName`.

    >>> round(run("1.3B", "Dense", 1).validation_loss, 4)
    2.242
    """
    try:
        return runs()[size, router, n_experts]
    except KeyError:
        raise UnknownName("run", _title(size, router, n_experts), [_title(*key) for key in runs()]) from None


def _title(size: str, router: str, n_experts: int) -> str:
    return f"{size} {router} {n_experts}"


def _rows() -> list[dict[str, str]]:
    packed = (files("headway.validate") / "data" / "curves.csv.gz").read_bytes()
    rows = list(csv.DictReader(io.TextIOWrapper(gzip.GzipFile(fileobj=io.BytesIO(packed)), encoding="utf-8")))
    return sorted(rows, key=lambda row: int(row["step"]))


def _run(row: Mapping[str, str]) -> Run:
    return Run(
        size=row["model_size_label"],
        router=row["router_type"],
        n_experts=int(row["num_experts"]),
        validation_loss=float(row["loss_validation"]),
        total_params=float(row["total_parameter_count"]),
        dense_params=float(row["dense_parameter_count"]),
    )
