"""The socket of the client mode against a server that is the protocol of `websockets` and nothing around it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tickdeck.cassette.errors import RecordingError
from tickdeck.cassette.records import BINARY, PING, PONG, TEXT
from tickdeck.recorder import websocket_client
from tickdeck.recorder.capture import Message
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.inflow import End
from tickdeck.recorder.line import Line
from tickdeck.recorder.upstream import UpgradeRefused
from tickdeck.recorder.websocket_client import Dialled, dial

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\n"


@contextlib.asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A server, until everyone who came has been seen off."""
    handlers: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.create_task(handle(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(10):
            await asyncio.gather(*handlers)


class Peer:
    """Accepts, sends these bytes in the same breath, and keeps every frame that it is sent."""

    def __init__(self, *said: bytes, hangs_up: bool = False) -> None:
        self.request: Request | None = None
        self.heard: list[tuple[Opcode, bytes]] = []
        self._said = said
        self._hangs_up = hangs_up

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        while data := await reader.read(1 << 16):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    self.request = event
                    protocol.send_response(protocol.accept(event))
                    writer.write(b"".join((*protocol.data_to_send(), *self._said)))
                    if self._hangs_up:
                        return
                elif isinstance(event, Frame):
                    self.heard.append((event.opcode, bytes(event.data)))


@contextlib.asynccontextmanager
async def connected(peer: Peer) -> AsyncIterator[tuple[Dialled, Line]]:
    async with serving(peer.answer) as origin:
        dialled = await dial(f"{origin}/stocks", headers=((b"User-Agent", b"x"),), clock=Clock())
        line = dialled.line(Clock())
        yield dialled, line
        await line.close(End(1000))
        await dialled.release()


async def come(line: Line) -> tuple[list[tuple[int, bytes]], End | None]:
    """What came until the end."""
    async with asyncio.timeout(10):
        await line.inflow.read()
        batch, end = await line.inflow.take()
    return [(each.opcode, each.payload) for each in batch], end


async def test_every_frame_is_a_message_and_fragments_are_one() -> None:
    peer = Peer(
        b"\x01\x02\xffa",  # text, to be continued
        b"\x89\x02hi",
        b"\x00\x01b",
        b"\x80\x01c",
        b"\x8a\x01p",
        b"\x82\x01\x00",
        b"\x88\x09\x0f\xa0restart",
    )
    async with connected(peer) as (_, line):
        said, end = await come(line)
    assert said == [(PING, b"hi"), (TEXT, b"\xffabc"), (PONG, b"p"), (BINARY, b"\x00")]
    assert end == End(4000, "restart")


async def test_a_ping_is_answered_when_that_is_said_and_once() -> None:
    peer = Peer(b"\x89\x011\x89\x012\x81\x01x")
    async with connected(peer) as (_, line):
        reading = asyncio.create_task(line.inflow.read())
        await asyncio.wait_for(line.inflow.take(), 10)
        assert peer.heard == []
        for payload in (b"1", b"2"):
            await line.send([Message(0, PONG, payload)])
        await line.send([Message(0, TEXT, b"hello"), Message(0, BINARY, b"\x00"), Message(0, PING, b"!")])
        reading.cancel()
    assert peer.heard == [
        (Opcode.PONG, b"1"),
        (Opcode.PONG, b"2"),
        (Opcode.TEXT, b"hello"),
        (Opcode.BINARY, b"\x00"),
        (Opcode.PING, b"!"),
        (Opcode.CLOSE, b"\x03\xe8"),
    ]


async def test_the_handshake_is_told_as_it_was_on_the_wire() -> None:
    peer = Peer()
    async with connected(peer) as (dialled, _):
        assert peer.request is not None
        assert peer.request.path == "/stocks"
        sent = tuple((name.encode(), value.encode()) for name, value in peer.request.headers.raw_items())
        assert dialled.request_headers == sent
        assert (b"Upgrade", b"websocket") in dialled.response_headers


async def test_a_close_without_a_code_and_one_that_never_comes() -> None:
    async with connected(Peer(b"\x88\x00")) as (_, line):
        assert await come(line) == ([], End(1005))
    async with connected(Peer(b"\x81\x01x", hangs_up=True)) as (_, line):
        assert await come(line) == ([(TEXT, b"x")], End(None))


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (b"\x81\x05hello", b"\x03\xf1", "4 bytes"),
        (b"\x83\x00", b"\x03\xea", "invalid opcode"),
        (b"\x88\x03\x03\xe8\xff", b"\x03\xef", "utf-8"),
    ],
)
async def test_a_breach_of_the_protocol_is_told_to_the_service_and_ends_it(
    said: bytes, code: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_client, "MAX_MESSAGE", 4)
    peer = Peer(b"\x81\x01x" + said)
    async with connected(peer) as (_, line):
        messages, end = await come(line)
    assert messages == [(TEXT, b"x")]
    assert end is not None
    assert end.code is None
    assert words in end.reason
    assert [(opcode, payload[:2]) for opcode, payload in peer.heard] == [(Opcode.CLOSE, code)]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "the connection was closed without an answer"),
        (b"hello\r\n\r\n", "its answer is no HTTP"),
        (UPGRADE + b"\r\n", "missing connection header"),
    ],
)
async def test_what_is_no_websocket_is_said_in_a_few_words(said: bytes, words: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    async with serving(answer) as origin:
        with pytest.raises(RecordingError) as raised:
            await dial(f"{origin}/stocks", headers=(), clock=Clock())
    assert str(raised.value) == f"could not reach {origin}: {words}"


async def test_a_refusal_carries_its_status_fields_and_body() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 No\r\nX-Note: caf\xe9\r\nContent-Length: 2\r\n\r\n{}")

    async with serving(answer) as origin:
        with pytest.raises(UpgradeRefused) as raised:
            await dial(f"{origin}/stocks", headers=(), clock=Clock())
    response = raised.value.response
    assert (response.status, response.reason, response.body) == (403, "No", b"{}")
    assert response.headers == ((b"X-Note", b"caf\xe9"), (b"Content-Length", b"2"))


async def test_a_line_of_the_log_holds_a_frame_whole_so_that_no_half_secret_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    long = b'["' + b"s" * 120 + b'"]'
    with caplog.at_level(logging.DEBUG, logger="websockets.client"):
        async with connected(
            Peer(b"\x81" + bytes([len(long)]) + long, b"\x01\x01a\x80\x01b", b"\x88\x00")
        ) as (
            _,
            line,
        ):
            await come(line)
    lines = [each.getMessage() for each in caplog.records if each.name == "websockets.client"]
    assert f"< TEXT {long.decode()} [124 bytes]" in lines
    assert "< TEXT a fragment [1 bytes]" in lines


def test_a_proxy_imports_no_client_of_sockets() -> None:
    shown = "import sys, tickdeck.recorder.run; print('websockets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False"
