"""What a step of the ledger may refer to: figures that stand elsewhere, each with its source.

model["deepseek-v3"].n_experts          a quantity that headway counts from the config
config["deepseek-v3"].kv_lora_rank      a field of the config.json itself
published["deepseek-v3"].active         what the makers say of the size
chip["h100-sxm"].memory_bytes           a figure of the catalog; so system[...] and tier[...]
default.prefill_mfu                     what headway assumes where nobody says otherwise
curve["370M", "S-Base", 64].validation_loss   where a published training run ended
given.ridge                             what several claims take for granted, stated once in `given.toml`
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from headway import catalog
from headway.catalog import store
from headway.errors import BadInput, UnknownName, shown
from headway.model.config import load_model
from headway.provenance import Origin, Quantity, Reference
from headway.units import parse
from headway.validate import curves
from headway.validate.steps import Fact

_PUBLISHED = {"total": "published_total", "active": "published_active"}
_PURPOSES = ("pass", "generations", "kv-techniques")  # of the defaults
_CURVE_UNITS = {"validation_loss": "1", "total_params": "params", "dense_params": "params"}


def look_up(fact: Fact) -> Quantity:
    """The quantity that a fact names; an unknown kind, name or field raises `UnknownName` with its neighbours."""
    if fact.kind not in _READERS:
        raise UnknownName("kind of fact", fact.kind, [*_READERS, "claim"])
    return _READERS[fact.kind](fact)


def _name(fact: Fact) -> str:
    """The one key of a fact that has one."""
    if len(fact.keys) != 1 or not isinstance(fact.keys[0], str):
        raise BadInput(f"{fact.kind} takes one name, found {shown(fact.keys)}")
    return fact.keys[0]


@functools.cache
def _quantities(name: str) -> Mapping[str, Quantity]:
    return {quantity.name: quantity for quantity in load_model(name).quantities()}


def _counted(fact: Fact) -> Quantity:
    found = _quantities(_name(fact))
    if fact.field not in found:
        raise UnknownName("quantity of a model", fact.field, found)
    return found[fact.field]


def _catalogued_model(name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    found = catalog.read_model(name)
    if found is None:
        raise UnknownName("model", name, catalog.model_names())
    return found[1], found[2]


def _configured(fact: Fact) -> Quantity:
    facts, config = _catalogued_model(_name(fact))
    value = config.get(fact.field)
    if type(value) not in (int, float):
        raise UnknownName("number in the config", fact.field, [k for k, v in config.items() if type(v) in (int, float)])
    page = Reference(str(facts["config_source"]), str(facts["checked"]))
    return Quantity(fact.field, value, "1", Origin("config", f"{_name(fact)}, config.json", (page,)))


def _published(fact: Fact) -> Quantity:
    facts, _ = _catalogued_model(_name(fact))
    if fact.field not in _PUBLISHED:
        raise UnknownName("published size", fact.field, _PUBLISHED)
    value = parse(facts[_PUBLISHED[fact.field]], "params")
    page = Reference(str(facts["published_source"]), str(facts["checked"]))
    return Quantity(f"{fact.field}_params", value, "params", Origin("catalog", f"model {_name(fact)}", (page,)))


def _catalogued(kind: str) -> Callable[[Fact], Quantity]:
    def read(fact: Fact) -> Quantity:
        entry = catalog.entry(_name(fact), kind)
        if fact.field not in entry.figures:
            raise UnknownName(f"figure of {entry.name}", fact.field, entry.figures)
        return entry.figures[fact.field]

    return read


def _measured(fact: Fact) -> Quantity:
    match fact.keys:
        case (str(size), str(router), int(n_experts)):
            run = curves.run(size, router, n_experts)
        case _:
            raise BadInput(f"a curve is named by size, router and number of experts, found {shown(fact.keys)}")
    if fact.field not in _CURVE_UNITS:
        raise UnknownName("figure of a run", fact.field, _CURVE_UNITS)
    title = f"{size}, {router}, {n_experts} {'expert' if n_experts == 1 else 'experts'}: {curves.SOURCE}"
    value = dataclasses.asdict(run)[fact.field]
    return Quantity(fact.field, value, _CURVE_UNITS[fact.field], Origin("catalog", title))


@functools.cache
def assumed() -> Mapping[str, Quantity]:
    """The numbers among the defaults of headway, by name."""
    found = {name: quantity for purpose in _PURPOSES for name, quantity in store.defaults(purpose).items()}
    return {name: quantity for name, quantity in found.items() if type(quantity.value) in (int, float)}


def _assumed(fact: Fact) -> Quantity:
    if fact.field not in assumed():
        raise UnknownName("default", fact.field, assumed())
    return assumed()[fact.field]


@functools.cache
def given() -> Mapping[str, Quantity]:
    """What several claims take for granted, by name."""
    table = tomllib.loads((files("headway.validate") / "data" / "given.toml").read_text("utf-8"))
    return {name: _given(name, row) for name, row in table.items()}


def _given(name: str, row: Mapping[str, Any]) -> Quantity:
    value = parse(row["value"], row["unit"])
    return Quantity(name, value, row["unit"], Origin("claim", "the ledger", note=f"{row['what']}; {row['source']}"))


def _taken_for_granted(fact: Fact) -> Quantity:
    if fact.field not in given():
        raise UnknownName("given", fact.field, given())
    return given()[fact.field]


_READERS: Mapping[str, Callable[[Fact], Quantity]] = {
    "model": _counted,
    "config": _configured,
    "published": _published,
    "chip": _catalogued("accelerator"),
    "system": _catalogued("system"),
    "tier": _catalogued("memory_tier"),
    "curve": _measured,
    "default": _assumed,
    "given": _taken_for_granted,
}
