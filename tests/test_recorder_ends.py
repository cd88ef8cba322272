"""However a recording ends: of each connection the client has the first messages on the cassette, none missing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tickdeck.cassette.disk import Disk
from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.places import expand
from tickdeck.cassette.records import Frame, Sender, TrackClosed, TrackOpened
from tickdeck.cassette.wire import frame_header
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.notices import Listening, Notice, Report
from tickdeck.recorder.rotation import Limits
from tickdeck.recorder.run import Options, Recorder

MANY = 8_000
SEEN_BEFORE_THE_END = 200


def flood_of(messages: int) -> bytes:
    texts = [b'[{"ev":"T","i":%d}]' % number + b" " * 200 for number in range(messages)]
    return b"".join(frame_header(1, len(text)) + text for text in texts)


FLOOD = flood_of(MANY)


class SmallDisk(Disk):
    """A disk that is full after so many bytes, in the middle of whatever is being written then."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, data: bytes) -> int:
        taken = super().write(descriptor, data[: self.room])
        self.room -= taken
        if not taken and data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return taken


class StoppedClock(Clock):
    """The time stands still until somebody moves it."""

    moved_ns = 0

    def __init__(self) -> None:
        self._begun_ns = super().now_ns()
        self._moved = asyncio.Event()

    def now_ns(self) -> int:
        return self._begun_ns + self.moved_ns

    async def wait_until(self, when_ns: int) -> None:
        while self.now_ns() < when_ns:
            self._moved.clear()
            await self._moved.wait()

    def move(self, span_ns: int) -> None:
        self.moved_ns += span_ns
        self._moved.set()


