"""Places on the tape as a person names them: ``+90s``, ``09:31:05``, a full timestamp with its zone.

A time of day is market time, in the exchange's zone: the first moment at or behind
the tape's zero at which the exchange's clock showed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from fractions import Fraction
from typing import Final, TypeAlias, assert_never

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.zones import zone_named

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
}
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_WHOLE: Final = re.compile(rf"(?:{_PIECE.pattern})+")
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?")
_FRACTION: Final = re.compile(r"(?:(?<=:\d\d)|(?<=T\d{6}))[.,](\d{1,9})")


@dataclass(frozen=True, slots=True)
class Offset:
    """So many nanoseconds behind the tape's zero."""

    ns: int


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """What the exchange's clock shows, in nanoseconds since its midnight."""

    ns: int


@dataclass(frozen=True, slots=True)
class Instant:
    """Nanoseconds since 1970, UTC."""

    ns: int


Moment: TypeAlias = Offset | TimeOfDay | Instant


def parse_duration(text: str) -> int | None:
    """Nanoseconds of ``50ms``, ``60s``, ``1h30m``, ``2d``; a bare number is seconds; ``None`` if it is no duration."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        text += "s"
    if not _WHOLE.fullmatch(text):
        return None
    return int(sum(Fraction(amount) * _UNITS[unit] for amount, unit in _PIECE.findall(text)))


def parse_moment(what: str, text: str) -> Moment:
    """The place that ``text`` names; `UsageError`, which begins with ``what``, if it names none."""
    if (ns := parse_duration(text.removeprefix("+"))) is not None:
        return Offset(ns)
    if (clock := _CLOCK.fullmatch(text)) is not None:
        return _time_of_day(what, text, clock)
    return _instant(what, text)


def _time_of_day(what: str, text: str, clock: re.Match[str]) -> TimeOfDay:
    hours, minutes, seconds = (int(part or 0) for part in clock.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise UsageError(f"{what}: {text!r} is no time of day; write 09:31:05")
    return TimeOfDay(((hours * 60 + minutes) * 60 + seconds) * 10**9 + _nanoseconds(clock[4]))


def _instant(what: str, text: str) -> Instant:
    fraction = _FRACTION.search(text)
    try:
        instant = datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        raise UsageError(
            f"{what}: {text!r} is no place on a tape; write +90s, 09:31:05 or 2020-01-02T14:30:05Z"
        ) from None
    if instant.tzinfo is None:
        raise UsageError(f"{what}: {text!r} names no zone; end it with Z or an offset such as -05:00")
    return Instant(_ns_since_1970(instant) + _nanoseconds(fraction[1] if fraction else None))


def _nanoseconds(fraction: str | None) -> int:
    return int((fraction or "0").ljust(9, "0"))


def _ns_since_1970(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9


def zone_for(moment: Moment, name: str) -> tzinfo:
    """The zone of this name where the moment is a time of day; no other moment needs the data of a zone."""
    return zone_named(name) if isinstance(moment, TimeOfDay) else UTC


def position_of(
    moment: Moment,
    *,
    zone: tzinfo,
    zero_wall_ns: int,
    end_wall_ns: int,
    position_at: Callable[[int], int],
) -> int:
    """Nanoseconds from the tape's zero to a moment; may be negative.

    The recording's wall clock (ns since 1970) showed ``zero_wall_ns`` at the zero and
    ``end_wall_ns`` at the end; ``position_at`` gives the position of any of its readings.
    """
    match moment:
        case Offset(ns):
            return ns
        case Instant(ns):
            return position_at(ns)
        case TimeOfDay(ns):
            return _next_showing(ns, zone, zero_wall_ns, end_wall_ns, position_at)
        case _:
            assert_never(moment)


def _next_showing(
    clock_ns: int, zone: tzinfo, zero_wall_ns: int, end_wall_ns: int, position_at: Callable[[int], int]
) -> int:
    """The first position at or behind the zero at which the clock in ``zone`` shows the time of day.

    On a tape of several days it may be on a later one: a day that was not recorded
    at that time has no such position of its own. Where none was, it is that of the
    first day, before the zero or behind the end.
    """
    day = datetime.fromtimestamp(zero_wall_ns // 10**9, tz=UTC).astimezone(zone).date()
    first = shown = _at(day, clock_ns, zone)
    if first < zero_wall_ns:
        day += timedelta(days=1)
        shown = _at(day, clock_ns, zone)
    while shown <= end_wall_ns:
        position_ns = position_at(shown)
        if position_at(shown + 1) > position_ns:  # the clock ran on here: it was recorded
            return position_ns
        day += timedelta(days=1)
        shown = _at(day, clock_ns, zone)
    return first - zero_wall_ns if first < zero_wall_ns else position_at(first)


def _at(day: date, clock_ns: int, zone: tzinfo) -> int:
    seconds, rest = divmod(clock_ns, 10**9)
    clock = time(seconds // 3600, seconds // 60 % 60, seconds % 60)
    return _ns_since_1970(datetime.combine(day, clock, tzinfo=zone)) + rest
