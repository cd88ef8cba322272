"""What a cassette holds, at a glance: the part of the index that answers questions without reading a chunk.

A survey is fed every record in sequence order, by the writer while it records and
by a reader that finds no footer. The footer keeps it, so that opening a sealed
cassette costs its index only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, sub
from typing import assert_never

from tickdeck.cassette.chunkcodec import MAX_EVENTS, build_chunk
from tickdeck.cassette.chunks import Chunk, Lane
from tickdeck.cassette.indexing import STATUS, Indexer
from tickdeck.cassette.records import (
    BINARY,
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)


@dataclass(slots=True)
class ChannelSummary:
    """The events of one channel on one track."""

    events: int
    first_seq: int
    first_offset_ns: int
    last_seq: int
    last_offset_ns: int


@dataclass(frozen=True, slots=True)
class HoldingChange:
    """From ``seq`` on the track holds ``channel``, or no longer does."""

    seq: int
    offset_ns: int
    channel: str
    held: bool


@dataclass(slots=True)
class TrackSummary:
    """One recorded connection; ``closed_ns`` and ``closed_seq`` are ``None`` while it was open at the end.

    ``frames`` counts all its frames, of both senders, control frames too; ``events``
    those that carry market data, as ``channels`` does; ``opaque`` the server's
    text and binary frames that have no events because they are no array of objects
    (or one of more than a lane takes).
    """

    track: int
    market: str
    feed: str
    url: str
    opened_seq: int
    opened_ns: int
    closed_seq: int | None = None
    closed_ns: int | None = None
    closed_by: Sender | None = None
    close_code: int | None = None
    close_reason: str = ""
    frames: int = 0
    events: int = 0
    opaque: int = 0
    payload_bytes: int = 0
    holdings: list[HoldingChange] = field(default_factory=list)
    channels: dict[str, ChannelSummary] = field(default_factory=dict)


@dataclass(slots=True)
class Survey:
    """All of it. ``raw_bytes`` is the sum of payloads and bodies; ``records`` counts every record."""

    records: int = 0
    last_seq: int = -1
    first_offset_ns: int | None = None
    last_offset_ns: int | None = None
    raw_bytes: int = 0
    interactions: int = 0
    tracks: dict[int, TrackSummary] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    anchors: int = 0
    profile: dict[str, str] = field(default_factory=dict)
    redactions: dict[str, dict[str, int]] = field(default_factory=dict)
    """By placeholder (``REDACTED-1``): how often it was put in each place (``query apiKey``)."""


class SurveyTaker:
    """Takes the survey of records in sequence order, one by one or as chunks that are indexed already."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer
        self.survey = Survey()

    def add(self, record: Record) -> None:
        """Count one record, indexing it if it is a server's frame."""
        self.add_chunk(build_chunk(0, (record,), self._indexer))

    def add_chunk(self, chunk: Chunk) -> None:
        """Count all records of a chunk from its index."""
        for record in chunk.side:
            self._span(1, record.seq, record.offset_ns, record.offset_ns)
            self._note(record)
        for lane in chunk.lanes:
            self._count_lane(lane, chunk.channels)
        for frame in _talk(chunk):
            self._hold(frame)

    def _span(self, records: int, last_seq: int, low_ns: int, high_ns: int) -> None:
        survey = self.survey
        survey.records += records
        survey.last_seq = max(survey.last_seq, last_seq)
        first, last = survey.first_offset_ns, survey.last_offset_ns
        survey.first_offset_ns = low_ns if first is None else min(first, low_ns)
        survey.last_offset_ns = high_ns if last is None else max(last, high_ns)

    def _note(self, record: Record) -> None:
        survey = self.survey
        match record:
            case Frame():
                self._count_frame(record)
            case TrackOpened():
                survey.tracks[record.track] = _opened(record)
            case TrackClosed():
                track = self._track(record.track, record.seq, record.offset_ns)
                track.closed_seq, track.closed_ns = record.seq, record.offset_ns
                track.closed_by, track.close_code, track.close_reason = record.by, record.code, record.reason
            case Interaction():
                survey.interactions += 1
                survey.raw_bytes += len(record.request_body) + len(record.body)
            case BodyPart():
                survey.raw_bytes += len(record.data)
            case Gap():
                survey.gaps.append(record)
            case Anchor():
                survey.anchors += 1
            case Profile():
                survey.profile = dict(record.values)
            case _:
                assert_never(record)

    def _track(self, track: int, seq: int, offset_ns: int) -> TrackSummary:
        """The track's summary; one is made for a track whose opening is not on the cassette."""
        found = self.survey.tracks.get(track)
        if found is None:
            found = self.survey.tracks[track] = TrackSummary(track, "", "", "", seq, offset_ns)
        return found

    def _count_frame(self, frame: Frame) -> None:
        track = self._track(frame.track, frame.seq, frame.offset_ns)
        track.frames += 1
        track.payload_bytes += len(frame.payload)
        self.survey.raw_bytes += len(frame.payload)
        if frame.sender is Sender.SERVER and frame.opcode in (TEXT, BINARY):
            track.opaque += frame.opcode == BINARY or self._is_opaque(frame.payload)

    def _is_opaque(self, payload: bytes) -> bool:
        events = self._indexer.events(payload)
        return events is None or len(events) > MAX_EVENTS

    def _count_lane(self, lane: Lane, channels: Sequence[str]) -> None:
        self._span(len(lane.seqs), lane.seqs[-1], min(lane.offsets), max(lane.offsets))
        track = self._track(lane.track, lane.seqs[0], lane.offsets[0])
        payload_bytes = lane.starts[-1] - sum(map(sub, lane.payload_starts, lane.starts))
        track.frames += len(lane.seqs)
        track.payload_bytes += payload_bytes
        self.survey.raw_bytes += payload_bytes
        for number, ordinals in lane.postings.items():
            if channels[number] != STATUS:
                _count_events(track, channels[number], lane, ordinals)

    def _hold(self, frame: Frame) -> None:
        track = self._track(frame.track, frame.seq, frame.offset_ns)
        for channel, held in self._indexer.holdings(frame.sender, frame.payload):
            track.holdings.append(HoldingChange(frame.seq, frame.offset_ns, channel, held))


