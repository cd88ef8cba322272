"""The only clock of the recorder, and the only place that waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from tickdeck.watch.realtime import REAL

SECOND_NS: Final = 1_000_000_000

_T = TypeVar("_T")


class Clock:
    """Nanoseconds of the monotonic clock, and deadlines on it."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment; never steps back."""
        return REAL.monotonic_ns()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC: for anchors and people, never for deadlines."""
        return REAL.wall_ns()

    async def wait_until(self, when_ns: int) -> None:
        """Return once ``now_ns()`` has reached ``when_ns``."""
        while (left_ns := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - the deadline is absolute
            await asyncio.sleep(left_ns / SECOND_NS)  # noqa: TID251 - this is the clock

    async def within(self, span_ns: int, awaitable: Awaitable[_T]) -> _T:
        """The result, or TimeoutError once the span has passed."""
        async with asyncio.timeout(span_ns / SECOND_NS):
            return await awaitable
