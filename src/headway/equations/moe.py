"""Mixture of experts: which weights a batch fetches, who fetches most, and what it sends.

Routing is taken as uniform: every token picks its experts at random, none favoured. Real routing is worse.

The sources: DeepSeek-V3, arXiv 2412.19437, and its deployment notes (github.com/deepseek-ai/open-infra-index, day 6);
R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times); H. A. David and H. N.
Nagaraja, "Order Statistics", 3rd ed. 2003, §2.1, for the expectation of a maximum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headway.equations import _largest, _placing
from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def routed_params(moe_layers: Array, n_experts: Array, d_model: Array, d_expert: Array, matrices: Array = 3.0) -> Array:
    """Parameters of all routed experts. [params]

        params = moe_layers * n_experts * matrices * d_model * d_expert

    moe_layers: layers with routed experts [layers]
    n_experts: routed experts per layer [experts]
    d_model: width of the model [1]
    d_expert: inner width of one expert [1]
    matrices: matrices per expert, three with a gate [1]

    Source: arXiv 2412.19437 (V3 config).

    >>> routed_params(58, 256, 7168, 2048) / 1e9
    653.908770816
    """
    return moe_layers * n_experts * matrices * d_model * d_expert


def sparsity(n_experts: Array, experts_per_token: Array) -> Array:
    """Routed experts of a layer for each one that a token uses. [1]

        sparsity = n_experts / experts_per_token

    n_experts: routed experts per layer [experts]
    experts_per_token: routed experts that one token uses [experts]

    Source: arXiv 2507.20534 (Kimi K2: 384 experts, 8 of them for each token).

    >>> sparsity(384, 8)
    48.0
    """
    return n_experts / experts_per_token


def rest_params(total_params: Array, routed_params: Array) -> Array:
    """Parameters that every token uses, the looked-up embedding counted in: all but the routed experts. [params]

        params = total_params - routed_params

    total_params: parameters of the model [params]
    routed_params: parameters of all routed experts [params]

    Source: definition.

    >>> rest_params(671e9, 653.9e9) / 1e9
    17.1...
    """
    return total_params - routed_params


def routed_copies(tokens: Array, experts_per_token: Array) -> Array:
    """Copies of tokens that a layer sends to its routed experts, one for each expert that a token uses. [tokens]

        copies = tokens * experts_per_token

    tokens: tokens that the pass carries, all sequences together [tokens]
    experts_per_token: routed experts that one token uses [experts]

    Source: definition.

    >>> routed_copies(2400, 8)
    19200
    """
    return tokens * experts_per_token


def hit_probability(tokens: Array, n_experts: Array, experts_per_token: Array) -> Array:
    """Probability that a given expert is chosen by at least one token of a pass. [1]

        probability = 1 - (1 - experts_per_token / n_experts)**tokens

    tokens: tokens that the pass carries, all sequences together [tokens]
    n_experts: routed experts per layer [experts]
    experts_per_token: routed experts that one token uses [experts]

    Source: derived here. At one token it is the active share, so that what is fetched equals what is active.

    >>> hit_probability(1, 256, 8), hit_probability(32, 256, 8)
    (0.03125, 0.6379...)
    """
    return 1 - (1 - experts_per_token / n_experts) ** tokens


def fetched_params(rest_params: Array, routed_params: Array, hit_share: Array) -> Array:
    """Parameters that a pass reads: all that every token uses, and the routed experts that are hit. [params]

        params = rest_params + routed_params * hit_share

    rest_params: parameters that every token uses: attention, shared experts, dense layers, output [params]
    routed_params: parameters of all routed experts [params]
    hit_share: share of the routed experts read: `hit_probability` for the bytes in sum, `busiest_rank_share` for the
      time, which under expert parallelism waits for the busiest rank [1]

    Source: derived here; the lecture, 00:00:00, reads every expert always (a share of 1).

    >>> fetched_params(17.1e9, 653.9e9, hit_probability(32, 256, 8)) / 1e9
    434.2...
    """
    return rest_params + routed_params * hit_share


def mean_format_params(read_params: Array, routed_params: Array, hit_share: Array, format_ratio: Array = 1.0) -> Array:
    """Parameters of the mean format whose bytes are those that a pass reads: of routed experts only those hit. [params]

        params = read_params - routed_params * format_ratio * (1 - hit_share)

    read_params: parameters that a pass streams where every expert is hit [params]
    routed_params: parameters of all routed experts [params]
    hit_share: share of the routed experts read [1]
    format_ratio: bytes of a routed parameter over the mean of all; below 1 where experts alone are quantised [1]

    Source: derived here; `fetched_params` is the case of one format for all.

    >>> mean_format_params(670.1e9, 653.9e9, 0.25) / 1e9
    179.675
    """
    return read_params - routed_params * format_ratio * (1 - hit_share)


def busiest_rank_share(hit_probability: Array, experts_per_rank: int | Array, n_ranks: Array) -> Array:
    """Share of its experts that the busiest rank of a layer must read, on average over passes. [1]

        share = Σ_{j=1..n} (1 - P(X < j)^n_ranks) / n,  X ~ Binomial(n, hit_probability),  n = experts_per_rank

    hit_probability: probability that an expert is hit in the pass [1]
    experts_per_rank: experts of one layer that a rank holds [experts]
    n_ranks: ranks over which the experts of a layer are spread [ranks]

    Source: H. A. David and H. N. Nagaraja 2003, Order Statistics, of independent binomial counts; derived here.
    Valid: ranks counted as independent: within 3 % for layers of 64 experts and more; with fewer experts it is low
    when a pass holds few copies (10 % for one token choosing 2 of 8, a third for 1 of 16). From 4,096 points on it is
    read from a table, to one part in 10^8.

    >>> round(float(busiest_rank_share(hit_probability(1, 256, 8), 4, 64)), 3)
    0.328
    """
    xp = namespace(hit_probability, n_ranks)
    if xp is np and max(map(np.size, (hit_probability, experts_per_rank, n_ranks))) > _largest.FEW:
        return _largest.busiest_shares(hit_probability, experts_per_rank, n_ranks)
    if np.ndim(experts_per_rank) > 0:
        shares = _largest.by_count(_largest.of_binomials, experts_per_rank, hit_probability, n_ranks)
        return shares / experts_per_rank
    return _largest.of_binomials(int(experts_per_rank), hit_probability, n_ranks) / experts_per_rank


def rank_imbalance(hit_probability: Array, experts_per_rank: int | Array, n_ranks: Array) -> Array:
    """Experts read by the busiest rank over the mean of all ranks. [1]

        ratio = busiest_rank_share(hit_probability, experts_per_rank, n_ranks) / hit_probability

    hit_probability: probability that an expert is hit in the pass [1]
    experts_per_rank: experts of one layer that a rank holds [experts]
    n_ranks: ranks over which the experts of a layer are spread [ranks]

    Source: derived here.
    Valid: some expert is hit; the limit for few hits is the number of ranks.

    >>> round(float(rank_imbalance(hit_probability(8, 256, 8), 4, 64)), 2)
    3.41
    """
    return busiest_rank_share(hit_probability, experts_per_rank, n_ranks) / hit_probability


def busiest_load_tokens(copies: int, n_bins: Array) -> Array:
    """Token copies that the busiest of a layer's experts, or ranks, has to work through, on average. [tokens]

        load = Σ_{j=1..copies} (1 - P(X < j)^n_bins),  X ~ Binomial(copies, 1 / n_bins)

    copies: copies of tokens sent in the pass: tokens times experts per token [tokens]
    n_bins: experts, or ranks, among which they fall [1]

    Source: H. A. David and H. N. Nagaraja 2003, Order Statistics, of independent binomial counts; derived here.
    Valid: uniform routing. A grouped matrix product takes as long as its largest group.

    >>> round(float(busiest_load_tokens(75 * 256, 256)) / 75, 2)
    1.34
    """
    return _largest.of_binomials(copies, 1 / n_bins, n_bins)


def load_imbalance(n_bins: Array, mean_load: Array) -> Array:
    """Load of the busiest expert or rank over the mean: an upper estimate in closed form. [1]

        ratio = 1 + sqrt(2 * ln(n_bins) / mean_load)

    n_bins: experts, or ranks, among which the copies fall [1]
    mean_load: token copies per bin, on average [tokens]

    Source: the largest of n Gaussians of variance `mean_load` lies about sqrt(2 ln n) deviations above the mean.
    Valid: a mean load of several tokens; `busiest_load_tokens` is the sum without the approximation.

    >>> round(float(load_imbalance(256, 75)), 3)
    1.385
    """
    xp = namespace(n_bins, mean_load)
    bins, load = arrays(xp, n_bins, mean_load)
    return 1 + xp.sqrt(2 * xp.log(bins) / load)


def busiest_load_ratio(n_bins: Array, mean_load: Array) -> Array:
    """Load of the busiest expert or rank over the mean, under uniform routing and for any mean. [1]

        ratio = max(Σ_{j>=1} (1 - P(X < j)^n_bins), min(n_bins * mean_load, 1)) / mean_load,  X ~ Poisson(mean_load)

    n_bins: experts, or ranks, among which the copies fall [1]
    mean_load: token copies per bin, on average [tokens]

    Source: H. A. David and H. N. Nagaraja 2003, Order Statistics, of independent Poisson counts, which have the spread
    of the counts about their common mean; where anything is sent, some bin holds a copy. Derived here.
    Valid: copies that fall independently: within 5 % of throwing them, and 1 % from a mean of eight. Those of one token
    choose different experts, which makes the busiest of 64 ranks 7 % lighter for a single token.

    >>> round(float(busiest_load_ratio(256, 75)), 3), round(float(busiest_load_ratio(64, 300)), 3)
    (1.342, 1.138)
    """
    xp = namespace(n_bins, mean_load)
    bins, load = arrays(xp, n_bins, mean_load)
    if xp is np and max(np.size(bins), np.size(load)) > _largest.FEW:
        ratio = _largest.busiest_loads(bins, load)
    else:
        ratio = _largest.of_poissons(load, bins) / load
    one = xp.ones_like(bins * load)
    return xp.maximum(xp.maximum(ratio, one), xp.minimum(bins * load, one) / load)


def placed_imbalance(
    n_experts: int | Array, expert_skew: Array, redundant_experts: int | Array, n_ranks: int | Array
) -> Array:
    """Load of the busiest rank over the mean, once copies of busy experts are dealt out to even uneven routing. [1]

        ratio = n_ranks * max_r load(r) / Σ_r load(r),  load of expert i: i^-a, of the first expert_skew times the mean

    n_experts: routed experts per layer [experts]
    expert_skew: load of the busiest expert over the mean of all; 1 is uniform routing [1]
    redundant_experts: second copies of busy experts [experts]
    n_ranks: ranks over which experts and copies are spread [ranks]

    Source: github.com/deepseek-ai/EPLB, eplb.py, global policy: a copy for the heaviest load per copy, then the
    heaviest to the lightest rank with a place left. The power law is our own choice.
    Valid: loads that stay what they were when they were counted; copies that would not help, and those beyond 512, are
    left unused. Engines without a balancer deal experts out by number, and their busiest rank has more.

    >>> [round(float(placed_imbalance(256, 8.0, copies, 64)), 3) for copies in (0, 16, 64)]
    [2.401, 1.045, 1.009]
    """
    xp = namespace(expert_skew)
    found, index = _largest.distinct(n_experts, np.asarray(expert_skew), redundant_experts, n_ranks)
    ratios = np.asarray([
        _placing.busiest_over_mean(int(experts), skew, math.ceil(copies), int(ranks))
        for experts, skew, copies, ranks in found
    ])  # fmt: skip
    return xp.asarray(ratios[index])


def distinct_ranks_hit(n_experts: Array, n_ranks: Array, experts_per_token: int) -> Array:
    """Ranks, or nodes, that hold at least one of a token's experts, on average. [ranks]

        missed = Π_{i=0..experts_per_token-1} max(n_experts - n_experts / n_ranks - i, 0) / max(n_experts - i, 1)
        ranks = n_ranks * (1 - missed)

    n_experts: routed experts per layer [experts]
    n_ranks: ranks over which they are spread evenly [ranks]
    experts_per_token: routed experts that one token uses, all different [experts]

    Source: the hypergeometric probability of missing a rank; derived here. One copy per rank instead of one per expert
    makes this the number of copies.
    Valid: at least as many experts as a token uses; no limit on nodes per token (DeepSeek-V3 allows four).

    >>> round(float(distinct_ranks_hit(256, 8, 8)), 4), round(float(distinct_ranks_hit(256, 64, 8)), 4)
    (5.2947, 7.6758)
    """
    xp = namespace(n_experts, n_ranks)
    elsewhere, experts = arrays(xp, n_experts - n_experts / n_ranks, n_experts)
    missed = xp.ones_like(elsewhere)
    for drawn in range(int(experts_per_token)):
        left = xp.maximum(experts - drawn, xp.ones_like(experts))
        missed = missed * xp.maximum(elsewhere - drawn, xp.zeros_like(elsewhere)) / left
    return n_ranks * (1 - missed)


def limited_ranks_hit(n_experts: Array, n_ranks: Array, experts_per_token: int, most_ranks: Array) -> Array:
    """Ranks, or nodes, that hold a token's experts, on average, where routing lets it reach so many at most. [ranks]

        reached = min(n_ranks, most_ranks)
        ranks = distinct_ranks_hit(n_experts * reached / n_ranks, reached, experts_per_token)

    n_experts: routed experts per layer [experts]
    n_ranks: ranks over which they are spread evenly [ranks]
    experts_per_token: routed experts that one token uses, all different [experts]
    most_ranks: most ranks that a token may reach; DeepSeek-V3 allows four nodes [ranks]

    Source: arXiv 2412.19437 §3.2.2 for the limit; that a token chooses at random among the experts of the ranks that it
    may reach is derived here.
    Valid: the limit in terms of ranks, or nodes, as the experts are really spread.

    >>> round(float(limited_ranks_hit(256, 8, 8, 4)), 3), round(float(limited_ranks_hit(256, 8, 8, 8)), 3)
    (3.629, 5.295)
    """
    xp = namespace(n_experts, n_ranks, most_ranks)
    reached = xp.minimum(*arrays(xp, n_ranks, most_ranks))
    return distinct_ranks_hit(n_experts * reached / n_ranks, reached, experts_per_token)


def copies_bytes(tokens: Array, copies_per_token: Array, d_model: Array, value_bytes: Array) -> Array:
    """Bytes that one rank sends to the experts of a layer, or that they send back to it. [B]

        bytes = tokens * copies_per_token * d_model * value_bytes

    tokens: tokens of the rank [tokens]
    copies_per_token: experts per token, or `distinct_ranks_hit` where one copy serves all experts of a rank [1]
    d_model: width of the model [1]
    value_bytes: bytes of one value on this way, scales included [B]

    Source: derived here; with the scales of fp8 it meets github.com/deepseek-ai/DeepEP's table to 2.5 %.
    Valid: counts the copies that stay on the sender's own rank, `all_to_all_bytes` for one way.

    >>> copies_bytes(128, 8, 7168, 2) / 1e6
    14.680064
    """
    return tokens * copies_per_token * d_model * value_bytes


def all_to_all_bytes(
    copies_per_token: Array, d_model: Array, dispatch_bytes_per_element: Array, combine_bytes_per_element: Array
) -> Array:
    """Bytes that one token sends to its experts and gets back from them in one layer. [B]

        bytes = copies_per_token * d_model * (dispatch_bytes_per_element + combine_bytes_per_element)

    copies_per_token: experts per token, or `distinct_ranks_hit` where one copy serves all experts of a rank [1]
    d_model: width of the model [1]
    dispatch_bytes_per_element: bytes of one element on the way out, scales included [B]
    combine_bytes_per_element: bytes of one element on the way back [B]

    Source: derived here; with the scales of fp8 it meets github.com/deepseek-ai/DeepEP's table to 2.5 %.
    Valid: counts the copies that stay on the sender's own rank; they are 1 / ranks of all.

    >>> all_to_all_bytes(8, 7168, 1, 2)
    172032
    """
    return copies_per_token * d_model * (dispatch_bytes_per_element + combine_bytes_per_element)


def experts_at_loss(loss: Array, few_experts: Array, loss_few: Array, many_experts: Array, loss_many: Array) -> Array:
    """Experts with which a model reaches a loss, read off between two measured counts of experts. [experts]

        reached = (loss_few - loss) / (loss_few - loss_many)
        experts = few_experts * (many_experts / few_experts)**reached

    loss: loss to reach, in nats per token [1]
    few_experts: the smaller count of experts that was measured [experts]
    loss_few: loss with it, in nats per token [1]
    many_experts: the larger count that was measured [experts]
    loss_many: loss with it, in nats per token [1]

    Source: a straight line of loss over the logarithm of the expert count; derived here.
    Valid: the loss to reach lies between the two that were measured.

    >>> round(experts_at_loss(2.2420, 32, 2.2499, 64, 2.2108), 1)
    36.8
    """
    reached = (loss_few - loss) / (loss_few - loss_many)
    return few_experts * (many_experts / few_experts) ** reached
