"""The grid of plausible caches: every entry of a layer with every number of layers that keep one, as arrays."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields

import numpy as np

from headway.equations import kv_variants
from headway.matching.habits import ALL_LAYERS, ANY_SIZE, Array, Entry, Habit, LayersHabit, Size, habits

_BOTH = ("index_dim", "compression_stride")  # choices of grouped and of latent entries alike


@dataclass(frozen=True)
class Entries:
    """Every entry of the grid, field by field of `Entry`, with its plausibility. Arrays have one axis, the entries."""

    columns: dict[str, Array]
    plausibility: Array

    def __len__(self) -> int:
        return len(self.plausibility)

    def entry(self, i: int) -> Entry:
        """One of them."""
        return Entry(**{name: int(column[i]) for name, column in self.columns.items()})

    @functools.cached_property
    def shapes(self) -> Array:
        """A number for each of them, the same for those that differ in index and compression alone."""
        shape = [column for name, column in self.columns.items() if name not in _BOTH]
        return np.unique(np.stack(shape), axis=1, return_inverse=True)[1].ravel()


@dataclass(frozen=True)
class Stacks:
    """How many layers keep a cache, and the likeliest way to so many. Arrays have one axis, the numbers of caches.

    `caches` is the number of layers that keep one of their own; `plausibility` sums over all ways to it.
    """

    caches: Array
    plausibility: Array
    n_layers: Array
    growing_layers: Array
    layers_per_cache: Array


@functools.lru_cache(maxsize=64)
def entries(size: Size = ANY_SIZE) -> Entries:
    """Every entry: grouped ones by heads and widths, latent ones by ranks; each by index and compression.

    They are the same for every size; how plausible each is follows the models near it.
    """
    kind = habits(size)["kind"]
    weight = dict(zip(kind.values, kind.plausibility, strict=True))
    parts = [
        (weight["grouped"], _product(size, "kv_heads", "head_dims", *_BOTH)),
        (weight["latent"], _product(size, "latent_dim", "rope_dim", *_BOTH)),
    ]
    columns = {}
    for field in fields(Entry):
        missing = [np.zeros(len(share), dtype=int) for _, (_, share) in parts]
        columns[field.name] = np.concatenate(
            [part.get(field.name, none) for (_, (part, _)), none in zip(parts, missing, strict=True)]
        )
    return Entries(columns, np.concatenate([w * share for w, (_, share) in parts]))


def _product(size: Size, *names: str) -> tuple[dict[str, Array], Array]:
    """All combinations of the values of some choices, as columns, with the product of their plausibilities."""
    chosen = [habits(size)[name] for name in names]
    places = np.meshgrid(*(np.arange(len(habit.values)) for habit in chosen), indexing="ij")
    columns: dict[str, Array] = {}
    share = np.ones(places[0].size)
    for habit, place in zip(chosen, places, strict=True):
        columns |= _columns(habit, place.ravel())
        share *= habit.plausibility[place.ravel()]
    return columns, share


def _columns(habit: Habit, place: Array) -> dict[str, Array]:
    values = np.asarray(habit.values)[place]
    if habit.name == "head_dims":
        return {"key_dim": values[:, 0], "value_dim": values[:, 1]}
    return {habit.name: values}


def stacks(layers: LayersHabit) -> Stacks:
    """The numbers of caches that layers, the share of them that grow, and sharing between layers lead to."""
    share, sharing = habits(layers.size)["global_share"], habits(layers.size)["layers_per_cache"]
    sizes = np.meshgrid(layers.habit.values, share.values, sharing.values, indexing="ij")
    n_layers, global_share, layers_per_cache = (size.ravel() for size in sizes)
    growing = np.maximum(1.0, np.rint(n_layers * global_share))
    together = np.where(layers_per_cache == ALL_LAYERS, growing, np.minimum(layers_per_cache, growing))
    caches = kv_variants.caching_layers(growing, together).astype(int)
    weight = np.einsum("i,j,k->ijk", layers.plausibility, share.plausibility, sharing.plausibility).ravel()
    found, first = np.unique(_by(caches, weight)[0], return_index=True)
    likeliest = _by(caches, weight)[1][first]
    return Stacks(found, np.bincount(caches, weight)[found], n_layers[likeliest], growing[likeliest],
                  together[likeliest])  # fmt: skip


def _by(caches: Array, weight: Array) -> tuple[Array, Array]:
    """The numbers of caches in order, of each the likeliest way first; and where each stands."""
    order = np.lexsort((-weight, caches))
    return caches[order], order


def kv_bytes_per_token(columns: dict[str, Array], caches: Array, element_bytes: Array) -> Array:
    """KV bytes per token of layers that keep an entry each; the arguments broadcast. [B]

    One of heads and latent is zero, and either way the key of an index, if there is one, is kept beside it.

    >>> one = {"kv_heads": 8, "key_dim": 128, "value_dim": 128, "latent_dim": 0, "rope_dim": 0, "index_dim": 0}
    >>> float(kv_bytes_per_token(one | {"compression_stride": 1}, 80, 2))
    327680.0
    """
    heads = kv_variants.grouped_bytes_per_token(
        caches, columns["kv_heads"], columns["key_dim"], columns["value_dim"], element_bytes
    )
    latent = kv_variants.latent_bytes_per_token(caches, columns["latent_dim"], columns["rope_dim"], element_bytes)
    index = kv_variants.grouped_bytes_per_token(caches, 1, columns["index_dim"], 0, element_bytes)
    entry = kv_variants.groups_bytes(kv_variants.groups_bytes(heads, latent), index)
    return np.asarray(kv_variants.compressed_bytes(1, columns["compression_stride"], entry))
