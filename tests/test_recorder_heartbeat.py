from __future__ import annotations

from tickdeck.recorder.heartbeat import Heartbeat
from tickdeck.recorder.notices import ClockMoved, StoodStill

SECOND = 10**9


def test_a_beat_in_time_says_nothing() -> None:
    heart = Heartbeat(0, 1000 * SECOND)
    for second in range(1, 100):
        assert heart.beat(second * SECOND, (1000 + second) * SECOND + second, due_ns=second * SECOND) == []


def test_a_beat_that_is_late_tells_how_long_nothing_was_done() -> None:
    heart = Heartbeat(0, 0)
    assert heart.beat(9 * SECOND, 9 * SECOND, due_ns=SECOND) == [StoodStill(8.0)]


def test_a_clock_that_is_set_back_is_told_once() -> None:
    heart = Heartbeat(0, 1000 * SECOND)
    assert heart.beat(SECOND, 401 * SECOND, due_ns=SECOND) == [ClockMoved(-600.0)]
    assert heart.beat(2 * SECOND, 402 * SECOND, due_ns=2 * SECOND) == []


def test_a_machine_that_slept_is_a_wall_clock_that_ran_ahead() -> None:
    heart = Heartbeat(0, 0)
    assert heart.beat(SECOND, 3601 * SECOND, due_ns=SECOND) == [ClockMoved(3600.0)]
