"""Sockets through the recorder, between peers that nobody here wrote: `websockets` on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from http import HTTPStatus

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from tickdeck.cassette.errors import StorageError
from tickdeck.cassette.records import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Frame,
    Interaction,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.dialects.origins import Service
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.notices import Notice, Trouble
from tickdeck.recorder.proxy import Proxy
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.upstream import Upstream
from tickdeck.recorder.ways import Ways

Handler = Callable[[ServerConnection], Awaitable[None]]


class Kept:
    """A cassette that is a list; ``refuses`` a frame with this payload, as a full disk would."""

    def __init__(self, refuses: bytes | None = None) -> None:
        self.records: list[Record] = []
        self._refuses = refuses

    def append(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, Frame) and record.payload == self._refuses:
                raise StorageError("cannot write x.cassette: the disk is full")
            self.records.append(record)

    def of(self, kind: type[Record]) -> list[Record]:
        return [record for record in self.records if type(record) is kind]

    def frames(self) -> list[tuple[Sender, int, bytes]]:
        return [(each.sender, each.opcode, each.payload) for each in self.records if isinstance(each, Frame)]

    async def closed(self) -> TrackClosed:
        async with asyncio.timeout(10):
            while True:
                for record in self.records:
                    if isinstance(record, TrackClosed):
                        return record
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)


class Desk:
    """A recorder between a vendor and a bot."""

    def __init__(self, url: str, kept: Kept, notices: list[Notice], proxy: Proxy) -> None:
        self.url = url
        self.kept = kept
        self.notices = notices
        self.proxy = proxy


@contextlib.asynccontextmanager
async def recorder(ws: str, kept: Kept | None = None) -> AsyncIterator[Desk]:
    clock, kept, notices = Clock(), kept or Kept(), []
    upstream = Upstream(Ways("http://127.0.0.1:9", ws), clock=clock)
    intake = Intake(kept, clock, start_ns=clock.now_ns(), learner=ProfileLearner, secrets=Redactor(NO_PLACES))
    proxy = Proxy(
        upstream,
        intake,
        clock,
        service=Service(("http://127.0.0.1:9", ws), ()),
        market_of=lambda path: path.strip("/"),
        feed_of=lambda host: "delayed",
        notify=notices.append,
    )
    listening = await proxy.start("127.0.0.1", 0)
    try:
        yield Desk(listening.ws, kept, notices, proxy)
    finally:
        await proxy.stop()
        await upstream.close()


@contextlib.asynccontextmanager
async def between(handler: Handler, kept: Kept | None = None, **options: object) -> AsyncIterator[Desk]:
    async with (
        serve(handler, "127.0.0.1", 0, compression=None, ping_interval=None, **options) as server,  # type: ignore[arg-type]
        recorder(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", kept) as desk,
    ):
        yield desk


def bot(desk: Desk, **options: object) -> connect:
    return connect(f"{desk.url}/stocks", ping_interval=None, open_timeout=5, **options)  # type: ignore[arg-type]


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def test_subprotocols_that_nobody_agrees_on_reach_no_log(caplog: pytest.LogCaptureFixture) -> None:
    key = "bearer.Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"
    async with between(echo) as desk, bot(desk, subprotocols=[key]) as client:
        assert client.subprotocol is None
        await client.send("x")
        assert await client.recv() == "x"
    assert [line for line in caplog.records if line.name.startswith("aiohttp")] == []


async def test_text_and_binary_go_both_ways_and_are_kept_in_order() -> None:
    async with between(echo) as desk, bot(desk) as client:
        for message in ('{"p":114.170}', b"\x00\xff", "", "é" * 70_000):
            await client.send(message)
            assert await client.recv() == message
    said = [(TEXT, b'{"p":114.170}'), (BINARY, b"\x00\xff"), (TEXT, b""), (TEXT, "é".encode() * 70_000)]
    assert desk.kept.frames() == [
        (sender, opcode, payload) for opcode, payload in said for sender in (Sender.CLIENT, Sender.SERVER)
    ]


async def test_the_handshake_is_kept_without_the_addresses_of_the_recorder() -> None:
    async with between(echo) as desk, bot(desk, additional_headers={"X-Bot": "7"}) as client:
        await client.close()
        (opened,) = desk.kept.of(TrackOpened)
    assert isinstance(opened, TrackOpened)
    assert (opened.track, opened.market, opened.feed) == (0, "stocks", "delayed")
    assert opened.url.endswith("/stocks")
    assert (b"X-Bot", b"7") in opened.request_headers
    assert desk.url.removeprefix("ws://").encode() not in dict(opened.request_headers)[b"Host"]
    assert (b"Upgrade", b"websocket") in opened.response_headers


async def test_pings_and_pongs_go_from_end_to_end() -> None:
    asked = asyncio.Event()

    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping(b"from the vendor"))
        asked.set()
        await connection.wait_closed()

    async with between(ping) as desk, bot(desk) as client:
        await asyncio.wait_for(await client.ping(b"from the bot"), 5)
        await asyncio.wait_for(asked.wait(), 5)
    assert set(desk.kept.frames()) == {
        (Sender.SERVER, PING, b"from the vendor"),
        (Sender.CLIENT, PONG, b"from the vendor"),
        (Sender.CLIENT, PING, b"from the bot"),
        (Sender.SERVER, PONG, b"from the bot"),
    }


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1008, "too many"), (4001, "é")])
async def test_a_close_by_the_vendor_arrives_with_code_and_reason(code: int, reason: str) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.send("last")
        await connection.close(code, reason)

    async with between(close) as desk, bot(desk) as client:
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosed) as raised:
            await client.recv()
        closed = await desk.kept.closed()
    assert raised.value.rcvd is not None
    assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (code, reason)
    assert (closed.by, closed.code, closed.reason) == (Sender.SERVER, code, reason)


async def test_a_close_by_the_bot_arrives_with_code_and_reason() -> None:
    seen: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def listen(connection: ServerConnection) -> None:
        await connection.wait_closed()
        seen.set_result((connection.close_code or 0, connection.close_reason or ""))

    async with between(listen) as desk:
        async with bot(desk) as client:
            await client.close(4007, "enough")
        assert client.close_code == 4007
        assert await asyncio.wait_for(seen, 5) == (4007, "enough")
        closed = await desk.kept.closed()
    assert (closed.by, closed.code, closed.reason) == (Sender.CLIENT, 4007, "enough")


async def test_a_close_without_a_code_stays_one() -> None:
    async def close(connection: ServerConnection) -> None:
        connection.transport.write(b"\x88\x00")
        await connection.wait_closed()

    async with between(close) as desk, bot(desk) as client:
        with pytest.raises(ConnectionClosed) as raised:
            await client.recv()
        closed = await desk.kept.closed()
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1005
    assert (closed.by, closed.code) == (Sender.SERVER, 1005)


async def test_what_the_vendor_said_before_it_dropped_the_line_arrives_and_the_drop_is_a_drop() -> None:
    async def drop(connection: ServerConnection) -> None:
        await connection.send("auth_failed")
        connection.transport.close()

    async with between(drop) as desk, bot(desk) as client:
        assert await client.recv() == "auth_failed"
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        closed = await desk.kept.closed()
    assert raised.value.rcvd is None
    assert (closed.by, closed.code) == (Sender.SERVER, None)


async def test_a_bot_that_vanishes_is_lost_to_the_vendor_without_a_close() -> None:
    seen: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def listen(connection: ServerConnection) -> None:
        try:
            await connection.recv()
        except ConnectionClosed as closed:
            seen.set_result(closed.rcvd)

    async with between(listen) as desk:
        client = await bot(desk)
        client.transport.abort()
        assert await asyncio.wait_for(seen, 5) is None
        closed = await desk.kept.closed()
        await client.wait_closed()
    assert (closed.by, closed.code) == (Sender.CLIENT, None)


async def test_frames_on_the_way_while_the_bot_closes_are_still_kept_and_passed_on() -> None:
    async def talk_on(connection: ServerConnection) -> None:
        # A bare peer: it answers the close only after it has said what it still had to say.
        await connection.recv()
        connection.transport.write(b"\x81\x04late\x88\x02\x03\xe8")
        await connection.wait_closed()

    async with between(talk_on) as desk, bot(desk) as client:
        await client.send("bye")
        await client.close()
        closed = await desk.kept.closed()
    assert desk.kept.frames() == [(Sender.CLIENT, TEXT, b"bye"), (Sender.SERVER, TEXT, b"late")]
    assert closed.code == 1000


async def test_a_frame_that_cannot_be_kept_is_not_passed_on() -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send("kept")
        await connection.recv()
        await connection.send("lost")
        await connection.wait_closed()

    async with between(talk, Kept(refuses=b"lost")) as desk, bot(desk) as client:
        assert await client.recv() == "kept"
        await client.send("go on")
        with pytest.raises(ConnectionClosedError):
            await client.recv()
    assert desk.kept.frames() == [(Sender.SERVER, TEXT, b"kept"), (Sender.CLIENT, TEXT, b"go on")]


async def test_what_the_bot_says_is_not_passed_on_either_unless_it_is_kept() -> None:
    heard: list[str | bytes] = []

    async def listen(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            heard.append(await connection.recv())
            await connection.send("heard")
            heard.append(await connection.recv())

    async with between(listen, Kept(refuses=b"lost")) as desk, bot(desk) as client:
        await client.send("kept")
        await client.recv()
        await client.send("lost")
        with pytest.raises(ConnectionClosedError):
            await client.recv()
    assert heard == ["kept"]


async def test_compression_is_declined_on_both_sides() -> None:
    async with between(echo) as desk, bot(desk, compression="deflate") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        (opened,) = desk.kept.of(TrackOpened)
    assert isinstance(opened, TrackOpened)
    assert b"sec-websocket-extensions" not in {name.lower() for name, _ in opened.request_headers}


async def test_the_subprotocol_that_the_vendor_chose_is_the_bots() -> None:
    async with (
        between(echo, subprotocols=["v2"]) as desk,
        bot(desk, subprotocols=["v1", "v2"]) as client,
    ):
        assert client.subprotocol == "v2"


async def test_a_refused_upgrade_is_kept_as_a_request_and_given_as_it_came() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus.UNAUTHORIZED, "Unknown API Key")
        response.headers["X-Request-Id"] = "0" * 32
        return response

    async with between(echo, process_request=refuse) as desk:
        with pytest.raises(InvalidStatus) as raised:
            await bot(desk)
        (kept,) = desk.kept.of(Interaction)
    answered = raised.value.response
    assert (answered.status_code, answered.body) == (401, b"Unknown API Key")
    assert answered.headers["X-Request-Id"] == "0" * 32
    assert isinstance(kept, Interaction)
    assert (kept.status, kept.body, kept.complete) == (401, b"Unknown API Key", True)
    assert kept.url.startswith("ws://")
    assert not desk.kept.of(TrackOpened)


async def test_a_redirected_upgrade_is_given_as_it_came_and_not_followed() -> None:
    def redirect(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus.FOUND, "over there")
        response.headers["Location"] = "http://127.0.0.1:9/stocks"
        return response

    async with between(echo, process_request=redirect) as desk:
        reader, writer = await asyncio.open_connection(*desk.url.removeprefix("ws://").split(":"))
        writer.write(
            b"GET /stocks HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert await reader.readline() == b"HTTP/1.1 302 Found\r\n"
        assert b"Location: http://here/stocks\r\n" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    (kept,) = desk.kept.of(Interaction)
    assert isinstance(kept, Interaction)
    assert dict(kept.response_headers)[b"Location"] == b"http://127.0.0.1:9/stocks"


@pytest.mark.parametrize("key", [b"\xff\xff", b"short"])
async def test_a_websocket_key_that_is_none_is_refused_before_the_service_is_asked(key: bytes) -> None:
    async with recorder("ws://127.0.0.1:9") as desk:
        reader, writer = await asyncio.open_connection(*desk.url.removeprefix("ws://").split(":"))
        writer.write(
            b"GET /stocks HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        assert await reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"
        writer.close()
        await writer.wait_closed()


async def test_an_upstream_that_is_not_there_is_said_in_one_sentence_and_the_recorder_stays_up() -> None:
    async with recorder("ws://127.0.0.1:9") as desk:
        for _ in range(2):
            with pytest.raises(InvalidStatus) as raised:
                await bot(desk)
            assert raised.value.response.status_code == 502
            said = json.loads(raised.value.response.body or b"")
            assert said["error"] == "tickdeck could not reach ws://127.0.0.1:9: connection refused"
    assert [notice.kind for notice in desk.notices] == ["error", "error"]


async def test_when_the_recorder_stops_both_sides_are_told_that_it_goes_away() -> None:
    seen: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def listen(connection: ServerConnection) -> None:
        await connection.wait_closed()
        seen.set_result(connection.close_code)

    async with between(listen) as desk:
        client: ClientConnection = await bot(desk)
        await desk.proxy.stop()
        await client.wait_closed()
        assert client.close_code == 1001
        assert await asyncio.wait_for(seen, 5) == 1001
        closed = await desk.kept.closed()
    assert (closed.by, closed.code) == (None, 1001)


async def test_a_burst_is_passed_on_whole_to_a_bot_that_reads_slowly() -> None:
    frames = [f'[{{"ev":"T","i":{number}}}]' + " " * 1000 for number in range(5_000)]

    async def burst(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        await connection.close()

    async with between(burst) as desk, bot(desk, max_queue=1) as client:
        assert [message async for message in client] == frames
    assert [payload.decode() for _, _, payload in desk.kept.frames()] == frames


async def test_a_handshake_that_is_none_is_refused_before_the_vendor_hears_of_it() -> None:
    async with between(echo) as desk:
        reader, writer = await asyncio.open_connection(*desk.url.removeprefix("ws://").split(":"))
        writer.write(
            b"GET /stocks HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert not desk.kept.of(TrackOpened)


async def test_a_vendor_that_breaks_the_protocol_is_lost_to_the_bot() -> None:
    async def talk_nonsense(connection: ServerConnection) -> None:
        connection.transport.write(b"\x83\x00")
        await connection.wait_closed()

    async with between(talk_nonsense) as desk, bot(desk) as client:
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        closed = await desk.kept.closed()
    assert raised.value.rcvd is None
    assert (closed.by, closed.code) == (Sender.SERVER, None)


async def test_text_that_is_no_utf_8_goes_through_as_it_is() -> None:
    async def talk(connection: ServerConnection) -> None:
        connection.transport.write(b"\x81\x01\xff")
        await connection.wait_closed()

    async with between(talk) as desk, bot(desk) as client:
        assert await client.recv(decode=False) == b"\xff"
    assert desk.kept.frames() == [(Sender.SERVER, TEXT, b"\xff")]


async def test_two_bots_have_a_track_each() -> None:
    async with between(echo) as desk, bot(desk) as one, bot(desk) as other:
        await one.send("1")
        await one.recv()
        await other.send("2")
        await other.recv()
    tracks = [record.track for record in desk.kept.records if isinstance(record, Frame)]
    assert tracks == [0, 0, 1, 1]


HALF_A_TEXT = b"\x81\x7e\x03\xe8" + b"x" * 400
"""The header of a text of 1,000 bytes, and 400 of them."""


async def test_a_message_that_the_service_did_not_finish_is_noted_at_the_end_of_the_track() -> None:
    async def drop(connection: ServerConnection) -> None:
        await connection.send("whole")
        connection.transport.write(HALF_A_TEXT)
        connection.transport.close()

    async with between(drop) as desk, bot(desk) as client:
        assert await client.recv() == "whole"
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        closed = await desk.kept.closed()
    assert desk.kept.frames() == [(Sender.SERVER, TEXT, b"whole")]
    assert closed.reason == "a message of the service is not finished: opcode 1, 400 of 1000 bytes came"


async def test_it_is_noted_too_where_it_came_with_the_handshake_and_where_the_recorder_stops() -> None:
    here = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accepted = accept_key(key.partition(b":")[2].strip().decode()).encode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n\x81\x05whole" + HALF_A_TEXT
        )
        await here.wait()
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        recorder(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as desk,
        bot(desk) as client,
    ):
        assert await client.recv() == "whole"
        desk.proxy.close_sockets()
        closed = await desk.kept.closed()
        here.set()
    assert (closed.by, closed.code) == (None, 1001)
    assert closed.reason == "a message of the service is not finished: opcode 1, 400 of 1000 bytes came"


async def test_a_message_that_the_bot_did_not_finish_is_noted_too() -> None:
    async with between(echo) as desk:
        client = await bot(desk)
        client.transport.write(b"\x82\xff" + (70_000).to_bytes(8, "big") + b"mask" + b"x" * 30)
        client.transport.close()
        closed = await desk.kept.closed()
        await client.wait_closed()
    assert closed.by is Sender.CLIENT
    assert closed.reason == "a message of the client is not finished: opcode 2, 30 of 70000 bytes came"


async def test_a_message_larger_than_a_recording_holds_is_told_with_its_size_and_what_came_before_it_arrives() -> (
    None
):
    async def boast(connection: ServerConnection) -> None:
        await connection.send("before")
        connection.transport.write(b"\x82\x7f" + (40 << 20).to_bytes(8, "big") + b"x" * 1000)
        await connection.wait_closed()

    async with between(boast) as desk, bot(desk) as client:
        assert await client.recv() == "before"
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        closed = await desk.kept.closed()
    too_large = "a message of 41943040 bytes is more than a recording holds (25165824 bytes)"
    assert closed.reason.startswith(f"{too_large}; a message of the service is not finished: opcode 2, ")
    (trouble,) = [notice for notice in desk.notices if isinstance(notice, Trouble)]
    assert trouble.message == f"socket 0 (stocks): the service was given up: {too_large}"
