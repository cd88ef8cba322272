"""What moves a tape: a clock, the clients' reading, or a hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.heads import DrivenHead, FreeHead, PacedHead, head_at
from tickdeck.mockserver.playhead import LOCKSTEP, MAX, STEP, Playhead, Speed
from tickdeck.mockserver.tape import Tape, Tapes

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]


@pytest.fixture
def tape(make: Make, story: Any) -> Tape:
    """Frames 1 to 5 at 0, 10, 20, 20 and 30."""
    story.opens(0, 0)
    for at in (0, 10, 20, 20, 30):
        story.trades(0, at, "A")
    return Tapes(make(story.records)).of("stocks")


def test_each_speed_has_its_head() -> None:
    kinds = [
        type(head_at(0, speed, now_ns=0, sent=False)) for speed in (Speed(Fraction(2)), MAX, STEP, LOCKSTEP)
    ]
    assert kinds == [PacedHead, FreeHead, DrivenHead, DrivenHead]


def test_a_free_head_only_stands_or_goes() -> None:
    head = FreeHead()
    assert not head.paused
    head.pause(5)
    assert head.paused
    head.resume(6)
    assert not head.paused


def test_a_paced_head_lets_go_what_the_clock_has_passed(tape: Tape) -> None:
    head = head_at(10, Speed(Fraction(2)), now_ns=100, sent=False)
    assert isinstance(head, PacedHead)
    assert [head.position(now) for now in (100, 104, 105)] == [10, 18, 20]
    assert [head.due(tape, now) for now in (100, 104, 105, 110)] == [3, 3, 5, 6]


def test_a_paced_head_stands_while_it_is_paused(tape: Tape) -> None:
    head = PacedHead(Playhead(Fraction(1), now_ns=0))
    head.pause(10)
    assert (head.paused, head.position(1000), head.due(tape, 1000)) == (True, 10, 3)
    head.resume(1000)
    assert (head.paused, head.position(1005)) == (False, 15)


def test_a_paced_head_goes_to_a_frame_that_is_let_go_and_never_back(tape: Tape) -> None:
    head = PacedHead(Playhead(Fraction(1), now_ns=0))
    head.release(3, 20, 5)
    assert (head.position(5), head.due(tape, 5)) == (20, 5)
    head.release(2, 10, 8)
    assert head.position(8) == 23
    head.move_to(30, 9)
    assert head.position(10) == 31


@pytest.mark.parametrize(("sent", "due"), [(True, 5), (False, 3)])
def test_a_driven_head_stands_whatever_the_clock_says(tape: Tape, sent: bool, due: int) -> None:
    head = head_at(20, STEP, now_ns=0, sent=sent)
    assert isinstance(head, DrivenHead)
    assert (head.position(0), head.position(10**12)) == (20, 20)
    assert (head.due(tape, 0), head.due(tape, 10**12)) == (due, due)


def test_a_driven_head_goes_frame_by_frame_also_within_one_position(tape: Tape) -> None:
    head = DrivenHead(0, floor_ns=-1)
    assert head.due(tape, 0) == 0
    dues = []
    for seq, position_ns in [(1, 0), (2, 10), (3, 20), (4, 20)]:
        head.release(seq, position_ns, 0)
        dues.append((head.due(tape, 0), head.position(0)))
    assert dues == [(2, 0), (3, 10), (4, 20), (5, 20)]


def test_a_driven_head_is_moved_over_a_stretch_and_never_back(tape: Tape) -> None:
    head = DrivenHead(0, floor_ns=-1)
    head.move_to(20, 0)
    assert (head.due(tape, 0), head.position(0)) == (5, 20)
    head.move_to(5, 0)
    head.release(2, 10, 0)
    assert (head.due(tape, 0), head.position(0)) == (5, 20)


def test_a_driven_head_remembers_that_it_was_paused() -> None:
    head = DrivenHead(0, floor_ns=-1)
    head.pause(0)
    assert head.paused
    head.resume(0)
    assert not head.paused
