"""Numbers as a person reads them."""

from tickdeck.words import columns, count, duration, market_time, offset, size, utc

OPEN_NS = 1_577_975_400 * 10**9
"""2020-01-02 14:30:00 UTC, the open of the New York exchanges."""


def test_a_count_agrees_with_its_thing():
    assert [count(1, "frame"), count(1234, "frame"), count(0, "miss")] == [
        "1 frame",
        "1,234 frames",
        "0 misses",
    ]


def test_sizes_are_decimal_and_never_show_a_thousand_of_a_unit():
    assert [size(n) for n in (812, 12_345, 999_951, 4_500_000)] == ["812 B", "12.3 kB", "1.0 MB", "4.5 MB"]


def test_durations_grow_into_minutes_and_hours():
    written = [duration(n) for n in (350_000_000, 8 * 10**9, 90 * 10**9, 23_400 * 10**9, -(10**9))]
    assert written == ["350 ms", "8.0 s", "1 m 30 s", "6 h 30 m", "-1.0 s"]


def test_an_offset_keeps_its_sign_and_its_milliseconds():
    assert [offset(1_234_567_890_123), offset(-1_500_000)] == ["+1,234.567 s", "-0.001 s"]


def test_market_time_is_told_in_the_markets_own_zone():
    assert market_time(OPEN_NS + 250_000_000, "stocks") == "2020-01-02 09:30:00.250 EST"
    assert market_time(OPEN_NS, "futures/cme") == "2020-01-02 08:30:00.000 CST"
    assert market_time(OPEN_NS, "crypto") == "2020-01-02 14:30:00.000 UTC"


def test_machine_time_is_utc_to_the_microsecond():
    assert utc(OPEN_NS + 123_456_789) == "2020-01-02T14:30:00.123456Z"


def test_columns_are_as_wide_as_their_widest_cell():
    assert columns([("T.AAPL", "12"), ("Q.A", "1,204")], right=frozenset({1})) == [
        "  T.AAPL     12",
        "  Q.A     1,204",
    ]


def test_no_rows_make_no_lines():
    assert columns([]) == []
