"""Tapes of one shape each, from integers alone: the same bytes in every run.

A tape repeats some megabytes of distinct frames as often as its size asks for. Chunks are
compressed one by one and hold a quarter of a megabyte, so a repetition is as hard to
compress, and as hard to keep in a cache, as anything else; but its events are found only once,
which makes a gigabyte of tape in a minute.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count, cycle, takewhile
from pathlib import Path

import xxhash

from tickdeck import dialects
from tickdeck.cassette.compression import LEVEL
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.indexing import Event, Holding, Index
from tickdeck.cassette.records import TEXT, Frame, Header, Record, Sender, Source, TrackOpened
from tickdeck.cassette.wire import frame_header
from tickdeck.cassette.writer import encode_cassette

EPOCH_NS = 1_577_975_400_000_000_000
SYMBOLS = [f"S{number:03d}" for number in range(200)]
DISTINCT = 8 << 20
"""Bytes of payload that are made before they repeat."""

PLAIN, ZSTD = 0, LEVEL
"""The compression level of a tape whose chunks are stored as they are, and that of a recorder."""


def mixed_of(number: int) -> int:
    """An integer that looks like chance."""
    return (number * 2_654_435_761) & 0xFFFFFFFF


def trade(number: int) -> bytes:
    """One trade of some 130 bytes, no two alike."""
    mixed = mixed_of(number)
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


def quote(number: int) -> bytes:
    """One quote of some 110 bytes."""
    mixed = mixed_of(number)
    event = {
        "ev": "Q",
        "sym": SYMBOLS[mixed % len(SYMBOLS)],
        "bx": mixed % 20,
        "bp": (10_000 + mixed % 5_000) / 100,
        "bs": 1 + mixed % 9,
        "ax": mixed % 19,
        "ap": (10_003 + mixed % 5_000) / 100,
        "as": 1 + mixed % 7,
        "c": 1,
        "t": 1_577_975_400_000 + number // 5,
        "q": 4_000_000 + number,
        "z": 3,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def trade_or_quote(number: int) -> bytes:
    """Trades and quotes, half and half."""
    return trade(number) if mixed_of(number) & 0x40000 else quote(number)


@dataclass(frozen=True, slots=True)
class Shape:
    """What each frame of a tape looks like: so many events of one kind."""

    name: str
    event: Callable[[int], bytes]
    events: int

    def payloads(self) -> Iterator[bytes]:
        """Its frames, for ever."""
        return cycle(_distinct(self))


ONE = Shape("132 B", trade, 1)
SMALL = Shape("1 KB", trade, 8)
LARGE = Shape("16 KB", trade, 122)
BATCHED = Shape("5 KB", trade, 40)
MIXED = Shape("mixed feed", trade_or_quote, 40)


@dataclass(frozen=True, slots=True)
class Tape:
    """A cassette on disk with one track: what it holds was counted as it was made, not read from it."""

    path: Path
    shape: Shape
    frames: int
    payload_bytes: int
    wire_bytes: int
    digest: str
    spacing_ns: int

    def cut(self, keep: Callable[[bytes], bool]) -> Wanted:
        """What a client is to get of which it wants only the events that ``keep`` keeps."""
        return wanted(_kept(payload, keep) for payload in first(self.shape, self.frames))

    def beginning(self, frames: int) -> Wanted:
        """What a client is to get of its first ``frames`` frames."""
        return wanted(first(self.shape, min(frames, self.frames)))

    def ends(self) -> list[int]:
        """Behind how many bytes on the wire each frame ends."""
        ends, at = [], 0
        for payload in first(self.shape, self.frames):
            at += len(wire(payload))
            ends.append(at)
        return ends


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes on the wire that a client is to get: how many frames and bytes, and their hash."""

    frames: int
    wire_bytes: int
    digest: str


def wire(payload: bytes) -> bytes:
    """A text frame of a server."""
    return frame_header(TEXT, len(payload)) + payload


def wanted(payloads: Iterator[bytes | None]) -> Wanted:
    """The frames of these payloads; ``None`` is no frame."""
    frames = size = 0
    digest = xxhash.xxh3_128()
    for payload in payloads:
        if payload is not None:
            framed = wire(payload)
            frames, size = frames + 1, size + len(framed)
            digest.update(framed)
    return Wanted(frames, size, digest.hexdigest())


