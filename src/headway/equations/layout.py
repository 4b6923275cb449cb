"""Sharing a pass out over chips: whose sequences, which pieces of a matrix, how many layers.

What is dealt out comes in whole pieces (sequences, heads, experts, layers), so every share is rounded up: the fullest
chip decides. A layout that divides evenly gives the plain quotients of the blackboard.

The sources: M. Shoeybi et al. 2019, Megatron-LM, arXiv 1909.08053 (tensor and pipeline); DeepSeek-V3, arXiv 2412.19437
(experts, attention data-parallel); R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapters'
times).
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def stage_chips(tensor_parallel: Array, context_parallel: Array, data_parallel: Array) -> Array:
    """Chips that work on one layer together: a pipeline stage. [chips]

        chips = tensor_parallel * context_parallel * data_parallel

    tensor_parallel: chips that share every matrix outside the experts [chips]
    context_parallel: groups of them that share the tokens of a sequence [1]
    data_parallel: groups of those, each with sequences of its own [1]

    Source: arXiv 1909.08053; a layout is a product of its degrees.

    >>> stage_chips(2, 1, 4)
    8
    """
    return tensor_parallel * context_parallel * data_parallel


def layout_chips(stage_chips: Array, pipeline_parallel: Array) -> Array:
    """Chips of a whole layout; a system may have more, which are idle. [chips]

        chips = stage_chips * pipeline_parallel

    stage_chips: chips of one pipeline stage [chips]
    pipeline_parallel: stages [1]

    Source: arXiv 1909.08053.

    >>> layout_chips(8, 4)
    32
    """
    return stage_chips * pipeline_parallel


def dealt_share(pieces: Array, ways: Array) -> Array:
    """Share of a matrix, or of a cache, on the fullest of the chips among which its pieces are dealt. [1]

        share = ceil(pieces / ways) / pieces

    pieces: heads, or other whole pieces that can be dealt; one that cannot be cut is copied to every chip [1]
    ways: chips among which they are dealt [chips]

    Source: arXiv 1909.08053 for whole heads; derived here. With fewer pieces than chips each chip holds one: KV heads
    are copied.

    >>> float(dealt_share(8, 4)), float(dealt_share(1, 4)), float(dealt_share(8, 16))
    (0.25, 1.0, 0.125)
    """
    xp = namespace(pieces, ways)
    return xp.ceil(*arrays(xp, pieces / ways)) / pieces


def stage_fill(n_layers: Array, pipeline_parallel: Array) -> Array:
    """Layers of all stages, were each as full as the fullest, over the layers that there are. [1]

        fill = pipeline_parallel * ceil(n_layers / pipeline_parallel) / n_layers

    n_layers: layers of the model [layers]
    pipeline_parallel: stages [1]

    Source: derived here; every stage waits for the fullest one.
    Valid: layers of several kinds are spread over the stages in proportion; the head comes beside them.

    >>> float(stage_fill(61, 4)), float(stage_fill(80, 4))
    (1.049..., 1.0)
    """
    xp = namespace(n_layers, pipeline_parallel)
    return pipeline_parallel * xp.ceil(*arrays(xp, n_layers / pipeline_parallel)) / n_layers


def micro_batch(batch: Array, data_parallel: Array, pipeline_parallel: Array) -> Array:
    """Sequences that one data-parallel rank passes on to a stage at a time. [sequences]

        sequences = ceil(batch / (data_parallel * pipeline_parallel))

    batch: sequences in flight in the whole layout [sequences]
    data_parallel: ranks with sequences of their own [1]
    pipeline_parallel: stages, each at work on a micro-batch of its own [1]

    Source: lecture 01:03:37: with P stages, P micro-batches are in flight.

    >>> float(micro_batch(100, 8, 2))
    7.0
    """
    xp = namespace(batch, data_parallel, pipeline_parallel)
    return xp.ceil(*arrays(xp, batch / (data_parallel * pipeline_parallel)))


def rank_tokens(sequences: Array, pass_tokens: Array, context_parallel: Array) -> Array:
    """New tokens that one rank takes through its matrices: those of its sequences, shared over context ranks. [tokens]

        tokens = sequences * ceil(pass_tokens / context_parallel)

    sequences: sequences of the rank [sequences]
    pass_tokens: new tokens of each [tokens]
    context_parallel: ranks that share the tokens of a sequence [1]

    Source: A. Yang et al. 2024, arXiv 2411.01783 (secondary); rounding derived here: a single new token is taken
    through the matrices by every context rank, because each holds a part of its cache.

    >>> float(rank_tokens(4, 4096, 8)), float(rank_tokens(4, 1, 8))
    (2048.0, 4.0)
    """
    xp = namespace(sequences, pass_tokens, context_parallel)
    return sequences * xp.ceil(*arrays(xp, pass_tokens / context_parallel))


def more_tokens(tokens: Array, further_tokens: Array) -> Array:
    """Tokens of two kinds that ride in one pass: decoded ones, and a chunk of a prompt. [tokens]

        total = tokens + further_tokens

    tokens: tokens of one kind [tokens]
    further_tokens: tokens of the other [tokens]

    Source: A. Agrawal et al. 2024, Sarathi-Serve, arXiv 2403.02310 (secondary): a chunk fills up a decoding batch.

    >>> more_tokens(64, 448)
    512
    """
    return tokens + further_tokens


def stage_tokens(sequences: Array, pass_tokens: Array, data_parallel: Array) -> Array:
    """New tokens of all ranks of a stage, each counted once: those among whose experts they are spread. [tokens]

        tokens = sequences * pass_tokens * data_parallel

    sequences: sequences of one data-parallel rank [sequences]
    pass_tokens: new tokens of each [tokens]
    data_parallel: ranks with sequences of their own [1]

    Source: arXiv 2412.19437: attention is data-parallel, experts are shared by all.

    >>> stage_tokens(64, 1, 32)
    2048
    """
    return sequences * pass_tokens * data_parallel


def expert_ways(stage_chips: Array, expert_parallel: Array) -> Array:
    """Chips among which each expert is cut: those of a stage that its expert ranks leave. [chips]

        chips = stage_chips / expert_parallel

    stage_chips: chips of a stage [chips]
    expert_parallel: ranks to which whole experts are dealt [1]

    Source: derived here; engines call it the tensor-parallel degree of the experts.
    Valid: the division leaves no remainder.

    >>> expert_ways(8, 4)
    2.0
    """
    return stage_chips / expert_parallel


def rank_copies(stage_tokens: Array, experts_per_token: Array, expert_parallel: Array) -> Array:
    """Copies of tokens that one expert rank works on in a layer, on average. [tokens]

        copies = stage_tokens * experts_per_token / expert_parallel

    stage_tokens: tokens of a stage [tokens]
    experts_per_token: routed experts that one token uses [experts]
    expert_parallel: ranks to which experts are dealt [1]

    Source: arXiv 2412.19437.

    >>> rank_copies(2048, 8, 32)
    512.0
    """
    return stage_tokens * experts_per_token / expert_parallel


def busy_copies(rank_copies: Array, imbalance: Array) -> Array:
    """Copies that the busiest expert rank works on. [tokens]

        copies = rank_copies * imbalance

    rank_copies: copies of a rank, on average [tokens]
    imbalance: the busiest rank's over the mean [1]

    Source: derived here; a layer ends when its slowest rank does.

    >>> busy_copies(512, 1.25)
    640.0
    """
    return rank_copies * imbalance


def context_share(context_parallel: Array) -> Array:
    """Share of a sequence's cache, and of its attention, that one context rank has. [1]

        share = 1 / context_parallel

    context_parallel: ranks that share the tokens of a sequence [1]

    Source: arXiv 2411.01783 (secondary): tokens are dealt so that every rank has the same work.

    >>> context_share(4)
    0.25
    """
    return 1 / context_parallel


def sub_batch_tokens(tokens: Array, sub_batches: Array) -> Array:
    """Tokens of a part of the batch that goes through a layer by itself. [tokens]

        part = tokens / sub_batches

    tokens: tokens of the whole pass [tokens]
    sub_batches: parts, of the same size [1]

    Source: arXiv 2412.19437 §3.4, two micro-batches in turn.

    >>> sub_batch_tokens(128, 2)
    64.0
    """
    return tokens / sub_batches


def experts_hit(experts: Array, hit_share: Array) -> Array:
    """Experts of a layer that a pass reads on a chip. [experts]

        read = experts * hit_share

    experts: experts that the chip holds [experts]
    hit_share: share of them that at least one token visits [1]

    Source: `moe.hit_probability`; the lecture, 00:00:00, reads all of them.

    >>> experts_hit(4, 0.25)
    1.0
    """
    return experts * hit_share


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

        room = memory_bytes - (needed_bytes - varying_bytes)

    memory_bytes: memory of one chip [B]
    needed_bytes: what the chip needs for the batch asked [B]
    varying_bytes: what of that grows with the batch [B]

    Source: derived here.

    >>> chip_room_bytes(80e9, 78e9, 6e9) / 1e9
    8.0
    """
    return memory_bytes - (needed_bytes - varying_bytes)


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


