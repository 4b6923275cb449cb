"""Moving bytes between chips: what each rank must send, and how long that takes.

Time is the α-β model: bytes over bandwidth, and a latency for every message that has to wait for the one before it.
`payload_bytes` is always one rank's whole buffer: the sum in an all-reduce, the gathered result of an all-gather,
everything that a rank holds for all ranks (itself included) in an all-to-all. Bandwidth is one way, per rank.

The sources: R. Hockney 1994, Parallel Computing 20(3), for the α-β model; R. Thakur, R. Rabenseifner, W. Gropp 2005,
"Optimization of Collective Communication Operations in MPICH"; J. Austin et al. 2025,
"How to Scale Your Model", chapter 3, for rings and tori; DeepSeek's DeepEP measurements for the anchors.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def _sent_to_others(payload_bytes: Array, n_ranks: Array) -> Array:
    """All of a buffer but the rank's own share of it."""
    return (n_ranks - 1) / n_ranks * payload_bytes


def all_reduce_sent_bytes(payload_bytes: Array, n_ranks: Array) -> Array:
    """Bytes that each rank sends in an all-reduce: a reduce-scatter, then an all-gather. [B]

        bytes = 2 * (n_ranks - 1) / n_ranks * payload_bytes

    payload_bytes: the buffer that is summed [B]
    n_ranks: ranks that take part [ranks]

    Source: Thakur et al. 2005; P. Patarasuk, X. Yuan 2009: no algorithm sends less.
    Valid: no arithmetic in the network.

    >>> all_reduce_sent_bytes(8e6, 8)
    14000000.0
    """
    return 2 * (n_ranks - 1) / n_ranks * payload_bytes


def all_gather_sent_bytes(payload_bytes: Array, n_ranks: Array) -> Array:
    """Bytes that each rank sends in an all-gather on a ring, where every share but one passes through it. [B]

        bytes = (n_ranks - 1) / n_ranks * payload_bytes

    payload_bytes: the gathered result [B]
    n_ranks: ranks that take part [ranks]

    Source: Thakur et al. 2005.

    >>> all_gather_sent_bytes(8e6, 8)
    7000000.0
    """
    return _sent_to_others(payload_bytes, n_ranks)


def reduce_scatter_sent_bytes(payload_bytes: Array, n_ranks: Array) -> Array:
    """Bytes that each rank sends in a reduce-scatter: all of its buffer but the share that it keeps. [B]

        bytes = (n_ranks - 1) / n_ranks * payload_bytes

    payload_bytes: the buffer that is summed [B]
    n_ranks: ranks that take part [ranks]

    Source: Thakur et al. 2005.

    >>> reduce_scatter_sent_bytes(8e6, 8)
    7000000.0
    """
    return _sent_to_others(payload_bytes, n_ranks)


def all_to_all_sent_bytes(payload_bytes: Array, n_ranks: Array) -> Array:
    """Bytes that each rank sends in an all-to-all: an equal share to every other rank, its own stays. [B]

        bytes = (n_ranks - 1) / n_ranks * payload_bytes

    payload_bytes: what one rank holds for all ranks, itself included [B]
    n_ranks: ranks that take part [ranks]

    Source: Thakur et al. 2005.

    >>> all_to_all_sent_bytes(8e6, 8)
    7000000.0
    """
    return _sent_to_others(payload_bytes, n_ranks)


def point_to_point_s(
    payload_bytes: Array, bandwidth_bytes_per_s: Array, latency_s: Array = 0.0, messages: Array = 1.0
) -> Array:
    """Time to send bytes from one rank to another. [s]

        t = payload_bytes / bandwidth_bytes_per_s + messages * latency_s

    payload_bytes: bytes sent [B]
    bandwidth_bytes_per_s: one way, per rank [B/s]
    latency_s: time of an empty message [s]
    messages: messages sent one after another [1]

    Source: Hockney 1994.

    >>> point_to_point_s(1e6, 50e9, 5e-6)
    2.5e-05
    """
    return payload_bytes / bandwidth_bytes_per_s + messages * latency_s


