"""Chunks: built from records, written as one block, decoded into columns.

A chunk's payload is ``length u32 | summary | columns | blob``. The summary, a
small map that is not compressed, says what a reader must know before decoding
(numbers, sequences, offsets, sizes, and where the lanes lie). The columns part holds
the chunk's channel table and the columns of its lanes (`tickdeck.cassette.lanes`); the
blob holds each lane's wire bytes back to back and then the rows of the side. Columns
and blob are compressed apart, for they have nothing in common; and who wants all the
bytes of a lane needs no column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice, pairwise
from struct import Struct
from typing import Final, cast, overload

from tickdeck.cassette.blocks import MAX_PAYLOAD
from tickdeck.cassette.channeltable import ChannelTable
from tickdeck.cassette.chunks import Chunk, ChunkRef, in_full, records_of, ref_of
from tickdeck.cassette.codec import encode_row, record_of
from tickdeck.cassette.columns import pack_column, starts_of
from tickdeck.cassette.compression import LEVEL, restore, squeeze
from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.indexing import STATUS, Event, Indexer
from tickdeck.cassette.lanes import ChannelIds, LaneBuilder, lane_columns, store
from tickdeck.cassette.packing import BIG, Fields, pack, unpack
from tickdeck.cassette.records import TEXT, Frame, Record, Sender
from tickdeck.cassette.storedcolumns import StoredColumns, Within, stored_column
from tickdeck.cassette.storedlanes import LaneHead, read_lanes

_LENGTH: Final = Struct("<I")

MAX_EVENTS: Final = 1 << 20
"""The most events that the lanes of one chunk have, and the most rows of its side."""

MAX_SHARED: Final = 8 << 20
"""The longest blob of a chunk of several records; what is longer holds one long record."""

AT_ONCE: Final = 256
"""Frames of which the events are found together, where that is quicker."""

_NOT_FILLED: Final = "the rows of a chunk's side do not fill its blob"


def _spoken_on(record: Record) -> int | None:
    """The track of a frame that may hold market data: a server's text frame."""
    if type(record) is not Frame or record.sender is not Sender.SERVER or record.opcode != TEXT:
        return None
    return record.track


def _data_events(frame: Frame, indexer: Indexer) -> Sequence[Event]:
    """The events of a frame that belongs in a lane, for some are of the market. Else none."""
    events = indexer.events(frame.payload) or ()
    if len(events) > MAX_EVENTS:
        return ()
    return events if any(event.channel != STATUS for event in events) else ()


def build_chunk(number: int, records: Iterable[Record], indexer: Indexer) -> Chunk:
    """Lay records, in sequence order, out for playing."""
    ids = ChannelIds()
    lanes: dict[int, LaneBuilder] = {}
    side: list[Record] = []
    for track, stretch in groupby(records, key=_spoken_on):
        if track is None:
            side += stretch
            continue
        frames = cast("Iterator[Frame]", stretch)
        while batch := list(islice(frames, AT_ONCE)):
            lane = lanes.get(track) or LaneBuilder(track)
            index = indexer.index([frame.payload for frame in batch]) if len(batch) > 1 else None
            if index is not None:
                lane.add_all(batch, index, ids)
            else:
                side += _one_by_one(batch, lane, ids, indexer)
            if lane.seqs:
                lanes[track] = lane
    ordered = [lanes[track].lane() for track in sorted(lanes)]
    return Chunk(number, tuple(ids), tuple(ordered), tuple(side))


def _one_by_one(
    frames: Iterable[Frame], lane: LaneBuilder, ids: ChannelIds, indexer: Indexer
) -> Iterator[Record]:
    """Add to a lane the frames that belong there; the others are given back."""
    for frame in frames:
        if events := _data_events(frame, indexer):
            lane.add(frame, events, ids)
        else:
            yield frame


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
            "channels": store(pack(tuple(chunk.channels)), level),
            "lanes": [lane_columns(lane, level) for lane in chunk.lanes],
            "side": store(pack_column([len(row) for row in rows]), level),
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
            "lanes": [(lane.track, len(lane.wire), lane.frames, lane.statuses) for lane in chunk.lanes],
            "indexer": indexed[0],
            "revision": indexed[1],
            "columns": [columns_method, len(columns_stored), len(columns)],
            "blob": [blob_method, len(blob_stored), len(blob)],
        }
    )
    return b"".join((_LENGTH.pack(len(summary)), summary, columns_stored, blob_stored))


