"""Read the catalog's files and find entries by name."""

from __future__ import annotations

import functools
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headway.catalog.entries import DATA, Entry, canonical, read_entry
from headway.errors import BadInput, UnknownName, shown
from headway.provenance import Origin, Quantity, Reference

KINDS = {"accelerator": "accelerators", "system": "systems", "memory_tier": "memory_tiers"}
LARGEST_FILE_BYTES = 20_000_000


def user_folder() -> Path:
    """Where a user's own TOML files are looked for."""
    named = os.environ.get("HEADWAY_CATALOG")
    if named and not Path(named).is_dir():
        raise BadInput(f"HEADWAY_CATALOG must name a folder of TOML files, found {shown(named)}")
    return Path(named or os.path.expanduser("~/.config/headway/catalog"))


@functools.cache
def entries(kind: str) -> Mapping[str, Entry]:
    """Every entry of a kind by name, the user's own after (and instead of) the shipped ones."""
    shipped = tomllib.loads((DATA / f"{KINDS[kind]}.toml").read_text("utf-8"))
    found = {e.name: e for e in (read_entry(kind, t, _sources(), f"{KINDS[kind]}.toml") for t in shipped[kind])}
    folder = user_folder()
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
        found |= {e.name: e for e in read_file(path) if e.kind == kind}
    return found


@functools.cache
def _sources() -> Mapping[str, Reference]:
    table = tomllib.loads((DATA / "sources.toml").read_text("utf-8"))
    return {key: Reference(page.get("url") or page["title"], page["checked"]) for key, page in table.items()}


def read_file(path: Path) -> list[Entry]:
    """The entries of a user's TOML file: [[accelerator]], [[system]] and [[memory_tier]] tables."""
    try:
        table = tomllib.loads(read_text(path))
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise BadInput(f"{path.name} is not TOML: {error}") from None
    except RecursionError:
        raise BadInput(f"{path.name} is nested too deeply to read") from None
    if unknown := set(table) - set(KINDS):
        raise UnknownName(f"table in {path.name}", min(unknown), KINDS)
    found = []
    for kind, rows in table.items():
        for row in rows if isinstance(rows, list) else [rows]:
            if not isinstance(row, dict):
                raise BadInput(f"{path.name}: {kind} is a table, found {shown(row)}")
            found.append(read_entry(kind, row, {}, path.name))
    return found


def read_text(path: Path) -> str:
    """A user's text file, of a size that a person could have written."""
    try:
        if not path.is_file():
            raise BadInput(f"there is no file {shown(str(path))}")
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise BadInput(f"{path.name} is larger than {LARGEST_FILE_BYTES // 1_000_000} MB")
        return path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: bytes that are no text, or a name no file can have
        raise BadInput(f"cannot read {shown(str(path))}: {getattr(error, 'strerror', None) or error}") from None


def resolve(name: str) -> Entry | None:
    """The entry of any kind that answers to a name or an alias, in any spelling; None if there is none."""
    wanted = canonical(name)
    for kind in KINDS:
        if wanted in entries(kind):
            return entries(kind)[wanted]
    return next((e for kind in KINDS for e in entries(kind).values() if wanted in e.aliases), None)


def entry(name: str, *kinds: str) -> Entry:
    """The entry that answers to a name; an unknown one raises `UnknownName` with its neighbours."""
    found = resolve(name)
    if found is not None and (not kinds or found.kind in kinds):
        return found
    wanted = kinds or tuple(KINDS)
    names = [n for kind in wanted for e in entries(kind).values() for n in (e.name, *e.aliases)]
    hint = _other_kind(name, found)
    raise UnknownName(
        " or ".join(k.replace("_", " ") for k in wanted), canonical(name), names, hint, "headway catalog lists them"
    )


def _other_kind(name: str, found: Entry | None) -> str:
    """What a name means, where another kind of thing was asked for; empty for a name that means nothing."""
    if found is not None:
        more = f" of {found.texts['chip']}" if found.kind == "system" else ""
        return f"that is {'an' if found.kind == 'accelerator' else 'a'} {found.kind.replace('_', ' ')}{more}"
    if read_model(name) is not None:
        return "that is a model, and a machine is asked for, such as h100-sxm:8"
    return ""


@functools.cache
def _models() -> Mapping[str, Mapping[str, Any]]:
    table: dict[str, Any] = tomllib.loads((DATA / "models.toml").read_text("utf-8"))
    return table


def model_names() -> Mapping[str, Mapping[str, Any]]:
    """Every catalogued model by name: its Hugging Face id, where the config was read, what was published of it."""
    return _models()


def read_model(name: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]] | None:
    """A catalogued model by name or Hugging Face id: its name, facts about it and its config; None if unknown.

    Of an id whose owner is another (meta-llama/Llama-3.1-8B) the last part decides, unless it is a path that exists.
    """
    wanted = canonical(name)
    found = next((k for k, f in _models().items() if wanted in (*_names_of(k, f), canonical(f["hf_id"]))), None)
    owner, slash, last = wanted.partition("/")
    if found is None and owner and slash and "/" not in last and not os.path.exists(name):
        found = next((k for k, f in _models().items() if last in _names_of(k, f)), None)
    if found is None:
        return None
    facts = _models()[found]
    return found, facts, json.loads((DATA / "models" / facts["file"]).read_text("utf-8"))


def _names_of(name: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    return name, *facts.get("aliases", ())


@functools.cache
def families() -> Mapping[str, Mapping[str, Any]]:
    """What each model_type implies where a config is silent, inheritance written out."""
    table: dict[str, dict[str, Any]] = tomllib.loads((DATA / "families.toml").read_text("utf-8"))
    return {name: _with_kin(name, table) for name in table}


def _with_kin(name: str, table: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    own = dict(table[name])
    kin = own.pop("like", None)
    return own if kin is None else {**_with_kin(kin, table), **own}


@functools.cache
def quantisations(kind: str) -> Mapping[str, Any]:
    """What the words of a quantization_config mean: its `method`, or the `algorithm` of a method."""
    table: dict[str, Any] = tomllib.loads((DATA / "quantisations.toml").read_text("utf-8"))[kind]
    return table


@functools.cache
def harmless_fields() -> frozenset[str]:
    """Fields that sound like shape and change no count."""
    return frozenset((DATA / "harmless_fields.txt").read_text("utf-8").split())


@functools.cache
def defaults(purpose: str = "pass") -> Mapping[str, Quantity]:
    """What a result assumes where nobody says otherwise, with the reasons."""
    table = tomllib.loads((DATA / "defaults.toml").read_text("utf-8"))
    found = {}
    for name, row in table.items():
        if row.get("for", "pass") == purpose:
            stated = _of_config(row) if "field" in row else row
            references = (Reference(stated["from"], stated["checked"]),) if "from" in stated else ()
            found[name] = Quantity(name, stated["value"], row["unit"], Origin("default", stated["note"], references))
    return found


def _of_config(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the config of a catalogued model says: the value of a field, who says so, and where the config was read."""
    name, field = row["model"], row["field"]
    facts = _models()[name]
    note = "; ".join(filter(None, (f"{field} of {name}'s config", row.get("note"))))
    value = json.loads((DATA / "models" / facts["file"]).read_text("utf-8"))[field]
    return {"value": value, "note": note, "from": facts["config_source"], "checked": facts["checked"]}
