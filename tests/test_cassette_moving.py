from __future__ import annotations

from typing import Any

import pytest

from tickdeck.cassette.chunkcodec import build_chunk
from tickdeck.cassette.moving import STAY, Move, moved_chunk, moved_record, moved_survey
from tickdeck.cassette.records import (
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.survey import Survey

MOVE = Move(seq=100, offset_ns=1000, track=10, interaction=50, floor_ns=7)


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        (TrackOpened(1, 8, 2, "stocks"), TrackOpened(101, 1008, 12, "stocks")),
        (Frame(1, 8, 2, Sender.CLIENT, TEXT, b"x"), Frame(101, 1008, 12, Sender.CLIENT, TEXT, b"x")),
        (TrackClosed(1, 8, 2, None), TrackClosed(101, 1008, 12, None)),
        (
            Interaction(1, 2, 8, 9, 3, "GET", "/", 200, body=b"x"),
            Interaction(101, 1007, 1008, 1009, 53, "GET", "/", 200, body=b"x"),
        ),
        (BodyPart(1, 8, 3, b"x"), BodyPart(101, 1008, 53, b"x")),
        (Gap(1, 2, 9, "stocks", "lost"), Gap(101, 1007, 1009, "stocks", "lost")),
        (Anchor(1, 8, 77), Anchor(101, 1008, 77)),
        (Profile(1, 6, {"a": "b"}), Profile(101, 1007, {"a": "b"})),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_is_moved_with_all_its_numbers_and_no_earlier_than_the_floor(
    record: Record, wanted: Record
) -> None:
    assert moved_record(record, MOVE) == wanted
    assert moved_record(record, STAY) == record


def test_a_lane_keeps_its_bytes_and_its_index(letters: Any) -> None:
    frames = [Frame(n, 6 + n, 0, Sender.SERVER, TEXT, b"[{T:A},{Q:B}]") for n in range(3)]
    chunk = build_chunk(0, frames, letters.indexer)
    moved = moved_chunk(chunk, MOVE, number=5)
    (before,), (lane,) = chunk.lanes, moved.lanes
    assert (moved.number, lane.track, lane.seqs, lane.offsets) == (5, 10, [100, 101, 102], [1007, 1007, 1008])
    assert lane.wire is before.wire
    assert lane.postings is before.postings


def test_a_chunk_that_stays_is_the_same_one(letters: Any) -> None:
    chunk = build_chunk(0, [Anchor(0, 0, 1)], letters.indexer)
    assert moved_chunk(chunk, STAY, number=0) is chunk
    assert moved_chunk(chunk, STAY, number=1).side is chunk.side


def test_the_survey_of_nothing_stays_one_of_nothing() -> None:
    assert moved_survey(Survey(), MOVE) == Survey()
