"""A system: so many of one chip, in scale-up domains of so many, joined by a network.

Written `h100-sxm:8` or `8xh100-sxm` (a chip and a count), `gb200-nvl72` (a catalogued system, or several: `:2`), or as
the path of a TOML file that defines a chip or a system.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from headway import catalog
from headway.catalog.entries import LARGEST, SMALLEST, canonical, check_count
from headway.errors import BadInput, UnknownName, shown
from headway.model.dtypes import Dtype
from headway.provenance import Origin, Quantity
from headway.units import parse

MOST_CHIPS = 10_000_000
_OF_THE_RACK = ("power_w", "weight_kg", "domain_memory_bytes")  # a chip's figure does not stand in for these
_COUNTED = re.compile(r"^(?:(?P<first>\d+)\s*x\s*(?P<of>.+)|(?P<name>.+?):(?P<last>-?[\w.]*))$", re.I)


@dataclass(frozen=True)
class System:
    """A number of chips of one kind, and the figures of chip and system with their sources."""

    name: str
    title: str
    chip: catalog.Entry
    chips: int
    rack: catalog.Entry | None = None

    @property
    def domain_chips(self) -> int:
        """Chips in one scale-up domain; all of them where the size of a domain is not known."""
        size = self.figure("domain_chips").value
        return self.chips if size is None else min(self.chips, int(size))

    @property
    def domains(self) -> int:
        """Scale-up domains, the last one perhaps not full."""
        return math.ceil(self.chips / self.domain_chips)

    @property
    def fabric(self) -> str:
        """How the chips of a domain are joined: switch, mesh or torus; that of the chip's own system, if it has one."""
        racks = [self.rack] if self.rack else [e for e in catalog.entries("system").values() if self._is_mine(e)]
        kinds = [rack.texts["fabric"] for rack in racks if "fabric" in rack.texts]
        return kinds[0] if kinds else "switch"

    @property
    def torus(self) -> tuple[int, ...]:
        """Ring lengths of a torus; empty where they are not known, or where only a part of it was asked for."""
        return self.rack.torus if self.rack is not None and math.prod(self.rack.torus) == self.chips else ()

    def _is_mine(self, rack: catalog.Entry) -> bool:
        found = catalog.resolve(rack.texts["chip"])
        return found is not None and found.name == self.chip.name

    def figure(self, name: str) -> Quantity:
        """A figure of the system, else of its chip, else the gap that names itself."""
        if self.rack is not None and (name in self.rack.figures or name in _OF_THE_RACK):
            return self.rack.figure(name)
        return self.chip.figure(name)

    def peak(self, dtype: Dtype) -> Quantity:
        """The dense rate at which a chip multiplies weights of a format: its own rate, or the next wider one."""
        for rate in dtype.rates:
            quantity = self.chip.figure(rate)
            if quantity.value is not None:
                note = f"weights in {dtype.name} are multiplied at the {rate.removesuffix('_flop_per_s')} rate"
                origin = replace(quantity.origin, note="; ".join(filter(None, (note, quantity.origin.note))))
                return replace(quantity, name="flop_per_s", origin=origin)
        wanted = ", ".join(rate.removesuffix("_flop_per_s") for rate in dtype.rates)
        gap = f"no source gave a rate of {self.chip.name} for {dtype.name} ({wanted}); supply --set flop_per_s=..."
        return Quantity("flop_per_s", None, "FLOP/s", Origin("catalog", f"accelerator {self.chip.name}"), gap)


def load_system(spec: str, changes: Mapping[str, object] | None = None) -> System:
    """A system from what a person writes; `changes` replace figures of its chip or of the system by name.

    Raises `UnknownName` with the neighbours of a misspelt name, and `BadInput` for an impossible count.

    >>> load_system("8xh100-sxm").chips, load_system("H100_SXM:16").domains, load_system("gb200-nvl72").chips
    (8, 2, 72)
    """
    if not isinstance(spec, str):
        raise BadInput(f"a system is written like h100-sxm:8 or gb200-nvl72, found {shown(spec)}")
    name, count = name_and_count(spec)
    own: dict[str, catalog.Entry] = {}
    if name.endswith(".toml"):
        read = catalog.read_file(Path(name))
        own = {known: e for e in read if e.kind == "accelerator" for known in (*e.aliases, e.name)}
        defined = [e for e in read if e.kind == "system"] or [*own.values()]
        if not defined:
            raise BadInput(f"{shown(name)} defines no [[accelerator]] and no [[system]]")
        found = defined[0]
    else:
        found = catalog.entry(name, "accelerator", "system")
    rack = found if found.kind == "system" else None
    chip = found if rack is None else own.get(canonical(rack.texts["chip"])) or _chip_of(rack)
    per_unit = 1
    if rack is not None:
        size = rack.figures.get("domain_chips") or chip.figures.get("domain_chips")
        if size is None:
            raise BadInput(f"system {rack.name} does not say how many chips it has; add domain_chips")
        per_unit = int(size.value)
    chips = per_unit * count
    if chips > MOST_CHIPS:
        raise BadInput(f"{chips:,} chips are more than the {MOST_CHIPS:,} that can be asked for")
    system = System(found.name if count == 1 else f"{found.name}:{count}", found.title, chip, chips, rack)
    return changed_system(system, changes or {})


def _chip_of(rack: catalog.Entry) -> catalog.Entry:
    """The catalogued chip of a system; an unknown one is refused with the system's name."""
    try:
        return catalog.entry(rack.texts["chip"], "accelerator")
    except UnknownName as error:
        raise BadInput(f"the chip of system {rack.name}: {error}") from None


def name_and_count(spec: str) -> tuple[str, int]:
    """The name and the count of a written system."""
    text = spec.strip()
    match = _COUNTED.match(text)
    if match is None or (match["last"] is not None and catalog.resolve(text) is not None):
        return text, 1
    name, written = (match["of"], match["first"]) if match["first"] else (match["name"], match["last"])
    if not written.isdecimal():
        raise BadInput(f"the count in {shown(spec)} must be a whole number, such as {name}:8")
    count = int(written) if len(written) <= 12 else MOST_CHIPS + 1
    if not 1 <= count <= MOST_CHIPS:
        raise BadInput(f"the count in {shown(spec)} must be between 1 and {MOST_CHIPS:,}")
    return name.strip(), count


def changed_system(system: System, changes: Mapping[str, object]) -> System:
    """The same system with some figures replaced by the user's."""
    chip, rack = dict(system.chip.figures), dict(system.rack.figures) if system.rack else None
    known = {name: word for name, word in catalog.vocabulary().items() if {"accelerator", "system"} & set(word.of)}
    for name, text in changes.items():
        word = known.get(name)
        if word is None:
            raise UnknownName("figure of a system", name, known)
        value = parse(text, word.unit)
        if not SMALLEST <= value <= LARGEST:
            raise BadInput(f"{name} must be positive and at most {LARGEST:g}, found {shown(text)}")
        check_count(name, value, word.unit)
        figure = Quantity(name, value, word.unit, Origin("user", f"--set {name}={text}"))
        chip[name] = figure
        if rack is not None and "system" in word.of:
            rack[name] = figure
    return replace(
        system,
        chip=replace(system.chip, figures=chip),
        rack=None if system.rack is None or rack is None else replace(system.rack, figures=rack),
    )
