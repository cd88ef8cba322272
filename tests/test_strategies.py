"""The strategies make what the wire has: valid, of every type, with the quirks; and shrink to the plainest case."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st

from tickdeck import MockServer, open_cassette
from tickdeck.cassette.records import Frame, Gap
from tickdeck.dialects import find as dialect
from tickdeck.dialects.polygon_events import channel_of, parsed_events
from tickdeck.strategies import FAILING, events, frames, played, rest_pages, tapes
from tickdeck.testing.tapes import Tape

INDEXER = dialect("polygon").indexer
JUST_ONE = settings(phases=(Phase.generate,), max_examples=5000)
"""Whether there is one; which is the smallest is another question."""

SMALLEST = settings(phases=(Phase.generate, Phase.shrink))

ROOT = Path(__file__).parent.parent
MARKETS = ("stocks", "options", "forex", "crypto", "indices", "futures")


@given(st.data())
@pytest.mark.parametrize("market", MARKETS)
def test_every_event_has_a_channel_and_is_found_in_its_frame(market: str, data: st.DataObject) -> None:
    event = data.draw(events(market=market))
    channel = channel_of(event)
    assert channel
    assert "." in channel
    payload = json.dumps([event], separators=(",", ":")).encode()
    [found] = INDEXER.events(payload) or ()
    assert (found.channel, payload[found.start : found.end]) == (channel, payload[1:-1])


@given(frames())
def test_the_quick_way_and_the_parser_agree_on_every_frame(payload: bytes) -> None:
    assert json.loads(payload) is not None
    assert INDEXER.events(payload) == parsed_events(payload)


@pytest.mark.parametrize(
    "quirk",
    [
        lambda event: isinstance(event.get("x"), str),
        lambda event: isinstance(event.get("ds"), str),
        lambda event: isinstance(event.get("z"), float),
        lambda event: len(str(event.get("t", ""))) == 19,
        lambda event: event["ev"] == "T" and "x" not in event,
        lambda event: event["ev"] == "ZZ",
        lambda event: "new" in event,
        lambda event: "." in str(event.get("sym")),
        lambda event: event.get("otc") is True,
    ],
)
def test_each_quirk_turns_up(quirk: object) -> None:
    find(events(), quirk, settings=JUST_ONE)  # type: ignore[arg-type]


def test_without_quirks_nothing_is_undocumented() -> None:
    @given(events(quirks=False))
    @settings(max_examples=200)
    def check(event: dict[str, object]) -> None:
        assert event["ev"] != "ZZ"
        assert not {"new", "more"} & set(event)

    check()


def test_frames_are_empty_mixed_large_and_spelled_with_zeros() -> None:
    assert find(frames(), lambda each: each == b"[]") == b"[]"
    mixed = find(frames(), lambda each: len({event["ev"] for event in json.loads(each)}) > 1)
    assert len(json.loads(mixed)) == 2
    find(frames(), lambda each: len(json.loads(each)) > 20, settings=JUST_ONE)
    find(frames(), lambda each: re.search(rb'"p":\d+\.\d*0\b', each) is not None, settings=JUST_ONE)


def test_the_plainest_case_can_be_read() -> None:
    assert find(events("T"), lambda event: True, settings=SMALLEST) == {
        "ev": "T",
        "sym": "AAPL",
        "p": 0.01,
        "s": 1,
        "t": 1577975400000,
    }
    tape = find(tapes(quirks=False), lambda each: len(_said(each)) > 0, settings=SMALLEST)
    assert len(tape.records()) == 3


@pytest.mark.parametrize(
    "has",
    [
        lambda tape: any(isinstance(each, Gap) for each in tape.records()),
        lambda tape: len(_times(tape)) > len(set(_times(tape))),
        lambda tape: len(_said(tape)) > len(set(_said(tape))),
        lambda tape: any(b'"status"' in each for each in _said(tape)),
    ],
    ids=["gap", "equal times", "a frame twice", "a status"],
)
def test_tapes_have_what_goes_wrong(has: object) -> None:
    find(tapes(), has, settings=JUST_ONE)  # type: ignore[arg-type]


def _said(tape: Tape) -> list[bytes]:
    return [each.payload for each in tape.records() if isinstance(each, Frame)]


def _times(tape: Tape) -> list[int]:
    return [each.offset_ns for each in tape.records() if isinstance(each, Frame)]


@given(tapes())
@settings(max_examples=20)
def test_every_tape_is_a_sound_cassette_that_plays(tape: Tape) -> None:
    with played(tape) as market:
        assert market.state()["error"] is None


@given(rest_pages())
def test_pages_follow_each_other_and_the_last_has_no_next(pages: list[dict[str, object]]) -> None:
    assert [("next_url" in page) for page in pages] == [True] * (len(pages) - 1) + [False]
    assert all(page["count"] == len(page["results"]) for page in pages if "results" in page)  # type: ignore[arg-type]
    assume(len(pages) > 1)
    assert str(pages[0]["next_url"]).endswith("?cursor=1")


def test_what_fails_within_saves_its_tape_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tape = Tape().at("09:30:00").send({"ev": "T", "sym": "A"})
    with pytest.raises(ZeroDivisionError) as caught, played(tape):
        raise ZeroDivisionError
    [path] = FAILING.iterdir()
    assert path.name == "test_what_fails_within_saves_its_tape_and_says_where.cassette"
    assert caught.value.__notes__ == [f"the tape is saved: tickdeck cat {path}, or play it"]
    with open_cassette(path) as cassette:
        assert list(cassette.records()) == tape.records()
    with MockServer(path):
        pass


def test_the_example_finds_the_bug_of_the_naive_bot(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            ROOT / "examples" / "test_naive_bot.py",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "examples")},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 1, done.stdout
    assert "assert Counter(" in done.stdout
    saved = tmp_path / FAILING / "test_every_share_is_counted.cassette"
    assert f"the tape is saved: tickdeck cat {FAILING / saved.name}" in done.stdout
    with open_cassette(saved) as cassette:
        said = [json.loads(each.payload) for each in cassette.records() if isinstance(each, Frame)]
    assert [len(each) for each in said] == [2]  # two trades in one frame
