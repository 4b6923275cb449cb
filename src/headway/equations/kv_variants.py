"""KV cache of one sequence under each attention technique: the bytes it stores and the bytes a decode step reads.

The blackboard takes the two for equal and proportional to context. They are for full attention; windows and fixed
states stop growing, and sparse attention stores everything and reads a part. Each function speaks of one group of like
layers; a model is the sum over its groups. Where one function gives both, its summary says "stores and reads".
What a step reads does not include the cache entry that it writes.

The sources: N. Shazeer 2019, arXiv 1911.02150; J. Ainslie et al. 2023, arXiv 2305.13245; DeepSeek-V2, arXiv 2405.04434;
DeepSeek-V3, arXiv 2412.19437; DeepSeek-V3.2, arXiv 2512.02556; R. Pope with D. Patel, blackboard lecture of 2026-04-29
(cited by its chapter times).
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace
from headway.equations.roofline import kv_bytes

Array = Any  # a number or an array of any array-API library


def scaled_element_bytes(element_bytes: Array, scale_bytes: Array, block_elements: Array) -> Array:
    """Bytes of one quantised element with its part of the block's scale. [B]

        bytes = element_bytes + scale_bytes / block_elements

    element_bytes: bytes of one stored element [B]
    scale_bytes: bytes of the scale (and zero point) of a block [B]
    block_elements: elements that share a scale [1]

    Source: derived here; four bytes per 128 values is the block of arXiv 2412.19437.

    >>> scaled_element_bytes(1, 4, 128)
    1.03125
    """
    return element_bytes + scale_bytes / block_elements


def caching_layers(n_layers: Array, layers_per_cache: Array) -> Array:
    """Layers that keep a cache of their own when neighbours share one. [layers]

        layers = ceil(n_layers / layers_per_cache)

    n_layers: layers in the group [layers]
    layers_per_cache: neighbouring layers that use one cache; 1 is no sharing [1]

    Source: W. Brandon et al. 2024, arXiv 2405.12981 (secondary). Sharing saves storage; every layer still attends.
    Valid: the bytes read fall likewise only if the sharing layers find the cache on chip; else each reads it again.

    >>> float(caching_layers(5, 2))
    3.0
    """
    xp = namespace(n_layers, layers_per_cache)
    return xp.ceil(*arrays(xp, n_layers / layers_per_cache))


def grouped_bytes_per_token(
    n_layers: Array, n_kv_heads: Array, k_head_dim: Array, v_head_dim: Array, element_bytes: Array
) -> Array:
    """KV cache of one token with multi-head, grouped-query or multi-query attention. [B]

        bytes = n_layers * n_kv_heads * (k_head_dim + v_head_dim) * element_bytes

    n_layers: layers that keep a cache [layers]
    n_kv_heads: key-value heads: all heads, a few groups, or one [1]
    k_head_dim: width of a key [1]
    v_head_dim: width of a value [1]
    element_bytes: bytes of one element, scales included [B]

    Source: arXiv 1911.02150 (multi-query); arXiv 2305.13245 (grouped-query).

    >>> grouped_bytes_per_token(126, 8, 128, 128, 2)
    516096
    """
    return n_layers * n_kv_heads * (k_head_dim + v_head_dim) * element_bytes


def latent_bytes_per_token(n_layers: Array, kv_lora_rank: Array, rope_head_dim: Array, element_bytes: Array) -> Array:
    """KV cache of one token with multi-head latent attention: one latent and one positional key for all heads. [B]

        bytes = n_layers * (kv_lora_rank + rope_head_dim) * element_bytes

    n_layers: layers that keep a cache [layers]
    kv_lora_rank: width of the latent [1]
    rope_head_dim: width of the key part that carries the position [1]
    element_bytes: bytes of one element, scales included [B]

    Source: arXiv 2405.04434. Tensor parallelism replicates it: there are no heads to divide.

    >>> latent_bytes_per_token(61, 512, 64, 2)
    70272
    """
    return n_layers * (kv_lora_rank + rope_head_dim) * element_bytes


def full_bytes(context_tokens: Array, kv_bytes_per_token: Array) -> Array:
    """KV cache that one sequence stores and reads under full attention. [B]

        bytes = context_tokens * kv_bytes_per_token

    context_tokens: tokens in the context [tokens]
    kv_bytes_per_token: KV cache of one token, the layers of the group [B]

    Source: lecture 00:00:00; `roofline.kv_bytes` of one sequence.

    >>> full_bytes(131072, 70272) / 1e9
    9.210691584
    """
    return kv_bytes(1, context_tokens, kv_bytes_per_token)


def window_bytes(context_tokens: Array, window_tokens: Array, kv_bytes_per_token: Array) -> Array:
    """KV cache that one sequence stores and reads where layers see a sliding window. [B]

        bytes = min(context_tokens, window_tokens) * kv_bytes_per_token

    context_tokens: tokens in the context [tokens]
    window_tokens: tokens that a layer sees [tokens]
    kv_bytes_per_token: KV cache of one token, the layers of the group [B]

    Source: I. Beltagy et al. 2020, arXiv 2004.05150 (secondary).
    Valid: an engine that frees what leaves the window; one that does not stores `full_bytes` and reads this.

    >>> float(window_bytes(8192, 1024, 4096))
    4194304.0
    """
    xp = namespace(context_tokens, window_tokens, kv_bytes_per_token)
    return xp.minimum(*arrays(xp, context_tokens, window_tokens)) * kv_bytes_per_token


def hybrid_bytes(
    context_tokens: Array, window_tokens: Array, global_bytes_per_token: Array, local_bytes_per_token: Array
) -> Array:
    """KV cache that one sequence stores and reads where some layers are global and some see a window. [B]

        bytes = context_tokens * global_bytes_per_token + min(context_tokens, window_tokens) * local_bytes_per_token

    context_tokens: tokens in the context [tokens]
    window_tokens: tokens that a local layer sees [tokens]
    global_bytes_per_token: KV cache of one token, the global layers [B]
    local_bytes_per_token: KV cache of one token, the local layers [B]

    Source: the sum of `full_bytes` and `window_bytes`.

    >>> float(hybrid_bytes(8192, 1024, 4096, 5 * 4096)) / float(full_bytes(8192, 6 * 4096))
    0.2708...
    """
    xp = namespace(context_tokens, window_tokens, global_bytes_per_token, local_bytes_per_token)
    (context,) = arrays(xp, context_tokens)
    return full_bytes(context, global_bytes_per_token) + window_bytes(context, window_tokens, local_bytes_per_token)


def compressed_bytes(context_tokens: Array, stride_tokens: Array, entry_bytes: Array) -> Array:
    """KV cache that one sequence stores and reads where each stride of tokens is kept as one entry. [B]

        bytes = context_tokens / stride_tokens * entry_bytes

    context_tokens: tokens in the context [tokens]
    stride_tokens: tokens per entry [tokens]
    entry_bytes: bytes of one entry, the layers of the group [B]

    Source: derived here.
    Valid: to within one entry; the tokens of an unfinished stride, and a window of whole ones, are groups of their own.

    >>> compressed_bytes(131072, 4, 1024)
    33554432.0
    """
    return context_tokens / stride_tokens * entry_bytes


def state_bytes(
    n_layers: Array,
    n_heads: Array,
    k_head_dim: Array,
    v_head_dim: Array,
    element_bytes: Array,
    *,
    convolution_elements: Array = 0.0,
) -> Array:
    """State that one sequence stores and reads where layers are linear attention: the same at any context. [B]

        bytes = n_layers * (n_heads * k_head_dim * v_head_dim + convolution_elements) * element_bytes

    n_layers: layers that keep a state [layers]
    n_heads: heads with a state each [1]
    k_head_dim: width of a key, the rows of the state [1]
    v_head_dim: width of a value, its columns [1]
    element_bytes: bytes of one element, commonly four [B]
    convolution_elements: elements that a short convolution keeps beside the state [1]

    Source: A. Katharopoulos et al. 2020, arXiv 2006.16236 (secondary).
    Valid: a step also writes the whole state back, so its traffic is twice this.

    >>> state_bytes(36, 32, 128, 128, 4) / 1e6
    75.497472
    """
    return n_layers * (n_heads * k_head_dim * v_head_dim + convolution_elements) * element_bytes


def topk_stored_bytes(context_tokens: Array, kv_bytes_per_token: Array, index_bytes_per_token: Array) -> Array:
    """KV cache that one sequence stores under top-k attention: everything, and the index. [B]

        bytes = context_tokens * (kv_bytes_per_token + index_bytes_per_token)

    context_tokens: tokens in the context [tokens]
    kv_bytes_per_token: KV cache of one token, the layers of the group [B]
    index_bytes_per_token: indexer key of one token with its scale, the layers of the group [B]

    Source: arXiv 2512.02556 (DeepSeek sparse attention).

    >>> topk_stored_bytes(131072, 1152, 132)
    168296448
    """
    return context_tokens * (kv_bytes_per_token + index_bytes_per_token)


def topk_read_bytes(
    context_tokens: Array, selected_tokens: Array, kv_bytes_per_token: Array, index_bytes_per_token: Array
) -> Array:
    """KV cache that one sequence reads under top-k attention: the chosen tokens, and the index of all. [B]

        bytes = min(context_tokens, selected_tokens) * kv_bytes_per_token + context_tokens * index_bytes_per_token

    context_tokens: tokens in the context [tokens]
    selected_tokens: tokens that the indexer chooses (k) [tokens]
    kv_bytes_per_token: KV cache of one token, the layers of the group [B]
    index_bytes_per_token: indexer key of one token with its scale, the layers of the group [B]

    Source: arXiv 2512.02556; the 128 + 4 bytes per indexed token of the example are an inference.
    Valid: every query chooses for itself; constant plus linear in context, no square root.

    >>> float(full_bytes(131072, 1152) / topk_read_bytes(131072, 2048, 1152, 132))
    7.68
    """
    xp = namespace(context_tokens, selected_tokens, kv_bytes_per_token, index_bytes_per_token)
    (context,) = arrays(xp, context_tokens)
    return window_bytes(context, selected_tokens, kv_bytes_per_token) + full_bytes(context, index_bytes_per_token)


def topk_break_even_tokens(selected_tokens: Array, kv_bytes_per_token: Array, index_bytes_per_token: Array) -> Array:
    """Context from which top-k attention reads fewer bytes than full attention. [tokens]

        saving = kv_bytes_per_token - index_bytes_per_token
        context = where(saving > 0, selected_tokens * kv_bytes_per_token / saving, inf)

    selected_tokens: tokens that the indexer chooses (k) [tokens]
    kv_bytes_per_token: KV cache of one token, the layers of the group [B]
    index_bytes_per_token: indexer key of one token with its scale, the layers of the group [B]

    Source: derived here.
    Valid: infinite where the index is as large as what it indexes.

    >>> round(float(topk_break_even_tokens(2048, 1152, 132)))
    2313
    """
    xp = namespace(selected_tokens, kv_bytes_per_token, index_bytes_per_token)
    kv, index = arrays(xp, kv_bytes_per_token, index_bytes_per_token)
    saves = kv > index
    return xp.where(saves, selected_tokens * kv / xp.where(saves, kv - index, xp.ones_like(kv - index)), xp.inf)


def strided_read_tokens(context_tokens: Array, stride_tokens: Array, entries_per_stride: Array) -> Array:
    """Entries that one sequence reads where it scans an index, one entry per stride, and opens some strides. [tokens]

        entries = context_tokens / stride_tokens + min(entries_per_stride * stride_tokens, context_tokens)

    context_tokens: tokens in the context [tokens]
    stride_tokens: tokens per index entry [tokens]
    entries_per_stride: strides that are opened and read whole [1]

    Source: derived here; with a fixed stride it grows linearly.
    Valid: index entries as large as cache entries.

    >>> float(strided_read_tokens(1e6, 250, 16))
    8000.0
    """
    xp = namespace(context_tokens, stride_tokens, entries_per_stride)
    opened = xp.minimum(*arrays(xp, entries_per_stride * stride_tokens, context_tokens))
    return context_tokens / stride_tokens + opened


def best_stride_tokens(context_tokens: Array, entries_per_stride: Array) -> Array:
    """Stride of the index at which a sequence reads least. [tokens]

        stride = sqrt(context_tokens / entries_per_stride)

    context_tokens: tokens in the context [tokens]
    entries_per_stride: strides that are opened and read whole [1]

    Source: the minimum of context / stride + opened · stride; derived here.
    Valid: a context above four times `entries_per_stride`; below, reading all of it is cheaper than any index.

    >>> float(best_stride_tokens(1e6, 16))
    250.0
    """
    xp = namespace(context_tokens, entries_per_stride)
    return xp.sqrt(*arrays(xp, context_tokens / entries_per_stride))


def sqrt_read_bytes(context_tokens: Array, entries_per_stride: Array, kv_bytes_per_token: Array) -> Array:
    """KV cache that one sequence reads with an index whose stride is chosen anew for each context. [B]

        bytes = min(2 * sqrt(entries_per_stride * context_tokens), context_tokens) * kv_bytes_per_token

    context_tokens: tokens in the context [tokens]
    entries_per_stride: strides that are opened and read whole [1]
    kv_bytes_per_token: KV cache of one token, and of one index entry, the layers of the group [B]

    Source: derived here. The lecture, 01:33:02, credits sparse attention with this square root; no published mechanism
    that we know has it, because their strides are fixed.

    >>> float(sqrt_read_bytes(1e6, 16, 1))
    8000.0
    """
    xp = namespace(context_tokens, entries_per_stride, kv_bytes_per_token)
    context, product = arrays(xp, context_tokens, entries_per_stride * context_tokens)
    return xp.minimum(2 * xp.sqrt(product), context) * kv_bytes_per_token


def sqrt_stored_bytes(context_tokens: Array, entries_per_stride: Array, kv_bytes_per_token: Array) -> Array:
    """KV cache that one sequence stores with an index of the best stride: everything, and the index if it pays. [B]

        index = where(context_tokens > 4 * entries_per_stride, sqrt(entries_per_stride * context_tokens), 0)
        bytes = (context_tokens + index) * kv_bytes_per_token

    context_tokens: tokens in the context [tokens]
    entries_per_stride: strides that are opened and read whole [1]
    kv_bytes_per_token: KV cache of one token, and of one index entry, the layers of the group [B]

    Source: derived here.

    >>> float(sqrt_stored_bytes(1e6, 16, 1))
    1004000.0
    """
    xp = namespace(context_tokens, entries_per_stride, kv_bytes_per_token)
    context, product = arrays(xp, context_tokens, entries_per_stride * context_tokens)
    index = xp.where(context > 4 * entries_per_stride, xp.sqrt(product), xp.zeros_like(product))
    return (context + index) * kv_bytes_per_token


def groups_bytes(first_bytes: Array, second_bytes: Array) -> Array:
    """Two groups of a cache together, such as global and local layers, or a cache and a state. [B]

        bytes = first_bytes + second_bytes

    first_bytes: bytes of one group [B]
    second_bytes: bytes of the other [B]

    Source: groups of layers keep their numbers side by side.

    >>> groups_bytes(4096, 20480)
    24576
    """
    return first_bytes + second_bytes


def batch_bytes(batch: Array, sequence_bytes: Array) -> Array:
    """Bytes that a pass moves for the caches and states of all its sequences. [B]

        bytes = batch * sequence_bytes

    batch: sequences in the pass [sequences]
    sequence_bytes: bytes moved for one sequence [B]

    Source: lecture 00:00:00; no two sequences share a cache.

    >>> batch_bytes(64, 2048.0)
    131072.0
    """
    return batch * sequence_bytes


def state_traffic_bytes(state_bytes: Array) -> Array:
    """Bytes that a pass moves for the recurrent state of one sequence: read at its start, written at its end. [B]

        bytes = 2 * state_bytes

    state_bytes: state of one sequence [B]

    Source: derived here.
    Valid: a pass that keeps the state on the chip between its tokens.

    >>> state_traffic_bytes(1e6)
    2000000.0
    """
    return 2 * state_bytes


def share_of_token_bytes(sequence_bytes: Array, tokens: Array) -> Array:
    """Bytes for each token of what a sequence stores or a pass reads once. [B]

        bytes = sequence_bytes / tokens

    sequence_bytes: bytes of the sequence [B]
    tokens: its tokens [tokens]

    Source: a mean over the sequence.
    Valid: a prefill in one pass whose kernel reads each key and value once; smaller chunks read the cache again.

    >>> share_of_token_bytes(4.2e9, 60000)
    70000.0
    """
    return sequence_bytes / tokens


def chosen_tokens(selected_tokens: Array, pass_tokens: Array) -> Array:
    """Most tokens that the new tokens of one sequence choose together under top-k attention. [tokens]

        tokens = selected_tokens * pass_tokens

    selected_tokens: tokens that one query chooses (k) [tokens]
    pass_tokens: new tokens of each sequence, each of which chooses for itself [tokens]

    Source: arXiv 2512.02556; the bound is derived here, for choices that have nothing in common.

    >>> chosen_tokens(2048, 4)
    8192
    """
    return selected_tokens * pass_tokens
