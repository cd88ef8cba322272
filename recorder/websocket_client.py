"""The socket of the client mode: the protocol of `websockets`, which hides no frame, over a stream of asyncio.

Its asyncio client answers pings unseen and drops a connection at the first text that is no
UTF-8; the protocol under it gives every frame as it came, and leaves the sending to us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any, Final, NamedTuple, cast

from aiohttp import WebSocketError, WSMsgType
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus, WebSocketException
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response as HandshakeResponse
from websockets.protocol import State
from websockets.uri import parse_uri

from tickdeck.cassette.errors import RecordingError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.inflow import NO_CODE
from tickdeck.recorder.line import MAX_MESSAGE, Line
from tickdeck.recorder.route import advice, open_stream
from tickdeck.recorder.unfinished import FrameHeaders
from tickdeck.recorder.upstream import Response, UpgradeRefused, why

_READ: Final = 64 << 10
_LOG: Final = logging.getLogger("websockets.client")


class Came(NamedTuple):
    """What `Line` is given: a whole message, a ping, a pong or the end, in the terms of aiohttp."""

    type: WSMsgType
    data: bytes | bytearray | memoryview | int | WebSocketError | None = None
    extra: str = ""


_LOST: Final = Came(WSMsgType.CLOSED)


class Dialled:
    """A WebSocket connection to the service."""

    def __init__(
        self, protocol: ClientProtocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.request_headers: HeaderPairs = ()
        self.response_headers: HeaderPairs = ()
        self._protocol = protocol
        self._reader = reader
        self._writer = writer
        self._came: deque[Came] = deque()
        self._fragments: list[Frame] = []
        self._ended = False
        self._head: bytes | None = b""
        """Of the answer to the handshake, until all of it is here."""
        self._headers = FrameHeaders()

    def line(self, clock: Clock) -> Line:
        """What is said on it."""
        return Line(
            self, cast(asyncio.Transport, self._writer.transport), clock, masks=True, headers=self._headers
        )

    async def release(self) -> None:
        """Give back what the connection held, once it has ended."""
        self._writer.close()

    async def shake_hands(self, headers: HeaderPairs) -> None:
        """Become a WebSocket. InvalidHandshake when the service will not have it, OSError when it is gone."""
        request = self._protocol.connect()
        for name, value in headers:
            request.headers[name.decode()] = value.decode()
        self.request_headers = _pairs(request.headers)
        self._protocol.send_request(request)
        await self._flush()
        while not self.response_headers:
            await self._read()
            if self._protocol.handshake_exc is not None:
                raise self._protocol.handshake_exc

    async def receive(self) -> Came:
        """What came next; once it has ended, that it is lost."""
        while not self._came and not self._ended:
            try:
                await self._read()
            except OSError:
                self._ended = True
        return self._came.popleft() if self._came else _LOST

    async def send_frame(self, message: bytes, opcode: WSMsgType, compress: int | None = None) -> None:
        """Say this, if the connection still stands; ConnectionError when it is found to be gone.

        A ping is answered by the protocol; but that answer lies here until the pong is said,
        so that nothing goes out that is not kept.
        """
        if self._protocol.state is State.OPEN:
            match opcode:
                case WSMsgType.TEXT:
                    self._protocol.send_text(message)
                case WSMsgType.BINARY:
                    self._protocol.send_binary(message)
                case WSMsgType.PING:
                    self._protocol.send_ping(message)
                case WSMsgType.CLOSE if message:
                    close = Close.parse(message)
                    self._protocol.send_close(close.code, close.reason)
                case WSMsgType.CLOSE:
                    self._protocol.send_close()
        await self._flush()

    async def _read(self) -> None:
        data = await self._reader.read(_READ)
        if data:
            self._follow(data)
            self._protocol.receive_data(data)
        else:
            self._ended = True
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, HandshakeResponse):
                self.response_headers = _pairs(event.headers)
            elif isinstance(event, Frame):
                self._take(event)
        breach = self._protocol.parser_exc
        if breach is not None and not isinstance(breach, EOFError):
            await self._break_off(breach)

    def _follow(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            _, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = None
        self._headers.feed(data)

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.CLOSE:
                close = self._protocol.close_rcvd or Close.parse(bytes(frame.data))
                self._came.append(Came(WSMsgType.CLOSE, close.code, close.reason))
            case Opcode.PING | Opcode.PONG:
                self._came.append(Came(WSMsgType(frame.opcode), frame.data))
            case _:
                self._fragments.append(frame)
                if frame.fin:
                    parts, self._fragments = self._fragments, []
                    whole = parts[0].data if len(parts) == 1 else b"".join(part.data for part in parts)
                    self._came.append(Came(WSMsgType(parts[0].opcode), whole))

    async def _break_off(self, breach: Exception) -> None:
        """The service broke the protocol: the close frame that tells it so goes out, and that is all."""
        self._ended = True
        sent = self._protocol.close_sent
        self._came.append(Came(WSMsgType.ERROR, WebSocketError(sent.code if sent else NO_CODE, str(breach))))
        with contextlib.suppress(ConnectionError):
            await self._flush()

    async def _flush(self) -> None:
        # The end of the stream, which the protocol spells b"", is not sent: both sides go by `release`.
        self._writer.write(b"".join(self._protocol.data_to_send()))
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionError(why(error)) from error


async def dial(url: str, *, headers: HeaderPairs, clock: Clock, trust_env: bool = False) -> Dialled:
    """A WebSocket connection; UpgradeRefused, or RecordingError when there is no answer at all."""
    protocol = ClientProtocol(parse_uri(url), max_size=MAX_MESSAGE, logger=_Whole(_LOG, {}))
    place = protocol.uri
    origin = url.removesuffix(place.path)
    try:
        stream = await open_stream(place.host, place.port, secure=place.secure, trust_env=trust_env)
    except (OSError, ValueError) as error:
        raise RecordingError(
            f"could not reach {origin}: {why(error)}{advice(origin, trust_env=trust_env)}"
        ) from error
    dialled = Dialled(protocol, *stream)
    try:
        await dialled.shake_hands(headers)
    except InvalidStatus as refusal:
        await dialled.release()
        raise UpgradeRefused(_answer(refusal.response, clock.now_ns())) from refusal
    except (OSError, WebSocketException) as error:
        await dialled.release()
        raise RecordingError(
            f"could not reach {origin}: {_why_not(error)}{advice(origin, trust_env=trust_env)}"
        ) from error
    except BaseException:
        stream[1].transport.abort()
        raise
    return dialled


def _answer(response: HandshakeResponse, now_ns: int) -> Response:
    headers, body = _pairs(response.headers), bytes(response.body or b"")
    return Response(now_ns, now_ns, response.status_code, response.reason_phrase, headers, body, True)


def _why_not(error: OSError | WebSocketException) -> str:
    match error:
        case OSError():
            return why(error)
        case InvalidMessage() if isinstance(error.__cause__, EOFError):
            return "the connection was closed without an answer"
        case InvalidMessage():
            return "its answer is no HTTP"
        case _:
            return str(error).lower()


def _pairs(headers: Headers) -> HeaderPairs:
    return tuple((_raw(name), _raw(value)) for name, value in headers.raw_items())


def _raw(field: str) -> bytes:
    return field.encode("latin-1", "surrogateescape")


class _Whole(logging.LoggerAdapter[logging.Logger]):
    """Frames are logged whole and as text: of a secret that is cut, or in hex, redaction would see nothing."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        super().log(level, msg, *(_said(arg) if isinstance(arg, Frame) else arg for arg in args), **kwargs)


def _said(frame: Frame) -> str:
    whole = frame.fin and frame.opcode is not Opcode.CONT
    said = bytes(frame.data).decode("utf-8", "backslashreplace") if whole else "a fragment"
    return f"{frame.opcode.name} {said} [{len(frame.data)} bytes]"