def per_sequence_s(seconds: Array, batch: Array) -> Array:
    """Part of a time that grows with the batch which falls to one sequence. [s]

        t = seconds / batch

    seconds: time of the whole batch [s]
    batch: sequences [sequences]

    Source: arithmetic, and reading the cache, are proportional to the batch.

    >>> per_sequence_s(0.008, 8)
    0.001
    """
    return seconds / batch


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


def repeats(count: Array, fill: Array, sub_batches: Array) -> Array:
    """How often an exchange happens in a pass that goes through all stages. [1]

        times = count * fill * sub_batches

    count: blocks that ask for it, in all layers [1]
    fill: rounding up of layers to stages [1]
    sub_batches: parts of the batch, each with messages of its own [1]

    Source: a count.

    >>> repeats(160, 1.0, 2)
    320.0
    """
    return count * fill * sub_batches


def exchanging(data_parallel: Array, context_parallel: Array, expert_parallel: Array) -> Array:
    """Whether tokens travel to their experts: 1 where ranks have tokens, and experts, of their own. [1]

        travels = where(data_parallel * context_parallel > 1, 1, 0) * where(expert_parallel > 1, 1, 0)

    data_parallel: ranks with sequences of their own [1]
    context_parallel: ranks that share the tokens of a sequence [1]
    expert_parallel: ranks with experts of their own [1]

    Source: arXiv 2412.19437; where every chip has every token, each works on its experts' and the results are summed.

    >>> float(exchanging(8, 1, 8)), float(exchanging(1, 1, 8))
    (1.0, 0.0)
    """
    xp = namespace(data_parallel, context_parallel, expert_parallel)
    ranks, experts = arrays(xp, data_parallel * context_parallel * 1.0, expert_parallel * 1.0)
    one = xp.ones_like(ranks * experts)
    return xp.where((ranks > 1) & (experts > 1), one, 0 * one)


