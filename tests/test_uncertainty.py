"""How sure a number is: errors have named causes, add up through equations, and stay unmeasured where nobody measured.

The oracle is simulation: draw every cause, recompute everything, and compare the spread with what was stated.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import dictionaries, floats, lists, sampled_from, tuples

from headway.provenance import Origin, Quantity, Worksheet
from headway.uncertainty import EXACT, LogError, inherit, unmeasured

CHIP_A, CHIP_B = ("chip", "h100-sxm"), ("chip", "gb200")
FAMILY, REGIME = ("family", "llama"), ("regime", "decode")
CAUSES = [CHIP_A, CHIP_B, FAMILY, REGIME, ("noise", "1")]
SIZES = floats(-0.5, 0.5, allow_nan=False)
ERRORS = dictionaries(sampled_from(CAUSES), SIZES, max_size=5).map(LogError)
USER = Origin("user", "the test")
DRAWS = 200_000


def same(error, other):
    causes = {*error.loadings, *other.loadings}
    return all(error.loadings.get(c, 0) == pytest.approx(other.loadings.get(c, 0), abs=1e-12) for c in causes)


@given(ERRORS, ERRORS, ERRORS)
def test_products_are_taken_in_any_order(a, b, c):
    """The error of a product depends neither on the order of its factors nor on how they are grouped."""
    assert same(a + b, b + a)
    assert same((a + b) + c, a + (b + c))
    assert same(a + EXACT, a)


@given(ERRORS, ERRORS, floats(-3, 3, allow_nan=False), floats(-3, 3, allow_nan=False))
def test_powers_of_products_are_products_of_powers(a, b, p, q):
    """(ab)^p = a^p b^p and a^p a^q = a^(p+q), of errors as of numbers."""
    assert same((a + b).times(p), a.times(p) + b.times(p))
    assert same(a.times(p) + a.times(q), a.times(p + q))


@given(ERRORS, floats(-3, 3, allow_nan=False))
def test_a_power_multiplies_the_spread(error, power):
    """The logarithm of x^p spreads |p| times as far as that of x."""
    assert error.times(power).sigma == pytest.approx(abs(power) * error.sigma, abs=1e-12)


@given(ERRORS)
def test_a_quantity_over_itself_is_certain(error):
    """x / x is one whatever x is, and so is the ratio of two quantities that err together."""
    assert (error - error).sigma == 0


def test_shared_causes_cancel_in_a_ratio_on_one_chip_and_not_across_chips():
    """Two predictions on one chip are compared more surely than either is known; on two chips, less surely."""
    on_a = LogError({CHIP_A: 0.3, ("noise", "1"): 0.1})
    also_on_a = LogError({CHIP_A: 0.3, ("noise", "2"): 0.1})
    on_b = LogError({CHIP_B: 0.3, ("noise", "3"): 0.1})
    assert (on_a - also_on_a).sigma == pytest.approx(math.hypot(0.1, 0.1))
    assert (on_a - on_b).sigma == pytest.approx(math.sqrt(2 * 0.3**2 + 2 * 0.1**2))
    assert (on_a - also_on_a).sigma < on_a.sigma < (on_a - on_b).sigma
    # in a product it is the other way round: what errs together adds up
    assert (on_a + also_on_a).sigma == pytest.approx(math.sqrt(0.6**2 + 2 * 0.1**2))
    assert (on_a + also_on_a).sigma > (on_a + on_b).sigma


@given(ERRORS, ERRORS, floats(0.1, 3))
def test_unmeasured_is_absorbing_and_keeps_its_reason(measured, other, power):
    """What was made from an unmeasured quantity is unmeasured too, and says why; there is no interval and no sigma."""
    unknown = unmeasured("nobody measured a TPU yet")
    for derived in (measured + unknown, unknown + other, measured - unknown, unknown.times(-power) + other):
        assert derived.unmeasured == "nobody measured a TPU yet"
        assert derived.interval(1.0) is None
        with pytest.raises(ValueError, match="nobody measured a TPU yet"):
            _ = derived.sigma


def test_what_does_not_depend_on_the_unmeasured_is_measured():
    """A zeroth power is one, however little is known of its base."""
    assert (unmeasured("unknown").times(0.0) + LogError({CHIP_A: 0.2})).sigma == 0.2


@given(ERRORS, floats(1e-9, 1e9), floats(0.5, 0.99), floats(0.001, 0.009))
def test_intervals_nest_around_the_value(error, value, level, more):
    """The value lies inside its interval, in the middle on a logarithmic scale; a surer interval is no narrower."""
    low, high = error.interval(value, level)
    assert low <= value * (1 + 1e-12)
    assert value <= high * (1 + 1e-12)
    assert math.sqrt(low) * math.sqrt(high) == pytest.approx(value, rel=1e-9)
    wider = error.interval(value, level + more)
    assert wider[0] <= low
    assert high <= wider[1]


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_an_interval_holds_the_truth_as_often_as_it_says(level):
    """Truths drawn from the stated causes fall inside the stated interval with the stated frequency."""
    rng = np.random.default_rng(7)
    error = LogError({CHIP_A: 0.2, REGIME: -0.3, ("noise", "1"): 0.15})
    truth = 5.0 * np.exp(sum(size * rng.standard_normal(DRAWS) for size in error.loadings.values()))
    low, high = error.interval(5.0, level)
    inside = np.mean((low < truth) & (truth < high))
    assert inside == pytest.approx(level, abs=5 * math.sqrt(level * (1 - level) / DRAWS))


def test_the_ninety_percent_interval_of_ten_percent():
    """An error of 10 % (sigma 0.1 in the logarithm) gives x/1.1788 to 1.1788 x at 90 %: exp(1.6449 * 0.1)."""
    assert LogError({CHIP_A: 0.1}).interval(100.0) == pytest.approx((100 / 1.1788, 117.88), rel=5e-5)


def given_quantity(name, value, unit="1"):
    return Quantity(name, value, unit, USER)


def product(a, b):
    """Product. [1]."""
    return a * b


def ratio(a, b):
    """Ratio. [1]."""
    return a / b


def larger(a, b):
    """The larger. [1]."""
    return np.maximum(a, b)


def smooth(a, b):
    """A sum and a root, so that elasticities are neither 0 nor 1. [1]."""
    return np.sqrt(a**2 + 3 * a * b) + b


EQUATIONS = (product, ratio, smooth)
STEPS = lists(tuples(sampled_from(EQUATIONS), sampled_from(range(9)), sampled_from(range(9))), min_size=1, max_size=4)
TINY = floats(-1, 1).map(lambda size: 1e-7 * size)
SMALL = dictionaries(sampled_from(CAUSES), TINY, min_size=1, max_size=3).map(LogError)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, errors=lists(SMALL, min_size=3, max_size=3), own=SMALL)
def test_errors_pass_through_a_chain_of_equations_as_simulation_says(steps, errors, own):
    """Along any chain of equations each simulated draw moves as the inherited loadings say, shared causes included.

    To first order: errors are so small (1e-7) that their squares, even after four squarings, are below the tolerance.
    """
    sheet = Worksheet()
    names = ["x", "y", "z"]
    for name, value, error in zip(names, (2.0, 3.0, 5.0), errors, strict=True):
        sheet.give(given_quantity(name, value), error)
    for i, (function, left, right) in enumerate(steps):
        arguments = f"a={names[left % len(names)]} b={names[right % len(names)]}"
        sheet.compute(f"step{i}", function, "1", arguments, own if i == 0 else EXACT)
        names.append(f"step{i}")

    z = {cause: np.random.default_rng(i).standard_normal(500) for i, cause in enumerate(CAUSES)}
    error = sheet.error(names[-1])
    predicted = sum((size * z[cause] for cause, size in error.loadings.items()), np.zeros(500))
    moved = np.log(simulated(sheet, z)[names[-1]] / sheet.value(names[-1]))
    np.testing.assert_allclose(moved, predicted, rtol=0, atol=2e-9)
    assert error.sigma == pytest.approx(math.sqrt(sum(size**2 for size in error.loadings.values())))


def simulated(sheet, z):
    """Every quantity of a worksheet with all causes drawn, by computing the sheet again."""
    drawn = {}
    for cell in sheet:
        factor = np.exp(sum(size * z[cause] for cause, size in cell.own_error.loadings.items()))
        if cell.equation is None:
            value = cell.quantity.value
        else:
            value = cell.equation(**{parameter: drawn[source] for parameter, source in cell.arguments.items()})
        drawn[cell.quantity.name] = value * factor
    return drawn


def test_errors_of_ten_percent_spread_as_simulated():
    """At errors as large as real ones the first order is still within 2 % of the simulated spread."""
    sheet = Worksheet()
    sheet.give(given_quantity("x", 2.0), LogError({CHIP_A: 0.1, FAMILY: 0.05}))
    sheet.give(given_quantity("y", 3.0), LogError({CHIP_A: 0.08, REGIME: 0.1}))
    sheet.compute("s", smooth, "1", "a=x b=y", LogError({("noise", "1"): 0.03}))
    sheet.compute("r", ratio, "1", "a=s b=y")
    rng = np.random.default_rng(5)
    z = {cause: rng.standard_normal(DRAWS) for cause in CAUSES}
    spread = np.std(np.log(simulated(sheet, z)["r"]))
    assert sheet.error("r").sigma == pytest.approx(spread, rel=0.02)


def test_a_quantity_used_twice_errs_twice_the_same_way():
    """x * x spreads twice as far as x, not sqrt(2) times: it is one quantity, with one error."""
    sheet = Worksheet()
    sheet.give(given_quantity("x", 3.0), LogError({CHIP_A: 0.1}))
    sheet.compute("square", product, "1", "a=x b=x")
    sheet.compute("one", ratio, "1", "a=square b=square")
    assert sheet.error("square").sigma == pytest.approx(0.2)
    assert sheet.error("one").sigma == pytest.approx(0, abs=1e-9)


def test_two_results_of_one_sheet_keep_their_correlation():
    """Cost and time of one pass err together, so their ratio (the price of the machine) is as sure as the price."""
    sheet = Worksheet()
    sheet.give(given_quantity("time", 0.02), LogError({REGIME: 0.25}))
    sheet.give(given_quantity("price", 3.0), LogError({("price", "rent"): 0.05}))
    sheet.compute("cost", product, "1", "a=time b=price")
    sheet.compute("back", ratio, "1", "a=cost b=time")
    assert sheet.error("cost").sigma == pytest.approx(math.hypot(0.25, 0.05))
    assert sheet.error("back").sigma == pytest.approx(0.05)


@pytest.mark.parametrize(("a", "b", "winner"), [(2.0, 1.0, "a"), (1.0, 2.0, "b")])
def test_a_maximum_inherits_the_branch_that_binds(a, b, winner):
    """Where one of two times binds, the other's error does not matter; even one that nobody measured."""
    errors = {"a": LogError({CHIP_A: 0.1}), "b": LogError({CHIP_B: 0.2})}
    inherited = inherit(larger, {"a": a, "b": b}, errors)
    assert inherited.sigma == pytest.approx({"a": 0.1, "b": 0.2}[winner])
    loser = "b" if winner == "a" else "a"
    assert inherit(larger, {"a": a, "b": b}, errors | {loser: unmeasured("unknown")}).sigma > 0
    assert inherit(larger, {"a": a, "b": b}, errors | {winner: unmeasured("unknown")}).unmeasured == "unknown"


