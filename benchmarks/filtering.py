"""Filtering of recorded frames, beside orjson: load each payload, keep what is wanted, dump it.

    python benchmarks/filtering.py TAPE... [--rounds 5] [--symbols 10]

``cut`` is from decoded chunks whose index is unpacked, ``whole way`` from the file:
checksum, decompression, unpacking and cutting. Without orjson the peer is `json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tickdeck.cassette.chunks import frames_of
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.recent import Room
from tickdeck.mockserver.tape import Tape

try:
    from orjson import dumps, loads
except ImportError:
    print("orjson is not installed: the peer is json")
    from json import loads

    def dumps(value: object) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()


PIECES = 8
"""Pieces of tape that fit into the room for decoded chunks."""


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The median of so many tries."""
    tries = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        tries.append(time.perf_counter() - start)
    return statistics.median(tries)


def load_filter_dump(payloads: Sequence[bytes], wanted: frozenset[str]) -> int:
    """What a server does that knows frames only as JSON; the frames that it sends."""
    every = {channel[:-2] for channel in wanted if channel.endswith(".*")}
    sent = 0
    for payload in payloads:
        events = [
            event
            for event in loads(payload)
            if event["ev"] in every or f"{event['ev']}.{event['sym']}" in wanted
        ]
        if events:
            dumps(events)
            sent += 1
    return sent


def cut_pieces(tape: Tape, pieces: int, wanted: frozenset[str]) -> int:
    """Cut pieces anew; the frames."""
    return frames_cut(Cutter(tape), pieces, wanted)


def frames_cut(cutter: Cutter, pieces: int, wanted: frozenset[str]) -> int:
    """The frames of a cutter's cuts."""
    return sum(cutter.cut(number, wanted).frames for number in range(pieces))


def measure(cassette: Cassette, wanted: frozenset[str], what: str, rounds: int) -> None:
    """One filter on one tape."""
    tape = Tape(cassette, market="stocks")
    pieces = min(PIECES, tape.pieces)
    payloads = [
        frame.payload
        for number in range(pieces)
        for lane in cassette.chunk(number).lanes
        for frame in frames_of(lane)
    ]
    events = sum(len(lane.event_starts) for number in range(pieces) for lane in cassette.chunk(number).lanes)
    assert cut_pieces(tape, pieces, wanted) == load_filter_dump(payloads, wanted)
    cutter = Cutter(tape, room=Room(0))  # it keeps no cut
    peer, cut, way = [
        seconds(work, rounds) * 1e9 / events
        for work in (
            lambda: load_filter_dump(payloads, wanted),
            lambda: frames_cut(cutter, pieces, wanted),
            lambda: cut_pieces(Tape(cassette, market="stocks"), pieces, wanted),
        )
    ]
    print(
        f"{what:28} {events / len(payloads):5.0f} events a frame; ns per recorded event: "
        f"peer {peer:6.0f}, cut {cut:6.1f} ({peer / cut:5.1f}x), whole way {way:6.0f} ({peer / way:4.1f}x)"
    )


def main() -> None:
    """Measure each tape with a few filters."""
    parser = argparse.ArgumentParser(description="Measure filtering beside load, filter, dump.")
    parser.add_argument("tapes", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--symbols", type=int, default=10)
    wish = parser.parse_args()
    for path in wish.tapes:
        with open_cassette(path) as cassette:
            names = sorted({name for track in cassette.survey.tracks.values() for name in track.channels})
            few = frozenset(names[:: max(1, len(names) // wish.symbols)][: wish.symbols])
            topics = frozenset({"T.*"})
            everything = frozenset(f"{name.partition('.')[0]}.*" for name in names)
            measure(cassette, few, f"{path.stem}: {len(few)} of {len(names)} channels", wish.rounds)
            measure(cassette, topics, f"{path.stem}: T.*", wish.rounds)
            measure(cassette, everything, f"{path.stem}: everything", wish.rounds)


if __name__ == "__main__":
    main()