def gathering(data_parallel: Array, context_parallel: Array, expert_parallel: Array) -> Array:
    """Whether all tokens go to all chips: 1 where ranks have tokens of their own, and no experts of their own. [1]

        gathers = where(data_parallel * context_parallel > 1, 1, 0) * where(expert_parallel > 1, 0, 1)

    data_parallel: ranks with sequences of their own [1]
    context_parallel: ranks that share the tokens of a sequence [1]
    expert_parallel: ranks with experts of their own [1]

    Source: derived here: every chip has a slice of every expert.

    >>> float(gathering(8, 1, 1)), float(gathering(8, 1, 8))
    (1.0, 0.0)
    """
    xp = namespace(data_parallel, context_parallel, expert_parallel)
    ranks, experts = arrays(xp, data_parallel * context_parallel * 1.0, expert_parallel * 1.0)
    one = xp.ones_like(ranks * experts)
    return xp.where((ranks > 1) & (experts <= 1), one, 0 * one)


def sender_tokens(stage_tokens: Array, stage_chips: Array, sub_batches: Array) -> Array:
    """Tokens that one chip sends to experts at a time: all chips of a stage send alike, and nothing twice. [tokens]

        tokens = stage_tokens / (stage_chips * sub_batches)

    stage_tokens: tokens of all ranks of the stage [tokens]
    stage_chips: chips of the stage [chips]
    sub_batches: parts of the batch that go one after the other [1]

    Source: derived here; chips that share a rank's matrices share the sending of its tokens.

    >>> sender_tokens(2048, 64, 1)
    32.0
    """
    return stage_tokens / (stage_chips * sub_batches)


