"""What moves a tape, against a naive model of exact fractions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import floor
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.heads import DrivenHead, FreeHead, PacedHead, head_at
from tickdeck.mockserver.playhead import LOCKSTEP, MAX, STEP, Playhead, Speed
from tickdeck.mockserver.tape import Tape

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]
Change: TypeAlias = tuple[int, str, Fraction, int]

HOUR = 3600 * 10**9
FACTORS = st.one_of(
    st.sampled_from([Fraction(1), Fraction(73, 10), Fraction(1, 3), Fraction(1000)]),
    st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=1009),
)
CHANGES = st.lists(
    st.tuples(
        st.integers(0, HOUR),
        st.sampled_from(["look", "look", "factor", "pause", "resume", "seek", "skip"]),
        FACTORS,
        st.integers(0, HOUR),
    ),
    max_size=40,
)


class Naive:
    """A position that is moved on at every look, as an exact fraction, and rounded down where it is changed."""

    def __init__(self) -> None:
        self.at, self.factor, self.paused = Fraction(0), Fraction(1), False

    def pass_by(self, ns: int) -> None:
        self.at += 0 if self.paused else ns * self.factor

    def change(self, what: str, factor: Fraction, target: int) -> None:
        if what in ("factor", "pause", "resume"):
            self.at = Fraction(floor(self.at))
        if what == "factor":
            self.factor = factor
        elif what in ("pause", "resume"):
            self.paused = what == "pause"
        elif what == "seek":
            self.at = Fraction(target)
        elif what == "skip":
            self.at += target


def change(head: PacedHead, what: str, factor: Fraction, target: int, now_ns: int) -> None:
    match what:
        case "factor":
            head.playhead.set_factor(factor, now_ns)
        case "pause":
            head.pause(now_ns)
        case "resume":
            head.resume(now_ns)
        case "seek":
            head.move_to(target, now_ns)
        case "skip":
            here = head.position(now_ns)
            head.playhead.skip(here, here + target)


@given(CHANGES)
def test_any_sequence_of_speed_pause_seek_and_skip_is_where_exact_fractions_are(
    changes: list[Change],
) -> None:
    head, naive, now_ns = PacedHead(Playhead(Fraction(1), now_ns=0)), Naive(), 0
    for wait, what, factor, target in changes:
        now_ns += wait
        naive.pass_by(wait)
        change(head, what, factor, target, now_ns)
        naive.change(what, factor, target)
        assert head.position(now_ns) == floor(naive.at)
        assert head.paused == naive.paused


@given(CHANGES, st.integers(0, HOUR))
def test_after_any_sequence_a_deadline_is_the_first_moment_at_which_its_position_is_reached(
    changes: list[Change], ahead: int
) -> None:
    head, now_ns = PacedHead(Playhead(Fraction(1), now_ns=0)), 0
    for wait, what, factor, target in changes:
        now_ns += wait
        change(head, what, factor, target, now_ns)
    goal = head.position(now_ns) + ahead
    deadline = head.playhead.deadline(goal)
    if head.paused:
        assert (deadline is None) == (ahead > 0)
    else:
        assert deadline is not None
        assert head.position(deadline) >= goal > head.position(deadline - 1)


@given(FACTORS, st.lists(st.integers(1, 10**9), min_size=2, max_size=50))
def test_changes_that_change_nothing_lose_less_than_a_nanosecond_each(
    factor: Fraction, waits: list[int]
) -> None:
    head, now_ns = PacedHead(Playhead(factor, now_ns=0)), 0
    for wait in waits:
        now_ns += wait
        head.resume(now_ns)
    assert 0 <= now_ns * factor - head.position(now_ns) < len(waits) + 1


@pytest.fixture
def tape(make: Make, story: Any) -> Tape:
    story.opens(0, 0)
    for at in (100, 110, 110, 120):
        story.trades(0, at, "A")
    return Tape(make(story.records), market="stocks")


def test_a_paced_head_lets_go_all_that_shares_a_position(tape: Tape) -> None:
    head = head_at(0, Speed(Fraction(1)), now_ns=1_000, sent=False)
    assert isinstance(head, PacedHead)
    assert (head.due(tape, 1_009), head.due(tape, 1_010)) == (2, 4)
    head.release(4, 20, 1_010)
    assert head.due(tape, 1_010) == 5
    head.release(1, 0, 1_010)
    assert head.position(1_010) == 20


@pytest.mark.parametrize("speed", [STEP, LOCKSTEP])
def test_a_driven_head_lets_go_one_frame_of_a_position(tape: Tape, speed: Speed) -> None:
    head = head_at(0, speed, now_ns=0, sent=False)
    assert isinstance(head, DrivenHead)
    assert head.due(tape, HOUR) == 0
    head.release(2, 10, 0)
    assert (head.due(tape, HOUR), head.position(HOUR)) == (3, 10)
    head.move_to(10, 0)
    assert head.due(tape, HOUR) == 4
    head.move_to(5, 0)
    assert (head.due(tape, HOUR), head.position(HOUR)) == (4, 10)
    assert head_at(10, speed, now_ns=0, sent=True).due(tape, 0) == 4


def test_heads_of_every_kind_stand_and_go_on() -> None:
    for speed in (MAX, STEP, Speed(Fraction(2))):
        head = head_at(7, speed, now_ns=0, sent=True)
        assert not head.paused
        head.pause(1)
        assert head.paused
        head.resume(2)
        assert not head.paused
    assert isinstance(head_at(7, MAX, now_ns=0, sent=True), FreeHead)
