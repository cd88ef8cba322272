from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.playhead import MAX, Playhead, Speed, parse_speed

FACTORS = st.fractions(min_value=Fraction(1, 1000), max_value=1000)
MOMENTS = st.integers(min_value=0, max_value=10**15)


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("1", 1),
        ("7.3", Fraction(73, 10)),
        ("1/2", Fraction(1, 2)),
        ("10x", 10),
        (0.1, Fraction(1, 10)),
        (3, 3),
    ],
)
def test_a_speed_is_exactly_what_its_spelling_says(text: str | float, factor: Fraction) -> None:
    assert parse_speed(text) == Speed(Fraction(factor))


def test_max_is_no_factor() -> None:
    assert parse_speed("max") is MAX
    assert str(MAX) == "max"


@pytest.mark.parametrize("text", ["fast", "0", "-1", "1/0", "", "nan", "inf"])
def test_a_speed_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="speed"):
        parse_speed(text)


@given(FACTORS, MOMENTS, MOMENTS)
def test_a_deadline_is_the_first_moment_at_which_its_position_is_reached(
    factor: Fraction, now_ns: int, position_ns: int
) -> None:
    playhead = Playhead(factor, now_ns=now_ns)
    deadline = playhead.deadline(position_ns)
    assert deadline is not None
    assert playhead.position(deadline) >= position_ns > playhead.position(deadline - 1)


@given(FACTORS, st.lists(st.integers(min_value=0, max_value=10**12), max_size=20))
def test_how_often_we_look_does_not_change_what_we_see(factor: Fraction, steps: list[int]) -> None:
    looked = Playhead(factor, now_ns=0)
    now_ns = 0
    for step in steps:
        now_ns += step
        looked.position(now_ns)
    assert looked.position(now_ns) == Playhead(factor, now_ns=0).position(now_ns)


CHANGES = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=10**10),
        st.sampled_from(["factor", "pause", "resume", "seek"]),
        FACTORS,
        MOMENTS,
    ),
    max_size=30,
)


@given(CHANGES)
def test_any_sequence_of_speed_pause_and_seek_is_continuous_between_seeks(
    changes: list[tuple[int, str, Fraction, int]],
) -> None:
    playhead = Playhead(Fraction(1), now_ns=0)
    now_ns = 0
    for wait, change, factor, target in changes:
        before = playhead.position(now_ns)
        now_ns += wait
        assert playhead.position(now_ns) >= before
        here = playhead.position(now_ns)
        match change:
            case "factor":
                playhead.set_factor(factor, now_ns)
            case "pause":
                playhead.pause(now_ns)
            case "resume":
                playhead.resume(now_ns)
            case _:
                playhead.seek(target, now_ns)
                here = target
        assert playhead.position(now_ns) == here


def test_a_paused_playhead_stands_and_reaches_nothing_ahead() -> None:
    playhead = Playhead(Fraction(2), now_ns=100)
    playhead.pause(200)
    assert playhead.paused
    assert playhead.position(10**9) == 200
    assert playhead.deadline(201) is None
    assert playhead.deadline(200) == 200
    playhead.resume(1000)
    assert playhead.deadline(202) == 1001
    assert playhead.factor == 2


def test_what_was_due_before_a_stretch_that_is_left_out_was_due_when_it_was() -> None:
    playhead = Playhead(Fraction(2), now_ns=0)
    playhead.skip(100, 1000)
    playhead.skip(1010, 5000)
    assert [playhead.deadline(position) for position in (40, 100, 1000, 1010, 5000, 5010)] == [
        20,
        50,
        50,
        55,
        55,
        60,
    ]
    assert [playhead.position(now) for now in (55, 60)] == [5000, 5010]


def test_nothing_was_due_within_a_stretch_that_is_left_out() -> None:
    playhead = Playhead(Fraction(1), now_ns=0)
    playhead.skip(100, 1000)
    assert playhead.deadline(500) == 100


def test_a_jump_back_leaves_no_stretch_out() -> None:
    playhead = Playhead(Fraction(1), now_ns=0)
    playhead.skip(10, 50)
    playhead.skip(100, 0)
    assert [playhead.deadline(position) for position in (0, 5, 60)] == [60, 65, 120]
