"""One forward pass on the blackboard: the longer of arithmetic and memory traffic.

A pass takes `batch` sequences, each attending to a context of earlier tokens, and carries `pass_tokens` new tokens
of each: one in decode, in prefill as many as the pass takes of the prompt. Everything else here is read off two
straight lines.

The sources: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times); R. Pope et al.
2022, "Efficiently Scaling Transformer Inference", arXiv 2211.05102; S. Williams et al. 2009, "Roofline",
CACM 52(4).
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def system_flop_per_s(chips: Array, flop_per_s: Array) -> Array:
    """Peak arithmetic of all chips that work at the same moment. [FLOP/s]

        rate = chips * flop_per_s

    chips: chips that work at the same moment; the stages of a pipeline do not [chips]
    flop_per_s: dense peak of one chip [FLOP/s]

    Source: lecture 00:32:09.

    >>> system_flop_per_s(72, 5e15) / 1e15
    360.0
    """
    return chips * flop_per_s


def system_bandwidth_bytes_per_s(chips: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Memory bandwidth of all chips that read at the same moment. [B/s]

        rate = chips * bandwidth_bytes_per_s

    chips: chips that read at the same moment; the stages of a pipeline do not [chips]
    bandwidth_bytes_per_s: memory bandwidth of one chip [B/s]

    Source: lecture 00:32:09: what a larger scale-up domain buys is bandwidth.
    Valid: for what is sharded over the chips and not replicated.

    >>> system_bandwidth_bytes_per_s(72, 8e12) / 1e12
    576.0
    """
    return chips * bandwidth_bytes_per_s


def read_params(total_params: Array, lookup_params: Array) -> Array:
    """Parameters that a pass streams: all but an input embedding, of which it looks up single rows. [params]

        params = total_params - lookup_params

    total_params: parameters of the model [params]
    lookup_params: parameters of an untied input embedding, 0 where it is tied to the head [params]

    Source: derived here; the embedding is 6.5 % of Llama-3.1-8B and 14 % of gpt-oss-20b.

    >>> read_params(8.0e9, 0.5e9) / 1e9
    7.5
    """
    return total_params - lookup_params


def pass_flop(matmul_flop: Array, attention_flop: Array) -> Array:
    """Arithmetic of a pass: weights and attention. [FLOP]

        flop = matmul_flop + attention_flop

    matmul_flop: arithmetic with weights [FLOP]
    attention_flop: arithmetic of attention [FLOP]

    Source: arXiv 2211.05102 §2.

    >>> pass_flop(74e9, 6e9) / 1e9
    80.0
    """
    return matmul_flop + attention_flop


def matmul_flop(batch: Array, pass_tokens: Array, active_params: Array, flop_per_param: Array = 2.0) -> Array:
    """Arithmetic of one pass, attention left out: one multiply-add per active parameter and token. [FLOP]

        flop = flop_per_param * active_params * batch * pass_tokens

    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence [tokens]
    active_params: parameters that one token multiplies [params]
    flop_per_param: two, for one multiply-add [FLOP]

    Source: lecture 00:00:00; arXiv 2211.05102 §2.
    Valid: attention arithmetic is apart (`attention.attention_flop`).

    >>> matmul_flop(1, 1, 37e9) / 1e9
    74.0
    """
    return flop_per_param * active_params * batch * pass_tokens


def tokens_in_pass(batch: Array, pass_tokens: Array) -> Array:
    """New tokens of all sequences in one pass. [tokens]

        tokens = batch * pass_tokens

    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence [tokens]

    Source: lecture 00:00:00.

    >>> tokens_in_pass(64, 4)
    256
    """
    return batch * pass_tokens


def flop_per_sequence(pass_tokens: Array, active_params: Array, flop_per_param: Array = 2.0) -> Array:
    """Arithmetic of one sequence in a pass, attention left out. [FLOP]

        flop = flop_per_param * active_params * pass_tokens

    pass_tokens: new tokens of the sequence [tokens]
    active_params: parameters that one token multiplies [params]
    flop_per_param: two, for one multiply-add [FLOP]

    Source: arXiv 2211.05102 §2.

    >>> flop_per_sequence(1, 37e9) / 1e9
    74.0
    """
    return flop_per_param * active_params * pass_tokens


