"""What one entry of the catalog is, and the check that a table of TOML is one."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from headway.errors import BadInput, UnknownName, shown
from headway.provenance import Origin, Quantity, Reference
from headway.units import parse, refuse_bare_price

DATA = files("headway.catalog") / "data"

# Words, not figures: what a reader wants to know of an entry besides its numbers.
_TEXTS = {
    "accelerator": ("vendor", "device_class", "status", "launch", "memory_kind", "fp4_format", "notes"),
    "system": ("chip", "status", "fabric", "topology", "power_scope", "cables", "notes"),
    "memory_tier": ("tier", "unit", "price_date", "notes"),
}
_LISTS = {"accelerator": ("aliases", "launch_from"), "system": ("aliases", "torus"), "memory_tier": ("aliases",)}
LARGEST = 1e30  # beyond any machine; keeps arithmetic on user figures finite
SMALLEST = 1e-30


@dataclass(frozen=True)
class Vocabulary:
    """One quantity of the vocabulary: unit, meaning, and the kinds of entry that have it."""

    name: str
    unit: str
    help: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One accelerator, system or memory tier: its words, and its figures with their sources."""

    kind: str
    name: str
    title: str
    texts: Mapping[str, str]
    figures: Mapping[str, Quantity]
    aliases: tuple[str, ...] = ()
    torus: tuple[int, ...] = ()
    references: tuple[Reference, ...] = field(default=(), repr=False)

    def figure(self, name: str) -> Quantity:
        """A figure, or the gap that stands for it: the quantity without a value, and the reason."""
        if name in self.figures:
            return self.figures[name]
        unit = vocabulary()[name].unit
        remedy = "supply --price '$2/h'" if name == "rental_usd_per_s" else f"supply it with --set {name}=..."
        gap = f"no source gave {name} of {self.name}; {remedy}"
        return Quantity(name, None, unit, Origin("catalog", f"{self.kind} {self.name}"), gap)


@functools.cache
def vocabulary() -> Mapping[str, Vocabulary]:
    """Every quantity that an entry may have."""
    table = tomllib.loads((DATA / "quantities.toml").read_text("utf-8"))
    return {name: Vocabulary(name, r["unit"], r["help"], tuple(r["of"])) for name, r in table.items()}


def canonical(name: str) -> str:
    """The spelling of a name that the catalog uses: lower case, with hyphens.

    >>> canonical("GB200_NVL72"), canonical(" DeepSeek V3 ")
    ('gb200-nvl72', 'deepseek-v3')
    """
    return "-".join(name.strip().lower().replace("_", " ").split())


def read_entry(kind: str, table: Mapping[str, Any], sources: Mapping[str, Reference], where: str) -> Entry:
    """An entry from a table of TOML; a field that is unknown, or a figure in another unit, is refused."""
    if not isinstance(table.get("name"), str) or not canonical(table["name"]):
        raise BadInput(f"{where}: a [[{kind}]] needs a name, such as name = 'my-{kind}'")
    name = canonical(table["name"])
    known = {q.name for q in vocabulary().values() if kind in q.of}
    allowed = known | {"name", "title", *_TEXTS[kind], *_LISTS[kind]}
    figures = {}
    for key, value in table.items():
        if key not in allowed:
            raise _located(f"{where}, {name}", UnknownName(f"field of [[{kind}]]", key, allowed))
        if key in known:
            figures[key] = _figure(key, value, f"{kind} {name}", sources, f"{where}, {name}")
    texts = {key: str(table[key]) for key in _TEXTS[kind] if key in table}
    if kind == "system" and "chip" not in texts:
        raise BadInput(f"{where}, {name}: a system needs a chip, such as chip = 'h100-sxm'")
    return Entry(
        kind,
        name,
        str(table.get("title", name)),
        texts,
        figures,
        aliases=tuple(canonical(alias) for alias in _strings(table, "aliases", where)),
        torus=_torus(table, where),
        references=tuple(_reference(key, sources) for key in _strings(table, "launch_from", where)),
    )


def _figure(name: str, stated: Any, owner: str, sources: Mapping[str, Reference], where: str) -> Quantity:
    """One figure: a bare value, or {value, from, note}."""
    table = stated if isinstance(stated, dict) else {"value": stated}
    extra = set(table) - {"value", "from", "note"}
    if extra or "value" not in table:
        raise BadInput(f"{where}: {name} is a value or {{ value, from, note }}, found {shown(sorted(table))}")
    unit = vocabulary()[name].unit
    try:
        value = parse(table["value"], unit)
        refuse_bare_price(value if type(table["value"]) in (int, float) else 0.0, table["value"], unit)
    except BadInput as error:
        raise _located(f"{where}: {name}", error) from None
    if not SMALLEST <= value <= LARGEST:
        raise BadInput(f"{where}: {name} must be positive and at most {LARGEST:g}, found {shown(table['value'])}")
    try:
        check_count(name, value, unit)
    except BadInput as error:
        raise _located(where, error) from None
    references = tuple(_reference(key, sources) for key in _strings(table, "from", where))
    return Quantity(name, value, unit, Origin("catalog", owner, references, str(table.get("note", ""))))


def check_count(name: str, value: float, unit: str) -> None:
    """Refuse a number of chips that is not whole."""
    if unit == "chips" and not value.is_integer():
        raise BadInput(f"{name} must be a whole number of chips, found {value:g}")


def _strings(table: Mapping[str, Any], key: str, where: str) -> list[str]:
    found = table.get(key, [])
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise BadInput(f"{where}: {key} is a list of strings, found {shown(found)}")
    return listed


def _torus(table: Mapping[str, Any], where: str) -> tuple[int, ...]:
    sizes = table.get("torus", [])
    if not isinstance(sizes, list) or not all(type(n) is int and 1 <= n <= 1_000_000 for n in sizes):
        raise BadInput(f"{where}: torus is a list of ring lengths such as [4, 4, 4], found {shown(sizes)}")
    return tuple(sizes)


def _reference(key: str, sources: Mapping[str, Reference]) -> Reference:
    """A source by its key, or, in a user's own file, whatever the user names as the source."""
    return sources.get(key) or Reference(key, "by the user")


def _located(where: str, error: BadInput) -> BadInput:
    return BadInput(f"{where}: {error}")
