"""A piece of tape with several lanes, against sorting its frames."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.chunkcodec import build_chunk, decode_chunk, encode_chunk
from tickdeck.cassette.records import TEXT, Frame, Sender
from tickdeck.mockserver.view import View


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50)), min_size=1, max_size=20),
    st.integers(-20, 20),
    st.booleans(),
)
def test_frames_of_all_lanes_are_in_order_and_positions_never_step_back(
    letters, frames: list[tuple[int, int]], floor: int, stored: bool
) -> None:
    records = [
        Frame(2 * seq, offset, track, Sender.SERVER, TEXT, b"[{T:A}]")
        for seq, (track, offset) in enumerate(frames)
    ]
    chunk = build_chunk(0, records, letters.indexer)
    chunk = decode_chunk(encode_chunk(chunk)) if stored else chunk
    view = View(0, chunk.channels, chunk.lanes, zero_ns=5, floor_ns=floor)
    assert view.frames == len(frames)
    assert list(view.seqs) == [record.seq for record in records]
    assert [run.lane.seqs[row] for run in view.runs for row in range(run.first, run.last)] == list(view.seqs)
    reached, positions = floor, []
    for _, offset in frames:
        reached = max(reached, offset - 5)
        positions.append(reached)
    assert list(view.positions) == positions
    assert (view.seq_list, view.position_list) == (list(view.seqs), list(view.positions))


def test_a_run_goes_on_until_another_lane_has_the_next_frame(letters) -> None:
    tracks = [1, 1, 2, 2, 2, 1]
    records = [Frame(seq, 0, track, Sender.SERVER, TEXT, b"[{T:A}]") for seq, track in enumerate(tracks)]
    chunk = build_chunk(0, records, letters.indexer)
    view = View(0, chunk.channels, chunk.lanes, zero_ns=0, floor_ns=0)
    assert [(run.lane.track, run.first, run.last) for run in view.runs] == [(1, 0, 2), (2, 0, 3), (1, 2, 3)]


def test_a_piece_without_lanes_has_no_frame() -> None:
    view = View(0, ("",), (), zero_ns=0, floor_ns=0)
    assert (view.frames, view.runs, view.seqs, view.positions) == (0, (), [], [])