def gathered_kv_bytes(
    sequences: Array, context_tokens: Array, pass_tokens: Array, kv_bytes_per_token: Array, share: Array
) -> Array:  # fmt: skip
    """Keys and values that context ranks exchange so that each has those of all tokens: one layer. [B]

        bytes = sequences * (context_tokens + pass_tokens) * kv_bytes_per_token * share

    sequences: sequences of the rank [sequences]
    context_tokens: earlier tokens, which lie on the ranks in parts [tokens]
    pass_tokens: new tokens [tokens]
    kv_bytes_per_token: keys and values of one token in a layer [B]
    share: share of the KV heads that a chip has [1]

    Source: arXiv 2411.01783, "pass-KV" (secondary).

    >>> gathered_kv_bytes(1, 0, 8192, 4096, 0.125) / 1e6
    4.194304
    """
    return sequences * (context_tokens + pass_tokens) * kv_bytes_per_token * share


def gathered_query_bytes(
    sequences: Array, pass_tokens: Array, width: Array, bytes_per_element: Array, share: Array
) -> Array:  # fmt: skip
    """Queries that context ranks exchange, and the partial results that come back: one layer. [B]

        bytes = sequences * pass_tokens * width * bytes_per_element * share

    sequences: sequences of the rank [sequences]
    pass_tokens: new tokens [tokens]
    width: numbers of queries and results of one token [1]
    bytes_per_element: bytes of one [B]
    share: share of the heads that a chip has [1]

    Source: arXiv 2411.01783, "pass-Q" (secondary).

    >>> gathered_query_bytes(1, 1, 16384, 2, 0.125)
    4096.0
    """
    return sequences * pass_tokens * width * bytes_per_element * share


def fewer_bytes(first_bytes: Array, second_bytes: Array) -> Array:
    """The fewer bytes of two ways to the same result. [B]

        bytes = min(first_bytes, second_bytes)

    first_bytes: bytes of one way [B]
    second_bytes: bytes of the other [B]

    Source: arXiv 2411.01783 chooses by the same count (secondary).

    >>> float(fewer_bytes(4.0, 3.0))
    3.0
    """
    xp = namespace(first_bytes, second_bytes)
    return xp.minimum(*arrays(xp, first_bytes, second_bytes))


def of_whole_batch(flop: Array, sequences: Array, batch: Array) -> Array:
    """Arithmetic of all sequences in flight, from that of one rank's micro-batch. [FLOP]

        all = flop / sequences * batch

    flop: arithmetic of the micro-batch, every head of it [FLOP]
    sequences: sequences of the micro-batch [sequences]
    batch: sequences in flight [sequences]

    Source: sequences of a batch are alike.

    >>> of_whole_batch(8e9, 4, 64) / 1e9
    128.0
    """
    return flop / sequences * batch


def chunks_in_flight(chunk_tokens: Array, data_parallel: Array, pipeline_parallel: Array) -> Array:
    """Tokens of prompts that ride along in the time of a step: a chunk with every micro-batch of every rank. [tokens]

        tokens = chunk_tokens * data_parallel * pipeline_parallel

    chunk_tokens: tokens of one chunk [tokens]
    data_parallel: ranks with sequences of their own [1]
    pipeline_parallel: stages, each with a micro-batch in flight [1]

    Source: derived here.

    >>> chunks_in_flight(512, 8, 1)
    4096
    """
    return chunk_tokens * data_parallel * pipeline_parallel
