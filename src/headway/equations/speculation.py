"""Guessing tokens ahead: a cheap drafter proposes, one pass of the model verifies all of them at once.

Each pass yields the drafts accepted before the first refusal, and one token of the model's own. A draft is accepted
with probability sum(min(p, q)) over the vocabulary, p the model's and q the drafter's distribution, and the output
is distributed exactly as the model's own.

The sources: Y. Leviathan, M. Kalman, Y. Matias 2022, arXiv 2211.17192; C. Chen et al. 2023, arXiv 2302.01318;
DeepSeek-V3, arXiv 2412.19437, for the acceptance of its multi-token prediction.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


def tokens_per_pass(acceptance: Array, draft_tokens: Array) -> Array:
    """Expected tokens of one sequence from one verifying pass. [tokens]

        tokens = where(acceptance < 1, (1 - acceptance**(draft_tokens + 1)) / (1 - acceptance), draft_tokens + 1)

    acceptance: probability that a draft is accepted, given that all before it were [1]
    draft_tokens: drafts in a pass [tokens]

    Source: arXiv 2211.17192, eq. 1.
    Valid: every draft is accepted with the same probability, independently.

    >>> round(float(tokens_per_pass(0.8, 4)), 4), float(tokens_per_pass(1.0, 4))
    (3.3616, 5.0)
    """
    xp = namespace(acceptance, draft_tokens)
    acceptance, drafts = arrays(xp, acceptance, draft_tokens)
    refusal, terms = 1 - acceptance, drafts + 1
    certain = refusal < 1e-5  # here the quotient loses digits; the series' next term is below 1e-11 for 40 drafts
    series = terms * (1 - (terms - 1) * refusal / 2 * (1 - (terms - 2) * refusal / 3))
    return xp.where(certain, series, (1 - acceptance**terms) / xp.where(certain, 1.0, refusal))


def position_survival(acceptance: Array, position: Array) -> Array:
    """Probability that the draft at a position is accepted, and so all before it. [1]

        probability = acceptance**position

    acceptance: probability that a draft is accepted, given that all before it were [1]
    position: place of the draft, the first is 1 [1]

    Source: arXiv 2211.17192 §3.1.
    Valid: every draft is accepted with the same probability, independently.

    >>> round(position_survival(0.7, 7), 3)
    0.082
    """
    return acceptance**position


def speedup_free_verification(tokens_per_pass: Array, draft_tokens: Array, draft_cost: Array) -> Array:
    """Speed-up while verifying several tokens takes no longer than making one. [1]

        ratio = tokens_per_pass / (draft_tokens * draft_cost + 1)

    tokens_per_pass: expected tokens from one pass [tokens]
    draft_tokens: drafts in a pass [tokens]
    draft_cost: time of one draft over time of one pass [1]

    Source: arXiv 2211.17192, theorem 3.8.
    Valid: dense weights decide the time of a pass.

    >>> round(speedup_free_verification(3.3616, 4, 0.05), 4)
    2.8013
    """
    return tokens_per_pass / (draft_tokens * draft_cost + 1)


def speculative_speedup(
    tokens_per_pass: Array, step_s: Array, verify_s: Array, draft_tokens: Array, draft_s: Array
) -> Array:
    """Speed-up from the times of the passes themselves. [1]

        ratio = tokens_per_pass * step_s / (verify_s + draft_tokens * draft_s)

    tokens_per_pass: expected tokens from one pass [tokens]
    step_s: time of a pass without drafts [s]
    verify_s: time of a pass with draft_tokens + 1 new tokens of each sequence, `roofline.pass_time_s` [s]
    draft_tokens: drafts in a pass [tokens]
    draft_s: time to make one draft for the whole batch [s]

    Source: arXiv 2211.17192, theorem 3.8, with the cost of verification put in (derived here).

    >>> round(speculative_speedup(1.85, 0.010, 0.012, 1, 0.001), 3)
    1.423
    """
    return tokens_per_pass * step_s / (verify_s + draft_tokens * draft_s)


def speedup_weight_bound(tokens_per_pass: Array, fetched_params: Array, verify_fetched_params: Array) -> Array:
    """Speed-up when reading weights is all that takes time; with experts, more tokens fetch more of them. [1]

        ratio = tokens_per_pass * fetched_params / verify_fetched_params

    tokens_per_pass: expected tokens from one pass [tokens]
    fetched_params: parameters that a pass reads without drafts [params]
    verify_fetched_params: parameters that a pass reads with draft_tokens + 1 tokens of each sequence [params]

    Source: derived here.
    Valid: drafts cost nothing, experts are spread perfectly.

    >>> speedup_weight_bound(1.85, 100e9, 100e9)
    1.85
    """
    return tokens_per_pass * fetched_params / verify_fetched_params


def speedup_compute_bound(tokens_per_pass: Array, draft_tokens: Array) -> Array:
    """Speed-up when arithmetic decides: below 1 unless every draft is accepted. [1]

        ratio = tokens_per_pass / (draft_tokens + 1)

    tokens_per_pass: expected tokens from one pass [tokens]
    draft_tokens: drafts in a pass [tokens]

    Source: derived here: the pass does draft_tokens + 1 times the arithmetic.
    Valid: drafts cost nothing.

    >>> speedup_compute_bound(1.85, 1)
    0.925
    """
    return tokens_per_pass / (draft_tokens + 1)


def drafting_s(draft_tokens: Array, draft_pass_s: Array) -> Array:
    """Time to draft tokens one after another, before a pass verifies them. [s]

        t = draft_tokens * draft_pass_s

    draft_tokens: tokens drafted [tokens]
    draft_pass_s: a decoding pass of the drafter, of the same batch [s]

    Source: Y. Leviathan et al. 2023, arXiv 2211.17192 (secondary).

    >>> drafting_s(4, 0.001)
    0.004
    """
    return draft_tokens * draft_pass_s


def kept_flop(flop: Array, made_tokens: Array, pass_tokens: Array) -> Array:
    """Of the arithmetic of a pass that verifies, that of the tokens which are kept. [FLOP]

        kept = flop * made_tokens / pass_tokens

    flop: arithmetic of all positions of the pass [FLOP]
    made_tokens: tokens that the pass makes of a sequence, on average [tokens]
    pass_tokens: positions that it computes [tokens]

    Source: derived here; a rejected draft is no useful work.

    >>> kept_flop(4e12, 1.85, 2)
    3700000000000.0
    """
    return flop * made_tokens / pass_tokens
