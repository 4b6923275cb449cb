"""A measured row as a question that a pass can answer: model, machine, layout, load, lengths, and what is asked for.

What a row leaves blank is filled first (`headway.validate.filling`). A row that cannot be asked raises `NotPredicted`
with the reason.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headway.catalog import Entry, resolve
from headway.errors import HeadwayError
from headway.hardware import System, changed_system, load_system
from headway.model.model import Model
from headway.validate.filling import Laid, NotPredicted, fill, lay_out, linked
from headway.validate.formats import model_of
from headway.validate.measured import Row
from headway.validate.tables import first, table

# What is asked of a pass, by the metric of the row.
METRICS: Mapping[str, str] = {
    "tpot": "decode time", "tpot_mean": "decode time", "itl_mean": "decode time",
    "decode_output_tokens_per_s": "decode rate", "decode_64_tokens_latency": "64 steps",
    "ttft": "prefill time", "ttft_mean": "prefill time", "prefill_latency": "prefill time",
    "prefill_input_tokens_per_s": "prefill rate", "output_tokens_per_s": "output rate",
    "e2e_latency": "request time", "e2e_latency_mean": "request time",
    "mfu": "mfu", "achieved_mem_bandwidth": "weight bandwidth", "peak_memory": "memory",
}  # fmt: skip
NO_PASS = frozenset(
    {"avg_kv_len_per_output_token", "total_input_tokens_24h", "cache_hit_input_tokens_24h", "total_output_tokens_24h",
     "avg_node_occupancy", "peak_node_occupancy", "daily_cost_at_2usd_gpu_h", "theoretical_daily_revenue_r1_price",
     "theoretical_cost_profit_margin", "cost_per_million_output_tokens"}
)  # fmt: skip
# SI units in one unit of the row, by the kind of answer.
_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_UNITS: Mapping[str, Mapping[str, float]] = {
    "decode time": _TIMES, "prefill time": _TIMES, "request time": _TIMES, "64 steps": _TIMES,
    "decode rate": {"tokens/s": 1.0}, "prefill rate": {"tokens/s": 1.0}, "output rate": {"tokens/s": 1.0},
    "weight bandwidth": {"GB/s": 1e9}, "memory": {"GB": 1e9}, "mfu": {"fraction": 1.0, "percent": 0.01},
}  # fmt: skip
_PER = {"", "chip", "node(8)", "system", "user"}
_PLAIN = ("", "no", "no (baseline)", "unknown")  # speculation: none, or none that was recorded
WITH_PROMPT = ("prefill time", "prefill rate", "output rate", "request time")
WITH_OUTPUT = ("output rate", "request time")
WITH_DECODE = ("decode time", "decode rate", "64 steps", "output rate", "request time", "weight bandwidth")


@dataclass(frozen=True)
class Case:
    """One question. `batch` and `rate_per_s` are those of one of the equal servers; `context` is what a step reads.

    `load` is "static" (one batch, prefilled together), "closed" (so many users, each with one request), "saturated" (as
    many as fit, and at most `most`) or "open" (requests arrive at a rate). `earlier` are tokens that are cached before
    the prompt. `overlap` is how messages are hidden: "two-batch", or "" for not at all.
    """

    row: Row
    model: Model
    system: System
    chips: int
    laid: Laid
    asked: str
    si_per_unit: float
    load: str
    batch: float = 0.0
    rate_per_s: float = 0.0
    prompt: float = 0.0
    output: float = 1.0
    context: float = 0.0
    earlier: float = 0.0
    most: float = math.inf
    overlap: str = ""
    filled: tuple[str, ...] = ()


def case_of(row: Row) -> Case:
    """The question that a row answers, or `NotPredicted`."""
    if row.wrong:
        raise NotPredicted("a cell is not what its column means", row.wrong)
    asked = _asked(row)
    if row.text("spec_decode").lower() not in _PLAIN:
        raise NotPredicted("speculative decoding")
    row = fill(row)
    model = model_of(row)
    load, number = _load(row)
    entry = _entry(row)
    spec, chips = _machine(row, entry)
    whole = _system(spec, chips)
    laid, default = lay_out(row, model, whole, chips)
    prompt, output, context = _lengths(row, asked)
    batch, rate = _per_server(load, number, laid, prompt)
    earlier = 0.0
    if asked in WITH_PROMPT and row.number("avg_context") is not None and row.number("output_len") is not None:
        earlier = max(0.0, context - prompt - output / 2)  # of a longer dialogue: cached before the prompt
    system, link = _linked(spec, laid.chips, tuple(entry.get("figures", {}).items()))
    filled = (*row.filled, *filter(None, (default, link)))
    return Case(row, model, system, chips, laid, asked, _unit(row, asked), load[0], batch, rate, prompt, output,
                context, earlier, load[2], _overlap(row), filled)  # fmt: skip


def _asked(row: Row) -> str:
    metric = row.text("metric")
    if metric in NO_PASS:
        raise NotPredicted("an account of production, not a pass")
    if metric not in METRICS:
        raise NotPredicted("metric not known", metric)
    return METRICS[metric]


def _unit(row: Row, asked: str) -> float:
    units = _UNITS[asked]
    if row.text("unit") not in units:
        raise NotPredicted("unit not known", f"{row.text('metric')} in {row.text('unit') or 'no unit'}")
    if row.text("per").lower() not in _PER:
        raise NotPredicted("per what is not known", row.text("per"))
    return units[row.text("unit")]


def _overlap(row: Row) -> str:
    """How the engine hides messages; a column that only the table of defaults fills, or a user."""
    text = row.text("overlap").lower()
    if text not in ("", "two-batch"):
        raise NotPredicted("a cell is not what its column means", f"overlap is two-batch or blank, found {text}")
    return text


def _entry(row: Row) -> Mapping[str, Any]:
    """What the table of names says of a row's machine; empty where the row has a name of the catalog."""
    return next((entry for entry in table("names", "machine")
                 if row.text("hardware") == entry.get("hardware") or row.text("hw_key") == entry.get("key")),
                {})  # fmt: skip


