"""What one listener is sent: its cut of the tape, and how far it has come.

Pieces of tape are cut for its channels by `tickdeck.mockserver.cutter`. A `Reel` is one
listener's cursor, and the queue of things that must be said at a place on the tape: an
acknowledgement goes behind the data that was due when the client asked, and ahead
of the first frame that its new subscription lets through.

The way leads over the legs of a `Course`: at the end of one the reel turns to the next.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.course import Course, cursor_of, leg_of, seq_of
from tickdeck.mockserver.cutter import Cut, Cutter, WholeCut

AT_ONCE: Final = 64 * 1024
"""Bytes of small pieces that are joined to go to a socket in one write."""

MOST: Final = 5 * AT_ONCE
"""Bytes that are taken at once, unless a single frame is larger: there is room for a chunk."""

CLOSE: Final = 8
MAX_REASON: Final = 123
"""The opcode of a close frame, and the bytes of reason it has room for (RFC 6455 5.5)."""

PIECES_AT_ONCE: Final = 8
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
    the last batch. ``recorded`` are the bytes that the tape digest covers: those of
    the recording, where the tape is moved in time.
    """

    wire: bytes | memoryview
    frames: int
    position_ns: int
    ending: Ending | None = None
    recorded: bytes | memoryview | None = None


NOTHING_YET: Final = Batch(b"", 0, -1)
"""There may be more further on: a listener of a rare channel is not to hold up the others."""


@dataclass(frozen=True, slots=True)
class Change:
    """Channels that a listener begins or ceases to want."""

    channels: tuple[str, ...]
    held: bool


