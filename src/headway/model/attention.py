"""Kinds of attention: what each weighs, keeps for a token, and multiplies.

Every kind is a small dataclass with the same few properties, so that a new kind is one class: `parts` and `active` are
parameters by part, `kept` the cache of one layer (numbers, not bytes), `states` what it keeps at any length.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from headway.equations import attention, kv_variants
from headway.model.block import Block
from headway.model.kept import Kept


class Mixer(Block):
    """What mixes tokens in a layer: attention, or a recurrent state in its place."""

    @property
    @abstractmethod
    def params(self) -> int:
        """Weights, biases and inner norms."""

    @property
    def parts(self) -> dict[str, int]:
        """All of it counts as attention."""
        return {"attention": self.params}


@dataclass(frozen=True)
class Index:
    """The lightning indexer of sparse attention: it scores every entry and names the best (arXiv 2512.02556 §2.1).

    `norm_params` counts the norms of its key, and of its queries where they have one.
    """

    hidden_size: int
    query_input: int
    n_heads: int
    head_dim: int
    selected_tokens: float
    weighs_heads: bool = True
    norm_params: int = 0

    @property
    def params(self) -> int:
        """Projections of its queries and its key, the weights of its heads, and norms."""
        query, key = self.query_input * self.n_heads * self.head_dim, self.hidden_size * self.head_dim
        return query + key + self.hidden_size * self.n_heads * self.weighs_heads + self.norm_params

    @property
    def pair_flop(self) -> float:
        """Arithmetic of scoring one entry: queries with the key, no values."""
        return float(attention.grouped_pair_flop(1, self.n_heads, self.head_dim, 0))


@dataclass(frozen=True)
class GroupedQueryAttention(Mixer):
    """Multi-head, grouped-query and multi-query attention: query heads share key-value heads in groups.

    `reach` bounds what it sees: the newest `window` tokens, or at most the tokens of one `chunk`. `keys_are_values`
    keeps one vector for both; `shared` reads the cache of an earlier layer and keeps none of its own.
    """

    hidden_size: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    v_head_dim: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: str = ""  # "head": over each head; "full": over all heads at once
    norm_bias: bool = False
    gate: str = ""  # "element": one more projection as wide as the output; "head": one number a head
    gate_bias: bool = False  # where queries have a bias, the gate has one too
    sinks: bool = False  # one learned logit a head
    keys_are_values: bool = False
    window: float = math.inf
    shared: bool = False
    index: Index | None = None

    @property
    def params(self) -> int:
        """Projections of queries, keys, values and output, with biases, gates, sinks, inner norms and the indexer."""
        q, out = self.n_heads * self.head_dim, self.n_heads * self.v_head_dim
        k, v = self.n_kv_heads * self.head_dim, self.n_kv_heads * self.v_head_dim * (not self.keys_are_values)
        k, v = (0, 0) if self.shared else (k, v)
        gate = {"": 0, "element": out, "head": self.n_heads}[self.gate]
        normed = {"": 0, "head": self.head_dim * (2 - self.shared), "full": q + k}[self.qk_norm] * (1 + self.norm_bias)
        biases = (q + k + v + gate * self.gate_bias) * self.qkv_bias + self.hidden_size * self.output_bias
        index = self.index.params if self.index else 0
        return (q + k + v + out + gate) * self.hidden_size + biases + normed + self.n_heads * self.sinks + index

    @property
    def kept(self) -> tuple[Kept, ...]:
        """A key and a value for each key-value head, or one vector for both; beside them the key of the index."""
        chosen = self.index.selected_tokens if self.index else math.inf
        width = self.head_dim + self.v_head_dim * (not self.keys_are_values)
        numbers = kv_variants.grouped_bytes_per_token(1, self.n_kv_heads, self.head_dim, width - self.head_dim, 1)
        pair = float(attention.grouped_pair_flop(1, self.n_heads, self.head_dim, self.v_head_dim))
        both = f"2 x {self.n_kv_heads} KV heads x {self.head_dim}"
        text = both if width == 2 * self.head_dim else f"{self.n_kv_heads} KV heads x {width}"
        stored = 0.0 if self.shared else self.window
        own = Kept(float(numbers), pair, text, stored, min(chosen, self.window))
        return (own, *_kept_index(self.index, self.window))


def _kept_index(index: Index | None, window: float = math.inf, stride: int = 1) -> tuple[Kept, ...]:
    if index is None:
        return ()
    text = f"{index.head_dim} of the index" + (f" / {stride}" if stride > 1 else "")
    return (Kept(index.head_dim / stride, index.pair_flop / stride, text, window, window),)


@dataclass(frozen=True)
class LatentAttention(Mixer):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1): one compressed latent for all heads."""

    hidden_size: int
    n_heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    bias: bool = False
    gate: str = ""
    index: Index | None = None
    selected_tokens: float = math.inf

    @property
    def params(self) -> int:
        """Down and up projections of queries, keys and values, their two inner norms, and the output projection."""
        qk, out = self.n_heads * (self.qk_nope_head_dim + self.qk_rope_head_dim), self.n_heads * self.v_head_dim
        direct, rank = self.hidden_size * qk, self.q_lora_rank
        query = direct if rank is None else rank * (self.hidden_size + 1 + qk)
        down = self.hidden_size * (self.kv_lora_rank + self.qk_rope_head_dim) + self.kv_lora_rank
        up = self.kv_lora_rank * self.n_heads * (self.qk_nope_head_dim + self.v_head_dim)
        biases = ((rank or 0) + self.kv_lora_rank + self.qk_rope_head_dim + self.hidden_size) * self.bias
        gate = {"": 0, "element": out, "head": self.n_heads}[self.gate] * self.hidden_size
        index = self.index.params if self.index else 0
        return query + down + up + out * self.hidden_size + biases + gate + index

    @property
    def kept(self) -> tuple[Kept, ...]:
        """One latent and one rotary key for all heads; beside them the key of the index."""
        numbers = kv_variants.latent_bytes_per_token(1, self.kv_lora_rank, self.qk_rope_head_dim, 1)
        heads, nope, rope = self.n_heads, self.qk_nope_head_dim, self.qk_rope_head_dim
        own = Kept(
            float(numbers),
            float(attention.mla_absorbed_pair_flop(1, heads, self.kv_lora_rank, rope)),
            f"({self.kv_lora_rank} latent + {rope} rotary)",
            read_tokens=self.selected_tokens,
            expanded_pair_flop=float(attention.mla_unabsorbed_pair_flop(1, heads, nope, rope, self.v_head_dim)),
            expansion_flop=float(attention.mla_expansion_flop(
                1, 1, heads, kv_lora_rank=self.kv_lora_rank, nope_head_dim=nope, v_head_dim=self.v_head_dim)),
        )  # fmt: skip
        return (own, *_kept_index(self.index))


