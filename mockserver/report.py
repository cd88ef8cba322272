"""What a run came to: who was sent what, how late, and the proof that it was the same as last time.

The tape digest of a session covers opcode, length and payload of its data frames
in order. A server frame in unmasked wire form with the shortest length coding
spells just these three, so the digest is a hash of the tape's wire bytes; how they
were cut into writes, and the acks and pongs between them, leave no trace in it.

How many events a client was not sent, and why, is not counted while playing. It
follows from cursors: where the session joined the tape, where each channel came
and went, where the session left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import xxhash

from tickdeck.cassette.errors import FormatError
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.counting import EventCounts
from tickdeck.mockserver.course import cursor_of, leg_of, seq_of
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.session import Session
from tickdeck.watch.spans import Spans

EVERYTHING = 1 << 127
"""A cursor behind every other."""

DRIFT_SAMPLES = 32
"""Batches at either end of a run that its drift is taken from."""


class TapeDigest:
    """A running hash of data frames in unmasked server wire form."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()

    def update(self, wire: bytes | memoryview) -> None:
        """Add frames (RFC 6455 header and payload, shortest length coding, FIN set)."""
        self._hash.update(wire)

    def hexdigest(self) -> str:
        """32 lower-case hex digits."""
        return self._hash.hexdigest()


class Lateness(Spans):
    """How long after their deadline frames were handed to the socket, in logarithmic buckets."""

    def __init__(self) -> None:
        super().__init__()
        self._first: list[int] = []
        self._last: deque[int] = deque(maxlen=DRIFT_SAMPLES)
        self.early = 0
        """Frames that left before their time; there are none."""

    def add(self, late_ns: int, frames: int = 1) -> None:
        """``frames`` frames left, the first of them ``late_ns`` after its deadline."""
        if late_ns < 0:
            self.early += frames
            late_ns = 0
        super().add(late_ns, frames)
        if len(self._first) < DRIFT_SAMPLES:
            self._first.append(late_ns)
        self._last.append(late_ns)

    def merge(self, other: Spans) -> None:
        """Add another's frames; the drift is that of the one that drifted most."""
        super().merge(other)
        if not isinstance(other, Lateness):
            return
        if other._first and (not self._first or other.drift_ns > self.drift_ns):
            self._first, self._last = list(other._first), other._last.copy()
        self.early += other.early

    @property
    def frames(self) -> int:
        """How many left."""
        return self.count

    @property
    def drift_ns(self) -> int:
        """How much later frames left at the end than at the beginning: the least late of a few each.

        A tape that is only late now and then does not drift; one that falls behind does.
        """
        return min(self._last) - min(self._first) if self._first else 0

    def summary(self) -> dict[str, int]:
        """``p50_ns``, ``p99_ns``, ``max_ns``, ``drift_ns`` and how many were ``early``; zeros without deadlines."""
        return {
            "p50_ns": self.percentile(50),
            "p99_ns": self.percentile(99),
            "max_ns": self.max_ns,
            "drift_ns": self.drift_ns,
            "early": self.early,
        }


class _Course:
    """One client's way over the tape, and how many events of a channel lie on a stretch of it."""

    def __init__(self, session: Session, places: Iterable[tuple[str, int]]) -> None:
        self._tape = session.cutter.tape
        self._course = session.reel.course
        self._turned = session.reel.turned
        self._here = session.reel.cursor
        pairs = list(places)
        edges = [seq for leg in self._legs() for seq in leg[1:]]
        wanted = [(channel, seq_of(cursor)) for channel, cursor in pairs]
        names = dict.fromkeys(channel for channel, _ in pairs)
        self._counts = EventCounts(
            session.cutter, [*wanted, *((name, seq) for name in names for seq in edges)]
        )

    def _legs(self) -> list[tuple[int, int, int]]:
        """Number, first and end sequence of each leg; where this client turned, if it did."""
        tape, course = self._tape, self._course
        return [(leg, course.begin(leg, tape), self._end(leg)) for leg in range(course.leg + 1)]

    def _end(self, leg: int) -> int:
        """Where it turned; on the leg that it is on no less than it came to, if that was left without it."""
        end = self._turned.get(leg, self._course.end(leg, self._tape))
        return max(end, seq_of(self._here)) if leg == leg_of(self._here) else end

    def between(self, channel: str, first: int, behind: int) -> int:
        """Events of a channel between two cursors."""
        total = 0
        for leg, begin, end in self._legs():
            low = max(first, cursor_of(leg, begin))
            high = min(behind, cursor_of(leg, end))
            if low < high:
                total += self._counts.between(channel, seq_of(low), seq_of(high))
        return total


