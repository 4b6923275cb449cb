"""The shape of a decoder: its layers between an embedding and a head, and what follows from them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from headway.model.attention import Mixer
from headway.model.block import Block
from headway.model.feed_forward import MixtureOfExperts
from headway.model.kept import Kept, State, grouped
from headway.model.layers import Layers
from headway.model.matrices import Matrix, Vector, present

PARTS = ("embedding", "lm_head", "attention", "dense_mlp", "routed_experts", "shared_experts", "router", "norm")
# How makers count active parameters, by name: what is added to or taken from those that a token multiplies.
CONVENTIONS = ("with embeddings", "without input embedding", "without input embedding and head")


T = TypeVar("T", Kept, State)


def _counted(layers: Iterable[tuple[T, int]]) -> dict[T, int]:
    """What like layers keep, and how many they are."""
    like: dict[T, int] = {}
    for one, count in layers:
        like[one] = like.get(one, 0) + count
    return like


@dataclass(frozen=True)
class Architecture:
    """Runs of layers between an embedding and a head.

    `lookup_params` are embeddings beside the vocabulary's: positions, and inputs that layers have of their own; a token
    takes a row of each. `extra_norm_params` are norms and residual mixing outside the layers, the last norm included.
    """

    hidden_size: int
    vocab_size: int
    tied_embeddings: bool
    layers: tuple[Layers, ...]
    extra_norm_params: int
    lookup_params: int = 0
    projection_params: int = 0
    head_bias: bool = False
    positions: int | None = None

    @property
    def n_layers(self) -> int:
        """Layers in all."""
        return sum(run.count for run in self.layers)

    @property
    def largest_layer_params(self) -> int:
        """Parameters of one layer of the kind that has most."""
        sums = (run.norm_params + sum(block.params for block in run.blocks) for run in self.layers)
        return max(sums, default=0)

    @property
    def moe_layers(self) -> int:
        """Layers that route tokens to experts."""
        return sum(run.count for run in self.layers if any(isinstance(b, MixtureOfExperts) for b in run.blocks))

    @property
    def experts(self) -> MixtureOfExperts | None:
        """The routed block, if there is one; the largest, where layers differ."""
        found = [b for run in self.layers for b in run.blocks if isinstance(b, MixtureOfExperts)]
        return max(found, key=lambda block: block.routed_params, default=None)

    @functools.cached_property
    def _vocabulary(self) -> int:
        return self.vocab_size * self.hidden_size

    @property
    def head(self) -> Matrix:
        """The projection to the vocabulary, dealt by its rows; stored as the embedding where it is the embedding."""
        part = "embedding" if self.tied_embeddings else "lm_head"
        bias = self.vocab_size * self.head_bias
        return Matrix("head", part, self.hidden_size, self.vocab_size, self.vocab_size, others=bias)

    @property
    def outside(self) -> tuple[Vector, ...]:
        """What stands outside the layers beside the head: norms with residual mixing, and projections of embeddings.

        With it, the head, and the blocks and vectors of all layers (routed experts included) everything is counted that
        is not looked up.
        """
        return present(
            Vector("norm", "norm", self.extra_norm_params),
            Vector("projections", "embedding", self.projection_params),
        )

    def parts(self) -> dict[str, int]:
        """Parameters part by part; they sum to the total. `attention` is whatever mixes tokens."""
        count = dict.fromkeys(PARTS, 0)
        count["embedding"] = self._vocabulary + self.lookup_params + self.projection_params
        count["lm_head"] = self._vocabulary * (not self.tied_embeddings) + self.vocab_size * self.head_bias
        count["norm"] = self.extra_norm_params
        for run in self.layers:
            count["norm"] += run.count * run.norm_params
            for block in run.blocks:
                for part, params in block.parts.items():
                    count[part] += run.count * params
        return count

    def active_parts(self) -> dict[str, float]:
        """Parameters that one token multiplies: of the routed experts its own, of what is looked up none."""
        count: dict[str, float] = dict(self.parts())
        count["embedding"] = self.projection_params + self._vocabulary * self.tied_embeddings
        count["routed_experts"] = 0
        for run in self.layers:
            for block in run.blocks:
                count["routed_experts"] += run.count * block.active.get("routed_experts", 0)
        return count

    @property
    def looked_up(self) -> int:
        """Parameters that are looked up and neither multiplied nor streamed."""
        return self.lookup_params + self._vocabulary * (not self.tied_embeddings)

    def active_by_convention(self) -> dict[str, float]:
        """Active parameters as makers count them, by the name of the convention."""
        multiplied = float(sum(self.active_parts().values()))
        without_head = multiplied - self.head.params
        return dict(zip(CONVENTIONS, (multiplied + self.looked_up, multiplied, without_head), strict=True))

    @functools.cached_property
    def kept(self) -> tuple[Kept, ...]:
        """The groups of the cache, over all layers."""
        like = _counted((kept, run.count) for run, block in self._blocks for kept in block.kept)
        return grouped(kept.times(count) for kept, count in like.items())

    @functools.cached_property
    def states(self) -> tuple[State, ...]:
        """What every sequence keeps at any length."""
        like = _counted((state, run.count) for run, block in self._blocks for state in block.states)
        return tuple(state.times(count) for state, count in like.items())

    @property
    def _blocks(self) -> Iterator[tuple[Layers, Block]]:
        return ((run, block) for run in self.layers for block in run.blocks)

    @property
    def kv_numbers_per_token(self) -> float:
        """Numbers by which the cache grows with each token, however long the context: what no window bounds."""
        return sum(kept.numbers for kept in self.kept if kept.stored_tokens == float("inf"))

    @property
    def window_numbers_per_token(self) -> float:
        """Numbers that a token keeps beside them, as long as it is within the windows."""
        return sum(kept.numbers for kept in self.kept if 0 < kept.stored_tokens < float("inf"))

    @property
    def state_bytes(self) -> float:
        """Bytes of the states of a sequence."""
        return sum(state.numbers * state.bytes_per_number for state in self.states)

    @property
    def mixers(self) -> tuple[tuple[int, Mixer], ...]:
        """Every kind of mixer with the number of its layers."""
        return tuple((run.count, block) for run in self.layers for block in run.blocks if isinstance(block, Mixer))
