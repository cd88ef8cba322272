"""Places on the tape as a person names them, and where they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.moments import (
    Instant,
    Moment,
    Offset,
    TimeOfDay,
    parse_duration,
    parse_moment,
    position_of,
)

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("90", 90 * SECOND),
        ("1.5", 1_500_000_000),
        ("7ns", 7),
        ("7us", 7_000),
        ("50ms", 50_000_000),
        ("1.5ms", 1_500_000),
        ("1h30m", 5400 * SECOND),
        ("2d", 2 * DAY),
        ("0.1s", 100_000_000),
    ],
)
def test_a_duration_is_exactly_what_its_spelling_says(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1x", "1s2", ".5s", "1e3", "09:30"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("+90s", Offset(90 * SECOND)),
        ("90s", Offset(90 * SECOND)),
        ("+0", Offset(0)),
        ("09:31:05", TimeOfDay((9 * 3600 + 31 * 60 + 5) * SECOND)),
        ("9:31", TimeOfDay((9 * 3600 + 31 * 60) * SECOND)),
        ("00:00:00.000000001", TimeOfDay(1)),
        ("23:59:59.5", TimeOfDay(DAY - SECOND // 2)),
        ("1970-01-01T00:00:00Z", Instant(0)),
        ("1970-01-01T00:00:00.000000001Z", Instant(1)),
        ("1970-01-01 01:00:01,5+01:00", Instant(1_500_000_000)),
        ("19700101T000001.5Z", Instant(1_500_000_000)),
        ("1969-12-31T23:59:59.25Z", Instant(-750_000_000)),
        ("2020-01-02T09:31:05-05:00", Instant(1_577_975_465 * SECOND)),
    ],
)
def test_a_place_is_an_offset_a_time_of_day_or_an_instant(text: str, moment: Moment) -> None:
    assert parse_moment("from", text) == moment


@pytest.mark.parametrize("text", ["", "soon", "-5s", "+-5s", "2020-13-01T00:00:00Z", "1:2:3"])
def test_what_is_no_place_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_moment("from", text)
    assert (
        str(refused.value)
        == f"from: {text!r} is no place on a tape; write +90s, 09:31:05 or 2020-01-02T14:30:05Z"
    )


@pytest.mark.parametrize("text", ["24:00:00", "09:60", "09:30:60"])
def test_a_time_that_no_clock_shows_is_no_time_of_day(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_moment("seek", text)
    assert str(refused.value) == f"seek: {text!r} is no time of day; write 09:31:05"


@pytest.mark.parametrize("text", ["2020-01-02", "2020-01-02T09:31:05"])
def test_a_timestamp_needs_its_zone(text: str) -> None:
    with pytest.raises(UsageError, match="names no zone; end it with Z or an offset such as -05:00"):
        parse_moment("to", text)


def at(text: str) -> int:
    """Nanoseconds since 1970 of a whole second."""
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def place(
    text: str,
    *,
    zero: str = "2020-01-02T09:30:00-05:00",
    length: int = HOUR,
    position_at: Callable[[int], int] | None = None,
) -> int:
    zero_ns = at(zero)
    return position_of(
        parse_moment("from", text),
        zone=NEW_YORK,
        zero_wall_ns=zero_ns,
        end_wall_ns=zero_ns + length,
        position_at=position_at or (lambda wall_ns: wall_ns - zero_ns),
    )


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("+90s", 90 * SECOND),
        ("09:30:00", 0),
        ("09:31:05.000000007", 65 * SECOND + 7),
        ("10:30:00", HOUR),
        ("2020-01-02T14:30:05Z", 5 * SECOND),
        ("2020-01-02T14:29:00Z", -60 * SECOND),
    ],
)
def test_a_place_is_counted_from_the_zero_of_the_tape(text: str, position: int) -> None:
    assert place(text) == position


def test_a_time_of_day_that_the_tape_begins_behind_is_that_of_the_next_day_if_that_was_recorded() -> None:
    assert place("09:29:59") == -SECOND
    assert place("09:29:59", length=3 * DAY) == DAY - SECOND


def test_a_day_on_which_clocks_change_is_not_twenty_four_hours_long() -> None:
    assert place("09:00", zero="2020-03-07T10:00:00-05:00", length=3 * DAY) == 22 * HOUR


def test_a_time_of_day_is_that_of_the_day_on_which_it_was_recorded() -> None:
    """Two evenings of one hour each, played back to back: nobody recorded the morning between them."""
    zero_ns = at("2020-01-02T16:00:00-05:00")

    def position_at(wall_ns: int) -> int:
        since = wall_ns - zero_ns
        return min(since, HOUR) if since < DAY else min(since - DAY + HOUR, 2 * HOUR)

    recorded = {"zero": "2020-01-02T16:00:00-05:00", "position_at": position_at}
    assert place("16:30", length=DAY + HOUR, **recorded) == HOUR // 2  # type: ignore[arg-type]
    assert place("17:30", length=DAY + HOUR, **recorded) == HOUR  # type: ignore[arg-type]


def test_a_morning_that_was_recorded_on_the_second_day_only_is_found_there() -> None:
    """An afternoon and the whole day behind it, back to back."""
    zero_ns = at("2020-01-02T10:00:00-05:00")
    second = at("2020-01-03T15:00:00-05:00") - zero_ns

    def position_at(wall_ns: int) -> int:
        since = wall_ns - zero_ns
        return min(since, HOUR) if since < second else since - second + HOUR

    found = place("15:30", zero="2020-01-02T10:00:00-05:00", length=second + HOUR, position_at=position_at)
    assert found == HOUR + HOUR // 2


@given(st.integers(0, 86_399), st.integers(0, 10**9 - 1))
def test_the_clock_of_the_exchange_shows_the_time_of_day_at_its_place(second: int, ns: int) -> None:
    hours, rest = divmod(second, 3600)
    text = f"{hours:02}:{rest // 60:02}:{rest % 60:02}.{ns:09}"
    position = place(text)
    assert -10 * HOUR <= position < 15 * HOUR
    wall_ns = at("2020-01-02T09:30:00-05:00") + position
    shown = datetime.fromtimestamp(wall_ns // SECOND, tz=UTC).astimezone(NEW_YORK)
    assert f"{shown:%H:%M:%S}.{wall_ns % SECOND:09}" == text