def first(shape: Shape, frames: int) -> Iterator[bytes]:
    """The payloads of a tape's first frames."""
    return (payload for _, payload in zip(range(frames), shape.payloads(), strict=False))


def make(
    path: Path,
    shape: Shape,
    *,
    size: int = 0,
    frames: int = 0,
    level: int = ZSTD,
    spacing_ns: int = 1000,
) -> Tape:
    """Write a sealed cassette of about so many bytes of payload, or of so many frames."""
    total = frames or size * len(_distinct(shape)) // sum(map(len, _distinct(shape))) + 1
    header = Header(EPOCH_NS, source=Source.SYNTHETIC, note="a benchmark's tape")
    records = _records(first(shape, total), spacing_ns=spacing_ns)
    pieces = encode_cassette(header, records, indexer=_Remembering(), redactor=_Open(), level=level)
    with path.open("wb") as file:
        file.writelines(pieces)
    payload_bytes = sum(map(len, first(shape, total)))
    expected = wanted(first(shape, total))
    return Tape(path, shape, total, payload_bytes, expected.wire_bytes, expected.digest, spacing_ns)


def make_of(path: Path, payloads: Sequence[bytes]) -> None:
    """Write a sealed cassette of just these payloads."""
    header = Header(EPOCH_NS, source=Source.SYNTHETIC, note="a benchmark's tape")
    records = _records(iter(payloads), spacing_ns=1000)
    with path.open("wb") as file:
        file.writelines(encode_cassette(header, records, indexer=_Remembering(), redactor=_Open()))


def payloads_of(path: Path, frames: int | None = None) -> list[bytes]:
    """The payloads of a tape, or of its first frames, in memory."""
    numbers = count() if frames is None else iter(range(frames))
    with open_cassette(path) as cassette:
        found = (record.payload for record in cassette.records() if isinstance(record, Frame))
        return [payload for _, payload in zip(numbers, found, strict=False)]


@cache
def _distinct(shape: Shape) -> Sequence[bytes]:
    sizes = 0

    def room(payload: bytes) -> bool:
        nonlocal sizes
        sizes += len(payload)
        return sizes <= DISTINCT

    return tuple(takewhile(room, map(shape_payload, count(), cycle((shape,)))))


def shape_payload(number: int, shape: Shape) -> bytes:
    """Frame ``number`` of a shape."""
    start = number * shape.events
    return b"[" + b",".join(map(shape.event, range(start, start + shape.events))) + b"]"


def _kept(payload: bytes, keep: Callable[[bytes], bool]) -> bytes | None:
    """The payload without the events that are not wanted; no object lies within these events."""
    events = [event for event in payload[2:-2].split(b"},{") if keep(event)]
    return b"[{" + b"},{".join(events) + b"}]" if events else None


def _records(payloads: Iterator[bytes], *, spacing_ns: int) -> Iterator[Record]:
    yield TrackOpened(0, 0, 0, "stocks", feed="socket")
    for seq, payload in enumerate(payloads, 1):
        yield Frame(seq, seq * spacing_ns, 0, Sender.SERVER, TEXT, payload)


class _Open:
    """A door without a guard: what is synthetic holds no secret."""

    redactions: dict[str, dict[str, int]] = {}  # noqa: RUF012 - nobody writes to it

    def clean(self, record: Record) -> Record:
        return record

    def clean_header(self, header: Header) -> Header:
        return replace(header)


class _Remembering:
    """The dialect's indexer, which looks into a payload that repeats only once."""

    def __init__(self) -> None:
        self._indexer = dialects.find("polygon").indexer
        self._events: dict[bytes, Sequence[Event] | None] = {}
        self.name, self.revision = self._indexer.name, self._indexer.revision

    def events(self, payload: bytes) -> Sequence[Event] | None:
        if payload not in self._events:
            self._events[payload] = self._indexer.events(payload)
        return self._events[payload]

    def index(self, payloads: Sequence[bytes]) -> Index | None:
        """None: what repeats is sooner remembered."""
        return None

    def holdings(self, sender: Sender, payload: bytes) -> Sequence[Holding]:
        return self._indexer.holdings(sender, payload)
