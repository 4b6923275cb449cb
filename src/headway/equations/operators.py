"""The work of one operator of a pass: what it multiplies, what it streams from memory, how long that takes at best.

An operator is a matrix that every token of a pass multiplies, the attention over a group of cached numbers, or a
collective. A matrix is told by the parameters that a chip holds of it, summed over its layers, so that the work of a
pass is linear in them. The sums over all operators are the terms of the blackboard.

The sources: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times); J. Austin et al.
2025, "How to Scale Your Model", chapters 1 and 4, for the bytes that a matrix product moves.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def held_params(params: Array, share: Array, fill: Array = 1.0) -> Array:
    """Parameters of an operator that one chip of every stage holds, summed over the stages. [params]

        held = params * share * fill

    params: parameters of the operator in all its layers [params]
    share: share of a matrix that the fullest chip has [1]
    fill: rounding up of layers to stages, `layout.stage_fill` [1]

    Source: arXiv 1909.08053; derived here.

    >>> held_params(16e9, 0.125)
    2000000000.0
    """
    return params * share * fill


def body_params(active_params: Array, head_params: Array) -> Array:
    """Parameters that every token multiplies, whether or not its successor is asked for: all but the head. [params]

        body = active_params - head_params

    active_params: parameters that one token multiplies [params]
    head_params: parameters of the output projection [params]

    Source: derived here.

    >>> body_params(69.5e9, 1.05e9) / 1e9
    68.45
    """
    return active_params - head_params


def matrix_flop(tokens: Array, held_params: Array, flop_per_param: Array = 2.0) -> Array:
    """Arithmetic of an operator: one multiply-add for each parameter and token. [FLOP]

        flop = flop_per_param * tokens * held_params

    tokens: tokens that the chip takes through the operator [tokens]
    held_params: parameters that it holds of it [params]
    flop_per_param: two, for one multiply-add [FLOP]

    Source: lecture 00:00:00.

    >>> matrix_flop(64, 1e9) / 1e9
    128.0
    """
    return flop_per_param * tokens * held_params


def weight_traffic_bytes(held_params: Array, bytes_per_param: Array, sub_batches: Array = 1.0) -> Array:
    """Bytes of an operator's weights that a pass streams: all of them, once for each part of the batch. [B]

        bytes = sub_batches * held_params * bytes_per_param

    held_params: parameters that the chip holds of the operator [params]
    bytes_per_param: bytes of one as stored, scales included [B]
    sub_batches: parts of the batch that go through one after the other: 2 where two hide each other's messages [1]

    Source: lecture 00:00:00.

    >>> weight_traffic_bytes(1e9, 2) / 1e9
    2.0
    """
    return sub_batches * held_params * bytes_per_param


def activation_traffic_bytes(
    tokens: Array, input_width: Array, output_width: Array, bytes_per_element: Array, fill: Array = 1.0,
    input_share: Array = 1.0, output_share: Array = 1.0,
) -> Array:  # fmt: skip
    """Activations that an operator reads and writes, in all its layers. [B]

        bytes = tokens * (input_width * input_share + output_width * output_share) * fill * bytes_per_element

    tokens: tokens that the chip takes through the operator [tokens]
    input_width: numbers that come in for a token, summed over layers [1]
    output_width: numbers that go out [1]
    bytes_per_element: bytes of one activation [B]
    fill: rounding up of layers to stages [1]
    input_share: share of the input that the chip has [1]
    output_share: share of the output that it makes [1]

    Source: Austin et al. 2025, chapter 1: a product of (m, k) and (k, n) moves m k + m n numbers beside the weights.
    Valid: nothing stays on the chip between two operators.

    >>> activation_traffic_bytes(64, 4096, 11008, 2) / 1e6
    1.933312
    """
    width = input_width * input_share + output_width * output_share
    return tokens * width * fill * bytes_per_element


def written_bytes(tokens: Array, bytes_per_token: Array, share: Array = 1.0, fill: Array = 1.0) -> Array:
    """Entries of the cache that a pass writes for its new tokens, in all layers. [B]

        bytes = tokens * bytes_per_token * share * fill

    tokens: new tokens that the chip takes through the layers [tokens]
    bytes_per_token: what the layers keep of a token [B]
    share: share of the cache's pieces that the chip has [1]
    fill: rounding up of layers to stages [1]

    Source: derived here; a token is written once, however far its window reaches.

    >>> written_bytes(64, 4096, 0.125)
    32768.0
    """
    return tokens * bytes_per_token * share * fill


def looked_up_bytes(tokens: Array, width: Array, bytes_per_element: Array) -> Array:
    """Rows of a table that the tokens of a pass look up. [B]

        bytes = tokens * width * bytes_per_element

    tokens: tokens of the pass on the chip [tokens]
    width: numbers of a row [1]
    bytes_per_element: bytes of one [B]

    Source: derived here; an embedding is read row by row and never as a whole.

    >>> looked_up_bytes(64, 4096, 2)
    524288
    """
    return tokens * width * bytes_per_element


def shared_flop(flop: Array, share: Array, fill: Array = 1.0) -> Array:
    """Arithmetic of attention that falls to one chip. [FLOP]

        part = flop * share * fill

    flop: arithmetic over all heads and tokens of the rank's sequences [FLOP]
    share: share of heads and of tokens that the chip has [1]
    fill: rounding up of layers to stages [1]

    Source: derived here.

    >>> shared_flop(8e12, 0.125)
    1000000000000.0
    """
    return flop * share * fill


def shared_bytes(bytes_of_all: Array, share: Array, fill: Array = 1.0) -> Array:
    """Bytes of a cache that fall to one chip. [B]

        part = bytes_of_all * share * fill

    bytes_of_all: bytes of all pieces [B]
    share: share that the chip has: of KV heads, and of tokens under context parallelism [1]
    fill: rounding up of layers to stages [1]

    Source: derived here; a latent is one piece, which every chip has whole.

    >>> shared_bytes(8e9, 0.125)
    1000000000.0
    """
    return bytes_of_all * share * fill


def product(first_share: Array, second_share: Array) -> Array:
    """Share of a share. [1]

        share = first_share * second_share

    first_share: share of one kind of piece, such as heads [1]
    second_share: share of another, such as tokens [1]

    Source: what is cut both ways.

    >>> product(0.25, 0.5)
    0.125
    """
    return first_share * second_share


def operator_time_s(flop: Array, flop_per_s: Array, traffic_bytes: Array, bandwidth_bytes_per_s: Array) -> Array:
    """Time of an operator that does nothing but its own work: the longer of arithmetic and memory traffic. [s]

        t = max(flop / flop_per_s, traffic_bytes / bandwidth_bytes_per_s)

    flop: arithmetic on the chip [FLOP]
    flop_per_s: dense peak rate of the chip for the operator's format [FLOP/s]
    traffic_bytes: bytes that it reads and writes [B]
    bandwidth_bytes_per_s: memory bandwidth of the chip [B/s]

    Source: the blackboard's equation for one operator; Austin et al. 2025, chapter 1.

    >>> float(operator_time_s(1e12, 1e15, 1e9, 4e12))
    0.001
    """
    xp = namespace(flop, flop_per_s, traffic_bytes, bandwidth_bytes_per_s)
    return xp.maximum(*arrays(xp, flop / flop_per_s, traffic_bytes / bandwidth_bytes_per_s))


def work_time_s(t_compute_s: Array, t_memory_s: Array) -> Array:
    """Time of a pass whose arithmetic and traffic overlap wholly, whatever operator they belong to. [s]

        t = max(t_compute_s, t_memory_s)

    t_compute_s: time of all arithmetic [s]
    t_memory_s: time of all traffic: weights, cache and activations [s]

    Source: lecture 00:00:00.

    >>> float(work_time_s(2e-3, 3e-3))
    0.003
    """
    xp = namespace(t_compute_s, t_memory_s)
    return xp.maximum(*arrays(xp, t_compute_s, t_memory_s))


def waited_for_s(comm_s: Array, work_s: Array, sub_batches: Array, overlap_share: Array) -> Array:
    """Communication that a pass waits for: what other work does not hide. [s]

        hidden = where(sub_batches > 1, min(comm_s, work_s), overlap_share * comm_s)
        t = comm_s - hidden

    comm_s: all communication of the pass [s]
    work_s: all other work of the pass [s]
    sub_batches: 2 where two halves of the batch hide each other's messages [1]
    overlap_share: otherwise, the share of communication that is hidden: a stated figure [1]

    Source: arXiv 2412.19437 §3.4: two micro-batches, one computing while the other's tokens travel.
    Valid: a first and a last half-layer that have nothing to hide behind are left out.

    >>> float(waited_for_s(5.0, 3.0, 2, 0.0)), float(waited_for_s(4.0, 3.0, 1, 0.25))
    (2.0, 3.0)
    """
    xp = namespace(comm_s, work_s, sub_batches, overlap_share)
    comm, work, parts, share = arrays(xp, comm_s, work_s, sub_batches, overlap_share)
    return comm - xp.where(parts > 1, xp.minimum(comm, work), share * comm)


def layout_pass_s(
    work_s: Array, t_comm_s: Array, t_hops_s: Array, t_draft_s: Array, t_overhead_s: Array
) -> Array:  # fmt: skip
    """Time of a pass through all stages of a layout. [s]

        t = work_s + t_comm_s + t_hops_s + t_draft_s + t_overhead_s

    work_s: arithmetic and memory traffic, all stages [s]
    t_comm_s: communication inside the stages that is waited for [s]
    t_hops_s: messages from stage to stage [s]
    t_draft_s: passes that draft tokens before this one verifies them [s]
    t_overhead_s: kernel launches and scheduling [s]

    Source: lecture 01:03:37; a hop is paid once for every stage and token.

    >>> layout_pass_s(10e-3, 2e-3, 1e-3, 0.0, 0.0)
    0.013000000000000001
    """
    return work_s + t_comm_s + t_hops_s + t_draft_s + t_overhead_s
