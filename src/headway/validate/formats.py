"""How a measured row's model is stored: its weights and its KV cache, from the words that benchmarks use."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headway import catalog
from headway.errors import UnknownName, neighbours
from headway.model.config import load_model
from headway.model.dtypes import Dtype, dtype
from headway.model.model import Model, stored_in
from headway.model.storage import Stored, plain
from headway.validate.filling import NotPredicted, refused, rule
from headway.validate.measured import Row
from headway.validate.tables import table

_SPELLINGS = {"f16": "fp16", "f32": "fp32"}


def model_of(row: Row) -> Model:
    """The catalogued model of a row, stored as the row says; `NotPredicted` where either is not known."""
    known = catalog.read_model(_other_name(row) or row.text("model"))
    if known is None:
        near = neighbours(row.text("model"), catalog.model_names())
        raise refused(row, "model not in the catalog", "model", " or ".join(near) or "a name of headway catalog")
    place = _place(row)
    return _stored(known[0], row.text("weight_dtype").lower() if place is None else "", place, _kv(row).name)


def stand_ins(row: Row) -> tuple[str, ...]:
    """What stands in for what a row says of its model: another name, the checkpoint's formats, a guess at a format."""
    place, name = _place(row), _other_name(row)
    guessed = place is not None and table("formats", "format")[place]["why"].startswith("assumed")
    found = (
        f"model ({row.text('model')} as {name})" if name else "",
        rule("weight_dtype", "the checkpoint") if place is None and not row.text("weight_dtype") else "",
        f"weight_dtype ({row.text('weight_dtype')}, without scales)" if guessed else "",
    )
    return tuple(filter(None, found))


def _other_name(row: Row) -> str:
    """The name of the catalog that a row's model has in the table of names; empty where it is not there."""
    return next((entry["name"] for entry in table("names", "model") if entry["row"] == row.text("model")), "")


def _place(row: Row) -> int | None:
    return next((i for i, entry in enumerate(table("formats", "format")) if row.fits(entry["when"])), None)


def _kv(row: Row) -> Dtype:
    """The format of the cache: the first word of the cell, which may explain itself in brackets."""
    word = (row.text("kv_dtype").split() or ["bf16"])[0].lower()
    return _dtype(word, "format of the KV cache not known", "kv_dtype")


def _dtype(word: str, reason: str, column: str) -> Dtype:
    try:
        return dtype(_SPELLINGS.get(word, word))
    except UnknownName as error:
        raise NotPredicted(reason, f"{column}: {error}") from None


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
    narrow = _dtype(plain_format, "format of the weights not known", "weight_dtype")
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
