"""`headway model M --kv-techniques --on S`: which KV technique saves most, alone and together."""

from __future__ import annotations

import argparse
from typing import Any

from headway.cli.arguments import Parser, axis, read_changes
from headway.errors import BadInput

_FIGURES = ("stored_bytes_per_sequence", "read_bytes_per_token", "step_s", "cost_per_mtok_usd", "largest_batch",
            "cost_per_mtok_usd_at_largest_batch")  # fmt: skip
_SAVED = {
    "saves_stored_share": "stored_bytes_per_sequence",
    "saves_read_share": "read_bytes_per_token",
    "saves_step_share": "step_s",
}
_PRODUCTS = {"stored_over_product": "stored_bytes_per_sequence", "read_over_product": "read_bytes_per_token"}
_SETS = 6  # of the sets that go together, as many as a table shows of pairs, and of larger ones
_WORDS = {
    "step": "takes least time",
    "stored": "stores least in HBM",
    "read": "reads least",
    "cost": "costs least",
    "largest-batch": "costs least with the memory full",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that the ranking has of its own."""
    parser.add_argument("--kv-techniques", action="store_true",
                        help="rank KV techniques on a machine: which saves most, alone and together")  # fmt: skip
    parser.add_argument("--on", metavar="SYSTEM", help="the machine: h100-sxm:8, gb200-nvl72, or a TOML file")
    parser.add_argument("--batch", metavar="N", help="sequences in a step (default 8)")
    parser.add_argument("--context", metavar="N", help="tokens of each sequence (default 128k)")
    parser.add_argument("--by", default="step", metavar="MEASURE",
                        help="rank by step, stored, read, cost or largest-batch (default step)")  # fmt: skip
    parser.add_argument("--price", metavar="RATE", help="rent of one chip, such as $2/h (default: the catalog's)")


def main(args: argparse.Namespace, model: Any) -> int:
    """Rank the techniques for a model, its config unchanged by --set, and print the answer."""
    found = answer(model, args)
    if args.json:
        from headway.cli.output import print_json  # noqa: PLC0415

        print_json(as_json(found, explain=args.explain))
    else:
        print(as_text(found, explain=args.explain))
    return 0


def answer(model: Any, args: argparse.Namespace) -> Any:
    """The ranking that the options ask for."""
    from headway.hardware import load_system  # noqa: PLC0415
    from headway.step.question import Question  # noqa: PLC0415
    from headway.techniques.ranking import DEFAULT_CONTEXT_TOKENS, ranking  # noqa: PLC0415

    if args.on is None:
        raise BadInput("--kv-techniques needs a machine: --on h100-sxm:8")
    changes: dict[str, object] = dict(read_changes(args.changes))
    if args.price is not None:
        if "rental_usd_per_s" in changes:
            raise BadInput("give --price or --set rental_usd_per_s, not both")
        changes["rental_usd_per_s"] = args.price
    batch, tokens = _one(args.batch, "sequences", "--batch"), _one(args.context, "tokens", "--context")
    return ranking(
        model,
        load_system(args.on),
        batch=Question.batch if batch is None else batch,
        context_tokens=DEFAULT_CONTEXT_TOKENS if tokens is None else tokens,
        by=args.by,
        changes=changes,
    )


def _one(text: str | None, unit: str, option: str) -> float | None:
    """One number; a list or a range is refused, for a ranking has one question."""
    if text is None:
        return None
    value = axis(text, unit)
    if isinstance(value, list):
        raise BadInput(f"{option} takes one number with --kv-techniques, found {text!r}")
    return value


# JSON


def as_json(found: Any, *, explain: bool = False) -> dict[str, Any]:
    """The answer as one object: null where a figure has none, with the reason beside it."""
    out: dict[str, Any] = {
        "model": found.model.name,
        "system": found.case.system.name,
        "context_tokens": found.case.context_tokens,
        "batch": found.case.batch,
        "by": found.by,
        "baseline": _figures(found.baseline) | {"kv_dtype": found.model.kv_dtype.name},
        "techniques": [_alone(found, row) for row in found.alone],
        "together": [_together(found, row) for row in found.together],
        "between_turns": _between_turns(found.turns),
        "notes": notes(found),
    }
    if explain:
        out["explanation"] = _derivation(found).splitlines()
    return out


def _figures(figures: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in _FIGURES:
        out[name] = figures.value(name)
        if out[name] is None:
            out[f"{name}_reason"] = figures.reasons[name]
    out["fits"] = figures.fits
    if figures.link_bytes_per_token:
        out["link_bytes_per_token"] = figures.link_bytes_per_token
    return out


def _shares(found: Any, row: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, name in _SAVED.items():
        out[key] = found.saved(row.figures, name)
        if out[key] is None:
            ours, base = row.figures.reasons.get(name), found.baseline.reasons.get(name)
            out[f"{key}_reason"] = ours or f"nothing to compare with: the model as it is {base}"
    return out


def _alone(found: Any, row: Any) -> dict[str, Any]:
    (technique,) = row.techniques
    out: dict[str, Any] = {"name": technique.name, "what": technique.what, "applies": row.figures is not None}
    out["why_not"] = row.why_not
    if row.figures is None:
        for key in (*_FIGURES, "fits", *_SAVED):
            out |= {key: None, f"{key}_reason": row.why_not}
    else:
        out |= _figures(row.figures) | _shares(found, row)
    figures = found.settings.parameters(technique)
    out["parameters"] = {name: figure.value for name, figure in figures.items()}
    out["parameters_from"] = {name: _origin(figure) for name, figure in figures.items()}
    return out | {"source": technique.source}


def _origin(figure: Any) -> str:
    from headway.explanation import origin_text  # noqa: PLC0415

    pages = "".join(f"; {page.where} (read {page.checked})" for page in figure.origin.references)
    return origin_text(figure.origin) + pages


def _together(found: Any, row: Any) -> dict[str, Any]:
    out = {"names": list(row.names)} | _figures(row.figures) | _shares(found, row)
    for key, name in _PRODUCTS.items():
        out[key] = found.over_product(row, name)
        if out[key] is None:
            out[f"{key}_reason"] = "one of them leaves nothing of it"
    return out


def _between_turns(turns: Any) -> dict[str, Any]:
    """Between turns, per token held: bytes, rent, moves, and the times from which another place is the cheaper."""
    places = []
    for key, title in (("hbm", "HBM"), *((place.key, place.title) for place in turns.places)):
        row: dict[str, Any] = {"name": key, "title": title}
        for name, cell, factor in (
            ("hold_usd_per_mtok_h", f"{key}_holding_usd_per_s", 3600e6),
            ("moves_usd_per_mtok", f"{key}_moves_usd", 1e6),
            ("cheaper_than_hbm_after_s", f"{key}_cheaper_than_hbm_after_s", 1.0),
            ("recompute_cheaper_after_s", f"{key}_recompute_after_s", 1.0),
        ):
            if cell in turns.sheet:
                _put(row, name, turns.sheet, cell, factor)
        places.append(row)
    out: dict[str, Any] = {}
    _put(out, "held_bytes_per_token", turns.sheet, "held_bytes_per_token", 1.0)
    _put(out, "recompute_usd_per_mtok", turns.sheet, "recompute_usd_per_token", 1e6)
    return out | {"places": places}


def _put(out: dict[str, Any], key: str, sheet: Any, cell: str, factor: float) -> None:
    import math  # noqa: PLC0415

    value = sheet.value(cell)
    finite = value is not None and math.isfinite(value)
    out[key] = float(value) * factor if finite else None
    if not finite:
        never = "never: it costs no less, at any time" if value == math.inf else "holding and moving cost nothing"
        out[f"{key}_reason"] = sheet[cell].quantity.gap or never


# Text


def as_text(found: Any, *, explain: bool = False) -> str:
    """The answer in a sentence, the tables, what the techniques are, and what the numbers rest on."""
    from headway.cli.output import folded, wrapped  # noqa: PLC0415

    parts = [wrapped(line) for line in _head(found)]
    parts += ["", _table(found)]
    none = [row for row in found.alone if row.figures is None]
    if none:
        parts += ["", "Do not apply", *(wrapped(f"{row.names[0]}: {row.why_not}", "  - ") for row in none)]
    if found.together:
        parts += ["", "Together", _together_table(found)]
    useful = [row for row in found.alone if row.figures is not None]
    if useful:
        parts += ["", "Between turns, for a million tokens held", _turns_table(found.turns)]
        parts += ["", "What they do (--set NAME=VALUE changes a figure)"]
        parts += [wrapped(_described(found, row), "  - ") for row in useful]
    parts += ["", "Notes", *(wrapped(note, "  - ") for note in notes(found))]
    if explain:
        parts += ["", *map(folded, _derivation(found).splitlines())]
    return "\n".join(parts)


def _at(found: Any) -> str:
    batch, tokens = found.case.batch, found.case.context_tokens
    carried = "" if found.by == "largest-batch" else f" and {batch:,.0f} sequence{'s' * (batch != 1)}"
    return f"At {tokens:,.0f} token{'s' * (tokens != 1)}{carried}"


def _head(found: Any) -> list[str]:
    """Which technique saves most, alone and together, and against what."""
    from headway.techniques.ranking import MEASURES  # noqa: PLC0415

    measure, where = MEASURES[found.by], f"{found.model.name} on {found.case.system.name}"
    best = next((row for row in found.alone if row.figures is not found.baseline and _ranks(row, measure)), None)
    as_it_is = f"as it is, {_said(found.baseline, found.by)}"
    if best is None:
        first = found.alone[0]
        why = first.why_not or f"with {first.names[0]} alone, {_said(first.figures, found.by)}"
        return [f"{_at(found)}, no technique is of use to {where}: {why}; {as_it_is}."]
    saved = found.saved(best.figures, measure)
    says = f"{where} {_WORDS[found.by]}, {_said(best.figures, found.by)}"
    opening = "saves most" if saved is None or saved > 0 else "is the best there is, and saves nothing"
    lines = [f"{_at(found)}, {best.names[0]} {opening}: {says}; {as_it_is}."]
    whole = next((row for row in found.together if _ranks(row, MEASURES[found.by])), None)
    if whole is not None:
        lines.append(f"Together: {_short(whole)}: {_said(whole.figures, found.by)}.")
    return lines


def _ranks(row: Any, measure: str) -> bool:
    return row.figures is not None and row.figures.value(measure) is not None


def _said(figures: Any, by: str) -> str:
    """The figures of a measure in words."""
    from headway.units import format_si  # noqa: PLC0415

    value = figures.value
    if by == "stored":
        return f"{format_si(value('stored_bytes_per_sequence'), 'B')} a sequence"
    if by == "read":
        return f"{format_si(value('read_bytes_per_token'), 'B')} for each new token"
    if by == "largest-batch":
        largest, cost = value("largest_batch"), value("cost_per_mtok_usd_at_largest_batch")
        if cost is None:
            return str(figures.reasons["cost_per_mtok_usd_at_largest_batch"])
        return f"${format_si(cost, '1')}/Mtok with {largest:,.0f} sequences"
    if value("step_s") is None:
        return f"it {figures.reasons['step_s']}" if not figures.fits else str(figures.reasons["step_s"])
    cost = value("cost_per_mtok_usd")
    money = "cost not known" if cost is None else f"${format_si(cost, '1')}/Mtok"
    return f"{format_si(value('step_s'), 's')} a step, {money}"


def _short(row: Any) -> str:
    return " + ".join(technique.short for technique in row.techniques)


_HEADER = ("stored GB", "read GB", "step ms", "saves", "$/Mtok", "batch that fits", "$/Mtok then")


def _table(found: Any) -> str:
    """The model as it is, and each technique alone."""
    from headway.cli.output import table  # noqa: PLC0415

    rows = [["as it is", *_cells(found, found.baseline)]]
    rows += [[row.names[0], *_cells(found, row.figures)] for row in found.alone if row.figures is not None]
    return table(["technique", *_HEADER], rows, left=1)


def _cells(found: Any, figures: Any) -> list[str]:
    """The figures of a row; what does not fit, or is not known, has no number."""
    from headway.techniques.ranking import MEASURES  # noqa: PLC0415
    from headway.units import format_si  # noqa: PLC0415

    def number(name: str, factor: float = 1.0) -> str:
        value = figures.value(name)
        return "-" if value is None else format_si(value * factor, "1")

    largest = figures.value("largest_batch")
    saved = None if figures is found.baseline else found.saved(figures, MEASURES[found.by])
    step = number("step_s", 1e3) if figures.fits else "no fit"
    return [
        number("stored_bytes_per_sequence", 1e-9),
        number("read_bytes_per_token", 1e-9),
        step,
        "" if saved is None else f"{round(saved * 100):,}%",
        number("cost_per_mtok_usd"),
        "-" if largest is None else f"{largest:,.0f}",
        number("cost_per_mtok_usd_at_largest_batch"),
    ]


def _together_table(found: Any) -> str:
    """The best sets and the best pairs, with how far they are from multiplying."""
    from headway.cli.output import table  # noqa: PLC0415

    pairs = [row for row in found.together if len(row.techniques) == 2][:_SETS]
    larger = [row for row in found.together if len(row.techniques) > 2][:_SETS]
    shown = [row for row in found.together if row in (*pairs, *larger)]
    rows = []
    for row in shown:
        product = found.over_product(row, "read_bytes_per_token")
        stored, read, step, saved, money, _, full = _cells(found, row.figures)
        rows.append([_short(row), stored, read, step, saved, money, full, "-" if product is None else f"{product:.2f}"])
    hidden = len(found.together) - len(shown)
    header = ["set", "stored GB", "read GB", "step ms", "saves", "$/Mtok", "$ full", "x alone"]
    more = f"\n({hidden:,} more sets; --json has them all)" if hidden else ""
    return table(header, rows, left=1) + more


def _turns_table(turns: Any) -> str:
    """Where an idle cache is cheapest, by how long it is idle."""
    from headway.cli.output import table  # noqa: PLC0415
    from headway.units import format_si  # noqa: PLC0415

    figures = _between_turns(turns)

    def cell(row: dict[str, Any], key: str, unit: str = "") -> str:
        value = row.get(key)
        if value is None:
            return "" if key not in row else "-"
        return format_si(value, unit) if unit else f"${format_si(value, '1')}"

    rows = [
        [row["title"], cell(row, "hold_usd_per_mtok_h"), cell(row, "moves_usd_per_mtok"),
         cell(row, "cheaper_than_hbm_after_s", "s"), cell(row, "recompute_cheaper_after_s", "s")]
        for row in figures["places"]
    ]  # fmt: skip
    rows.append(["made again (rematerialisation)", "", cell(figures, "recompute_usd_per_mtok"), "", ""])
    return table(["where", "an hour", "there and back", "beats HBM after", "remat after"], rows, left=1)


def _described(found: Any, row: Any) -> str:
    (technique,) = row.techniques
    figures = ", ".join(found.settings.parameters(technique))
    return f"{technique.name} ({technique.short}): {technique.what}{f' [{figures}]' if figures else ''}"


def notes(found: Any) -> list[str]:
    """What a reader must know to use the numbers."""
    model, sheet = found.model, found.baseline.answer.sheet
    lines = ["these techniques change the model: the quality of its answers is not in any number here, and most of "
             "them need a model that was trained with them"]  # fmt: skip
    if model.architecture is None:
        lines.append("attention arithmetic and expert hits are not counted: bare numbers have no architecture")
    else:
        lines.append(
            "the step is that of headway roofline with --refine attention,expert-hits; weights stay as they are: "
            "projections that a latent or an index adds, and those that sharing saves, are not counted"
        )
    lines.append("all chips share the cache evenly; tensor parallelism would keep a latent on every chip")
    useful = {row.names[0] for row in found.alone if row.figures is not None}
    if "offload" in useful:
        lines.append(
            "offload: nothing hides the way over the link; a prefetch could hide no more than the rest of the step; "
            "stored GB is what stays in HBM, and the batch that fits is what the hosts hold too"
        )
    if "rematerialisation" in useful:
        lines.append(
            "rematerialisation: the step is one pass over the context and the new token, at the peak like every step; "
            "windows and states are made again too; a format, a latent and sharing do not go with it, for nothing is "
            "stored that could be less; windows and a choice do, for they change the pass; what a layer holds while "
            "it is computed is not counted, so that no batch is too large"
        )
    lines += [
        "between turns: there and back counts the device and the link, each both ways: a chip waits for its link, and "
        "nothing hides that; remat after: from then on making a cache again is cheaper than holding it there",
        "x alone: what a set reads, over the product of what its parts would leave alone (1.00: they multiply)",
    ]
    if model.positions is not None and found.case.context_tokens > model.positions:
        lines.append(f"{found.case.context_tokens:,.0f} tokens are more than the {model.positions:,} positions of "
                     "the model's config")  # fmt: skip
    link = found.case.link
    if link is not None and link.value is None:
        lines.append(link.gap)
    lines.append(_rent(sheet["rental_usd_per_s"].quantity))
    return [*lines, f"no error bar: {found.baseline.answer.interval_reason('step_s')}"]


def _rent(price: Any) -> str:
    """What a chip costs, who says so and when it was read; or why that is not known."""
    from headway.units import format_si  # noqa: PLC0415

    if price.value is None:
        return str(price.gap)
    dates = sorted({page.checked for page in price.origin.references})
    read = f"read {' and '.join(dates)}" if dates else ""
    told = "; ".join(filter(None, (price.origin.note, read)))
    return f"rent of {format_si(float(price.value), 'USD/s')} a chip, {price.origin.kind}" + (
        f" ({told})" if told else ""
    )


def _derivation(found: Any) -> str:
    """The best technique's figures written out, and those of the time between turns."""
    from headway.explanation import explain  # noqa: PLC0415

    best = next((row for row in found.alone if row.figures is not None), None)
    figures = found.baseline if best is None else best.figures
    name = "The model as it is" if best is None else best.names[0]
    wanted = ["stored_bytes_per_sequence", "read_bytes_per_token", "step_s", "cost_per_token_usd"]
    if figures.value("largest_batch") is not None:
        wanted.append("largest_batch")
    turns = explain(found.turns)
    return f"{name}\n{explain(figures.answer, *wanted)}\n\nBetween turns\n{turns}"


def parser() -> Parser:
    """The ranking as a command of its own."""
    options = Parser("model", "Which KV technique saves most for a model on a system.")
    options.add_model_options()
    add_options(options)
    options.add_set_option("change a figure of a technique, of the pass, the chip or the config")
    options.add_output_options()
    return options
