"""What one listener is sent: its cut of the tape, and how far it has come.

A frame of which a listener wants every event goes out as the bytes that were
recorded; a run of such frames is one slice. Of a frame that it wants only in part
the wanted events are copied, byte for byte, into a frame of their own. The event
index decides which is which: no JSON is read here.

A `Cut` is a piece of the tape for one set of channels. It does not depend on who
asks, so listeners of equal subscriptions share it. A `Reel` is one listener's
cursor, and the queue of things that must be said at a place on the tape: an
acknowledgement goes behind the data that was due when the client asked, and ahead
of the first frame that its new subscription lets through.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain

from tickdeck.cassette.chunks import Lane
from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.channels import wildcard_of
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.recent import Recent
from tickdeck.mockserver.tape import Run, Tape, View

AT_ONCE = 64 * 1024
"""Bytes that go to a socket in one write, unless a single frame is larger."""

CLOSE = 8
MAX_REASON = 123
"""The opcode of a close frame, and the bytes of reason it has room for (RFC 6455 5.5)."""

PIECES_AT_ONCE = 8
"""How many pieces of tape are looked through for one batch."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of tape for one set of channels: frame ``i`` is ``wire[starts[i]:starts[i + 1]]``."""

    seqs: Sequence[int]
    positions: Sequence[int]
    starts: Sequence[int]
    wire: bytes


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


class Cutter:
    """Cuts the pieces of a tape for sets of channels, and keeps the last few cuts."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._cuts: Recent[tuple[int, frozenset[str]], Cut] = Recent(64)

    def cut(self, number: int, wanted: frozenset[str]) -> Cut:
        """Piece ``number`` of the tape for the channels ``wanted`` (wildcards allowed)."""
        return self._cuts.get_or_make((number, wanted), lambda: self._make(number, wanted))

    def owned(self, view: View, run: Run) -> Iterator[tuple[str, Sequence[int]]]:
        """By channel, the events of a run that are on the tape (statuses are not), in order."""
        lane = run.lane
        first, last = lane.first_event[run.first], lane.first_event[run.last]
        whole = run.last - run.first == len(lane.seqs)
        for number, events in lane.postings.items():
            if channel := view.channels[number]:
                within = events if whole else events[bisect_left(events, first) : bisect_left(events, last)]
                yield channel, self._owned(lane, channel, within)

    def _make(self, number: int, wanted: frozenset[str]) -> Cut:
        view = self.tape.view(number)
        if self._all_wanted(view, wanted):
            return _whole(view)
        rows: list[int] = []
        frames: list[bytes] = []
        base = 0
        for run in view.runs:
            for row, events in _by_frame(run, self._ordinals(view, run, wanted)):
                rows.append(base + row - run.first)
                frames.append(_frame_of(run.lane, row, events))
            base += run.last - run.first
        return Cut(
            [view.seqs[row] for row in rows],
            [view.positions[row] for row in rows],
            list(accumulate(map(len, frames), initial=0)),
            b"".join(frames),
        )

    def _all_wanted(self, view: View, wanted: frozenset[str]) -> bool:
        if len(view.runs) != 1 or view.runs[0].last - view.runs[0].first != len(view.runs[0].lane.seqs):
            return False
        lane = view.runs[0].lane
        return all(
            wants(wanted, view.channels[channel])
            and not self.tape.ownership.excluded(lane.track, view.channels[channel])
            for channel in lane.postings
        )

    def _ordinals(self, view: View, run: Run, wanted: frozenset[str]) -> list[int]:
        """The wanted events of a run, in order."""
        lists = (events for channel, events in self.owned(view, run) if wants(wanted, channel))
        return sorted(chain.from_iterable(lists))

    def _owned(self, lane: Lane, channel: str, events: Sequence[int]) -> Sequence[int]:
        excluded = self.tape.ownership.excluded(lane.track, channel)
        if not excluded:
            return events
        return [
            event
            for event in events
            if not any(start <= lane.seqs[row_of(lane, event)] < end for start, end in excluded)
        ]


@lru_cache(maxsize=1 << 16)
def wants(wanted: frozenset[str], channel: str) -> bool:
    """Whether a set of channels lets an event through; a status (no channel) never is."""
    return channel != "" and (channel in wanted or wildcard_of(channel) in wanted)


def _closing(ending: Ending) -> bytes:
    if ending.code is None:
        return b""
    reason = ending.reason.encode()[:MAX_REASON].decode(errors="ignore")  # never half a character
    body = ending.code.to_bytes(2, "big") + reason.encode()
    return frame_header(CLOSE, len(body)) + body


def row_of(lane: Lane, event: int) -> int:
    """The frame of a lane that an event lies in."""
    return bisect_right(lane.first_event, event) - 1


def _by_frame(run: Run, events: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """The frames that the events lie in, each with its own."""
    at = 0
    while at < len(events):
        row = row_of(run.lane, events[at])
        behind = bisect_left(events, run.lane.first_event[row + 1], lo=at)
        yield row, events[at:behind]
        at = behind


def _frame_of(lane: Lane, row: int, events: Sequence[int]) -> bytes:
    if len(events) == lane.first_event[row + 1] - lane.first_event[row]:
        return lane.wire[lane.starts[row] : lane.starts[row + 1]]
    payload = b",".join(lane.wire[lane.event_starts[event] : lane.event_ends[event]] for event in events)
    return frame_header(TEXT, len(payload) + 2) + b"[" + payload + b"]"


def _whole(view: View) -> Cut:
    lane = view.runs[0].lane
    return Cut(view.seqs, view.positions, lane.starts, lane.wire)


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