def all_reduce_s(
    payload_bytes: Array,
    n_ranks: Array,
    bandwidth_bytes_per_s: Array,
    latency_s: Array = 0.0,
    messages: Array = 2.0,
) -> Array:
    """Time of an all-reduce. [s]

        t = 2 * (n_ranks - 1) / n_ranks * payload_bytes / bandwidth_bytes_per_s + messages * latency_s

    payload_bytes: the buffer that is summed [B]
    n_ranks: ranks that take part [ranks]
    bandwidth_bytes_per_s: one way, per rank [B/s]
    latency_s: time of an empty message [s]
    messages: messages one after another: 2 where a switch joins every pair, 2 * (n_ranks - 1) on a ring [1]

    Source: Thakur et al. 2005.
    Valid: no arithmetic in the network, which would halve the first term.

    >>> all_reduce_s(8e6, 8, 1e12, 1e-6)
    1.6e-05
    """
    return all_reduce_sent_bytes(payload_bytes, n_ranks) / bandwidth_bytes_per_s + messages * latency_s


def all_gather_s(
    payload_bytes: Array,
    n_ranks: Array,
    bandwidth_bytes_per_s: Array,
    latency_s: Array = 0.0,
    messages: Array = 1.0,
) -> Array:
    """Time of an all-gather. [s]

        t = (n_ranks - 1) / n_ranks * payload_bytes / bandwidth_bytes_per_s + messages * latency_s

    payload_bytes: the gathered result [B]
    n_ranks: ranks that take part [ranks]
    bandwidth_bytes_per_s: one way, per rank [B/s]
    latency_s: time of an empty message [s]
    messages: messages one after another: 1 where a switch joins every pair, n_ranks - 1 on a ring [1]

    Source: Thakur et al. 2005.

    >>> all_gather_s(8e6, 8, 1e12, 1e-6)
    8e-06
    """
    return all_gather_sent_bytes(payload_bytes, n_ranks) / bandwidth_bytes_per_s + messages * latency_s


def reduce_scatter_s(
    payload_bytes: Array,
    n_ranks: Array,
    bandwidth_bytes_per_s: Array,
    latency_s: Array = 0.0,
    messages: Array = 1.0,
) -> Array:
    """Time of a reduce-scatter. [s]

        t = (n_ranks - 1) / n_ranks * payload_bytes / bandwidth_bytes_per_s + messages * latency_s

    payload_bytes: the buffer that is summed [B]
    n_ranks: ranks that take part [ranks]
    bandwidth_bytes_per_s: one way, per rank [B/s]
    latency_s: time of an empty message [s]
    messages: messages one after another: 1 where a switch joins every pair, n_ranks - 1 on a ring [1]

    Source: Thakur et al. 2005.

    >>> reduce_scatter_s(8e6, 8, 1e12, 1e-6)
    8e-06
    """
    return reduce_scatter_sent_bytes(payload_bytes, n_ranks) / bandwidth_bytes_per_s + messages * latency_s


def all_to_all_s(
    payload_bytes: Array,
    n_ranks: Array,
    bandwidth_bytes_per_s: Array,
    latency_s: Array = 0.0,
    messages: Array = 1.0,
) -> Array:
    """Time of an all-to-all through a switch without contention. [s]

        t = (n_ranks - 1) / n_ranks * payload_bytes / bandwidth_bytes_per_s + messages * latency_s

    payload_bytes: what one rank holds for all ranks, itself included [B]
    n_ranks: ranks that take part [ranks]
    bandwidth_bytes_per_s: one way, per rank [B/s]
    latency_s: time of an empty message [s]
    messages: messages one after another: 1 if all leave at once [1]

    Source: Thakur et al. 2005.
    Valid: equal shares; with uneven ones the busiest rank decides.

    >>> all_to_all_s(8e6, 8, 1e12, 1e-6)
    8e-06
    """
    return all_to_all_sent_bytes(payload_bytes, n_ranks) / bandwidth_bytes_per_s + messages * latency_s


