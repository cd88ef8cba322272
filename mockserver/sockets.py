"""A client's WebSocket: the handshake and the reading side are aiohttp's, the writing side is the pump's.

aiohttp answers no ping and closes nothing here: whatever it wrote by itself could
land between the pieces of a large frame.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from functools import partial
from typing import Final, Protocol

from aiohttp import WebSocketError, WSMessage, WSMsgType, hdrs, web

from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.choices import SlowClient
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.deflating import Agreement, agreed, deflated
from tickdeck.mockserver.handler import Handler
from tickdeck.mockserver.handshakes import ReadingSide
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.keeping import Witness
from tickdeck.mockserver.lingering import STALLED_NS, Delivery, untaken_of
from tickdeck.mockserver.listening import is_hung_up
from tickdeck.mockserver.loops import queues_writes
from tickdeck.mockserver.options import MILLISECOND, SECOND, PlayOptions
from tickdeck.mockserver.patience import Patience
from tickdeck.mockserver.playhead import Mode
from tickdeck.mockserver.pump import A_TURN, Pump
from tickdeck.mockserver.receipts import Recipient
from tickdeck.mockserver.reel import CLOSE, Ending
from tickdeck.mockserver.secure import hang_up, say_no_more, unencrypted
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.waker import Alarm

LONGEST_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes in one client message; a longer one is answered with close code 1009."""

CLOSE_GRACE_NS: Final = 2 * SECOND
"""How long a client may take to answer the server's close frame."""

UNREAD_NS: Final = 2 * SECOND
"""How long a client that has to go may take nothing of what was written."""

LOOK_AGAIN_NS: Final = 100 * MILLISECOND
"""How often a client whose socket is full is looked at."""

MOST_UNSAID: Final = 256 * 1024
"""Bytes of answers that wait for one client before it is not listened to any more."""

KERNEL_BYTES: Final = 256 * 1024
"""What the system may hold for one client (Linux doubles it, for its own bookkeeping)."""

GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
INTERNAL_ERROR: Final = 1011


class House(Protocol):
    """The server, as far as a connection needs it."""

    def note(self, entries: Iterable[Entry]) -> None:
        """Something happened."""
        ...

    def learn(self, text: str) -> None:
        """A client says this, which may hold a secret."""
        ...

    def remember(self, entries: Iterable[Entry]) -> None:
        """Something happened that is for the journal alone."""
        ...

    def rests(self, session: Session) -> None:
        """Nothing is due for this client now."""
        ...

    def failed(self, error: TickdeckError) -> None:
        """The tape cannot be read."""
        ...

    async def others_heard(self, newcomer: Connection) -> None:
        """Until those who hung up before a newcomer came have been noticed."""
        ...


class _Parting(asyncio.Protocol):
    """What is left of a connection that is to end: nothing more is heard, its end is handed on."""

    def __init__(self, before: asyncio.BaseProtocol) -> None:
        self._before = before

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        self._before.connection_lost(error)


