"""What guessing ahead yields: checked by accepting and refusing drafts, and against the roofline's two ends."""

import itertools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from headway.equations import moe, roofline, speculation

jax.config.update("jax_enable_x64", True)
ACCEPTANCE, DRAFTS = floats(0, 1), integers(0, 40)


# Laws


@given(acceptance=ACCEPTANCE, drafts=DRAFTS)
def test_a_pass_yields_at_least_one_token_and_at_most_all(acceptance, drafts):
    """Between the model's own token and every draft beside it, and never less for one draft more."""
    tokens = float(speculation.tokens_per_pass(acceptance, drafts))
    assert 1 <= tokens <= (drafts + 1) * (1 + 1e-12)
    assert speculation.tokens_per_pass(acceptance, drafts + 1) >= tokens * (1 - 1e-12)


@given(acceptance=ACCEPTANCE, drafts=DRAFTS)
def test_tokens_are_the_sum_of_the_positions_that_survive(acceptance, drafts):
    """The geometric series, summed; the closed form loses no more than eleven digits anywhere up to 1."""
    survivals = [speculation.position_survival(acceptance, position) for position in range(drafts + 1)]
    assert float(speculation.tokens_per_pass(acceptance, drafts)) == pytest.approx(math.fsum(survivals), rel=1e-10)


@pytest.mark.parametrize("refusal", [0, 2**-52, 1e-12, 1e-8, 9.9e-6, 1.1e-5, 1e-3])
def test_nothing_is_lost_near_certain_acceptance(refusal):
    """Against exact rational arithmetic, on both sides of the switch to the series."""
    acceptance = 1 - refusal
    exact = float(sum(Fraction(acceptance) ** position for position in range(9)))
    assert float(speculation.tokens_per_pass(acceptance, 8)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("acceptance", [0.0, 0.5, 1.0])
def test_the_gain_of_a_better_drafter_is_finite_everywhere(acceptance):
    """The derivative is the derivative of the sum, at the ends too: no NaN at 0 or 1."""
    slope = jax.grad(lambda a: speculation.tokens_per_pass(a, jnp.asarray(4.0)))(acceptance)
    expected = sum(position * acceptance ** (position - 1) for position in range(1, 5))
    assert float(slope) == pytest.approx(expected)


@given(acceptance=floats(0.01, 0.99), drafts=integers(1, 20), batch=integers(1, 10**6))
def test_a_dense_model_gains_between_the_two_ends_of_the_roofline(acceptance, drafts, batch):
    """Free drafts: all tokens while weights decide, tokens over positions once arithmetic does, and between else."""

    def pass_s(pass_tokens):
        flop = roofline.matmul_flop(batch, pass_tokens, 70e9)
        return float(roofline.pass_time_s(roofline.compute_time_s(flop, 1e15), 70e9 / 4e12, 0.0))

    tokens = float(speculation.tokens_per_pass(acceptance, drafts))
    gain = speculation.speculative_speedup(tokens, pass_s(1), pass_s(drafts + 1), drafts, 0.0)
    low, high = speculation.speedup_compute_bound(tokens, drafts), tokens
    assert low * (1 - 1e-9) <= gain <= high * (1 + 1e-9)
    if batch * (drafts + 1) < 120:  # balance batch 125
        assert gain == pytest.approx(speculation.speedup_free_verification(tokens, drafts, 0.0))
    if batch > 130:
        assert gain == pytest.approx(low)


@given(tokens=floats(1, 9), drafts=integers(1, 8), cost=floats(0, 2), step=floats(1e-3, 1))
def test_free_verification_is_the_general_form_with_equal_passes(tokens, drafts, cost, step):
    """Where verifying takes as long as a plain pass, the two speed-ups are one."""
    general = speculation.speculative_speedup(tokens, step, step, drafts, cost * step)
    assert general == pytest.approx(speculation.speedup_free_verification(tokens, drafts, cost))


# Independent computation


@pytest.mark.parametrize(("acceptance", "drafts"), [(0.3, 1), (0.8, 4), (0.95, 6)])
def test_enumerating_every_pattern_of_acceptances_gives_the_mean(acceptance, drafts):
    """Each pattern yields the drafts before the first refusal, and one."""
    mean = 0.0
    for pattern in itertools.product((True, False), repeat=drafts):
        probability = math.prod(acceptance if accepted else 1 - acceptance for accepted in pattern)
        mean += probability * (1 + sum(1 for _ in itertools.takewhile(bool, pattern)))
    assert float(speculation.tokens_per_pass(acceptance, drafts)) == pytest.approx(mean)


def test_rejection_sampling_accepts_the_overlap_and_keeps_the_models_distribution():
    """Drafts from q, judged by p: sum(min(p, q)) are accepted, and what comes out follows p (arXiv 2211.17192 §2.3)."""
    rng, trials, drafts = np.random.default_rng(3), 200_000, 3
    p, q = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.25, 0.25, 0.25, 0.25])
    guesses = rng.choice(4, (trials, drafts), p=q)
    accepted = rng.random((trials, drafts)) < np.minimum(1, p / q)[guesses]
    kept = np.cumprod(accepted, axis=1).sum(axis=1) + 1
    overlap = np.minimum(p, q).sum()
    tokens = float(speculation.tokens_per_pass(overlap, drafts))
    assert kept.mean() == pytest.approx(tokens, abs=4 * kept.std() / math.sqrt(trials))  # four standard errors
    residual = np.maximum(p - q, 0) / np.maximum(p - q, 0).sum()
    first = np.where(accepted[:, 0], guesses[:, 0], rng.choice(4, trials, p=residual))
    np.testing.assert_allclose(np.bincount(first) / trials, p, atol=4 * 0.5 / math.sqrt(trials))


# Published figures


def test_tokens_per_pass_as_published():
    """F01 to F03: 1.85 and 1.9 for DeepSeek-V3's one extra token (1.8 measured), 3.36 for 0.8 and four drafts."""
    assert float(speculation.tokens_per_pass(0.85, 1)) == pytest.approx(1.85)
    assert float(speculation.tokens_per_pass(0.90, 1)) == pytest.approx(1.9)
    assert float(speculation.tokens_per_pass(0.8, 4)) == pytest.approx(3.3616)


def test_speed_ups_as_published():
    """F04 to F06: 2.80 with drafts at a twentieth; position 7 survives in 8 %; 0.925 once arithmetic binds."""
    assert speculation.speedup_free_verification(3.3616, 4, 0.05) == pytest.approx(2.8013, abs=5e-5)
    assert speculation.position_survival(0.7, 7) == pytest.approx(0.0823543)
    assert speculation.speedup_compute_bound(1.85, 1) == pytest.approx(0.925)


@pytest.mark.parametrize(("batch", "stated"), [(1, 1.21), (4, 1.0741), (16, 1.18), (64, 1.64), (256, 1.8495)])
def test_on_deepseek_v3_the_second_token_fetches_its_own_experts(batch, stated):
    """F07, F08 and the batches between: little gain at small batch, all of it once every expert is read anyway."""

    def fetched(tokens):
        return moe.fetched_params(17.1e9, 653.9e9, moe.hit_probability(tokens, 256, 8))

    gain = speculation.speedup_weight_bound(1.85, fetched(batch), fetched(2 * batch))
    assert gain == pytest.approx(stated, abs=5e-3)
