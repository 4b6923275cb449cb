"""What a token costs, what a faster one must cost, and what a fleet spends and earns.

The sources: R. Pope with D. Patel, blackboard lecture of 2026-04-29 (cited by its chapter times); DeepSeek,
open-infra-index, day 6 (2025-03-01), the one public day of a large service.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def system_usd_per_s(chips: Array, chip_usd_per_s: Array) -> Array:
    """Price of all chips that work together. [USD/s]

        price = chips * chip_usd_per_s

    chips: chips of the system [chips]
    chip_usd_per_s: rent of one chip [USD/s]

    Source: definition.

    >>> system_usd_per_s(72, 2 / 3600)
    0.04
    """
    return chips * chip_usd_per_s


def cost_per_token_usd(step_s: Array, price_usd_per_s: Array, batch: Array, pass_tokens: Array = 1.0) -> Array:
    """Cost of one token: the price of the pass, shared by all tokens that it carries. [USD/token]

        cost = step_s * price_usd_per_s / (batch * pass_tokens)

    step_s: time of one pass [s]
    price_usd_per_s: price of the system [USD/s]
    batch: sequences in the pass [sequences]
    pass_tokens: new tokens of each sequence: 1 in decode, a chunk or the prompt in prefill [tokens]

    Source: lecture 00:00:00.

    >>> cost_per_token_usd(0.02, 0.04, 2000) * 1e6
    0.4
    """
    return step_s * price_usd_per_s / (batch * pass_tokens)


def cost_floor_usd(
    t_compute_per_sequence_s: Array, t_kv_per_sequence_s: Array, price_usd_per_s: Array, pass_tokens: Array = 1.0
) -> Array:
    """Cost of one token in an endless batch: arithmetic or KV reads, which no batch amortises. [USD/token]

        cost = max(t_compute_per_sequence_s, t_kv_per_sequence_s) * price_usd_per_s / pass_tokens

    t_compute_per_sequence_s: arithmetic of one sequence in the pass [s]
    t_kv_per_sequence_s: reading the KV cache of one sequence [s]
    price_usd_per_s: price of the system [USD/s]
    pass_tokens: new tokens of each sequence [tokens]

    Source: lecture 00:00:00, the part of the cost that batching leaves.
    Valid: arithmetic and traffic overlap, as in `roofline.pass_time_s`; if they do not, the floor is their sum.

    >>> round(float(cost_floor_usd(1e-6, 3e-6, 0.04)) * 1e6, 2)
    0.12
    """
    xp = namespace(t_compute_per_sequence_s, t_kv_per_sequence_s, price_usd_per_s, pass_tokens)
    return xp.maximum(*arrays(xp, t_compute_per_sequence_s, t_kv_per_sequence_s)) * price_usd_per_s / pass_tokens


def fast_batch_ratio(price_multiple: Array, speed_multiple: Array) -> Array:
    """Batch of the normal mode over that of a fast mode on the same machine. [1]

        ratio = price_multiple * speed_multiple

    price_multiple: price of a fast token over that of a normal one [1]
    speed_multiple: tokens per second of one sequence, fast over normal [1]

    Source: derived here from cost = t * price / batch (secondary: prices and speeds as discussed in the lecture).
    Valid: the modes differ in batch alone and are sold at the same margin.

    >>> fast_batch_ratio(6, 2.5)
    15.0
    """
    return price_multiple * speed_multiple


def fast_kv_over_weights(price_multiple: Array, speed_multiple: Array) -> Array:
    """Time on what grows with the batch over time on weights, in the normal mode, that a fast mode's price implies. [1]

        ratio = (speed_multiple - 1) / (1 - 1 / price_multiple)

    price_multiple: price of a fast token over that of a normal one [1]
    speed_multiple: tokens per second of one sequence, fast over normal [1]

    Source: derived here: t = W + K * B in both modes, with the batch ratio of `fast_batch_ratio`.
    Valid: the modes differ in batch alone and are sold at the same margin; price_multiple above 1.

    >>> round(fast_kv_over_weights(6, 2.5), 2)
    1.8
    """
    return (speed_multiple - 1) / (1 - 1 / price_multiple)


def fast_price_multiple(kv_over_weights: Array, speed_multiple: Array) -> Array:
    """Price multiple at which a smaller batch earns the same per second; infinite where none is small enough. [1]

        used = (speed_multiple - 1) / kv_over_weights
        ratio = where(used < 1, 1 / (1 - used), inf)

    kv_over_weights: time on what grows with the batch over time on weights, in the normal mode [1]
    speed_multiple: tokens per second of one sequence, fast over normal [1]

    Source: derived here, `fast_kv_over_weights` solved for the price.
    Valid: speed by batch alone. Batch 0 is 1 + kv_over_weights times as fast, and no batch is faster.

    >>> round(float(fast_price_multiple(1.8, 2.5)), 6), float(fast_price_multiple(1.8, 2.9))
    (6.0, inf)
    """
    xp = namespace(kv_over_weights, speed_multiple)
    (used,) = arrays(xp, (speed_multiple - 1) / kv_over_weights)
    reachable = used < 1
    return xp.where(reachable, 1 / xp.where(reachable, 1 - used, xp.ones_like(used)), xp.inf)


def slow_cost_floor(kv_over_weights: Array) -> Array:
    """Cost of a token in an endless batch over its cost in the normal mode. [1]

        ratio = kv_over_weights / (1 + kv_over_weights)

    kv_over_weights: time on what grows with the batch over time on weights, in the normal mode [1]

    Source: derived here.
    Valid: t = W + K * B.

    >>> round(slow_cost_floor(1.8), 3)
    0.643
    """
    return kv_over_weights / (1 + kv_over_weights)


def most_slow_saving(kv_over_weights: Array) -> Array:
    """The most that a slow mode can take off the cost of the normal one: the weights' share of its time. [1]

        share = 1 / (1 + kv_over_weights)

    kv_over_weights: time on what grows with the batch over time on weights, in the normal mode [1]

    Source: derived here.
    Valid: t = W + K * B.

    >>> round(most_slow_saving(1.8), 3)
    0.357
    """
    return 1 / (1 + kv_over_weights)


def nodes_needed(tokens: Array, period_s: Array, node_tokens_per_s: Array) -> Array:
    """Nodes at work on average to get through a period's tokens; phases on separate nodes add up. [1]

        nodes = tokens / (period_s * node_tokens_per_s)

    tokens: tokens of the period [tokens]
    period_s: the period [s]
    node_tokens_per_s: throughput of one node [tokens/s]

    Source: DeepSeek day 6: 14,800 output tokens a second from a decode node, 73,700 input tokens into a prefill node.

    >>> round(nodes_needed(168e9, 86400, 14.8e3) + nodes_needed(608e9, 86400, 73.7e3), 1)
    226.9
    """
    return tokens / (period_s * node_tokens_per_s)


def fleet_nodes(prefill_nodes: Array, decode_nodes: Array) -> Array:
    """Nodes of a fleet whose prefill and decode run on nodes of their own. [1]

        nodes = prefill_nodes + decode_nodes

    prefill_nodes: nodes at work on prompts, on average [1]
    decode_nodes: nodes at work on output, on average [1]

    Source: DeepSeek day 6.

    >>> round(fleet_nodes(nodes_needed(608e9, 86400, 73.7e3), nodes_needed(168e9, 86400, 14.8e3)), 1)
    226.9
    """
    return prefill_nodes + decode_nodes


def fleet_cost_usd(nodes: Array, chips_per_node: Array, chip_usd_per_s: Array, period_s: Array) -> Array:
    """Rent of a fleet over a period. [USD]

        cost = nodes * chips_per_node * chip_usd_per_s * period_s

    nodes: nodes rented on average [1]
    chips_per_node: chips of one node [chips]
    chip_usd_per_s: rent of one chip [USD/s]
    period_s: the period [s]

    Source: DeepSeek day 6 (226.75 nodes of 8 chips at 2 USD an hour).

    >>> round(fleet_cost_usd(226.75, 8, 2 / 3600, 86400))
    87072
    """
    return nodes * chips_per_node * chip_usd_per_s * period_s


def revenue_usd(
    *,
    missed_tokens: Array,
    cached_tokens: Array,
    output_tokens: Array,
    missed_usd: Array,
    cached_usd: Array,
    output_usd: Array,
) -> Array:
    """What the tokens of a period bring in at list price. [USD]

        revenue = missed_tokens * missed_usd + cached_tokens * cached_usd + output_tokens * output_usd

    missed_tokens: input tokens not found in a cache [tokens]
    cached_tokens: input tokens found in a cache [tokens]
    output_tokens: output tokens [tokens]
    missed_usd: price of one input token not found in a cache [USD/token]
    cached_usd: price of one input token found in a cache [USD/token]
    output_usd: price of one output token [USD/token]

    Source: DeepSeek day 6, at R1 prices: 0.55, 0.14 and 2.19 USD for a million tokens.

    >>> tokens = {"missed_tokens": 266e9, "cached_tokens": 342e9, "output_tokens": 168e9}
    >>> round(revenue_usd(**tokens, missed_usd=0.55e-6, cached_usd=0.14e-6, output_usd=2.19e-6))
    562100
    """
    return missed_tokens * missed_usd + cached_tokens * cached_usd + output_tokens * output_usd


def profit_over_cost(revenue_usd: Array, cost_usd: Array) -> Array:
    """Profit for each dollar of cost. [1]

        ratio = revenue_usd / cost_usd - 1

    revenue_usd: revenue of a period [USD]
    cost_usd: cost of the same period [USD]

    Source: DeepSeek day 6, "cost profit margin 545 %".

    >>> round(profit_over_cost(562_027, 87_072), 2)
    5.45
    """
    return revenue_usd / cost_usd - 1


def gross_margin(revenue_usd: Array, cost_usd: Array) -> Array:
    """Share of the revenue that is left once the machines are paid. [1]

        share = 1 - cost_usd / revenue_usd

    revenue_usd: revenue of a period [USD]
    cost_usd: cost of the same period [USD]

    Source: definition; 545 % of cost is 84.5 % of revenue.

    >>> round(gross_margin(562_027, 87_072), 3)
    0.845
    """
    return 1 - cost_usd / revenue_usd