def compute_time_s(flop: Array, flop_per_s: Array) -> Array:
    """Time to do the arithmetic at the dense peak rate. [s]

        t = flop / flop_per_s

    flop: arithmetic of the pass [FLOP]
    flop_per_s: dense peak of all chips that work at the same moment [FLOP/s]

    Source: Williams et al. 2009, the compute roof.

    >>> compute_time_s(2e12, 1e15)
    0.002
    """
    return flop / flop_per_s


def weights_bytes(read_params: Array, weight_bytes_per_param: Array) -> Array:
    """Bytes of weights that one pass reads: every weight once, however many tokens ride along. [B]

        bytes = read_params * weight_bytes_per_param

    read_params: parameters read in a pass [params]
    weight_bytes_per_param: mean bytes of one stored weight, scales included [B]

    Source: lecture 00:00:00; arXiv 2211.05102 §2.
    Valid: from about 16 sequences on with expert parallelism; below, `moe.fetched_params` counts the experts hit.

    >>> weights_bytes(671e9, 1.0)
    671000000000.0
    """
    return read_params * weight_bytes_per_param


def kv_bytes(batch: Array, context_tokens: Array, kv_bytes_per_token: Array) -> Array:
    """Bytes of KV cache that one pass reads: every earlier token of every sequence, once. [B]

        bytes = batch * context_tokens * kv_bytes_per_token

    batch: sequences in the pass [sequences]
    context_tokens: earlier tokens that each sequence attends to [tokens]
    kv_bytes_per_token: KV cache of one token, all layers [B]

    Source: lecture 00:00:00; arXiv 2211.05102 §2.
    Valid: full attention; see `kv_variants` for windows and sparse attention, which read less than they store.

    >>> kv_bytes(64, 8192, 70272) / 1e9
    36.842766336
    """
    return batch * context_tokens * kv_bytes_per_token


def bytes_read(weights_bytes: Array, kv_bytes: Array) -> Array:
    """All bytes that a pass must read. [B]

        bytes = weights_bytes + kv_bytes

    weights_bytes: weights [B]
    kv_bytes: KV cache [B]

    Source: lecture 00:00:00.

    >>> bytes_read(671e9, 37e9) / 1e9
    708.0
    """
    return weights_bytes + kv_bytes


def stored_weight_bytes(
    read_params: Array, weight_bytes_per_param: Array, lookup_params: Array, lookup_bytes_per_param: Array
) -> Array:
    """Memory that the weights take: those that a pass streams, and an input embedding of which it does not. [B]

        bytes = read_params * weight_bytes_per_param + lookup_params * lookup_bytes_per_param

    read_params: parameters that a pass streams [params]
    weight_bytes_per_param: mean bytes of one of them, scales included [B]
    lookup_params: parameters of an untied input embedding [params]
    lookup_bytes_per_param: bytes of one of those [B]

    Source: derived here.

    >>> stored_weight_bytes(69.5e9, 2, 1.05e9, 2) / 1e9
    141.1
    """
    return read_params * weight_bytes_per_param + lookup_params * lookup_bytes_per_param


def usable_bytes(system_memory_bytes: Array, usable_memory_fraction: Array) -> Array:
    """Memory left for weights and KV cache, once activations and the runtime have theirs. [B]

        bytes = system_memory_bytes * usable_memory_fraction

    system_memory_bytes: memory of all chips [B]
    usable_memory_fraction: share that weights and KV may fill [1]

    Source: derived here; serving engines take the share as a setting.

    >>> usable_bytes(8 * 141e9, 0.9) / 1e9
    1015.2
    """
    return system_memory_bytes * usable_memory_fraction


def tokens_in_memory(context_tokens: Array, pass_tokens: Array) -> Array:
    """Tokens of one sequence that are in the cache when a pass ends. [tokens]

        tokens = context_tokens + pass_tokens

    context_tokens: earlier tokens [tokens]
    pass_tokens: new tokens [tokens]

    Source: derived here: what a pass computes it also writes.

    >>> tokens_in_memory(8000, 1)
    8001
    """
    return context_tokens + pass_tokens


def sequence_bytes(cached_tokens: Array, kv_bytes_per_token: Array) -> Array:
    """KV cache of one sequence. [B]

        bytes = cached_tokens * kv_bytes_per_token

    cached_tokens: tokens of the sequence in the cache [tokens]
    kv_bytes_per_token: KV cache of one token, all layers [B]

    Source: lecture 00:00:00.
    Valid: full attention without a fixed state.

    >>> sequence_bytes(128_000, 70272) / 1e9
    8.994816
    """
    return cached_tokens * kv_bytes_per_token


