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

from headway import catalog
from headway.catalog import Entry, resolve
from headway.errors import HeadwayError, neighbours
from headway.hardware import System, changed_system, load_system, name_and_count
from headway.model.model import Model
from headway.validate.filling import WRONG_CELL, Laid, NotPredicted, fill, lay_out, linked, refused, rule
from headway.validate.formats import model_of, stand_ins
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
_RATES = {"tokens/s": 1.0, "tok/s": 1.0}
_UNITS: Mapping[str, Mapping[str, float]] = {
    "decode time": _TIMES, "prefill time": _TIMES, "request time": _TIMES, "64 steps": _TIMES,
    "decode rate": _RATES, "prefill rate": _RATES, "output rate": _RATES,
    "weight bandwidth": {"gb/s": 1e9}, "memory": {"gb": 1e9}, "mfu": {"fraction": 1.0, "percent": 0.01},
}  # fmt: skip
_PER = ("", "chip", "node(8)", "system", "user")
_LOADS = "static, concurrency, sequences_per_chip, tokens_per_chip, max_load or qps=2"
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
        raise NotPredicted(WRONG_CELL, row.wrong)
    asked = _asked(row)
    if row.text("spec_decode").lower() not in _PLAIN:
        raise refused(row, "speculative decoding", "spec_decode", "no, or blank")
    row = fill(row)
    model = model_of(row)
    load, number = _load(row)
    entry = _entry(row)
    spec, chips, counted = _machine(row, entry)
    whole = _system(spec, chips)
    laid, default = lay_out(row, model, whole, chips)
    (prompt, output, context), guess = _lengths(row, asked)
    batch, rate = _per_server(row, load, number, laid, prompt)
    earlier = 0.0
    if asked in WITH_PROMPT and row.number("avg_context") is not None and row.number("output_len") is not None:
        earlier = max(0.0, context - prompt - output / 2)  # of a longer dialogue: cached before the prompt
    system, link = _linked(spec, laid.chips, tuple(entry.get("figures", {}).items()))
    filled = (*row.filled, *stand_ins(row), *filter(None, (_stand_in(entry), counted, default, guess, link)))
    return Case(row, model, system, chips, laid, asked, _unit(row, asked), load[0], batch, rate, prompt, output,
                context, earlier, load[2], _overlap(row), filled)  # fmt: skip


def _asked(row: Row) -> str:
    metric = row.text("metric")
    if metric in NO_PASS:
        raise NotPredicted("an account of production, not a pass")
    if metric not in METRICS:
        near = [name for name in neighbours(metric, METRICS) if metric]
        raise refused(row, "metric not known", "metric", " or ".join(near) or f"one of {', '.join(METRICS)}")
    return METRICS[metric]


def _unit(row: Row, asked: str) -> float:
    units, unit = _UNITS[asked], row.text("unit").lower()
    if unit not in units:
        raise refused(row, "unit not known", "unit", f"{' or '.join(units)} for {row.text('metric')}")
    if row.text("per").lower() not in _PER:
        raise refused(row, "per what is not known", "per", f"{', '.join(_PER[1:-1])} or {_PER[-1]}")
    return units[unit]


def _overlap(row: Row) -> str:
    """How the engine hides messages; a column that only the table of defaults fills, or a user."""
    text = row.text("overlap").lower()
    if text not in ("", "two-batch"):
        raise refused(row, WRONG_CELL, "overlap", "two-batch, or blank")
    return text


def _entry(row: Row) -> Mapping[str, Any]:
    """What the table of names says of a row's machine; empty where the row has a name of the catalog."""
    return next((entry for entry in table("names", "machine")
                 if row.text("hardware") == entry.get("hardware") or row.text("hw_key") == entry.get("key")),
                {})  # fmt: skip


def _stand_in(entry: Mapping[str, Any]) -> str:
    return f"machine ({entry.get('hardware') or entry['key']} as {entry['name']})" if entry else ""


def _machine(row: Row, entry: Mapping[str, Any]) -> tuple[str, int, str]:
    """The chip of a row by its name in the catalog, how many of them, and the default that says how many."""
    tried = [entry["name"]] if entry else [row.text("hw_key"), row.text("hardware")]
    found = next(filter(None, map(_named, filter(None, tried))), None)
    if found is None:
        column = "hw_key" if row.text("hw_key") else "hardware"
        raise NotPredicted("machine not in the catalog", f"{column}: {_why_unknown(row.text(column))}")
    kind, written = found
    chips, default = _chips(row, kind, written)
    return kind.texts["chip"] if kind.kind == "system" else kind.name, chips * entry.get("chips", 1), default


def _named(text: str) -> tuple[Entry, str] | None:
    """The chip or system that a text names, as `--on` reads it, and the text where it says how many; else None."""
    found, counted = resolve(text), ""
    if found is None:
        try:
            name, _ = name_and_count(text)
        except HeadwayError:
            return None
        found, counted = resolve(name), text
    return (found, counted) if found is not None and found.kind in ("accelerator", "system") else None


