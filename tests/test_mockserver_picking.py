"""Picking of events from a lane, against a loop over its frames."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.chunkcodec import build_chunk, decode_chunk, encode_chunk
from tickdeck.cassette.chunks import Lane
from tickdeck.cassette.records import TEXT, Frame, Sender
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.picking import Picked, pick_all, pick_events, pick_where

EVENTS = st.builds(
    lambda topic, symbol, pad: f'{{"ev":"{topic}","sym":"{symbol}","x":"{pad}"}}'.encode(),
    st.sampled_from("TQ"),
    st.sampled_from("AB"),
    st.sampled_from(["", "x" * 90, "x" * 5000]),
)
FRAMES = st.lists(
    st.tuples(st.lists(EVENTS, min_size=1, max_size=5), st.sampled_from([b",", b" , "])),
    min_size=1,
    max_size=9,
)
ONES = st.lists(st.tuples(st.lists(EVENTS, min_size=1, max_size=1), st.just(b",")), min_size=1, max_size=20)


def lane_of(frames: list[tuple[list[bytes], bytes]], *, stored: bool) -> Lane:
    records = [
        Frame(seq, seq, 0, Sender.SERVER, TEXT, b"[" + comma.join(events) + b"]")
        for seq, (events, comma) in enumerate(frames)
    ]
    chunk = build_chunk(0, records, POLYGON.indexer)
    return (decode_chunk(encode_chunk(chunk)) if stored else chunk).lanes[0]


def picked_by_hand(frames: list[tuple[list[bytes], bytes]], wanted: list[bool]) -> list[tuple[int, bytes]]:
    out = []
    verdicts = iter(wanted)
    for row, (events, comma) in enumerate(frames):
        mine = [event for event in events if next(verdicts)]
        if mine:
            payload = b"[" + (comma if len(mine) == len(events) else b",").join(mine) + b"]"
            out.append((row, frame_header(TEXT, len(payload)) + payload))
    return out


def spelled(picked: Picked) -> list[tuple[int, bytes]]:
    out, at = [], 0
    for row, size in zip(picked.rows, picked.sizes, strict=True):
        out.append((row, picked.wire[at : at + size]))
        at += size
    assert at == len(picked.wire)
    return out


@given(FRAMES | ONES, st.booleans(), st.integers(0, 8), st.randoms(use_true_random=False))
def test_wanted_events_come_in_frames_of_their_own_and_whole_frames_as_they_were(
    frames: list[tuple[list[bytes], bytes]], stored: bool, share: int, dice: object
) -> None:
    lane = lane_of(frames, stored=stored)
    wanted = [dice.randrange(8) < share for _ in range(lane.first_event[-1])]  # type: ignore[attr-defined]
    by_hand = picked_by_hand(frames, wanted)
    assert spelled(pick_events(lane, [at for at, want in enumerate(wanted) if want])) == by_hand
    assert spelled(pick_where(lane, wanted)) == by_hand
    if all(wanted):
        assert spelled(pick_all(lane)) == by_hand


def test_a_run_of_whole_frames_is_one_slice() -> None:
    lane = lane_of([([b'{"ev":"T","sym":"A"}'], b",")] * 3, stored=True)
    assert pick_events(lane, [0, 1, 2]).wire == lane.wire
    assert pick_all(lane).wire is lane.wire
