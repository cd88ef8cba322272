"""Counts of events before cursors, against counting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.blocks import Bytes
from tickdeck.cassette.chunkcodec import build_chunk
from tickdeck.cassette.chunks import ref_of
from tickdeck.cassette.reader import Cassette, Contents
from tickdeck.cassette.records import TEXT, Frame, Header, Record, Sender, TrackOpened
from tickdeck.cassette.survey import SurveyTaker
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.counting import EventCounts
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.tape import Tape

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

CHANNELS = ("T.A", "T.B", "T.*", "Q.A", "Q.*", "T.NONE")
EVERYTHING = 1 << 62
PADDING = "x" * (300 << 10)


def cut_up(records: list[Record], size: int) -> Cassette:
    """A cassette in memory, ``size`` records a chunk."""
    pieces = [records[at : at + size] for at in range(0, len(records), size)]
    chunks = {number: build_chunk(number, piece, POLYGON.indexer) for number, piece in enumerate(pieces)}
    taker = SurveyTaker(POLYGON.indexer)
    for chunk in chunks.values():
        taker.add_chunk(chunk)
    refs = [ref_of(number, piece) for number, piece in enumerate(pieces)]
    contents = Contents(Header(0), False, 0, 1, refs, chunks, lambda _: taker.survey)
    return Cassette("memory", Bytes(b""), contents)


FRAMES = st.lists(
    st.lists(st.sampled_from(["T.A", "T.B", "Q.A", "opaque"]), min_size=1, max_size=4), max_size=25
)


def recorded(frames: list[list[str]]) -> list[Record]:
    records: list[Record] = [TrackOpened(0, 0, 0, "stocks")]
    for frame in frames:
        seq = len(records)
        said = (f'{{"ev":"{name[0]}","sym":"{name[2:]}"}}' for name in frame)
        payload = b"no array" if "opaque" in frame else f"[{','.join(said)}]".encode()
        records.append(Frame(seq, seq, 0, Sender.SERVER, TEXT, payload))
    return records


def matches(channel: str, name: str) -> bool:
    return channel in (name, f"{name[0]}.*")


@given(FRAMES, st.integers(1, 6), st.lists(st.integers(0, 30), max_size=6))
def test_counts_are_what_counting_gives(frames: list[list[str]], size: int, seqs: list[int]) -> None:
    places = [(channel, seq) for channel in CHANNELS for seq in seqs]
    counts = EventCounts(Cutter(Tape(cut_up(recorded(frames), size), market="stocks")), places)
    for channel, seq in [*places, *((channel, EVERYTHING) for channel in CHANNELS)]:
        counted = sum(
            matches(channel, name)
            for at, frame in enumerate(frames, start=1)
            for name in frame
            if at < seq and "opaque" not in frame
        )
        assert counts.before(channel, seq) == counted


def test_a_stretch_without_data_does_not_end_the_count(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 1, "A")
    story.says(0, 2, PADDING)
    story.trades(0, 3, "A")
    story.trades(0, 4, "A")
    tape = Tape(make(story.records), market="stocks")
    assert [len(view.seqs) for view in tape.views()] == [1, 0, 2]
    assert EventCounts(Cutter(tape), [("T.A", 4)]).before("T.A", 4) == 2


def test_what_came_twice_counts_once(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.opens(1, 0)
    story.acks(0, 1, "T.A")
    story.acks(1, 1, "T.*")
    for _ in range(3):
        story.trades(0, 2, "A")
        story.trades(1, 2, "A", "B")
    counts = EventCounts(Cutter(Tape(make(story.records), market="stocks")), [("T.*", 8), ("T.A", 8)])
    assert (counts.before("T.*", EVERYTHING), counts.before("T.A", EVERYTHING)) == (6, 3)
    # seq 0-3 open and acknowledge; 4 6 8 are track 0, 5 7 9 track 1, of which only B is new
    assert (counts.before("T.*", 8), counts.before("T.A", 8)) == (4, 2)


def test_a_symbol_that_is_a_star_is_not_counted_twice(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 1, "*", "A")
    story.trades(0, 2, "*")
    counts = EventCounts(Cutter(Tape(make(story.records), market="stocks")), [("T.*", 2)])
    assert (counts.before("T.*", 2), counts.before("T.*", EVERYTHING)) == (2, 3)


def test_nothing_lies_between_a_place_and_an_earlier_one(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 1, "A")
    counts = EventCounts(Cutter(Tape(make(story.records), market="stocks")), [])
    assert counts.between("T.A", 5, 2) == 0
    assert counts.between("T.A", 0, EVERYTHING) == 1
