"""What a flag's text means."""

import click
import pytest

from tickdeck.values import MOMENT, parse_duration


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
    assert MOMENT.convert("90s", None, None) == (True, 90 * 10**9)
    assert MOMENT.convert("1970-01-01T00:00:01.5Z", None, None) == (False, 1_500_000_000)
    assert MOMENT.convert("1970-01-01T00:00:00-05:00", None, None) == (False, 5 * 3600 * 10**9)


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(click.BadParameter, match="names no zone"):
        MOMENT.convert("2020-01-02T14:30:05", None, None)
