"""A client's WebSocket: the handshake and the reading side are aiohttp's, the writing side is the pump's.

aiohttp answers no ping and closes nothing here: whatever it wrote by itself could
land between the pieces of a large frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import WebSocketError, WSMessage, WSMsgType, web

from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.listening import is_hung_up
from tickdeck.mockserver.options import SECOND
from tickdeck.mockserver.pump import Pump
from tickdeck.mockserver.reel import CLOSE, Ending
from tickdeck.mockserver.session import Session

LONGEST_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes in one client message; a longer one is answered with close code 1009."""

CLOSE_GRACE_NS: Final = 2 * SECOND
"""How long a client may take to answer the server's close frame, and to read what was written before."""

GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
INTERNAL_ERROR: Final = 1011


class _ReadingSide(web.WebSocketResponse):
    """aiohttp's part of a socket, which says nothing by itself, not even at a broken message."""

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Leave that to the `Connection`."""
        return False


class _Parting(asyncio.Protocol):
    """What is left of a connection that is to end: nothing more is heard, and its end is known."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.gone = asyncio.Event()
        self._before = transport.get_protocol()
        transport.set_protocol(self)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        self._before.connection_lost(error)
        self.gone.set()


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
        others_heard: Callable[[Connection], Awaitable[None]],
    ) -> None:
        self.session = session
        self.pump: Pump | None = None
        self._clock = clock
        self._auth_timeout_ns = auth_timeout_ns
        self._note = note
        self._on_idle = on_idle
        self._on_failure = on_failure
        self._others_heard = others_heard
        self._transport: asyncio.Transport | None = None

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Speak with the client until one side ends it."""
        socket = _ReadingSide(autoping=False, autoclose=False, compress=False, max_msg_size=LONGEST_MESSAGE)
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
        last = await self._converse(socket, self.pump)
        if request.transport is not None:  # it is lost else
            await self._part(request.transport, last)
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
    def hung_up(self) -> bool:
        """Whether the client is gone and this was not noticed yet."""
        transport = self._transport
        if transport is None or self.session.account.left:
            return False
        return transport.is_closing() or is_hung_up(transport.get_extra_info("socket").fileno())

    @property
    def has_read(self) -> bool:
        """Whether the tape's data for this client has left the process."""
        return self.session.has_read and (self.pump is None or self.pump.flushed)

    async def _converse(self, socket: web.WebSocketResponse, pump: Pump) -> WSMessage | None:
        pumping = asyncio.create_task(self._pump(pump))
        timer = self._clock.call_at(self._clock.now_ns() + self._auth_timeout_ns, self._auth_timed_out)
        last: WSMessage | None = None
        try:
            last = await self._listen(socket, pump)
        except TickdeckError as error:
            self._break_off(error)
        finally:
            timer.cancel()
            pumping.cancel()
            await asyncio.wait([pumping])
            by, code, reason = self._end_of(last)
            self._note(self.session.left(self._clock.now_ns(), by=by, code=code, reason=reason))
        return last

    def _end_of(self, last: WSMessage | None) -> tuple[str, int | None, str]:
        """Who ended it, with which close code and reason, as far as the last message tells."""
        if (ending := self.session.ending) is not None:
            return "server", ending.code, ending.reason
        if last is None or last.type not in (WSMsgType.CLOSE, WSMsgType.ERROR):
            return "client", None, ""
        if last.type is WSMsgType.CLOSE:
            return "client", last.data or NO_CODE, last.extra or ""
        code = last.data.code if isinstance(last.data, WebSocketError) else None
        return "server", code, str(last.data)

    async def _part(self, transport: asyncio.Transport, last: WSMessage | None) -> None:
        """Say what is left to say, and give the client time to read it."""
        parting = _Parting(transport)
        if self.session.ending is None and last is not None:
            transport.write(self._answer(last))
        if last is not None and last.type is WSMsgType.ERROR and transport.can_write_eof():
            transport.write_eof()  # to close on a message half read would reset the connection, close frame and all
        else:
            transport.close()
        grace = self._clock.call_at(self._clock.now_ns() + CLOSE_GRACE_NS, transport.abort)
        try:
            await parting.gone.wait()
        finally:
            grace.cancel()

    async def _listen(self, socket: web.WebSocketResponse, pump: Pump) -> WSMessage:
        """Take messages in until the last one: a close, an error, or the end of the connection."""
        while True:
            message = await socket.receive()
            if self.session.timeline is None:
                await self._others_heard(self)
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

    def _answer(self, last: WSMessage) -> bytes:
        """The close frame that answers the client's, or a message that broke the protocol."""
        _, code, _ = self._end_of(last)
        if code is None:
            return b""
        body = b"" if code == NO_CODE else code.to_bytes(2, "big")
        return frame_header(CLOSE, len(body)) + body

    def _auth_timed_out(self) -> None:
        if self.session.timeline is None:
            self._note(self.session.auth_timed_out(self._clock.now_ns()))
            self.wake()
