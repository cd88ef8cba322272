from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.dialects.moments import Shift, moved_date, moved_fixdate, moved_instant, moved_number, unit_of

NEW_YORK = ZoneInfo("America/New_York")
DAY_MS = 86_400_000
HOUR = Shift(3_600_000, None)
TWO_DAYS = Shift(2 * DAY_MS, 2)


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        (10**11 - 1, None),
        (10**11, 1_000_000),
        (1536036818784, 1_000_000),
        (10**14 - 1, 1_000_000),
        (1601316752683746, 1_000),
        (1788877046310003385, 1),
        (10**20 - 1, 1),
        (10**20, None),
    ],
)
def test_the_unit_of_a_moment_is_told_by_its_size(number: int, unit: int | None) -> None:
    assert unit_of(number) == unit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1536036818784", "1536040418784"),
        ("1601316752683746", "1601320352683746"),
        ("1788877046310003385", "1788880646310003385"),
        ("999999999999", "1000003599999"),
        ("9999999999999", "10000003599999"),
        ("1643726040000.0", "1643729640000.0"),
        ("1643726040000000000.000", "1643729640000000000.000"),
    ],
)
def test_a_moment_moves_in_its_own_unit(before: str, after: str) -> None:
    assert moved_number(before, HOUR) == after


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "930",
        "99999999999",
        "1536036818784.5",
        "1536036818784.",
        "1.5e12",
        "-1536036818784",
        "null",
        '"x"',
        "1" * 21,
    ],
)
def test_what_is_no_moment_stays(text: str) -> None:
    assert moved_number(text, HOUR) == text


@given(st.integers(10**12, 10**13 - 1), st.integers(-(10**11), 10**11))
def test_a_moment_told_in_two_units_stays_one_moment(ms: int, shift_ms: int) -> None:
    shift = Shift(shift_ms, None)
    as_ms, as_ns = moved_number(str(ms), shift), moved_number(str(ms * 10**6 + 123_456), shift)
    assert int(as_ns) == int(as_ms) * 10**6 + 123_456


@pytest.mark.parametrize(
    ("before", "after"),
    [("2020-02-28", "2020-03-01"), ("2019-12-31", "2020-01-02")],
)
def test_a_date_moves_by_whole_days(before: str, after: str) -> None:
    assert moved_date(before, TWO_DAYS) == after


@pytest.mark.parametrize("text", ["2020-13-01", "2020-1-2", "9999-12-31", "2020-01-02x", "AUD", ""])
def test_what_is_no_date_stays(text: str) -> None:
    assert moved_date(text, TWO_DAYS) == text


def test_a_date_stays_where_the_shift_is_not_whole_days() -> None:
    assert moved_date("2020-01-02", HOUR) == "2020-01-02"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2020-01-02T23:30:05Z", "2020-01-03T00:30:05Z"),
        ("2020-01-02t23:30:05z", "2020-01-03t00:30:05z"),
        ("2020-01-02 23:30:05+05:30", "2020-01-03 00:30:05+05:30"),
        ("2020-01-02T23:30:05.1234567891-0500", "2020-01-03T00:30:05.1234567891-0500"),
    ],
)
def test_an_instant_keeps_its_spelling(before: str, after: str) -> None:
    assert moved_instant(before, HOUR) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2020-01-02T09:31:05.9Z", "2020-01-02T09:31:06.1Z"),
        ("2020-01-02T09:31:05.900Z", "2020-01-02T09:31:06.150Z"),
        ("2020-01-02T09:31:05Z", "2020-01-02T09:31:05Z"),
    ],
)
def test_an_instant_has_as_many_decimals_as_before(before: str, after: str) -> None:
    assert moved_instant(before, Shift(250, None)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2020-01-02T09:31:05-05:00", "2020-07-02T09:31:05-04:00"),
        ("2020-01-02T09:31:05-0500", "2020-07-02T09:31:05-0400"),
        ("2020-01-02T14:31:05Z", "2020-07-02T13:31:05Z"),
        ("2020-01-02T08:31:05-06:00", "2020-07-02T07:31:05-06:00"),
    ],
)
def test_a_clock_that_showed_the_exchanges_time_goes_on_showing_it(before: str, after: str) -> None:
    half_a_year = Shift(182 * DAY_MS - 3_600_000, 182, NEW_YORK)
    assert moved_instant(before, half_a_year) == after


@pytest.mark.parametrize(
    "text", ["2020-01-02", "2020-01-02T09:31:05", "2020-13-02T09:31:05Z", "open", "9999-12-31T23:30:00Z"]
)
def test_what_is_no_instant_stays(text: str) -> None:
    assert moved_instant(text, HOUR) == text


def test_a_date_of_http_moves_to_the_second() -> None:
    assert moved_fixdate("Fri, 27 Dec 2019 23:30:31 GMT", HOUR) == "Sat, 28 Dec 2019 00:30:31 GMT"
    assert (
        moved_fixdate("Tue, 31 Dec 2019 23:59:59 GMT", Shift(1999, None)) == "Wed, 01 Jan 2020 00:00:00 GMT"
    )


@pytest.mark.parametrize(
    "text",
    ["", "Friday, 27-Dec-19 02:30:31 GMT", "Fri, 32 Dec 2019 02:30:31 GMT", "Fri, 31 Dec 9999 23:30:00 GMT"],
)
def test_what_is_no_date_of_http_stays(text: str) -> None:
    assert moved_fixdate(text, HOUR) == text


@given(
    st.integers(10**9, 10**10).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.integers(-(10**12), 10**12),
)
def test_an_instant_moved_there_and_back_is_the_same(then: datetime, ms: int) -> None:
    text = then.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    moved = moved_instant(text, Shift(ms, None))
    milliseconds = (datetime.fromisoformat(moved) - datetime.fromisoformat(text)) // timedelta(milliseconds=1)
    assert milliseconds == ms
    assert moved_instant(moved, Shift(-ms, None)) == text
