"""The lanes of a chunk that was read: columns are unpacked, and checked, when first asked for.

Who wants everything a chunk holds sends its bytes and asks for no column at all; who
wants one channel asks for its posting list and for where frames begin. What
unpacking costs is therefore paid for what is used, group by group, and what a group
promises is checked when it is unpacked: nothing is believed unseen, and what nobody
looks at need not be believed. `tickdeck.cassette.chunks.in_full` asks for all of it.

Several threads may ask at once. Each unpacks the same from the same bytes, and the
last to be done is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, repeat
from operator import add, le, sub
from typing import Final, NamedTuple, TypeVar

from tickdeck.cassette.chunks import STATUS_ID, BuiltLane, in_full, rows_of_events
from tickdeck.cassette.columns import (
    constant_of,
    extremes,
    has_negative,
    room_of,
    starts_of,
    unpack_column,
)
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.lanes import stored
from tickdeck.cassette.packing import BIG
from tickdeck.cassette.storedcolumns import StoredColumns, Within
from tickdeck.cassette.wire import HEADER_SIZES

_T = TypeVar("_T")

_LIMITS: Final = -BIG + 1, BIG - 1


_NOT_FILLED: Final = "the frames of a lane do not fill its bytes"
_UNMATCHED: Final = "the posting lists of a lane do not match its events"


class Bounds(NamedTuple):
    """Where the frames of a lane begin, where its events end, and how long they are."""

    starts: Sequence[int]
    event_ends: Sequence[int]
    event_lengths: Sequence[int]


def _unpacked(unpack: Callable[[StoredLane], _T]) -> cached_property[_T]:
    """A group of columns, unpacked when first asked for, whose errors say which chunk they are about."""

    def unpack_within(lane: StoredLane) -> _T:
        try:
            return unpack(lane)
        except FormatError:
            with lane.within():
                raise

    return cached_property(unpack_within)


class StoredLane:
    """One lane, as `tickdeck.cassette.chunks.Lane` describes it."""

    def __init__(self, head: LaneHead, view: memoryview, common: Common) -> None:
        self.track = head.track
        self.view = view
        self.frames = head.frames
        self.statuses = head.statuses
        self.within = common.columns.within
        self._common = common
        self._number = head.number

    @cached_property
    def wire(self) -> bytes:
        return bytes(self.view)

    @_unpacked
    def seqs(self) -> Sequence[int]:
        seqs = self._column("seqs", self.frames)
        _check_range(seqs, 0, BIG - 1)
        return seqs

    @_unpacked
    def offsets(self) -> Sequence[int]:
        offsets = self._column("offsets", self.frames)
        _check_range(offsets, *_LIMITS)
        return offsets

    @property
    def first_event(self) -> Sequence[int]:
        return self._common.first_events[self._number]

    @_unpacked
    def bounds(self) -> Bounds:
        first_event = self.first_event
        events = first_event[-1]
        single = events == self.frames  # one event a frame: what is true of events is true of frames
        skips, lengths = (
            self._column("event_skips", events, natural=True),
            self._column("event_lengths", events, natural=True),
        )
        tails = self._column("tails", self.frames, natural=True)
        ends = list(accumulate(map(add, skips, lengths)))
        last_ends = ends if single else map(ends.__getitem__, map(sub, first_event[1:], repeat(1)))
        starts = [0, *map(add, last_ends, tails)]
        if starts[-1] != len(self.view):
            raise FormatError(_NOT_FILLED)
        return Bounds(starts, ends, lengths)

    @_unpacked
    def payload_starts(self) -> Sequence[int]:
        headers = self._column("headers", self.frames)
        if not HEADER_SIZES.issuperset(headers):
            raise FormatError(_NOT_FILLED)
        payload_starts = list(map(add, self.starts, headers))
        if not all(map(le, payload_starts, map(self.event_starts.__getitem__, self.first_event[:-1]))):
            raise FormatError("an event of a lane begins before its frame")
        return payload_starts

    @_unpacked
    def event_rows(self) -> Sequence[int]:
        return rows_of_events(self.first_event)

    @property
    def starts(self) -> Sequence[int]:
        return self.bounds.starts

    @cached_property
    def event_starts(self) -> Sequence[int]:
        return list(map(sub, self.bounds.event_ends, self.bounds.event_lengths))

    @property
    def event_ends(self) -> Sequence[int]:
        return self.bounds.event_ends

    @_unpacked
    def event_channels(self) -> Sequence[int]:
        ids = self._column("event_channels", self.first_event[-1], natural=True)
        if max(ids) >= len(self._common.channels):
            raise FormatError("an event is on a channel that the chunk's table does not have")
        return ids

    @_unpacked
    def channel_ids(self) -> Sequence[int]:
        most = len(self._common.channels)
        data = stored(self._common.columns.lanes[self._number], "posting_channels", most=room_of(most))
        ids = unpack_column(data, most=most)
        if not ids or ids[0] < 0 or ids[-1] >= most or not _rises(ids):
            raise FormatError(_UNMATCHED)
        return ids

    @_unpacked
    def postings(self) -> Mapping[int, Sequence[int]]:
        counts = self._column("posting_counts", len(self.channel_ids))
        events = self.first_event[-1]
        ordinals = self._column("postings", events)
        starts = starts_of(counts)
        if min(counts) < 1 or starts[-1] != events:
            raise FormatError(_UNMATCHED)
        if self.statuses != (counts[0] if self.channel_ids[0] == STATUS_ID else 0):
            raise FormatError("the summary of a chunk counts other statuses than its lane has")
        return Postings(self.channel_ids, starts, ordinals, self.within)

    def _column(self, key: str, rows: int, *, natural: bool = False) -> Sequence[int]:
        """A column of so many rows; the values of a ``natural`` one are not below zero."""
        data = stored(self._common.columns.lanes[self._number], key, most=room_of(rows))
        column = unpack_column(data, most=rows)
        if len(column) != rows:
            raise FormatError(f"the column {key} of a lane has {len(column)} rows, not {rows}")
        if natural and has_negative(data):
            raise FormatError(f"the column {key} of a lane has a value below zero")
        return column

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredLane | BuiltLane):
            return NotImplemented
        return in_full(self) == in_full(other)

    __hash__ = None  # type: ignore[assignment]  # as that of a tuple with lists in it


@dataclass(frozen=True, slots=True)
class LaneHead:
    """What the summary of a chunk says of a lane: its number, its track, and how many bytes, frames and statuses."""

    number: int
    track: int
    size: int
    frames: int
    statuses: int


class Common:
    """What the lanes of a chunk have in common: its columns, its channels, and one limit to their events.

    It knows of the lanes only their heads: lanes that it held would hold each other, and so their
    bytes, until a collection of garbage.
    """

    def __init__(
        self, heads: Sequence[LaneHead], columns: StoredColumns, *, channels: Sized, most: int
    ) -> None:
        self.columns = columns
        self.channels = channels
        self._heads = heads
        self._most = most

    @cached_property
    def first_events(self) -> list[Sequence[int]]:
        """By lane, the ordinal of the first event of each frame, and at last how many events there are."""
        try:
            return list(self._first_events())
        except FormatError:
            with self.columns.within():
                raise

    def _first_events(self) -> Iterator[Sequence[int]]:
        room = self._most
        for head in self._heads:
            most = min(head.size, room)
            data = stored(self.columns.lanes[head.number], "event_counts", most=room_of(most))
            counts = unpack_column(data, most=most)
            single = constant_of(data) == 1
            first_event = range(len(counts) + 1) if single else starts_of(counts)
            events = first_event[-1]
            if len(counts) != head.frames or not events or events > most or not (single or min(counts) > 0):
                raise FormatError("the events of a lane are more, or fewer, than its frames can hold")
            yield first_event
            room -= events


def read_lanes(
    heads: Sequence[LaneHead], blob: memoryview, columns: StoredColumns, *, channels: Sized, most: int
) -> tuple[tuple[StoredLane, ...], int]:
    """The lanes whose bytes lie back to back at the beginning of a blob, and where they end.

    ``channels`` is the chunk's table, ``most`` how many events all the lanes may have.
    """
    common = Common(heads, columns, channels=channels, most=most)
    starts = starts_of(head.size for head in heads)
    if starts[-1] > len(blob):
        raise FormatError(_NOT_FILLED)
    lanes = map(StoredLane, heads, map(blob.__getitem__, map(slice, starts, starts[1:])), repeat(common))
    return tuple(lanes), starts[-1]


class Postings(Mapping[int, Sequence[int]]):
    """The posting lists of a lane: one behind the other, each cut out and checked when asked for."""

    def __init__(
        self, ids: Sequence[int], starts: Sequence[int], ordinals: Sequence[int], within: Within
    ) -> None:
        self._within = within
        self._seen: dict[int, Sequence[int]] = {}
        self._places = dict(zip(ids, range(len(ids)), strict=True))
        self._starts = starts
        self._ordinals = ordinals

    def __getitem__(self, channel: int) -> Sequence[int]:
        posting = self._seen.get(channel)
        if posting is None:
            place = self._places[channel]
            posting = self._ordinals[self._starts[place] : self._starts[place + 1]]
            low, high = extremes(posting)
            if low < 0 or high >= len(self._ordinals):
                with self._within():
                    raise FormatError(_UNMATCHED)
            self._seen[channel] = posting
        return posting

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _check_range(column: Sequence[int], low: int, high: int) -> None:
    least, most = extremes(column) if column else (low, high)
    if least < low or most > high:
        raise FormatError("a sequence or an offset of a lane is out of range")


def _rises(ids: Sequence[int]) -> bool:
    return isinstance(ids, range) or all(map(int.__lt__, ids, ids[1:]))
