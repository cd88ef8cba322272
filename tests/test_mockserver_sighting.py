"""What a question means: a channel, and a stretch of time as long as its last digit."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.sighting import Question, ask, precision_of, split

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NINE_THIRTY = 1_577_975_400 * SECOND
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("words", "width_ns"),
    [
        ("09:31", 60 * SECOND),
        ("09:31:05", SECOND),
        ("09:31:05.4", SECOND // 10),
        ("09:31:05.123456789", 1),
        ("2020-01-02T14:30:05Z", SECOND),
        ("2020-01-02T09:30:05.25-05:00", SECOND // 100),
        ("2020-01-02T09:30-05:00", 60 * SECOND),
        ("+90s", SECOND),
        ("+90", SECOND),
        ("+1h30m", 60 * SECOND),
        ("+5.5s", SECOND // 10),
        ("+250ms", SECOND // 1000),
        ("+1.23ns", 1),
    ],
)
def test_a_written_time_is_as_long_as_its_last_digit_says(words: str, width_ns: int) -> None:
    assert precision_of(words) == width_ns


def asked(text: str, *, days: int = 0) -> Question:
    """A question about a tape from 09:30 on, for a minute, or for so many days and a minute."""
    end_wall_ns = NINE_THIRTY + 60 * SECOND + days * DAY
    return ask(text, begin_wall_ns=NINE_THIRTY, end_wall_ns=end_wall_ns, zone=NEW_YORK)


@pytest.mark.parametrize(("text", "from_s"), [("09:30:05", 5), ("09:29:59", -1), ("2020-01-02T14:30:07Z", 7)])
def test_a_time_is_what_the_event_says_in_the_exchanges_zone_or_its_own(text: str, from_s: int) -> None:
    start_ns = NINE_THIRTY + from_s * SECOND
    assert asked(f"T.A@{text}") == Question(f"T.A@{text}", "T.A", ((start_ns, start_ns + SECOND),), own=True)


def test_a_distance_is_that_of_the_frame() -> None:
    assert asked("T.A@+5s") == Question("T.A@+5s", "T.A", ((5 * SECOND, 6 * SECOND),), own=False)


def test_on_a_tape_of_several_days_a_time_of_day_is_that_of_each() -> None:
    starts = [first - NINE_THIRTY for first, _ in asked("T.A@09:30:05", days=2).stretches]
    assert starts == [5 * SECOND, DAY + 5 * SECOND, 2 * DAY + 5 * SECOND]


@pytest.mark.parametrize(
    ("at_ns", "off_ns"),
    [
        (NINE_THIRTY + 5 * SECOND, 0),
        (NINE_THIRTY + 4 * SECOND, -SECOND),
        (NINE_THIRTY - 30 * DAY + 6 * SECOND, 1),
    ],
)
def test_a_time_of_day_is_meant_on_the_day_that_an_event_says(at_ns: int, off_ns: int) -> None:
    assert asked("T.A@09:30:05").off_ns(at_ns) == off_ns


@pytest.mark.parametrize("at_ns", [-1, 10**40])
def test_an_event_may_say_that_it_was_at_any_time(at_ns: int) -> None:
    assert asked("T.A@09:30:05").off_ns(at_ns) != 0


def test_a_symbol_may_hold_a_dot_and_a_pair_is_spelled_with_a_slash() -> None:
    assert split("T.BRK.B@09:31") == ("T.BRK.B", "09:31")
    assert split("C.EUR-USD@09:31") == ("C.EUR/USD", "09:31")


@pytest.mark.parametrize("text", ["T.A", "AAPL@09:31", "@09:31"])
def test_what_is_no_question_says_how_one_is_written(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no question; write a channel and a time, T\.AAPL@09:31:05"):
        split(text)


def test_a_wildcard_is_many_channels() -> None:
    with pytest.raises(UsageError, match=r"T\.\* is many channels; ask for one, T\.AAPL@09:31"):
        split("T.*@09:31")


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="the time: 'noon' is no place on a tape"):
        asked("T.A@noon")
