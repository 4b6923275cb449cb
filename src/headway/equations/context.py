"""Long context: the three walls it runs into, and what a context beyond them would need.

The bandwidth wall is where reading KV overtakes arithmetic (`roofline.balance_context`) or the weights, the capacity
wall where sequences no longer fit, the attention wall where attention overtakes the weights' own arithmetic. Functions
that take the bytes of a sequence serve every technique of `kv_variants`.

The source, where no other is named: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter
times).
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace
from headway.equations.attention import attention_balance_tokens
from headway.equations.roofline import compute_time_s, pass_time_s, stream_time_s

Array = Any  # a number or an array of any array-API library


def weights_parity_context(batch: Array, weights_bytes: Array, kv_bytes_per_token: Array) -> Array:
    """Context at which reading the batch's KV takes as long as reading the weights. [tokens]

        context = weights_bytes / (batch * kv_bytes_per_token)

    batch: sequences in the pass [sequences]
    weights_bytes: weights that a pass reads [B]
    kv_bytes_per_token: KV cache of one token, all layers [B]

    Source: lecture 00:00:00, the two memory terms set equal; both stream from the same memory, so bandwidth drops out.

    >>> round(weights_parity_context(64, 140e9, 327680))
    6676
    """
    return weights_bytes / (batch * kv_bytes_per_token)


def kv_over_compute(
    context_tokens: Array,
    kv_bytes_per_token: Array,
    bandwidth_bytes_per_s: Array,
    flop_per_sequence: Array,
    flop_per_s: Array,
) -> Array:
    """Time to read a sequence's KV over the time of its arithmetic. [1]

        ratio = (context_tokens * kv_bytes_per_token / bandwidth_bytes_per_s) / (flop_per_sequence / flop_per_s)

    context_tokens: earlier tokens that the sequence attends to [tokens]
    kv_bytes_per_token: KV cache of one token, all layers [B]
    bandwidth_bytes_per_s: memory bandwidth [B/s]
    flop_per_sequence: arithmetic of one sequence in the pass [FLOP]
    flop_per_s: dense peak [FLOP/s]

    Source: lecture 01:33:02. Above 1, a pass is memory-bound at every batch, and MFU at best is one over this.

    >>> round(kv_over_compute(2e5, 2000, 1e12, 2e11, 6e14), 6)
    1.2
    """
    read_s = stream_time_s(context_tokens * kv_bytes_per_token, bandwidth_bytes_per_s)
    return read_s / compute_time_s(flop_per_sequence, flop_per_s)


def kv_bytes_at_crossover(
    active_params: Array, weight_bytes_per_param: Array, ridge: Array, crossover_tokens: Array
) -> Array:
    """KV bytes per token of a model whose price per token starts to rise at a known context. [B]

        bytes = active_params * weight_bytes_per_param / (ridge * crossover_tokens)

    active_params: parameters that one token multiplies [params]
    weight_bytes_per_param: bytes of one stored weight at the dtype of the ridge [B]
    ridge: multiply-adds per parameter read [1]
    crossover_tokens: context at which KV reading overtakes arithmetic [tokens]

    Source: lecture 01:33:02, which divides by 300 and 200,000 tokens and so takes one byte per weight.
    Valid: decode; the price is assumed to follow the cost.

    >>> round(kv_bytes_at_crossover(1e11, 1, 300, 2e5), 1)
    1666.7
    """
    return active_params * weight_bytes_per_param / (ridge * crossover_tokens)


def capacity_batch(memory_bytes: Array, weights_bytes: Array, sequence_bytes: Array) -> Array:
    """Most sequences that fit in memory beside the weights; none where the weights do not fit. [sequences]

        room = max(memory_bytes, weights_bytes) - weights_bytes
        batch = -ceil(-room / sequence_bytes)

    memory_bytes: usable memory of all chips that share the weights [B]
    weights_bytes: weights stored, replicas included [B]
    sequence_bytes: KV cache that one sequence stores at its context [B]

    Source: lecture 00:00:00; a whole number of sequences.

    >>> float(capacity_batch(640e9, 140e9, 8192 * 327680))
    186.0
    """
    xp = namespace(memory_bytes, weights_bytes, sequence_bytes)
    memory, weights = arrays(xp, memory_bytes, weights_bytes)
    return xp.floor((xp.maximum(memory, weights) - weights) / sequence_bytes)


def capacity_context(
    memory_bytes: Array, weights_bytes: Array, batch: Array, kv_bytes_per_token: Array, fixed_bytes: Array = 0.0
) -> Array:
    """Longest context at which a batch fits in memory beside the weights; none where not even the weights fit. [tokens]

        room = max(memory_bytes, weights_bytes) - weights_bytes
        grows = max(room / batch, fixed_bytes) - fixed_bytes
        context = -ceil(-grows / kv_bytes_per_token)

    memory_bytes: usable memory of all chips that share the weights [B]
    weights_bytes: weights stored, replicas included [B]
    batch: sequences in memory [sequences]
    kv_bytes_per_token: KV cache of one token, the layers whose cache grows, index included [B]
    fixed_bytes: what one sequence stores at any context: full windows and states [B]

    Source: lecture 01:33:02; a whole number of tokens.

    >>> float(capacity_context(640e9, 140e9, 1, 327680))
    1525878.0
    """
    xp = namespace(memory_bytes, weights_bytes, batch, kv_bytes_per_token, fixed_bytes)
    memory, weights = arrays(xp, memory_bytes, weights_bytes)
    room, fixed = arrays(xp, (xp.maximum(memory, weights) - weights) / batch, fixed_bytes)
    return xp.floor((xp.maximum(room, fixed) - fixed) / kv_bytes_per_token)


def attention_wall_tokens(
    active_params: Array, pair_flop: Array, context_tokens: Array = 0.0, flop_per_param: Array = 2.0
) -> Array:
    """Length of a causal prompt whose attention costs as much arithmetic as its weights. [tokens]

        prompt = max(2 * (flop_per_param * active_params / pair_flop - context_tokens) - 1, 0)

    active_params: parameters that one token multiplies [params]
    pair_flop: attention arithmetic of one pair, all layers (`attention`) [FLOP]
    context_tokens: tokens cached before the prompt [tokens]
    flop_per_param: two, for one multiply-add [FLOP]

    Source: derived here: a prompt of q tokens attends to (q + 1) / 2 of itself on average.
    Valid: full attention; zero where the cached context alone is beyond the wall.

    >>> round(float(attention_wall_tokens(37e9, 4997120)))
    29616
    """
    balance = attention_balance_tokens(active_params, pair_flop, flop_per_param)
    xp = namespace(balance, context_tokens)
    (prompt,) = arrays(xp, 2 * (balance - context_tokens) - 1)
    return xp.maximum(prompt, xp.zeros_like(prompt))


def needed_bandwidth_bytes_per_s(
    step_s: Array, batch: Array, weights_bytes: Array, sequence_read_bytes: Array
) -> Array:
    """Memory bandwidth that a decode step of given length needs at a context. [B/s]

        bandwidth = (weights_bytes + batch * sequence_read_bytes) / step_s

    step_s: time of one pass that is wanted [s]
    batch: sequences in the pass [sequences]
    weights_bytes: weights that a pass reads [B]
    sequence_read_bytes: KV cache that one sequence reads at that context [B]

    Source: lecture 01:33:02, `roofline.stream_time_s` solved for the bandwidth.

    >>> needed_bandwidth_bytes_per_s(0.02, 1, 37e9, 100e6 * 70272) / 1e12
    353.21
    """
    return (weights_bytes + batch * sequence_read_bytes) / step_s


def needed_memory_bytes(batch: Array, weights_bytes: Array, sequence_bytes: Array) -> Array:
    """Memory that a batch needs at a context. [B]

        bytes = weights_bytes + batch * sequence_bytes

    batch: sequences in memory [sequences]
    weights_bytes: weights stored, replicas included [B]
    sequence_bytes: KV cache that one sequence stores at that context [B]

    Source: lecture 00:47:12.

    >>> needed_memory_bytes(1, 671e9, 100e6 * 70272) / 1e12
    7.6982
    """
    return weights_bytes + batch * sequence_bytes


def token_cost_at_context_usd(
    batch: Array,
    flop_per_sequence: Array,
    weights_bytes: Array,
    sequence_read_bytes: Array,
    *,
    flop_per_s: Array,
    bandwidth_bytes_per_s: Array,
    usd_per_s: Array,
) -> Array:
    """Cost of one decoded token at a context. [USD/token]

        arithmetic = batch * flop_per_sequence / flop_per_s
        traffic = (weights_bytes + batch * sequence_read_bytes) / bandwidth_bytes_per_s
        usd = max(arithmetic, traffic) * usd_per_s / batch

    batch: sequences in the pass, as many as fit or fewer [sequences]
    flop_per_sequence: arithmetic of one sequence in the pass, attention included [FLOP]
    weights_bytes: weights that a pass reads [B]
    sequence_read_bytes: KV cache that one sequence reads at that context [B]
    flop_per_s: dense peak of all chips [FLOP/s]
    bandwidth_bytes_per_s: memory bandwidth of all chips [B/s]
    usd_per_s: price of all chips [USD/s]

    Source: lecture 00:00:00 and 01:33:02: flat in context, then a line.
    Valid: a batch of one or more; where none fits there is no price.

    >>> machine = {"flop_per_s": 1e12, "bandwidth_bytes_per_s": 1e12, "usd_per_s": 0.5}
    >>> float(token_cost_at_context_usd(2, 1e9, 6e9, 1e9, **machine))
    0.002
    """
    xp = namespace(
        batch, flop_per_sequence, weights_bytes, sequence_read_bytes, flop_per_s, bandwidth_bytes_per_s, usd_per_s
    )
    (sequences,) = arrays(xp, batch)
    arithmetic_s = compute_time_s(sequences * flop_per_sequence, flop_per_s)
    weights_s = stream_time_s(weights_bytes, bandwidth_bytes_per_s)
    kv_s = stream_time_s(sequences * sequence_read_bytes, bandwidth_bytes_per_s)
    return pass_time_s(arithmetic_s, weights_s, kv_s) * usd_per_s / sequences


def context_within_bytes(available_bytes: Array, saturated_bytes: Array, growing_bytes_per_token: Array) -> Array:
    """Context at which a cache takes so many bytes, once some of its groups have reached their bounds. [tokens]

        room = available_bytes - saturated_bytes
        context = where(growing_bytes_per_token > 0, room / growing_bytes_per_token, where(room > 0, inf, 0))

    available_bytes: bytes that the cache of one sequence may take [B]
    saturated_bytes: bytes of the groups that grow no more: full windows, states [B]
    growing_bytes_per_token: bytes by which the others grow with each token [B]

    Source: derived here; a cache that is bounded group by group is concave in the context, so that the context is the
    largest of these over the bounds (`longest_context`).

    >>> float(context_within_bytes(1e9, 4e8, 32768)), float(context_within_bytes(1e9, 4e8, 0))
    (18310.546875, inf)
    """
    xp = namespace(available_bytes, saturated_bytes, growing_bytes_per_token)
    room, growth = arrays(xp, available_bytes - saturated_bytes, growing_bytes_per_token)
    grows = growth > 0
    steady = xp.where(room > 0, xp.inf, xp.zeros_like(room))
    return xp.where(grows, room / xp.where(grows, growth, xp.ones_like(growth)), steady)


def longest_context(first_tokens: Array, second_tokens: Array) -> Array:
    """The larger of two contexts, and none below zero. [tokens]

        context = max(first_tokens, second_tokens, 0)

    first_tokens: a context [tokens]
    second_tokens: another [tokens]

    Source: `context_within_bytes`, over the bounds of a cache.

    >>> float(longest_context(4096, 1024))
    4096.0
    """
    xp = namespace(first_tokens, second_tokens)
    first, second = arrays(xp, first_tokens, second_tokens)
    return xp.maximum(xp.maximum(first, second), xp.zeros_like(first))


def share_per_sequence_bytes(memory_bytes: Array, weights_bytes: Array, batch: Array) -> Array:
    """Memory beside the weights that each sequence of a batch may take. [B]

        bytes = (max(memory_bytes, weights_bytes) - weights_bytes) / batch

    memory_bytes: usable memory of all chips that share the weights [B]
    weights_bytes: weights stored, replicas included [B]
    batch: sequences in memory [sequences]

    Source: lecture 01:33:02.

    >>> float(share_per_sequence_bytes(640e9, 140e9, 50))
    10000000000.0
    """
    xp = namespace(memory_bytes, weights_bytes, batch)
    memory, weights = arrays(xp, memory_bytes, weights_bytes)
    return (xp.maximum(memory, weights) - weights) / batch


def context_before_pass(tokens: Array, pass_tokens: Array) -> Array:
    """Whole tokens of context that leave room for the tokens of the pass. [tokens]

        context = -ceil(-max(tokens - pass_tokens, 0))

    tokens: tokens that fit in all [tokens]
    pass_tokens: new tokens of each sequence [tokens]

    Source: what a pass computes it also stores.

    >>> float(context_before_pass(4096.5, 1))
    4095.0
    """
    xp = namespace(tokens, pass_tokens)
    (room,) = arrays(xp, tokens - pass_tokens)
    return xp.floor(xp.maximum(room, xp.zeros_like(room)))


def bytes_in_time(seconds: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Bytes that a bandwidth moves in a time. [B]

        bytes = seconds * bandwidth_bytes_per_s

    seconds: time to move them in [s]
    bandwidth_bytes_per_s: memory bandwidth [B/s]

    Source: lecture 00:00:00.

    >>> bytes_in_time(0.02, 8e12) / 1e9
    160.0
    """
    return seconds * bandwidth_bytes_per_s