class Connection:
    """One client's socket, from its handshake to its end."""

    def __init__(
        self,
        session: Session,
        *,
        clock: Clock,
        options: PlayOptions,
        house: House,
        witness: Witness | None = None,
    ) -> None:
        self.session = session
        self.recipient = Recipient(session)
        self.pump: Pump | None = None
        self._clock = clock
        self._options = options
        self._house = house
        self._witness = witness
        self._transport: asyncio.Transport | None = None
        self._below: asyncio.Transport | None = None
        self._handler: Handler | None = None

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Speak with the client until one side ends it."""
        socket = ReadingSide(autoping=False, autoclose=False, compress=False, max_msg_size=LONGEST_MESSAGE)
        if self._options.deflate:
            socket.agreement = agreed(",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ())))
        writer = await socket.prepare(request)
        handler, transport = request.protocol, request.transport
        if transport is None or not isinstance(handler, Handler) or handler.below is None:
            return socket
        self._handler, self._transport, self._below = handler, transport, handler.below
        handler.talks = True
        _keep_little(transport, secure=transport is not handler.below)
        self.pump = Pump(
            self.session,
            transport,
            below=handler.below,
            dress=_dress(socket.agreement),
            drain=writer.drain,
            clock=self._clock,
            on_rest=lambda: self._house.rests(self.session),
            on_stuck=self._look_whether_slow,
            on_end=self._ended,
            on_failure=self.break_off,
            witness=self._witness,
        )
        self.recipient.send_ping = self.pump.ping
        if self._witness is not None:
            self._witness.opened(request.raw_headers, self._clock.now_ns())
        self._house.note(self.session.open(self._clock.now_ns()))
        last = await self._converse(socket, self.pump)
        if request.transport is not None:  # it is lost else
            await self._part(request.transport, last)
        return socket

    def wake(self) -> None:
        """Something may be due."""
        if self.pump is not None:
            self.pump.push()

    def end(self, ending: Ending) -> None:
        """End it from the server's side, behind all that is due."""
        try:
            self.session.drop(ending, self._clock.now_ns())
        except TickdeckError as error:
            self.break_off(error)
        self.wake()

    def let_go(self) -> None:
        """It was told to go: that goes out, and whoever does not read it is cut off after a while."""
        self.wake()
        self._wait_for_taking(UNREAD_NS)

    def cut_off(self) -> None:
        """End it now, whatever is unsent."""
        if self._transport is not None and self._handler is not None:
            self._handler.delivery.untaken = left = self.untaken
            self._handler.is_cut = left > 0
            self._transport.abort()

    async def taken(self, stalled_ns: int) -> bool:
        """Until its client has taken all that was written; false if it takes nothing for so long."""
        end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def ended(taken: bool) -> None:
            if not end.done():
                end.set_result(taken)

        Patience(
            self._clock,
            untaken=lambda: 0 if end.done() else self.untaken,
            stalled_ns=stalled_ns,
            on_end=ended,
        )
        return await end

    @property
    def untaken(self) -> int:
        """Bytes that were written and that its client's system has not taken yet, as far as that is known."""
        if (
            self._transport is None
            or self._below is None
            or self._handler is None
            or self._handler.gone.is_set()
        ):
            return 0
        size = self._below.get_write_buffer_size()
        if self._transport is not self._below and not self._transport.is_closing():
            size += unencrypted(self._transport)
        return size + (untaken_of(self._below) or 0)

    @property
    def delivery(self) -> Delivery:
        """What became of what was written last; what is on its way, while it is connected."""
        if self._handler is None or self._below is None:
            return Delivery()
        if self._handler.gone.is_set() or untaken_of(self._below) is None:
            return self._handler.delivery
        return Delivery(self.untaken)

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

    def is_up_to(self, now_ns: int) -> bool:
        """Whether everything that is due by now has left the process."""
        if self.pump is None or self.session.never_up_to_date:
            return True
        return self.pump.flushed and self.session.is_up_to(now_ns)

    async def _converse(self, socket: web.WebSocketResponse, pump: Pump) -> WSMessage | None:
        timer = self._auth_timer()
        last: WSMessage | None = None
        pump.push()
        try:
            last = await self._listen(socket, pump)
        except TickdeckError as error:
            self.break_off(error)
        finally:
            if timer is not None:
                timer.cancel()
            pump.close()
            await pump.unstuck()
            if self._handler is not None and last is not None and last.type is WSMsgType.CLOSE:
                self._handler.talks = False
            by, code, reason = self._end_of(last)
            self.recipient.left(self._clock.now_ns())
            self._house.note(self.session.left(self._clock.now_ns(), by=by, code=code, reason=reason))
        return last

    def _auth_timer(self) -> Alarm | None:
        """The time to authenticate, which stands still where time does."""
        if self._options.speed.mode is Mode.STEP:
            return None
        return self._clock.call_at(self._clock.now_ns() + self._options.auth_timeout_ns, self._auth_timed_out)

    def _end_of(self, last: WSMessage | None) -> tuple[str, int | None, str]:
        """Who ended it, with which close code and reason, as far as the last message tells."""
        if (ending := self.session.ending) is not None:
            return "server", ending.code, ending.reason
        if last is None or last.type not in (WSMsgType.CLOSE, WSMsgType.ERROR):
            told = self.session.turned_out
            return ("client", None, "") if told is None else ("server", told.code, told.reason)
        if last.type is WSMsgType.CLOSE:
            return "client", last.data or NO_CODE, last.extra or ""
        code = last.data.code if isinstance(last.data, WebSocketError) else None
        breach = None if self._handler is None else self._handler.breach
        return "server", code, breach or str(last.data)

    async def _part(self, transport: asyncio.Transport, last: WSMessage | None) -> None:
        """Say what is left to say, and give the client time to read it."""
        assert self._handler is not None
        transport.set_protocol(_Parting(transport.get_protocol()))
        if self.session.ending is None and last is not None:
            transport.write(self._answer(last))
        if last is not None and last.type is WSMsgType.ERROR and self._below is not None:
            # to close on a message half read would reset the connection, close frame and all
            say_no_more(transport, self._below)
        elif transport is self._below:
            transport.close()
        if not await self.taken(UNREAD_NS):
            self.cut_off()
        elif last is None or last.type is not WSMsgType.ERROR:
            transport.close()  # over TLS a client that still talks behind our last word would be reset
        grace = self._clock.call_at(self._clock.now_ns() + CLOSE_GRACE_NS, transport.abort)
        try:
            await (
                self._handler.gone.wait()
            )  # over TLS the word of it may be on its way to the handler already
        finally:
            grace.cancel()

    async def _listen(self, socket: web.WebSocketResponse, pump: Pump) -> WSMessage:
        """Take messages in until the last one: a close, an error, or the end of the connection."""
        while True:
            message = await socket.receive()
            if self.session.timeline is None:
                await self._house.others_heard(self)
            now_ns = self._clock.now_ns()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self.recipient.heard(now_ns)
                if self._witness is not None:
                    self._witness.heard(message.type, message.data, now_ns)
            if message.type is WSMsgType.TEXT:
                if self.session.timeline is None or '"auth"' in message.data:
                    self._house.learn(message.data)
                self._house.note(self.session.receive(message.data.encode(), now_ns))
            elif message.type is WSMsgType.BINARY:
                self._house.note(self.session.receive_binary(message.data, now_ns))
            elif message.type is WSMsgType.PING:
                pump.pong(bytes(message.data))
                self._house.remember(self.session.pinged(now_ns))
            elif message.type is WSMsgType.PONG:
                if self.recipient.ponged(bytes(message.data), now_ns):
                    self._house.rests(self.session)
            else:
                return message
            pump.push()
            await self._room_to_answer(pump)

    async def _room_to_answer(self, pump: Pump) -> None:
        """Who asks without reading the answers is not listened to until it reads them."""
        while self.session.reel.said_bytes > MOST_UNSAID and pump.stuck:
            await pump.unstuck()

    def _ended(self, ending: Ending) -> None:
        if ending.code is None:
            self._close()
        else:
            self._clock.call_at(self._clock.now_ns() + CLOSE_GRACE_NS, self._close)

    def _look_whether_slow(self) -> None:
        """Look at a client whose socket is full, and again while it is."""
        if self._options.slow_client is SlowClient.WAIT or self.pump is None or not self.pump.stuck:
            return
        now_ns = self._clock.now_ns()
        if told := self.session.slow(now_ns):
            self._house.note(told)
            self.let_go()
        else:
            self._clock.call_at(now_ns + LOOK_AGAIN_NS, self._look_whether_slow)

    def break_off(self, error: TickdeckError) -> None:
        """The tape cannot be read on: this client is told by the close code, everybody else by the report."""
        if self.session.ending is not None and self.session.ending.code == INTERNAL_ERROR:
            return
        self.session.ending = Ending(INTERNAL_ERROR)
        if self._transport is not None:
            self._transport.write(frame_header(CLOSE, 2) + INTERNAL_ERROR.to_bytes(2, "big"))
        self._clock.call_at(self._clock.now_ns() + CLOSE_GRACE_NS, self._close)
        self._house.failed(error)

    def _close(self) -> None:
        """Close the socket behind what was written, without a close frame."""
        if self._transport is not None and self._below is not None:
            hang_up(self._transport, self._below)
            self._wait_for_taking(STALLED_NS)

    def _wait_for_taking(self, stalled_ns: int) -> None:
        """Cut it off if its client takes nothing for so long of what was written."""
        Patience(
            self._clock,
            untaken=lambda: self.untaken,
            stalled_ns=stalled_ns,
            on_end=lambda taken: None if taken else self.cut_off(),
        )

    def _answer(self, last: WSMessage) -> bytes:
        """The close frame that answers the client's, or a message that broke the protocol."""
        _, code, _ = self._end_of(last)
        if code is None:
            return b""
        body = b"" if code == NO_CODE else code.to_bytes(2, "big")
        return frame_header(CLOSE, len(body)) + body

    def _auth_timed_out(self) -> None:
        if self.session.timeline is None:
            self._house.note(self.session.auth_timed_out(self._clock.now_ns()))
            self.wake()


def _dress(agreement: Agreement | None) -> partial[bytes] | None:
    """How frames go out: compressed as was agreed on, or as they are."""
    return None if agreement is None else partial(deflated, window_bits=agreement.window_bits)


def _keep_little(transport: asyncio.Transport, *, secure: bool) -> None:
    """Of what a client does not read, let the kernel hold little and the transport one write at most."""
    loop_queues_writes = queues_writes(asyncio.get_running_loop())
    # asyncio's TLS is full at its limit, TCP above it
    transport.set_write_buffer_limits(high=A_TURN if loop_queues_writes else int(secure), low=0)
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
