"""Lockstep: the next frame goes when everybody has answered the ping behind the last one.

A pong says that the frame reached the client's library, which answers pings in the
order of what it reads; what the bot does with it is another matter. Who does not
answer in ten seconds has made a misstep, and is not waited for any longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PATIENCE_NS: Final = 10 * 1_000_000_000


class Lockstep:
    """Whose pong is waited for, by the number of the client, and how long at most."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[int, int]] = {}
        """Until when, and the place of the frame that is to be answered for."""

    @property
    def waiting(self) -> bool:
        """Whether anybody has yet to answer."""
        return bool(self._waiting)

    def waits_for(self, client: int) -> bool:
        """Whether this one has yet to answer."""
        return client in self._waiting

    @property
    def patience_ends_ns(self) -> int | None:
        """When the first of them has made a misstep."""
        return min((until_ns for until_ns, _ in self._waiting.values()), default=None)

    def expect(self, clients: Iterable[int], cursor: int, now_ns: int) -> None:
        """These are sent the frame at a cursor, and a ping behind it."""
        self._waiting.update((client, (now_ns + PATIENCE_NS, cursor)) for client in clients)

    def expects(self, client: int, cursor: int) -> bool:
        """Whether this client has yet to answer, and a ping sent at a cursor asks for that: it is behind the frame."""
        return client in self._waiting and self._waiting[client][1] < cursor

    def answered(self, client: int, cursor: int) -> None:
        """It has answered a ping that was sent at a cursor; one from before the frame says nothing of it."""
        if self.expects(client, cursor):
            del self._waiting[client]

    def forget(self, client: int) -> None:
        """It has gone."""
        self._waiting.pop(client, None)

    def impatient(self, now_ns: int) -> list[int]:
        """Who has not answered in time; they are waited for no more."""
        late = [client for client, (until_ns, _) in self._waiting.items() if now_ns >= until_ns]
        for client in late:
            del self._waiting[client]
        return late
