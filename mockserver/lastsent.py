"""What a client was sent last.

It follows from cursors, as what a client was not sent does (`tickdeck.mockserver.report`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

from tickdeck.cassette.wire import payload_of
from tickdeck.mockserver.account import Interval
from tickdeck.mockserver.course import Course, cursor_of, leg_of, seq_of
from tickdeck.mockserver.cutter import Cut, Cutter
from tickdeck.mockserver.session import Session

PIECES_LOOKED_AT: Final = 256
"""Of a channel that is rarer than that nothing is shown."""

LEGS_LOOKED_AT: Final = 256


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame of data that a client was sent.

    ``payload`` is what it got, ``recorded`` the same events as the tape has them (they
    differ where the tape is moved in time); ``None``: it was sent from outside the tape.
    """

    position_ns: int
    payload: bytes
    recorded: bytes | None


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a client was on the tape: all that is needed to tell what it was sent."""

    market: str
    cutter: Cutter
    course: Course
    turned: Mapping[int, int]
    intervals: Sequence[Interval]
    here: int
    by_hand: Sequence[tuple[int, int, bytes]]


def trail_of(session: Session) -> Trail:
    """That of a client so far."""
    account, reel = session.account, session.reel
    return Trail(
        session.market,
        session.cutter,
        reel.course,
        reel.turned,
        account.intervals,
        reel.cursor,
        [each for each in account.by_hand if each[0] < reel.cursor or not reel.said_bytes],
    )


def last_sent(trail: Trail, most: int) -> list[Sent]:
    """The last ``most`` frames of data that a client was sent, in order."""
    by_hand = [(cursor, 0, Sent(at_ns, payload_of(wire), None)) for cursor, at_ns, wire in trail.by_hand]
    of_the_tape = [(cursor, 1, sent) for cursor, sent in islice(_backwards(trail), most)]
    found = sorted([*by_hand, *of_the_tape], key=lambda each: each[:2])
    return [sent for _, _, sent in found[-most:]]


def _backwards(trail: Trail) -> Iterator[tuple[int, Sent]]:
    """Cursor and frame, the last one first."""
    looked_at = 0
    for low, high, wanted in _stretches(trail):
        for leg, first, behind in _on_legs(trail, low, high):
            tape = trail.cutter.tape
            piece = min(tape.piece_of_seq(behind - 1), tape.pieces - 1)
            while piece >= 0 and tape.seq_after(piece) > first and looked_at < PIECES_LOOKED_AT:
                looked_at += 1
                for seq, sent in _frames(trail.cutter.cut(piece, wanted), first, behind):
                    yield cursor_of(leg, seq), sent
                piece -= 1


def _stretches(trail: Trail) -> Iterator[tuple[int, int, frozenset[str]]]:
    """From a cursor up to another the same channels were wanted; the last stretch first."""
    spans = [
        (each.channel, each.from_cursor, trail.here if each.to_cursor is None else each.to_cursor)
        for each in trail.intervals
    ]
    edges = sorted({min(edge, trail.here) for _, *pair in spans for edge in pair}, reverse=True)
    for high, low in pairwise(edges):
        wanted = frozenset(channel for channel, start, end in spans if start <= low and high <= end)
        if wanted:
            yield low, high, wanted


def _on_legs(trail: Trail, low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """Leg, first and end sequence of what lies between two cursors; the last leg first."""
    tape, course = trail.cutter.tape, trail.course
    last = min(leg_of(high), course.leg)
    for leg in range(last, max(leg_of(low), last - LEGS_LOOKED_AT) - 1, -1):
        end = trail.turned.get(leg, course.end(leg, tape))
        first = max(course.begin(leg, tape), seq_of(low) if leg == leg_of(low) else 0)
        behind = seq_of(high) if leg == leg_of(high) else end
        if first < behind:
            yield leg, first, behind


def _frames(cut: Cut, first: int, behind: int) -> Iterator[tuple[int, Sent]]:
    for row in range(bisect_left(cut.seqs, behind) - 1, bisect_left(cut.seqs, first) - 1, -1):
        payload = _payload(cut, row)
        recorded = payload if cut.recorded is None else _payload(cut.recorded, row)
        yield cut.seqs[row], Sent(cut.positions[row], payload, recorded)


def _payload(cut: Cut, row: int) -> bytes:
    return payload_of(bytes(cut.wire[cut.starts[row] : cut.starts[row + 1]]))
