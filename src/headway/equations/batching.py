"""Continuous batching in the steady state: step time, batch and latency under a Poisson stream of requests.

Arrivals are Poisson unless a function says otherwise, and served in the order they come. A wait ends when service
begins; a latency ends with it. A queue that is given more than it can serve has no mean wait: the result is infinity.

The sources: F. P. Kelly 1979, "Reversibility and Stochastic Networks"; Y. Zhong et al. 2024, DistServe, arXiv
2401.09670; the rest is derived here.
"""

from __future__ import annotations

from typing import Any

from headway.equations._bulk import per_slack
from headway.equations._namespace import arrays, namespace
from headway.equations.queueing import md1_wait_s

Array = Any  # a number or an array of any array-API library


def continuous_load(
    arrivals_per_s: Array,
    output_tokens: Array,
    sequence_s: Array,
    *,
    prompt_tokens: Array = 0.0,
    prompt_token_s: Array = 0.0,
    context_token_s: Array = 0.0,
    prompt_times_output: Array = 0.0,
    output_squared: Array = 0.0,
) -> Array:
    """Work that requests bring per second, in seconds of step time; a batch without a cap is stable below 1. [1]

        context_steps = prompt_times_output + (output_squared - output_tokens) / 2
        work_s = sequence_s * output_tokens + prompt_token_s * prompt_tokens + context_token_s * context_steps
        load = arrivals_per_s * work_s

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    sequence_s: time that each sequence adds to a step [s]
    prompt_tokens: mean prompt, taken in the first step [tokens]
    prompt_token_s: time that each prompt token adds to its step [s]
    context_token_s: time that each earlier token of each sequence adds to a step [s]
    prompt_times_output: mean of the product of prompt and output [1]
    output_squared: mean of the squared output; needed where context_token_s is not 0 [1]

    Source: derived here; each request is charged what it adds to its own steps.
    Valid: step time linear in the batch, the prompt tokens and the context.

    >>> round(continuous_load(10, 200, 0.0001), 9)
    0.2
    """
    context_steps = prompt_times_output + (output_squared - output_tokens) / 2
    work_s = sequence_s * output_tokens + prompt_token_s * prompt_tokens + context_token_s * context_steps
    return arrivals_per_s * work_s


def continuous_step_s(fixed_s: Array, load: Array, idle_share: Array = 0.0) -> Array:
    """Mean step of a continuous batch without a cap, for any law of prompts and outputs. [s]

        busy = 1 - idle_share
        t = where(load < busy, fixed_s * busy / (busy - load), inf)

    fixed_s: time of a step before anything that depends on the batch [s]
    load: what the requests add, `continuous_load` [1]
    idle_share: share of time without any request [1]

    Source: derived here: busy time is the steps' fixed part plus the load times all time.
    Valid: an unlimited batch; infinite where the load leaves no time for the fixed part.

    >>> round(float(continuous_step_s(0.010, 0.2)), 9)
    0.0125
    """
    xp = namespace(fixed_s, load, idle_share)
    busy = 1 - idle_share
    return per_slack(xp, fixed_s * busy, busy - load)


def continuous_batch(arrivals_per_s: Array, output_tokens: Array, step_s: Array, idle_share: Array = 0.0) -> Array:
    """Mean number of sequences in a step of a continuous batch. [sequences]

        batch = arrivals_per_s * output_tokens * step_s / (1 - idle_share)

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    step_s: mean step, `continuous_step_s` [s]
    idle_share: share of time without any request [1]

    Source: derived here: every token leaves in some step.
    Valid: averaged over steps; averaged over time, long steps weigh more.

    >>> continuous_batch(10, 200, 0.0125)
    25.0
    """
    return arrivals_per_s * output_tokens * step_s / (1 - idle_share)


