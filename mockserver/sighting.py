"""Finding an event on the tape by what a person knows of it: its channel, and about when it was.

An event says itself when it was, and that is how a person names it: the time the
exchange put on it, to the digits that were written. ``09:31:05`` is any moment of
that second, on whichever day: what the exchange said on one day may have been recorded
on another. An event that says nothing was when its frame came; and so is one that is
asked for by its distance from the beginning, ``+90s``. Where no event says that it was
then, those are meant that a client saw say so, on a tape that was moved in time, or
whose frame came then.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, TypeAlias

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.channels import WILDCARD, normalise
from tickdeck.mockserver import moments
from tickdeck.mockserver.cutter import Cutter, row_of
from tickdeck.mockserver.moments import Instant, Offset, parse_moment
from tickdeck.mockserver.tape import TapeGap, Tapes
from tickdeck.mockserver.view import View

OwnTime: TypeAlias = Callable[[bytes], int | None]
"""When an event says it was, in nanoseconds since 1970."""

WallClock: TypeAlias = Callable[[int], int]
"""The recording's wall clock at a position, in nanoseconds since 1970."""

SECOND: Final = 1_000_000_000
LAST_DAY_S: Final = 253_370_764_800
"""The last day of the year 9999 but a few."""

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86_400 * SECOND,
}
_LAST_PIECE: Final = re.compile(r"\d+(?:\.(\d+))?(ns|us|ms|s|m|h|d)?$")
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2}(?:[.,](\d{1,9}))?)?")


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """So long a stretch of every day, from where the clock in a zone shows ``clock_ns`` since midnight."""

    clock_ns: int
    width_ns: int
    zone: tzinfo

    def on_the_day_of(self, at_ns: int) -> tuple[int, int]:
        """The stretch of the day that a moment is on, in nanoseconds since 1970."""
        at_s = min(max(at_ns // SECOND, 0), LAST_DAY_S)  # an event may say anything
        day = datetime.fromtimestamp(at_s, tz=UTC).astimezone(self.zone).date()
        start_ns = _shown(day, self.clock_ns, self.zone)
        return start_ns, start_ns + self.width_ns


@dataclass(frozen=True, slots=True)
class Question:
    """``T.AAPL@09:31:05``: a channel, and stretches of time, the end of each not in it.

    They are the times that events say themselves (``own``), in nanoseconds since 1970; or else positions.
    A time of day is meant on the own day of each event; its ``stretches`` are those of the tape's days.
    """

    text: str
    channel: str
    stretches: tuple[tuple[int, int], ...]
    own: bool
    daily: TimeOfDay | None = field(default=None, compare=False)

    def off_ns(self, when_ns: int) -> int:
        """How far a moment is from what is asked for: 0 if it is in it, below 0 if it is before it."""
        stretches = self.stretches if self.daily is None else (self.daily.on_the_day_of(when_ns),)
        return min((_off_ns(when_ns, *stretch) for stretch in stretches), key=abs)


@dataclass(frozen=True, slots=True)
class Sighting:
    """An event on the tape of a market: its frame, where that is, when it was and when it came (since 1970)."""

    market: str
    channel: str
    seq: int
    position_ns: int
    at_ns: int
    came_ns: int


@dataclass(slots=True)
class Sightings:
    """What was found: the events that fit, in order of the tape, the nearest others, the outage it fell into.

    ``how`` says in words how those that fit were found, where it is not by what they say, and ``how_ns`` when that was.
    """

    market: str
    recorded: bool
    fitting: list[Sighting] = field(default_factory=list)
    before: Sighting | None = None
    after: Sighting | None = None
    gap: TapeGap | None = None
    how: str = ""
    how_ns: Callable[[Sighting], int] | None = None


def split(text: str) -> tuple[str, str]:
    """Channel and time of a question; `UsageError` for what is none."""
    channel, at, moment = text.rpartition("@")
    if not at or "." not in channel:
        raise UsageError(f"{text!r} is no question; write a channel and a time, T.AAPL@09:31:05")
    if channel.endswith(f".{WILDCARD}"):
        raise UsageError(f"{channel} is many channels; ask for one, T.AAPL@{moment}")
    return normalise(channel), moment


def ask(text: str, *, begin_wall_ns: int, end_wall_ns: int, zone: tzinfo) -> Question:
    """The question that a text is, on a tape whose wall clock showed these at its zero and at its end."""
    channel, words = split(text)
    width_ns = precision_of(words)
    daily = None
    match parse_moment("the time", words):
        case moments.TimeOfDay(clock_ns):
            starts = tuple(_shown(day, clock_ns, zone) for day in _days(begin_wall_ns, end_wall_ns, zone))
            own, daily = True, TimeOfDay(clock_ns, width_ns, zone)
        case Offset(ns):
            starts, own = (ns,), False
        case Instant(ns):
            starts, own = (ns,), True
    return Question(text, channel, tuple((start, start + width_ns) for start in starts), own, daily)


def _off_ns(when_ns: int, first_ns: int, behind_ns: int) -> int:
    return when_ns - first_ns if when_ns < first_ns else max(when_ns - behind_ns + 1, 0)


def _days(begin_wall_ns: int, end_wall_ns: int, zone: tzinfo) -> Iterator[date]:
    """The days of a tape, from its first on."""
    first, last = (
        datetime.fromtimestamp(wall_ns // SECOND, tz=UTC).astimezone(zone).date()
        for wall_ns in (begin_wall_ns, end_wall_ns)
    )
    yield first
    for ahead in range((last - first).days):
        yield first + timedelta(days=ahead + 1)


def _shown(day: date, clock_ns: int, zone: tzinfo) -> int:
    """When the clock in a zone shows a time of day, in nanoseconds since 1970."""
    seconds, rest_ns = divmod(clock_ns, SECOND)
    clock = time(seconds // 3600, seconds // 60 % 60, seconds % 60)
    return int(datetime.combine(day, clock, tzinfo=zone).timestamp()) * SECOND + rest_ns


def precision_of(words: str) -> int:
    """The nanoseconds that the last digit of a written time stands for."""
    clock = _CLOCK.search(words)
    if clock is not None:
        seconds, fraction = clock.groups()
        return 60 * SECOND if seconds is None else int(10 ** (9 - len(fraction or "")))
    piece = _LAST_PIECE.search(words)
    if piece is None or "-" in words:
        return SECOND
    return max(int(_UNITS[piece[2] or "s"] // 10 ** len(piece[1] or "")), 1)


def market_of(tapes: Tapes, channel: str, default: str) -> str:
    """The market that a channel was recorded on; the first one if it is on none."""
    found = (market for market in tapes.recorded if channel in tapes.of(market).channels)
    return next(found, tapes.recorded[0] if tapes.recorded else default)


def look(
    tapes: Tapes, market: str, question: Question, *, own_time: OwnTime, wall_ns: WallClock, shift_ns: int = 0
) -> Sightings:
    """Look through the tape of a market for what a question asks.

    ``wall_ns`` is its clock; ``shift_ns`` is by how much it was moved in time when it was played.
    """
    tape = tapes.of(market)
    found = Sightings(market, recorded=not tape.unrecorded((question.channel,)))
    cutter = Cutter(tape)
    ways = [(*way, list[Sighting]()) for way in _other_ways(shift_ns)] if question.own else []
    for view in tape.views():
        for seq, position_ns, event in _events(cutter, view, question.channel):
            said, came_ns = own_time(event), wall_ns(position_ns)
            at_ns = came_ns if said is None else said
            seen = Sighting(market, question.channel, seq, position_ns, at_ns, came_ns)
            _sort_in(found, question, seen)
            if not found.fitting:
                for _, when_ns, fitting in ways:
                    if question.off_ns(when_ns(seen)) == 0:
                        fitting.append(seen)
    if not found.fitting:
        named = next((way for way in ways if way[2]), None)
        if named is not None:
            found.how, found.how_ns, found.fitting = named
    if not found.fitting:
        found.gap = next((gap for gap in tape.gaps if _falls_into(question, gap, wall_ns)), None)
    return found


def _other_ways(shift_ns: int) -> list[tuple[str, Callable[[Sighting], int]]]:
    """How else a person may name an event than by what it says: by what was played, by when it came."""
    came: list[tuple[str, Callable[[Sighting], int]]] = [("it came at", lambda seen: seen.came_ns)]
    if not shift_ns:
        return came
    return [
        ("played as", lambda seen: seen.at_ns + shift_ns),
        *came,
        ("it came, as played, at", lambda seen: seen.came_ns + shift_ns),
    ]


def _sort_in(found: Sightings, question: Question, seen: Sighting) -> None:
    off_ns = question.off_ns(_when(question, seen))
    if off_ns == 0:
        found.fitting.append(seen)
    elif off_ns < 0:
        if found.before is None or off_ns >= question.off_ns(_when(question, found.before)):
            found.before = seen
    elif found.after is None or off_ns < question.off_ns(_when(question, found.after)):
        found.after = seen


def _when(question: Question, seen: Sighting) -> int:
    return seen.at_ns if question.own else seen.position_ns


def _falls_into(question: Question, gap: TapeGap, wall_ns: WallClock) -> bool:
    edges = (gap.start_ns, gap.end_ns)
    start_ns, end_ns = map(wall_ns, edges) if question.own else edges
    return any(start_ns < behind and first < end_ns for first, behind in question.stretches)


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
