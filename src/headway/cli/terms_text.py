"""The operators of a pass as a table: what each does on the fullest chip, and how long it would take by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headway.cli.output import plain, table
from headway.step.first_order import Pass
from headway.step.work import Row
from headway.units import format_si
from headway.words import value_at

_HEADER = ("operator", "on a chip", "tokens", "FLOP", "weights", "KV", "moved", "sent", "messages", "alone", "share")


def terms_as_text(result: Pass) -> str:
    """One row for each operator, at the point of the answer; and what they add up to."""
    rows = [row for row in (_told(result, row) for row in result.rows) if row["t_s"]]
    alone = sum(row["t_s"] for row in rows)
    lines = [
        [row["name"], _shape(row), *_counted(row), _si(row["t_s"], "s"), f"{row['t_s'] / alone:.0%}"] for row in rows
    ]
    counts = ("flop", "weight_bytes", "kv_bytes", "moved_bytes", "sent_bytes", "messages")
    sums = {name: sum(row[name] or 0 for row in rows) for name in counts}
    lines.append(["sum", "", *_counted(sums | {"tokens": None}), _si(alone, "s"), ""])
    empty = {i for i, column in enumerate(zip(*lines, strict=True)) if set(column) <= {""}}
    keep = [i for i in range(len(_HEADER)) if i not in empty]
    where = "one chip of each stage" if result.question.degrees else "all chips together"
    place = ", ".join(
        f"{axis.removesuffix('_tokens')} {value:,.0f}" for axis, value in result.point(result.best).items()
    )
    head = (
        f"Operators, the work of {where}{f' at {place}' if place else ''}; alone: the longer of arithmetic and traffic"
    )
    return "\n".join([head, table([_HEADER[i] for i in keep], [[line[i] for i in keep] for line in lines])])


def _shape(row: dict[str, Any]) -> str:
    """A matrix product as the chip does it, tokens x inputs x outputs, in all its layers; or the operator in words."""
    if row["inputs"] is None:
        return str(row["what"])
    times = f"{row['layers']} x {row['matrices']} x " if row["matrices"] > 1 else f"{row['layers']} x "
    experts = f", {row['experts_read']:,.3g} experts" if row["experts_read"] else ""
    return f"{times}({row['tokens']:,.0f} x {row['inputs']:,.0f} x {row['outputs']:,.0f}){experts}"


def _counted(row: dict[str, Any]) -> list[str]:
    tokens = "" if row["tokens"] is None else f"{row['tokens']:,.0f}"
    sizes = [_si(row[name], unit) for name, unit in (("flop", "FLOP"), ("weight_bytes", "B"), ("kv_bytes", "B"),
                                                      ("moved_bytes", "B"), ("sent_bytes", "B"))]  # fmt: skip
    return [tokens, *sizes, f"{row['messages']:,.0f}" if row["messages"] else ""]


def _si(value: float | None, unit: str) -> str:
    return format_si(value, unit) if value else ""


def terms_as_json(result: Pass) -> list[dict[str, Any]]:
    """The same rows; null where an operator has nothing of the kind."""
    return [{name: plain(np.asarray(value)) if isinstance(value, float) else value for name, value in row.items()}
            for row in (_told(result, row) for row in result.rows)]  # fmt: skip


def _told(result: Pass, row: Row) -> dict[str, Any]:
    """An operator's quantities at the point of the answer."""

    def at(name: str) -> float | None:
        return value_at(result, name, result.best) if name and name in result.sheet else None

    told = {"name": row.name, "what": row.text, "layers": row.layers, "tokens": at(row.tokens), "flop": at(row.flop),
            "weight_bytes": at(row.weight_bytes), "kv_bytes": at(row.kv_bytes), "moved_bytes": at(row.moved_bytes),
            "sent_bytes": at(f"{row.comm}_sent_bytes") if row.comm else None,
            "messages": at(f"{row.comm}_messages") if row.comm else None}  # fmt: skip
    return told | _matrix(row, at) | {"t_s": at(row.time or f"{row.comm or row.name}_s") or 0.0}


def _matrix(row: Row, at: Callable[[str], float | None]) -> dict[str, Any]:
    """The sides of a matrix on the chip, how many like it a layer has, and how many experts of it are read."""
    one = row.multiply
    if one is None or not one.outputs:
        return dict.fromkeys(("inputs", "outputs", "matrices", "experts_read"))
    share = at(row.dealt) or 1.0
    sides = (one.inputs * share, one.outputs) if one.along == "inputs" else (one.inputs, one.outputs * share)
    return {"inputs": float(sides[0]), "outputs": float(sides[1]), "matrices": one.times,
            "experts_read": at(row.experts)}  # fmt: skip