def mean_ring_hops(ring_chips: Array) -> Array:
    """Mean distance to the chips of a two-way ring, the chip itself counted: a quarter of an even ring. [1]

        hops = ceil((ring_chips**2 - 1) / 4) / ring_chips

    ring_chips: chips on the ring [chips]

    Source: Austin et al. 2025, chapter 3, footnote on the all-to-all; odd rings derived here.

    >>> float(mean_ring_hops(16)), float(mean_ring_hops(3))
    (4.0, 0.666...)
    """
    xp = namespace(ring_chips)
    (chips,) = arrays(xp, ring_chips)
    return xp.ceil((chips**2 - 1) / 4) / chips


def torus_all_to_all_s(
    payload_bytes: Array,
    ring_chips: Array,
    link_bandwidth_bytes_per_s: Array,
    latency_s: Array = 0.0,
    messages: Array = 1.0,
) -> Array:
    """Time of an all-to-all over a torus, whose dimensions work side by side: the longest ring decides. [s]

        hops = ceil((ring_chips**2 - 1) / 4) / ring_chips
        t = payload_bytes * hops / (2 * link_bandwidth_bytes_per_s) + messages * latency_s

    payload_bytes: what one chip holds for all chips of the torus, itself included [B]
    ring_chips: chips on the longest ring [chips]
    link_bandwidth_bytes_per_s: one link, one way; a chip has two in each dimension [B/s]
    latency_s: time of one hop [s]
    messages: hops one after another: half a ring in each dimension [1]

    Source: Austin et al. 2025, chapter 3. On an even ring the bytes take payload * ring_chips / (8 * link).
    Valid: rings closed in every dimension, equal shares, shortest paths.

    >>> float(torus_all_to_all_s(1e6, 4, 1e11))
    5e-06
    """
    xp = namespace(payload_bytes, ring_chips, link_bandwidth_bytes_per_s, latency_s, messages)
    hops = mean_ring_hops(*arrays(xp, ring_chips))
    return payload_bytes * hops / (2 * link_bandwidth_bytes_per_s) + messages * latency_s


def torus_over_switch(ring_chips: Array, dimensions: Array) -> Array:
    """All-to-all time of a torus over that of a switch to which the same links all lead. [1]

        hops = ceil((ring_chips**2 - 1) / 4) / ring_chips
        ratio = dimensions * hops

    ring_chips: chips on each ring [chips]
    dimensions: dimensions of the torus, all rings equal [1]

    Source: derived here: every byte occupies as many links as it makes hops.
    Valid: large payloads; both sides count a chip's share for itself.

    >>> float(torus_over_switch(4, 3)), float(torus_over_switch(16, 3))
    (3.0, 12.0)
    """
    xp = namespace(ring_chips, dimensions)
    return dimensions * mean_ring_hops(*arrays(xp, ring_chips))


def exposed_s(comm_s: Array, overlap_s: Array) -> Array:
    """Communication that is left to wait for, once what overlaps with other work is taken off. [s]

        t = max(comm_s, overlap_s) - overlap_s

    comm_s: communication [s]
    overlap_s: other work that runs at the same time [s]

    Source: DeepSeek-V3, arXiv 2412.19437, two micro-batches that hide each other's messages.

    >>> float(exposed_s(5.0, 3.0)), float(exposed_s(3.0, 5.0))
    (2.0, 0.0)
    """
    xp = namespace(comm_s, overlap_s)
    return xp.maximum(*arrays(xp, comm_s, overlap_s)) - overlap_s


def achieved_bandwidth_bytes_per_s(payload_bytes: Array, comm_s: Array) -> Array:
    """Bandwidth as benchmarks of collectives print it: the payload over the time it took. [B/s]

        rate = payload_bytes / comm_s

    payload_bytes: what one rank holds for all ranks, `moe.all_to_all_bytes` of its tokens [B]
    comm_s: time measured [s]

    Source: DeepEP, docs/legacy.md (128 tokens, 8 experts, 77 µs, printed as 98 GB/s).

    >>> round(achieved_bandwidth_bytes_per_s(128 * 8 * 7168 * (1 + 4 / 128), 77e-6) / 1e9)
    98
    """
    return payload_bytes / comm_s


