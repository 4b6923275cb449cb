"""What a measured row leaves blank: filled from the stated table of defaults, each with its name kept on the row.

Lengths, batch and formats are values of the table. A layout is computed by one of six rules, which the table names; so
are a link that no source gives, a number of chips, and the context of a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headway.catalog.store import defaults
from headway.hardware import System, changed_system
from headway.model.model import Model
from headway.validate.measured import Row, said
from headway.validate.tables import table

HALF = 0.5  # of the usable memory, that the weights of a server may take where nobody says how many servers there are


class NotPredicted(Exception):
    """A row that is not predicted: the reason in words that many rows share, and what is particular to this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


WRONG_CELL = "a cell is not what its column means"


def refused(row: Row, reason: str, column: str, expected: str) -> NotPredicted:
    """A row that is left out for one of its cells: what stands there, and what was expected."""
    return NotPredicted(reason, said(row.cells, column, expected))


@dataclass(frozen=True)
class Laid:
    """Equal servers side by side, and the degrees of parallelism of one."""

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    context_parallel: int = 1
    servers: int = 1
    padded_heads: bool = False

    @property
    def chips(self) -> int:
        """Chips of one server."""
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel * self.context_parallel

    @property
    def text(self) -> str:
        """As it is written: tp8, dp4 ep4, 4 x tp2."""
        degrees = {"tp": self.tensor_parallel, "pp": self.pipeline_parallel, "dp": self.data_parallel,
                   "cp": self.context_parallel, "ep": self.expert_parallel}  # fmt: skip
        told = " ".join(f"{name}{degree}" for name, degree in degrees.items() if degree > 1) or "tp1"
        return told if self.servers == 1 else f"{self.servers} x {told}"


def name_of(entry: Mapping[str, Any]) -> str:
    """What a default is called: its column, what fills it, and the conditions under which it does.

    >>> name_of({"column": "input_len", "when": {"source_key": "mlperf-*", "model": "Llama-2-70B"}, "value": 294})
    'input_len = 294 (source_key mlperf-*, model Llama-2-70B)'
    >>> name_of({"column": "avg_context", "rule": "the middle of the answer"})
    'avg_context by the middle of the answer'
    """
    conditions = condition_of(entry)
    filled = f"= {entry['value']}" if "value" in entry else f"by {entry['rule']}"
    return f"{entry['column']} {filled}{f' ({conditions})' if conditions else ''}"


def condition_of(entry: Mapping[str, Any]) -> str:
    """The conditions under which a default holds, in words; empty where there is none."""
    return ", ".join(f"{column} {_listed(wanted)}" for column, wanted in entry.get("when", {}).items())


def _listed(wanted: str | list[str]) -> str:
    words = [wanted] if isinstance(wanted, str) else wanted
    return " or ".join({"": "blank", "?*": "stated"}.get(word, word) for word in words)


def rule(column: str, name: str) -> str:
    """What the default of a column is called that a rule of this name computes."""
    return next(name_of(e) for e in table("defaults", "default") if (e["column"], e.get("rule")) == (column, name))


def fill(row: Row) -> Row:
    """The row with its blank cells filled, as far as the table has an entry for it."""
    for entry in table("defaults", "default"):
        column = entry["column"]
        if "value" in entry and not row.text(column) and row.fits(entry.get("when", {})):
            numbers = {} if isinstance(entry["value"], str) else {column: float(entry["value"])}
            row = replace(
                row,
                cells={**row.cells, **entry.get("sets", {}), column: str(entry["value"])},
                numbers={**row.numbers, **numbers},
                filled=(*row.filled, name_of(entry)),
            )
    return row


