"""What follows from the time of a pass: the beat, the rate of tokens, and the share of the peaks that is put to use.

The sources: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times); A. Chowdhery et al.
2022, PaLM, arXiv 2204.02311.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def drain_s(memory_bytes: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Time to read all of a memory once: the longest pass that reads no byte twice. [s]

        t = memory_bytes / bandwidth_bytes_per_s

    memory_bytes: memory capacity [B]
    bandwidth_bytes_per_s: its bandwidth [B/s]

    Source: lecture 00:00:00, "a train every 20 ms"; 01:33:02 for the slower tiers.

    >>> round(drain_s(288e9, 20e12) * 1e3, 1)
    14.4
    """
    return memory_bytes / bandwidth_bytes_per_s


def beat_s(drain_s: Array, step_s: Array) -> Array:
    """The headway: the interval at which batches leave, which no pass may overrun. [s]

        t = max(drain_s, step_s)

    drain_s: time to read the memory once [s]
    step_s: time of one pass [s]

    Source: lecture 00:00:00.

    >>> float(beat_s(0.020, 0.012))
    0.02
    """
    xp = namespace(drain_s, step_s)
    return xp.maximum(*arrays(xp, drain_s, step_s))


def worst_latency_s(beat_s: Array, step_s: Array) -> Array:
    """Latency of a token that has just missed a departure: one beat of waiting, one pass of riding. [s]

        t = beat_s + step_s

    beat_s: interval between departures [s]
    step_s: time of one pass [s]

    Source: lecture 00:00:00 (20 ms + 20 ms = 40 ms).

    >>> worst_latency_s(0.020, 0.020)
    0.04
    """
    return beat_s + step_s


def tokens_per_s(batch: Array, pass_tokens: Array, step_s: Array) -> Array:
    """New tokens that a system full of back-to-back passes makes in a second. [tokens/s]

        rate = batch * pass_tokens / step_s

    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence [tokens]
    step_s: time of one pass [s]

    Source: lecture 00:00:00 (2,000 sequences, 64 passes a second, 128,000 tokens/s).

    >>> tokens_per_s(2000, 1, 1 / 64)
    128000.0
    """
    return batch * pass_tokens / step_s


def tokens_per_s_per_chip(tokens_per_s: Array, chips: Array) -> Array:
    """New tokens a second for each chip. [tokens/s]

        rate = tokens_per_s / chips

    tokens_per_s: rate of the system [tokens/s]
    chips: chips of the system [chips]

    Source: the unit of throughput in which systems are compared.

    >>> tokens_per_s_per_chip(128000, 64)
    2000.0
    """
    return tokens_per_s / chips


def tokens_per_s_per_user(pass_tokens: Array, step_s: Array) -> Array:
    """New tokens a second that one sequence sees. [tokens/s]

        rate = pass_tokens / step_s

    pass_tokens: new tokens of each sequence [tokens]
    step_s: time of one pass [s]

    Source: lecture 00:00:00.

    >>> tokens_per_s_per_user(1, 0.020)
    50.0
    """
    return pass_tokens / step_s


def mfu(flop: Array, step_s: Array, flop_per_s: Array) -> Array:
    """Model FLOP utilisation: the share of peak arithmetic that a pass puts to use. [1]

        share = flop / (step_s * flop_per_s)

    flop: arithmetic that the model needs, recomputation not counted [FLOP]
    step_s: time of one pass [s]
    flop_per_s: dense peak of all chips [FLOP/s]

    Source: A. Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B.

    >>> mfu(1e12, 0.002, 1e15)
    0.5
    """
    return flop / (step_s * flop_per_s)


def mbu(bytes_read: Array, step_s: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Memory bandwidth utilisation: the share of peak traffic that a pass puts to use. [1]

        share = bytes_read / (step_s * bandwidth_bytes_per_s)

    bytes_read: weights and KV that the pass must read [B]
    step_s: time of one pass [s]
    bandwidth_bytes_per_s: memory bandwidth of all chips [B/s]

    Source: the same ratio as MFU, of bytes.

    >>> mbu(6e9, 0.002, 8e12)
    0.375
    """
    return bytes_read / (step_s * bandwidth_bytes_per_s)
