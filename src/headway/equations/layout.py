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


def stage_sequences(batch: Array, pipeline_parallel: Array) -> Array:
    """Sequences that a stage has at a time, those of all its ranks. [sequences]

        sequences = ceil(batch / pipeline_parallel)

    batch: sequences in flight in the whole layout [sequences]
    pipeline_parallel: stages, each at work on a part of them [1]

    Source: lecture 01:03:37. Of fewer sequences than ranks no rank's are counted twice.

    >>> float(stage_sequences(100, 2))
    50.0
    """
    xp = namespace(batch, pipeline_parallel)
    return xp.ceil(*arrays(xp, batch / pipeline_parallel))


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


def sender_tokens(tokens: Array, tensor_parallel: Array, context_parallel: Array, sub_batches: Array) -> Array:
    """Tokens that one chip sends to experts at a time: chips of a rank share its tokens. [tokens]

        own = tokens / (tensor_parallel * context_parallel * sub_batches)

    tokens: new tokens of the fullest data-parallel rank [tokens]
    tensor_parallel: chips of the rank that have the same tokens [chips]
    context_parallel: parts in which the rank has them [1]
    sub_batches: parts of the batch that go one after the other [1]

    Source: derived here.

    >>> sender_tokens(128, 2, 1, 1)
    64.0
    """
    return tokens / (tensor_parallel * context_parallel * sub_batches)


def exchanged_tokens(sender_tokens: Array, stage_tokens: Array, stage_chips: Array, sub_batches: Array,
                     imbalance: Array = 1.0) -> Array:  # fmt: skip
    """Tokens whose copies pass the busiest link: of the fullest sender, or of the busiest experts. [tokens]

        tokens = max(sender_tokens, imbalance * stage_tokens / (stage_chips * sub_batches))

    sender_tokens: tokens of the chip that sends most [tokens]
    stage_tokens: tokens of all ranks of the stage [tokens]
    stage_chips: chips of the stage [chips]
    sub_batches: parts of the batch that go one after the other [1]
    imbalance: copies at the busiest expert rank over the mean [1]

    Source: derived here; a dispatch ends when the busiest rank has all its copies, a combine when it has sent them.

    >>> float(exchanged_tokens(32.0, 2048, 64, 1, 1.5))
    48.0
    """
    xp = namespace(sender_tokens, stage_tokens, stage_chips, sub_batches, imbalance)
    return xp.maximum(*arrays(xp, sender_tokens, imbalance * stage_tokens / (stage_chips * sub_batches)))


def parts_of_batch(asked_parts: Array, sequences: Array) -> Array:
    """Parts into which a batch can be cut: as many as asked for, but none without a sequence. [1]

        parts = min(asked_parts, sequences)

    asked_parts: parts asked for [1]
    sequences: sequences of a rank [sequences]

    Source: arXiv 2412.19437 §3.4 halves the batch of each rank.

    >>> float(parts_of_batch(2, 1)), float(parts_of_batch(2, 64))
    (1.0, 2.0)
    """
    xp = namespace(asked_parts, sequences)
    return xp.minimum(*arrays(xp, asked_parts * 1.0, sequences * 1.0))


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


def of_all_chunks(flop: Array, data_parallel: Array, pipeline_parallel: Array) -> Array:
    """Arithmetic of all chunks of prompts in the time of a step, from that of one. [FLOP]

        all = flop * data_parallel * pipeline_parallel

    flop: arithmetic of one chunk [FLOP]
    data_parallel: ranks with sequences of their own [1]
    pipeline_parallel: stages, each with a micro-batch in flight [1]

    Source: derived here.

    >>> of_all_chunks(2e9, 8, 1) / 1e9
    16.0
    """
    return flop * data_parallel * pipeline_parallel


def hops_between(pipeline_parallel: Array) -> Array:
    """Passages of a micro-batch from stage to stage. [1]

        hops = pipeline_parallel - 1

    pipeline_parallel: stages [1]

    Source: lecture 01:03:37; the sampled token that goes back to the first stage is left out.

    >>> hops_between(4)
    3
    """
    return pipeline_parallel - 1


def carried_sequences(micro_batch: Array, data_parallel: Array, pipeline_parallel: Array) -> Array:
    """Sequences whose work a pass is counted with: every rank and stage as full as the fullest. [sequences]

        sequences = micro_batch * data_parallel * pipeline_parallel

    micro_batch: sequences of the fullest rank at a time [sequences]
    data_parallel: ranks with sequences of their own [1]
    pipeline_parallel: stages, each with a micro-batch in flight [1]

    Source: derived here; the batch itself where it goes round.

    >>> carried_sequences(7, 8, 2)
    112
    """
    return micro_batch * data_parallel * pipeline_parallel
