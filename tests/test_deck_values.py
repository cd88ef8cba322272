"""What a flag's text means."""

import zoneinfo
from datetime import UTC

import click
import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.values import moment, next_time_of_day, parse_address, parse_duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [("50ms", 50_000_000), ("60s", 60 * 10**9), ("1h30m", 5400 * 10**9), ("1.5", 1_500_000_000), ("0", 0)],
)
def test_a_duration_is_exact_nanoseconds(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 s", "5sec", "s", "1e3s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the flag's own sentence comes from elsewhere
        parse_duration(text)


def test_a_moment_is_since_the_epoch_or_an_instant():
    assert moment("90s").offset_ns(5) == 90 * 10**9
    assert moment("1970-01-01T00:00:01.5Z").offset_ns(5) == 1_500_000_000 - 5
    assert moment("1970-01-01T00:00:00-05:00").offset_ns(0) == 5 * 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "sentence"), [("2020-01-02T14:30:05", "names no zone"), ("noon", "no moment")]
)
def test_what_is_no_moment_is_refused(text, sentence):
    with pytest.raises(click.BadParameter, match=sentence):
        moment(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8421", ("127.0.0.1", 8421)),
        ("8421", ("127.0.0.1", 8421)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:8421", ("::1", 8421)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
    ],
)
def test_an_address_is_a_host_and_a_port(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "::1:8421", "127.0.0.1:65536", "127.0.0.1:-1", "[::1:0", "::1]:0", "[]:0", "[a]:0"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError, match="is no address"):
        parse_address(text)


def test_a_time_of_day_is_the_next_one_in_the_exchanges_zone():
    new_york = zoneinfo.ZoneInfo("America/New_York")
    half_past_nine = 1_577_975_400 * 10**9
    assert (
        next_time_of_day("16:00", new_york, now_ns=half_past_nine) - half_past_nine == int(6.5 * 3600) * 10**9
    )
    assert next_time_of_day("09:30", new_york, now_ns=half_past_nine) - half_past_nine == 24 * 3600 * 10**9


@pytest.mark.parametrize("text", ["16:00Z", "16:00+02:00", "24:30"])
def test_a_time_of_day_is_told_in_the_exchanges_zone_only(text):
    with pytest.raises(UsageError, match="is no time of day"):
        next_time_of_day(text, UTC, now_ns=0)


def test_what_is_no_time_of_day_is_refused():
    with pytest.raises(UsageError, match="is no time of day"):
        next_time_of_day("tea", UTC, now_ns=0)
