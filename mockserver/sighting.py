"""Finding an event on the tape by what a person knows of it: its channel, and about when it was.

An event says itself when it was, and that is how a person names it: the time the
exchange put on it, to the digits that were written. ``09:31:05`` is any moment of
that second. An event that says nothing was when its frame came; and so is one that
is asked for by its distance from the beginning, ``+90s``.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final, TypeAlias

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.channels import WILDCARD, normalise
from tickdeck.mockserver.cutter import Cutter, row_of
from tickdeck.mockserver.moments import Offset, parse_moment, position_of
from tickdeck.mockserver.tape import TapeGap, Tapes, View

OwnTime: TypeAlias = Callable[[bytes], int | None]
"""When an event says it was, in nanoseconds since 1970."""

HOUR: Final = 3600 * 10**9

_UNITS: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": HOUR, "d": 24 * HOUR}
_LAST_PIECE: Final = re.compile(r"\d+(?:\.(\d+))?(ns|us|ms|s|m|h|d)?$")
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2}(?:[.,](\d{1,9}))?)?")


@dataclass(frozen=True, slots=True)
class Question:
    """``T.AAPL@09:31:05``: a channel, and a stretch of time from ``from_ns`` to before ``to_ns``, since 1970.

    ``own``: it is the time that the event itself says.
    """

    text: str
    channel: str
    from_ns: int
    to_ns: int
    own: bool


@dataclass(frozen=True, slots=True)
class Sighting:
    """An event on the tape of a market: its frame, where that is, and when it was (since 1970)."""

    market: str
    channel: str
    seq: int
    position_ns: int
    at_ns: int


@dataclass(slots=True)
class Sightings:
    """What was found: the events that fit, in order of the tape, the nearest others, the outage it fell into."""

    market: str
    recorded: bool
    fitting: list[Sighting] = field(default_factory=list)
    before: Sighting | None = None
    after: Sighting | None = None
    gap: TapeGap | None = None


def split(text: str) -> tuple[str, str]:
    """Channel and time of a question; `UsageError` for what is none."""
    channel, at, moment = text.rpartition("@")
    if not at or "." not in channel:
        raise UsageError(f"{text!r} is no question; write a channel and a time, T.AAPL@09:31:05")
    if channel.endswith(f".{WILDCARD}"):
        raise UsageError(f"{channel} is many channels; ask for one, T.AAPL@{moment}")
    return normalise(channel), moment


def ask(text: str, *, zero_wall_ns: int, zone: tzinfo) -> Question:
    """The question that a text is; ``zero_wall_ns`` is the wall clock at the tape's zero."""
    channel, words = split(text)
    moment = parse_moment("the time", words)
    width = precision_of(words)
    own = not isinstance(moment, Offset)
    # What the exchange stamped may lie before the moment at which the first frame came.
    start_ns = zero_wall_ns - HOUR if own else zero_wall_ns
    from_ns = start_ns + position_of(moment, zero_wall_ns=start_ns, zone=zone)
    return Question(text, channel, from_ns, from_ns + width, own)


def precision_of(words: str) -> int:
    """The nanoseconds that the last digit of a written time stands for."""
    clock = _CLOCK.search(words)
    if clock is not None:
        seconds, fraction = clock.groups()
        return 60 * 10**9 if seconds is None else int(10 ** (9 - len(fraction or "")))
    piece = _LAST_PIECE.search(words)
    if piece is None or "-" in words:
        return 10**9
    return max(int(_UNITS[piece[2] or "s"] // 10 ** len(piece[1] or "")), 1)


def market_of(tapes: Tapes, channel: str, default: str) -> str:
    """The market that a channel was recorded on; the first one if it is on none."""
    found = (market for market in tapes.recorded if channel in tapes.of(market).channels)
    return next(found, tapes.recorded[0] if tapes.recorded else default)


def look(tapes: Tapes, market: str, question: Question, *, own_time: OwnTime, zero_wall_ns: int) -> Sightings:
    """Look through the tape of a market for what a question asks."""
    tape = tapes.of(market)
    found = Sightings(market, recorded=not tape.unrecorded((question.channel,)))
    cutter = Cutter(tape)
    for view in tape.views():
        for seq, position_ns, event in _events(cutter, view, question.channel):
            said = own_time(event) if question.own else None
            at_ns = zero_wall_ns + position_ns if said is None else said
            _sort_in(found, question, Sighting(market, question.channel, seq, position_ns, at_ns))
    first, behind = question.from_ns - zero_wall_ns, question.to_ns - zero_wall_ns
    if not found.fitting:
        within = (gap for gap in tape.gaps if gap.start_ns < behind and first < gap.end_ns)
        found.gap = next(within, None)
    return found


def _sort_in(found: Sightings, question: Question, seen: Sighting) -> None:
    if question.from_ns <= seen.at_ns < question.to_ns:
        found.fitting.append(seen)
    elif seen.at_ns < question.from_ns:
        if found.before is None or seen.at_ns >= found.before.at_ns:
            found.before = seen
    elif found.after is None or seen.at_ns < found.after.at_ns:
        found.after = seen


def _events(cutter: Cutter, view: View, channel: str) -> Iterator[tuple[int, int, bytes]]:
    """Sequence, position and bytes of each event of a channel in a piece of tape."""
    if channel not in view.channels:
        return
    for run in view.runs:
        lane = run.lane
        for name, events in cutter.owned(view, run):
            for event in events if name == channel else ():
                seq = lane.seqs[row_of(lane, event)]
                position_ns = view.positions[bisect_left(view.seqs, seq)]
                yield seq, position_ns, lane.wire[lane.event_starts[event] : lane.event_ends[event]]
