"""Chunks: built from records, written as one block, decoded into columns.

A chunk's payload is ``length u32 | summary | columns | blob``. The summary, a
small map that is not compressed, says what a reader must know before decoding
(numbers, sequences, offsets, sizes). The columns part is a map of integer columns
and the chunk's channel table; the blob holds each lane's wire bytes back to back
and then the rows of the side. Columns and blob are compressed apart, for they
have nothing in common.

Event positions are stored as pairs (bytes skipped since the end of the event
before, length of the event), so that one running sum over the lane gives every
start and end. Posting lists are stored one behind the other in the order of
channel ids; they are unpacked when first asked for, for a client that wants
everything asks for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import add, sub
from struct import Struct
from typing import Final

from tickdeck.cassette.blocks import MAX_PAYLOAD
from tickdeck.cassette.chunks import Chunk, ChunkRef, Lane, records_of, ref_of
from tickdeck.cassette.codec import encode_row, record_of
from tickdeck.cassette.columns import pack_column, starts_of, unpack_column
from tickdeck.cassette.compression import LEVEL, restore, squeeze
from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.indexing import STATUS, Event, Indexer
from tickdeck.cassette.packing import BIG, Fields, pack, unpack
from tickdeck.cassette.records import TEXT, Frame, Record, Sender
from tickdeck.cassette.wire import HEADER_SIZES, frame_header

_LENGTH: Final = Struct("<I")
_MAX_TRACK: Final = BIG


class _LaneBuilder:
    """Collects the data frames of one track."""

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
        self.postings: dict[int, list[int]] = {}

    def add(self, frame: Frame, events: Sequence[Event], ids: dict[str, int]) -> None:
        header = frame_header(frame.opcode, len(frame.payload))
        base = self.starts[-1] + len(header)
        self.seqs.append(frame.seq)
        self.offsets.append(frame.offset_ns)
        self.payload_starts.append(base)
        self.starts.append(base + len(frame.payload))
        self.pieces += (header, frame.payload)
        for start, end, channel in events:
            number = ids.setdefault(channel, len(ids))
            self.postings.setdefault(number, []).append(len(self.event_channels))
            self.event_starts.append(base + start)
            self.event_ends.append(base + end)
            self.event_channels.append(number)
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
            self.postings,
        )


def data_events(record: Record, indexer: Indexer) -> Sequence[Event]:
    """The events of a frame that belongs in a lane: a server's text frame with market data. Else none."""
    if type(record) is not Frame or record.sender is not Sender.SERVER or record.opcode != TEXT:
        return ()
    events = indexer.events(record.payload) or ()
    return events if any(event.channel != STATUS for event in events) else ()


def build_chunk(number: int, records: Iterable[Record], indexer: Indexer) -> Chunk:
    """Lay records, in sequence order, out for playing."""
    ids = {STATUS: 0}
    lanes: dict[int, _LaneBuilder] = {}
    side: list[Record] = []
    for record in records:
        events = data_events(record, indexer)
        if events and type(record) is Frame:
            lane = lanes.get(record.track)
            if lane is None:
                lane = lanes[record.track] = _LaneBuilder(record.track)
            lane.add(record, events, ids)
        else:
            side.append(record)
    ordered = [lanes[track].lane() for track in sorted(lanes)]
    return Chunk(number, tuple(ids), tuple(ordered), tuple(side))


@dataclass(frozen=True, slots=True)
class Summary:
    """What a chunk's payload says before its parts: its reference and the index's indexer and revision."""

    ref: ChunkRef
    indexer: str
    revision: int