def channel_counts(session: Session) -> dict[str, dict[str, int | bool]]:
    """By channel as the client named it: events on the tape, sent, and not sent for which reason.

    The reasons add up: on_tape = sent + before_start + before_subscribe +
    after_unsubscribe + after_leave + ahead (still to come when the run stopped). A tape
    that was looped or sought in counts as it was played: each pass, and nothing that a
    seek left out.
    """
    spans = _spans(session)
    places = {(channel, cursor) for channel, pairs in spans.items() for pair in pairs for cursor in pair}
    edges = (session.account.joined, session.reel.cursor)
    course = _Course(session, [*places, *((channel, cursor) for channel in spans for cursor in edges)])
    return {channel: _counts(session, course, channel, pairs) for channel, pairs in spans.items()}


def unheld(cutter: Cutter, held: Iterable[str], begin_ns: int) -> list[tuple[str, int]]:
    """The channels of a tape, and how many events of them are played, that are not among those held."""
    tape, wanted = cutter.tape, Subscriptions(held)
    channels = [channel for channel in tape.channels if not wanted.wants(channel)]
    if not channels:
        return []
    begin, end = tape.seq_behind(begin_ns - 1), tape.last_seq + 1
    counts = EventCounts(cutter, [(channel, seq) for channel in channels for seq in (begin, end)])
    found = ((channel, counts.between(channel, begin, end)) for channel in channels)
    return [(channel, events) for channel, events in found if events]


def sent_of(session: Session, channel: str) -> int:
    """How many events of a channel (``T.AAPL``, ``T.*``) a client was sent so far, by whatever subscription."""
    spans = _spans(session)
    covering = [pairs for name, pairs in spans.items() if Subscriptions((name,)).wants(channel)]
    if covering:
        wanted = {channel: _together([pair for pairs in covering for pair in pairs])}
    else:
        wanted = {name: pairs for name, pairs in spans.items() if Subscriptions((channel,)).wants(name)}
    course = _Course(
        session, [(name, edge) for name, pairs in wanted.items() for pair in pairs for edge in pair]
    )
    return sum(course.between(name, *pair) for name, pairs in wanted.items() for pair in pairs)


def _together(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What several spans cover, each place once."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _channels_or_nothing(session: Session) -> dict[str, dict[str, int | bool]]:
    """Nothing where the tape cannot be read, which the report says elsewhere."""
    try:
        return channel_counts(session)
    except FormatError:
        return {}


def _spans(session: Session) -> dict[str, list[tuple[int, int]]]:
    """By channel, where it was wanted: ``[from, to)`` in cursors, no further than the session came."""
    here = session.reel.cursor
    spans: dict[str, list[tuple[int, int]]] = {}
    for interval in session.account.intervals:
        start = min(interval.from_cursor, here)
        end = here if interval.to_cursor is None else min(interval.to_cursor, here)
        spans.setdefault(interval.channel, []).append((start, end))
    return spans


def _counts(
    session: Session, course: _Course, channel: str, spans: list[tuple[int, int]]
) -> dict[str, int | bool]:
    account, here = session.account, session.reel.cursor
    sent = sum(course.between(channel, start, end) for start, end in spans)
    passed = course.between(channel, spans[0][0], here)
    to_come = course.between(channel, here, EVERYTHING)
    return {
        "on_tape": course.between(channel, 0, EVERYTHING),
        "sent": sent,
        "before_start": course.between(channel, 0, account.joined),
        "before_subscribe": course.between(channel, account.joined, spans[0][0]),
        "after_unsubscribe": passed - sent,
        "after_leave": to_come if account.left else 0,
        "ahead": 0 if account.left else to_come,
        "unrecorded": bool(session.cutter.tape.unrecorded((channel,))),
    }


def client_report(session: Session, *, digest: TapeDigest, lateness: Lateness) -> dict[str, object]:
    """One client's part of the report."""
    account = session.account
    return {
        "client": session.number,
        "timeline": None if session.timeline is None else session.timeline.number,
        "market": session.market,
        "frames": account.frames,
        "bytes": account.wire_bytes,
        "digest": digest.hexdigest(),
        "channels": _channels_or_nothing(session),
        "slow": account.slow,
        "not_waited_for": account.not_waited_for,
        "missteps_made": account.missteps_made,
        "missteps": [{"misstep": kind, "detail": detail} for kind, detail in account.missteps],
        "lateness": lateness.summary(),
    }
