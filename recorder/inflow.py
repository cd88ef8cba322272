"""What comes in on a socket, in the batches in which it came.

One write to the cassette for each frame would do; one for everything that a single
read from the network brought is kinder to the disk. What the library has buffered is
gathered without waiting; then whoever takes it gets all of it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tickdeck.recorder.capture import Message

HELD_LIMIT: Final = 1 << 20
"""Bytes that came and were not taken; beyond it the socket is not read, and the sender has to wait."""

HELD_BY_ALL: Final = 1 << 20
"""Bytes that all sockets together may hold: what is taken in one turn of the loop is work of a fraction of a second."""

LEAST_HELD: Final = 4 << 10

MESSAGE_COST: Final = 256
"""Bytes that a message counts for beside its payload: small ones are most of the work."""

GOING_AWAY: Final = 1001
NO_CODE: Final = 1005


@dataclass(frozen=True, slots=True)
class End:
    """How one side ended: with a close frame, or (``code`` is ``None``) without."""

    code: int | None
    reason: str = ""


LOST: Final = End(None)


def share_of(sockets: int) -> int:
    """What one of so many sockets may hold."""
    return max(LEAST_HELD, min(HELD_LIMIT, HELD_BY_ALL // max(sockets, 1)))


class Inflow:
    """Reads one socket. ``receive`` gives the next message, or the end; ``limit`` is what may be held."""

    def __init__(self, receive: Callable[[], Awaitable[Message | End]]) -> None:
        self.limit = HELD_LIMIT
        self._receive = receive
        self._came: list[Message] = []
        self._size = 0
        self._stopped = False
        self._end: End | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def read(self) -> None:
        """Read until the socket ends, or until it is stopped."""
        while self._end is None and not self._stopped:
            came = await self._receive()
            if isinstance(came, End):
                self._end = came
            else:
                self._came.append(came)
                self._size += len(came.payload) + MESSAGE_COST
            self._news.set()
            if self._size > self.limit:
                self._room.clear()
                await self._room.wait()

    def stop(self) -> None:
        """Read no more: what is held can be taken, and that is the end. A signal handler may call it."""
        self._stopped = True
        self._news.set()
        self._room.set()

    async def take(self) -> tuple[list[Message], End | None]:
        """Everything that came since the last call, and the end if there is no more."""
        await self._news.wait()
        return self.held(), self._end or (End(GOING_AWAY) if self._stopped else None)

    def held(self) -> list[Message]:
        """What came and was not taken yet."""
        self._news.clear()
        batch, self._came = self._came, []
        self._size = 0
        self._room.set()
        return batch
