"""The lanes of a chunk: built frame by frame, kept as columns; `tickdeck.cassette.storedlanes` reads them.

Where events lie is stored as pairs (bytes skipped since the end of the event
before, length of the event), so that one running sum over the lane gives every
start and end; a frame ends a few bytes, normally one, behind its last event.
Each column is compressed by itself, for no two are alike: together they would take
a third more. Posting lists are stored one behind the other in the order of channel
ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise, repeat
from operator import add, attrgetter, sub
from typing import Final

from tickdeck.cassette.blocks import MAX_PAYLOAD
from tickdeck.cassette.chunks import BuiltLane, Lane
from tickdeck.cassette.columns import pack_column, starts_of
from tickdeck.cassette.compression import ZSTD, restore, squeeze
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.indexing import STATUS, Event, Index
from tickdeck.cassette.packing import Fields
from tickdeck.cassette.records import TEXT, Frame
from tickdeck.cassette.wire import frame_header

_WORTH_COMPRESSING: Final = 64

_SEQ: Final = attrgetter("seq")
_OFFSET: Final = attrgetter("offset_ns")
_PAYLOAD: Final = attrgetter("payload")


def store(data: bytes, level: int) -> object:
    """Bytes as a map keeps them: as they are, or as ``[size, zstd frame]`` where that is shorter."""
    method, smaller = squeeze(data, level if len(data) >= _WORTH_COMPRESSING else 0)
    return [len(data), smaller] if method == ZSTD else data


def stored(fields: Fields, key: str, *, most: int = MAX_PAYLOAD) -> bytes:
    """The bytes that `store` kept under a key, at most so many of them."""
    match fields.value(key):
        case bytes(data):
            return data
        case [int(size), bytes(data)] if 0 <= size <= most:
            return restore(ZSTD, data, size)
    raise FormatError(f"{key} of a chunk is not what it should be")


class ChannelIds(dict[str, int]):
    """The numbers of a chunk's channels, by first appearance; the empty name is number 0."""

    def __init__(self) -> None:
        super().__init__({STATUS: 0})

    def __missing__(self, channel: str) -> int:
        number = self[channel] = len(self)
        return number


class LaneBuilder:
    """Collects the data frames of one track: a few steps of Python for a frame, none for an event."""

    def __init__(self, track: int) -> None:
        self.track = track
        self.seqs: list[int] = []
        self.offsets: list[int] = []
        self.starts = [0]
        self.payload_starts: list[int] = []
        self.pieces: list[bytes] = []
        self.first_event = [0]
        self.event_starts: list[int] = []
        self.event_ends: list[int] = []
        self.event_channels: list[int] = []

    def add(self, frame: Frame, events: Sequence[Event], ids: ChannelIds) -> None:
        header = frame_header(frame.opcode, len(frame.payload))
        base = self.starts[-1] + len(header)
        self.seqs.append(frame.seq)
        self.offsets.append(frame.offset_ns)
        self.payload_starts.append(base)
        self.starts.append(base + len(frame.payload))
        self.pieces += (header, frame.payload)
        starts, ends, channels = zip(*events, strict=True)
        self.event_starts.extend(map(add, starts, repeat(base)))
        self.event_ends.extend(map(add, ends, repeat(base)))
        self.event_channels.extend(map(ids.__getitem__, channels))
        self.first_event.append(len(self.event_channels))

    def add_all(self, frames: Sequence[Frame], index: Index, ids: ChannelIds) -> None:
        """Several frames at once, with what an `Index` says of them."""
        sizes = [len(frame.payload) for frame in frames]
        headers = list(map(frame_header, repeat(TEXT), sizes))
        header_sizes = list(map(len, headers))
        starts = list(accumulate(map(add, header_sizes, sizes), initial=self.starts[-1]))
        payload_starts = list(map(add, starts, header_sizes))
        self.seqs += map(_SEQ, frames)
        self.offsets += map(_OFFSET, frames)
        self.payload_starts += payload_starts
        self.pieces += chain.from_iterable(zip(headers, map(_PAYLOAD, frames), strict=True))
        self.starts += starts[1:]
        bases = list(chain.from_iterable(map(repeat, payload_starts, index.counts)))
        self.event_starts += map(add, index.starts, bases)
        self.event_ends += map(add, index.ends, bases)
        self.event_channels += map(ids.__getitem__, index.channels)
        self.first_event += list(accumulate(index.counts, initial=self.first_event[-1]))[1:]

    def lane(self) -> BuiltLane:
        return BuiltLane(
            self.track,
            self.seqs,
            self.offsets,
            self.starts,
            self.payload_starts,
            b"".join(self.pieces),
            self.first_event,
            self.event_starts,
            self.event_ends,
            self.event_channels,
            _postings(self.event_channels),
        )


def _postings(event_channels: Sequence[int]) -> dict[int, Sequence[int]]:
    """The ordinals of each channel's events, in order: sorting is stable."""
    ordinals = sorted(range(len(event_channels)), key=event_channels.__getitem__)
    counts = Counter(event_channels)
    ids = sorted(counts)
    starts = starts_of(counts[channel] for channel in ids)
    return {channel: ordinals[start:end] for channel, (start, end) in zip(ids, pairwise(starts), strict=True)}


def lane_columns(lane: Lane, level: int) -> dict[str, object]:
    """The columns of a lane, as the columns part of a chunk has them."""
    ends_before = [0, *lane.event_ends[:-1]]
    last_ends = map(lane.event_ends.__getitem__, map(sub, lane.first_event[1:], repeat(1)))
    ids = sorted(lane.postings)
    postings = [lane.postings[channel] for channel in ids]
    columns = {
        "seqs": pack_column(lane.seqs, rising=True),
        "offsets": pack_column(lane.offsets, rising=True),
        "headers": pack_column(list(map(sub, lane.payload_starts, lane.starts))),
        "tails": pack_column(list(map(sub, lane.starts[1:], last_ends))),
        "event_counts": pack_column(list(map(sub, lane.first_event[1:], lane.first_event))),
        "event_skips": pack_column(list(map(sub, lane.event_starts, ends_before))),
        "event_lengths": pack_column(list(map(sub, lane.event_ends, lane.event_starts))),
        "event_channels": pack_column(lane.event_channels),
        "posting_channels": pack_column(ids, rising=True),
        "posting_counts": pack_column([len(posting) for posting in postings]),
        "postings": pack_column([ordinal for posting in postings for ordinal in posting], rising=True),
    }
    return {name: store(column, level) for name, column in columns.items()}
