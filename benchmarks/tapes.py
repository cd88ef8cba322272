"""Tapes of one shape each, from integers alone: the same bytes in every run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tickdeck.cassette.files import Recording, open_cassette
from tickdeck.cassette.records import TEXT, Frame, Header, Record, Sender, Source, TrackOpened
from tickdeck.cassette.redaction import NO_PLACES, Redactor

EPOCH_NS = 1_577_975_400_000_000_000
SYMBOLS = [f"S{number:03d}" for number in range(200)]


def trade(number: int) -> bytes:
    """One trade of some 150 bytes, no two alike."""
    mixed = (number * 2_654_435_761) & 0xFFFFFFFF
    event = {
        "ev": "T",
        "sym": SYMBOLS[mixed % len(SYMBOLS)],
        "x": mixed % 20,
        "i": str(50_000 + number),
        "z": 3,
        "p": (10_000 + mixed % 5_000) / 100,
        "s": 1 + mixed % 400,
        "c": [14, 41] if mixed & 64 else [37],
        "t": 1_577_975_400_000 + number // 5,
        "q": 4_000_000 + number,
        "trfi": 202,
        "ds": f"{1 + mixed % 400}.0",
    }
    return json.dumps(event, separators=(",", ":")).encode()


def frames(count: int, events: int) -> Iterator[bytes]:
    """``count`` payloads of ``events`` trades each."""
    for number in range(count):
        first = number * events
        yield b"[" + b",".join(trade(first + each) for each in range(events)) + b"]"


def records(payloads: Iterator[bytes], *, spacing_ns: int) -> Iterator[Record]:
    """A track on which the payloads came ``spacing_ns`` apart."""
    yield TrackOpened(0, 0, 0, "stocks", feed="socket")
    for seq, payload in enumerate(payloads, 1):
        yield Frame(seq, seq * spacing_ns, 0, Sender.SERVER, TEXT, payload)


def make(path: Path, *, count: int, events: int, spacing_ns: int = 1000) -> int:
    """Write a cassette; the sum of its payloads in bytes."""
    header = Header(EPOCH_NS, source=Source.SYNTHETIC, note="a benchmark's tape")
    recording = Recording.create(path, header, redactor=Redactor(NO_PLACES), write_ahead=False)
    total = 0
    batch: list[Record] = []
    for record in records(frames(count, events), spacing_ns=spacing_ns):
        total += len(record.payload) if isinstance(record, Frame) else 0
        batch.append(record)
        if len(batch) == 1000:
            recording.append(batch)
            batch = []
    recording.append(batch)
    recording.seal()
    return total


def wire_bytes(path: Path) -> int:
    """What the tape weighs on the wire, headers of frames included."""
    with open_cassette(path) as cassette:
        return sum(len(lane.wire) for chunk in cassette.chunks() for lane in chunk.lanes)
