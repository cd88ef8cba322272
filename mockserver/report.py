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

from collections.abc import Iterable, Sequence

import xxhash

from tickdeck.cassette.errors import FormatError
from tickdeck.mockserver.counting import EventCounts
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.session import Account, Session
from tickdeck.mockserver.timeline import Timeline

EVERYTHING = 1 << 62
_SUB = 4
"""Bits of a lateness that are kept below its highest: buckets are 1/16 wide."""


class TapeDigest:
    """A running hash of data frames in unmasked server wire form."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()

    def update(self, wire: bytes) -> None:
        """Add frames (RFC 6455 header and payload, shortest length coding, FIN set)."""
        self._hash.update(wire)

    def hexdigest(self) -> str:
        """32 lower-case hex digits."""
        return self._hash.hexdigest()


class Lateness:
    """How long after their deadline frames were handed to the socket, in logarithmic buckets."""

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.frames = 0
        self.max_ns = 0

    def add(self, late_ns: int, frames: int) -> None:
        """``frames`` frames left, the first of them ``late_ns`` after its deadline."""
        bucket = _bucket(late_ns)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + frames
        self.frames += frames
        self.max_ns = max(self.max_ns, late_ns)

    def merge(self, other: Lateness) -> None:
        """Add another's frames."""
        for bucket, frames in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + frames
        self.frames += other.frames
        self.max_ns = max(self.max_ns, other.max_ns)

    def percentile(self, percent: int) -> int:
        """The lateness, in ns, that ``percent`` % of the frames did not exceed (rounded up by at most 1/16)."""
        rank = -(-self.frames * percent // 100)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(_bucket_top(bucket), self.max_ns)
        return 0

    def summary(self) -> dict[str, int]:
        """``p50_ns``, ``p99_ns``, ``max_ns``; zeros when nothing had a deadline."""
        return {"p50_ns": self.percentile(50), "p99_ns": self.percentile(99), "max_ns": self.max_ns}


def _bucket(value: int) -> int:
    shift = max(value.bit_length() - _SUB - 1, 0)
    return (shift << (_SUB + 1)) + (value >> shift)


def _bucket_top(bucket: int) -> int:
    shift, mantissa = bucket >> (_SUB + 1), bucket & ((1 << (_SUB + 1)) - 1)
    return ((mantissa + 1) << shift) - 1


def channel_counts(account: Account, cutter: Cutter) -> dict[str, dict[str, int | bool]]:
    """By channel as the client named it: events on the tape, sent, and not sent for which reason.

    The reasons add up: on_tape = sent + before_start + before_subscribe +
    after_unsubscribe + after_leave + ahead (still to come when the run stopped).
    """
    spans = _spans(account)
    places = {(channel, seq) for channel, pairs in spans.items() for pair in pairs for seq in pair}
    edges = (account.joined_seq, account.cursor)
    counts = EventCounts(cutter, [*places, *((channel, seq) for channel in spans for seq in edges)])
    return {channel: _counts(account, cutter, counts, channel, pairs) for channel, pairs in spans.items()}


def _channels_or_nothing(account: Account, cutter: Cutter) -> dict[str, dict[str, int | bool]]:
    """Nothing where the tape cannot be read, which the report says elsewhere."""
    try:
        return channel_counts(account, cutter)
    except FormatError:
        return {}


def _spans(account: Account) -> dict[str, list[tuple[int, int]]]:
    """By channel, where it was wanted: ``[from, to)`` in sequence, no further than the session came."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for interval in account.intervals:
        start = min(interval.from_seq, account.cursor)
        end = account.cursor if interval.to_seq is None else min(interval.to_seq, account.cursor)
        spans.setdefault(interval.channel, []).append((start, end))
    return spans


def _counts(
    account: Account, cutter: Cutter, counts: EventCounts, channel: str, spans: list[tuple[int, int]]
) -> dict[str, int | bool]:
    sent = sum(counts.between(channel, start, end) for start, end in spans)
    passed = counts.between(channel, spans[0][0], account.cursor)
    to_come = counts.between(channel, account.cursor, EVERYTHING)
    return {
        "on_tape": counts.before(channel, EVERYTHING),
        "sent": sent,
        "before_start": counts.before(channel, account.joined_seq),
        "before_subscribe": counts.between(channel, account.joined_seq, spans[0][0]),
        "after_unsubscribe": passed - sent,
        "after_leave": to_come if account.left else 0,
        "ahead": 0 if account.left else to_come,
        "unrecorded": bool(cutter.tape.unrecorded((channel,))),
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
        "channels": _channels_or_nothing(account, session.cutter),
        "missteps": [{"misstep": kind, "detail": detail} for kind, detail in account.missteps],
        "lateness": lateness.summary(),
    }


def situation(sessions: Sequence[Session], timelines: Iterable[Timeline]) -> str:
    """Where the clients stand, in words, for an error about a wait that was in vain."""
    timelines = list(timelines)
    if any(timeline.started for timeline in timelines):
        return "it is playing" if not all(timeline.finished for timeline in timelines) else "it has ended"
    if not sessions:
        return "it never started: no client"
    clients = f"{len(sessions)} client{'s' if len(sessions) > 1 else ''}"
    known = [session for session in sessions if session.timeline is not None]
    auth = "authenticated" if len(known) == len(sessions) else f"{len(known)} authenticated"
    held = any(session.account.intervals for session in sessions)
    return f"it never started: {clients}, {auth}, {'subscribed' if held else 'no subscription'}"
