"""A client's WebSocket: the handshake and the reading side are aiohttp's, the writing side is the pump's.

aiohttp answers no ping and closes nothing here: whatever it wrote by itself could
land between the pieces of a large frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.options import SECOND
from tickdeck.mockserver.pump import Pump
from tickdeck.mockserver.reel import CLOSE, Ending
from tickdeck.mockserver.session import Session

LONGEST_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes in one client message; a longer one is answered with close code 1009."""

CLOSE_GRACE_NS: Final = 2 * SECOND
"""How long a client may take to answer the server's close frame."""

GOING_AWAY: Final = 1001
INTERNAL_ERROR: Final = 1011


class Connection:
    """One client's socket, from its handshake to its end."""

    def __init__(
        self,
        session: Session,
        *,
        clock: Clock,
        auth_timeout_ns: int,
        note: Callable[[Iterable[Entry]], None],
        on_idle: Callable[[Session], None],
        on_failure: Callable[[TickdeckError], None],
    ) -> None:
        self.session = session
        self.pump: Pump | None = None
        self._clock = clock
        self._auth_timeout_ns = auth_timeout_ns
        self._note = note
        self._on_idle = on_idle
        self._on_failure = on_failure
        self._transport: asyncio.Transport | None = None

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Speak with the client until one side ends it."""
        socket = web.WebSocketResponse(
            autoping=False, autoclose=False, compress=False, max_msg_size=LONGEST_MESSAGE
        )
        writer = await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        self._transport = transport
        self.pump = Pump(
            self.session,
            transport,
            drain=writer.drain,
            clock=self._clock,
            on_idle=lambda: self._on_idle(self.session),
        )
        self._note(self.session.open(self._clock.now_ns()))
        await self._converse(socket, self.pump)
        return socket

    def wake(self) -> None:
        """Something may be due."""
        if self.pump is not None:
            self.pump.wake()

    def end(self, ending: Ending) -> None:
        """End it from the server's side, behind all that is due."""
        try:
            self.session.drop(ending, self._clock.now_ns())
        except TickdeckError as error:
            self._break_off(error)
        self.wake()

    def cut_off(self) -> None:
        """End it now, whatever is unsent."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def has_read(self) -> bool:
        """Whether the tape's data for this client has left the process."""
        return self.session.has_read and (self.pump is None or self.pump.flushed)

    async def _converse(self, socket: web.WebSocketResponse, pump: Pump) -> None:
        pumping = asyncio.create_task(self._pump(pump))
        timer = self._clock.call_at(self._clock.now_ns() + self._auth_timeout_ns, self._auth_timed_out)
        by, code, reason = "client", None, ""
        try:
            last = await self._listen(socket, pump)
            if last.type is WSMsgType.CLOSE:
                code, reason = last.data or None, last.extra or ""
                self._answer_close(last.data)
            elif last.type is WSMsgType.ERROR:
                by, code, reason = "server", socket.close_code, str(last.data)
        except TickdeckError as error:
            self._break_off(error)
        finally:
            timer.cancel()
            pumping.cancel()
            await asyncio.wait([pumping])
            if self.session.ending is not None:
                by, code, reason = "server", self.session.ending.code, self.session.ending.reason
            self._note(self.session.left(self._clock.now_ns(), by=by, code=code, reason=reason))
            if self._transport is not None:
                self._transport.close()

    async def _listen(self, socket: web.WebSocketResponse, pump: Pump) -> WSMessage:
        """Take messages in until the last one: a close, an error, or the end of the connection."""
        while True:
            message = await socket.receive()
            now_ns = self._clock.now_ns()
            if message.type is WSMsgType.TEXT:
                self._note(self.session.receive(message.data.encode(), now_ns))
            elif message.type is WSMsgType.BINARY:
                self._note(self.session.receive_binary(message.data, now_ns))
            elif message.type is WSMsgType.PING:
                pump.pong(bytes(message.data))
            elif message.type is not WSMsgType.PONG:
                return message
            pump.wake()

    async def _pump(self, pump: Pump) -> None:
        try:
            ending = await pump.run()
        except ConnectionError:
            return  # the reading side sees the same loss, and says so
        except TickdeckError as error:
            self._break_off(error)
            return
        if ending.code is None:
            self._close()
        else:
            self._clock.call_at(self._clock.now_ns() + CLOSE_GRACE_NS, self._close)

    def _break_off(self, error: TickdeckError) -> None:
        """The tape cannot be read on: this client is told by the close code, everybody else by the report."""
        self.session.ending = Ending(INTERNAL_ERROR)
        if self._transport is not None:
            self._transport.write(frame_header(CLOSE, 2) + INTERNAL_ERROR.to_bytes(2, "big"))
        self._clock.call_at(self._clock.now_ns() + CLOSE_GRACE_NS, self._close)
        self._on_failure(error)

    def _close(self) -> None:
        """Close the socket behind what was written, without a close frame."""
        if self._transport is not None:
            self._transport.close()

    def _answer_close(self, code: int | None) -> None:
        if self._transport is None or self.session.ending is not None:
            return
        body = code.to_bytes(2, "big") if code else b""
        self._transport.write(frame_header(CLOSE, len(body)) + body)

    def _auth_timed_out(self) -> None:
        if self.session.timeline is None:
            self._note(self.session.auth_timed_out(self._clock.now_ns()))
            self.wake()
