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


def buffered_chips(tensor_parallel: Array, pipeline_parallel: Array) -> Array:
    """Chips for each of which a chip keeps a buffer: those that share its rank's layers; none for a chip alone. [chips]

        chips = where(tensor_parallel * pipeline_parallel > 1, tensor_parallel * pipeline_parallel, 0)

    tensor_parallel: chips that share a matrix [chips]
    pipeline_parallel: stages [1]

    Source: SGLang, server_args.py, reserves 1 GiB on each of eight such chips, and in proportion on others.

    >>> float(buffered_chips(8, 1)), float(buffered_chips(1, 1))
    (8.0, 0.0)
    """
    xp = namespace(tensor_parallel, pipeline_parallel)
    (chips,) = arrays(xp, tensor_parallel * pipeline_parallel * 1.0)
    return xp.where(chips > 1, chips, xp.zeros_like(chips))


def rank_sequences(batch: Array, data_parallel: Array) -> Array:
    """Sequences in flight of the fullest data-parallel rank, all micro-batches together. [sequences]

        sequences = ceil(batch / data_parallel)

    batch: sequences in flight in the whole layout [sequences]
    data_parallel: ranks with sequences of their own [1]

    Source: lecture 01:03:37.

    >>> float(rank_sequences(100, 8))
    13.0
    """
    xp = namespace(batch, data_parallel)
    return xp.ceil(*arrays(xp, batch / data_parallel))


def held_kv_bytes(sequences: Array, sequence_bytes: Array, pipeline_parallel: Array) -> Array:
    """Cache that one chip holds: of every sequence of its rank the layers of its stage. [B]

        bytes = sequences * sequence_bytes / pipeline_parallel

    sequences: sequences in flight of the rank [sequences]
    sequence_bytes: cache of one on a chip of every stage, summed over the stages [B]
    pipeline_parallel: stages [1]

    Source: lecture 01:03:37: with P micro-batches in flight P cancels.

    >>> held_kv_bytes(64, 8e8, 4) / 1e9
    12.8
    """
    return sequences * sequence_bytes / pipeline_parallel


def expert_peak_bytes(
    copies: Array, input_width: Array, features: Array, ways: Array, bytes_per_element: Array
) -> Array:  # fmt: skip
    """Activations that the copies of tokens on a chip take in a layer of experts. [B]

        bytes = copies * (2 * input_width + 2 * features / ways) * bytes_per_element

    copies: copies of tokens that the chip works on [tokens]
    input_width: numbers that go into an expert, and come out [1]
    features: width of an expert; with a gate there are two of it [1]
    ways: chips among which an expert is cut [chips]
    bytes_per_element: bytes of one activation [B]

    Source: derived here.
    Valid: all copies at once; engines that take them in chunks need less.

    >>> expert_peak_bytes(4096, 7168, 2048, 1, 2) / 1e6
    150.994944
    """
    return copies * (2 * input_width + 2 * features / ways) * bytes_per_element


def larger_bytes(first_bytes: Array, second_bytes: Array) -> Array:
    """The larger of two uses of memory that are not there at the same moment. [B]

        bytes = max(first_bytes, second_bytes)

    first_bytes: one use [B]
    second_bytes: the other [B]

    Source: buffers are used again.

    >>> float(larger_bytes(1.0, 2.0))
    2.0
    """
    xp = namespace(first_bytes, second_bytes)
    return xp.maximum(*arrays(xp, first_bytes * 1.0, second_bytes * 1.0))


def chip_needed_bytes(
    weights_bytes: Array, kv_bytes: Array, activation_bytes: Array, buffer_bytes: Array, buffered_chips: Array,
    reserve_bytes: Array,
) -> Array:  # fmt: skip
    """Memory that the fullest chip of a layout needs. [B]

        bytes = weights_bytes + kv_bytes + activation_bytes + buffer_bytes * buffered_chips + reserve_bytes

    weights_bytes: weights that it holds [B]
    kv_bytes: KV cache and states of its sequences [B]
    activation_bytes: activations and logits at their peak [B]
    buffer_bytes: buffer for one of the chips that it works with [B]
    buffered_chips: such chips [chips]
    reserve_bytes: what the runtime takes [B]

    Source: lecture 01:03:37 for weights and cache; the rest derived here.

    >>> chip_needed_bytes(70e9, 5e9, 1e9, 0.1e9, 2, 2e9) / 1e9
    78.2
    """
    return weights_bytes + kv_bytes + activation_bytes + buffer_bytes * buffered_chips + reserve_bytes


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


