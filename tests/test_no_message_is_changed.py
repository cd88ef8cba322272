"""The same client and the same service on a WebSocket, put together directly and through the recorder.

Both are bare sockets that write RFC 6455 byte by byte, so that nothing answers a ping or tidies a close but the script
of a case. Compared is what each side was given: every message with its opcode and payload (in whatever fragments it
came), every control frame in its place, the close with code and reason, and whether the connection then ended.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import Frame, Sender, TrackClosed

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ANSWER_WITHIN_S = 30


class Wire(NamedTuple):
    """One frame of the protocol."""

    opcode: int
    payload: bytes = b""
    final: bool = True


def text(words: str) -> Wire:
    return Wire(TEXT, words.encode())


def close(code: int, reason: str = "") -> Wire:
    return Wire(CLOSE, struct.pack("!H", code) + reason.encode())


def fragments(opcode: int, *pieces: bytes, between: tuple[Wire, ...] = ()) -> list[Wire]:
    """One message, with these control frames after its first piece."""
    first, *others = (
        Wire(CONTINUATION if at else opcode, piece, final=at == len(pieces) - 1)
        for at, piece in enumerate(pieces)
    )
    return [first, *between, *others]


@dataclass(frozen=True)
class Case:
    """What each side says after the handshake; ``ends`` is who closes first, and ``None`` is a bare end of TCP."""

    service: tuple[Wire, ...] = ()
    client: tuple[Wire, ...] = ()
    ends: str = "service"
    closing: Wire | None = close(1000)  # noqa: RUF009 - it is a tuple
    answer: Wire = close(1000)  # noqa: RUF009

    @property
    def is_nothing(self) -> bool:
        """Whether the service says nothing at all, and nobody says anything to it."""
        ends_in_words = self.ends == "service" and self.closing is not None
        return not self.service and not self.client and not ends_in_words


TRADE = '[{"ev":"T","sym":"MSFT","x":4,"p":114.170,"s":2,"t":1536036818784}]'
CASES = {
    "talk": Case(
        (text('[{"ev":"status","status":"connected"}]'), text(TRADE), text(TRADE)),
        (text('{"action":"subscribe","params":"T.MSFT"}'),),
    ),
    "nothing": Case(),
    "empty messages": Case((text(""), Wire(BINARY)), (text(""), Wire(BINARY))),
    "binary": Case((Wire(BINARY, bytes(range(256))),), (Wire(BINARY, bytes(range(255, -1, -1))),)),
    "text that is no JSON": Case((text("né€🎉"), text("\0")), (text("né€🎉"),)),
    "every length form": Case(
        tuple(text("s" * size) for size in (125, 126, 127, 65535, 65536, 1_000_000)),
        tuple(text("c" * size) for size in (125, 126, 127, 65535, 65536, 1_000_000)),
    ),
    "many small ones": Case(tuple(text(f"{TRADE}{n}") for n in range(2000)), (text("x"),) * 500),
    "control frames": Case(
        (Wire(PING, b"are you there"), text("a"), Wire(PONG, b"unasked"), Wire(PING, b"p" * 125), Wire(PING)),
        (Wire(PONG, b"are you there"), Wire(PING), text("b"), Wire(PING, bytes(125)), Wire(PONG)),
    ),
    "fragments": Case(
        (*fragments(TEXT, b"one ", b"and ", b"two"), *fragments(BINARY, b"", b"\1")),
        (*fragments(TEXT, b"three ", b"", b"four"), *fragments(BINARY, b"\2", b"")),
    ),
    "a ping within a message": Case(
        tuple(fragments(TEXT, b"be", b"fore", between=(Wire(PING, b"!"), Wire(PONG, b"?")))),
        tuple(fragments(TEXT, b"be", b"hind", between=(Wire(PING, b"!"),))),
    ),
    "a character over two fragments": Case(tuple(fragments(TEXT, b"\xe2\x82", b"\xac"))),
    **{
        f"the service closes with {code}": Case(
            (text("last"),), closing=close(code, reason), answer=close(code)
        )
        for code, reason in (
            (1000, "bye"),
            (1001, ""),
            (1008, "max connections"),
            (1011, "é"),
            (4001, "x" * 123),
        )
    },
    "the service closes without a code": Case(closing=Wire(CLOSE), answer=Wire(CLOSE)),
    "the client answers with another code": Case(closing=close(1001), answer=close(1000, "as you like")),
    "the client closes": Case(
        (text("a"),), (text("done"),), ends="client", closing=close(1000, "bye"), answer=close(1000, "bye")
    ),
    "the client closes with its own code": Case(
        ends="client", closing=close(4444, "mine"), answer=close(4444, "mine")
    ),
    "the service is gone without a close": Case((text("last words"),), (text("a"),), closing=None),
    "the client is gone without a close": Case(
        (text("a"),), (text("last words"),), ends="client", closing=None
    ),
}


def packed(frame: Wire, *, masked: bool) -> bytes:
    size = len(frame.payload)
    short = size if size < 126 else 126 if size < 65536 else 127
    length = b"" if size < 126 else size.to_bytes(2 if size < 65536 else 8, "big")
    head = bytes((frame.final << 7 | frame.opcode, short | masked << 7)) + length
    if not masked:
        return head + frame.payload
    mask = os.urandom(4)
    return head + mask + unmasked(frame.payload, mask)


def unmasked(payload: bytes, mask: bytes) -> bytes:
    stretched = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(len(payload), "big")


async def unpacked(reader: StreamReader) -> Wire | None:
    """The next frame; ``None`` at the end of TCP."""
    try:
        first, second = await reader.readexactly(2)
        size = second & 127
        if size >= 126:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        mask = await reader.readexactly(4) if second & 128 else b""
        payload = await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Wire(first & 15, unmasked(payload, mask) if mask else payload, final=bool(first & 128))


async def given(
    reader: StreamReader, expected: int, has_heard: asyncio.Event, on_close: Callable[[], None]
) -> list[tuple[int, bytes]]:
    """Each message and control frame, whole, in the order in which they were complete, to the end of TCP."""
    found: list[tuple[int, bytes]] = []
    opcode, pieces = 0, list[bytes]()
    while True:
        if len(found) == expected:
            has_heard.set()
        frame = await unpacked(reader)
        if frame is None:
            return found
        if frame.opcode >= CLOSE:
            found.append((frame.opcode, frame.payload))
            if frame.opcode == CLOSE:
                on_close()
            continue
        opcode = frame.opcode or opcode
        pieces.append(frame.payload)
        if frame.final:
            found.append((opcode, b"".join(pieces)))
            pieces.clear()


async def converse(
    reader: StreamReader, writer: StreamWriter, case: Case, *, me: str
) -> list[tuple[int, bytes]]:
    """One side of the case: what it was given. The one that ends it waits until all was said."""
    masked = me == "client"
    mine, others = (case.client, case.service) if masked else (case.service, case.client)

    def on_close() -> None:
        if case.ends != me:
            writer.write(packed(case.answer, masked=masked))
        if me == "service":
            writer.close()

    has_heard = asyncio.Event()
    expected = sum(frame.final for frame in others)
    listening = asyncio.create_task(given(reader, expected, has_heard, on_close))
    for frame in mine:
        writer.write(packed(frame, masked=masked))
        await writer.drain()
    if case.ends == me:
        await has_heard.wait()
        if case.closing is not None:
            writer.write(packed(case.closing, masked=masked))
        else:
            writer.close()
    found = await listening
    writer.close()
    return found


class Service:
    """Accepts a handshake and plays its side."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.given: asyncio.Queue[list[tuple[int, bytes]]] = asyncio.Queue()
        self.asked: list[bytes] = []

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        [key] = [
            line.split(b": ")[1]
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        ]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\nX-Served-By: bare/1\r\nSet-Cookie: a=1\r\n\r\n"
        )
        self.given.put_nowait(await converse(reader, writer, self._case, me="service"))


