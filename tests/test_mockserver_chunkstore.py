"""What is decoded for the tapes of a server, and how often."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.chunks import BuiltLane, Chunk
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.chunkstore import ChunkStore, Decoder
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.recent import Room
from tickdeck.mockserver.tape import Tapes

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]


class Loader:
    """A loader that notes what it was asked for."""

    def __init__(self, decode: Callable[[int], Chunk]) -> None:
        self.decode = decode
        self.decoded: list[int] = []
        self.prepared: list[int] = []

    def __call__(self, number: int) -> Chunk:
        self.decoded.append(number)
        return self.decode(number)

    def prepare(self, number: int) -> None:
        self.prepared.append(number)


def heavy(number: int) -> Chunk:
    lane = BuiltLane(0, [0], [0], [0, 1000], [2], bytes(1000), [0, 1], [3], [999], [1], {1: [0]})
    return Chunk(number, ("", "T.A"), (lane,), ())


def test_a_chunk_is_decoded_once_as_long_as_there_is_room_for_it() -> None:
    loader = Loader(heavy)
    store = ChunkStore(loader, Room(12_000))
    for number in (0, 1, 2, 0, 1, 2, 3, 2, 0):
        assert store.kept(number).chunk.number == number
    assert loader.decoded == [0, 1, 2, 3, 0]
    assert store.room.taken == 12_000


def test_what_teaches_the_allocator_is_allocated_once_a_process() -> None:
    ChunkStore(Loader(heavy))
    tracemalloc.start()
    try:
        ChunkStore(Loader(heavy))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_only_what_is_not_here_is_prepared() -> None:
    loader = Loader(heavy)
    store = ChunkStore(loader)
    store.kept(1)
    store.prepare(1)
    store.prepare(2)
    assert (loader.decoded, loader.prepared) == ([1], [2])


def test_what_could_not_be_decoded_is_not_kept() -> None:
    def damaged(number: int) -> Chunk:
        raise FormatError("damaged")

    store = ChunkStore(Decoder(damaged))
    store.prepare(0)
    for _ in range(2):
        with pytest.raises(FormatError, match="damaged"):
            store.kept(0)
    assert store.room.taken == 0


def test_the_tapes_of_a_cassette_share_their_chunks_and_prepare_only_pieces_that_there_are(
    make: Make, story: Any
) -> None:
    story.opens(0, 0)
    story.opens(1, 0, market="crypto")
    story.trades(0, 1, "A")
    story.says(1, 2, '[{"ev":"XT","pair":"BTC-USD"}]')
    cassette = make(story.records)
    loader = Loader(cassette.chunk)
    tapes = Tapes(cassette, loader=loader)
    tape = tapes.of("stocks")
    tape.prepare(0)
    tape.prepare(1)
    assert loader.prepared == [0]
    assert Cutter(tape).cut(0, frozenset({"T.A"})).frames == 1
    assert Cutter(tapes.of("crypto")).cut(0, frozenset({"XT.*"})).frames == 1
    assert tapes.end_ns == 1
    assert loader.decoded == [0]


def test_the_end_of_a_tape_costs_one_chunk(make: Make, story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickdeck.cassette.writer.CHUNK_TARGET", 300)
    story.opens(0, 0)
    story.opens(1, 0, market="crypto")
    for at in range(20):
        story.trades(0, at, "A")
    for at in range(20, 60):
        story.says(0, at, "no array of objects")
    cassette = make(story.records)
    loader = Loader(cassette.chunk)
    tape = Tapes(cassette, loader=loader).of("stocks")
    assert tape.end_ns == 19
    assert tape.position_behind(10**9) == 19
    assert len(loader.decoded) == 1
    assert len(cassette.chunk_refs()) > 5


def test_with_many_filters_no_more_is_kept_than_there_is_room_for(
    make: Make, story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickdeck.cassette.writer.CHUNK_TARGET", 2000)
    monkeypatch.setattr("tickdeck.mockserver.chunkstore.ROOM", 50_000)
    symbols = [f"S{number}" for number in range(30)]
    story.opens(0, 0)
    for at in range(40):
        story.trades(0, at, *symbols)
    tape = Tapes(make(story.records)).of("stocks")
    cutter = Cutter(tape)
    for number in range(tape.pieces):
        for symbol in symbols:
            assert cutter.cut(number, frozenset({f"T.{symbol}"})).frames > 0
            assert tape.room.taken <= 50_000
    assert tape.pieces >= 20


def test_a_piece_wanted_whole_shares_the_bytes_of_its_chunk(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 1, "A", "B")
    tape = Tapes(make(story.records)).of("stocks")
    cut = Cutter(tape).cut(0, frozenset({"T.*"}))
    lane = tape.view(0).lanes[0]
    assert cut.wire.obj is lane.view.obj
    assert cut.wire == lane.wire
    assert (cut.frames, list(cut.starts), list(cut.seqs), list(cut.positions)) == (
        1,
        [0, len(cut.wire)],
        [1],
        [0],
    )
