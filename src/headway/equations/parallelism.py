"""How a model is laid over chips: what each one holds and reads, and which links the layout leans on.

Inside one scale-up domain the experts are spread over `domain_chips`. What is not an expert (attention, shared
layers) is spread over `tensor_parallel` chips only, and repeated in each such group. Pipeline stages divide layers
among domains and work at different moments: they add capacity, never bandwidth to one pass.

The sources: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times); DeepSeek-V3,
arXiv 2412.19437.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def weights_per_chip_bytes(
    expert_bytes: Array, rest_bytes: Array, domain_chips: Array, tensor_parallel: Array, pipeline_stages: Array = 1.0
) -> Array:
    """Weights that one chip holds: its experts, and its slice of the rest. [B]

        bytes = (expert_bytes / domain_chips + rest_bytes / tensor_parallel) / pipeline_stages

    expert_bytes: weights of all routed experts [B]
    rest_bytes: all other weights [B]
    domain_chips: chips that share the experts of a layer [chips]
    tensor_parallel: chips that share the rest: 1 where attention is data-parallel, domain_chips where all is cut
      [chips]
    pipeline_stages: stages that share the layers [1]

    Source: lecture 01:03:37, N_total / (E_p * P) when tensor_parallel is domain_chips; the repeated part derived here.

    >>> weights_per_chip_bytes(1e12, 0, 64, 64, 4) / 1e9
    3.90625
    """
    return (expert_bytes / domain_chips + rest_bytes / tensor_parallel) / pipeline_stages


def kv_per_chip_bytes(
    micro_batch: Array, context_tokens: Array, kv_bytes_per_token: Array, kv_parallel: Array
) -> Array:
    """KV cache that one chip holds, whatever the number of pipeline stages. [B]

        bytes = micro_batch * context_tokens * kv_bytes_per_token / kv_parallel

    micro_batch: sequences that one stage takes at a time [sequences]
    context_tokens: tokens kept of each sequence [tokens]
    kv_bytes_per_token: KV cache of one token, all layers [B]
    kv_parallel: chips of a stage that divide the KV by sequences, heads or tokens [chips]

    Source: lecture 01:03:37. With P stages a chip holds 1 / P of the layers of P micro-batches in flight: P cancels.
    Valid: as many micro-batches in flight as stages. Tensor parallelism divides KV heads only until they run out, and
    the one latent of MLA not at all.

    >>> kv_per_chip_bytes(64, 8192, 70272, 64) / 1e6
    575.668224
    """
    return micro_batch * context_tokens * kv_bytes_per_token / kv_parallel


def chip_bytes(weights_per_chip_bytes: Array, kv_per_chip_bytes: Array, other_bytes: Array = 0.0) -> Array:
    """Bytes that one chip must hold. Pipeline stages shrink the weights and never the KV. [B]

        bytes = weights_per_chip_bytes + kv_per_chip_bytes + other_bytes

    weights_per_chip_bytes: weights [B]
    kv_per_chip_bytes: KV cache [B]
    other_bytes: activations and the engine's own buffers [B]

    Source: lecture 01:03:37.

    >>> chip_bytes(3.9e9, 0.6e9) / 1e9
    4.5
    """
    return weights_per_chip_bytes + kv_per_chip_bytes + other_bytes


def weights_read_s(
    expert_bytes: Array, rest_bytes: Array, domain_chips: Array, tensor_parallel: Array, bandwidth_bytes_per_s: Array
) -> Array:
    """Time in which every chip of a domain reads its share of all layers once. [s]

        t = (expert_bytes / domain_chips + rest_bytes / tensor_parallel) / bandwidth_bytes_per_s

    expert_bytes: weights of all routed experts [B]
    rest_bytes: all other weights that a pass reads; an input embedding is looked up, not read [B]
    domain_chips: chips that share the experts of a layer [chips]
    tensor_parallel: chips that share the rest [chips]
    bandwidth_bytes_per_s: memory bandwidth of one chip [B/s]

    Source: lecture 00:47:12 for the first term; the repeated part derived here. No larger domain shrinks the second
    term. Stages read one after another, so their number does not appear.

    >>> round(weights_read_s(653.9e9, 16.2e9, 64, 1, 3.35e12) * 1e3, 1)
    7.9
    """
    return weights_per_chip_bytes(expert_bytes, rest_bytes, domain_chips, tensor_parallel) / bandwidth_bytes_per_s


def batch_in_flight(micro_batch: Array, pipeline_stages: Array) -> Array:
    """Sequences in a pipeline that keeps every stage at work. [sequences]

        batch = micro_batch * pipeline_stages

    micro_batch: sequences that one stage takes at a time [sequences]
    pipeline_stages: stages [1]

    Source: lecture 01:03:37.

    >>> batch_in_flight(64, 4)
    256
    """
    return micro_batch * pipeline_stages


def pipeline_latency_s(pipeline_stages: Array, stage_s: Array, hops: Array, hop_s: Array) -> Array:
    """Time of one token through all stages: the work as without stages, and then the hops. [s]

        t = pipeline_stages * stage_s + hops * hop_s

    pipeline_stages: stages that share the layers [1]
    stage_s: time of one stage [s]
    hops: passages between stages; in decode as many as stages, for the new token returns to the first [1]
    hop_s: latency of one passage [s]

    Source: lecture 01:03:37, which guesses milliseconds for a hop; a whole dispatch over RDMA was measured at 0.19 ms
    (DeepEP, docs/legacy.md).

    >>> round(pipeline_latency_s(4, 5e-3, 4, 0.19e-3) * 1e3, 2)
    20.76
    """
    return pipeline_stages * stage_s + hops * hop_s


def scaleup_over_scaleout(scaleup_bytes_per_s: Array, scaleout_bytes_per_s: Array) -> Array:
    """How much faster the links inside a scale-up domain are than the network between domains. [1]

        ratio = scaleup_bytes_per_s / scaleout_bytes_per_s

    scaleup_bytes_per_s: link bandwidth inside the domain, per chip and one way [B/s]
    scaleout_bytes_per_s: network bandwidth out of the domain, per chip and one way [B/s]

    Source: lecture 00:32:09, which says 8; it runs from 4 (H800) to 96 (TPU v5p pods).

    >>> scaleup_over_scaleout(900e9, 50e9)
    18.0
    """
    return scaleup_bytes_per_s / scaleout_bytes_per_s


def link_time_ratio(scaleup_over_scaleout: Array, copies_per_token: Array, layers_per_stage: Array) -> Array:
    """Time on the fast links of a stage over time on the slow links between stages; from 1 on the slow ones hide. [1]

        ratio = 1 / scaleup_over_scaleout * copies_per_token * layers_per_stage * 2

    scaleup_over_scaleout: fast bandwidth over slow bandwidth, per chip [1]
    copies_per_token: experts of a token, or distinct ranks if each gets one copy [1]
    layers_per_stage: layers of one stage [layers]

    Source: lecture 00:47:12. The 2 is dispatch and combine.
    Valid: the same bytes for a value on both kinds of link.

    >>> link_time_ratio(8, 8, 1)
    2.0
    """
    return 1 / scaleup_over_scaleout * copies_per_token * layers_per_stage * 2


def share_leaving_rack(racks: Array) -> Array:
    """Share of the expert copies that cross to another rack when a layer's experts are spread over several. [1]

        share = 1 - 1 / racks

    racks: racks that share the experts of a layer [1]

    Source: lecture 00:32:09 (half of the tokens with two racks).
    Valid: uniform routing.

    >>> share_leaving_rack(2)
    0.5
    """
    return 1 - 1 / racks


def remote_racks_per_token(racks: Array, experts_per_token: Array) -> Array:
    """Expected number of other racks that a token's experts live on. [1]

        visited = (racks - 1) * (1 - (1 - 1 / racks)**experts_per_token)

    racks: racks that share the experts of a layer [1]
    experts_per_token: experts that a token chooses [experts]

    Source: derived here: each rack is missed by all choices with probability (1 - 1 / racks)**experts_per_token.
    Valid: uniform routing, many experts on each rack.

    >>> remote_racks_per_token(2, 8)
    0.99609375
    """
    return (racks - 1) * (1 - (1 - 1 / racks) ** experts_per_token)


def racks_slowdown_every_copy(racks: Array, scaleup_over_scaleout: Array) -> Array:
    """Expert layer over several racks, every expert's copy sent alone, relative to one rack. [1]

        ratio = max(1 / racks, scaleup_over_scaleout * (1 - 1 / racks))

    racks: racks that share the experts of a layer [1]
    scaleup_over_scaleout: fast bandwidth over slow bandwidth, per chip [1]

    Source: lecture 00:32:09, "one rack bounds the expert layer".
    Valid: bandwidth only, both kinds of link at work at once, uniform routing.

    >>> float(racks_slowdown_every_copy(2, 8))
    4.0
    """
    xp = namespace(racks, scaleup_over_scaleout)
    racks, ratio = arrays(xp, racks, scaleup_over_scaleout)
    return xp.maximum(1 / racks, ratio * (1 - 1 / racks))


def slow_links_slowdown(racks: Array, scaleup_over_scaleout: Array, experts_per_token: Array) -> Array:
    """Time of the slow links alone, one copy for each remote rack, over that of the layer on one rack. [1]

        visited = (racks - 1) * (1 - (1 - 1 / racks)**experts_per_token)
        ratio = scaleup_over_scaleout * visited / experts_per_token

    racks: racks that share the experts of a layer [1]
    scaleup_over_scaleout: fast bandwidth over slow bandwidth, per chip [1]
    experts_per_token: experts that a token chooses [experts]

    Source: derived here from the node-limited routing of arXiv 2412.19437 §3.2.2.
    Valid: as for `racks_slowdown_one_copy`, which takes the longer of these links and the fast ones.

    >>> slow_links_slowdown(2, 8, 8)
    0.99609375
    """
    return scaleup_over_scaleout * remote_racks_per_token(racks, experts_per_token) / experts_per_token


def racks_slowdown_one_copy(racks: Array, scaleup_over_scaleout: Array, experts_per_token: Array) -> Array:
    """Expert layer over several racks, one copy for each remote rack and forwarded inside it, relative to one rack. [1]

        visited = (racks - 1) * (1 - (1 - 1 / racks)**experts_per_token)
        ratio = max(1, scaleup_over_scaleout * visited / experts_per_token)

    racks: racks that share the experts of a layer [1]
    scaleup_over_scaleout: fast bandwidth over slow bandwidth, per chip [1]
    experts_per_token: experts that a token chooses [experts]

    Source: derived here from the node-limited routing of arXiv 2412.19437 §3.2.2. The fast links still deliver every
    copy, hence never less than 1.
    Valid: bandwidth only, both kinds of link at work at once, uniform routing, many experts on each rack.

    >>> round(float(racks_slowdown_one_copy(2, 18, 8)), 2)
    2.24
    """
    slow = slow_links_slowdown(racks, scaleup_over_scaleout, experts_per_token)
    xp = namespace(slow)
    return xp.maximum(*arrays(xp, 1.0, slow))


def node_limited_experts(nodes: Array, scaleup_over_scaleout: Array) -> Array:
    """Experts that a token may choose without a byte more on the slow links than one copy for each of its nodes. [1]

        experts = nodes * scaleup_over_scaleout

    nodes: nodes that a token may reach [1]
    scaleup_over_scaleout: fast bandwidth over slow bandwidth, per chip [1]

    Source: arXiv 2412.19437 §3.2.2: 4 nodes, 160 and 50 GB/s, given there as 13.

    >>> node_limited_experts(4, 160 / 50)
    12.8
    """
    return nodes * scaleup_over_scaleout


def experts_per_chip(n_experts: Array, redundant_experts: Array, domain_chips: Array) -> Array:
    """Experts of one layer on the fullest chip: whole experts, as many on each as the division demands. [experts]

        experts = ceil((n_experts + redundant_experts) / domain_chips)

    n_experts: routed experts of a layer [experts]
    redundant_experts: second copies of busy experts [experts]
    domain_chips: chips that share them [chips]

    Source: lecture 00:32:09 (256 experts on 64 chips); arXiv 2412.19437 for redundant copies.

    >>> float(experts_per_chip(256, 0, 64)), float(experts_per_chip(256, 32, 72))
    (4.0, 4.0)
    """
    xp = namespace(n_experts, redundant_experts, domain_chips)
    return xp.ceil(*arrays(xp, (n_experts + redundant_experts) / domain_chips))


def idle_chips(n_experts: Array, redundant_experts: Array, domain_chips: Array) -> Array:
    """Chips of a domain that are left without an expert when the others are filled evenly. [chips]

        each = ceil((n_experts + redundant_experts) / domain_chips)
        idle = domain_chips - ceil((n_experts + redundant_experts) / each)

    n_experts: routed experts of a layer [experts]
    redundant_experts: second copies of busy experts [experts]
    domain_chips: chips that share them [chips]

    Source: derived here from lecture 00:32:09 (64 of 72 chips for 256 experts).

    >>> float(idle_chips(256, 0, 72)), float(idle_chips(256, 32, 72))
    (8.0, 0.0)
    """
    each = experts_per_chip(n_experts, redundant_experts, domain_chips)
    xp = namespace(each)
    return domain_chips - xp.ceil((n_experts + redundant_experts) / each)


def group_domains(n_ranks: Array, stride: Array, domain_chips: Array) -> Array:
    """Scale-up domains that a group of ranks spans, as many ranks in each as it holds. [1]

        each = max(-ceil(-domain_chips / stride), 1)
        domains = ceil(n_ranks / each)

    n_ranks: ranks of the group [ranks]
    stride: chips from one rank of the group to the next [chips]
    domain_chips: chips of a domain [chips]

    Source: derived here: chips are numbered domain after domain, and a group starts with a domain.
    Valid: no group lies across the border of domains that it could keep out of.

    >>> float(group_domains(8, 1, 8)), float(group_domains(4, 8, 8)), float(group_domains(64, 1, 72))
    (1.0, 4.0, 1.0)
    """
    xp = namespace(n_ranks, stride, domain_chips)
    ranks, apart, chips = arrays(xp, n_ranks, stride, domain_chips)
    each = -xp.ceil(-chips / apart)
    return xp.ceil(ranks / xp.maximum(each, xp.ones_like(each)))


def group_inside(n_ranks: Array, domains: Array) -> Array:
    """Ranks of a group in one of the scale-up domains that it spans, spread evenly. [ranks]

        inside = n_ranks / domains

    n_ranks: ranks of the group [ranks]
    domains: domains that it spans [1]

    Source: definition.
    Valid: an engine deals ranks out evenly; where they do not divide this is the mean.

    >>> group_inside(128, 2)
    64.0
    """
    return n_ranks / domains


def group_ranks(inside: Array, domains: Array) -> Array:
    """Ranks of a group in all the scale-up domains that it spans. [ranks]

        n_ranks = inside * domains

    inside: ranks of the group in one domain [ranks]
    domains: domains that it spans [1]

    Source: definition.

    >>> group_ranks(64, 2)
    128
    """
    return inside * domains


def domain_memory_bytes(domain_chips: Array, chip_memory_bytes: Array) -> Array:
    """Memory of all chips of a scale-up domain. [B]

        bytes = domain_chips * chip_memory_bytes

    domain_chips: chips of the domain [chips]
    chip_memory_bytes: memory of one [B]

    Source: lecture 00:32:09 (8 chips of 80 GB).

    >>> domain_memory_bytes(8, 80e9) / 1e9
    640.0
    """
    return domain_chips * chip_memory_bytes


def largest_model_params(
    domain_memory_bytes: Array, usable_fraction: Array, kv_share: Array, weight_bytes_per_param: Array
) -> Array:
    """Parameters of the largest model that one domain can serve. [params]

        params = domain_memory_bytes * usable_fraction * (1 - kv_share) / weight_bytes_per_param

    domain_memory_bytes: memory of all chips of the domain [B]
    usable_fraction: share of memory left by activations and the engine's buffers [1]
    kv_share: share of the usable memory kept for the KV cache [1]
    weight_bytes_per_param: mean bytes of one stored weight, scales included [B]

    Source: derived here from lecture 00:32:09.
    Valid: every weight held once; repeated attention weights shrink it.

    >>> round(largest_model_params(72 * 186e9, 0.9, 0.5, 1.0) / 1e12, 2)
    6.03
    """
    return domain_memory_bytes * usable_fraction * (1 - kv_share) / weight_bytes_per_param