def read_summary(payload: bytes) -> Summary:
    """The summary of a chunk's payload."""
    fields, _ = _summary_fields(payload)
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
    return Summary(ref, fields.text("indexer"), fields.integer("revision"))


def _summary_fields(payload: bytes | memoryview) -> tuple[Fields, int]:
    """The fields of a chunk's summary, and where the parts begin."""
    if len(payload) < _LENGTH.size:
        raise FormatError("a chunk is cut short")
    (length,) = _LENGTH.unpack_from(payload)
    start = _LENGTH.size + length
    if start > len(payload):
        raise FormatError("the summary of a chunk is cut short")
    return Fields(unpack(payload[_LENGTH.size : start]), "the summary of a chunk"), start


def _part(fields: Fields, key: str, payload: memoryview, start: int) -> tuple[int, memoryview, int]:
    """A part as it lies in the payload: its method, its stored bytes, and its size when restored."""
    described = fields.integers(key)
    if len(described) != 3 or min(described) < 0 or described[2] > MAX_PAYLOAD:
        raise FormatError(f"the {key} of a chunk are not described as they should be")
    method, stored, size = described
    if start + stored > len(payload):
        raise FormatError(f"the {key} of a chunk are cut short")
    return method, payload[start : start + stored], size


def _heads(fields: Fields, *, most: int) -> Iterator[LaneHead]:
    """What the summary says of each lane; ``most`` frames in all of them."""
    if fields.value("lanes") is None:
        raise FormatError(
            "the summary of a chunk does not say where its lanes lie: an older release wrote it"
        )
    for number, described in enumerate(fields.items("lanes")):
        match described:
            case [int(track), int(size), int(frames), int(statuses)] if (
                track >= 0 and 0 < frames <= min(size, most) and statuses >= 0
            ):
                most -= frames
                yield LaneHead(number, track, size, frames, statuses)
            case _:
                raise FormatError("a lane of a chunk is not described as it should be")


def decode_chunk(payload: bytes | memoryview, *, within: Within = nullcontext) -> Chunk:
    """The chunk of a block's payload; FormatError when it does not hold together.

    What lies in its columns and on its side is unpacked, and found unsound, when it
    is asked for; such errors pass through ``within`` then. See `check_chunk`.
    """
    view = memoryview(payload)
    fields, start = _summary_fields(view)
    records = fields.integer("records", low=1)
    stored = _part(fields, "columns", view, start)
    start += len(stored[1])
    stored_blob = _part(fields, "blob", view, start)
    if start + len(stored_blob[1]) != len(view):
        raise FormatError("a chunk is followed by bytes that belong to nothing")
    blob = restore(*stored_blob)
    if len(blob) > MAX_SHARED and records > 1:
        raise FormatError(f"a chunk of {records} records has a blob of {len(blob)} bytes")
    heads = list(_heads(fields, most=min(records, MAX_EVENTS)))
    columns = StoredColumns(*stored, lanes=len(heads), within=within)
    channels = ChannelTable(columns)
    lanes, end = read_lanes(heads, memoryview(blob), columns, channels=channels, most=MAX_EVENTS)
    side = Side(columns, bytes(blob[end:]), rows=records - sum(head.frames for head in heads))
    return Chunk(fields.integer("number"), channels, lanes, side, len(blob), costly=type(blob) is bytes)


def check_chunk(chunk: Chunk) -> None:
    """Unpack all there is; FormatError where something is unsound."""
    for lane in chunk.lanes:
        in_full(lane)
    tuple(chunk.channels)
    tuple(chunk.side)


class Side(Sequence[Record]):
    """The rows beside the lanes, decoded when first looked at."""

    def __init__(self, columns: StoredColumns, data: bytes, *, rows: int) -> None:
        self._columns = columns
        self._data = data
        self._rows = rows
        if rows > min(len(data), MAX_EVENTS) or bool(rows) != bool(data):
            raise FormatError(_NOT_FILLED)

    @cached_property
    def _records(self) -> tuple[Record, ...]:
        with self._columns.within():
            lengths = stored_column(self._columns.fields, "side", rows=self._rows)
            starts = starts_of(lengths)
            if starts[-1] != len(self._data) or min(lengths, default=1) < 1:
                raise FormatError(_NOT_FILLED)
            rows = (self._data[start:end] for start, end in pairwise(starts))
            return tuple(record_of(unpack(row)) for row in rows)

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._records[index]

    def __eq__(self, other: object) -> bool:
        return self._records == (tuple(other) if isinstance(other, Side) else other)

    __hash__ = None  # type: ignore[assignment]  # it would have to decode the rows
