"""Attention arithmetic: the term that grows with context and that the blackboard leaves out.

A *pair* is one new token attending to one token (an earlier one or itself). Each function named `..._pair_flop` gives
the arithmetic of a pair over a group of like layers: scores and values, the softmax not counted. Groups add. The
projections are weights, counted in `roofline.matmul_flop`.

The sources: R. Pope et al. 2022, arXiv 2211.05102; V. Korthikanti et al. 2022, arXiv 2205.05198 (read in secondary
notes); DeepSeek-V2, arXiv 2405.04434, §2.1, for multi-head latent attention; R. Pope with D. Patel, blackboard lecture
of 2026-04-29 (cited by its chapter times).
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def grouped_pair_flop(
    n_layers: Array, n_heads: Array, qk_head_dim: Array, v_head_dim: Array, flop_per_multiply_add: Array = 2.0
) -> Array:
    """Attention arithmetic of one pair with multi-head, grouped-query or multi-query attention. [FLOP]

        flop = flop_per_multiply_add * n_layers * n_heads * (qk_head_dim + v_head_dim)

    n_layers: layers of this kind [layers]
    n_heads: query heads; sharing keys and values among them saves bytes, no arithmetic [1]
    qk_head_dim: width of a query and of a key [1]
    v_head_dim: width of a value [1]
    flop_per_multiply_add: two [FLOP]

    Source: arXiv 2205.05198 (secondary); with equal widths it is 4 · heads · width per layer.
    Valid: also for the indexer of sparse attention, which scores without values: its heads, its width, `v_head_dim` 0.

    >>> grouped_pair_flop(80, 64, 128, 128)
    2621440.0
    """
    return flop_per_multiply_add * n_layers * n_heads * (qk_head_dim + v_head_dim)


def mla_absorbed_pair_flop(
    n_layers: Array, n_heads: Array, kv_lora_rank: Array, rope_head_dim: Array, flop_per_multiply_add: Array = 2.0
) -> Array:
    """Attention arithmetic of one pair when multi-head latent attention works on the latents themselves. [FLOP]

        flop = flop_per_multiply_add * n_layers * n_heads * (2 * kv_lora_rank + rope_head_dim)

    n_layers: layers of this kind [layers]
    n_heads: query heads [1]
    kv_lora_rank: width of the latent, which serves as key and as value [1]
    rope_head_dim: width of the key part that carries the position [1]
    flop_per_multiply_add: two [FLOP]

    Source: arXiv 2405.04434 (absorption); the count is derived here.
    Valid: decode, and passes shorter than `mla_absorption_limit_tokens`.

    >>> mla_absorbed_pair_flop(61, 128, 512, 64)
    16990208.0
    """
    return flop_per_multiply_add * n_layers * n_heads * (2 * kv_lora_rank + rope_head_dim)


def mla_unabsorbed_pair_flop(
    n_layers: Array,
    n_heads: Array,
    nope_head_dim: Array,
    rope_head_dim: Array,
    v_head_dim: Array,
    *,
    flop_per_multiply_add: Array = 2.0,
) -> Array:
    """Attention arithmetic of one pair when latents are first expanded to the keys and values of each head. [FLOP]

        flop = flop_per_multiply_add * n_layers * n_heads * (nope_head_dim + rope_head_dim + v_head_dim)

    n_layers: layers of this kind [layers]
    n_heads: query heads [1]
    nope_head_dim: width of the key part without position [1]
    rope_head_dim: width of the key part with position [1]
    v_head_dim: width of a value [1]
    flop_per_multiply_add: two [FLOP]

    Source: arXiv 2405.04434; the count is derived here.
    Valid: prefill. Expanding the pass's own tokens is counted with the weights; a cached context has to be expanded
    again in each pass (`mla_expansion_flop`).

    >>> mla_unabsorbed_pair_flop(61, 128, 128, 64, 128)
    4997120.0
    """
    return flop_per_multiply_add * n_layers * n_heads * (nope_head_dim + rope_head_dim + v_head_dim)


def mla_expansion_flop(
    context_tokens: Array,
    n_layers: Array,
    n_heads: Array,
    *,
    kv_lora_rank: Array,
    nope_head_dim: Array,
    v_head_dim: Array,
    flop_per_multiply_add: Array = 2.0,
) -> Array:
    """Arithmetic that an unabsorbed pass spends on expanding one sequence's cached latents. [FLOP]

        flop = flop_per_multiply_add * context_tokens * n_layers * n_heads * kv_lora_rank * (nope_head_dim + v_head_dim)

    context_tokens: cached tokens before the pass [tokens]
    n_layers: layers of this kind [layers]
    n_heads: query heads [1]
    kv_lora_rank: width of the latent [1]
    nope_head_dim: width of the key part without position [1]
    v_head_dim: width of a value [1]
    flop_per_multiply_add: two [FLOP]

    Source: derived here from arXiv 2405.04434.

    >>> mla_expansion_flop(1, 61, 128, kv_lora_rank=512, nope_head_dim=128, v_head_dim=128) / 1e9
    2.046820352
    """
    width = kv_lora_rank * (nope_head_dim + v_head_dim)
    return flop_per_multiply_add * context_tokens * n_layers * n_heads * width


def mla_absorption_limit_tokens(kv_lora_rank: Array, nope_head_dim: Array, v_head_dim: Array) -> Array:
    """Pass length above which expanding the cached latents costs less than attending in latent space. [tokens]

        saving = 2 * kv_lora_rank - nope_head_dim - v_head_dim
        limit = where(saving > 0, kv_lora_rank * (nope_head_dim + v_head_dim) / saving, inf)

    kv_lora_rank: width of the latent [1]
    nope_head_dim: width of the key part without position [1]
    v_head_dim: width of a value [1]

    Source: derived here.
    Valid: arithmetic only, a context long beside the pass (a shorter one lowers the limit); infinite where the latent
    is so narrow that expanding it never pays.

    >>> float(mla_absorption_limit_tokens(512, 128, 128))
    170.6...
    """
    xp = namespace(kv_lora_rank, nope_head_dim, v_head_dim)
    rank, nope, v = arrays(xp, kv_lora_rank, nope_head_dim, v_head_dim)
    saving = 2 * rank - nope - v
    pays = saving > 0
    return xp.where(pays, rank * (nope + v) / xp.where(pays, saving, xp.ones_like(saving)), xp.inf)


def mean_attended_tokens(pass_tokens: Array, context_tokens: Array) -> Array:
    """Tokens that a new token of a causal pass attends to, averaged over the pass and itself included. [tokens]

        attended = context_tokens + (pass_tokens + 1) / 2

    pass_tokens: new tokens of each sequence [tokens]
    context_tokens: tokens cached before the pass [tokens]

    Source: half the square plus half the diagonal; derived here.
    Valid: kernels that skip the masked half.

    >>> mean_attended_tokens(1, 4096), mean_attended_tokens(8192, 0)
    (4097.0, 4096.5)
    """
    return context_tokens + (pass_tokens + 1) / 2


def mean_attended_in_window_tokens(pass_tokens: Array, context_tokens: Array, window_tokens: Array) -> Array:
    """The same where a token sees no more than a window: a sliding window, or the k best of sparse attention. [tokens]

        growing = min(max(window_tokens - context_tokens, 0), pass_tokens)
        inside = growing * context_tokens + growing * (growing + 1) / 2
        attended = (inside + (pass_tokens - growing) * window_tokens) / pass_tokens

    pass_tokens: new tokens of each sequence [tokens]
    context_tokens: tokens cached before the pass [tokens]
    window_tokens: most tokens that one token attends to, itself included [tokens]

    Source: the sum of min(context + i, window) over the pass; derived here.

    >>> float(mean_attended_in_window_tokens(4, 0, 2)), float(mean_attended_in_window_tokens(1, 4096, 128))
    (1.75, 128.0)
    """
    xp = namespace(pass_tokens, context_tokens, window_tokens)
    room, new = arrays(xp, window_tokens - context_tokens, pass_tokens)
    growing = xp.minimum(xp.maximum(room, xp.zeros_like(room)), new)
    inside = growing * context_tokens + growing * (growing + 1) / 2
    return (inside + (new - growing) * window_tokens) / new


def attention_flop(batch: Array, pass_tokens: Array, attended_tokens: Array, pair_flop: Array) -> Array:
    """Attention arithmetic of one pass. [FLOP]

        flop = batch * pass_tokens * attended_tokens * pair_flop

    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence [tokens]
    attended_tokens: tokens that a new token attends to, on average [tokens]
    pair_flop: attention arithmetic of one pair, all layers of the group [FLOP]

    Source: arXiv 2205.05198 (secondary), in pairs so that any mask and any attention fits.

    >>> attention_flop(1, 8192, mean_attended_tokens(8192, 0), grouped_pair_flop(80, 64, 128, 128)) / 1e12
    87.97...
    """
    return batch * pass_tokens * attended_tokens * pair_flop


def expansion_flop(batch: Array, context_tokens: Array, expansion_flop_per_token: Array) -> Array:
    """Arithmetic of a pass for expanding cached latents; none where keys and values are cached as they are. [FLOP]

        flop = batch * context_tokens * expansion_flop_per_token

    batch: sequences in the pass [sequences]
    context_tokens: cached tokens before the pass [tokens]
    expansion_flop_per_token: arithmetic of expanding one cached token, all layers [FLOP]

    Source: derived here from arXiv 2405.04434.

    >>> expansion_flop(2, 1000, 2e9) / 1e12
    4.0
    """
    return batch * context_tokens * expansion_flop_per_token


def cheaper_attention_flop(latent_flop: Array, expanded_flop: Array, expansion_flop: Array) -> Array:
    """Attention arithmetic when the pass takes the cheaper of two forms: in latent space, or expanded first. [FLOP]

        flop = min(latent_flop, expanded_flop + expansion_flop)

    latent_flop: scores and values on the latents [FLOP]
    expanded_flop: scores and values on expanded keys and values [FLOP]
    expansion_flop: the expansion of the cached latents [FLOP]

    Source: derived here; decode takes the first, a long prefill the second.

    >>> float(cheaper_attention_flop(34.0, 10.0, 30.0))
    34.0
    """
    xp = namespace(latent_flop, expanded_flop, expansion_flop)
    return xp.minimum(*arrays(xp, latent_flop, expanded_flop + expansion_flop))


def attention_balance_tokens(active_params: Array, pair_flop: Array, flop_per_param: Array = 2.0) -> Array:
    """Attended tokens at which a token's attention costs as much arithmetic as its weights. [tokens]

        attended = flop_per_param * active_params / pair_flop

    active_params: parameters that one token multiplies [params]
    pair_flop: attention arithmetic of one pair, all layers [FLOP]
    flop_per_param: two, for one multiply-add [FLOP]

    Source: derived here; the lecture, 01:33:02, puts it "up in the millions", which takes about one global layer.
    Valid: a causal prompt attends to half its length on average; see `context.attention_wall_tokens`.

    >>> attention_balance_tokens(70.6e9, grouped_pair_flop(80, 64, 128, 128))
    53863...
    >>> attention_balance_tokens(37e9, mla_absorbed_pair_flop(61, 128, 512, 64))
    4355.4...
    """
    return flop_per_param * active_params / pair_flop


def state_flop(
    n_layers: Array,
    n_heads: Array,
    k_head_dim: Array,
    v_head_dim: Array,
    products: Array,
    *,
    flop_per_multiply_add: Array = 2.0,
) -> Array:
    """Arithmetic of one token on the states of layers that keep no cache: linear attention, state spaces. [FLOP]

        flop = flop_per_multiply_add * n_layers * n_heads * k_head_dim * v_head_dim * products

    n_layers: layers that keep a state [layers]
    n_heads: heads with a state each [1]
    k_head_dim: width of a key, the rows of the state [1]
    v_head_dim: width of a value, its columns [1]
    products: times that each element is multiplied and added: write and read, 2; the delta rule, 3 [1]
    flop_per_multiply_add: two [FLOP]

    Source: arXiv 2006.16236 and 2412.06464 (secondary); the count is derived here.
    Valid: the recurrent form of decode; decays are left out. A prefill in chunks works with matrices, and counts more.

    >>> state_flop(48, 48, 128, 128, 3) / 1e6
    226.492416
    """
    return flop_per_multiply_add * n_layers * n_heads * k_head_dim * v_head_dim * products


def states_flop(batch: Array, pass_tokens: Array, state_flop: Array) -> Array:
    """Arithmetic of a pass on recurrent states, which is the same at any context. [FLOP]

        flop = batch * pass_tokens * state_flop

    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence [tokens]
    state_flop: arithmetic of one token on the states of all layers [FLOP]

    Source: `state_flop`.

    >>> states_flop(2, 10, 1e6)
    20000000.0
    """
    return batch * pass_tokens * state_flop


def groups_flop(first_flop: Array, second_flop: Array) -> Array:
    """The arithmetic of two groups of layers together. [FLOP]

        flop = first_flop + second_flop

    first_flop: arithmetic of one group [FLOP]
    second_flop: arithmetic of the other [FLOP]

    Source: groups of layers follow each other.

    >>> groups_flop(1e9, 2e9)
    3000000000.0
    """
    return first_flop + second_flop
