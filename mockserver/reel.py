"""What one listener is sent: its cut of the tape, and how far it has come.

Pieces of tape are cut for its channels by `tickdeck.mockserver.cutter`. A `Reel` is one listener's
cursor, and the queue of things that must be said at a place on the tape: an
acknowledgement goes behind the data that was due when the client asked, and ahead
of the first frame that its new subscription lets through.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.cutter import Cut, Cutter

AT_ONCE = 64 * 1024
"""Bytes that go to a socket in one write, unless a single frame is larger."""

CLOSE = 8
MAX_REASON = 123
"""The opcode of a close frame, and the bytes of reason it has room for (RFC 6455 5.5)."""

PIECES_AT_ONCE = 8
"""How many pieces of tape are looked through for one batch."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The server ends the connection: with a close frame, or (``code`` is ``None``) without one."""

    code: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Bytes for the socket: whole frames, the first of which was due at ``position_ns``.

    ``frames`` counts frames of the tape; a status is none. With an ``ending`` it is
    the last batch.
    """

    wire: bytes
    frames: int
    position_ns: int
    ending: Ending | None = None


def _closing(ending: Ending) -> bytes:
    if ending.code is None:
        return b""
    reason = ending.reason.encode()[:MAX_REASON].decode(errors="ignore")  # never half a character
    body = ending.code.to_bytes(2, "big") + reason.encode()
    return frame_header(CLOSE, len(body)) + body


@dataclass(frozen=True, slots=True)
class Change:
    """Channels that a listener begins or ceases to want."""

    channels: tuple[str, ...]
    held: bool


class Reel:
    """One listener's cursor on a tape, with what is to be said on the way.

    ``cursor`` is the sequence of the next frame that may be sent: everything before
    it was sent or was not wanted.
    """

    def __init__(self, cutter: Cutter, *, cursor: int) -> None:
        self._cutter = cutter
        self._tape = cutter.tape
        self._wanted = Subscriptions()
        self._key: frozenset[str] | None = frozenset()
        self._said: deque[tuple[int, bytes | Change | Ending]] = deque()
        self._piece = self._tape.piece_of_seq(cursor)
        self._row = 0
        self._cut: Cut | None = None
        self.cursor = cursor

    def begin_at(self, cursor: int) -> None:
        """Stand at a place on the tape; before anything is wanted."""
        self.cursor = cursor
        self._piece, self._cut = self._tape.piece_of_seq(cursor), None

    def say(self, payload: bytes, *, at: int) -> None:
        """A text frame, behind all data before the cursor ``at`` and ahead of the rest."""
        self._said.append((self._not_before(at), frame_header(TEXT, len(payload)) + payload))

    def end(self, ending: Ending, *, at: int) -> None:
        """End the connection at the cursor ``at``, behind all that was said before."""
        self._said.append((self._not_before(at), ending))

    def change(self, channels: Iterable[str], *, held: bool, at: int) -> None:
        """From the cursor ``at`` on the listener wants these channels, or no longer does."""
        self._said.append((self._not_before(at), Change(tuple(channels), held)))

    def _not_before(self, at: int) -> int:
        return max(at, self.cursor, self._said[-1][0] if self._said else 0)

    @property
    def ended(self) -> bool:
        """Whether the tape is behind it and nothing is left to say."""
        return not self._said and self.cursor > self._tape.last_seq

    @property
    def channels(self) -> tuple[str, ...]:
        """What the listener wants at the cursor, in order of name."""
        return self._wanted.channels

    @property
    def idle(self) -> bool:
        """Whether it wants nothing now and has nothing to say."""
        return not self._said and not self._wanted.channels

    def take(self, until_seq: int, *, limit: int = AT_ONCE) -> Batch | None:
        """What may be sent while the playhead is at the cursor ``until_seq``, up to ``limit`` bytes.

        ``None`` when there is nothing; a batch without bytes when there may be more
        further on (a listener of a rare channel is not to hold up the others).
        """
        while True:
            until = min(until_seq, self._said[0][0]) if self._said else until_seq
            if (batch := self._data(until, limit)) is not None:
                return batch
            if not self._said or self._said[0][0] > self.cursor:
                return None
            _, thing = self._said.popleft()
            if isinstance(thing, bytes):
                return Batch(thing, 0, -1)
            if isinstance(thing, Ending):
                return Batch(_closing(thing), 0, -1, ending=thing)
            self._apply(thing)

    def due_ns(self) -> int | None:
        """A tape position before which there is nothing to send; ``None`` when there is nothing any more."""
        if not self._wanted_key() or self._piece >= self._tape.pieces:
            return None
        cut = self._current()
        if self._row < len(cut.seqs):
            return cut.positions[self._row]
        behind = self._piece + 1
        return self._tape.starts_at(behind) if behind < self._tape.pieces else None

    def _data(self, until: int, limit: int) -> Batch | None:
        for _ in range(PIECES_AT_ONCE):
            if self.cursor >= until:
                return None
            if self._piece >= self._tape.pieces or not self._wanted_key():
                self._pass(until)
                return None
            cut = self._current()
            if (behind := bisect_left(cut.seqs, until, lo=self._row)) > self._row:
                return self._slice(cut, behind, limit)
            if until < self._tape.seq_after(self._piece):
                self._pass(until)
                return None
            self._turn()
        return Batch(b"", 0, -1)

    def _slice(self, cut: Cut, behind: int, limit: int) -> Batch:
        row = self._row
        fits = bisect_right(cut.starts, cut.starts[row] + limit, lo=row) - 1
        self._row = behind = max(row + 1, min(behind, fits))
        self.cursor = cut.seqs[behind - 1] + 1
        return Batch(cut.wire[cut.starts[row] : cut.starts[behind]], behind - row, cut.positions[row])

    def _turn(self) -> None:
        self.cursor = max(self.cursor, self._tape.seq_after(self._piece))
        self._piece, self._cut = self._piece + 1, None

    def _pass(self, until: int) -> None:
        """Nothing more is wanted before ``until``."""
        self.cursor = until

    def _apply(self, change: Change) -> None:
        for channel in change.channels:
            if change.held:
                self._wanted.add(channel)
            else:
                self._wanted.discard(channel)
        self._key = None
        self._piece, self._cut = self._tape.piece_of_seq(self.cursor), None

    def _wanted_key(self) -> frozenset[str]:
        if self._key is None:
            self._key = frozenset(self._wanted.channels)
        return self._key

    def _current(self) -> Cut:
        if self._cut is None:
            self._cut = self._cutter.cut(self._piece, self._wanted_key())
            self._row = bisect_left(self._cut.seqs, self.cursor)
        return self._cut