def exchange_bound_tokens_per_s(layers: Array, exchanges_per_layer: Array, exchange_s: Array) -> Array:
    """Tokens per second of one sequence when nothing but the exchanges between experts takes time. [tokens/s]

        rate = 1 / (layers * exchanges_per_layer * exchange_s)

    layers: layers with experts [layers]
    exchanges_per_layer: exchanges one after another in a layer; two with two micro-batches in turn [1]
    exchange_s: one dispatch and its combine [s]

    Source: C. Zhao et al. 2025, "Insights into DeepSeek-V3", arXiv 2505.09343 (secondary).

    >>> round(exchange_bound_tokens_per_s(61, 2, 120.96e-6), 1)
    67.8
    """
    return 1 / (layers * exchanges_per_layer * exchange_s)


def activation_bytes(batch: Array, pass_tokens: Array, hidden_size: Array, value_bytes: Array) -> Array:
    """Activations of all tokens of a pass between two layers. [B]

        bytes = batch * pass_tokens * hidden_size * value_bytes

    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence [tokens]
    hidden_size: width of the model [1]
    value_bytes: bytes of one activation [B]

    Source: M. Shoeybi et al. 2019, Megatron-LM, arXiv 1909.08053.

    >>> activation_bytes(64, 1, 8192, 2)
    1048576
    """
    return batch * pass_tokens * hidden_size * value_bytes


def tensor_parallel_s(
    n_layers: Array, activation_bytes: Array, n_ranks: Array, bandwidth_bytes_per_s: Array, per_layer: Array = 2.0
) -> Array:
    """Time of the all-reduces of a pass whose layers are sliced over ranks, bandwidth only. [s]

        t = per_layer * n_layers * 2 * (n_ranks - 1) / n_ranks * activation_bytes / bandwidth_bytes_per_s

    n_layers: layers of the model [layers]
    activation_bytes: activations of the pass [B]
    n_ranks: ranks that share a layer [ranks]
    bandwidth_bytes_per_s: link bandwidth of a rank, one way [B/s]
    per_layer: all-reduces of a layer, one after attention and one after the feed-forward block [1]

    Source: arXiv 1909.08053; `all_reduce_s` without latency.

    >>> round(tensor_parallel_s(80, 1048576, 8, 450e9) * 1e6, 1)
    652.4
    """
    return per_layer * n_layers * all_reduce_s(activation_bytes, n_ranks, bandwidth_bytes_per_s)


def expert_payload_bytes(
    batch: Array, pass_tokens: Array, exchanged_bytes_per_token: Array, moe_layers: Array, n_ranks: Array
) -> Array:
    """Bytes that one rank exchanges with the experts in a pass, all routed layers, tokens spread evenly. [B]

        bytes = batch * pass_tokens * exchanged_bytes_per_token * moe_layers / n_ranks

    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence [tokens]
    exchanged_bytes_per_token: bytes that a token sends to its experts and gets back, one layer [B]
    moe_layers: layers that route [layers]
    n_ranks: ranks that share tokens and experts [ranks]

    Source: arXiv 2412.19437; the payload of `all_to_all_s`, or of `torus_all_to_all_s`, layer after layer.

    >>> expert_payload_bytes(7200, 1, 172032, 58, 72) / 1e6
    997.7856
    """
    return batch * pass_tokens * exchanged_bytes_per_token * moe_layers / n_ranks


def ring_link_bytes_per_s(scaleup_bytes_per_s: Array, dimensions: Array) -> Array:
    """Bandwidth of one link of a torus, one way: each dimension has a link to either side. [B/s]

        rate = scaleup_bytes_per_s / (2 * dimensions)

    scaleup_bytes_per_s: bandwidth of all links of a chip, one way [B/s]
    dimensions: dimensions of the torus [1]

    Source: jax-ml scaling-book, chapter on TPUs.

    >>> ring_link_bytes_per_s(270e9, 3) / 1e9
    45.0
    """
    return scaleup_bytes_per_s / (2 * dimensions)
