"""What a layer is made of, and what each part weighs, keeps and multiplies.

Attention and feed-forward kinds are small dataclasses with the same few properties, so that a new kind is one class.
`params` counts weights, biases and the norms inside the part; the KV figures count numbers, not bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.equations import attention, kv_variants, moe


@dataclass(frozen=True)
class GroupedQueryAttention:
    """Multi-head, grouped-query and multi-query attention: query heads share key-value heads in groups."""

    hidden_size: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: bool = False

    @property
    def params(self) -> int:
        """Projections of queries, keys, values and output, with biases and the norms of queries and keys."""
        q, kv = self.n_heads * self.head_dim, 2 * self.n_kv_heads * self.head_dim
        biases = (q + kv) * self.qkv_bias + self.hidden_size * self.output_bias
        return (2 * q + kv) * self.hidden_size + biases + 2 * self.head_dim * self.qk_norm

    @property
    def kv_numbers_per_token(self) -> int:
        """Numbers kept in the cache for each token: one key and one value for each key-value head."""
        return int(kv_variants.grouped_bytes_per_token(1, self.n_kv_heads, self.head_dim, self.head_dim, 1))

    @property
    def kept(self) -> str:
        """The same as a product, for people."""
        return f"2 x {self.n_kv_heads} KV heads x {self.head_dim}"

    @property
    def pair_flop(self) -> float:
        """Arithmetic of one new token attending to one token."""
        return float(attention.grouped_pair_flop(1, self.n_heads, self.head_dim, self.head_dim))

    @property
    def expanded_pair_flop(self) -> float:
        """The same: keys and values are cached as they are used."""
        return self.pair_flop

    @property
    def expansion_flop(self) -> float:
        """Arithmetic of expanding one cached token: none."""
        return 0.0


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1): one compressed latent for all heads."""

    hidden_size: int
    n_heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int

    @property
    def params(self) -> int:
        """Down and up projections of queries, keys and values, their two inner norms, and the output projection."""
        qk = self.n_heads * (self.qk_nope_head_dim + self.qk_rope_head_dim)
        direct, rank = self.hidden_size * qk, self.q_lora_rank
        query = direct if rank is None else rank * (self.hidden_size + 1 + qk)
        down = self.hidden_size * (self.kv_lora_rank + self.qk_rope_head_dim) + self.kv_lora_rank
        up = self.kv_lora_rank * self.n_heads * (self.qk_nope_head_dim + self.v_head_dim)
        return query + down + up + self.n_heads * self.v_head_dim * self.hidden_size

    @property
    def kv_numbers_per_token(self) -> int:
        """Numbers kept in the cache for each token: one latent and one rotary key, shared by all heads."""
        return int(kv_variants.latent_bytes_per_token(1, self.kv_lora_rank, self.qk_rope_head_dim, 1))

    @property
    def kept(self) -> str:
        """The same as a sum, for people."""
        return f"({self.kv_lora_rank} latent + {self.qk_rope_head_dim} rotary)"

    @property
    def pair_flop(self) -> float:
        """Arithmetic of one new token attending to one token in latent space, the up-projections absorbed."""
        return float(attention.mla_absorbed_pair_flop(1, self.n_heads, self.kv_lora_rank, self.qk_rope_head_dim))

    @property
    def expanded_pair_flop(self) -> float:
        """The same on expanded keys and values."""
        widths = (self.qk_nope_head_dim, self.qk_rope_head_dim, self.v_head_dim)
        return float(attention.mla_unabsorbed_pair_flop(1, self.n_heads, *widths))

    @property
    def expansion_flop(self) -> float:
        """Arithmetic of expanding one cached token."""
        return float(attention.mla_expansion_flop(
            1, 1, self.n_heads, kv_lora_rank=self.kv_lora_rank, nope_head_dim=self.qk_nope_head_dim,
            v_head_dim=self.v_head_dim,
        ))  # fmt: skip


@dataclass(frozen=True)
class Mlp:
    """A feed-forward block with a gate (three matrices), the form of Llama, Qwen, Mixtral and DeepSeek."""

    hidden_size: int
    intermediate_size: int
    bias: bool = False

    @property
    def params(self) -> int:
        """Gate, up and down projections."""
        return (
            3 * self.hidden_size * self.intermediate_size + (2 * self.intermediate_size + self.hidden_size) * self.bias
        )


@dataclass(frozen=True)
class MixtureOfExperts:
    """A routed feed-forward block: each token is sent to `experts_per_token` of `n_experts`, and to all shared ones."""

    hidden_size: int
    n_experts: int
    experts_per_token: int
    expert_intermediate_size: int
    shared_intermediate_size: int = 0

    @property
    def expert_params(self) -> int:
        """Weights of one routed expert."""
        return 3 * self.hidden_size * self.expert_intermediate_size

    @property
    def routed_params(self) -> int:
        """Weights of all routed experts."""
        return int(moe.routed_params(1, self.n_experts, self.hidden_size, self.expert_intermediate_size))

    @property
    def shared_params(self) -> int:
        """Weights of the experts that every token visits."""
        return 3 * self.hidden_size * self.shared_intermediate_size

    @property
    def router_params(self) -> int:
        """The matrix that scores experts; the bias of auxiliary-loss-free routing is a buffer and not counted."""
        return self.hidden_size * self.n_experts


@dataclass(frozen=True)
class Layers:
    """A run of identical layers: attention, feed-forward, and the two norms between them."""

    count: int
    attention: GroupedQueryAttention | LatentAttention
    feed_forward: Mlp | MixtureOfExperts
    norm_params: int
