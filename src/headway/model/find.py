"""Find a config: in the catalog, as a file, in the local Hugging Face cache, or on the Hub."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import socket
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headway import catalog
from headway.catalog.store import read_text
from headway.errors import BadInput, UnknownName, shown
from headway.model.model import references
from headway.provenance import Origin

_HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


@dataclass(frozen=True)
class Found:
    """A config with the name of its model, where it was read, and what else is known of it."""

    name: str
    config: Mapping[str, Any]
    origin: Origin
    facts: Mapping[str, Any] = field(default_factory=dict)


def find_config(name: str | Path | Mapping[str, Any]) -> Found:
    """The config that a name, an id or a path means, or the fields given; `UnknownName` or `BadInput` otherwise."""
    if isinstance(name, Mapping):
        return Found("the config", name, Origin("user", "the fields of a config"))
    if not isinstance(name, (str, Path)):
        raise BadInput(f"a model is a catalog name or a path to a config.json, found {shown(name)}")
    name = str(name)
    catalogued = catalog.read_model(name)
    if catalogued is not None:
        known, facts, config = catalogued
        return Found(known, config, Origin("config", f"config.json of {facts['hf_id']}", references(facts)), facts)
    if name.endswith(".json") or os.path.exists(name):
        path = Path(name) / "config.json" if os.path.isdir(name) else Path(name)
        return Found(_file_name(path), parse(path), Origin("config", path.name))
    tried = ""
    if _HUB_ID.fullmatch(name):
        cached = _cached(name)
        if cached is not None:
            return Found(name, parse(cached), Origin("config", f"config.json of {name}, from the local cache"))
        fetched, tried = _downloaded(name)
        if fetched is not None:
            return Found(name, parse(fetched), Origin("config", f"config.json of {name}, from the Hub"))
    raise _unknown(name, tried)


def _unknown(name: str, tried: str) -> UnknownName:
    names = [n for k, f in catalog.model_names().items() for n in (k, *f.get("aliases", ()))]
    where = "headway catalog models lists them; --params, --active and --kv-bytes describe any other"
    what = "model (a catalog name, a Hugging Face id, or a path to a config.json)"
    error = UnknownName(what, name, names, where=where)
    if tried:
        error.args = (f"{error}; {tried}",)
    return error


def _file_name(path: Path) -> str:
    """What to call a model that is a file: its folder, where the file is just `config.json`."""
    return path.resolve().parent.name if path.stem == "config" and path.resolve().parent.name else path.stem


def parse(path: Path) -> dict[str, Any]:
    """The object that a config.json holds, with the quantisation that modelopt writes into a file beside it."""
    config = parse_text(read_text(path), path.name)
    beside = path.with_name("hf_quant_config.json")
    if "quantization_config" not in config and path.name == "config.json" and beside.is_file():
        told = parse_text(read_text(beside), beside.name).get("quantization")
        config |= {"quantization_config": {"quant_method": "modelopt", **told}} if isinstance(told, dict) else {}
    return config


def parse_text(text: str, what: str) -> dict[str, Any]:
    """The object that a text holds, which is called `what` where it holds none."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:  # JSONDecodeError, or an integer of thousands of digits
        wrong = "is nested too deeply" if isinstance(error, RecursionError) else f"is not JSON: {error}"
        raise BadInput(f"{what} {wrong}") from None
    if not isinstance(config, dict):
        raise BadInput(f"{what} holds {shown(config)}, expected an object with the fields of a config.json")
    return config


def cache_folder() -> Path:
    """Where the Hugging Face libraries keep what they downloaded, by their own variables."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    return Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub"))


def _cached(name: str) -> Path | None:
    """The config of a model in the local cache: of its main branch, else the newest there is."""
    folder = cache_folder() / f"models--{name.replace('/', '--')}"
    try:
        main = folder / "refs" / "main"
        if main.is_file():
            path = folder / "snapshots" / main.read_text("utf-8").strip() / "config.json"
            if path.is_file():
                return path
        found = [path for path in folder.glob("snapshots/*/config.json") if path.is_file()]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)
    except (OSError, ValueError):
        return None


def _downloaded(name: str) -> tuple[Path | None, str]:
    """The config of a model fetched from the Hub, or why there is none."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return None, "not in the local Hugging Face cache, and HF_HUB_OFFLINE forbids a download"
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        return None, "not in the local Hugging Face cache; pip install 'headway[hub]' to download configs"
    if not _reachable():
        return None, "not in the local Hugging Face cache, and the Hub cannot be reached"
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # it tells every retry
    try:
        return Path(hub.hf_hub_download(name, "config.json")), ""
    except Exception as error:  # the library and its transports raise many kinds; each means there is no file
        words = str(error).split("\n")[0].split() or [type(error).__name__]
        return None, f"not in the local Hugging Face cache, and the download failed: {' '.join(words[:24])}"


def _reachable() -> bool:
    """Whether the Hub answers at all, to notice at once where it does not; behind a proxy only a download can tell."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    place = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        with socket.create_connection((place.hostname or "", place.port or 443), timeout=3):
            return True
    except (OSError, ValueError):
        return False
