"""The only writer of a socket.

Data, acknowledgements, statuses, pongs and closes all pass here, so that each leaves
at the boundary of a frame. What is due goes out in as few writes as it takes; once
the socket takes no more the pump waits for it to drain, and the session's cursor lags
behind the tape meanwhile: beyond what was written nothing is buffered, however long a
client does not read.

`push` is called whenever something may be due: by an alarm, by what a client said, by
the socket when it has room again. It never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.records import PING, PONG
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.keeping import Witness
from tickdeck.mockserver.patience import LOOK_NS
from tickdeck.mockserver.reel import AT_ONCE, MOST, Batch, Ending
from tickdeck.mockserver.report import Lateness, TapeDigest
from tickdeck.mockserver.secure import unencrypted
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.waker import Alarm

PONGS_KEPT: Final = 64
"""Unsent pongs; RFC 6455 5.5.3 lets an endpoint answer only the latest ping."""

A_TURN: Final = 4 * AT_ONCE
"""Bytes for one client before the others have their turn."""

LARGE: Final = AT_ONCE // 4
"""Bytes from which a piece is written as it is: to join it with others would copy it."""


class Pump:
    """Moves one session's bytes to its socket.

    ``below`` is the connection under the encryption, where there is one; ``dress`` is how
    frames go out, where it is not as they are. ``drain`` returns once the socket has room.
    ``on_rest`` is told when nothing is due for now, ``on_stuck`` when the socket takes no
    more, ``on_end`` when the server has ended the connection, ``on_failure`` when the tape
    cannot be read. The ``witness`` keeps what was said, and how far the session has come.
    """

    def __init__(
        self,
        session: Session,
        transport: asyncio.Transport,
        *,
        below: asyncio.Transport | None = None,
        dress: Callable[[bytes | memoryview], bytes] | None = None,
        drain: Callable[[], Awaitable[None]],
        clock: Clock,
        on_rest: Callable[[], None],
        on_stuck: Callable[[], None],
        on_end: Callable[[Ending], None],
        on_failure: Callable[[TickdeckError], None],
        witness: Witness | None = None,
    ) -> None:
        self.digest = TapeDigest()
        self.lateness = Lateness()
        self._session = session
        self._transport = transport
        self._below = below or transport
        self._dress = dress
        self._drain = drain
        self._clock = clock
        self._on_rest = on_rest
        self._on_stuck = on_stuck
        self._on_end = on_end
        self._on_failure = on_failure
        self._witness = witness
        self._pongs: list[bytes] = []
        self._ping = b""
        self._alarm: Alarm | None = None
        self._look: Alarm | None = None
        self._draining: asyncio.Task[None] | None = None
        self._closed = False

    def pong(self, payload: bytes) -> None:
        """Answer a ping at the next boundary of a frame, ahead of any data."""
        self._pongs = [*self._pongs[-PONGS_KEPT + 1 :], frame_header(PONG, len(payload)) + payload]
        self.push()

    def ping(self, payload: bytes) -> None:
        """Ask for a pong at the next boundary of a frame; one that was not sent yet gives way to it."""
        self._ping = frame_header(PING, len(payload)) + payload
        self.push()

    @property
    def flushed(self) -> bool:
        """Whether everything written has left this process."""
        return not self._pongs and unencrypted(self._transport) + self._below.get_write_buffer_size() == 0

    @property
    def stuck(self) -> bool:
        """Whether the socket takes nothing more for now; one that is lost is not waited for."""
        return self._draining is not None and not self._draining.done()

    async def unstuck(self) -> None:
        """Until the socket has room, or is gone."""
        if self._draining is not None:
            await asyncio.wait([self._draining])

    def push(self) -> None:
        """Send what is due, as far as the socket takes it."""
        if self._closed or self._draining is not None or self._transport.is_closing():
            return
        try:
            self._push()
        except TickdeckError as error:
            self.close()
            self._on_failure(error)

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._look is not None:
            self._look.cancel()
        if self._draining is not None:
            self._draining.cancel()

    def _push(self) -> None:
        room = A_TURN
        while room > 0:
            parts, large, more, ending = self._gather()
            room -= self._write(parts) + self._write_large(large)
            if ending is not None:
                self.close()
                self._on_end(ending)
                return
            if self._transport.get_write_buffer_size() > 0:
                self._wait_for_room()
                return
            if not more:
                self._rest()
                self._look_below()
                return
            if not parts and not large:
                break  # a long stretch without anything for this client: it is looked through in turns
        self._clock.call_soon(self.push)

    def _write(self, parts: list[bytes | memoryview]) -> int:
        if not parts:
            return 0
        return self._write_large(parts[0] if len(parts) == 1 else b"".join(parts))

    def _write_large(self, wire: bytes | memoryview) -> int:
        if wire:
            self._transport.write(wire if self._dress is None else self._dress(wire))
        return len(wire)

    def _gather(self) -> tuple[list[bytes | memoryview], bytes | memoryview, bool, Ending | None]:
        """What is due now, up to one write: small pieces to be joined, and one large piece behind them.

        Also whether there may be more, and whether it is the end.
        """
        parts: list[bytes | memoryview] = [*self._pongs, self._ping] if self._ping else list(self._pongs)
        self._pongs, self._ping = [], b""
        room = AT_ONCE
        while room > 0:
            now_ns = self._clock.now_ns()
            batch = self._session.take(now_ns, limit=MOST)
            if batch is None:
                return parts, b"", False, None
            self._account(batch, now_ns)
            if batch.ending is None and len(batch.wire) >= LARGE:
                return parts, batch.wire, not self._session.caught_up, None
            if batch.wire:
                parts.append(batch.wire)
            room -= len(batch.wire)
            if batch.ending is not None:
                return parts, b"", False, batch.ending
            if self._session.caught_up:
                return parts, b"", False, None
            if not batch.wire:
                break
        return parts, b"", True, None

    def _account(self, batch: Batch, now_ns: int) -> None:
        if self._witness is not None:
            self._witness.took(batch, now_ns)
        if not batch.frames:
            return
        self.digest.update(batch.wire if batch.recorded is None else batch.recorded)
        deadline = self._session.deadline(batch)
        if deadline is not None:
            self.lateness.add(now_ns - deadline, batch.frames)

    def _wait_for_room(self) -> None:
        self._draining = asyncio.get_running_loop().create_task(self._drained())
        self._on_stuck()

    async def _drained(self) -> None:
        try:
            await self._drain()
        except ConnectionError:
            return  # the reading side sees the same loss, and says so
        self._draining = None
        self.push()

    def _rest(self) -> None:
        """Nothing is due: be called when something is."""
        wake_ns = self._session.wake_ns()
        if self._alarm is None or self._alarm.when_ns != wake_ns:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = None if wake_ns is None else self._clock.call_at(wake_ns, self._ring)
        self._on_rest()

    def _look_below(self) -> None:
        """What is encrypted may still lie in this process, and nothing says when it has left: look again."""
        if self._below is self._transport or self._look is not None:
            return
        if self._below.get_write_buffer_size():
            self._look = self._clock.call_at(self._clock.now_ns() + LOOK_NS, self._looked)

    def _looked(self) -> None:
        self._look = None
        self.push()

    def _ring(self) -> None:
        self._alarm = None
        self.push()
