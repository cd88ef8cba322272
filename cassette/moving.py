"""Records, chunks and surveys, moved to another place in sequence and time.

Where several recordings become one, only the first keeps its numbers. The bytes of
frames and bodies stay as they are, and are shared: of a lane only two columns and
the track are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from operator import add
from typing import Final, assert_never

from tickdeck.cassette.chunks import Chunk, ChunkRef, Lane
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


def moved_chunk(chunk: Chunk, move: Move, *, number: int) -> Chunk:
    """The chunk as it lies behind a move, with its new number."""
    if move == STAY:
        return chunk if chunk.number == number else replace(chunk, number=number)
    lanes = (
        moved(lane, seq=move.seq, offset_ns=move.offset_ns, track=move.track, floor_ns=move.floor_ns)
        for lane in chunk.lanes
    )
    side = (moved_record(record, move) for record in chunk.side)
    return Chunk(number, chunk.channels, tuple(lanes), tuple(side))


def moved(lane: Lane, *, seq: int, offset_ns: int, track: int, floor_ns: int | None = None) -> Lane:
    """A lane with numbers added to its sequences, offsets and track; the other columns are shared."""
    offsets: Iterable[int] = lane.offsets
    if floor_ns is not None and min(lane.offsets) < floor_ns:
        offsets = map(max, lane.offsets, repeat(floor_ns))
    return Lane(
        lane.track + track,
        list(map(add, lane.seqs, repeat(seq))),
        list(map(add, offsets, repeat(offset_ns))),
        lane.starts,
        lane.payload_starts,
        lane.wire,
        lane.first_event,
        lane.event_starts,
        lane.event_ends,
        lane.event_channels,
        lane.postings,
    )


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