def encode_chunk(chunk: Chunk, *, indexer: str = "", revision: int = 0, level: int = LEVEL) -> bytes:
    """The payload of the chunk's block. Equal chunks, with one zstd library, give equal bytes."""
    rows = [encode_row(record) for record in chunk.side]
    columns = pack(
        {
            "channels": chunk.channels,
            "lanes": [_lane_columns(lane) for lane in chunk.lanes],
            "side": pack_column([len(row) for row in rows]),
        }
    )
    blob = b"".join([*(lane.wire for lane in chunk.lanes), *rows])
    if max(len(columns), len(blob)) > MAX_PAYLOAD // 2:
        raise UsageError(f"a chunk of {len(blob)} bytes is more than a cassette holds in one")
    return _payload(chunk, (indexer, revision), columns, blob, level)


def _payload(chunk: Chunk, indexed: tuple[str, int], columns: bytes, blob: bytes, level: int) -> bytes:
    ref = ref_of(chunk.number, records_of(chunk))
    columns_method, columns_stored = squeeze(columns, level)
    blob_method, blob_stored = squeeze(blob, level)
    summary = pack(
        {
            "number": ref.number,
            "records": ref.records,
            "first_seq": ref.first_seq,
            "last_seq": ref.last_seq,
            "min_offset_ns": ref.min_offset_ns,
            "max_offset_ns": ref.max_offset_ns,
            "interactions": ref.interactions,
            "body_parts": ref.body_parts,
            "tracks": ref.tracks,
            "indexer": indexed[0],
            "revision": indexed[1],
            "columns": [columns_method, len(columns_stored), len(columns)],
            "blob": [blob_method, len(blob_stored), len(blob)],
        }
    )
    return b"".join((_LENGTH.pack(len(summary)), summary, columns_stored, blob_stored))


def _lane_columns(lane: Lane) -> dict[str, object]:
    ends_before = [0, *lane.event_ends[:-1]]
    ids = sorted(lane.postings)
    postings = [lane.postings[channel] for channel in ids]
    return {
        "track": lane.track,
        "bytes": len(lane.wire),
        "seqs": pack_column(lane.seqs, rising=True),
        "offsets": pack_column(lane.offsets, rising=True),
        "lengths": pack_column(_differences(lane.starts)),
        "headers": pack_column(list(map(sub, lane.payload_starts, lane.starts))),
        "event_counts": pack_column(_differences(lane.first_event)),
        "event_skips": pack_column(list(map(sub, lane.event_starts, ends_before))),
        "event_lengths": pack_column(list(map(sub, lane.event_ends, lane.event_starts))),
        "event_channels": pack_column(lane.event_channels),
        "posting_channels": pack_column(ids, rising=True),
        "posting_counts": pack_column([len(posting) for posting in postings]),
        "postings": pack_column([ordinal for posting in postings for ordinal in posting], rising=True),
    }


def _differences(starts: Sequence[int]) -> Sequence[int]:
    return list(map(sub, starts[1:], starts))


def read_summary(payload: bytes) -> tuple[Summary, Fields, int]:
    """The summary of a chunk's payload, its other fields, and where the parts begin."""
    if len(payload) < _LENGTH.size:
        raise FormatError("a chunk is cut short")
    (length,) = _LENGTH.unpack_from(payload)
    start = _LENGTH.size + length
    if start > len(payload):
        raise FormatError("the summary of a chunk is cut short")
    fields = Fields(unpack(payload[_LENGTH.size : start]), "the summary of a chunk")
    ref = ChunkRef(
        fields.integer("number"),
        -1,
        0,
        fields.integer("records", low=1),
        fields.integer("first_seq"),
        fields.integer("last_seq"),
        fields.integer("min_offset_ns", low=-BIG),
        fields.integer("max_offset_ns", low=-BIG),
        fields.integer("interactions"),
        fields.integer("body_parts"),
        fields.integers("tracks"),
    )
    return Summary(ref, fields.text("indexer"), fields.integer("revision")), fields, start


