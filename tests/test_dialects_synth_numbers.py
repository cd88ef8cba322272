from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.dialects.synth_numbers import price, ratio, shortest, with_point


@pytest.mark.parametrize(
    ("pips", "text"),
    [(1141700, "114.17"), (3000000, "300"), (1, "0.0001"), (0, "0"), (-250, "-0.025"), (10101, "1.0101")],
)
def test_a_price_is_as_short_as_can_be(pips: int, text: str) -> None:
    assert price(pips) == text


@pytest.mark.parametrize(
    ("micros", "text"), [(40_000_000, "40.0"), (740_474, "0.740474"), (0, "0.0"), (1_500_000, "1.5")]
)
def test_a_decimal_string_has_a_point(micros: int, text: str) -> None:
    assert with_point(micros, 6) == text


@given(st.integers(), st.integers(1, 9))
def test_the_text_is_the_number(units: int, places: int) -> None:
    exact = Fraction(units, 10**places)
    assert Fraction(shortest(units, places)) == exact
    assert Fraction(with_point(units, places)) == exact


@pytest.mark.parametrize(("units", "by", "nearest"), [(1, 2, 1), (1, 3, 0), (2, 3, 1), (-1, 2, 0), (7, 7, 1)])
def test_a_ratio_is_rounded_to_the_nearest_halves_up(units: int, by: int, nearest: int) -> None:
    assert ratio(units, by) == nearest