def _opened(record: TrackOpened) -> TrackSummary:
    return TrackSummary(record.track, record.market, record.feed, record.url, record.seq, record.offset_ns)


def _count_events(track: TrackSummary, channel: str, lane: Lane, ordinals: Sequence[int]) -> None:
    first = bisect_right(lane.first_event, ordinals[0]) - 1
    last = bisect_right(lane.first_event, ordinals[-1]) - 1
    track.events += len(ordinals)
    summary = track.channels.get(channel)
    if summary is None:
        summary = track.channels[channel] = ChannelSummary(0, lane.seqs[first], lane.offsets[first], 0, 0)
    summary.events += len(ordinals)
    summary.last_seq, summary.last_offset_ns = lane.seqs[last], lane.offsets[last]


def _talk(chunk: Chunk) -> list[Frame]:
    """The text frames that can change what a track holds, in order: those not wholly of market data."""
    talk = [record for record in chunk.side if type(record) is Frame and record.opcode == TEXT]
    for lane in chunk.lanes:
        talk.extend(_with_status(lane))
    talk.sort(key=attrgetter("seq"))
    return talk


def _with_status(lane: Lane) -> Iterator[Frame]:
    frames = {bisect_right(lane.first_event, ordinal) - 1 for ordinal in lane.postings.get(0, ())}
    for frame in frames:
        payload = lane.wire[lane.payload_starts[frame] : lane.starts[frame + 1]]
        yield Frame(lane.seqs[frame], lane.offsets[frame], lane.track, Sender.SERVER, TEXT, payload)