def stream_time_s(bytes_read: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Time to stream bytes from memory once, at the data-sheet bandwidth. [s]

        t = bytes_read / bandwidth_bytes_per_s

    bytes_read: bytes that the pass reads [B]
    bandwidth_bytes_per_s: memory bandwidth of all chips that work at the same moment [B/s]

    Source: Williams et al. 2009, the bandwidth roof.

    >>> stream_time_s(140e9, 14e12)
    0.01
    """
    return bytes_read / bandwidth_bytes_per_s


def pass_time_s(
    t_compute_s: Array, t_weights_s: Array, t_kv_s: Array, t_comm_s: Array = 0.0, t_overhead_s: Array = 0.0
) -> Array:
    """Time of one pass: the longer of arithmetic and memory traffic, and then what nothing hides. [s]

        t = max(t_compute_s, t_weights_s + t_kv_s) + t_comm_s + t_overhead_s

    t_compute_s: arithmetic [s]
    t_weights_s: reading weights [s]
    t_kv_s: reading KV cache [s]
    t_comm_s: communication that is not overlapped [s]
    t_overhead_s: launches and scheduling [s]

    Source: lecture 00:00:00; arXiv 2211.05102 §2.

    >>> float(pass_time_s(0.004, 0.001, 0.002))
    0.004
    """
    xp = namespace(t_compute_s, t_weights_s, t_kv_s, t_comm_s, t_overhead_s)
    return xp.maximum(*arrays(xp, t_compute_s, t_weights_s + t_kv_s)) + t_comm_s + t_overhead_s


def smooth_pass_time_s(t_compute_s: Array, t_memory_s: Array, sharpness: Array) -> Array:
    """A maximum with a rounded corner, for machines that overlap arithmetic and traffic imperfectly. [s]

        t = (t_compute_s**sharpness + t_memory_s**sharpness)**(1 / sharpness)

    t_compute_s: arithmetic [s]
    t_memory_s: memory traffic [s]
    sharpness: 1 adds the two (no overlap), infinity takes the larger (perfect overlap) [1]

    Source: the p-norm; its exponent is fitted, never assumed.
    Valid: sharpness of 1 or more.

    >>> float(smooth_pass_time_s(3.0, 4.0, 2.0))
    5.0
    """
    xp = namespace(t_compute_s, t_memory_s, sharpness)
    compute, memory = arrays(xp, t_compute_s, t_memory_s)
    larger = xp.maximum(compute, memory)
    smaller = xp.minimum(compute, memory)
    return larger * (1 + (smaller / larger) ** sharpness) ** (1 / sharpness)


def ridge(
    flop_per_s: Array,
    weight_bytes_per_param: Array,
    bandwidth_bytes_per_s: Array,
    flop_per_param: Array = 2.0,
) -> Array:
    """Multiply-adds a machine can do in the time it reads one parameter. [1]

        ridge = flop_per_s / flop_per_param * weight_bytes_per_param / bandwidth_bytes_per_s

    flop_per_s: dense peak at the dtype in which the weights are multiplied [FLOP/s]
    weight_bytes_per_param: bytes of one stored weight [B]
    bandwidth_bytes_per_s: memory bandwidth [B/s]
    flop_per_param: two, for one multiply-add [FLOP]

    Source: lecture 00:00:00 (about 300). A pure number that stays put when halving the precision doubles the rate.

    >>> ridge(989e12, 2, 3.35e12), ridge(1979e12, 1, 3.35e12)
    (295.2..., 295.3...)
    """
    return flop_per_s / flop_per_param * weight_bytes_per_param / bandwidth_bytes_per_s


def balance_batch(ridge: Array, read_params: Array, active_params: Array, pass_tokens: Array = 1.0) -> Array:
    """Batch at which reading the weights takes as long as the arithmetic, KV reads left out. [sequences]

        batch = ridge * read_params / (active_params * pass_tokens)

    ridge: multiply-adds per parameter read [1]
    read_params: parameters read in a pass [params]
    active_params: parameters that one token multiplies [params]
    pass_tokens: new tokens of each sequence [tokens]

    Source: lecture 00:00:00.
    Valid: KV reads are small beside weights; `balance_batch_with_kv` adds them.

    >>> balance_batch(300, 671e9, 37e9)
    5440.5...
    """
    return ridge * read_params / (active_params * pass_tokens)


def balance_batch_of_times(t_weights_s: Array, t_compute_per_sequence_s: Array) -> Array:
    """Batch at which reading the weights takes as long as the arithmetic, whatever that consists of. [sequences]

        batch = t_weights_s / t_compute_per_sequence_s

    t_weights_s: reading the weights once [s]
    t_compute_per_sequence_s: arithmetic of one sequence in the pass, attention included if it counts [s]

    Source: lecture 00:00:00, the two terms set equal; `balance_batch` in times.
    Valid: KV reads are small beside weights.

    >>> balance_batch_of_times(0.008, 0.00002)
    400.0
    """
    return t_weights_s / t_compute_per_sequence_s


def balance_batch_with_kv(t_weights_s: Array, t_compute_per_sequence_s: Array, t_kv_per_sequence_s: Array) -> Array:
    """Batch at which weights and KV reads together take as long as the arithmetic; infinite if none does. [sequences]

        slack = t_compute_per_sequence_s - t_kv_per_sequence_s
        batch = where(slack > 0, t_weights_s / slack, inf)

    t_weights_s: reading the weights once [s]
    t_compute_per_sequence_s: arithmetic of one sequence in the pass [s]
    t_kv_per_sequence_s: reading the KV cache of one sequence [s]

    Source: lecture 00:00:00, the two lines with KV put in.
    Valid: below the balance context; beyond it one sequence's KV line is steeper than its compute line, the pass is
    memory-bound at every batch, and the result is infinity.

    >>> float(balance_batch_with_kv(1.0, 0.5, 0.25)), float(balance_batch_with_kv(1.0, 0.5, 0.6))
    (4.0, inf)
    """
    xp = namespace(t_weights_s, t_compute_per_sequence_s, t_kv_per_sequence_s)
    compute, kv = arrays(xp, t_compute_per_sequence_s, t_kv_per_sequence_s)
    slack = compute - kv
    crosses = slack > 0
    return xp.where(crosses, t_weights_s / xp.where(crosses, slack, xp.ones_like(slack)), xp.inf)


def balance_pass_tokens(t_memory_s: Array, t_compute_per_token_s: Array) -> Array:
    """Tokens of each sequence in a pass from which on arithmetic takes longer than memory traffic. [tokens]

        tokens = t_memory_s / t_compute_per_token_s

    t_memory_s: time to read weights and KV of the batch, which is the same for a pass of any length [s]
    t_compute_per_token_s: time of the arithmetic of one token of each sequence [s]

    Source: lecture 00:00:00, the two terms set equal, solved for the length of a pass.
    Valid: attention's arithmetic left out; a cache that is read whole.

    >>> balance_pass_tokens(6e-3, 1e-5)
    600.0
    """
    return t_memory_s / t_compute_per_token_s


def balance_context(flop_per_sequence: Array, flop_per_s: Array, kv_bytes_per_token: Array,
                    bandwidth_bytes_per_s: Array) -> Array:  # fmt: skip
    """Context at which reading one sequence's KV takes as long as its arithmetic. [tokens]

        context = flop_per_sequence / flop_per_s * bandwidth_bytes_per_s / kv_bytes_per_token

    flop_per_sequence: arithmetic of one sequence in the pass [FLOP]
    flop_per_s: dense peak [FLOP/s]
    kv_bytes_per_token: KV cache of one token, all layers [B]
    bandwidth_bytes_per_s: memory bandwidth [B/s]

    Source: lecture 01:33:02. At twice this context and a large batch half the arithmetic is idle.

    >>> balance_context(2 * 1e11, 2 * 300 * 1e12, 1000, 1e12)
    333333.3...
    """
    return flop_per_sequence / flop_per_s * bandwidth_bytes_per_s / kv_bytes_per_token


def flop_per_token(pass_flop: Array, tokens: Array) -> Array:
    """Arithmetic of a pass for each of its tokens. [FLOP]

        flop = pass_flop / tokens

    pass_flop: arithmetic of the pass [FLOP]
    tokens: new tokens in the pass [tokens]

    Source: a mean over the pass; late tokens attend to more than early ones.

    >>> flop_per_token(8e12, 4)
    2000000000000.0
    """
    return pass_flop / tokens
