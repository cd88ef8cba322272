"""Of a message that never becomes whole: its opcode, the size that it announced, and how much of it came."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tickdeck.cassette.records import BINARY, PING, TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.recorder.unfinished import FrameHeaders, Unfinished

SIZES = st.sampled_from([0, 1, 125, 126, 65_535, 65_536]) | st.integers(0, 300)


def frame(first: int, size: int, *, masked: bool = False) -> bytes:
    header = bytearray(frame_header(0, size))
    header[0] = first
    if masked:
        header[1] |= 0x80
        header += b"mask"
    return bytes(header) + b"\x81" * size


def fed(*pieces: bytes) -> FrameHeaders:
    headers = FrameHeaders()
    for piece in pieces:
        headers.feed(piece)
    return headers


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [5, 200, 70_000])
def test_a_frame_that_breaks_off_is_known_by_its_header(size: int, masked: bool) -> None:
    whole = frame(0x80 | TEXT, size, masked=masked)
    assert fed(whole, whole[:-2]).unfinished == Unfinished(TEXT, size, size - 2)
    assert fed(whole, whole).unfinished is None
    assert fed(whole, whole).whole == 2


def test_a_message_in_fragments_breaks_off_though_its_frames_are_whole() -> None:
    begun = frame(BINARY, 10) + frame(0x80 | PING, 3) + frame(0, 20)
    assert fed(begun).unfinished == Unfinished(BINARY, 30, 30)
    assert fed(begun).whole == 1
    assert fed(begun, frame(0x80, 5)[:-1]).unfinished == Unfinished(BINARY, 35, 34)
    assert fed(begun, frame(0x80 | PING, 4)[:-1]).unfinished == Unfinished(PING, 4, 3)
    assert fed(begun, frame(0x80, 5)).unfinished is None


def test_of_a_header_that_breaks_off_there_is_at_most_the_opcode() -> None:
    assert fed(frame(0x80 | BINARY, 70_000)[:5]).unfinished == Unfinished(BINARY, 0, 0)
    assert fed(b"").unfinished is None


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING]), SIZES, st.booleans()), max_size=6), st.data()
)
def test_how_the_bytes_were_split_does_not_show(
    frames: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    wire = b"".join(
        frame(0x80 | opcode, min(size, 125) if opcode == PING else size, masked=masked)
        for opcode, size, masked in frames
    )
    at = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[low:high] for low, high in zip([0, *at], [*at, len(wire)], strict=True)]
    assert fed(*pieces).whole == len(frames)
    end = data.draw(st.integers(0, len(wire)))
    cut = [
        piece for low, piece in zip([0, *at], pieces, strict=True) for piece in (piece[: max(end - low, 0)],)
    ]
    assert (fed(*cut).whole, fed(*cut).unfinished) == (fed(wire[:end]).whole, fed(wire[:end]).unfinished)
