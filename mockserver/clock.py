"""The only clock of the mock server, and the only place that waits for one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager

from tickdeck.mockserver.waker import Alarm, Waker
from tickdeck.watch.realtime import REAL


class Turn:
    """Awaited, a turn of the loop: what ``asyncio.sleep(0)`` is, which a bot's test may have replaced."""

    def __await__(self) -> Generator[None]:
        yield


class Clock:
    """Nanoseconds of the machine's monotonic clock, and alarms on the running loop.

    The loop may be the user's, with the clock of a test: deadlines are never left to it.
    """

    def __init__(self, waker: Waker | None = None) -> None:
        self._waker = waker or Waker()
        self._loop = asyncio.get_running_loop()

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment; never steps back."""
        return REAL.monotonic_ns()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC: for people, never for deadlines."""
        return REAL.wall_ns()

    def program_wall_ns(self) -> int:
        """The same as the program sees it, whose test may have frozen or moved it: where "today" is the bot's."""
        return time.time_ns()

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        """Call back once ``now_ns()`` has reached ``when_ns``, never before."""
        return self._waker.call_at(when_ns, callback)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call back after everybody else had a turn."""
        self._loop.call_soon(callback)

    @asynccontextmanager
    async def within(self, span_ns: int) -> AsyncIterator[None]:
        """TimeoutError once the span has passed."""
        async with asyncio.timeout(None) as limit:
            alarm = self.call_at(self.now_ns() + span_ns, lambda: limit.reschedule(-math.inf))
            try:
                yield
            finally:
                alarm.cancel()

    async def sleep(self, span_ns: int) -> None:
        """Return once the span has passed."""
        passed = asyncio.Event()
        alarm = self.call_at(self.now_ns() + span_ns, passed.set)
        try:
            await passed.wait()
        finally:
            alarm.cancel()

    async def breathe(self) -> None:
        """Let the others run."""
        await Turn()

    def close(self) -> None:
        """Forget every alarm."""
        self._waker.close()
