"""Catalogued models near a number: by what their cache grows, by what a decoded token reads, by their size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headway.matching.habits import ANY_SIZE, Known, Size, known_models
from headway.model.dtypes import Dtype

EACH = 3  # neighbours of each kind
Pair = tuple[Known, Dtype]


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


def nearest(kv_bytes: float, formats: Sequence[Dtype], size: Size = ANY_SIZE) -> tuple[Neighbour, ...]:
    """The nearest by stored bytes, and all others that keep as much as it, each in one format.

    Of those, the nearest in size come first, then those in the format of their checkpoint, then wider formats.
    """
    every = [(model, one) for one in formats for model in known_models() if model.stored_numbers]
    off = [abs(math.log(model.stored_numbers * one.bytes_per_number / kv_bytes)) for model, one in every]
    alike = [pair for pair, distance in zip(every, off, strict=True) if distance == min(off)]
    return tuple(Neighbour(*pair, "stored", kv_bytes) for pair in _ranked(alike, [0.0] * len(alike), size))


def neighbours(kv_bytes: float, formats: Sequence[Dtype], size: Size = ANY_SIZE) -> tuple[Neighbour, ...]:
    """The nearest by ratio: of each format by stored bytes; of all formats by read bytes, and with the size if given.

    By read bytes only models that read less than they store are listed, since the others are the same again.
    """
    every = [(model, one) for one in formats for model in known_models() if model.stored_numbers]
    sparse = [(m, one) for m, one in every if 0 < m.read_numbers < m.stored_numbers]

    def stored(model: Known, one: Dtype) -> float:
        return math.log(model.stored_numbers * one.bytes_per_number / kv_bytes)

    def read(model: Known, one: Dtype) -> float:
        return math.log(model.read_numbers * one.bytes_per_number / kv_bytes)

    def few(near_by: str, pairs: Sequence[Pair], distances: Iterable[float]) -> list[Neighbour]:
        return [Neighbour(*pair, near_by, kv_bytes) for pair in _ranked(pairs, distances, size)[:EACH]]

    found = []
    for one in formats:
        own = [p for p in every if p[1] is one]
        found += few("stored", own, [abs(stored(*p)) for p in own])
    found += few("read", sparse, [abs(read(*p)) for p in sparse])
    if size.known:
        own = [p for p in every if p[1] is formats[-1]]
        found += few("size", own, [size.doublings(p[0]) for p in own])
        both = [math.hypot(stored(*p), math.log(2) * size.doublings(p[0])) for p in every]
        found += few("all", every, both)
    return tuple(found)


def _ranked(pairs: Sequence[Pair], distances: Iterable[float], size: Size) -> list[Pair]:
    """The nearest first; of those as near, by size if it is known, by the checkpoint's format, by width, by name."""

    def rank(row: tuple[float, Pair]) -> tuple[float, float, bool, float, str]:
        distance, (model, one) = row
        return distance, size.doublings(model), one.name != model.dtype, -one.bytes_per_number, model.name

    return [pair for _, pair in sorted(zip(distances, pairs, strict=True), key=rank)]