def sharing_batch(arrivals_per_s: Array, output_tokens: Array, fixed_s: Array, sequence_s: Array) -> Array:
    """Mean number in a decoding batch at a random moment, for any law of outputs. [sequences]

        load = arrivals_per_s * output_tokens * sequence_s
        batch = where(load < 1, arrivals_per_s * output_tokens * (fixed_s + sequence_s) / (1 - load), inf)

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    fixed_s: time of a step before anything that depends on the batch [s]
    sequence_s: time that each sequence adds to a step [s]

    Source: Kelly 1979, symmetric queues: sharing makes the number negative binomial, of mean
    (1 + α/β) ρ / (1 - ρ); Poisson where sequences add nothing.
    Valid: outputs of many tokens (a simulated batch of 20-token outputs is 1.5 % smaller), no cap on the batch,
    prompts apart.

    >>> round(float(sharing_batch(10, 200, 0.010, 0.0001)), 6)
    25.25
    """
    xp = namespace(arrivals_per_s, output_tokens, fixed_s, sequence_s)
    tokens_per_s = arrivals_per_s * output_tokens
    return per_slack(xp, tokens_per_s * (fixed_s + sequence_s), 1 - tokens_per_s * sequence_s)


def sharing_latency_s(arrivals_per_s: Array, output_tokens: Array, fixed_s: Array, sequence_s: Array) -> Array:
    """Mean time from arrival to last token in a decoding batch: the rest of the step under way, then its own. [s]

        load = arrivals_per_s * output_tokens * sequence_s
        batch = arrivals_per_s * output_tokens * (fixed_s + sequence_s) / (1 - load)
        idle = max(1 - load, 0)**(1 + fixed_s / sequence_s)
        rest = (fixed_s * (1 - idle) + sequence_s * batch) / 2
        t = where(load < 1, rest + batch / arrivals_per_s, inf)

    arrivals_per_s: mean arrival rate [requests/s]
    output_tokens: mean output, one step per token [tokens]
    fixed_s: time of a step before anything that depends on the batch [s]
    sequence_s: time that each sequence adds to a step [s]

    Source: Kelly 1979, with Little's law; the half step derived here.
    Valid: outputs of many tokens, no cap on the batch, prompts apart; sequence_s above 0.

    >>> round(float(sharing_latency_s(10, 200, 0.010, 0.0001)), 6)
    2.531262
    """
    xp = namespace(arrivals_per_s, output_tokens, fixed_s, sequence_s)
    load, batch = arrays(
        xp,
        arrivals_per_s * output_tokens * sequence_s,
        sharing_batch(arrivals_per_s, output_tokens, fixed_s, sequence_s),
    )
    idle = xp.where(load < 1, 1 - load, 0.0) ** (1 + fixed_s / sequence_s)
    rest_s = (fixed_s * (1 - idle) + sequence_s * batch) / 2
    return rest_s + batch / arrivals_per_s


def prefill_tensor_latency_s(arrivals_per_s: Array, prefill_s: Array, speedup: Array) -> Array:
    """Mean time to first token when every prefill is spread over more chips and so runs faster. [s]

        u = arrivals_per_s * prefill_s / speedup
        t = where(u < 1, prefill_s / speedup + u * prefill_s / speedup / (2 * (1 - u)), inf)

    arrivals_per_s: mean arrival rate [requests/s]
    prefill_s: prefill time of one prompt before the split [s]
    speedup: how many times faster the split makes it, at most the number of chips [1]

    Source: arXiv 2401.09670 (DistServe): D/K + R D² / (2 K (K - R D)).
    Valid: prompts of equal length, one at a time; a `speedup` of 1 is one chip.

    >>> round(float(prefill_tensor_latency_s(5, 0.2, 1.6)), 6)
    0.229167
    """
    service_s = prefill_s / speedup
    return service_s + md1_wait_s(arrivals_per_s * service_s, service_s)


def prefill_pipeline_latency_s(arrivals_per_s: Array, prefill_s: Array, stages: Array = 2.0) -> Array:
    """Mean time to first token when the layers are cut into equal pipeline stages. [s]

        u = arrivals_per_s * prefill_s / stages
        t = where(u < 1, prefill_s + u * prefill_s / stages / (2 * (1 - u)), inf)

    arrivals_per_s: mean arrival rate [requests/s]
    prefill_s: prefill time of one prompt, through all stages [s]
    stages: equal stages, each with its own chips [1]

    Source: arXiv 2401.09670 (DistServe), D + R D² / (4 (2 - R D)) for two stages; more are derived here.
    Valid: prompts of equal length, so that they queue before the first stage only.

    >>> round(float(prefill_pipeline_latency_s(5, 0.2)), 6)
    0.25
    """
    stage_s = prefill_s / stages
    return prefill_s + md1_wait_s(arrivals_per_s * stage_s, stage_s)
