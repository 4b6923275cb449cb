"""Catalogued models near a number: by what their cache grows, by what a decoded token reads, by their size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headway.matching.habits import Known, known_models
from headway.model.dtypes import Dtype

EACH = 3  # neighbours of each kind


@dataclass(frozen=True)
class Neighbour:
    """A catalogued model with its cache in some number format.

    `near_by` says in what it is near: `stored`, the bytes by which a cache grows with each token; `read`, those by
    which what a decoded token reads grows with each token of context (less under sparse attention); `size`, its
    parameters; or `all`, stored bytes and parameters together.
    """

    model: Known
    dtype: Dtype
    near_by: str
    asked_bytes: float

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes by which the cache of a sequence grows with each token. [B]"""
        return self.model.stored_numbers * self.dtype.bytes_per_number

    @property
    def kv_read_growth_bytes(self) -> float:
        """Bytes by which what a decoded token reads grows with each token of context. [B]"""
        return self.model.read_numbers * self.dtype.bytes_per_number

    @property
    def factor(self) -> float:
        """What it keeps (or reads, if it is near by that) over what was asked. [1]"""
        kept = self.kv_read_growth_bytes if self.near_by == "read" else self.kv_bytes_per_token
        return kept / self.asked_bytes


def neighbours(
    kv_bytes: float, formats: Sequence[Dtype], total_params: float | None = None, active_params: float | None = None
) -> tuple[Neighbour, ...]:
    """The nearest by ratio: of each format by stored bytes; of all formats by read bytes, and with the size if given.

    By read bytes only models that read less than they store are listed, since the others are the same again.
    """
    every = [(model, one) for one in formats for model in known_models() if model.stored_numbers]
    sparse = [(m, one) for m, one in every if 0 < m.read_numbers < m.stored_numbers]
    sized = total_params is not None or active_params is not None

    def stored(model: Known, one: Dtype) -> float:
        return math.log(model.stored_numbers * one.bytes_per_number / kv_bytes)

    def read(model: Known, one: Dtype) -> float:
        return math.log(model.read_numbers * one.bytes_per_number / kv_bytes)

    def size(model: Known) -> float:
        pairs = ((total_params, model.total_params), (active_params, model.active_params))
        return math.hypot(*(math.log(its / asked) for asked, its in pairs if asked is not None))

    found = [
        Neighbour(*pair, "stored", kv_bytes)
        for one in formats
        for pair in _nearest([p for p in every if p[1] is one], [abs(stored(*p)) for p in every if p[1] is one])
    ]
    found += [Neighbour(*pair, "read", kv_bytes) for pair in _nearest(sparse, [abs(read(*p)) for p in sparse])]
    if sized:
        own = [p for p in every if p[1] is formats[-1]]
        found += [Neighbour(*pair, "size", kv_bytes) for pair in _nearest(own, [size(p[0]) for p in own])]
        both = [math.hypot(stored(*p), size(p[0])) for p in every]
        found += [Neighbour(*pair, "all", kv_bytes) for pair in _nearest(every, both)]
    return tuple(found)


def _nearest(pairs: Sequence[tuple[Known, Dtype]], distances: Iterable[float]) -> list[tuple[Known, Dtype]]:
    ranked = sorted(zip(distances, pairs, strict=True), key=lambda row: (row[0], row[1][0].name))
    return [pair for _, pair in ranked[:EACH]]
