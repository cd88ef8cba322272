"""A cassette at a glance: the JSON line of `tickdeck info`, and what its words are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import Sender, Source
from tickdeck.cassette.survey import Survey, TrackSummary
from tickdeck.words import utc

REMINDERS = {
    Source.RECORDED: "vendor data: it may not be redistributed, keep this file to yourself",
    Source.SYNTHETIC: "made up: it may be shared",
    Source.ANONYMISED: "made from vendor data: read your licence before you share it",
}


class Track(TypedDict):
    """One recorded connection; ``closed_ns`` and the rest of its end are null if it was open at the end."""

    track: int
    market: str
    feed: str
    url: str
    opened_ns: int
    closed_ns: int | None
    closed_by: str | None
    close_code: int | None
    close_reason: str
    frames: int
    events: int
    opaque: int
    payload_bytes: int


class Gap(TypedDict):
    """A recorded outage."""

    market: str
    offset_ns: int
    end_ns: int
    reason: str


class Summary(TypedDict):
    """All of it. Offsets are nanoseconds since the epoch, which is nanoseconds since 1970."""

    kind: str
    name: str
    sealed: bool
    dialect: str
    source: str
    reminder: str
    note: str
    origins: list[str]
    tool: str
    program: str
    epoch_ns: int
    epoch: str
    first_offset_ns: int | None
    last_offset_ns: int | None
    records: int
    frames: int
    events: int
    interactions: int
    tracks: list[Track]
    channels: dict[str, int]
    gaps: list[Gap]
    profile: dict[str, str]
    redactions: dict[str, dict[str, int]]
    raw_bytes: int
    size: int
    chunks: int
    segments: list[str]


def summary_of(cassette: Readable, *, segments: Sequence[str] = ()) -> Summary:
    """What its header and its survey say; ``segments`` are its files."""
    header, survey = cassette.header, cassette.survey
    tracks = list(survey.tracks.values())
    return Summary(
        kind="info",
        name=cassette.name,
        sealed=cassette.sealed,
        dialect=header.dialect,
        source=header.source.value,
        reminder=REMINDERS[header.source],
        note=header.note,
        origins=list(header.origins),
        tool=header.tool,
        program=header.program,
        epoch_ns=header.epoch_ns,
        epoch=utc(header.epoch_ns),
        first_offset_ns=survey.first_offset_ns,
        last_offset_ns=survey.last_offset_ns,
        records=survey.records,
        frames=sum(track.frames for track in tracks),
        events=sum(track.events for track in tracks),
        interactions=survey.interactions,
        tracks=[_track(track) for track in tracks],
        channels=_channels(tracks),
        gaps=_gaps(survey),
        profile=dict(survey.profile),
        redactions=survey.redactions,
        raw_bytes=survey.raw_bytes,
        size=cassette.size,
        chunks=len(cassette.chunk_refs()),
        segments=list(segments),
    )


def _track(track: TrackSummary) -> Track:
    return Track(
        track=track.track,
        market=track.market,
        feed=track.feed,
        url=track.url,
        opened_ns=track.opened_ns,
        closed_ns=track.closed_ns,
        closed_by=None if track.closed_by is None else Sender(track.closed_by).name.lower(),
        close_code=track.close_code,
        close_reason=track.close_reason,
        frames=track.frames,
        events=track.events,
        opaque=track.opaque,
        payload_bytes=track.payload_bytes,
    )


def _channels(tracks: Iterable[TrackSummary]) -> dict[str, int]:
    """Events by channel, busiest first."""
    events: dict[str, int] = {}
    for track in tracks:
        for channel, found in track.channels.items():
            events[channel] = events.get(channel, 0) + found.events
    return dict(sorted(events.items(), key=lambda pair: (-pair[1], pair[0])))


def _gaps(survey: Survey) -> list[Gap]:
    return [
        Gap(market=gap.market, offset_ns=gap.offset_ns, end_ns=gap.end_ns, reason=gap.reason)
        for gap in survey.gaps
    ]
