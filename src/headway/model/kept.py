"""What a layer keeps of the tokens before, and what a new token does with it.

Every cache that is known is a sum of groups: the numbers that a group keeps for a token of context, as far back as it
keeps them, and as many as a new token reads. Full attention keeps and reads everything; a window is bounded; sparse
attention keeps everything and reads its choice; a compressed cache keeps one entry for several tokens, so that its
numbers for a token are a fraction. Beside the groups stands a state of a fixed size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Kept:
    """A group of cached numbers, of one layer or of many.

    `numbers` are kept for each token of context, of the newest `stored_tokens`; a new token reads those of
    `read_tokens` of them. The arithmetic is that of one new token with one token that it reads: on the numbers as they
    are cached (`pair_flop`), or on keys and values expanded from them, after `expansion_flop` for each cached token.

    Tensor parallelism deals the arithmetic out by the `heads` of the queries, and the numbers by `kv_heads`; chips
    beyond the latter keep copies. 1 is what every chip does, or keeps, as a whole: the one key-value head of
    multi-query attention, the latent that all heads share, the index with its key.
    """

    numbers: float
    pair_flop: float
    text: str
    stored_tokens: float = math.inf
    read_tokens: float = math.inf
    expanded_pair_flop: float | None = None
    expansion_flop: float = 0.0
    heads: int = 1
    kv_heads: int = 1

    @property
    def reach(self) -> tuple[float, float]:
        """How far back the group keeps, and how much of that a token reads; groups of one reach add up."""
        return self.stored_tokens, self.read_tokens

    @property
    def name(self) -> str:
        """What to call a group of this reach: full, window_1024, selected_2048."""
        if not self.stored_tokens:
            return f"shared_window_{self.read_tokens:.0f}" if math.isfinite(self.read_tokens) else "shared"
        if math.isfinite(self.stored_tokens):
            chosen = f"_selected_{self.read_tokens:.0f}" if self.read_tokens < self.stored_tokens else ""
            return f"window_{self.stored_tokens:.0f}{chosen}"
        return f"selected_{self.read_tokens:.0f}" if math.isfinite(self.read_tokens) else "full"

    @property
    def bound(self) -> float:
        """The tokens that bound the group in one way or the other; infinite for one that has no bound."""
        return self.read_tokens if not self.stored_tokens else min(self.reach)

    def bound_name(self, tokens: float) -> str:
        """What a bound of the group is called: that of what is read, and beside it a wider one of what is kept."""
        return f"{self.name}_tokens" if tokens == self.bound else f"{self.name}_stored_tokens"

    def times(self, layers: int) -> Kept:
        """The group of many such layers."""
        expanded = self.pair_flop if self.expanded_pair_flop is None else self.expanded_pair_flop
        return replace(
            self, numbers=layers * self.numbers, pair_flop=layers * self.pair_flop,
            expanded_pair_flop=layers * expanded, expansion_flop=layers * self.expansion_flop,
            text=f"{layers} layers x {self.text}",
        )  # fmt: skip


@dataclass(frozen=True)
class State:
    """Numbers of a fixed count that a layer keeps for each sequence, read and written by every token.

    They are dealt out by `heads`, or what stands for them: channels, where a recurrence has no heads.
    """

    numbers: float
    bytes_per_number: float
    flop: float
    text: str
    heads: int = 1

    def times(self, layers: int) -> State:
        """The state of many such layers."""
        return replace(
            self, numbers=layers * self.numbers, flop=layers * self.flop, text=f"{layers} layers x {self.text}"
        )


def grouped(kept: Iterable[Kept]) -> tuple[Kept, ...]:
    """The groups of a model: those of one reach added up, the one that keeps and reads everything first.

    A sum has the heads by which all its layers can be dealt, their greatest common divisor: so a chip's part of it is
    never understated, but may be overstated. Exact shares come from the groups of each layer.
    """
    groups: dict[tuple[float, float], Kept] = {}
    for one in kept:
        other = groups.get(one.reach)
        groups[one.reach] = one if other is None else _sum(other, one)
    return tuple(sorted(groups.values(), key=lambda group: (-group.stored_tokens, -group.read_tokens)))


def _sum(a: Kept, b: Kept) -> Kept:
    return replace(
        a, numbers=a.numbers + b.numbers, pair_flop=a.pair_flop + b.pair_flop,
        expanded_pair_flop=(a.expanded_pair_flop or 0.0) + (b.expanded_pair_flop or 0.0),
        expansion_flop=a.expansion_flop + b.expansion_flop, text=f"{a.text} + {b.text}",
        heads=math.gcd(a.heads, b.heads), kv_heads=math.gcd(a.kv_heads, b.kv_heads),
    )  # fmt: skip