def _why_unknown(text: str) -> str:
    try:
        catalog.entry(name_and_count(text)[0], "accelerator", "system")
    except HeadwayError as error:
        return str(error)
    return "not a machine"


def _chips(row: Row, found: Entry, written: str) -> tuple[int, str]:
    """The chips that the row states, or its machine, else the product of its degrees, else all of a system."""
    stated = row.number("n_chips")
    if written:
        own = _system(written, None).chips
        if stated not in (None, own):
            raise refused(row, WRONG_CELL, "n_chips", f"{own}, as {written} says, or blank")
        return own, ""
    degrees = [row.number(column) for column in ("tp", "pp", "dp", "cp")]
    if stated is None and any(degrees):
        return int(math.prod(degree or 1.0 for degree in degrees)), rule("n_chips", "tp x pp x dp x cp")
    if stated is None and found.kind == "system":
        return _system(found.name, None).chips, rule("n_chips", "the system of hw_key")
    if stated is None:
        raise refused(row, "number of chips not stated", "n_chips", f"a count, or one in hw_key: {found.name}:8")
    return int(stated), ""


@functools.cache
def _system(name: str, chips: int | None) -> System:
    try:
        return load_system(name if chips is None else f"{name}:{chips}")
    except HeadwayError as error:
        raise NotPredicted("machine not in the catalog", f"{name}: {error}") from None


@functools.cache
def _linked(name: str, chips: int, figures: tuple[tuple[str, float], ...]) -> tuple[System, str]:
    """One server with the figures that the table of names adds; always the same object for the same words."""
    return linked(changed_system(_system(name, chips), dict(figures)))


def _load(row: Row) -> tuple[tuple[str, str, float], float]:
    """What the batch is: the kind of load, what the number counts, the most there can be, and the number."""
    kind = row.text("batch_kind")
    entry = first("loads", "kind", row)
    if entry is None:
        raise refused(row, "kind of batch not known", "batch_kind", _LOADS)
    if "reason" in entry:
        raise NotPredicted(entry["reason"])
    if entry["load"] == "saturated":  # a batch beside it is the most that the server takes
        return ("saturated", "", float(entry.get("most", row.number("batch") or math.inf))), 0.0
    if entry["load"] == "open":
        try:
            rate = float(kind.partition("=")[2])
        except ValueError:
            rate = 0.0
        if not 1e-9 <= rate <= 1e9:
            raise refused(row, "kind of batch not known", "batch_kind", "a rate after qps=, such as qps=2")
        return ("open", "", math.inf), rate
    number = row.number("batch") if "batch" not in entry else float(entry["batch"])
    of = entry.get("of", "")
    if number is None:
        if of != "chip":
            raise refused(row, "batch not stated", "batch", "the sequences in flight")
        return ("saturated", "", math.inf), 0.0  # so many as fit on a chip
    return ("closed" if kind.lower() == "concurrency" else "static", of, math.inf), number


def _lengths(row: Row, asked: str) -> tuple[tuple[float, float, float], str]:
    """Tokens of a prompt, of an answer, and that an average decode step reads; and the default that gave the last.

    What is not needed may be a guess.
    """
    needs_context = asked in WITH_DECODE or (asked == "mfu" and row.text("phase") != "prefill")
    prompt, output, context = (row.number(column) for column in ("input_len", "output_len", "avg_context"))
    of_prefill = row.text("phase") == "prefill"
    if (asked in WITH_PROMPT or (asked == "mfu" and of_prefill)) and not prompt:
        raise _too_short(row, "prompt", "input_len")
    if asked in WITH_OUTPUT and not output:
        raise _too_short(row, "output", "output_len")
    default = rule("avg_context", "the middle of the answer") if context is None and needs_context else ""
    if context is None and prompt is not None:
        context = prompt + (output or 0.0) / 2
    if context is None and needs_context:
        raise refused(row, "context not stated", "avg_context", "tokens that a step reads, or input_len and output_len")
    if prompt is None and context is not None:
        prompt = max(0.0, context - (output or 0.0) / 2)
    return (prompt or 0.0, max(output or 1.0, 1.0), context or 0.0), default


def _too_short(row: Row, what: str, column: str) -> NotPredicted:
    """A length that is needed and blank, or 0."""
    blank = row.number(column) is None
    return refused(row, f"{what} length not stated" if blank else WRONG_CELL, column, "at least 1 token")


def _per_server(
    row: Row, load: tuple[str, str, float], number: float, laid: Laid, prompt: float
) -> tuple[float, float]:
    """The batch of one server, in whole sequences, and the rate at which requests reach it."""
    kind, of, _ = load
    if kind == "open":
        return 0.0, number / laid.servers
    if of == "chip":
        return number * laid.chips, 0.0
    if of == "chip-tokens" and not prompt:
        raise _too_short(row, "prompt", "input_len")
    if of == "chip-tokens":
        return max(1.0, round(number * laid.chips / prompt)), 0.0
    return float(-(-number // laid.servers)), 0.0