def sequence_share_bytes(held_bytes: Array, sequences: Array) -> Array:
    """What one sequence takes of something that grows with them. [B]

        bytes = held_bytes / sequences

    held_bytes: what all of them take [B]
    sequences: sequences [sequences]

    Source: sequences of a batch are alike.

    >>> sequence_share_bytes(6e9, 6) / 1e9
    1.0
    """
    return held_bytes / sequences


def largest_layout_batch(
    room_bytes: Array, kv_each_bytes: Array, activation_each_bytes: Array, data_parallel: Array,
    pipeline_parallel: Array,
) -> Array:  # fmt: skip
    """Most sequences that a layout holds, as many on each rank. [sequences]

        round = pipeline_parallel * kv_each_bytes + activation_each_bytes
        rounds = max(-ceil(-room_bytes / round), 0)
        rest = (room_bytes - rounds * round - activation_each_bytes) / kv_each_bytes
        more = max(min(-ceil(-rest), pipeline_parallel - 1), 0)
        batch = (rounds * pipeline_parallel + more) * data_parallel

    room_bytes: memory of a chip that is left for sequences [B]
    kv_each_bytes: cache that a chip holds of one sequence of its rank [B]
    activation_each_bytes: activations of one sequence of a micro-batch [B]
    data_parallel: ranks with sequences of their own [1]
    pipeline_parallel: stages: as many sequences go with one more of every micro-batch [1]

    Source: lecture 01:03:37; derived here, whole sequences.

    >>> float(largest_layout_batch(8.5e9, 1e9, 1e9, 4, 2)), float(largest_layout_batch(8e9, 1e9, 0.0, 4, 1))
    (20.0, 32.0)
    """
    xp = namespace(room_bytes, kv_each_bytes, activation_each_bytes, data_parallel, pipeline_parallel)
    room, stages = arrays(xp, room_bytes * (1 + 1e-12), pipeline_parallel * 1.0)  # a hair, lost to rounding otherwise
    each_round = stages * kv_each_bytes + activation_each_bytes
    rounds = xp.maximum(xp.floor(room / each_round), xp.zeros_like(room / each_round))
    rest = xp.floor((room - rounds * each_round - activation_each_bytes) / kv_each_bytes)
    more = xp.maximum(xp.minimum(rest, stages - 1 + 0 * rest), xp.zeros_like(rest))
    return (rounds * stages + more) * data_parallel


def scaled_room_bytes(room_bytes: Array, whole_bytes: Array, chip_bytes: Array) -> Array:
    """Cache of one sequence, over all chips, of which a chip's part fills the room that it has for it. [B]

        bytes = room_bytes * whole_bytes / chip_bytes

    room_bytes: memory of a chip that is left for the cache [B]
    whole_bytes: cache of one sequence in all layers and heads [B]
    chip_bytes: what lies on the chip of all its sequences [B]

    Source: derived here.
    Valid: a chip's part of the cache is the same at every length: exact where all layers are dealt out alike.

    >>> scaled_room_bytes(8e9, 1e9, 1e9) / 1e9
    8.0
    """
    return room_bytes * whole_bytes / chip_bytes


def handed_bytes(batch: Array, sequence_bytes: Array, layout_chips: Array) -> Array:
    """Cache that each chip sends on, where every chip sends a part and nothing is sent twice. [B]

        bytes = batch * sequence_bytes / layout_chips

    batch: sequences whose cache is handed over [sequences]
    sequence_bytes: cache of one, all layers and heads, each number once [B]
    layout_chips: chips that send [chips]

    Source: derived here; chips that hold copies of a latent share the sending.

    >>> handed_bytes(32, 288e6, 32) / 1e6
    288.0
    """
    return batch * sequence_bytes / layout_chips


def handover_s(kv_bytes: Array, bandwidth_bytes_per_s: Array, latency_s: Array) -> Array:
    """Time to hand the cache of a prefill over to other chips that decode, all chips sending at once. [s]

        t = kv_bytes / bandwidth_bytes_per_s + latency_s

    kv_bytes: cache that one chip sends [B]
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
