"""A recording from its first byte to its seal: options, ends, failures, and what the report says."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tickdeck.cassette.disk import Disk
from tickdeck.cassette.errors import RecordingError, StorageError, UsageError
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import Anchor, Frame, Interaction, Source, TrackClosed
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.notices import Listening, Notice, Progress, Report
from tickdeck.recorder.run import Options, Recorder
from tickdeck.recorder.verdicts import NO_EVENTS, NOTHING

KEY = "a_key_of_32_characters_0123456789"
GREETING = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
TAKEN = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'
HELD = '[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]'
TRADE = '[{"ev":"T","sym":"MSFT","p":114.170}]'


class FullDisk(Disk):
    """A disk with room for so many more calls of write()."""

    def __init__(self, writes: int) -> None:
        self.writes = writes

    def write(self, descriptor: int, data: bytes) -> int:
        self.writes -= 1
        if self.writes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, data)


class Ear:
    """Hears notices, and waits for one."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self._news = asyncio.Event()

    def __call__(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._news.set()

    async def hears(self, kind: str) -> Notice:
        async with asyncio.timeout(10):
            while True:
                for notice in self.notices:
                    if notice.kind == kind:
                        return notice
                self._news.clear()
                await self._news.wait()


async def sell(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        await connection.send(GREETING)
        await connection.recv()
        await connection.send(TAKEN)
        await connection.recv()
        await connection.send(HELD)
        await connection.send(TRADE)
        await connection.wait_closed()


async def stay_silent(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        await connection.send(GREETING)
        await connection.recv()
        await connection.send(TAKEN)
        await connection.wait_closed()


async def refuse(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        await connection.send(GREETING)
        await connection.recv()
        words = f"no such key: {KEY}"
        await connection.send(f'[{{"ev":"status","status":"auth_failed","message":"{words}"}}]')
        connection.transport.close()


@contextlib.asynccontextmanager
async def sockets(handler: object = sell) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0) as server:  # type: ignore[arg-type]
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def rest(status: int = 200) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"error": "Unknown API Key"} if status == 401 else {}, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


NOWHERE = Options(
    output="x.cassette",
    upstream_http="http://127.0.0.1:9",
    upstream_ws="ws://127.0.0.1:9",
    listen_port=0,
    key=KEY,
)


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return replace(NOWHERE, output=tmp_path / "x.cassette")


def folder_of(options: Options) -> list[Path]:
    return list(Path(options.output).parent.iterdir())


def put(options: Options, data: bytes) -> None:
    Path(options.output).write_bytes(data)


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_as_a_proxy_it_listens_records_and_seals(options: Options, tmp_path: Path) -> None:
    ear = Ear()
    async with sockets() as ws, rest() as http:
        recorder = Recorder(replace(options, upstream_ws=ws, upstream_http=http, key=None), notify=ear)
        running = asyncio.create_task(recorder.run())
        listening = await ear.hears("listening")
        assert isinstance(listening, Listening)
        assert listening.feed == listening.ws.removeprefix("ws://")
        async with (
            aiohttp.ClientSession() as session,
            session.get(listening.http + "/v3?apiKey=" + KEY) as got,
        ):
            assert got.status == 200
        async with connect(listening.ws + "/stocks") as bot:
            assert await bot.recv() == GREETING
            await bot.send(f'{{"action":"auth","params":"{KEY}"}}')
            assert await bot.recv() == TAKEN
        await ear.hears("track_ended")
        recorder.request_stop()
        report = await asyncio.wait_for(running, 10)
    assert report.sealed
    assert (report.interactions, report.tracks, report.frames) == (1, 1, 3)
    assert report == ear.notices[-1]
    with open_cassette(options.output) as cassette:
        assert cassette.sealed
        assert cassette.header.source is Source.RECORDED
        assert cassette.header.origins == (http, ws)
        assert cassette.header.tool.startswith("tickdeck ")
        kinds = [type(record) for record in cassette.records()]
    assert kinds.count(Interaction) == 1
    assert kinds.count(Frame) == 3
    assert kinds[0] is Anchor
    assert KEY.encode() not in written(tmp_path)
    assert not any(KEY in str(notice) for notice in ear.notices)
    assert report.redactions


async def test_as_a_client_it_records_until_the_time_is_up(options: Options) -> None:
    ear = Ear()
    async with sockets() as ws, rest() as http:
        asked = replace(
            options,
            upstream_ws=ws,
            upstream_http=http,
            subscribe=("T.MSFT",),
            gets=("/v2/aggs/ticker/MSFT/prev",),
            for_ns=SECOND_NS // 2,
        )
        report = await asyncio.wait_for(Recorder(asked, notify=ear).run(), 10)
    assert (report.verdict, report.interactions, report.tracks) == ("", 1, 1)
    with open_cassette(options.output) as cassette:
        payloads = [record.payload for record in cassette.records() if isinstance(record, Frame)]
        (interaction,) = cassette.interactions()
    assert payloads[1] == b'{"action":"auth","params":"REDACTED-1"}'
    assert payloads[-1] == TRADE.encode()
    assert interaction.url.endswith("/v2/aggs/ticker/MSFT/prev")
    assert dict(interaction.request_headers)[b"Authorization"] == b"Bearer REDACTED-1"


async def test_a_wall_time_ends_it_too(options: Options) -> None:
    until = replace(options, key=None, until_wall_ns=Clock().wall_ns() + SECOND_NS // 10)
    report = await asyncio.wait_for(Recorder(until, notify=Ear()).run(), 10)
    assert report.verdict == NOTHING


async def test_with_paths_alone_it_ends_when_they_are_answered(options: Options) -> None:
    ear = Ear()
    async with rest() as http:
        asked = replace(options, upstream_http=http, gets=("/v1", "/v2"))
        report = await asyncio.wait_for(Recorder(asked, notify=ear).run(), 10)
    assert (report.interactions, report.verdict) == (2, "")
    assert [notice.kind for notice in ear.notices] == ["answered", "answered", "report"]


async def test_an_answer_that_breaks_off_is_said(options: Options) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        writer.close()

    ear = Ear()
    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        http = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        asked = replace(options, upstream_http=http, gets=("/v1",))
        report = await asyncio.wait_for(Recorder(asked, notify=ear).run(), 10)
    assert report.errors == 1
    assert ear.notices[1].values() == {"message": "the answer to GET /v1 broke off; what came of it is kept"}


async def test_no_event_by_the_end_is_a_verdict(options: Options) -> None:
    async with sockets(stay_silent) as ws:
        asked = replace(options, upstream_ws=ws, subscribe=("T.MSFT",), for_ns=SECOND_NS // 5)
        report = await asyncio.wait_for(Recorder(asked, notify=Ear()).run(), 10)
    assert report.verdict == NO_EVENTS
    assert report.sealed


async def test_a_refused_key_is_an_error_without_the_key_and_nothing_captured_is_lost(
    options: Options, tmp_path: Path
) -> None:
    ear = Ear()
    async with sockets(refuse) as ws:
        asked = replace(options, upstream_ws=ws, subscribe=("T.MSFT",))
        with pytest.raises(RecordingError, match="the service refused the key: no such key: REDACTED-1"):
            await asyncio.wait_for(Recorder(asked, notify=ear).run(), 10)
    report = ear.notices[-1]
    assert isinstance(report, Report)
    assert (report.sealed, report.verdict) == (True, "")
    with open_cassette(options.output) as cassette:
        assert [record.code for record in cassette.records() if isinstance(record, TrackClosed)] == [None]
    assert KEY.encode() not in written(tmp_path)


async def test_rest_that_refuses_the_key_ends_it_before_a_socket_is_opened(options: Options) -> None:
    async with rest(401) as http:
        asked = replace(options, upstream_http=http, gets=("/v1",), subscribe=("T.MSFT",))
        with pytest.raises(RecordingError, match="the service refused the key: Unknown API Key"):
            await asyncio.wait_for(Recorder(asked, notify=Ear()).run(), 10)
    with open_cassette(options.output) as cassette:
        assert [each.status for each in cassette.interactions()] == [401]


async def test_an_upstream_that_was_never_there_leaves_no_cassette(options: Options) -> None:
    with pytest.raises(RecordingError, match=r"could not reach ws://127\.0\.0\.1:9: connection refused"):
        await Recorder(replace(options, subscribe=("T.MSFT",)), notify=Ear()).run()
    assert folder_of(options) == []


async def test_replacing_keeps_the_old_cassette_when_nothing_came(options: Options, tmp_path: Path) -> None:
    put(options, b"old")
    asked = replace(options, subscribe=("T.MSFT",), replace=True)
    with pytest.raises(RecordingError):
        await Recorder(asked, notify=Ear()).run()
    assert written(tmp_path) == b"old"


async def test_an_existing_output_is_a_usage_error_and_stays(options: Options, tmp_path: Path) -> None:
    put(options, b"old")
    with pytest.raises(UsageError, match=r"x\.cassette exists already"):
        await Recorder(options, notify=Ear()).run()
    assert written(tmp_path) == b"old"


async def test_an_address_that_is_taken_is_a_usage_error(options: Options) -> None:
    async with rest() as http:
        port = int(http.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}: address already in use"):
            await Recorder(replace(options, listen_port=port), notify=Ear()).run()
    assert folder_of(options) == []


async def test_a_full_disk_stops_it_in_one_sentence_and_what_was_kept_can_be_read(options: Options) -> None:
    ear = Ear()
    async with sockets() as ws:
        asked = replace(options, upstream_ws=ws, subscribe=("T.MSFT",))
        with pytest.raises(
            StorageError,
            match=r"^cannot write .*: the disk is full; what was recorded until then is in x\.cassette\.part$",
        ):
            await asyncio.wait_for(Recorder(asked, notify=ear, disk=FullDisk(4)).run(), 10)
    report = ear.notices[-1]
    assert isinstance(report, Report)
    assert not report.sealed
    with open_cassette(options.output) as cassette:
        kept = [record.payload for record in cassette.records() if isinstance(record, Frame)]
    assert kept == [GREETING.encode()]


async def test_a_full_disk_stops_the_proxy_too(options: Options) -> None:
    ear = Ear()
    async with sockets() as ws:
        recorder = Recorder(replace(options, upstream_ws=ws), notify=ear, disk=FullDisk(3))
        running = asyncio.create_task(recorder.run())
        listening = await ear.hears("listening")
        assert isinstance(listening, Listening)
        async with connect(listening.ws + "/stocks") as bot:
            with pytest.raises(ConnectionClosed):
                await bot.recv()
        with pytest.raises(StorageError, match="the disk is full"):
            await asyncio.wait_for(running, 10)


async def test_cancelling_it_seals_too(options: Options) -> None:
    ear = Ear()
    async with rest() as http:
        running = asyncio.create_task(Recorder(replace(options, upstream_http=http), notify=ear).run())
        listening = await ear.hears("listening")
        assert isinstance(listening, Listening)
        async with aiohttp.ClientSession() as session, session.get(listening.http + "/v3") as got:
            await got.read()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    with open_cassette(options.output) as cassette:
        assert cassette.sealed


async def test_progress_is_told_once_a_second(options: Options) -> None:
    ear = Ear()
    recorder = Recorder(options, notify=ear)
    running = asyncio.create_task(recorder.run())
    progress = await ear.hears("progress")
    assert isinstance(progress, Progress)
    recorder.request_stop()
    await running
    assert progress.values() == {
        "frames": 0,
        "bytes": 0,
        "interactions": 0,
        "tracks": 0,
        "tracks_open": 0,
        "pauses": 0,
        "paused_seconds": 0.0,
        "journal_chunks": 0,
        "journal_most_chunks": 0,
        "journal_rows": 1,
        "journal_bytes": progress.flow.journal_bytes,
        "raw_bytes": 0,
        "written_bytes": 0,
        "compression": 0.0,
        "delay_p50_ns": 0,
        "delay_p99_ns": 0,
    }
    assert progress.flow.journal_bytes > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": None, "subscribe": ("T.MSFT",)}, "needs an API key"),
        ({"gets": ("v3/trades",)}, "is no path"),
        ({"subscribe": ("T.MSFT,Q.MSFT",)}, "a channel is"),
        (
            {"gets": ("https://api.massive.com/v3/trades?apiKey=SECRET",)},
            "'https://api.massive.com/v3/trades' is",
        ),
        ({"upstream_http": "ftp://x"}, "is no upstream"),
        ({"market": "bonds"}, "there is no market 'bonds'; there are stocks, options,"),
        ({"upstream_ws": None, "feed": "dealyed"}, "there is no feed 'dealyed'; there are socket, delayed,"),
    ],
)
async def test_options_that_make_no_sense_are_usage_errors(
    options: Options, change: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Recorder(replace(options, **change), notify=Ear())  # type: ignore[arg-type]


async def test_the_header_names_the_upstreams(options: Options) -> None:
    ear = Ear()
    recorder = Recorder(replace(options, upstream_http=None, upstream_ws=None, key=None), notify=ear)
    running = asyncio.create_task(recorder.run())
    await ear.hears("listening")
    with open_cassette(options.output) as cassette:
        assert cassette.header.origins == ("https://api.massive.com", "wss://socket.massive.com")
    recorder.request_stop()
    await running
