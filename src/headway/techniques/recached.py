"""A model with another cache: what its layers keep is replaced, and nothing else.

The weights stay as they are: the projections that an index or a latent would add, and those that sharing would save,
are not counted, so that two models differ by their cache alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from headway.equations import kv_variants
from headway.model.architecture import Architecture
from headway.model.attention import Mixer
from headway.model.block import Block
from headway.model.kept import Kept, State
from headway.model.matrices import Matrix, Vector
from headway.model.model import Model


@dataclass(frozen=True)
class Cache:
    """What one layer keeps: keys and values (or their latent), and the index that chooses among them."""

    own: tuple[Kept, ...]
    index: tuple[Kept, ...] = ()

    def all(self, change: Callable[[Kept], Kept]) -> Cache:
        """The cache with every group changed alike."""
        return Cache(tuple(map(change, self.own)), tuple(map(change, self.index)))


@dataclass(frozen=True)
class Recached(Mixer):
    """A mixer with another cache; weights and states are those of the mixer it was (no states, where `stateless`)."""

    inner: Mixer
    cache: Cache
    stateless: bool = False

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Those of the mixer it was."""
        return self.inner.matrices

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """Those of the mixer it was."""
        return self.inner.vectors

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The other cache."""
        return (*self.cache.own, *self.cache.index)

    @property
    def states(self) -> tuple[State, ...]:
        """Those of the mixer it was: no technique touches a state."""
        return () if self.stateless else self.inner.states


Change = Callable[[Mixer, Cache], Cache]


def cache_of(mixer: Mixer) -> Cache:
    """The cache of a mixer, its index apart: the last group, where it has an indexer."""
    if isinstance(mixer, Recached):
        return mixer.cache
    kept = mixer.kept
    indexed = bool(kept) and getattr(mixer, "index", None) is not None
    return Cache(kept[:-1], kept[-1:]) if indexed else Cache(kept)


def same(_: Mixer, cache: Cache) -> Cache:
    """The change that changes nothing."""
    return cache


def recached(model: Model, change: Change, *, every: int = 1, others: Change = same, stateless: bool = False) -> Model:
    """The model with the first of `every` like layers changed one way, and the others another.

    Layers are alike that keep the same; they are counted in their order. A model of bare numbers has no layers and
    comes back as it is.
    """
    shape = model.architecture
    if shape is None:
        return model
    passed: Counter[tuple[Cache, ...]] = Counter()
    runs = []
    for run in shape.layers:
        like = tuple(cache_of(block) for block in run.blocks if isinstance(block, Mixer))
        before, after = (int(kv_variants.caching_layers(n, every)) for n in (passed[like], passed[like] + run.count))
        passed[like] += run.count
        first = after - before
        for count, how in ((first, change), (run.count - first, others)):
            if count:
                blocks = tuple(_changed(block, how, stateless) for block in run.blocks)
                runs.append(replace(run, count=count, blocks=blocks))
    return replace(model, architecture=replace(shape, layers=tuple(runs)))


def _changed(block: Block, how: Change, stateless: bool) -> Block:
    if not isinstance(block, Mixer):
        return block
    inner = block.inner if isinstance(block, Recached) else block
    before = cache_of(block)
    after = how(inner, before) if before.own else before
    return block if after == before and not stateless else Recached(inner, after, stateless)


def cached_mixers(shape: Architecture) -> list[tuple[int, Mixer, Cache]]:
    """Every kind of mixer that keeps a cache: how many layers, which it was, what it keeps."""
    found = []
    for count, mixer in shape.mixers:
        cache = cache_of(mixer)
        if cache.own:
            found.append((count, mixer.inner if isinstance(mixer, Recached) else mixer, cache))
    return found
