"""The only writer of a socket.

Data, acknowledgements, statuses, pongs and closes all pass here, so that each leaves
at the boundary of a frame. What is due goes out in one write; when the socket is
full the pump waits for it to drain, and the session's cursor lags behind the tape
meanwhile: nothing is buffered beyond one write, however long a client does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tickdeck.cassette.records import PONG
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.reel import AT_ONCE, Batch, Ending
from tickdeck.mockserver.report import Lateness, TapeDigest
from tickdeck.mockserver.session import Session

PONGS_KEPT: Final = 64
"""Unsent pongs; RFC 6455 5.5.3 lets an endpoint answer only the latest ping."""


class Pump:
    """Moves one session's bytes to its socket."""

    def __init__(
        self,
        session: Session,
        transport: asyncio.Transport,
        *,
        drain: Callable[[], Awaitable[None]],
        clock: Clock,
        on_idle: Callable[[], None],
    ) -> None:
        self.digest = TapeDigest()
        self.lateness = Lateness()
        self._session = session
        self._transport = transport
        self._drain = drain
        self._clock = clock
        self._on_idle = on_idle
        self._awake = asyncio.Event()
        self._pongs: list[bytes] = []

    def wake(self) -> None:
        """Something may be due."""
        self._awake.set()

    def pong(self, payload: bytes) -> None:
        """Answer a ping at the next boundary of a frame, ahead of any data."""
        self._pongs = [*self._pongs[-PONGS_KEPT + 1 :], frame_header(PONG, len(payload)) + payload]
        self.wake()

    @property
    def flushed(self) -> bool:
        """Whether everything written has left this process."""
        return not self._pongs and self._transport.get_write_buffer_size() == 0

    async def run(self) -> Ending:
        """Send until the server ends the connection; cancelled when the client does."""
        while True:
            self._awake.clear()
            wire, more, ending = self._gather()
            if wire:
                self._transport.write(wire)
                await self._drain()
            if ending is not None:
                return ending
            if more:
                await self._clock.breathe()
            else:
                self._on_idle()
                await self._rest()

    def _gather(self) -> tuple[bytes, bool, Ending | None]:
        """All that is due now, up to one write; whether there may be more; whether it is the end."""
        parts, self._pongs = self._pongs, []
        room = AT_ONCE
        while room > 0:
            now_ns = self._clock.now_ns()
            batch = self._session.take(now_ns, limit=room)
            if batch is None:
                return b"".join(parts), False, None
            parts.append(batch.wire)
            room -= len(batch.wire)
            self._account(batch, now_ns)
            if batch.ending is not None:
                return b"".join(parts), False, batch.ending
            if not batch.wire:
                break
        return b"".join(parts), True, None

    def _account(self, batch: Batch, now_ns: int) -> None:
        if not batch.frames:
            return
        self.digest.update(batch.wire)
        timeline = self._session.timeline
        deadline = None if timeline is None else timeline.deadline(batch.position_ns)
        if deadline is not None:
            self.lateness.add(now_ns - deadline, batch.frames)

    async def _rest(self) -> None:
        """Until something is due, or somebody wakes us."""
        wake_ns = self._session.wake_ns()
        alarm = None if wake_ns is None else self._clock.call_at(wake_ns, self._awake.set)
        try:
            await self._awake.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