@dataclass(frozen=True)
class CompressedAttention(Mixer):
    """DeepSeek-V4's attention: one key-value head, kept whole in a window and beyond it as one entry per `stride`.

    A small stride is searched by an indexer, whose keys are compressed alike; a large one is read as a whole. Stride 0
    has the window alone. Queries and the output go through low ranks; the output's by groups of heads.
    """

    hidden_size: int
    n_heads: int
    head_dim: int
    q_lora_rank: int
    output_groups: int
    output_rank: int
    window: float
    stride: int = 0
    index: Index | None = None

    @property
    def params(self) -> int:
        """Queries, the shared key and value, grouped output, sinks and norms; the compressor; the indexer."""
        q, out = self.n_heads * self.head_dim, self.n_heads * self.head_dim
        query = self.q_lora_rank * (self.hidden_size + 1 + q)
        kv = self.hidden_size * self.head_dim + self.head_dim
        output = out * self.output_rank + self.output_groups * self.output_rank * self.hidden_size
        own = query + kv + output + self.n_heads
        return own + self._compressor(self.head_dim) + self._indexer()

    def _compressor(self, width: int) -> int:
        """Two projections of what is compressed and of its weights (doubled where strides overlap), positions, norm."""
        if not self.stride:
            return 0
        wide = width * (2 if self.index else 1)
        return 2 * self.hidden_size * wide + self.stride * wide + width

    def _indexer(self) -> int:
        if self.index is None:
            return 0
        index = self.index
        query = index.query_input * index.n_heads * index.head_dim
        return query + self.hidden_size * index.n_heads + self._compressor(index.head_dim)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The window whole; the entries; the compressed keys of the index."""
        pair = float(attention.grouped_pair_flop(1, self.n_heads, self.head_dim, self.head_dim))
        near = Kept(self.head_dim, pair, f"{self.head_dim}", self.window, self.window)
        if not self.stride:
            return (near,)
        chosen = self.index.selected_tokens * self.stride if self.index else math.inf
        far = Kept(self.head_dim / self.stride, pair / self.stride, f"{self.head_dim} / {self.stride}",
                   read_tokens=chosen)  # fmt: skip
        return (near, far, *_kept_index(self.index, stride=self.stride))
