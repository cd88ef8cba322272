"""What happened becomes records, here and nowhere else.

A recording has one order over everything: REST and all sockets draw their numbers
from the same sequence, and their offsets from the same clock. That only holds if
one place gives them out. It waits for nothing and reads no clock: the shells hand
in the bytes and the time at which they came, and take the records to the cassette.

The wording of the service (its greeting, its auth reply, how it frames its
acknowledgements) is learned on the way: whoever plays the cassette later speaks so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tickdeck.cassette.records import (
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    HeaderPairs,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.dialects.base import Learner

ANCHOR_EVERY_NS: Final = 60 * 1_000_000_000


class Message(NamedTuple):
    """One complete WebSocket message, and when it came (on the clock of the recording)."""

    at_ns: int
    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """A WebSocket connection that was made: ``market`` is its path, ``feed`` the host word."""

    market: str
    feed: str = ""
    url: str = ""
    request_headers: HeaderPairs = ()
    response_headers: HeaderPairs = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One REST request and its response, at clock times; ``body`` is as it crossed the wire."""

    started_ns: int
    first_byte_ns: int
    end_ns: int
    method: str
    url: str
    status: int
    reason: str = ""
    request_headers: HeaderPairs = ()
    request_body: bytes = b""
    response_headers: HeaderPairs = ()
    body: bytes = b""
    complete: bool = True


@dataclass(slots=True)
class Counts:
    """What is on the cassette so far; ``bytes`` are payloads and bodies, ``frames`` all that have a payload."""

    frames: int = 0
    bytes: int = 0
    interactions: int = 0
    tracks: int = 0
    tracks_open: int = 0
    gaps: int = 0
    closes: int = 0
    """Connections that the service ended with a close frame."""

    @property
    def empty(self) -> bool:
        """Whether nothing came: handshakes alone, and gaps, are nothing to play."""
        return not self.frames and not self.interactions and not self.closes


@dataclass(frozen=True, slots=True)
class Numbers:
    """The next sequence, and how many tracks and interactions there were."""

    seq: int = 0
    tracks: int = 0
    interactions: int = 0