def lay_out(row: Row, model: Model, system: System, chips: int) -> tuple[Laid, str]:
    """How a row's model lies on its chips, and the default that says so; empty where the row does itself."""
    for entry in table("defaults", "default"):
        if entry["column"] == "layout" and row.fits(entry.get("when", {})):
            found = _RULES[entry["rule"]](row, model, system, chips)
            if found is not None:
                stated = entry["rule"] == "stated" and (_has_no_experts(model) or row.text("ep") != "")
                return found, "" if stated and found.chips == chips else name_of(entry)
    raise NotPredicted("layout not stated")


def linked(system: System) -> tuple[System, str]:
    """The system with a rate between its scale-up domains where the catalog has none, and the default that says so."""
    inside = system.figure("scaleup_bytes_per_s").value
    if system.domains == 1 or system.figure("scaleout_bytes_per_s").value is not None or inside is None:
        return system, ""
    return changed_system(system, {"scaleout_bytes_per_s": inside}), rule("link", "host")


def _has_no_experts(model: Model) -> bool:
    return model.architecture is None or model.architecture.experts is None


def _degree(row: Row, column: str) -> int | None:
    number = row.number(column)
    return None if number is None else int(number)


def _stated(row: Row, model: Model, _: System, chips: int) -> Laid | None:
    """What the row states; None where it states no degree at all."""
    tensor, pipeline, data, context = (_degree(row, column) for column in ("tp", "pp", "dp", "cp"))
    if tensor is None and (pipeline or data or context) is None:
        return None
    others = (pipeline or 1) * (data or 1) * (context or 1)
    if tensor is None:
        tensor = max(1, chips // others)
    laid = Laid(tensor, pipeline or 1, data or 1, _degree(row, "ep") or 1, context or 1)
    if chips % laid.chips:
        raise NotPredicted("layout does not multiply to the chips", f"{laid.text} on {chips} chips")
    return replace(laid, servers=chips // laid.chips)


def _attention_data_parallel(row: Row, model: Model, _: System, chips: int) -> Laid | None:
    """Every chip has sequences of its own, and its share of the experts."""
    pipeline = _degree(row, "pp") or 1
    if _has_no_experts(model) or chips % pipeline:
        return None
    ranks = chips // pipeline
    return Laid(data_parallel=ranks, pipeline_parallel=pipeline, expert_parallel=ranks)


def _whole_chips(_row: Row, _model: Model, _system: System, chips: int) -> Laid:
    """Tensor parallel over the chips, whatever is counted inside of one."""
    return Laid(tensor_parallel=chips)


def _padded_heads(_row: Row, _model: Model, _system: System, chips: int) -> Laid:
    """Tensor parallel over all chips, with empty heads where the heads do not divide."""
    return Laid(tensor_parallel=chips, padded_heads=True)


def _replicas(_row: Row, model: Model, system: System, chips: int) -> Laid:
    """The most servers of equal size, a power of two, of which one holds the weights in half of its usable memory."""
    size = _server_chips(model, system, chips)
    return Laid(tensor_parallel=size, servers=chips // size)


def _attention_replicas(_row: Row, model: Model, system: System, chips: int) -> Laid | None:
    """The same servers, each with attention data parallel and one rank of experts for each chip."""
    if _has_no_experts(model):
        return None
    size = _server_chips(model, system, chips)
    return Laid(data_parallel=size, expert_parallel=size, servers=chips // size)


def _server_chips(model: Model, system: System, chips: int) -> int:
    memory, share = system.figure("memory_bytes").value, defaults()["usable_memory_fraction"].value
    if memory is None:
        raise NotPredicted("a figure of the machine is not known", "memory_bytes")
    sizes = [2**power for power in range(int(math.log2(chips)) + 1) if chips % 2**power == 0]
    return next((size for size in sizes if model.weight_bytes <= HALF * share * memory * size), chips)


_RULES: Mapping[str, Callable[[Row, Model, System, int], Laid | None]] = {
    "stated": _stated,
    "attention-data-parallel": _attention_data_parallel,
    "whole-chips": _whole_chips,
    "padded-heads": _padded_heads,
    "replicas": _replicas,
    "attention-replicas": _attention_replicas,
}
