"""Records, chunks and surveys, moved to another place in sequence and time.

Where several recordings become one, only the first keeps its numbers. The bytes of
frames and bodies stay as they are, and are shared: of a lane only two columns and
the track are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from operator import add
from typing import Final, assert_never, overload

from tickdeck.cassette.chunks import Chunk, ChunkRef, Lane, in_full
from tickdeck.cassette.records import (
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Interaction,
    Profile,
    Record,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.survey import ChannelSummary, HoldingChange, Survey, TrackSummary


@dataclass(frozen=True, slots=True)
class Move:
    """What is added to sequences, offsets, and the numbers of tracks and interactions.

    Offsets before ``floor_ns`` (of the recording that is moved) count as that.
    """

    seq: int = 0
    offset_ns: int = 0
    track: int = 0
    interaction: int = 0
    floor_ns: int | None = None

    def offset(self, offset_ns: int) -> int:
        """Where an offset comes to lie."""
        floored = offset_ns if self.floor_ns is None else max(offset_ns, self.floor_ns)
        return floored + self.offset_ns


STAY: Final = Move()
"""Nothing is added."""


class MovedLane:
    """A lane with numbers added to its track, its sequences and its offsets; all else is the lane's own."""

    def __init__(self, lane: Lane, move: Move) -> None:
        self._lane = lane
        self._move = move
        self.track = lane.track + move.track

    @cached_property
    def seqs(self) -> Sequence[int]:
        """See `Lane`."""
        return list(map(add, self._lane.seqs, repeat(self._move.seq)))

    @cached_property
    def offsets(self) -> Sequence[int]:
        """See `Lane`."""
        offsets: Iterable[int] = self._lane.offsets
        floor_ns = self._move.floor_ns
        if floor_ns is not None and min(self._lane.offsets) < floor_ns:
            offsets = map(max, self._lane.offsets, repeat(floor_ns))
        return list(map(add, offsets, repeat(self._move.offset_ns)))

    @property
    def wire(self) -> bytes:
        """See `Lane`."""
        return self._lane.wire

    @property
    def view(self) -> memoryview:
        """See `Lane`."""
        return self._lane.view

    @property
    def frames(self) -> int:
        """See `Lane`."""
        return self._lane.frames

    @property
    def statuses(self) -> int:
        """See `Lane`."""
        return self._lane.statuses

    @property
    def starts(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.starts

    @property
    def payload_starts(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.payload_starts

    @property
    def first_event(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.first_event

    @property
    def event_rows(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.event_rows

    @property
    def event_starts(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.event_starts

    @property
    def event_ends(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.event_ends

    @property
    def event_channels(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.event_channels

    @property
    def channel_ids(self) -> Sequence[int]:
        """See `Lane`."""
        return self._lane.channel_ids

    @property
    def postings(self) -> Mapping[int, Sequence[int]]:
        """See `Lane`."""
        return self._lane.postings

    def __eq__(self, other: object) -> bool:
        return in_full(self) == (in_full(other) if isinstance(other, MovedLane) else other)

    def __hash__(self) -> int:
        return hash((self.track, self.wire))


class _MovedSide(Sequence[Record]):
    """The rows of a side, each moved when it is asked for."""

    def __init__(self, side: Sequence[Record], move: Move) -> None:
        self._side = side
        self._move = move

    def __len__(self) -> int:
        return len(self._side)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | Sequence[Record]:
        if isinstance(at, slice):
            return [moved_record(record, self._move) for record in self._side[at]]
        return moved_record(self._side[at], self._move)


def moved_chunk(chunk: Chunk, move: Move, *, number: int) -> Chunk:
    """The chunk as it lies behind a move, with its new number; its columns are moved when they are asked for."""
    if move == STAY:
        return chunk if chunk.number == number else replace(chunk, number=number)
    lanes = tuple(MovedLane(lane, move) for lane in chunk.lanes)
    return replace(chunk, number=number, lanes=lanes, side=_MovedSide(chunk.side, move))


def moved_ref(ref: ChunkRef, move: Move, *, number: int) -> ChunkRef:
    """The reference of a moved chunk; ``position`` and ``size`` stay those in its file."""
    return replace(
        ref,
        number=number,
        first_seq=ref.first_seq + move.seq,
        last_seq=ref.last_seq + move.seq,
        min_offset_ns=move.offset(ref.min_offset_ns),
        max_offset_ns=move.offset(ref.max_offset_ns),
        tracks=tuple(track + move.track for track in ref.tracks),
    )


def moved_record(record: Record, move: Move) -> Record:
    """The record, moved. What an anchor says of the wall clock stays true."""
    seq, offset_ns = record.seq + move.seq, move.offset(record.offset_ns)
    match record:
        case Frame() | TrackOpened() | TrackClosed():
            return replace(record, seq=seq, offset_ns=offset_ns, track=record.track + move.track)
        case Interaction():
            return moved_interaction(record, move)
        case BodyPart():
            number = record.interaction + move.interaction
            return replace(record, seq=seq, offset_ns=offset_ns, interaction=number)
        case Gap():
            return moved_gap(record, move)
        case Anchor() | Profile():
            return replace(record, seq=seq, offset_ns=offset_ns)
        case _:
            assert_never(record)


def moved_interaction(record: Interaction, move: Move) -> Interaction:
    """The interaction, all three of its times moved."""
    return replace(
        record,
        seq=record.seq + move.seq,
        offset_ns=move.offset(record.offset_ns),
        first_byte_ns=move.offset(record.first_byte_ns),
        end_ns=move.offset(record.end_ns),
        interaction=record.interaction + move.interaction,
    )


def moved_gap(gap: Gap, move: Move) -> Gap:
    """The gap, both its ends moved."""
    return replace(
        gap,
        seq=gap.seq + move.seq,
        offset_ns=move.offset(gap.offset_ns),
        end_ns=move.offset(gap.end_ns),
    )


def moved_survey(survey: Survey, move: Move) -> Survey:
    """What a survey of the moved records would say."""
    if move == STAY:
        return survey
    first_ns, last_ns = survey.first_offset_ns, survey.last_offset_ns
    tracks = (_moved_track(track, move) for track in survey.tracks.values())
    return replace(
        survey,
        last_seq=survey.last_seq + move.seq if survey.records else survey.last_seq,
        first_offset_ns=None if first_ns is None else move.offset(first_ns),
        last_offset_ns=None if last_ns is None else move.offset(last_ns),
        tracks={track.track: track for track in tracks},
        gaps=[moved_gap(gap, move) for gap in survey.gaps],
    )


def _moved_track(track: TrackSummary, move: Move) -> TrackSummary:
    return replace(
        track,
        track=track.track + move.track,
        opened_seq=track.opened_seq + move.seq,
        opened_ns=move.offset(track.opened_ns),
        closed_seq=None if track.closed_seq is None else track.closed_seq + move.seq,
        closed_ns=None if track.closed_ns is None else move.offset(track.closed_ns),
        holdings=_moved_holdings(track.holdings, move),
        channels={name: _moved_channel(seen, move) for name, seen in track.channels.items()},
    )


def _moved_holdings(holdings: Sequence[HoldingChange], move: Move) -> list[HoldingChange]:
    return [
        replace(change, seq=change.seq + move.seq, offset_ns=move.offset(change.offset_ns))
        for change in holdings
    ]


def _moved_channel(seen: ChannelSummary, move: Move) -> ChannelSummary:
    return ChannelSummary(
        seen.events,
        seen.first_seq + move.seq,
        move.offset(seen.first_offset_ns),
        seen.last_seq + move.seq,
        move.offset(seen.last_offset_ns),
    )
