"""Nothing is told before it is kept; a disk that refused once is not asked again."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tickdeck.cassette.errors import StorageError
from tickdeck.cassette.records import TEXT, Anchor, Frame, Record, Sender, TrackOpened
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.recorder.capture import Message, Opening
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.sink import Intake


class StoppedClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def wall_ns(self) -> int:
        return 10**18 + self.at_ns


class Kept:
    """A cassette that is a list of batches."""

    def __init__(self) -> None:
        self.batches: list[list[Record]] = []
        self.full = False
        self.asked = 0

    def append(self, records: Iterable[Record]) -> None:
        self.asked += 1
        if self.full:
            raise StorageError("cannot write x.cassette: the disk is full")
        self.batches.append(list(records))


def intake(kept: Kept, clock: Clock, failures: list[StorageError]) -> Intake:
    return Intake(
        kept,
        clock,
        start_ns=0,
        learner=ProfileLearner,
        secrets=Redactor(NO_PLACES),
        on_failure=failures.append,
    )


def test_a_recording_begins_with_the_wall_clock_and_notes_it_once_a_minute() -> None:
    kept, clock = Kept(), StoppedClock()
    taking = intake(kept, clock, [])
    taking.anchor()
    clock.at_ns = 60 * 10**9
    taking.anchor()
    assert kept.batches == [[Anchor(0, 0, 10**18)], [Anchor(1, 60 * 10**9, 10**18 + 60 * 10**9)]]


def test_a_batch_is_one_append() -> None:
    kept = Kept()
    taking = intake(kept, StoppedClock(), [])
    track = taking.track_opened(Opening("stocks"))
    taking.frames(track, Sender.SERVER, [Message(1, TEXT, b"a"), Message(2, TEXT, b"b")])
    assert [[type(record) for record in batch] for batch in kept.batches] == [
        [Anchor],
        [TrackOpened],
        [Frame, Frame],
    ]


def test_a_disk_that_refused_is_told_once_and_not_asked_again() -> None:
    kept, failures = Kept(), list[StorageError]()
    taking = intake(kept, StoppedClock(), failures)
    track = taking.track_opened(Opening("stocks"))
    kept.full = True
    for _ in range(2):
        with pytest.raises(StorageError, match="the disk is full"):
            taking.frames(track, Sender.SERVER, [Message(1, TEXT, b"a")])
    assert failures == [taking.failure]
    assert kept.asked == 3
