"""Ratios and excesses, held against each other."""

import pytest
from hypothesis import given
from hypothesis.strategies import floats

from headway.equations.comparison import excess, ratio

POSITIVE = floats(1e-6, 1e15)


@given(quantity=POSITIVE, reference=POSITIVE)
def test_a_ratio_and_its_inverse_make_one_and_an_excess_is_what_it_has_above_one(quantity, reference):
    """The two are one comparison, written in two ways."""
    assert ratio(quantity, reference) * ratio(reference, quantity) == pytest.approx(1)
    assert excess(quantity, reference) + 1 == pytest.approx(ratio(quantity, reference))
    assert excess(quantity, quantity) == 0
