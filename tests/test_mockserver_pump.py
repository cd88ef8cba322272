"""The only writer of a socket, with a socket, a clock and a session that only tests move."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from tickdeck.cassette.errors import FormatError, TickdeckError
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.pump import A_TURN, PONGS_KEPT, Pump
from tickdeck.mockserver.reel import AT_ONCE, MOST, Batch, Ending
from tickdeck.mockserver.report import TapeDigest
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.waker import Alarm

FRAME = frame_header(1, 1000) + b"x" * 1000


class Script:
    """A session that has these batches to give; ``None`` is a moment with nothing due."""

    def __init__(self, *batches: Batch | None, wake_ns: int | None = None) -> None:
        self.batches = deque(batches)
        self.wakes = wake_ns
        self.limits: list[int] = []
        self.paced = True
        self.caught_up = False

    def deadline(self, batch: Batch) -> int | None:
        return batch.position_ns if self.paced else None

    def take(self, now_ns: int, *, limit: int) -> Batch | None:
        self.limits.append(limit)
        return self.batches.popleft() if self.batches else None

    def wake_ns(self) -> int | None:
        return self.wakes


class Wire:
    """A transport that keeps what is written, and drains when it is told to."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.open = asyncio.Event()
        self.full = False
        self.buffered = 0

    def write(self, data: bytes | memoryview) -> None:
        self.writes.append(bytes(data))
        self.buffered = len(data) if self.full else 0

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self.buffered

    async def drain(self) -> None:
        await self.open.wait()
        self.full, self.buffered = False, 0


class StillClock(Clock):
    """It stands at ``now``, and keeps the alarms and the turns that are asked for."""

    def __init__(self) -> None:
        self.now = 0
        self.alarms: list[Alarm] = []
        self.turns: list[Callable[[], object]] = []

    def now_ns(self) -> int:
        return self.now

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        self.alarms.append(Alarm(when_ns, callback))
        return self.alarms[-1]

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.turns.append(callback)


class Rig:
    """A pump on a script, and what it tells its house."""

    def __init__(self, script: Script) -> None:
        self.script, self.wire, self.clock = script, Wire(), StillClock()
        self.rests = 0
        self.stuck = 0
        self.endings: list[Ending] = []
        self.failures: list[TickdeckError] = []
        self.pump = Pump(
            cast(Session, script),
            cast(asyncio.Transport, self.wire),
            drain=self.wire.drain,
            clock=self.clock,
            on_rest=self.rested,
            on_stuck=self.got_stuck,
            on_end=self.endings.append,
            on_failure=self.failures.append,
        )

    def rested(self) -> None:
        self.rests += 1

    def got_stuck(self) -> None:
        self.stuck += 1

    def push(self) -> None:
        """Until it rests, is stuck or has ended."""
        self.pump.push()
        while self.clock.turns:
            self.clock.turns.pop(0)()


def rig(*batches: Batch | None, **parts: Any) -> Rig:
    return Rig(Script(*batches, **parts))


def data(frames: int = 1, position_ns: int = 0) -> Batch:
    return Batch(FRAME * frames, frames, position_ns)


def test_all_that_is_due_leaves_in_one_write() -> None:
    it = rig(Batch(b"ack", 0, -1), data(3), data(2))
    it.push()
    assert it.wire.writes == [b"ack" + FRAME * 5]
    assert it.script.limits == [MOST] * 4
    assert it.rests == 1


