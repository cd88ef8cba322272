"""One socket of a recording: what came on it, and what goes out, on either side of aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Sequence
from typing import Any, Final, Protocol

from aiohttp import ClientError, WebSocketError, WSCloseCode, WSMsgType

from tickdeck.cassette.wire import frame_header
from tickdeck.recorder.capture import Message
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.inflow import LOST, NO_CODE, End, Inflow
from tickdeck.recorder.unfinished import FrameHeaders, Unfinished

MAX_MESSAGE: Final = 24 << 20
"""Bytes of one WebSocket message: what a row of a cassette holds; the services known send 1 MB at most."""

LAST_WORDS_NS: Final = SECOND_NS
"""How long the other side's good-bye is listened for once nothing more is kept."""

_OPCODES: Final = frozenset((WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG))


class Socket(Protocol):
    """What aiohttp's two kinds of WebSocket have in common."""

    async def receive(self) -> Any: ...

    async def send_frame(self, message: bytes, opcode: WSMsgType, compress: int | None = None) -> None: ...


class Line:
    """A WebSocket; ``masks`` where we are its client, ``headers`` follows the frames that come on it."""

    def __init__(
        self,
        socket: Socket,
        transport: asyncio.Transport | None,
        clock: Clock,
        *,
        masks: bool,
        headers: FrameHeaders | None = None,
    ) -> None:
        self.inflow = Inflow(self._receive)
        self._masks = masks
        self._socket = socket
        self._transport = transport
        self._clock = clock
        self._headers = headers
        self._whole = 0

    @property
    def unfinished(self) -> Unfinished | None:
        """The message that has come in part, behind all those that were received; as far as that is known."""
        headers = self._headers
        return headers.unfinished if headers is not None and headers.whole == self._whole else None

    async def _receive(self) -> Message | End:
        message = await self._socket.receive()
        if message.type in _OPCODES:
            self._whole += 1
            return Message(self._clock.now_ns(), int(message.type), bytes(message.data))
        if message.type is WSMsgType.CLOSE:
            self._whole += 1
            return End(message.data or NO_CODE, message.extra or "")
        if isinstance(message.data, WebSocketError):
            return End(None, self._breach(message.data))
        return LOST

    def _breach(self, error: WebSocketError) -> str:
        """Why a socket was given up, in words."""
        if error.code != WSCloseCode.MESSAGE_TOO_BIG:
            return str(error).lower()
        size = "" if self.unfinished is None else f" of {self.unfinished.size} bytes"
        return f"a message{size} is more than a recording holds ({MAX_MESSAGE} bytes)"

    async def send(self, batch: Sequence[Message]) -> None:
        """Pass these on; if the socket is gone its own reader will say so."""
        try:
            for _, opcode, payload in self._written_at_once(batch):
                await self._socket.send_frame(payload, WSMsgType(opcode))
        except (ClientError, ConnectionError):
            pass

    def _written_at_once(self, batch: Sequence[Message]) -> Sequence[Message]:
        """To a client, which is sent no masks, all but the last go by one write; the last one heeds the brakes."""
        if self._masks or len(batch) < 2 or self._transport is None or self._transport.is_closing():
            return batch
        wire: list[bytes] = []
        for _, opcode, payload in batch[:-1]:
            wire += (frame_header(opcode, len(payload)), payload)
        self._transport.write(b"".join(wire))
        return batch[-1:]

    async def close(self, end: End) -> None:
        """End this side as the other one ended."""
        if end.code is None:
            self.hang_up()
            return
        payload = b"" if end.code == NO_CODE else struct.pack("!H", end.code) + end.reason.encode()
        try:
            await self._socket.send_frame(payload, WSMsgType.CLOSE)
        except (ClientError, ConnectionError):
            pass  # it is closed already, which is what was wanted

    async def leave(self, end: End) -> None:
        """Close, and read on for the answer: what is not read when a socket goes can undo what was sent."""
        with contextlib.suppress(TimeoutError):
            await self._clock.within(LAST_WORDS_NS, self._closed_and_emptied(end))

    async def _closed_and_emptied(self, end: End) -> None:
        await self.close(end)
        while not isinstance(await self._receive(), End):
            pass

    def hang_up(self) -> None:
        """No close frame; but what was written before still goes out."""
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """At once, whatever is still to be written."""
        if self._transport is not None:
            self._transport.abort()
