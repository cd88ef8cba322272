"""A chunk in memory: about 256 KiB of records, laid out for playing.

The data frames of each track lie back to back in a *lane*, in unmasked server
wire form (RFC 6455 header and payload), so that a run of frames is one slice that
can go to a socket as it is. Everything else (client frames, control frames,
frames without market data, opaque frames, interactions) lies on the *side*.
``seqs`` restores the total order. Beside each lane lies its event index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import attrgetter, sub
from typing import Final, Protocol

from tickdeck.cassette.records import TEXT, BodyPart, Frame, Interaction, Record, Sender


class Lane(Protocol):
    """The data frames of one track in one chunk; all columns have one row a frame or one an event.

    Frame ``i`` is ``wire[starts[i]:starts[i + 1]]`` (header included); its payload
    begins at ``payload_starts[i]``. Its events are the ordinals
    ``first_event[i]:first_event[i + 1]``; event ``e`` lies in frame ``event_rows[e]``, is
    ``wire[event_starts[e]:event_ends[e]]`` on ``chunk.channels[event_channels[e]]``.
    ``postings[c]`` lists, in order, the ordinals of the events of channel id ``c``
    (ids that do not occur in the lane are absent); ``channel_ids`` are its keys,
    rising. Lanes are equal if all of this is, however they came about.

    ``view`` is ``wire`` without a copy: bytes of the chunk as it was read.

    The columns of a lane that was read are unpacked, and checked, when first asked
    for: asking may be a FormatError. ``frames`` costs nothing, nor does ``statuses``: how
    many of its events belong to the conversation and not to the market.
    """

    @property
    def track(self) -> int: ...
    @property
    def wire(self) -> bytes: ...
    @property
    def view(self) -> memoryview: ...
    @property
    def frames(self) -> int: ...
    @property
    def statuses(self) -> int: ...
    @property
    def seqs(self) -> Sequence[int]: ...
    @property
    def offsets(self) -> Sequence[int]: ...
    @property
    def starts(self) -> Sequence[int]: ...
    @property
    def payload_starts(self) -> Sequence[int]: ...
    @property
    def first_event(self) -> Sequence[int]: ...
    @property
    def event_rows(self) -> Sequence[int]: ...
    @property
    def event_starts(self) -> Sequence[int]: ...
    @property
    def event_ends(self) -> Sequence[int]: ...
    @property
    def event_channels(self) -> Sequence[int]: ...
    @property
    def channel_ids(self) -> Sequence[int]: ...
    @property
    def postings(self) -> Mapping[int, Sequence[int]]: ...


STATUS_ID: Final = 0
"""The number, in each chunk, of the channel of statuses: `tickdeck.cassette.indexing.STATUS`."""


@dataclass(frozen=True, slots=True)
class BuiltLane:
    """A lane that was built from its frames, or made whole in memory."""

    track: int
    seqs: Sequence[int]
    offsets: Sequence[int]
    starts: Sequence[int]
    payload_starts: Sequence[int]
    wire: bytes
    first_event: Sequence[int]
    event_starts: Sequence[int]
    event_ends: Sequence[int]
    event_channels: Sequence[int]
    postings: Mapping[int, Sequence[int]]

    @property
    def view(self) -> memoryview:
        """Its bytes."""
        return memoryview(self.wire)

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.seqs)

    @property
    def statuses(self) -> int:
        """How many events of no channel it has."""
        return len(self.postings.get(STATUS_ID, ()))

    @property
    def channel_ids(self) -> Sequence[int]:
        """The channels that occur in it, rising."""
        return sorted(self.postings)

    @property
    def event_rows(self) -> Sequence[int]:
        """The frame of each event."""
        return rows_of_events(self.first_event)


def rows_of_events(first_event: Sequence[int]) -> Sequence[int]:
    """The row of each event, where each row's first event is given, and at last how many there are."""
    counts = map(sub, first_event[1:], first_event)
    return list(chain.from_iterable(map(repeat, range(len(first_event) - 1), counts)))


def in_full(lane: Lane) -> BuiltLane:
    """The lane with all its columns as lists; FormatError where one is unsound."""
    return BuiltLane(
        lane.track,
        list(lane.seqs),
        list(lane.offsets),
        list(lane.starts),
        list(lane.payload_starts),
        lane.wire,
        list(lane.first_event),
        list(lane.event_starts),
        list(lane.event_ends),
        list(lane.event_channels),
        {channel: list(lane.postings[channel]) for channel in lane.postings},
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """One decoded chunk: ``channels[0]`` is always `tickdeck.cassette.indexing.STATUS`.

    The names of channels and the rows of a side that were read are decoded when first asked for, as a
    lane's columns are.
    ``size`` is the bytes that it was read from; 0 if it was made in memory. ``costly``: to make it takes
    longer than to hand it from thread to thread, as where bytes had to be decompressed.
    """

    number: int
    channels: Sequence[str]
    lanes: tuple[Lane, ...]
    side: Sequence[Record]
    size: int = field(default=0, compare=False)
    costly: bool = field(default=True, compare=False)

    @property
    def frames(self) -> int:
        """How many frames its lanes have."""
        return sum(lane.frames for lane in self.lanes)


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """What is known of a chunk without decoding it.

    ``position`` and ``size`` are those of its block in the file; a chunk that so far
    lies only in write-ahead segments has position -1 and size 0. ``tracks`` are the
    tracks with frames of any kind in it, in rising order; ``records``,
    ``interactions`` and ``body_parts`` are counts.
    """

    number: int
    position: int
    size: int
    records: int
    first_seq: int
    last_seq: int
    min_offset_ns: int
    max_offset_ns: int
    interactions: int
    body_parts: int
    tracks: tuple[int, ...]


def frames_of(lane: Lane) -> Iterator[Frame]:
    """The frames of a lane, in order."""
    ends = lane.starts[1:]
    payloads = map(lane.wire.__getitem__, map(slice, lane.payload_starts, ends))
    return map(
        Frame, lane.seqs, lane.offsets, repeat(lane.track), repeat(Sender.SERVER), repeat(TEXT), payloads
    )


def records_of(chunk: Chunk) -> list[Record]:
    """Every record of a chunk, in sequence order."""
    records: list[Record] = list(chunk.side)
    for lane in chunk.lanes:
        records.extend(frames_of(lane))
    # Each part is in order already, which sorting notices: this is a merge.
    records.sort(key=attrgetter("seq"))
    return records


def ref_of(number: int, records: Sequence[Record], *, position: int = -1, size: int = 0) -> ChunkRef:
    """The reference of a chunk that holds these records (one at least), in sequence order."""
    offsets = [record.offset_ns for record in records]
    return ChunkRef(
        number,
        position,
        size,
        len(records),
        records[0].seq,
        records[-1].seq,
        min(offsets),
        max(offsets),
        sum(type(record) is Interaction for record in records),
        sum(type(record) is BodyPart for record in records),
        tuple(sorted({record.track for record in records if type(record) is Frame})),
    )
