from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.dialects.prng import Prng

SEEDS = st.integers()


def test_the_numbers_are_those_of_splitmix64() -> None:
    """The first outputs for seed 1234567, as Java's reference and others publish them."""
    chance = Prng(1234567)
    assert [chance.bits() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(SEEDS, st.integers(1, 1 << 40))
def test_below_stays_below(seed: int, limit: int) -> None:
    assert 0 <= Prng(seed).below(limit) < limit


@given(SEEDS, st.integers(-1000, 1000), st.integers(0, 1000))
def test_between_stays_between(seed: int, low: int, width: int) -> None:
    assert low <= Prng(seed).between(low, low + width) <= low + width


def test_both_ends_come_up() -> None:
    chance = Prng(1)
    assert {chance.between(3, 5) for _ in range(100)} == {3, 4, 5}
    assert {chance.bell(2) for _ in range(200)} == {-2, -1, 0, 1, 2}
    assert {chance.choice("ab") for _ in range(100)} == {"a", "b"}
    assert {chance.one_in(3) for _ in range(100)} == {True, False}


def test_a_bell_favours_the_middle_and_neither_side() -> None:
    chance = Prng(2)
    throws = [chance.bell(10) for _ in range(20_000)]
    assert abs(sum(throws)) < 2_000
    assert sum(1 for each in throws if abs(each) <= 3) > sum(1 for each in throws if abs(each) >= 7) * 3


@given(SEEDS, st.integers(0, 70))
def test_hexadecimal_has_as_many_digits_as_asked(seed: int, digits: int) -> None:
    text = Prng(seed).hexadecimal(digits)
    assert len(text) == digits
    assert set(text) <= set("0123456789abcdef")


def test_taking_from_a_fork_does_not_move_its_parent() -> None:
    one, other = Prng(7), Prng(7)
    one.fork("books").bits()
    assert one.bits() == other.bits()


def test_forks_differ_by_label_and_by_parent() -> None:
    streams = [Prng(7).fork("a"), Prng(7).fork("b"), Prng(8).fork("a"), Prng(7).fork("ab"), Prng(7)]
    assert len({stream.bits() for stream in streams}) == len(streams)
