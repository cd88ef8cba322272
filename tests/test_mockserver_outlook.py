"""What a tape comes to next: an outage, a stretch without a frame, its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.choices import AtEnd, Gaps
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.outlook import (
    LOOKED_THROUGH,
    SHORTEST_LAP,
    EndComing,
    GapComing,
    Outlook,
)
from tickdeck.mockserver.tape import Tapes

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]


@pytest.fixture
def tapes(make: Make, story: Any) -> Tapes:
    """Stocks: frames at 0, 75 and 100, outages 50-75 and 80-100; crypto: a frame at 55 and one at 82."""
    story.opens(0, 10)
    story.trades(0, 10, "A")
    story.opens(9, 10, market="crypto")
    story.closes(0, 60)
    story.says(9, 65, '[{"ev":"XT","pair":"BTC-USD"}]')
    story.opens(1, 75)
    story.trades(1, 85, "A")
    story.closes(1, 90)
    story.says(9, 92, '[{"ev":"XT","pair":"BTC-USD"}]')
    story.opens(2, 100)
    story.trades(2, 110, "A")
    return Tapes(make(story.records))


def all_that_comes(tapes: Tapes, *markets: str, begin_ns: int = 0, **options: Any) -> list[tuple[Any, ...]]:
    """Everything up to the end: a letter, its position, where the tape goes on."""
    outlook = Outlook(tapes, PlayOptions(**options), begin_ns=begin_ns)
    seen: list[tuple[Any, ...]] = []
    while not isinstance(come := outlook.next(markets), EndComing):
        seen.append((type(come).__name__[0], come.position_ns, come.skip_to_ns))
        outlook.passed(come)
    return [*seen, ("E", come.position_ns)]


def test_a_tape_with_nobody_ends_where_it_begins(tapes: Tapes) -> None:
    assert all_that_comes(tapes) == [("E", 0)]
    assert all_that_comes(tapes, begin_ns=70) == [("E", 70)]


@pytest.mark.parametrize("gaps", [Gaps.SILENCE, Gaps.DISCONNECT])
def test_outages_come_at_their_beginning_and_then_the_end(tapes: Tapes, gaps: Gaps) -> None:
    assert all_that_comes(tapes, "stocks", gaps=gaps) == [("G", 50, None), ("G", 80, None), ("E", 100)]


def test_an_outage_that_is_skipped_ends_where_it_ends(tapes: Tapes) -> None:
    assert all_that_comes(tapes, "stocks", gaps=Gaps.SKIP) == [("G", 50, 75), ("G", 80, 100), ("E", 100)]


def test_what_is_skipped_hides_no_frame_of_another_market(tapes: Tapes) -> None:
    coming = all_that_comes(tapes, "stocks", "crypto", gaps=Gaps.SKIP)
    assert coming == [("G", 50, 55), ("G", 80, 82), ("E", 100)]


def test_an_outage_in_which_something_comes_at_once_is_not_skipped(make: Make, story: Any) -> None:
    story.opens(0, 10)
    story.opens(9, 10, market="crypto")
    story.trades(0, 10, "A")
    story.closes(0, 60)
    story.opens(1, 60)
    story.trades(1, 60, "A")
    tapes = Tapes(make(story.records))
    assert all_that_comes(tapes, "stocks", gaps=Gaps.SKIP) == [("G", 50, None), ("E", 50)]


def test_outages_that_overlap_are_skipped_as_one(make: Make, story: Any) -> None:
    """Stocks are lost from 50 to 200, crypto from 60 to 210: no moment is left out twice."""
    story.opens(0, 0)
    story.opens(1, 0, market="crypto")
    story.trades(0, 0, "A")
    story.says(1, 0, '[{"ev":"XT","pair":"BTC-USD"}]')
    story.closes(0, 50)
    story.closes(1, 60)
    story.opens(2, 150)
    story.opens(3, 160, market="crypto")
    story.trades(2, 200, "A")
    story.says(3, 210, '[{"ev":"XT","pair":"BTC-USD"}]')
    tapes = Tapes(make(story.records))
    coming = all_that_comes(tapes, "stocks", "crypto", gaps=Gaps.SKIP)
    assert coming == [("G", 50, 200), ("G", 200, 210), ("E", 210)]


def test_an_outage_within_a_stretch_that_was_cut_short_is_not_left_out_again(tapes: Tapes) -> None:
    coming = all_that_comes(tapes, "stocks", gaps=Gaps.SKIP, idle_cap_ns=10)
    assert coming == [("I", 10, 75), ("G", 75, None), ("G", 80, 100), ("E", 100)]


def test_who_begins_within_an_outage_is_told_of_it_there_and_of_none_before(tapes: Tapes) -> None:
    assert all_that_comes(tapes, "stocks", begin_ns=60) == [("G", 60, None), ("G", 80, None), ("E", 100)]
    assert all_that_comes(tapes, "stocks", begin_ns=75) == [("G", 80, None), ("E", 100)]
    assert all_that_comes(tapes, "stocks", begin_ns=100) == [("E", 100)]


def test_outages_behind_a_position_are_told_once(tapes: Tapes) -> None:
    outlook = Outlook(tapes, PlayOptions(), begin_ns=0)
    assert list(outlook.gaps_until(49, ["stocks"])) == []
    assert [come.gap.start_ns for come in outlook.gaps_until(50, ["stocks"])] == [50]
    assert list(outlook.gaps_until(50, ["stocks"])) == []
    assert [come.gap.start_ns for come in outlook.gaps_until(1000, ["stocks"])] == [80]


def test_an_outlook_from_elsewhere_does_not_tell_what_was_told(tapes: Tapes) -> None:
    outlook = Outlook(tapes, PlayOptions(idle_cap_ns=20), begin_ns=0)
    list(outlook.gaps_until(50, ["stocks"]))
    moved = outlook.moved_to(60)
    assert moved.next(["stocks"]) == GapComing(80, "stocks", tapes.of("stocks").gaps[1], None)
    assert [each.gap.start_ns for each in moved.gaps_until(1000, ["stocks"])] == [80]
    assert [each.gap.start_ns for each in outlook.gaps_until(1000, ["stocks"])] == [80]


def test_a_stretch_without_a_frame_is_waited_out_as_long_as_is_allowed(tapes: Tapes) -> None:
    coming = all_that_comes(tapes, "crypto", idle_cap_ns=20)
    assert coming == [("I", 20, 55), ("I", 75, 82), ("E", 82)]
    assert all_that_comes(tapes, "crypto", idle_cap_ns=55) == [("E", 82)]


def test_the_frames_of_all_markets_that_are_played_count(tapes: Tapes) -> None:
    coming = all_that_comes(tapes, "stocks", "crypto", idle_cap_ns=20)
    assert coming == [("I", 20, 55), ("G", 55, None), ("G", 80, None), ("E", 100)]


def test_the_time_before_the_first_frame_behind_a_beginning_is_a_stretch_too(tapes: Tapes) -> None:
    assert all_that_comes(tapes, "stocks", begin_ns=30, idle_cap_ns=15)[0] == ("I", 45, 75)


def test_a_long_way_without_a_long_stretch_is_looked_through_piece_by_piece(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for at in range(2 * LOOKED_THROUGH + 1):
        story.trades(0, at, "A")
    story.trades(0, 10_000, "A")
    coming = all_that_comes(Tapes(make(story.records)), "stocks", idle_cap_ns=100)
    assert coming == [
        ("I", LOOKED_THROUGH, None),
        ("I", 2 * LOOKED_THROUGH, None),
        ("I", 2 * LOOKED_THROUGH + 100, 10_000),
        ("E", 10_000),
    ]


def test_a_tape_of_a_moment_is_not_looped_more_often_than_a_thousand_times_a_second(
    make: Make, story: Any
) -> None:
    story.opens(0, 5)
    story.trades(0, 5, "A")
    tapes = Tapes(make(story.records))
    assert all_that_comes(tapes, "stocks") == [("E", 0)]
    assert all_that_comes(tapes, "stocks", at_end=AtEnd.LOOP) == [("E", SHORTEST_LAP)]


def test_what_lies_behind_the_end_of_a_window_does_not_come(tapes: Tapes) -> None:
    tapes.cut_to(0, 78)
    assert all_that_comes(tapes, "stocks", idle_cap_ns=20) == [
        ("I", 20, 75),
        ("G", 75, None),
        ("E", 78),
    ]
