"""`headway catalog`: list, search and show facts with their sources; machines by generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import Parser
from headway.errors import BadInput

KINDS = {"accelerators": "accelerator", "systems": "system", "memory-tiers": "memory_tier", "models": "model"}
EPILOG = """\
  headway catalog                      what there is
  headway catalog accelerators rtx     search a kind
  headway catalog gb200-nvl72          every figure of one entry, with its source
  headway catalog generations          ridge, drain, links and largest model, by system
  headway catalog generations --chips  the same for every accelerator

Your own entries: TOML files in ~/.config/headway/catalog, or in the folder named by HEADWAY_CATALOG.
"""


def parser() -> Parser:
    """The options of `headway catalog`."""
    options = Parser("catalog", "Chips, systems, memory tiers and models: facts with source and date.", EPILOG)
    options.add_argument("kind", nargs="?", metavar="KIND",
                         help="accelerators, systems, memory-tiers, models, generations; or an entry")  # fmt: skip
    options.add_argument("name", nargs="?", metavar="NAME", help="the name of an entry, or a part of it to search for")
    options.add_argument("--chips", action="store_true", help="with generations: every accelerator")
    options.add_output_options()
    return options


def main(arguments: Sequence[str]) -> int:
    """List, search or show."""
    args = parser().read(arguments)
    kind = args.kind and args.kind.lower().replace("_", "-")
    if kind in ("generations", "generation"):
        return _generations(args)
    if args.chips:
        raise BadInput("--chips goes with: headway catalog generations")
    plural = next((p for p, k in KINDS.items() if kind in (p, k.replace("_", "-"))), None)
    if plural is None and args.kind is not None:
        if args.name is not None:
            from headway.errors import UnknownName  # noqa: PLC0415

            raise UnknownName("kind of entry", args.kind, [*KINDS, "generations"])
        return _show_or_search(args, None, args.kind)
    if args.name is not None:
        return _show_or_search(args, KINDS[plural or ""], args.name)
    return _list(args, [KINDS[plural]] if plural else list(KINDS.values()))


def _names(kind: str) -> dict[str, str]:
    """Name and title of every entry of a kind."""
    from headway import catalog  # noqa: PLC0415

    if kind == "model":
        return {name: facts["hf_id"] for name, facts in catalog.model_names().items()}
    return {name: entry.title for name, entry in catalog.entries(kind).items()}


def _list(args: Any, kinds: list[str]) -> int:
    from headway.cli.output import print_json, table, wrapped  # noqa: PLC0415

    found = {kind: _names(kind) for kind in kinds}
    if args.json:
        print_json({f"{kind}s": list(names) for kind, names in found.items()})
    elif len(kinds) == 1:
        print(table(["name", "what"], [[n, t] for n, t in found[kinds[0]].items()], left=2))
    else:
        for plural, kind in KINDS.items():
            print(f"{len(found[kind])} {plural}")
            print(wrapped(", ".join(found[kind]), "  "))
        print("\nheadway catalog NAME shows one with its sources; headway catalog generations compares machines.")
    return 0


def _show_or_search(args: Any, kind: str | None, name: str) -> int:
    """The entry of that name; failing that, every entry whose name or title contains it."""
    from headway import catalog  # noqa: PLC0415
    from headway.errors import UnknownName  # noqa: PLC0415

    if kind in (None, "model") and (model := catalog.read_model(name)) is not None:
        return _show_model(args, *model)
    if kind != "model":
        entry = catalog.resolve(name)
        if entry is not None and kind in (None, entry.kind):
            return _show(args, entry)
    hits = {
        n: t for k in ([kind] if kind else KINDS.values()) for n, t in _names(k).items()
        if name.lower() in n or name.lower() in t.lower()
    }  # fmt: skip
    if not hits:
        every = [n for k in ([kind] if kind else KINDS.values()) for n in _names(k)]
        raise UnknownName(
            kind.replace("_", " ") if kind else "catalog entry", name, every, where="headway catalog lists them"
        )
    from headway.cli.output import print_json, table  # noqa: PLC0415

    if args.json:
        print_json({"matches": list(hits)})
    else:
        print(table(["name", "what"], [[n, t] for n, t in hits.items()], left=2))
    return 0


def _show(args: Any, entry: Any) -> int:
    from headway import catalog  # noqa: PLC0415
    from headway.cli.output import print_json, table, wrapped  # noqa: PLC0415
    from headway.units import format_si  # noqa: PLC0415

    wanted = [word for word in catalog.vocabulary().values() if entry.kind in word.of]
    if args.json:
        figures = {word.name: entry.figures[word.name].value if word.name in entry.figures else None for word in wanted}
        gaps = {f"{w.name}_reason": _why(entry.figure(w.name)) for w in wanted if w.name not in entry.figures}
        sources = {n: [r.where for r in q.origin.references] for n, q in entry.figures.items()}
        notes = {n: q.origin.note for n, q in entry.figures.items() if q.origin.note}
        out = {"name": entry.name, "kind": entry.kind, "title": entry.title, **dict(entry.texts), **figures, **gaps}
        print_json(out | {"aliases": list(entry.aliases), "sources": sources, "figure_notes": notes})
        return 0
    shown = [entry.figures[word.name] for word in wanted if word.name in entry.figures]
    pages = list(dict.fromkeys(reference for figure in shown for reference in figure.origin.references))
    pages += [page for page in entry.references if page not in pages]
    marks = "".join(f" [{pages.index(page) + 1}]" for page in entry.references)
    told = [
        f"{name.replace('_', ' ')}: {text}{marks * (name == 'launch')}"
        for name, text in entry.texts.items()
        if name != "notes"
    ]
    if entry.aliases:
        told.append(f"also called: {', '.join(entry.aliases)}")
    print(f"{entry.title} ({entry.name})")
    print(wrapped("; ".join(told)))
    rows = []
    for word in wanted:
        figure = entry.figures.get(word.name)
        if figure is not None:
            marks = " ".join(f"[{pages.index(r) + 1}]" for r in figure.origin.references)
            value = f"{figure.value:,.0f}" if word.unit == "chips" else format_si(figure.value, word.unit, 4)
            rows.append([word.name, value, f"{marks} {figure.origin.note}".strip()])
    print("\n" + table(["figure", "value", "source, note"], rows, left=3))
    gaps_ = [word.name for word in wanted if word.name not in entry.figures]
    if gaps_:
        print("\n" + wrapped(f"Not published in what was read: {', '.join(gaps_)}."))
    if entry.texts.get("notes"):
        print("\n" + wrapped(f"Note: {entry.texts['notes']}"))
    print("\n" + "\n".join(f"[{i}] {page.where} (read {page.checked})" for i, page in enumerate(pages, start=1)))
    return 0


def _why(gap: Any) -> str:
    """Why a figure is missing, without the remedy: there is no --set here."""
    reason: str = gap.gap.partition("; supply")[0]
    return reason


def _show_model(args: Any, name: str, facts: Any, config: Any) -> int:
    from headway.cli.output import print_json, table  # noqa: PLC0415

    if args.json:
        print_json({"name": name, "kind": "model", **dict(facts), "config": dict(config)})
        return 0
    print(f"{facts['hf_id']} ({name}); headway model {name} counts it")
    rows = [[key.replace("_", " "), str(value)] for key, value in facts.items() if key not in ("hf_id", "aliases")]
    print(table(["fact", "value"], rows, left=2))
    return 0


def _generations(args: Any) -> int:
    from headway.cli.output import print_json, table, wrapped  # noqa: PLC0415
    from headway.explanation import explain  # noqa: PLC0415
    from headway.generations import generation, generations  # noqa: PLC0415
    from headway.hardware import load_system  # noqa: PLC0415

    machines = [generation(load_system(args.name))] if args.name else generations(chips=args.chips)
    if args.json:
        derived = [
            _machine_json(m) | ({"explanation": explain(m).splitlines()} if args.explain else {}) for m in machines
        ]
        print_json({"generations": derived})
        return 0
    rows = [_machine_row(m) for m in machines]
    print(table(_HEADER, rows, left=2))
    print("\n" + wrapped(
        "Ridge: multiply-adds in the time one parameter is read, at bf16 / at fp8. Drain: capacity over bandwidth. "
        "Links: one way and per chip, inside the scale-up domain / out of it, and how much faster inside. Largest: "
        "parameters at fp8 of the largest model when half of 90 % of the domain's memory is left to KV cache. A dash "
        "is a figure that no source gave."
    ))  # fmt: skip
    for label, key in (("Power is of", "power_scope"), ("Cables", "cables")):
        told = [
            f"{m.system.name}: {m.system.rack.texts[key]}"
            for m in machines
            if m.system.rack and m.system.rack.texts.get(key)
        ]
        if told:
            print(wrapped(f"{label}: {'; '.join(told)}."))
    if args.explain:
        for machine in machines:
            print(f"\n{machine.system.name}\n{explain(machine)}")
    return 0


_HEADER = ["machine", "launch", "chips", "memory", "bandwidth", "ridge", "drain", "links GB/s", "ratio", "W/chip",
           "power kW", "kg", "largest"]  # fmt: skip
_COLUMNS = ("domain_memory_bytes", "bandwidth_bytes_per_s", "ridge_bf16", "ridge_fp8", "drain_s",
            "scaleup_bytes_per_s", "scaleout_bytes_per_s", "scaleup_over_scaleout", "chip_power_w", "power_w",
            "weight_kg", "largest_model_params")  # fmt: skip


def _machine_row(machine: Any) -> list[str]:
    from headway.units import format_si  # noqa: PLC0415

    def cell(name: str, scale: float = 0) -> str:
        quantity = machine.sheet[name].quantity
        if quantity.value is None:
            return "-"
        unit = "1" if scale else quantity.unit
        return format_si(quantity.value / (scale or 1), unit).removesuffix(" params")

    return [
        machine.system.name, machine.system.chip.texts.get("launch", "-"), f"{machine.system.domain_chips:,}",
        cell("domain_memory_bytes"), cell("bandwidth_bytes_per_s"), f"{cell('ridge_bf16')}/{cell('ridge_fp8')}",
        cell("drain_s"), f"{cell('scaleup_bytes_per_s', 1e9)}/{cell('scaleout_bytes_per_s', 1e9)}",
        cell("scaleup_over_scaleout"), cell("chip_power_w", 1), cell("power_w", 1e3), cell("weight_kg", 1),
        cell("largest_model_params"),
    ]  # fmt: skip


def _machine_json(machine: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"system": machine.system.name, "chip": machine.system.chip.name}
    out |= {"launch": machine.system.chip.texts.get("launch", ""), "domain_chips": machine.system.domain_chips}
    for name in _COLUMNS:
        quantity = machine.sheet[name].quantity
        out[name] = quantity.value
        if quantity.value is None:
            out[f"{name}_reason"] = _why(quantity)
    if machine.system.rack:
        out["cables"] = machine.system.rack.texts.get("cables", "")
    return out
