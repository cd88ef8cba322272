"""Who shares a timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.choices import StartOn, TimelineOf
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.reel import Reel
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timelines import Timelines

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]


class Client:
    """A session, as far as a timeline needs it."""

    number = 1
    market = "stocks"
    has_read = False

    def __init__(self, tapes: Tapes) -> None:
        self.reel = Reel(Cutter(tapes.of("stocks")), cursor=0)

    def holds(self, channel: str) -> bool:
        return False


@pytest.fixture
def tapes(make: Make, story: Any) -> Tapes:
    story.opens(0, 0)
    story.trades(0, 0, "A")
    return Tapes(make(story.records))


def test_all_that_use_one_key_share_a_timeline_and_its_requests_too(tapes: Tapes) -> None:
    timelines = Timelines(PlayOptions(), tapes)
    one = timelines.of("one")
    assert timelines.of("one", client=1) is timelines.of("one", client=2) is one
    assert timelines.of("two", client=3) is not one


def test_everybody_shares_the_shared_one(tapes: Tapes) -> None:
    timelines = Timelines(PlayOptions(timeline=TimelineOf.SHARED), tapes)
    assert timelines.of("one") is timelines.of("two", client=1) is timelines.of("three", client=2)
    assert len(timelines) == 1


def test_where_each_connection_has_its_own_a_request_goes_with_the_newest_socket_of_its_key(
    tapes: Tapes,
) -> None:
    timelines = Timelines(PlayOptions(timeline=TimelineOf.CONNECTION), tapes)
    nobodys = timelines.of("one")
    first = timelines.of("one", client=1)
    second = timelines.of("one", client=2)
    assert len({id(each) for each in (nobodys, first, second)}) == 3
    assert timelines.of("one") is second
    assert timelines.of("two") not in (nobodys, first, second)


def test_timelines_are_numbered_in_the_order_of_their_making(tapes: Tapes) -> None:
    timelines = Timelines(PlayOptions(), tapes)
    one, two = timelines.of("one"), timelines.of("two")
    assert (one.number, two.number) == (1, 2)
    assert list(timelines) == [one, two]
    assert timelines.numbered(2) is two
    assert timelines.numbered(3) is None


def test_whoever_comes_once_they_are_armed_starts_at_once_whether_its_key_was_seen_or_not(
    tapes: Tapes,
) -> None:
    timelines = Timelines(PlayOptions(start_on=StartOn.CONTROL), tapes)
    asked_before = timelines.of("asked before")
    assert asked_before.join(Client(tapes), 5, connected_ns=5) == []
    only_asked = timelines.of("only asked")
    timelines.arm()
    for timeline in (only_asked, timelines.of("new")):
        assert [entry.kind for entry in timeline.join(Client(tapes), 7, connected_ns=7)] == ["started"]


def test_what_was_forgotten_is_made_anew_and_armed_no_more(tapes: Tapes) -> None:
    timelines = Timelines(PlayOptions(timeline=TimelineOf.CONNECTION, start_on=StartOn.CONTROL), tapes)
    timelines.arm()
    before = timelines.of("one", client=1)
    timelines.clear()
    assert len(timelines) == 0
    after = timelines.of("one")
    assert after is not before
    assert after.number == 1
    assert after.join(Client(tapes), 7, connected_ns=7) == []