class Capture:
    """The one source of sequence numbers, offsets, track and interaction numbers of a recording."""

    def __init__(self, *, start_ns: int, learner: Callable[[], Learner], after: Numbers = Numbers()) -> None:
        """``after``: the numbers that an earlier part of the recording has used up."""
        self.counts = Counts()
        self.bodies_open = 0
        """Bodies that are on the cassette in part."""
        self._start_ns = start_ns
        self._new_learner = learner
        self._learners: dict[int, Learner] = {}
        self._tracks, self._interactions = after.tracks, after.interactions
        self._known: dict[str, str] = {}
        self._open: dict[int, TrackOpened] = {}
        self._next_seq = after.seq
        self._next_anchor_ns = start_ns

    def anchors(self, now_ns: int, *, wall_ns: int, at_once: bool = False) -> list[Record]:
        """The wall clock, at the start, once a minute, and ``at_once``: empty when none is due."""
        if now_ns < self._next_anchor_ns and not at_once:
            return []
        self._next_anchor_ns = now_ns + ANCHOR_EVERY_NS
        return [Anchor(self._seq(), self._offset(now_ns), wall_ns)]

    def track_opened(self, now_ns: int, opening: Opening) -> TrackOpened:
        """A connection was made; the record carries its number."""
        track = self._tracks
        self._tracks += 1
        self._learners[track] = self._new_learner()
        record = self._open[track] = TrackOpened(
            self._seq(),
            self._offset(now_ns),
            track,
            opening.market,
            opening.feed,
            opening.url,
            opening.request_headers,
            opening.response_headers,
        )
        return record

    def opened_again(self, now_ns: int) -> list[Record]:
        """What a further segment of the recording begins with: the tracks that are open, and what was learned."""
        offset_ns = self._offset(now_ns)
        again: list[Record] = [
            replace(record, seq=self._seq(), offset_ns=offset_ns) for record in self._open.values()
        ]
        if self._known:
            again.append(Profile(self._seq(), offset_ns, dict(self._known)))
        return again

    def frames(self, track: int, sender: Sender, messages: Iterable[Message]) -> list[Record]:
        """What one side of a track said, in order, and what was learned from it."""
        records: list[Record] = []
        for at_ns, opcode, payload in messages:
            records.append(Frame(self._seq(), self._offset(at_ns), track, sender, opcode, payload))
            if opcode == TEXT:
                records.extend(self._learned(track, sender, payload, at_ns))
        return records

    def _learned(self, track: int, sender: Sender, payload: bytes, now_ns: int) -> Iterable[Record]:
        values = self._learners[track].feed(sender, payload) if track in self._learners else None
        if not values or all(self._known.get(key) == value for key, value in values.items()):
            return
        self._known.update(values)
        yield Profile(self._seq(), self._offset(now_ns), dict(self._known))

    def track_closed(
        self, now_ns: int, track: int, *, by: Sender | None, code: int | None, reason: str = ""
    ) -> TrackClosed:
        """A connection ended: ``code`` is ``None`` when it was lost without a close frame."""
        self._learners.pop(track, None)
        self._open.pop(track, None)
        return TrackClosed(self._seq(), self._offset(now_ns), track, by, code, reason)

    def body_begun(self) -> int:
        """An answer too large for one row has begun; returns the number of its interaction."""
        self.bodies_open += 1
        return self._next_interaction()

    def body_part(self, now_ns: int, interaction: int, data: bytes) -> BodyPart:
        """A piece of such an answer."""
        return BodyPart(self._seq(), self._offset(now_ns), interaction, data)

    def body_ended(self, exchange: Exchange, interaction: int, *, parts: int, decoded: bool) -> Interaction:
        """Its end: the request, and the answer but for its body."""
        self.bodies_open -= 1
        return self._interaction(exchange, interaction, parts, decoded)

    def interaction(self, exchange: Exchange) -> Interaction:
        """A REST request that was answered."""
        return self._interaction(exchange, self._next_interaction())

    def _next_interaction(self) -> int:
        self._interactions += 1
        return self._interactions - 1

    def _interaction(
        self, exchange: Exchange, number: int, parts: int = 0, decoded: bool = False
    ) -> Interaction:
        return Interaction(
            seq=self._seq(),
            offset_ns=self._offset(exchange.started_ns),
            first_byte_ns=self._offset(exchange.first_byte_ns),
            end_ns=self._offset(exchange.end_ns),
            interaction=number,
            method=exchange.method,
            url=exchange.url,
            status=exchange.status,
            reason=exchange.reason,
            request_headers=exchange.request_headers,
            request_body=exchange.request_body,
            response_headers=exchange.response_headers,
            body=exchange.body,
            body_parts=parts,
            decoded=decoded,
            complete=exchange.complete,
        )

    def gap(self, since_ns: int, until_ns: int, *, market: str, reason: str) -> Gap:
        """Nobody listened to a market from one clock time to another."""
        return Gap(self._seq(), self._offset(since_ns), self._offset(until_ns), market, reason)

    def count(self, records: Iterable[Record]) -> None:
        """These are on the cassette."""
        counts = self.counts
        for record in records:
            match record:
                case Frame():
                    counts.frames += 1
                    counts.bytes += len(record.payload)
                case TrackOpened():
                    counts.tracks += 1
                    counts.tracks_open += 1
                case TrackClosed():
                    counts.tracks_open -= 1
                    counts.closes += record.by is Sender.SERVER and record.code is not None
                case Interaction():
                    counts.interactions += 1
                    counts.bytes += len(record.body)
                case BodyPart():
                    counts.bytes += len(record.data)
                case Gap():
                    counts.gaps += 1

    def _seq(self) -> int:
        seq = self._next_seq
        self._next_seq += 1
        return seq

    def _offset(self, now_ns: int) -> int:
        return max(now_ns - self._start_ns, 0)
