"""A moment, moved: one constant for everything, and the numbers and words it is told in.

A shift is a whole number of milliseconds, for the coarsest moments that are sent are
milliseconds: what is told twice, once in ms and once in ns, stays the same moment.
Only the digits change. Dates move by whole days: those of the shift, or where it is no
whole days, by as many as the exchange's calendar moves on where the tape starts; a time
of day with an offset is told in the offset that the exchange's clock has at the new
moment, if it was told in the exchange's offset before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final

MILLISECOND: Final = 1_000_000

UNITS: Final = ((10**17, 1), (10**14, 1_000), (10**11, MILLISECOND))
"""At least this large, and less than a thousand times that, a number counts so many nanoseconds since 1970."""

_NUMBER: Final = re.compile(r"([1-9][0-9]{11,19})(\.0+)?")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]++)?+([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
_FIXDATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much a tape is moved in time, once and for all.

    ``days`` is what it comes to in whole days on the clock of ``zone`` (across a
    change of the clock these are not 24 hours each); ``None`` if it does not. Then dates
    move by ``calendar_days``, and stay where that is ``None``.
    """

    ms: int
    days: int | None
    zone: tzinfo = UTC
    calendar_days: int | None = None

    @property
    def ns(self) -> int:
        """The same in nanoseconds."""
        return self.ms * MILLISECOND

    @property
    def date_days(self) -> int | None:
        """By how many days dates move; ``None`` if they stay."""
        return self.calendar_days if self.days is None else self.days

    @property
    def back(self) -> Shift:
        """The way back."""
        days, calendar_days = (None if each is None else -each for each in (self.days, self.calendar_days))
        return Shift(-self.ms, days, self.zone, calendar_days)


def unit_of(number: int) -> int | None:
    """How many nanoseconds such a number counts by, told by its size; ``None`` if it is no moment."""
    return next((unit for least, unit in UNITS if least <= number < least * 1000), None)


def moved_number(text: str, shift: Shift) -> str:
    """The digits of a moment since 1970, moved; anything else as it is (a fraction, an exponent, a small number)."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    number, zeros = int(found[1]), found[2] or ""
    unit = unit_of(number)
    return text if unit is None else f"{number + shift.ns // unit}{zeros}"


def moved_date(text: str, shift: Shift) -> str:
    """``2020-01-02``, moved by whole days."""
    found, days = _DATE.fullmatch(text), shift.date_days
    if found is None or days is None:
        return text
    try:
        return (date(*map(int, found.groups())) + timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):
        return text


def moved_instant(text: str, shift: Shift) -> str:
    """An instant as RFC 3339 spells it, with as many decimals as it had; anything else as it is."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return text
    clock, decimals, written = found.groups()
    digits = "" if decimals is None else decimals[1:]
    try:
        then = datetime.fromisoformat(clock.upper()).replace(tzinfo=_zone(written))
        fraction_ns = int(digits[:9].ljust(9, "0")) + (shift.ms % 1000) * MILLISECOND
        now = then + timedelta(seconds=shift.ms // 1000 + fraction_ns // 10**9)
        # A clock that shows the exchange's time goes on showing it, over a change of the clock too.
        if written not in ("Z", "z") and then.utcoffset() == then.astimezone(shift.zone).utcoffset():
            now = now.astimezone(shift.zone)
            written = _spelled(now, colon=":" in written)
    except (ValueError, OverflowError):
        return text
    fraction = f"{fraction_ns % 10**9:09d}"[: len(digits)] + digits[9:]
    moved = now.replace(tzinfo=None).isoformat(clock[10], "seconds")
    return f"{moved}{'.' if digits else ''}{fraction}{written}"


def moved_fixdate(text: str, shift: Shift) -> str:
    """A date as HTTP spells it (RFC 9110 5.6.7, IMF-fixdate), to the second; anything else as it is."""
    found = _FIXDATE.fullmatch(text)
    if found is None:
        return text
    day, month, *rest = found.groups()
    year, hour, minute, second = map(int, rest)
    try:
        then = datetime(year, _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC)
        now = then + timedelta(seconds=shift.ms // 1000)
    except (ValueError, OverflowError):
        return text
    return (
        f"{_DAYS[now.weekday()]}, {now.day:02d} {_MONTHS[now.month - 1]} {now.year:04d} "
        f"{now.hour:02d}:{now.minute:02d}:{now.second:02d} GMT"
    )


def _zone(written: str) -> tzinfo:
    if written in ("Z", "z"):
        return UTC
    minutes = int(written[1:3]) * 60 + int(written[-2:])
    return timezone(timedelta(minutes=-minutes if written[0] == "-" else minutes))


def _spelled(moment: datetime, *, colon: bool) -> str:
    spelled = moment.strftime("%z")[:5]
    return f"{spelled[:3]}:{spelled[3:]}" if colon else spelled
