"""The only clock of the mock server, and the only place that waits for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tickdeck.mockserver.waker import Alarm, Waker


class Clock:
    """Nanoseconds of the monotonic clock, and alarms on the running loop."""

    def __init__(self, waker: Waker | None = None) -> None:
        self._waker = waker or Waker()
        self._loop = asyncio.get_running_loop()

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment; never steps back."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC: for people, never for deadlines."""
        return time.time_ns()

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        """Call back once ``now_ns()`` has reached ``when_ns``, never before."""
        return self._waker.call_at(when_ns, callback)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call back after everybody else had a turn."""
        self._loop.call_soon(callback)

    async def breathe(self) -> None:
        """Let the others run."""
        await asyncio.sleep(0)  # noqa: TID251 - no duration: a turn of the loop

    def close(self) -> None:
        """Forget every alarm."""
        self._waker.close()