@contextlib.asynccontextmanager
async def flooding(
    *, then: Callable[[ServerConnection], object] = lambda connection: None
) -> AsyncIterator[str]:
    """A service that is faster than any recorder."""

    async def flood(connection: ServerConnection) -> None:
        connection.transport.write(FLOOD)
        then(connection)
        await connection.wait_closed()

    async with serve(
        flood, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=0.1
    ) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Bot:
    """Reads what comes; ``ready`` once it has seen some of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[bytes] = []
        self.ready = asyncio.Event()

    async def read(self, url: str) -> None:
        async with connect(
            f"{url}/{self.name}", compression=None, ping_interval=None, close_timeout=0.1
        ) as connection:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    self.seen.append(await connection.recv(decode=False))
                    if len(self.seen) == SEEN_BEFORE_THE_END:
                        self.ready.set()


class Run:
    """A recorder with bots behind it."""

    def __init__(self, recorder: Recorder, names: str) -> None:
        self.recorder = recorder
        self.names = names
        self.bots: list[Bot] = []
        self.notices: list[Notice] = []
        self.failure: BaseException | None = None

    async def until(
        self, end: Callable[[asyncio.Task[object]], object], listening: asyncio.Future[Notice]
    ) -> None:
        """Bots read until ``end`` has ended the recording."""
        running = asyncio.ensure_future(self.recorder.run())
        at = await asyncio.wait_for(listening, 10)
        assert isinstance(at, Listening)
        self.bots = [Bot(f"{self.names}1"), Bot(f"{self.names}2")]
        reading = [asyncio.ensure_future(bot.read(at.ws)) for bot in self.bots]
        async with asyncio.timeout(30):
            for bot in self.bots:
                await bot.ready.wait()
            end(running)  # type: ignore[arg-type]
            (self.failure,) = (
                each if isinstance(each, BaseException) else None
                for each in await asyncio.gather(running, return_exceptions=True)
            )
            await asyncio.gather(*reading)


async def recorded(
    options: Options, end: Callable[[Recorder], Callable[..., object]], *, names: str = "bot", **words: object
) -> Run:
    listening: asyncio.Future[Notice] = asyncio.get_running_loop().create_future()

    def hear(notice: Notice) -> None:
        run.notices.append(notice)
        if isinstance(notice, Listening):
            listening.set_result(notice)

    run = Run(Recorder(options, notify=hear, **words), names)  # type: ignore[arg-type]
    await run.until(end(run.recorder), listening)
    return run


def kept_in(*paths: Path) -> dict[str, list[bytes]]:
    """What the service said to each bot, in order."""
    kept: dict[str, list[bytes]] = {}
    bots: dict[int, str] = {}
    with open_cassettes(paths) as cassette:
        for record in cassette.records():
            if isinstance(record, TrackOpened):
                bots[record.track] = record.market
            elif isinstance(record, Frame) and record.sender is Sender.SERVER:
                kept.setdefault(bots[record.track], []).append(record.payload)
    return kept


def closed_in(*paths: Path) -> int:
    with open_cassettes(paths) as cassette:
        return sum(isinstance(record, TrackClosed) for record in cassette.records())


def assert_nothing_is_missing(run: Run, kept: dict[str, list[bytes]]) -> None:
    for bot in run.bots:
        assert len(bot.seen) >= SEEN_BEFORE_THE_END
        assert bot.seen == kept[bot.name][: len(bot.seen)]


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(output=tmp_path / "x.cassette", upstream_http="http://127.0.0.1:9", listen_port=0)


def by_signal(recorder: Recorder) -> Callable[..., object]:
    return lambda running: recorder.request_stop()


def by_being_cancelled(recorder: Recorder) -> Callable[..., object]:
    return lambda running: running.cancel()


def by_itself(recorder: Recorder) -> Callable[..., object]:
    return lambda running: None


@pytest.mark.parametrize("end", [by_signal, by_being_cancelled])
async def test_a_flood_that_is_ended(options: Options, end: Callable[..., Callable[..., object]]) -> None:
    async with flooding() as ws:
        run = await recorded(replace(options, upstream_ws=ws), end)
    assert_nothing_is_missing(run, kept_in(Path(options.output)))
    assert closed_in(Path(options.output)) == 2


async def test_a_flood_whose_time_is_up(options: Options) -> None:
    clock = StoppedClock()
    async with flooding() as ws:
        asked = replace(options, upstream_ws=ws, for_ns=60 * SECOND_NS)
        run = await recorded(asked, lambda _: lambda _: clock.move(60 * SECOND_NS), clock=clock)
    assert run.failure is None
    assert_nothing_is_missing(run, kept_in(Path(options.output)))


async def test_a_flood_that_fills_the_disk(options: Options) -> None:
    async with flooding() as ws:
        asked = replace(options, upstream_ws=ws)
        run = await recorded(asked, by_itself, disk=SmallDisk(1 << 20))
    assert isinstance(run.failure, TickdeckError)
    kept = kept_in(Path(options.output))
    assert_nothing_is_missing(run, kept)
    report = run.notices[-1]
    assert isinstance(report, Report)
    assert report.frames == sum(map(len, kept.values()))


@pytest.mark.parametrize(
    "drop", [lambda it: it.transport.close(), lambda it: it.transport.write(b"\x88\x02\x03\xe8")]
)
async def test_a_flood_after_which_the_service_is_gone(
    options: Options, drop: Callable[[ServerConnection], object]
) -> None:
    async with flooding(then=drop) as ws:
        run = await recorded(replace(options, upstream_ws=ws), by_signal)
    assert_nothing_is_missing(run, kept_in(Path(options.output)))


async def test_a_flood_into_many_segments(options: Options) -> None:
    async with flooding() as ws:
        asked = replace(options, upstream_ws=ws, limits=Limits(size=64 << 10))
        run = await recorded(asked, by_signal)
    segments = expand(Path(options.output).with_name("x-*.cassette"))
    assert len(segments) > 1
    assert_nothing_is_missing(run, kept_in(*segments))


async def test_a_flood_into_a_recording_that_goes_on(options: Options) -> None:
    async with flooding() as ws:
        asked = replace(options, upstream_ws=ws)
        first = await recorded(asked, by_signal, names="first")
        second = await recorded(replace(asked, append=True), by_signal, names="second")
    kept = kept_in(Path(options.output), Path(options.output).with_name("x-0002.cassette"))
    assert_nothing_is_missing(first, kept)
    assert_nothing_is_missing(second, kept)
