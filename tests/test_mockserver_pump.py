"""The only writer of a socket, with a socket, a clock and a session that only tests move."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any, cast

import pytest

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.playhead import Playhead
from tickdeck.mockserver.pump import PONGS_KEPT, Pump
from tickdeck.mockserver.reel import AT_ONCE, Batch, Ending
from tickdeck.mockserver.report import TapeDigest
from tickdeck.mockserver.session import Session

FRAME = frame_header(1, 1000) + b"x" * 1000


class Line:
    """A timeline at real time since 0."""

    def deadline(self, position_ns: int | None) -> int | None:
        return None if position_ns is None else Playhead(Fraction(1), now_ns=0).deadline(position_ns)


class Script:
    """A session that has these batches to give; ``None`` is a moment with nothing due."""

    def __init__(self, *batches: Batch | None, wake_ns: int | None = None) -> None:
        self.batches = deque(batches)
        self.wakes = wake_ns
        self.limits: list[int] = []
        self.timeline: Line | None = Line()

    def take(self, now_ns: int, *, limit: int) -> Batch | None:
        self.limits.append(limit)
        return self.batches.popleft() if self.batches else None

    def wake_ns(self) -> int | None:
        return self.wakes


class Wire:
    """A transport that keeps what is written, and drains when it is told to."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.draining = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.buffered = 0

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    async def drain(self) -> None:
        self.draining.set()
        await self.open.wait()


class StillClock(Clock):
    """It stands at ``now``, and keeps the alarms that are set."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.alarms: list[tuple[int, Callable[[], object]]] = []

    def now_ns(self) -> int:
        return self.now

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        self.alarms.append((when_ns, callback))
        return asyncio.get_running_loop().call_later(3600, callback)


class Rig:
    """A pump that runs, and hands to push it with."""

    def __init__(self, script: Script) -> None:
        self.script, self.wire, self.clock = script, Wire(), StillClock()
        self.rested = asyncio.Event()
        self.pump = Pump(
            cast(Session, script),
            cast(asyncio.Transport, self.wire),
            drain=self.wire.drain,
            clock=self.clock,
            on_idle=self.rested.set,
        )
        self.running = asyncio.create_task(self.pump.run())

    async def rest(self) -> None:
        await asyncio.wait_for(self.rested.wait(), 10)
        self.rested.clear()


@pytest.fixture
async def rig() -> AsyncIterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(*batches: Batch | None, **parts: Any) -> Rig:
        rigs.append(Rig(Script(*batches, **parts)))
        return rigs[-1]

    yield make
    for each in rigs:
        each.running.cancel()
        await asyncio.wait([each.running])


def data(frames: int = 1, position_ns: int = 0) -> Batch:
    return Batch(FRAME * frames, frames, position_ns)


async def test_all_that_is_due_leaves_in_one_write(rig: Callable[..., Rig]) -> None:
    it = rig(Batch(b"ack", 0, -1), data(3), data(2))
    await it.rest()
    assert it.wire.writes == [b"ack" + FRAME * 5]
    assert it.script.limits == [
        AT_ONCE,
        AT_ONCE - 3,
        AT_ONCE - 3 - 3 * len(FRAME),
        AT_ONCE - 3 - 5 * len(FRAME),
    ]


async def test_a_write_ends_once_64_kib_are_full_and_the_rest_follows(rig: Callable[..., Rig]) -> None:
    it = rig(*[data(33)] * 5)
    await it.rest()
    assert [len(write) // len(FRAME) for write in it.wire.writes] == [66, 66, 33]


async def test_while_the_socket_is_full_nothing_more_is_taken(rig: Callable[..., Rig]) -> None:
    it = rig(*[data(66)] * 100)
    it.wire.open.clear()
    await asyncio.wait_for(it.wire.draining.wait(), 10)
    for _ in range(50):
        it.pump.wake()
        it.pump.pong(b"?")
        await it.clock.breathe()
    assert len(it.script.batches) == 99
    assert sum(map(len, it.wire.writes)) <= AT_ONCE + len(FRAME)
    it.wire.open.set()
    await it.rest()
    assert len(it.script.batches) == 0


async def test_an_empty_batch_lets_the_others_run_and_goes_on(rig: Callable[..., Rig]) -> None:
    it = rig(Batch(b"", 0, -1), Batch(b"", 0, -1), data())
    await it.rest()
    assert it.wire.writes == [FRAME]


async def test_pongs_leave_ahead_of_data_and_only_the_latest_are_kept(rig: Callable[..., Rig]) -> None:
    it = rig()
    await it.rest()
    assert it.pump.flushed
    for number in range(PONGS_KEPT * 3):
        it.pump.pong(b"%03d" % number)
    it.script.batches.append(data())
    assert not it.pump.flushed
    await it.rest()
    pongs = [b"\x8a\x03%03d" % number for number in range(PONGS_KEPT * 2, PONGS_KEPT * 3)]
    assert it.wire.writes == [b"".join(pongs) + FRAME]
    it.wire.buffered = 1
    assert not it.pump.flushed


async def test_it_ends_with_the_ending_and_sends_nothing_behind_it(rig: Callable[..., Rig]) -> None:
    it = rig(data(), Batch(b"close", 0, -1, Ending(1000)), data())
    assert await asyncio.wait_for(it.running, 10) == Ending(1000)
    assert it.wire.writes == [FRAME + b"close"]


async def test_it_sleeps_until_something_is_due_and_leaves_no_alarm_behind(rig: Callable[..., Rig]) -> None:
    it = rig(wake_ns=77)
    await it.rest()
    ((when_ns, ring),) = it.clock.alarms
    assert when_ns == 77
    it.script.batches.append(data())
    it.script.wakes = None
    ring()
    await it.rest()
    assert it.wire.writes == [FRAME]
    assert len(it.clock.alarms) == 1


async def test_lateness_counts_from_the_deadline_of_a_batchs_first_frame(rig: Callable[..., Rig]) -> None:
    it = rig()
    await it.rest()
    it.clock.now = 1000
    it.script.batches.extend([Batch(b"status", 0, -1), data(4, position_ns=900), data(1, position_ns=990)])
    it.pump.wake()
    await it.rest()
    assert it.pump.lateness.frames == 5
    assert it.pump.lateness.summary() == {"p50_ns": 100, "p99_ns": 100, "max_ns": 100}


async def test_without_a_deadline_nothing_is_late(rig: Callable[..., Rig]) -> None:
    it = rig(data())
    it.script.timeline = None
    await it.rest()
    assert it.wire.writes == [FRAME]
    assert it.pump.lateness.frames == 0


async def test_the_digest_covers_data_alone_however_it_was_cut(rig: Callable[..., Rig]) -> None:
    it = rig(Batch(b"ack", 0, -1), data(2), Batch(b"", 0, -1), data(1), data(40), data(60))
    it.pump.pong(b"")
    await it.rest()
    whole = TapeDigest()
    whole.update(FRAME * 103)
    assert it.pump.digest.hexdigest() == whole.hexdigest()


async def test_an_error_of_the_tape_reaches_who_runs_it(rig: Callable[..., Rig]) -> None:
    it = rig()
    await it.rest()

    def broken(now_ns: int, *, limit: int) -> Batch | None:
        raise FormatError("damaged")

    it.script.take = broken  # type: ignore[method-assign]
    it.pump.wake()
    with pytest.raises(FormatError):
        await asyncio.wait_for(it.running, 10)
