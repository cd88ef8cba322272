"""Runs read back: what is no sound run says so, and marks say between which moments a frame left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import TEXT, Record, Sender
from tickdeck.mockserver.course import cursor_of
from tickdeck.mockserver.minutes import DESK, VERSION, Minutes, run_facts
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.rundown import Marks, Rundown
from tickdeck.mockserver.tape import Tapes

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no JSON", "a line of the run is no JSON$"),
        ("[1]", "a line of the run is no JSON object"),
        ('{"kind":"run"}', "a line run of the run has no v"),
        (f'{{"kind":"run","v":{VERSION + 1}}}', "version 2, which is newer than this release reads"),
        ('{"kind":"turn","timeline":1}', "a line turn of the run has no run"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_an_error(
    make: Make, story: Any, line: str, words: str
) -> None:
    story.opens(0, 0, market=DESK)
    story.says(0, 1, line)
    with pytest.raises(FormatError, match=words):
        Rundown(make(story.records))


def test_lines_of_kinds_that_are_not_known_are_passed_over(make: Make, story: Any) -> None:
    story.opens(0, 0, market=DESK)
    story.says(0, 1, '{"kind":"of a later release"}')
    story.says(0, 2, '{"kind":"heard","client":7,"leg":0,"seq":0}')
    assert Rundown(make(story.records)).clients == {}


def test_marks_say_between_which_moments_a_frame_left() -> None:
    marks = Marks()
    assert marks.last == 0
    assert marks.around(5) == (None, None)
    for leg, seq, at_ns in ((0, 3, 100), (0, 9, 200), (1, 2, 300)):
        marks.add(leg, seq, at_ns)
    assert marks.around(2) == (None, 100)
    assert marks.around(3) == (100, 200)
    assert marks.around(8) == (100, 200)
    assert marks.around(cursor_of(1, 1)) == (200, 300)
    assert marks.around(cursor_of(1, 2)) == (300, None)
    assert marks.last == cursor_of(1, 2)


@pytest.mark.parametrize(
    ("start_on", "written"),
    [("auth", "auth"), ("clients:3", "clients:3"), (["T.A", "Q.A"], "T.A,Q.A")],
)
def test_the_options_are_written_as_a_person_would(
    make: Make, story: Any, start_on: Any, written: str
) -> None:
    story.opens(0, 0)
    story.trades(0, 1, "A")
    cassette = make(story.records)
    facts = run_facts(cassette, options_of(start_on=start_on, speed="1/3"), Tapes(cassette))
    assert (facts["start_on"], facts["speed"], facts["zero_wall_ns"]) == (
        written,
        "1/3",
        cassette.header.epoch_ns + 1,
    )


def test_what_a_client_says_whose_track_is_not_open_is_not_kept() -> None:
    assert Minutes(opened_ns=0).frame(5, 1, Sender.CLIENT, TEXT, b"late") == []