def _machine(row: Row, entry: Mapping[str, Any]) -> tuple[str, int]:
    """The chip of a row by its name in the catalog, and how many of them."""
    tried = [entry["name"]] if entry else [row.text("hw_key"), row.text("hardware")]
    found = next(filter(_is_machine, map(resolve, filter(None, tried))), None)
    if found is None:
        raise NotPredicted("machine not in the catalog", row.text("hw_key") or row.text("hardware"))
    return found.texts["chip"] if found.kind == "system" else found.name, _chips(row, found) * entry.get("chips", 1)


def _is_machine(found: Entry | None) -> bool:
    return found is not None and found.kind in ("accelerator", "system")


def _chips(row: Row, found: Entry) -> int:
    """The chips that the row states, else the product of its degrees, else all of a system."""
    degrees = [row.number(column) for column in ("tp", "pp", "dp", "cp")]
    stated = row.number("n_chips")
    if stated is None and any(degrees):
        stated = math.prod(degree or 1.0 for degree in degrees)
    if stated is None and found.kind == "system":
        stated = float(_system(found.name, None).chips)
    if stated is None:
        raise NotPredicted("number of chips not stated")
    return int(stated)


@functools.cache
def _system(name: str, chips: int | None) -> System:
    try:
        return load_system(name if chips is None else f"{name}:{chips}")
    except HeadwayError as error:
        raise NotPredicted("machine not in the catalog", str(error)) from None


@functools.cache
def _linked(name: str, chips: int, figures: tuple[tuple[str, float], ...]) -> tuple[System, str]:
    """One server with the figures that the table of names adds; always the same object for the same words."""
    return linked(changed_system(_system(name, chips), dict(figures)))


def _load(row: Row) -> tuple[tuple[str, str, float], float]:
    """What the batch is: the kind of load, what the number counts, the most there can be, and the number."""
    kind = row.text("batch_kind")
    entry = first("loads", "kind", row)
    if entry is None:
        raise NotPredicted("kind of batch not known", kind)
    if "reason" in entry:
        raise NotPredicted(entry["reason"])
    if entry["load"] == "saturated":
        return ("saturated", "", float(entry.get("most", math.inf))), 0.0
    if entry["load"] == "open":
        try:
            rate = float(kind.partition("=")[2])
        except ValueError:
            rate = 0.0
        if not 1e-9 <= rate <= 1e9:
            raise NotPredicted("kind of batch not known", kind)
        return ("open", "", math.inf), rate
    number = row.number("batch") if "batch" not in entry else float(entry["batch"])
    of = entry.get("of", "")
    if number is None:
        if of != "chip":
            raise NotPredicted("batch not stated")
        return ("saturated", "", math.inf), 0.0  # so many as fit on a chip
    return ("closed" if kind.lower() == "concurrency" else "static", of, math.inf), number


def _lengths(row: Row, asked: str) -> tuple[float, float, float]:
    """Tokens of a prompt, of an answer, and that an average decode step reads; what is not needed may be a guess."""
    prompt, output, context = (row.number(column) for column in ("input_len", "output_len", "avg_context"))
    of_prefill = row.text("phase") == "prefill"
    if (asked in WITH_PROMPT or (asked == "mfu" and of_prefill)) and not prompt:
        raise NotPredicted("prompt length not stated")
    if asked in WITH_OUTPUT and not output:
        raise NotPredicted("output length not stated")
    if context is None and prompt is not None:
        context = prompt + (output or 0.0) / 2
    if context is None and (asked in WITH_DECODE or (asked == "mfu" and not of_prefill)):
        raise NotPredicted("context not stated")
    if prompt is None and context is not None:
        prompt = max(0.0, context - (output or 0.0) / 2)
    return prompt or 0.0, max(output or 1.0, 1.0), context or 0.0


def _per_server(load: tuple[str, str, float], number: float, laid: Laid, prompt: float) -> tuple[float, float]:
    """The batch of one server, in whole sequences, and the rate at which requests reach it."""
    kind, of, _ = load
    if kind == "open":
        return 0.0, number / laid.servers
    if of == "chip":
        return number * laid.chips, 0.0
    if of == "chip-tokens" and not prompt:
        raise NotPredicted("prompt length not stated")
    if of == "chip-tokens":
        return max(1.0, round(number * laid.chips / prompt)), 0.0
    return float(-(-number // laid.servers)), 0.0
