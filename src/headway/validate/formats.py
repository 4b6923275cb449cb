"""How a measured row's model is stored: its weights and its KV cache, from the words that benchmarks use."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headway import catalog
from headway.errors import UnknownName
from headway.model.config import load_model
from headway.model.dtypes import Dtype, dtype
from headway.model.model import Model, stored_in
from headway.model.storage import Stored, plain
from headway.validate.filling import NotPredicted
from headway.validate.measured import Row
from headway.validate.tables import table

_SPELLINGS = {"f16": "fp16", "f32": "fp32"}


def model_of(row: Row) -> Model:
    """The catalogued model of a row, stored as the row says; `NotPredicted` where either is not known."""
    name = next((entry["name"] for entry in table("names", "model") if entry["row"] == row.text("model")), None)
    known = catalog.read_model(name or row.text("model"))
    if known is None:
        raise NotPredicted("model not in the catalog", row.text("model"))
    entries = table("formats", "format")
    place = next((i for i, entry in enumerate(entries) if row.fits(entry["when"])), None)
    return _stored(known[0], row.text("weight_dtype").lower() if place is None else "", place, _kv(row).name)


def _kv(row: Row) -> Dtype:
    """The format of the cache: the first word of the cell, which may explain itself in brackets."""
    word = (row.text("kv_dtype").split() or ["bf16"])[0].lower()
    return _dtype(word, "format of the KV cache not known")


def _dtype(word: str, reason: str) -> Dtype:
    try:
        return dtype(_SPELLINGS.get(word, word))
    except UnknownName:
        raise NotPredicted(reason, word) from None


@functools.cache
def _checkpoint(name: str) -> Model:
    return load_model(name)


@functools.cache
def _stored(name: str, plain_format: str, place: int | None, kv: str) -> Model:
    """A model with its formats: those of an entry of the table, else of one word, else of the checkpoint."""
    model = replace(_checkpoint(name), kv_dtype=dtype(kv))
    if place is not None:
        return replace(model, storage=_from_entry(model, table("formats", "format")[place]))
    if not plain_format:
        return model
    narrow = _dtype(plain_format, "format of the weights not known")
    return replace(model, storage=stored_in(model, narrow.name))


def _from_entry(model: Model, entry: Mapping[str, Any]) -> Mapping[str, Stored]:
    base = plain(dtype("bf16")) if entry.get("base") == "bf16" else model.storage
    if "dtype" not in entry:
        return base
    if "parts" not in entry and "bytes_per_param" not in entry:
        return stored_in(replace(model, storage=base), entry["dtype"])
    kind = dtype(entry["dtype"])
    size = entry["file_bytes"] / model.total_params if "file_bytes" in entry else entry.get("bytes_per_param")
    narrow = Stored(kind, kind.bytes_per_number if size is None else size)
    parts = base if entry["parts"] == "all" else entry["parts"]
    return {part: narrow if part in parts else old for part, old in base.items()}
