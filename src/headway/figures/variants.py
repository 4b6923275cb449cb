"""What a context needs of a machine, by the technique that keeps it: a plain table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.equations import context
from headway.model.model import Model
from headway.techniques.kinds import Technique
from headway.techniques.measure import Case, Figures, measure
from headway.techniques.ranking import by_itself
from headway.units import format_si

AS_IT_IS = "as it is"
NEEDS_HEADER = ("cache", "cost of a token", "largest batch", "a sequence keeps", "a token reads",
                "memory for the batch", "bandwidth for a step of one drain time")  # fmt: skip


@dataclass(frozen=True)
class Needs:
    """What one way of keeping the cache needs: figures of `headway.techniques`, with the memory and the bandwidth.

    `memory_bytes` is of HBM, for the weights and the batch; `bandwidth_bytes_per_s` is what a step needs that takes as
    long as this machine takes to drain.
    """

    name: str
    figures: Figures
    memory_bytes: float
    bandwidth_bytes_per_s: float

    @property
    def weights_too_large(self) -> str:
        """Why nothing fits, whatever is kept; empty where the weights do."""
        weights, usable = (float(self.figures.answer.sheet.need(n)) for n in ("stored_weight_bytes", "usable_bytes"))
        return f"does not fit: weights {format_si(weights, 'B')} > {format_si(usable, 'B')}" if weights > usable else ""

    def row(self) -> list[str]:
        """The figures as people read them; of a cost that is not known, the reason."""
        value, reasons = self.figures.value, self.figures.reasons
        stored, read, largest, cost = (
            value(name)
            for name in ("stored_bytes_per_sequence", "read_bytes_per_token", "largest_batch", "cost_per_mtok_usd")
        )
        assert stored is not None
        assert read is not None
        batch = reasons["largest_batch"] if largest is None else format_si(largest, "sequences")
        price = reasons["cost_per_mtok_usd"] if cost is None else format_si(cost * 1e-6, "USD/token")
        too_large = self.weights_too_large
        return [
            self.name,
            too_large or price,
            "none" if too_large else batch,
            format_si(stored, "B"),
            format_si(read, "B"),
            format_si(self.memory_bytes, "B"),
            format_si(self.bandwidth_bytes_per_s, "B/s"),
        ]


def needs(case: Case, model: Model, techniques: Sequence[Technique]) -> list[Needs]:
    """The model as it is, and under each technique alone that applies to it."""
    with np.errstate(all="ignore"):  # what keeps nothing has no limit: infinities are answers here
        rows = {AS_IT_IS: measure(case, model)}
        for technique in techniques:
            figures = by_itself(case, model, technique).figures
            if figures is not None:
                rows[technique.name.replace("-", " ")] = figures
        return [_needs(name, figures) for name, figures in rows.items()]


def _needs(name: str, figures: Figures) -> Needs:
    sheet = figures.answer.sheet
    sheet.compute_all([
        ("batch_memory_bytes", context.needed_memory_bytes, "B",
         "batch weights_bytes=stored_weight_bytes sequence_bytes=stored_bytes_per_sequence"),
        ("needed_bandwidth_bytes_per_s", context.needed_bandwidth_bytes_per_s, "B/s",
         "step_s=drain_s batch weights_bytes sequence_read_bytes=read_bytes_per_token"),
    ])  # fmt: skip
    memory, rate = (float(sheet.need(row)) for row in ("batch_memory_bytes", "needed_bandwidth_bytes_per_s"))
    return Needs(name, figures, memory, rate)