def test_a_maximum_at_its_corner_shares_the_error():
    """Where both branches are equal, the central difference gives each half: between the two one-sided answers."""
    errors = {"a": LogError({CHIP_A: 0.2}), "b": LogError({CHIP_A: 0.2})}
    assert inherit(larger, {"a": 1.0, "b": 1.0}, errors).sigma == pytest.approx(0.2, rel=1e-4)


def test_arrays_inherit_element_by_element():
    """Over a range of batches that crosses from one branch to the other, every element has its own branch's error."""
    a, b = np.array([1.0, 2.0, 4.0]), 3.0
    inherited = inherit(larger, {"a": a, "b": b}, {"a": LogError({CHIP_A: 0.1}), "b": LogError({CHIP_B: 0.2})})
    assert inherited.sigma == pytest.approx([0.2, 0.2, 0.1])
    low, high = inherited.interval(np.maximum(a, b))
    assert low.shape == high.shape == (3,)


def test_zero_and_infinite_values_pass_no_error_on():
    """A time of zero (no KV cache, say) or a limit that is not there stays what it is, without a warning."""
    errors = {"a": LogError({CHIP_A: 0.1}), "b": LogError({CHIP_B: 0.2})}
    zero, infinite = np.float64(0), np.float64(np.inf)
    assert inherit(product, {"a": zero, "b": np.float64(2)}, errors).sigma == 0
    assert inherit(ratio, {"a": np.float64(2), "b": zero}, errors).sigma == 0
    assert inherit(product, {"a": infinite, "b": np.float64(2)}, errors).sigma == 0

    def above(a, b):
        return np.maximum(a - b, 0.0)

    assert inherit(above, {"a": np.float64(1), "b": np.float64(1)}, errors).sigma == 0


def test_a_gap_has_no_interval_and_says_which_figure_is_missing():
    """The error of a quantity that could not be computed is unmeasured, for the reason that it could not."""
    sheet = Worksheet(
        [Quantity("power_w", None, "W", USER, "no source gave power_w of gb200"), given_quantity("h", 2.0)]
    )
    sheet.compute("energy", product, "1", "a=power_w b=h")
    assert sheet.error("energy").interval(sheet.value("energy")) is None
    assert sheet.error("energy").unmeasured == "no source gave power_w of gb200"


def test_a_quantity_written_anew_has_a_new_error():
    """A quantity that is taken off the sheet and computed instead forgets the error it had before."""
    sheet = Worksheet([given_quantity("x", 2.0)])
    sheet.give(given_quantity("y", 3.0), LogError({CHIP_A: 0.1}))
    assert sheet.error("y").sigma == pytest.approx(0.1)
    sheet.drop("y")
    sheet.compute("y", product, "1", "a=x b=x", LogError({CHIP_B: 0.2}))
    assert sheet.error("y").sigma == pytest.approx(0.2)
