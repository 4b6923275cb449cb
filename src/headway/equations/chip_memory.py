"""What one chip of a layout must hold, how many sequences that leaves room for, and handing their cache over.

The sources: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times), for weights and cache
under pipelining; M. Shoeybi et al. 2019, Megatron-LM, arXiv 1909.08053, for what tensor parallelism cuts.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def chip_weights_bytes(
    layers_bytes: Array, head_bytes: Array, embedding_bytes: Array, pipeline_parallel: Array
) -> Array:  # fmt: skip
    """Weights that the fullest chip holds: its stage's layers, and the embedding, the head, or both. [B]

        ends = where(pipeline_parallel > 1, max(head_bytes, embedding_bytes), head_bytes + embedding_bytes)
        bytes = layers_bytes / pipeline_parallel + ends

    layers_bytes: weights of the layers on one chip of every stage, summed over the stages [B]
    head_bytes: the head, as far as one chip has it [B]
    embedding_bytes: the input embedding, where it is not the head [B]
    pipeline_parallel: stages; the first has the embedding, the last the head [1]

    Source: arXiv 1909.08053; derived here.

    >>> float(chip_weights_bytes(80e9, 1e9, 2e9, 4)) / 1e9
    22.0
    """
    xp = namespace(layers_bytes, head_bytes, embedding_bytes, pipeline_parallel)
    head, embedding, stages = arrays(xp, head_bytes, embedding_bytes, pipeline_parallel)
    ends = xp.where(stages > 1, xp.maximum(head, embedding), head + embedding)
    return layers_bytes / pipeline_parallel + ends


def activation_peak_bytes(
    tokens: Array, hidden_size: Array, widest: Array, ways: Array, bytes_per_element: Array
) -> Array:  # fmt: skip
    """Activations that a chip holds at the widest point of a layer. [B]

        bytes = tokens * (3 * hidden_size + 2 * widest / ways) * bytes_per_element

    tokens: tokens that the chip takes through a layer at a time [tokens]
    hidden_size: width of the model: the residual, the input and the output of a block [1]
    widest: outputs of the widest matrix that is dealt out; with a gate there are two [1]
    ways: chips among which it is dealt [chips]
    bytes_per_element: bytes of one activation [B]

    Source: derived here; nothing is kept from one layer to the next but the residual.
    Valid: engines that reuse buffers; the workspaces of kernels are the runtime's.

    >>> activation_peak_bytes(8192, 8192, 28672, 8, 2) / 1e6
    520.093696
    """
    return tokens * (3 * hidden_size + 2 * widest / ways) * bytes_per_element


def logits_bytes(tokens: Array, vocabulary: Array, ways: Array, bytes_per_element: Array) -> Array:
    """Logits that a chip holds. [B]

        bytes = tokens * vocabulary / ways * bytes_per_element

    tokens: tokens whose successor is asked for [tokens]
    vocabulary: size of the vocabulary [1]
    ways: chips among which it is dealt [chips]
    bytes_per_element: bytes of one logit [B]

    Source: derived here.

    >>> logits_bytes(256, 128256, 8, 4) / 1e6
    16.416768
    """
    return tokens * vocabulary / ways * bytes_per_element


def collective_groups(
    tensor_parallel: Array, pipeline_parallel: Array, data_parallel: Array, expert_parallel: Array,
    context_parallel: Array,
) -> Array:  # fmt: skip
    """Groups of chips with which one chip exchanges data, one for each degree above 1. [1]

        groups = where(tensor_parallel > 1, 1, 0) + where(pipeline_parallel > 1, 1, 0) + where(data_parallel > 1, 1, 0) + where(expert_parallel > 1, 1, 0) + where(context_parallel > 1, 1, 0)

    tensor_parallel: chips that share a matrix [chips]
    pipeline_parallel: stages [1]
    data_parallel: ranks with sequences of their own [1]
    expert_parallel: ranks with experts of their own [1]
    context_parallel: ranks that share a sequence [1]

    Source: a count.

    >>> float(collective_groups(8, 1, 4, 32, 1))
    3.0
    """  # noqa: E501
    degrees = (tensor_parallel, pipeline_parallel, data_parallel, expert_parallel, context_parallel)
    xp = namespace(*degrees)
    groups = 0.0
    for degree in arrays(xp, *degrees):
        groups = groups + xp.where(degree > 1, xp.ones_like(degree * 1.0), xp.zeros_like(degree * 1.0))
    return groups


def chip_needed_bytes(
    weights_bytes: Array, kv_bytes: Array, activation_bytes: Array, buffer_bytes: Array, groups: Array,
    reserve_bytes: Array,
) -> Array:  # fmt: skip
    """Memory that the fullest chip of a layout needs. [B]

        bytes = weights_bytes + kv_bytes + activation_bytes + buffer_bytes * groups + reserve_bytes

    weights_bytes: weights that it holds [B]
    kv_bytes: KV cache and states of its sequences [B]
    activation_bytes: activations and logits at their peak [B]
    buffer_bytes: buffer for one group with which it exchanges data [B]
    groups: such groups [1]
    reserve_bytes: what the runtime takes [B]

    Source: lecture 01:03:37 for weights and cache; the rest derived here.

    >>> chip_needed_bytes(70e9, 5e9, 1e9, 0.1e9, 2, 2e9) / 1e9
    78.2
    """
    return weights_bytes + kv_bytes + activation_bytes + buffer_bytes * groups + reserve_bytes


def chip_room_bytes(memory_bytes: Array, needed_bytes: Array, varying_bytes: Array) -> Array:
    """Memory of a chip that is left for sequences, once all that does not grow with them is there. [B]

        room = max(memory_bytes - (needed_bytes - varying_bytes), 0)

    memory_bytes: memory of one chip [B]
    needed_bytes: what the chip needs for the batch asked [B]
    varying_bytes: what of that grows with the batch [B]

    Source: derived here.

    >>> float(chip_room_bytes(80e9, 78e9, 6e9)) / 1e9
    8.0
    """
    xp = namespace(memory_bytes, needed_bytes, varying_bytes)
    (room,) = arrays(xp, memory_bytes - (needed_bytes - varying_bytes))
    return xp.maximum(room, xp.zeros_like(room))


def largest_layout_batch(
    room_bytes: Array, varying_bytes: Array, sequences: Array, data_parallel: Array, pipeline_parallel: Array
) -> Array:  # fmt: skip
    """Most sequences that a layout holds, as many on each rank and in each stage. [sequences]

        each = varying_bytes / sequences
        batch = max(-ceil(-room_bytes / each), 0) * data_parallel * pipeline_parallel

    room_bytes: memory of a chip that is left for sequences [B]
    varying_bytes: what the sequences of one micro-batch take of it [B]
    sequences: sequences of the micro-batch [sequences]
    data_parallel: ranks with sequences of their own [1]
    pipeline_parallel: stages, each with a micro-batch in flight [1]

    Source: lecture 01:03:37; whole sequences.

    >>> float(largest_layout_batch(8e9, 6e9, 6, 4, 2))
    64.0
    """
    xp = namespace(room_bytes, varying_bytes, sequences, data_parallel, pipeline_parallel)
    # A hair above the quotient, so that as many as fit are not lost to rounding.
    whole = xp.floor(*arrays(xp, room_bytes * sequences / varying_bytes * (1 + 1e-12)))
    return xp.maximum(whole, xp.zeros_like(whole)) * data_parallel * pipeline_parallel


def scaled_room_bytes(room_bytes: Array, sequences: Array, whole_bytes: Array, chip_bytes: Array) -> Array:
    """Cache of one sequence, over all chips, of which a chip's part fills the room that it has for it. [B]

        bytes = room_bytes / sequences * whole_bytes / chip_bytes

    room_bytes: memory of a chip that is left for sequences [B]
    sequences: sequences of the micro-batch [sequences]
    whole_bytes: cache of one sequence in all layers and heads [B]
    chip_bytes: what of it lies on one chip of every stage [B]

    Source: derived here.
    Valid: a chip's part of the cache is the same at every length: exact where all layers are dealt out alike.

    >>> scaled_room_bytes(8e9, 4, 1e9, 0.25e9) / 1e9
    8.0
    """
    return room_bytes / sequences * whole_bytes / chip_bytes


def handover_s(kv_bytes: Array, bandwidth_bytes_per_s: Array, latency_s: Array) -> Array:
    """Time to hand the cache of a prefill over to other chips that decode: each chip sends what it holds. [s]

        t = kv_bytes / bandwidth_bytes_per_s + latency_s

    kv_bytes: cache that one chip holds [B]
    bandwidth_bytes_per_s: network of one chip, one way [B/s]
    latency_s: time of a message [s]

    Source: Y. Zhong et al. 2024, DistServe, arXiv 2401.09670 (secondary); nothing of it is hidden here.

    >>> round(handover_s(5e8, 50e9, 1e-5), 6)
    0.01001
    """
    return kv_bytes / bandwidth_bytes_per_s + latency_s


def first_token_s(step_s: Array, handover_s: Array) -> Array:
    """Time to the first token where other chips go on with it: the prefill, and then the handing over. [s]

        t = step_s + handover_s

    step_s: the prefill [s]
    handover_s: sending the cache [s]

    Source: arXiv 2401.09670 (secondary).

    >>> first_token_s(0.4, 0.01)
    0.41000000000000003
    """
    return step_s + handover_s