def test_a_write_ends_once_64_kib_are_full_and_the_rest_follows() -> None:
    it = rig(*[data(10)] * 10)
    it.push()
    assert [len(write) // len(FRAME) for write in it.wire.writes] == [70, 30]


def test_a_large_piece_is_written_as_it_is_behind_what_came_before_it() -> None:
    large = data(66)
    it = rig(data(1), large, data(1))
    it.push()
    assert it.wire.writes == [FRAME, large.wire, FRAME]


def test_the_others_have_their_turn_in_a_long_run() -> None:
    it = rig(*[data(66)] * 10)
    it.pump.push()
    assert sum(map(len, it.wire.writes)) <= A_TURN + AT_ONCE
    assert len(it.clock.turns) == 1
    it.push()
    assert len(it.wire.writes) == 10


async def test_while_the_socket_is_full_nothing_more_is_taken() -> None:
    it = rig(*[data(66)] * 100)
    it.wire.full = True
    it.push()
    assert it.pump.stuck
    for _ in range(50):
        it.push()
        it.pump.pong(b"?")
    assert len(it.script.batches) == 99
    assert sum(map(len, it.wire.writes)) <= AT_ONCE + len(FRAME)
    it.wire.open.set()
    await it.pump.unstuck()
    it.push()
    assert len(it.script.batches) == 0
    assert it.stuck == 1


def test_an_empty_batch_lets_the_others_run_and_goes_on() -> None:
    it = rig(Batch(b"", 0, -1), Batch(b"", 0, -1), data())
    it.pump.push()
    assert it.wire.writes == []
    it.push()
    assert it.wire.writes == [FRAME]


async def test_pongs_leave_ahead_of_data_and_only_the_latest_are_kept() -> None:
    it = rig(data())
    it.wire.full = True
    it.push()
    for number in range(PONGS_KEPT * 3):
        it.pump.pong(b"%03d" % number)
    it.script.batches.append(data())
    assert not it.pump.flushed
    it.wire.open.set()
    await it.pump.unstuck()
    pongs = [b"\x8a\x03%03d" % number for number in range(PONGS_KEPT * 2, PONGS_KEPT * 3)]
    assert it.wire.writes == [FRAME, b"".join(pongs) + FRAME]
    assert it.pump.flushed
    it.wire.buffered = 1
    assert not it.pump.flushed


def test_it_ends_with_the_ending_and_sends_nothing_behind_it() -> None:
    it = rig(data(), Batch(b"close", 0, -1, Ending(1000)), data())
    it.push()
    it.push()
    it.pump.pong(b"late")
    assert it.endings == [Ending(1000)]
    assert it.wire.writes == [FRAME + b"close"]


def test_it_sleeps_until_something_is_due_and_leaves_no_alarm_behind() -> None:
    it = rig(wake_ns=77)
    it.push()
    it.push()
    (alarm,) = it.clock.alarms
    assert alarm.when_ns == 77
    it.script.batches.append(data())
    it.script.wakes = None
    alarm.ring()
    assert it.wire.writes == [FRAME]
    assert len(it.clock.alarms) == 1


def test_an_alarm_that_is_overtaken_does_not_ring() -> None:
    it = rig(wake_ns=77)
    it.push()
    it.script.wakes = 55
    it.push()
    it.script.batches.append(data())
    late, early = it.clock.alarms
    late.ring()
    assert it.wire.writes == []
    early.ring()
    assert it.wire.writes == [FRAME]


def test_lateness_counts_from_the_deadline_of_a_batchs_first_frame() -> None:
    it = rig(Batch(b"status", 0, -1), data(4, position_ns=900), data(1, position_ns=990))
    it.clock.now = 1000
    it.push()
    assert it.pump.lateness.frames == 5
    assert it.pump.lateness.summary() == {
        "p50_ns": 100,
        "p99_ns": 100,
        "max_ns": 100,
        "drift_ns": 0,
        "early": 0,
    }


def test_without_a_deadline_nothing_is_late() -> None:
    it = rig(data())
    it.script.paced = False
    it.push()
    assert it.wire.writes == [FRAME]
    assert it.pump.lateness.frames == 0


def test_the_digest_covers_data_alone_however_it_was_cut() -> None:
    it = rig(Batch(b"ack", 0, -1), data(2), Batch(b"", 0, -1), data(1), data(40), data(60))
    it.pump.pong(b"")
    it.push()
    whole = TapeDigest()
    whole.update(FRAME * 103)
    assert it.pump.digest.hexdigest() == whole.hexdigest()


def test_an_error_of_the_tape_is_told_once_and_ends_the_pump() -> None:
    it = rig()
    error = FormatError("damaged")

    def broken(now_ns: int, *, limit: int) -> Batch | None:
        raise error

    it.script.take = broken  # type: ignore[method-assign]
    it.push()
    it.push()
    assert it.failures == [error]


def test_a_connection_that_is_lost_while_it_is_full_is_not_an_error_of_the_pump() -> None:
    async def lose() -> Rig:
        it = rig(data())
        it.wire.full = True

        async def gone() -> None:
            raise ConnectionResetError

        it.pump._drain = gone
        it.push()
        assert it.pump.stuck
        await it.pump.unstuck()
        assert not it.pump.stuck
        it.push()
        return it

    it = asyncio.run(lose())
    assert it.failures == []
    assert it.wire.writes == [FRAME]
