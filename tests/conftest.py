"""What several tests of the cassette share: a small dialect, and a door that lets all pass."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.indexing import STATUS, Event, Holding, Index
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import (
    TEXT,
    Frame,
    Header,
    Interaction,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.recorder.notices import Listening, Notice
from tickdeck.recorder.run import Options, Recorder

# What must hold is counted, not timed: a busy machine makes examples slowly, and that proves nothing.
settings.register_profile("counted", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("counted")


class LetterIndexer:
    """Events are ``{X:SYM ...}`` on channel ``X.SYM``, others are talk; what has no ``[`` is opaque."""

    name = "letters"
    revision = 3

    def events(self, payload: bytes) -> Sequence[Event] | None:
        if not payload.startswith(b"["):
            return None
        return [
            Event(found.start(), found.end(), _channel(found[0]))
            for found in re.finditer(rb"\{[^}]*\}", payload)
        ]

    def index(self, payloads: Sequence[bytes]) -> Index | None:
        return None

    def holdings(self, sender: Sender, payload: bytes) -> Sequence[Holding]:
        if sender is Sender.CLIENT:
            return []
        changes = re.findall(rb"\{status ([+-])(\S+)\}", payload)
        return [Holding(channel.decode(), sign == b"+") for sign, channel in changes]


def _channel(event: bytes) -> str:
    found = re.match(rb"\{(\w):(\w+)", event)
    return f"{found[1].decode()}.{found[2].decode()}" if found else STATUS


class OpenDoor:
    """A redactor that finds nothing."""

    def __init__(self) -> None:
        self.redactions: dict[str, dict[str, int]] = {}

    def clean(self, record: Record) -> Record:
        return record

    def clean_header(self, header: Header) -> Header:
        return header


@pytest.fixture(scope="session")
def letters() -> SimpleNamespace:
    """``letters.indexer`` and ``letters.door()``."""
    return SimpleNamespace(indexer=LetterIndexer(), door=OpenDoor)


class Story:
    """The records of a little recording in the making; sequences count up by themselves."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    @property
    def seq(self) -> int:
        return len(self.records)

    def opens(self, track: int, at: int, market: str = "stocks", feed: str = "socket") -> None:
        self.records.append(TrackOpened(self.seq, at, track, market, feed))

    def closes(self, track: int, at: int, code: int | None = None) -> None:
        self.records.append(TrackClosed(self.seq, at, track, Sender.SERVER, code))

    def says(self, track: int, at: int, payload: str) -> None:
        self.records.append(Frame(self.seq, at, track, Sender.SERVER, TEXT, payload.encode()))

    def acks(self, track: int, at: int, *channels: str, verb: str = "subscribed") -> None:
        said = (
            f'{{"ev":"status","status":"success","message":"{verb} to: {channel}"}}' for channel in channels
        )
        self.says(track, at, f"[{','.join(said)}]")

    def trades(self, track: int, at: int, *symbols: str) -> None:
        said = (f'{{"ev":"T","sym":"{symbol}","t":{at}}}' for symbol in symbols)
        self.says(track, at, f"[{','.join(said)}]")

    def answers(self, at: int, url: str, body: bytes, status: int = 200) -> None:
        headers = ((b"Content-Type", b"application/json"),)
        self.records.append(
            Interaction(
                self.seq, at, at, at, self.seq, "GET", url, status, response_headers=headers, body=body
            )
        )


@pytest.fixture
def story() -> Story:
    """An empty recording to tell."""
    return Story()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Iterable[Record]], Cassette]]:
    """Seal records into a cassette of the Polygon dialect, and open it."""
    opened: list[Cassette] = []

    def make_cassette(records: Iterable[Record]) -> Cassette:
        path = tmp_path / f"{len(opened)}.cassette"
        header = Header(1_577_975_400_000_000_000, origins=("https://api.polygon.io",))
        recording = Recording.create(path, header, redactor=OpenDoor(), write_ahead=False)
        recording.append(records)
        recording.seal()
        opened.append(open_cassette(path))
        return opened[-1]

    yield make_cassette
    for cassette in opened:
        cassette.close()


@dataclass
class BothWays:
    """A service, directly and through a recorder: the ports, the cassette, what the recorder said."""

    direct: int
    through: int
    output: Path
    notices: list[Notice]


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def recorder_before(tmp_path: Path) -> Callable[[int], AbstractAsyncContextManager[BothWays]]:
    """Starts a recorder before the service on this port."""

    @asynccontextmanager
    async def started(port: int) -> AsyncIterator[BothWays]:
        output, notices = tmp_path / "x.cassette", list[Notice]()
        listening: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()

        def hear(notice: Notice) -> None:
            notices.append(notice)
            if isinstance(notice, Listening):
                listening.set_result(notice)

        upstream = f"127.0.0.1:{port}"
        options = Options(
            output, upstream_http=f"http://{upstream}", upstream_ws=f"ws://{upstream}", listen_port=0
        )
        recorder = Recorder(options, notify=hear)
        running = asyncio.ensure_future(recorder.run())
        async with asyncio.timeout(60):
            found = await listening
            yield BothWays(port, int(found.feed.rpartition(":")[2]), output, notices)
            recorder.request_stop()
            await running

    return started


@pytest.fixture
def both_ways(
    recorder_before: Callable[[int], AbstractAsyncContextManager[BothWays]],
) -> Callable[[Handler], AbstractAsyncContextManager[BothWays]]:
    """Starts a service of bare sockets, and a recorder before it."""

    @asynccontextmanager
    async def started(handler: Handler) -> AsyncIterator[BothWays]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            finally:
                writer.close()

        async with (
            await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20) as server,
            recorder_before(server.sockets[0].getsockname()[1]) as ways,
        ):
            yield ways

    return started