async def ask(port: int, case: Case) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The head of the answer, and what the client was given."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /stocks?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nUser-Agent: bot/1\r\nx-ODD: 1\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" % (port, base64.b64encode(os.urandom(16)))
    )
    head = await reader.readuntil(b"\r\n\r\n")
    return head, await converse(reader, writer, case, me="client")


OF_ONE_CONNECTION = (b"host", b"connection", b"upgrade", b"sec-websocket")


def fields(head: bytes) -> list[bytes]:
    """The lines of a head but for those that each connection has for itself (and the offer of compression)."""
    first, *lines = head.strip().split(b"\r\n")
    return [first, *(line for line in lines if not line.lower().startswith(OF_ONE_CONNECTION))]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_each_side_is_given_through_the_recorder_what_it_is_given_without_it(
    both_ways: Callable[..., AbstractAsyncContextManager[Any]], case: Case
) -> None:
    service = Service(case)
    async with both_ways(service.serve) as ways, asyncio.timeout(ANSWER_WITHIN_S):
        answered, client_given = await ask(ways.direct, case)
        service_given = await service.given.get()
        answered_through, client_given_through = await ask(ways.through, case)
        assert client_given_through == client_given
        assert await service.given.get() == service_given
        assert fields(answered_through) == fields(answered)
        asked, asked_through = map(fields, service.asked)
        assert asked_through == asked
    if case.is_nothing:
        assert not ways.output.exists()
        return
    with open_cassette(ways.output) as cassette:
        records = list(cassette.records())
    for sender, came in ((Sender.SERVER, client_given), (Sender.CLIENT, service_given)):
        kept = [
            (each.opcode, each.payload)
            for each in records
            if isinstance(each, Frame) and each.sender is sender
        ]
        assert kept == [each for each in came if each[0] != CLOSE]
    [closed] = [each for each in records if isinstance(each, TrackClosed)]
    assert closed.by is (Sender.SERVER if case.ends == "service" else Sender.CLIENT)
    if case.closing is None:
        assert closed.code is None
    else:
        assert (closed.code, closed.reason) == _said(case.closing)


def _said(frame: Wire) -> tuple[int, str]:
    if not frame.payload:
        return 1005, ""
    return struct.unpack("!H", frame.payload[:2])[0], frame.payload[2:].decode()
