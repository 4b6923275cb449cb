"""Kinds of attention: what each weighs, keeps for a token, and multiplies.

Every kind is a small dataclass with the same few properties, so that a new kind is one class: `matrices` and `vectors`
are what it weighs, `kept` the cache of one layer (numbers, not bytes), `states` what it keeps at any length.

Projections of heads are dealt out by heads, those of key-value heads with copies where chips outnumber them (vLLM's
`QKVParallelLinear`). What is one for all heads every chip has as a whole: the down-projections of latent attention and
the indexer (vLLM's deepseek_v2.py), and what compresses the cache (its deepseek_v4).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from headway.equations import attention, kv_variants
from headway.model.block import Block
from headway.model.kept import Kept
from headway.model.matrices import Matrix, Vector, present


class Mixer(Block):
    """What mixes tokens in a layer: attention, or a recurrent state in its place; all of it counts as attention."""


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
    def matrices(self) -> tuple[Matrix, ...]:
        """Projections of its queries and its key, and the weights of its heads; every chip has them whole."""
        key = Matrix("index_k", "attention", self.hidden_size, self.head_dim)
        return (self.query, key, *self.weights)

    @property
    def query(self) -> Matrix:
        """The projection of its queries."""
        return Matrix("index_q", "attention", self.query_input, self.n_heads * self.head_dim)

    @property
    def weights(self) -> tuple[Matrix, ...]:
        """What weighs its heads, if anything does."""
        own = Matrix("index_weights", "attention", self.hidden_size, self.n_heads)
        return (own,) if self.weighs_heads else ()

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """Its norms."""
        return present(Vector("index_norm", "attention", self.norm_params))

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

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Queries, keys, values (where it has its own), gate and output; the indexer."""
        h, out, bias = self.hidden_size, self.n_heads * self.v_head_dim, self.qkv_bias
        q, gate = self.n_heads * self.head_dim, {"": 0, "element": out, "head": self.n_heads}[self.gate]
        made = [Matrix("q", "attention", h, q, self.n_heads, others=q * bias), *self._keys_and_values()]
        if gate:
            made.append(Matrix("gate", "attention", h, gate, self.n_heads, others=gate * (bias and self.gate_bias)))
        made.append(Matrix("out", "attention", out, h, self.n_heads, "inputs", others=h * self.output_bias))
        return (*made, *(self.index.matrices if self.index else ()))

    def _keys_and_values(self) -> tuple[Matrix, ...]:
        widths = {} if self.shared else {"k": self.head_dim} if self.keys_are_values else {
            "k": self.head_dim, "v": self.v_head_dim}  # fmt: skip
        kv = self.n_kv_heads
        return tuple(
            Matrix(name, "attention", self.hidden_size, kv * width, kv, others=kv * width * self.qkv_bias, copies=True)
            for name, width in widths.items()
        )

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Norms of queries and keys, sinks, and the norms of the indexer."""
        heads = {"": (0, 0), "head": (1, 1), "full": (self.n_heads, self.n_kv_heads)}[self.qk_norm]
        q, k = (count * self.head_dim * (1 + self.norm_bias) for count in heads)
        return present(
            Vector("q_norm", "attention", q),
            Vector("k_norm", "attention", k * (not self.shared)),
            Vector("sinks", "attention", self.n_heads * self.sinks, self.n_heads),
            *(self.index.vectors if self.index else ()),
        )

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
        own = Kept(float(numbers), pair, text, stored, min(chosen, self.window),
                   heads=self.n_heads, kv_heads=self.n_kv_heads)  # fmt: skip
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

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Down and up projections of queries, keys and values, gate and output; the indexer.

        `kv_up` expands the latent to keys and values (W_UK and W_UV together). Without a rank queries have one `q`.
        """
        h, heads, rank, bias = self.hidden_size, self.n_heads, self.q_lora_rank, self.bias
        qk, out = heads * (self.qk_nope_head_dim + self.qk_rope_head_dim), heads * self.v_head_dim
        down, up = self.kv_lora_rank + self.qk_rope_head_dim, heads * (self.qk_nope_head_dim + self.v_head_dim)
        gate = {"": 0, "element": out, "head": heads}[self.gate]
        if rank is None:
            made = [Matrix("q", "attention", h, qk, heads)]
        else:
            made = [Matrix("q_down", "attention", h, rank, others=rank * bias),
                    Matrix("q_up", "attention", rank, qk, heads)]  # fmt: skip
        made.append(Matrix("kv_down", "attention", h, down, others=down * bias))
        made.append(Matrix("kv_up", "attention", self.kv_lora_rank, up, heads))
        if gate:
            made.append(Matrix("gate", "attention", h, gate, heads))
        made.append(Matrix("out", "attention", out, h, heads, "inputs", others=h * bias))
        return (*made, *(self.index.matrices if self.index else ()))

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """The norms of both latents, and those of the indexer."""
        return present(
            Vector("q_norm", "attention", self.q_lora_rank or 0),
            Vector("kv_norm", "attention", self.kv_lora_rank),
            *(self.index.vectors if self.index else ()),
        )

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
            heads=heads,
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

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Queries, the shared key and value, grouped output; the compressor; the indexer.

        Each of `output_groups` has its own `out_down`, of its own heads: as many columns as all groups have, and the
        inputs of one.
        """
        h, q, groups = self.hidden_size, self.n_heads * self.head_dim, self.output_groups
        ranks = groups * self.output_rank
        index = self.index
        return (
            Matrix("q_down", "attention", h, self.q_lora_rank),
            Matrix("q_up", "attention", self.q_lora_rank, q, self.n_heads),
            Matrix("kv", "attention", h, self.head_dim),
            *self._compressor("compress", self.head_dim),
            Matrix("out_down", "attention", q // groups, ranks, groups),
            Matrix("out", "attention", ranks, h, groups, "inputs"),
            *((index.query, *self._compressor("index_k", index.head_dim), *index.weights) if index else ()),
        )

    @property
    def _overlaps(self) -> int:
        """Strides overlap where an index chooses among the entries: each takes in two."""
        return 2 if self.index else 1

    def _compressor(self, name: str, width: int) -> tuple[Matrix, ...]:
        """Two projections: of what is compressed, and of its weights."""
        if not self.stride:
            return ()
        wide = width * self._overlaps
        return tuple(Matrix(n, "attention", self.hidden_size, wide) for n in (name, f"{name}_gate"))

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Norms and sinks; for entries, and for keys of the index, positions within a stride and a norm."""
        widths = {"compress": self.head_dim, "index_k": self.index.head_dim if self.index else 0}
        compressed = [
            vector
            for name, width in (widths.items() if self.stride else ())
            for vector in (
                Vector(f"{name}_positions", "attention", self.stride * width * self._overlaps),
                Vector(f"{name}_norm", "attention", width),
            )
        ]
        return present(
            Vector("q_norm", "attention", self.q_lora_rank),
            Vector("kv_norm", "attention", self.head_dim),
            Vector("sinks", "attention", self.n_heads, self.n_heads),
            *compressed,
        )

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The window whole; the entries; the compressed keys of the index."""
        pair = float(attention.grouped_pair_flop(1, self.n_heads, self.head_dim, self.head_dim))
        near = Kept(self.head_dim, pair, f"{self.head_dim}", self.window, self.window, heads=self.n_heads)
        if not self.stride:
            return (near,)
        chosen = self.index.selected_tokens * self.stride if self.index else math.inf
        far = Kept(self.head_dim / self.stride, pair / self.stride, f"{self.head_dim} / {self.stride}",
                   read_tokens=chosen, heads=self.n_heads)  # fmt: skip
        return (near, far, *_kept_index(self.index, stride=self.stride))
