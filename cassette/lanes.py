"""The lanes of a chunk: built frame by frame, kept as columns, read without a step of Python for each row.

Where events lie is stored as pairs (bytes skipped since the end of the event
before, length of the event), so that one running sum over the lane gives every
start and end; a frame ends a few bytes, normally one, behind its last event.
Each column is compressed by itself, for no two are alike: together they would take
a third more. Posting lists are stored one behind the other in the order of channel
ids; they are unpacked when first asked for, for a client that wants everything
asks for none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise, repeat
from operator import add, le, sub
from typing import Final

from tickdeck.cassette.blocks import MAX_PAYLOAD
from tickdeck.cassette.chunks import Lane
from tickdeck.cassette.columns import pack_column, room_of, starts_of, unpack_column
from tickdeck.cassette.compression import ZSTD, restore, squeeze
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.indexing import STATUS, Event
from tickdeck.cassette.packing import BIG, Fields
from tickdeck.cassette.records import Frame
from tickdeck.cassette.wire import HEADER_SIZES, frame_header

_WORTH_COMPRESSING: Final = 64


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

    def lane(self) -> Lane:
        return Lane(
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
    """A lane as the map of the columns part."""
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
    kept = {name: store(column, level) for name, column in columns.items()}
    return {"track": lane.track, "bytes": len(lane.wire), **kept}


def stored_column(fields: Fields, key: str, *, most: int) -> list[int]:
    """The column that `store` kept under a key, of at most so many rows."""
    return unpack_column(stored(fields, key, most=room_of(most)), most=most)


def read_lane(fields: Fields, blob: bytes, position: int, *, channels: int, most: int) -> Lane:
    """The lane whose bytes begin at ``position``; FormatError if it is unsound.

    ``channels`` is how many the chunk's table has, ``most`` how many events the lane may have.
    """
    size = fields.integer("bytes", high=len(blob) - position)
    counts = stored_column(fields, "event_counts", most=min(size, most))
    frames, first_event = len(counts), starts_of(counts)
    events = first_event[-1]
    if not frames or min(counts) < 1 or events > min(size, most):
        raise FormatError("the events of a lane are more, or fewer, than its frames can hold")
    edges = _edges(_column(fields, "event_skips", events), _column(fields, "event_lengths", events))
    event_starts, event_ends = edges[0::2], edges[1::2]
    headers, tails = _column(fields, "headers", frames), _column(fields, "tails", frames)
    last_ends = map(event_ends.__getitem__, map(sub, first_event[1:], repeat(1)))
    starts = [0, *map(add, last_ends, tails)]
    payload_starts = list(map(add, starts, headers))
    if starts[-1] != size or min(tails) < 0 or not HEADER_SIZES.issuperset(headers):
        raise FormatError("the frames of a lane do not fill its bytes")
    if not all(map(le, payload_starts, map(event_starts.__getitem__, first_event[:-1]))):
        raise FormatError("an event of a lane begins before its frame")
    ids = _column(fields, "event_channels", events)
    if min(ids) < 0 or max(ids) >= channels:
        raise FormatError("an event is on a channel that the chunk's table does not have")
    seqs, offsets = _column(fields, "seqs", frames), _column(fields, "offsets", frames)
    if min(seqs) < 0 or max(seqs) >= BIG or min(offsets) <= -BIG or max(offsets) >= BIG:
        raise FormatError("a sequence or an offset of a lane is out of range")
    return Lane(
        fields.integer("track"),
        seqs,
        offsets,
        starts,
        payload_starts,
        blob[position : position + size],
        first_event,
        event_starts,
        event_ends,
        ids,
        Postings(fields, events, channels),
    )


def _column(fields: Fields, key: str, rows: int) -> list[int]:
    column = stored_column(fields, key, most=rows)
    if len(column) != rows:
        raise FormatError(f"the column {key} of a lane has {len(column)} rows, not {rows}")
    return column


def _edges(skips: list[int], lengths: list[int]) -> list[int]:
    """Where events begin (even rows) and end (odd rows) in the lane."""
    if min(skips) < 0 or min(lengths) < 0:
        raise FormatError("an event of a lane begins before the one before it ends")
    steps = [0] * (2 * len(skips))
    steps[0::2] = skips
    steps[1::2] = lengths
    return list(accumulate(steps))


class Postings(Mapping[int, Sequence[int]]):
    """The posting lists of a lane, unpacked when first asked for."""

    def __init__(self, fields: Fields, events: int, channels: int) -> None:
        self._fields = fields
        self._events = events
        self._channels = channels
        self._lists: dict[int, Sequence[int]] | None = None

    def _unpacked(self) -> dict[int, Sequence[int]]:
        if self._lists is None:
            self._lists = self._unpack()
        return self._lists

    def _unpack(self) -> dict[int, Sequence[int]]:
        ids = stored_column(self._fields, "posting_channels", most=self._channels)
        counts = _column(self._fields, "posting_counts", len(ids))
        ordinals = _column(self._fields, "postings", self._events)
        starts = starts_of(counts)
        sound = (
            len(ids) > 0
            and min(ids) >= 0
            and max(ids) < self._channels
            and min(counts) > 0
            and starts[-1] == self._events
            and min(ordinals) >= 0
            and max(ordinals) < self._events
        )
        if not sound:
            raise FormatError("the posting lists of a lane do not match its events")
        return {
            channel: ordinals[start:end] for channel, (start, end) in zip(ids, pairwise(starts), strict=True)
        }

    def __getitem__(self, channel: int) -> Sequence[int]:
        return self._unpacked()[channel]

    def __iter__(self) -> Iterator[int]:
        return iter(self._unpacked())

    def __len__(self) -> int:
        return len(self._unpacked())
