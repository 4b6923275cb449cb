"""What the page may name: the catalogued models and machines, read once before anybody asks.

A page names things; it never makes the server read a file, look into a cache or call another host.
"""

from __future__ import annotations

import base64
import binascii
import functools
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headway import catalog
from headway.catalog.entries import canonical
from headway.errors import BadInput, UnknownName
from headway.hardware import System, load_system, name_and_count
from headway.model.config import load_model
from headway.model.find import parse_text
from headway.model.model import Model
from headway.step.question import settle

if TYPE_CHECKING:
    from headway.web.state import Side

MOST_CONFIG_BYTES, MOST_VALUES = 512_000, 50_000
_MACHINES = ("system", "accelerator")
Choices = list[tuple[str, list[str]]]


@functools.cache
def models() -> Mapping[str, Model]:
    """Every catalogued model, by name."""
    return {name: load_model(name) for name in sorted(catalog.model_names())}


@functools.cache
def _known_as() -> Mapping[str, str]:
    """What a catalogued model answers to."""
    return {
        canonical(known): name
        for name, facts in catalog.model_names().items()
        for known in (facts["hf_id"], *facts.get("aliases", ()), name)
    }


def model_name(text: str) -> str:
    """The catalogued name of a model; `UnknownName` for any other word, a path or an id among them."""
    found = _known_as().get(canonical(text))
    if found is None:
        raise UnknownName("model", text, models(), where="paste its config.json")
    return found


def machine_name(text: str) -> str:
    """A catalogued machine and a count in one spelling; `BadInput` where it is none."""
    name, count = name_and_count(text)
    found = catalog.resolve(name)
    if found is None or found.kind not in _MACHINES:
        known = [known for kind in _MACHINES for e in catalog.entries(kind).values() for known in (e.name, *e.aliases)]
        raise UnknownName("machine", name, known)
    return load_system(f"{found.name}:{count}").name


def choices() -> dict[str, Choices | list[str]]:
    """The models by who made them, the machines by vendor, systems before single chips; and which are chips."""
    makers: dict[str, list[str]] = {}
    for name, facts in sorted(catalog.model_names().items()):
        makers.setdefault(facts["hf_id"].partition("/")[0], []).append(name)
    machines: dict[str, list[str]] = {}
    for kind, what in zip(_MACHINES, ("systems", "single chips"), strict=True):
        for name, entry in catalog.entries(kind).items():
            chip = entry if kind == "accelerator" else catalog.entry(entry.texts["chip"])
            machines.setdefault(f"{what}, {chip.texts.get('vendor', 'others')}", []).append(name)
    return {"models": sorted(makers.items(), key=lambda item: item[0].lower()), "systems": list(machines.items()),
            "chips": list(catalog.entries("accelerator"))}  # fmt: skip


def unpacked(packed: str) -> Mapping[str, Any]:
    """The fields of a pasted config: base64url of the deflated text; `BadInput` where it is none, or too large."""
    try:
        data = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        text = inflating.decompress(data, MOST_CONFIG_BYTES + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise BadInput("the pasted config does not unpack; paste it again") from None
    if len(text) > MOST_CONFIG_BYTES:
        raise BadInput(f"the pasted config is larger than {MOST_CONFIG_BYTES // 1000} kB")
    if not inflating.eof:
        raise BadInput("the pasted config is cut short; paste it again")
    if sum(map(text.count, (b",", b"{", b"["))) > MOST_VALUES:
        raise BadInput(f"the pasted config holds more than {MOST_VALUES:,} values")
    try:
        return parse_text(text.decode("utf-8"), "the pasted config")
    except UnicodeDecodeError:
        raise BadInput("the pasted config is no text") from None


def settled(side: Side) -> tuple[Model, System, dict[str, object]]:
    """The model and the machine of a column with its changes put in, and what is left for the pass."""
    return _pasted(side) if side.config else _catalogued(side)


@functools.lru_cache(maxsize=256)
def _catalogued(side: Side) -> tuple[Model, System, dict[str, object]]:
    return settle(models()[side.model], load_system(side.on), dict(side.changes))


@functools.lru_cache(maxsize=8)  # few, for a config may be large
def _pasted(side: Side) -> tuple[Model, System, dict[str, object]]:
    return settle(load_model(unpacked(side.config)), load_system(side.on), dict(side.changes))
