"""What architects usually choose: each choice of a KV cache, and how often it occurs in the catalog.

Every catalogued model has one vote for each choice, divided among its layers whose cache grows with the context. A
value is as plausible as its votes plus one, over all votes plus the number of values (the rule of succession): what no
catalogued model has chosen keeps the weight of one model, and nothing else is assumed.

Where a size is known, models near it count for more: a vote weighs 2 ** -d**2, d being the number of doublings between
the sizes. A model twice or half as large has half a vote, one four times as large a sixteenth. The votes that the rule
of succession adds, one for each value, are then divided as the whole catalog divides its own, so that where no model is
near the catalog as a whole decides.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headway import catalog
from headway.model.attention import CompressedAttention, GroupedQueryAttention, LatentAttention, Mixer
from headway.model.config import load_model
from headway.model.model import Model

Array = np.ndarray[Any, Any]
ALL_LAYERS = 0  # of layers that share one cache: as many as there are
# What is considered beside the values that occur in the catalog: published elsewhere, or between those that were.
CONSIDERED: Mapping[str, tuple[Any, ...]] = {
    "kind": ("grouped", "latent"),
    "kv_heads": (1, 2, 4, 8, 16),
    "head_dims": tuple((key, value) for key in (64, 96, 128, 192, 256) for value in (key, 0)),
    "latent_dim": (256, 384, 512, 576, 1024),
    "rope_dim": (0, 32, 64),
    "index_dim": (0, 128),
    "compression_stride": (1, 4, 8, 16, 128),
    "global_share": (1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 8),
    "layers_per_cache": (1, 2, 3, 4, 6, 8, ALL_LAYERS),
}
_ROUNDED = ("global_share", "layers_per_cache")  # a vote goes to the value that is nearest by ratio


@dataclass(frozen=True)
class Entry:
    """What one layer keeps for each token, in numbers: keys and values of heads, or a latent; and the key of an index.

    `value_dim` is 0 where one vector serves as key and value. With a `compression_stride` above 1 so many tokens share
    one such entry.
    """

    kv_heads: int = 0
    key_dim: int = 0
    value_dim: int = 0
    latent_dim: int = 0
    rope_dim: int = 0
    index_dim: int = 0
    compression_stride: int = 1

    @property
    def kind(self) -> str:
        """The kind of attention, in words."""
        if self.latent_dim:
            return "latent"
        if not self.value_dim:
            return "shared keys and values"
        return "multi-query" if self.kv_heads == 1 else "grouped"

    @property
    def shape(self) -> tuple[int, ...]:
        """What makes two caches alike, whatever index and stride: kind, heads and dimensions."""
        return self.kv_heads, self.key_dim, self.value_dim, self.latent_dim, self.rope_dim


@dataclass(frozen=True)
class Known:
    """A catalogued model, as far as its cache tells."""

    name: str
    total_params: float
    active_params: float
    dtype: str
    mixing_layers: int
    entries: Mapping[Entry, float]  # layers with a cache of their own that grows with the context
    growing_layers: int  # layers that attend to the whole context, from a cache of their own or of another layer
    stored_numbers: float  # by which the cache of a sequence grows with each token
    read_numbers: float  # by which what a decoded token reads grows with each token of context

    @property
    def kind(self) -> str:
        """The kind of attention of most of its growing layers."""
        if not self.entries:
            return "none that grows"
        return max(self.entries, key=lambda entry: self.entries[entry]).kind


@dataclass(frozen=True)
class Habit:
    """The values of one choice, each with its votes; `before` are their shares without any vote, if uneven."""

    name: str
    values: tuple[Any, ...]
    votes: tuple[float, ...]
    before: tuple[float, ...] = ()

    @property
    def plausibility(self) -> Array:
        """The share of each value, by the rule of succession; they sum to 1."""
        added = len(self.values) * np.asarray(self.before) if self.before else np.ones(len(self.values))
        votes: Array = np.asarray(self.votes) + added
        return np.asarray(votes / votes.sum())


@dataclass(frozen=True)
class Size:
    """What is known of the size of a model. [params]"""

    total_params: float | None = None
    active_params: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return self.total_params is not None or self.active_params is not None

    def doublings(self, model: Known) -> float:
        """By how many doublings a model is larger or smaller; of both sizes the root of the squares, of neither 0.

        >>> known = {model.name: model for model in known_models()}
        >>> round(Size(35.3e9).doublings(known["llama-3.1-70b"]), 2)
        1.0
        """
        pairs = ((self.total_params, model.total_params), (self.active_params, model.active_params))
        return math.hypot(*(math.log2(its / asked) for asked, its in pairs if asked is not None))

    def votes(self, model: Known) -> float:
        """How much of a vote a model has: 1 at this size, half at twice or half of it, a sixteenth at four times."""
        return float(2 ** -(self.doublings(model) ** 2))


@functools.cache
def known_models() -> tuple[Known, ...]:
    """Every catalogued model, but for those that are there for published measurements only."""
    return tuple(_known(load_model(n)) for n, facts in catalog.model_names().items() if facts.get("habits", True))


def _known(model: Model) -> Known:
    shape = model.architecture
    assert shape is not None
    own: dict[Entry, float] = {}
    growing = 0
    for layers, mixer in shape.mixers:
        kept = mixer.kept
        growing += layers if any(math.inf in group.reach for group in kept) else 0
        if any(math.isinf(group.stored_tokens) for group in kept):
            entry = _entry(mixer)
            own[entry] = own.get(entry, 0.0) + layers
    return Known(
        model.name, model.total_params, model.active_params, model.kv_dtype.name,
        sum(layers for layers, _ in shape.mixers), own, growing, shape.kv_numbers_per_token,
        sum(group.numbers for group in shape.kept if math.isinf(group.read_tokens)),
    )  # fmt: skip


def _entry(mixer: Mixer) -> Entry:
    """What a layer keeps whose cache grows."""
    if isinstance(mixer, LatentAttention):
        index = mixer.index.head_dim if mixer.index else 0
        return Entry(latent_dim=mixer.kv_lora_rank, rope_dim=mixer.qk_rope_head_dim, index_dim=index)
    if isinstance(mixer, CompressedAttention):
        index = mixer.index.head_dim if mixer.index else 0
        return Entry(1, mixer.head_dim, 0, index_dim=index, compression_stride=mixer.stride)
    assert isinstance(mixer, GroupedQueryAttention)
    index = mixer.index.head_dim if mixer.index else 0
    value = 0 if mixer.keys_are_values else mixer.v_head_dim
    return Entry(mixer.n_kv_heads, mixer.head_dim, value, index_dim=index)


ANY_SIZE = Size()


@functools.lru_cache(maxsize=64)
def habits(size: Size = ANY_SIZE) -> Mapping[str, Habit]:
    """Every choice but the number of layers and the number format, with the votes of the catalog near a size."""
    ballots: dict[str, dict[Any, float]] = {name: defaultdict(float) for name in CONSIDERED}
    for model in known_models():
        own, vote = sum(model.entries.values()), size.votes(model)
        for entry, layers in model.entries.items():
            for name, value in _choices(entry):
                ballots[name][value] += vote * layers / own
        if own:
            ballots["global_share"][model.growing_layers / model.mixing_layers] += vote
            ballots["layers_per_cache"][model.growing_layers / own] += vote
    found = {name: _habit(name, ballots[name]) for name in CONSIDERED}
    if not size.known:
        return found
    return {name: replace(habit, before=tuple(habits()[name].plausibility.tolist())) for name, habit in found.items()}


def _choices(entry: Entry) -> Iterable[tuple[str, Any]]:
    """The choices that an entry is made of; heads only where there are any, ranks likewise."""
    yield "kind", "latent" if entry.latent_dim else "grouped"
    if entry.latent_dim:
        yield from (("latent_dim", entry.latent_dim), ("rope_dim", entry.rope_dim))
    else:
        yield from (("kv_heads", entry.kv_heads), ("head_dims", (entry.key_dim, entry.value_dim)))
    yield from (("index_dim", entry.index_dim), ("compression_stride", entry.compression_stride))


def _habit(name: str, ballot: Mapping[Any, float]) -> Habit:
    values = CONSIDERED[name]
    if name not in _ROUNDED:
        values = (*values, *sorted(set(ballot) - set(values)))
        return Habit(name, values, tuple(float(ballot.get(value, 0.0)) for value in values))
    votes = dict.fromkeys(values, 0.0)
    for cast, count in ballot.items():
        votes[min((v for v in values if v), key=lambda v: abs(math.log(v / cast)))] += count
    return Habit(name, values, tuple(votes.values()))


@dataclass(frozen=True)
class LayersHabit:
    """How many layers mix tokens: as often as in the catalog, or as models near a size have.

    `expected` and `spread_factor` are those of the trend: two in three models lie within the factor; None without it.
    """

    habit: Habit
    size: Size = ANY_SIZE
    expected: float | None = None
    spread_factor: float | None = None

    @property
    def plausibility(self) -> Array:
        """The share of each number of layers; they sum to 1."""
        return self.habit.plausibility


def layers_habit(total_params: float | None = None, active_params: float | None = None) -> LayersHabit:
    """The plausibility of each number of layers, from the fewest to the most of the catalog.

    With a size, the models near it vote, and the votes that are added follow the catalog's trend: log-normal around a
    least-squares line through the logarithms of layers and of the parameters that were given, with the spread that the
    models have about it.
    """
    size = Size(total_params, active_params)
    counts = np.array([model.mixing_layers for model in known_models()], dtype=float)
    values = range(int(counts.min()), int(counts.max()) + 1)
    votes = dict.fromkeys(values, 0.0)
    for model in known_models():
        votes[model.mixing_layers] += size.votes(model)
    habit = Habit("n_layers", tuple(votes), tuple(votes.values()))
    if not size.known:
        return LayersHabit(habit)
    asked = {"total_params": total_params, "active_params": active_params}
    given = [name for name, value in asked.items() if value is not None]
    sizes = [[1.0, *(math.log(getattr(model, name)) for name in given)] for model in known_models()]
    slopes, *_ = np.linalg.lstsq(np.asarray(sizes), np.log(counts), rcond=None)
    residuals = np.log(counts) - np.asarray(sizes) @ slopes
    spread = math.sqrt(float(residuals @ residuals) / (len(counts) - len(slopes)))
    centre = float(np.array([1.0, *(math.log(asked[name] or 1.0) for name in given)]) @ slopes)
    off = (np.log(values) - centre) / spread
    weight = np.exp((np.min(off**2) - off**2) / 2) / np.asarray(values)
    trend = replace(habit, before=tuple((weight / weight.sum()).tolist()))
    return LayersHabit(trend, size, math.exp(centre), math.exp(spread))