def _part(fields: Fields, key: str, payload: bytes, start: int) -> tuple[bytes, int]:
    described = fields.integers(key)
    if len(described) != 3 or min(described) < 0 or described[2] > MAX_PAYLOAD:
        raise FormatError(f"the {key} of a chunk are not described as they should be")
    method, stored, size = described
    end = start + stored
    if end > len(payload):
        raise FormatError(f"the {key} of a chunk are cut short")
    return restore(method, payload[start:end], size), end


def decode_chunk(payload: bytes) -> Chunk:
    """The chunk of a block's payload; FormatError when it does not hold together."""
    summary, fields, start = read_summary(payload)
    columns_part, start = _part(fields, "columns", payload, start)
    blob, start = _part(fields, "blob", payload, start)
    if start != len(payload):
        raise FormatError("a chunk is followed by bytes that belong to nothing")
    columns = Fields(unpack(columns_part), "the columns of a chunk")
    channels = columns.texts("channels")
    if channels[:1] != (STATUS,):
        raise FormatError("the channel table of a chunk does not begin with the empty name")
    lanes, position = [], 0
    for described in columns.items("lanes"):
        lane = _lane(Fields(described, "a lane"), blob, position, len(channels))
        lanes.append(lane)
        position += len(lane.wire)
    side = _side(blob, position, columns.binary("side"))
    return Chunk(summary.ref.number, channels, tuple(lanes), side)


def _side(blob: bytes, position: int, column: bytes) -> tuple[Record, ...]:
    lengths = unpack_column(column, most=len(blob) - position)
    starts = starts_of(lengths)
    if starts[-1] != len(blob) - position or min(lengths, default=1) < 1:
        raise FormatError("the rows of a chunk's side do not fill its blob")
    rows = (blob[position + start : position + end] for start, end in pairwise(starts))
    return tuple(record_of(unpack(row)) for row in rows)


def _lane(fields: Fields, blob: bytes, position: int, channels: int) -> Lane:
    size = fields.integer("bytes", high=len(blob) - position)
    lengths = unpack_column(fields.binary("lengths"), most=size)
    frames = len(lengths)
    headers = _column(fields, "headers", frames)
    counts = _column(fields, "event_counts", frames)
    starts, first_event = starts_of(lengths), starts_of(counts)
    events = first_event[-1]
    if not frames or starts[-1] != size or min(lengths) < 2 or not HEADER_SIZES.issuperset(headers):
        raise FormatError("the frames of a lane do not fill its bytes")
    if min(counts) < 1 or events > size:
        raise FormatError("the events of a lane are more, or fewer, than its frames can hold")
    edges = _edges(_column(fields, "event_skips", events), _column(fields, "event_lengths", events), size)
    ids = _column(fields, "event_channels", events)
    if min(ids) < 0 or max(ids) >= channels:
        raise FormatError("an event is on a channel that the chunk's table does not have")
    return Lane(
        fields.integer("track", high=_MAX_TRACK),
        _column(fields, "seqs", frames),
        _column(fields, "offsets", frames),
        starts,
        list(map(add, starts, headers)),
        blob[position : position + size],
        first_event,
        edges[0::2],
        edges[1::2],
        ids,
        Postings(fields, events, channels),
    )


def _column(fields: Fields, key: str, rows: int) -> list[int]:
    column = unpack_column(fields.binary(key), most=rows)
    if len(column) != rows:
        raise FormatError(f"the column {key} of a lane has {len(column)} rows, not {rows}")
    return column


def _edges(skips: list[int], lengths: list[int], size: int) -> list[int]:
    """Where events begin (even rows) and end (odd rows) in the lane."""
    if min(skips) < 0 or min(lengths) < 0:
        raise FormatError("an event of a lane begins before the one before it ends")
    steps = [0] * (2 * len(skips))
    steps[0::2] = skips
    steps[1::2] = lengths
    edges = list(accumulate(steps))
    if edges[-1] > size:
        raise FormatError("the last event of a lane ends behind its last frame")
    return edges


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
        ids = unpack_column(self._fields.binary("posting_channels"), most=self._channels)
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
