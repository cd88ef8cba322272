"""Whose pong is waited for, and how long."""

from __future__ import annotations

from tickdeck.mockserver.lockstep import PATIENCE_NS, Lockstep


def test_at_first_nobody_is_waited_for() -> None:
    lockstep = Lockstep()
    assert not lockstep.waiting
    assert not lockstep.expects(1, 8)
    assert lockstep.patience_ends_ns is None
    assert lockstep.impatient(1 << 60) == []


def test_everybody_who_was_sent_a_frame_is_waited_for_until_the_last_has_answered() -> None:
    lockstep = Lockstep()
    lockstep.expect([1, 2], 7, 100)
    assert (lockstep.expects(1, 8), lockstep.expects(2, 8), lockstep.expects(3, 8)) == (True, True, False)
    lockstep.forget(1)
    assert lockstep.waiting
    lockstep.forget(2)
    assert not lockstep.waiting


def test_who_was_not_waited_for_may_answer_all_the_same() -> None:
    lockstep = Lockstep()
    lockstep.expect([1], 7, 0)
    lockstep.forget(2)
    assert lockstep.expects(1, 8)


def test_patience_ends_ten_seconds_behind_each_frame_and_the_impatient_are_named_once() -> None:
    lockstep = Lockstep()
    lockstep.expect([1], 7, 0)
    lockstep.expect([2, 3], 7, 5)
    assert lockstep.patience_ends_ns == PATIENCE_NS == 10_000_000_000
    assert lockstep.impatient(PATIENCE_NS - 1) == []
    assert lockstep.impatient(PATIENCE_NS) == [1]
    assert lockstep.patience_ends_ns == PATIENCE_NS + 5
    assert lockstep.impatient(PATIENCE_NS + 5) == [2, 3]
    assert not lockstep.waiting


def test_a_ping_from_before_the_frame_says_nothing_of_it() -> None:
    lockstep = Lockstep()
    lockstep.expect([1], 7, 0)
    lockstep.answered(1, 7)
    assert lockstep.expects(1, 8)
    lockstep.answered(1, 8)
    assert not lockstep.waiting
