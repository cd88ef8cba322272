"""The survey as the map that a sealed cassette's survey block holds, and back.

The channels of a track are columns beside a list of names: a recording of every
option has hundreds of thousands of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tickdeck.cassette.codec import encode_row, record_of
from tickdeck.cassette.columns import pack_column, unpack_column
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.packing import BIG, Fields, pack, unpack
from tickdeck.cassette.records import Gap, Sender
from tickdeck.cassette.survey import ChannelSummary, HoldingChange, Survey, TrackSummary

_COLUMNS: Final = ("events", "first_seq", "first_offset_ns", "last_seq", "last_offset_ns")


def pack_survey(survey: Survey) -> bytes:
    """The survey's bytes; equal surveys give equal bytes."""
    return pack(
        {
            "records": survey.records,
            "last_seq": survey.last_seq,
            "first_offset_ns": survey.first_offset_ns,
            "last_offset_ns": survey.last_offset_ns,
            "raw_bytes": survey.raw_bytes,
            "interactions": survey.interactions,
            "tracks": [_track_map(survey.tracks[track]) for track in sorted(survey.tracks)],
            "gaps": [encode_row(gap) for gap in survey.gaps],
            "anchors": survey.anchors,
            "profile": dict(sorted(survey.profile.items())),
            "redactions": {
                placeholder: dict(sorted(places.items()))
                for placeholder, places in sorted(survey.redactions.items())
            },
        }
    )


def _track_map(track: TrackSummary) -> dict[str, object]:
    names = sorted(track.channels)
    rows = [track.channels[name] for name in names]
    return {
        "track": track.track,
        "market": track.market,
        "feed": track.feed,
        "url": track.url,
        "opened_seq": track.opened_seq,
        "opened_ns": track.opened_ns,
        "closed_seq": track.closed_seq,
        "closed_ns": track.closed_ns,
        "closed_by": track.closed_by,
        "close_code": track.close_code,
        "close_reason": track.close_reason,
        "frames": track.frames,
        "events": track.events,
        "opaque": track.opaque,
        "payload_bytes": track.payload_bytes,
        "holdings": [
            [change.seq, change.offset_ns, change.channel, change.held] for change in track.holdings
        ],
        "channels": names,
        **{f"channel_{column}": pack_column([getattr(row, column) for row in rows]) for column in _COLUMNS},
    }


def unpack_survey(data: bytes) -> Survey:
    """The survey of these bytes; FormatError when they are not one."""
    fields = Fields(data, "the survey")
    return Survey(
        records=fields.integer("records"),
        last_seq=fields.integer("last_seq", low=-1),
        first_offset_ns=fields.optional("first_offset_ns", low=-BIG),
        last_offset_ns=fields.optional("last_offset_ns", low=-BIG),
        raw_bytes=fields.integer("raw_bytes"),
        interactions=fields.integer("interactions"),
        tracks={track.track: track for track in map(_track, fields.items("tracks"))},
        gaps=[_gap(row) for row in fields.items("gaps")],
        anchors=fields.integer("anchors"),
        profile=fields.mapping("profile"),
        redactions=_redactions(fields.inner("redactions")),
    )


def _track(value: object) -> TrackSummary:
    fields = Fields(value, "a track of the survey")
    by = fields.optional("closed_by")
    if by not in (None, *Sender):
        raise FormatError(f"a track of the survey was closed by {by}, who is nobody")
    return TrackSummary(
        track=fields.integer("track"),
        market=fields.text("market"),
        feed=fields.text("feed"),
        url=fields.text("url"),
        opened_seq=fields.integer("opened_seq"),
        opened_ns=fields.integer("opened_ns", low=-BIG),
        closed_seq=fields.optional("closed_seq"),
        closed_ns=fields.optional("closed_ns", low=-BIG),
        closed_by=None if by is None else Sender(by),
        close_code=fields.optional("close_code"),
        close_reason=fields.text("close_reason"),
        frames=fields.integer("frames"),
        events=fields.integer("events"),
        opaque=fields.integer("opaque"),
        payload_bytes=fields.integer("payload_bytes"),
        holdings=[_holding(change) for change in fields.items("holdings")],
        channels=_channels(fields),
    )


def _channels(fields: Fields) -> dict[str, ChannelSummary]:
    names = fields.texts("channels")
    columns = [_column(fields, f"channel_{column}", len(names)) for column in _COLUMNS]
    rows = map(ChannelSummary, *columns)
    return dict(zip(names, rows, strict=True))


def _column(fields: Fields, key: str, rows: int) -> Sequence[int]:
    column = unpack_column(fields.binary(key), most=rows)
    if len(column) != rows:
        raise FormatError(f"a track of the survey: {key} has {len(column)} rows, not {rows}")
    return column


def _holding(value: object) -> HoldingChange:
    match value:
        case [int(seq), int(offset_ns), str(channel), bool(held)]:
            return HoldingChange(seq, offset_ns, channel, held)
    raise FormatError("a holding of the survey is not what it should be")


def _gap(row: object) -> Gap:
    gap = record_of(unpack(row)) if isinstance(row, bytes) else None
    if not isinstance(gap, Gap):
        raise FormatError("a gap of the survey is not one")
    return gap


def _redactions(fields: Fields) -> dict[str, dict[str, int]]:
    placed = ((placeholder, fields.inner(placeholder)) for placeholder in fields)
    return {placeholder: {place: places.integer(place) for place in places} for placeholder, places in placed}