class Reel:
    """One listener's cursor on a tape, with what is to be said on the way.

    ``cursor`` is the place of the next frame that may be sent: everything before
    it was sent or was not wanted.
    """

    def __init__(self, cutter: Cutter, *, cursor: int, course: Course | None = None) -> None:
        self._cutter = cutter
        self._tape = cutter.tape
        self.course = course or Course()
        """The legs that it goes over."""
        self._wanted = Subscriptions()
        self._key: frozenset[str] | None = frozenset()
        self.turned: dict[int, int] = {}
        """By leg, the sequence at which it turned to the next, where that is not the leg's end."""
        self._said: deque[tuple[int, bytes | Change | Ending]] = deque()
        self._said_bytes = 0
        self._plays: tuple[tuple[int, frozenset[str]], bool] | None = None
        self._until = cursor + 1
        """The cursor up to which the tape could be taken when something last was."""
        self._stand(cursor)

    def begin_at(self, cursor: int, course: Course | None = None) -> None:
        """Stand at a place on the tape; before anything is wanted."""
        self.course = course or self.course
        self._stand(cursor)

    def _stand(self, cursor: int) -> None:
        self._leg, self._seq = leg_of(cursor), seq_of(cursor)
        self._piece, self._row = self._tape.piece_of_seq(self._seq), 0
        self._cut: Cut | None = None

    @property
    def cursor(self) -> int:
        """The place of the next frame."""
        return cursor_of(self._leg, self._seq)

    @property
    def said_bytes(self) -> int:
        """Bytes that wait to be said."""
        return self._said_bytes

    @property
    def said_until(self) -> int:
        """The place of the last thing that waits to be said; the cursor, if nothing does."""
        return self._said[-1][0] if self._said else self.cursor

    def say(self, payload: bytes, *, at: int) -> None:
        """A text frame, behind all data before the cursor ``at`` and ahead of the rest."""
        self.say_wire(frame_header(TEXT, len(payload)) + payload, at=at)

    def say_wire(self, wire: bytes, *, at: int) -> None:
        """The same for a whole frame as it crosses the wire."""
        self._said.append((self._not_before(at), wire))
        self._said_bytes += len(wire)

    def end(self, ending: Ending, *, at: int) -> None:
        """End the connection at the cursor ``at``, behind all that was said before."""
        self._said.append((self._not_before(at), ending))

    def end_here(self, ending: Ending, *, said: Iterable[bytes] = ()) -> None:
        """End the connection right here, with text frames before, ahead of all that waits to be sent or said."""
        frames = [frame_header(TEXT, len(payload)) + payload for payload in said]
        self._said.clear()
        self._said.extend((self.cursor, wire) for wire in frames)
        self._said.append((self.cursor, ending))
        self._said_bytes = sum(map(len, frames))

    def change(self, channels: Iterable[str], *, held: bool, at: int) -> None:
        """From the cursor ``at`` on the listener wants these channels, or no longer does."""
        self._said.append((self._not_before(at), Change(tuple(channels), held)))

    def _not_before(self, at: int) -> int:
        return max(at, self.cursor, self._said[-1][0] if self._said else 0)

    @property
    def ended(self) -> bool:
        """Whether the tape is behind it and nothing is left to say."""
        return not self._said and self._seq > self._tape.last_seq

    @property
    def channels(self) -> tuple[str, ...]:
        """What the listener wants at the cursor, in order of name."""
        return self._wanted.channels

    @property
    def idle(self) -> bool:
        """Whether it wants nothing now and has nothing to say."""
        return not self._said and not self._wanted_key()

    @property
    def wants(self) -> bool:
        """Whether it wants anything once all that it asked for has taken effect."""
        return bool(self._wanted_soon())

    def take(self, until: int, *, limit: int = MOST) -> Batch | None:
        """What may be sent while the playhead is at the cursor ``until``, up to ``limit`` bytes.

        ``None`` when there is nothing; `NOTHING_YET` when there may be more further on.
        """
        self._until = until
        while True:
            due = min(until, self._said[0][0]) if self._said else until
            if (batch := self._data(due, limit)) is not None:
                return batch
            if not self._said or self._said[0][0] > self.cursor:
                return None
            _, thing = self._said.popleft()
            if isinstance(thing, bytes):
                self._said_bytes -= len(thing)
                return Batch(thing, 0, -1)
            if isinstance(thing, Ending):
                return Batch(_closing(thing), 0, -1, ending=thing)
            self._apply(thing)

    @property
    def caught_up(self) -> bool:
        """Whether what was taken last was all that might be, and is not the end."""
        return not self._said and self._until <= self.cursor and self._seq <= self._tape.last_seq

    def due_ns(self) -> int | None:
        """A tape position before which there is nothing to send; ``None`` when there is nothing any more."""
        if not self._wanted_key() or self._piece >= self._tape.pieces:
            return None
        cut = self._current()
        if self._row < len(cut.seqs):
            return cut.positions[self._row] if cut.seqs[self._row] <= self._tape.last_seq else None
        behind = self._piece + 1
        return self._tape.starts_at(behind) if behind < self._tape.pieces else None

    def look_again(self) -> None:
        """The tape has been moved in time: what was cut of it before is no longer true."""
        self._cut = None

    def frame_at(self, seq: int) -> tuple[int, int] | None:
        """Sequence and position of the first frame, at or behind ``seq``, that it is sent with all it has asked for."""
        return self._first(seq, self._wanted_soon())

    def plays_from(self, seq: int) -> bool:
        """Whether anything that it wants now is on the tape at or behind ``seq``; looked up once for each answer."""
        key = (seq, self._wanted_key())
        if self._plays is None or self._plays[0] != key:
            self._plays = key, self._first(seq, key[1]) is not None
        return self._plays[1]

    def _first(self, seq: int, wanted: frozenset[str]) -> tuple[int, int] | None:
        for piece in range(self._tape.piece_of_seq(seq), self._tape.pieces) if wanted else ():
            cut = self._cutter.cut(piece, wanted)
            if (row := bisect_left(cut.seqs, seq)) < len(cut.seqs):
                return (cut.seqs[row], cut.positions[row]) if cut.seqs[row] <= self._tape.last_seq else None
        return None

    def backlog(self, until: int, *, most: int) -> int:
        """Bytes of data that are due at the cursor ``until`` and not taken; counted up to about ``most``."""
        behind = self._tape.last_seq + 1 if leg_of(until) > self._leg else seq_of(until)
        total = 0
        if not (wanted := self._wanted_key()):
            return total
        for piece in range(self._piece, min(self._piece + PIECES_AT_ONCE, self._tape.pieces)):
            cut = self._cutter.cut(piece, wanted)
            first = bisect_left(cut.seqs, self._seq)
            total += cut.starts[max(bisect_left(cut.seqs, behind), first)] - cut.starts[first]
            if total > most or behind <= self._tape.seq_after(piece):
                break
        return total

    def _data(self, until: int, limit: int) -> Batch | None:
        """Data before a cursor, over as many legs as it takes."""
        while self._leg < leg_of(until):
            end = self.course.end(self._leg, self._tape)
            if (batch := self._on_leg(end, limit)) is not None:
                return batch
            self._turn_to_next_leg()
        return self._on_leg(seq_of(until), limit)

    def _on_leg(self, until: int, limit: int) -> Batch | None:
        for _ in range(PIECES_AT_ONCE):
            if self._seq >= until:
                return None
            if self._piece >= self._tape.pieces or not self._wanted_key():
                self._seq = until
                return None
            cut = self._current()
            if until >= self._tape.seq_after(self._piece) and self._row == 0 and 0 < len(cut.wire) <= limit:
                return self._all_of(cut)
            if (batch := self._slice(cut, until, limit)) is not None:
                return batch
            if until < self._tape.seq_after(self._piece):
                self._seq = until
                return None
            self._next_piece()
        return NOTHING_YET

    def _all_of(self, cut: Cut) -> Batch:
        """A piece from its first frame to its last: its bytes as they are, and no look at any row of it."""
        position_ns = self._tape.starts_at(self._piece) if isinstance(cut, WholeCut) else cut.positions[0]
        self._next_piece()
        recorded = None if cut.recorded is None else cut.recorded.wire
        return Batch(cut.wire, cut.frames, position_ns, recorded=recorded)

    def _slice(self, cut: Cut, until: int, limit: int) -> Batch | None:
        row, starts = self._row, cut.starts
        behind = due = bisect_left(cut.seqs, until, lo=row)
        if behind <= row:
            return None
        if starts[behind] - starts[row] > limit:
            behind = max(row + 1, bisect_right(starts, starts[row] + limit, lo=row) - 1)
        self._row = behind
        all_due = behind == due and until < self._tape.seq_after(self._piece)
        self._seq = until if all_due else cut.seqs[behind - 1] + 1
        recorded = None if cut.recorded is None else _part(cut.recorded, row, behind)
        return Batch(_part(cut, row, behind), behind - row, cut.positions[row], recorded=recorded)

    def _next_piece(self) -> None:
        self._seq = max(self._seq, self._tape.seq_after(self._piece))
        self._piece, self._cut = self._piece + 1, None

    def _turn_to_next_leg(self) -> None:
        if self._seq != self.course.end(self._leg, self._tape):
            self.turned[self._leg] = self._seq
        self._stand(cursor_of(self._leg + 1, self.course.begin(self._leg + 1, self._tape)))

    def _apply(self, change: Change) -> None:
        _change(self._wanted, change)
        self._key = None
        self._piece, self._cut = self._tape.piece_of_seq(self._seq), None

    def _wanted_soon(self) -> frozenset[str]:
        """What it wants once all that it asked for has taken effect."""
        wanted = Subscriptions(self._wanted.channels)
        for _, thing in self._said:
            if isinstance(thing, Change):
                _change(wanted, thing)
        return frozenset(wanted.channels)

    def _wanted_key(self) -> frozenset[str]:
        if self._key is None:
            self._key = frozenset(self._wanted.channels)
        return self._key

    def _current(self) -> Cut:
        if self._cut is None:
            self._cut = self._cutter.cut(self._piece, self._wanted_key())
            at_start = self._seq <= self._tape.first_seq(self._piece)
            self._row = 0 if at_start else bisect_left(self._cut.seqs, self._seq)
            if self._piece + 1 < self._tape.pieces:
                self._tape.prepare(self._piece + 1)
        return self._cut


def _part(cut: Cut, row: int, behind: int) -> memoryview:
    return memoryview(cut.wire)[cut.starts[row] : cut.starts[behind]]


def _change(wanted: Subscriptions, change: Change) -> None:
    for channel in change.channels:
        if change.held:
            wanted.add(channel)
        else:
            wanted.discard(channel)


def _closing(ending: Ending) -> bytes:
    if ending.code is None:
        return b""
    reason = ending.reason.encode()[:MAX_REASON].decode(errors="ignore")  # never half a character
    body = ending.code.to_bytes(2, "big") + reason.encode()
    return frame_header(CLOSE, len(body)) + body
