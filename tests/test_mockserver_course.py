"""Cursors, and the legs of a playback that they lie on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.course import CLOCKS_KEPT, Course, cursor_of, leg_of, seq_of
from tickdeck.mockserver.playhead import Playhead
from tickdeck.mockserver.tape import Tape, Tapes

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

PLACES = st.tuples(st.integers(0, 1 << 20), st.integers(0, (1 << 64) - 1))


@given(PLACES, PLACES)
def test_cursors_compare_as_the_places_do(one: tuple[int, int], two: tuple[int, int]) -> None:
    assert (cursor_of(*one) < cursor_of(*two)) == (one < two)
    assert (leg_of(cursor_of(*one)), seq_of(cursor_of(*one))) == one


def test_on_the_first_leg_a_cursor_is_a_plain_sequence_number() -> None:
    assert cursor_of(0, 17) == 17
    assert (leg_of(17), seq_of(17)) == (0, 17)


@pytest.fixture
def tape(make: Make, story: Any) -> Tape:
    """Frames 1 to 5 at 0, 10, 20, 20 and 30."""
    story.opens(0, 0)
    for at in (0, 10, 20, 20, 30):
        story.trades(0, at, "A")
    return Tapes(make(story.records)).of("stocks")


@pytest.mark.parametrize(("begin_ns", "seq"), [(0, 0), (1, 2), (10, 2), (20, 3), (21, 5), (30, 5), (31, 6)])
def test_a_leg_begins_at_the_first_frame_that_is_not_before_it(tape: Tape, begin_ns: int, seq: int) -> None:
    assert Course(begin_ns).begin(0, tape) == seq


def test_a_leg_under_way_ends_with_the_tape_and_one_that_was_left_where_it_was_left(tape: Tape) -> None:
    course = Course()
    assert (course.leg, course.begin_ns, course.end(0, tape)) == (0, 0, 6)
    course.turn(20, end=lambda each: each.seq_behind(10), left_ns=10)
    assert (course.leg, course.begin_ns) == (1, 20)
    assert (course.end(0, tape), course.begin(1, tape), course.end(1, tape)) == (3, 3, 6)


def test_no_leg_ends_behind_the_last_frame_that_is_played(tape: Tape) -> None:
    course = Course()
    course.turn(0, end=lambda each: 1000, left_ns=1000)
    assert course.end(0, tape) == 6
    tape.stop_ns = 20
    assert (course.end(0, tape), course.end(1, tape)) == (3, 3)


def test_only_the_last_few_legs_remember_their_playhead() -> None:
    course = Course()
    playhead = Playhead(Fraction(1), now_ns=0)
    for _ in range(CLOCKS_KEPT + 3):
        course.turn(0, end=lambda each: 0, left_ns=0, playhead=playhead)
    remembered = [leg.playhead is playhead for leg in course.legs]
    assert remembered == [*[False] * 3, *[True] * CLOCKS_KEPT, False]
