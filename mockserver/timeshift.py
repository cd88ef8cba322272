"""A tape moved in time: by how much, and every chunk of it.

The shift is one constant, worked out once when the first timeline of a server starts.
``now`` puts the place where the tape starts at the wall clock of that moment. ``today``
moves by whole days of the exchange's calendar and keeps the time of day: what was traded
at 09:31 in New York is traded at 09:31 in New York, also where the clocks were changed
in between and the shift is no multiple of 24 hours. It stays one constant if the tape
itself runs over a change of the clock.

A chunk is moved when it is loaded, ahead of everything that cuts and sends it. What the
tape digest covers is what was recorded: `tickdeck.mockserver.shiftedlane` keeps both.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from itertools import chain
from typing import Final

from tickdeck.cassette.chunks import BuiltLane, Chunk, Lane
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.base import Dialect, Mover
from tickdeck.dialects.moments import MILLISECOND, Shift
from tickdeck.dialects.timefields import Stretch
from tickdeck.mockserver.playhead import REAL_TIME, Speed
from tickdeck.mockserver.shiftedlane import ShiftedLane

DAY_MS: Final = 86_400_000
MOST_MS: Final = 100 * 366 * DAY_MS
"""No tape is moved further than about a century."""

_UNITS_MS: Final = {"d": DAY_MS, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PIECE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(d|h|ms|m|s)")
_DURATION: Final = re.compile(rf"[+-]?(?:{_PIECE.pattern})+")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Target(enum.StrEnum):
    """Where a tape is moved to."""

    NOW = "now"
    TODAY = "today"


@dataclass(frozen=True, slots=True)
class TimeShift:
    """What was asked for: a place in time, or (in milliseconds) a distance."""

    to: Target | int

    def at_start(self, *, tape_wall_ns: int, now_wall_ns: int, zone: tzinfo) -> Shift:
        """The shift of a server whose first timeline starts now.

        ``tape_wall_ns`` is the recording's wall clock (ns since 1970) at the place where
        the tape starts, ``now_wall_ns`` the wall clock of this moment, ``zone`` the exchange's.
        """
        if self.to is Target.NOW:
            # Rounded down: nothing comes from the future.
            return _shift((now_wall_ns - tape_wall_ns) // MILLISECOND, tape_wall_ns, zone)
        if self.to is Target.TODAY:
            return _to_today(tape_wall_ns, now_wall_ns, zone)
        return _shift(self.to, tape_wall_ns, zone)


def parse_time_shift(text: str, *, speed: Speed = REAL_TIME) -> TimeShift:
    """``now``, ``today``, or a duration: ``1d``, ``-90m``, ``+2h30m``. Raises `UsageError` for anything else.

    ``now`` with any speed but 1 is an error, too.
    """
    if text == Target.NOW and speed != REAL_TIME:
        when = "past" if speed.paced and speed.factor < 1 else "future"
        raise UsageError(
            f"time shift now needs speed 1: at speed {speed} events would come from the {when}; "
            "use today or a duration"
        )
    if text in list(Target):
        return TimeShift(Target(text))
    if not _DURATION.fullmatch(text):
        raise UsageError(f"time shift is neither now, nor today, nor a duration like 1d or -90m: {text!r}")
    distance = sum(Fraction(amount) * _UNITS_MS[unit] for amount, unit in _PIECE.findall(text))
    if distance != int(distance):
        raise UsageError(f"time shift must be whole milliseconds, not {text!r}")
    if distance > MOST_MS:
        raise UsageError(f"time shift must be a hundred years at most, not {text!r}")
    return TimeShift(-int(distance) if text.startswith("-") else int(distance))


def _shift(distance_ms: int, tape_wall_ns: int, zone: tzinfo) -> Shift:
    days, rest = divmod(distance_ms, DAY_MS)
    if not rest:
        return Shift(distance_ms, days, zone)
    then, now = (
        _clock(wall_ns, zone) for wall_ns in (tape_wall_ns, tape_wall_ns + distance_ms * MILLISECOND)
    )
    return Shift(distance_ms, None, zone, (now.date() - then.date()).days)


def _to_today(tape_wall_ns: int, now_wall_ns: int, zone: tzinfo) -> Shift:
    then, now = _clock(tape_wall_ns, zone), _clock(now_wall_ns, zone)
    days = (now.date() - then.date()).days
    moved = then + timedelta(days=days)  # of the clock on the wall: the offset may have become another
    distance = moved.astimezone(UTC) - then.astimezone(UTC)
    return Shift(distance // timedelta(milliseconds=1), days, zone)


def _clock(wall_ns: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=wall_ns // 1000)).astimezone(zone)


def describe(shift: Shift) -> str:
    """A shift as it is printed: ``+2153 days``, ``+2153 days (and +1:00:00 of UTC)``, ``-1:30:00.250``."""
    if shift.days is not None:
        rest = shift.ms - shift.days * DAY_MS
        days = f"{shift.days:+d} day{'' if abs(shift.days) == 1 else 's'}"
        return f"{days} (and {_hours(rest)} of UTC)" if rest else days
    return _hours(shift.ms)


def _hours(distance_ms: int) -> str:
    seconds, rest = divmod(abs(distance_ms), 1000)
    sign = "-" if distance_ms < 0 else "+"
    return (
        f"{sign}{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{f'.{rest:03d}' if rest else ''}"
    )


class Shifter:
    """The time shift of one server: nothing moves until it is fixed, then it is one constant for good.

    ``mover`` moves REST answers, `chunk` what was loaded of the tape. Chunks that
    were loaded before it was fixed have to be loaded again.
    """

    def __init__(self, wanted: TimeShift, dialect: Dialect, *, zone: tzinfo) -> None:
        self.mover: Mover | None = None
        self._wanted = wanted
        self._dialect = dialect
        self._zone = zone

    def start(self, *, tape_wall_ns: int, now_wall_ns: int) -> Shift:
        """The shift, fixed at the first call; see `TimeShift.at_start`."""
        if self.mover is None:
            shift = self._wanted.at_start(tape_wall_ns=tape_wall_ns, now_wall_ns=now_wall_ns, zone=self._zone)
            self.mover = self._dialect.mover(shift)
        return self.mover.shift

    def chunk(self, chunk: Chunk) -> Chunk:
        """A chunk that was just loaded, moved: its lanes; all else about it stays."""
        mover = self.mover
        if mover is None or not mover.shift.ms:
            return chunk
        lanes = tuple(moved_lane(lane, tuple(chunk.channels), mover) for lane in chunk.lanes)
        return replace(chunk, lanes=lanes, costly=True)


def moved_lane(lane: Lane, channels: tuple[str, ...], mover: Mover) -> Lane:
    """A lane, moved; only where numbers change their length do its columns change, too."""
    headers = b"".join(map(lane.wire.__getitem__, map(slice, lane.starts, lane.payload_starts)))
    stretch = Stretch(
        lane.wire,
        headers,
        lane.first_event[-1],
        lane.channel_ids,
        channels,
        lambda: (lane.event_starts, lane.event_ends, lane.event_channels),
    )
    moved = mover.stretch(stretch)
    return _event_by_event(lane, mover) if moved is None else ShiftedLane(lane, moved)


def _event_by_event(lane: Lane, mover: Mover) -> Lane:
    events = [
        mover.event(lane.wire[start:end])
        for start, end in zip(lane.event_starts, lane.event_ends, strict=True)
    ]
    frames: list[bytes] = []
    starts, payload_starts, event_starts, event_ends = [0], [], [], []
    for row in range(lane.frames):
        mine = range(lane.first_event[row], lane.first_event[row + 1])
        edges = [
            lane.payload_starts[row],
            *chain(*((lane.event_starts[at], lane.event_ends[at]) for at in mine)),
        ]
        between = [
            lane.wire[a:b] for a, b in zip(edges[0::2], [*edges[1::2], lane.starts[row + 1]], strict=True)
        ]
        size = sum(map(len, between)) + sum(len(events[at]) for at in mine)
        header = frame_header(TEXT, size)
        at = starts[-1] + len(header)
        payload_starts.append(at)
        frames.append(header)
        for gap, event in zip(between, mine, strict=False):
            at += len(gap)
            event_starts.append(at)
            at += len(events[event])
            event_ends.append(at)
            frames += (gap, events[event])
        frames.append(between[-1])
        starts.append(at + len(between[-1]))
    places = BuiltLane(
        lane.track,
        lane.seqs,
        lane.offsets,
        starts,
        payload_starts,
        b"".join(frames),
        lane.first_event,
        event_starts,
        event_ends,
        lane.event_channels,
        lane.postings,
    )
    return ShiftedLane(lane, places.wire, places)
