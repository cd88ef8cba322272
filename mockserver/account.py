"""What a report needs to know of one client: what it wanted where, and how far it came. Cursors throughout."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

BY_HAND_KEPT: Final = 8
"""Of the frames that a client was sent from outside the tape, so many are remembered."""

MISSTEPS_KEPT: Final = 1000
"""Of each client; a flood of them is counted, not kept."""


@dataclass(slots=True)
class Interval:
    """A channel was wanted from one cursor up to another (``None``: until the session ended)."""

    channel: str
    from_cursor: int
    to_cursor: int | None = None


@dataclass(slots=True)
class Sums:
    """What several clients come to together."""

    frames: int = 0
    wire_bytes: int = 0
    missteps_made: int = 0

    def add(self, account: Account) -> None:
        """One client more."""
        self.frames += account.frames
        self.wire_bytes += account.wire_bytes
        self.missteps_made += account.missteps_made


@dataclass(slots=True)
class Account:
    """The books of one client. ``joined`` is the cursor at which it came to the tape, ``cursor`` where it is now."""

    joined: int = 0
    intervals: list[Interval] = field(default_factory=list)
    missteps: list[tuple[str, str]] = field(default_factory=list)
    missteps_made: int = 0
    frames: int = 0
    wire_bytes: int = 0
    cursor: int = 0
    left: bool = False
    slow: bool = False
    not_waited_for: str | None = None
    """Why a wait for what it was sent ended without it (`tickdeck.mockserver.receipts.Unsettled`), if one did."""
    by_hand: deque[tuple[int, int, bytes]] = field(default_factory=lambda: deque(maxlen=BY_HAND_KEPT))
    """Cursor, position and wire of the frames that came from outside the tape."""
    _open: dict[str, Interval] = field(default_factory=dict)

    def subscribed(self, channels: Iterable[str], cursor: int) -> None:
        """These are wanted from a cursor on."""
        for channel in channels:
            interval = self._open[channel] = Interval(channel, cursor)
            self.intervals.append(interval)

    def unsubscribed(self, channels: Iterable[str], cursor: int) -> None:
        """These are no longer wanted from a cursor on."""
        for channel in channels:
            if (interval := self._open.pop(channel, None)) is not None:
                interval.to_cursor = cursor

    def misstep(self, kind: str, detail: str) -> None:
        """The client did what the service would not have answered."""
        self.missteps_made += 1
        if len(self.missteps) < MISSTEPS_KEPT:
            self.missteps.append((kind, detail))
