"""Headers and surveys of several cassettes, joined: what one cassette of all their records would say.

A track number that comes again is the same track, gone on in the next segment of
its recording; recordings that have nothing to do with each other are moved apart
before they are joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.hearing import outages
from tickdeck.cassette.records import Gap, Header, Source
from tickdeck.cassette.survey import ChannelSummary, Survey, TrackSummary

_GOING_AWAY: Final = 1001
"""What a recorder that stops writes about the tracks that were still open."""

_FREEDOM: Final = (Source.RECORDED, Source.ANONYMISED, Source.SYNTHETIC)
"""Sources by what may be done with them, least first."""


def same_dialect(named: Iterable[tuple[str, Header]]) -> None:
    """UsageError unless the headers, each with the name of its cassette, speak one dialect."""
    (first, header), *others = named
    for name, other in others:
        if other.dialect != header.dialect:
            raise UsageError(
                f"{name} speaks {other.dialect} and {first} {header.dialect};"
                " cassettes that are played as one speak the same dialect"
            )


def joined_header(headers: Sequence[Header]) -> Header:
    """One header for all: the epoch of the first, the source that allows least, what was said of each."""
    return replace(
        headers[0],
        origins=tuple(dict.fromkeys(origin for header in headers for origin in header.origins)),
        source=min((header.source for header in headers), key=_FREEDOM.index),
        note=_listed(header.note for header in headers),
        tool=_listed(header.tool for header in headers),
        program=_listed(header.program for header in headers),
    )


def _listed(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(word for word in words if word))


def joined_survey(surveys: Sequence[Survey]) -> Survey:
    """One survey for all, in their order; the profile is the last that says something."""
    if len(surveys) == 1:
        return surveys[0]
    firsts = [survey.first_offset_ns for survey in surveys if survey.first_offset_ns is not None]
    lasts = [survey.last_offset_ns for survey in surveys if survey.last_offset_ns is not None]
    profiles = [survey.profile for survey in surveys if survey.profile]
    return Survey(
        records=sum(survey.records for survey in surveys),
        last_seq=max((survey.last_seq for survey in surveys), default=-1),
        first_offset_ns=min(firsts, default=None),
        last_offset_ns=max(lasts, default=None),
        raw_bytes=sum(survey.raw_bytes for survey in surveys),
        interactions=sum(survey.interactions for survey in surveys),
        tracks=_tracks(surveys),
        gaps=[gap for survey in surveys for gap in survey.gaps],
        anchors=sum(survey.anchors for survey in surveys),
        profile=dict(profiles[-1]) if profiles else {},
        redactions=_redactions(survey.redactions for survey in surveys),
    )


def _tracks(surveys: Iterable[Survey]) -> dict[int, TrackSummary]:
    tracks: dict[int, TrackSummary] = {}
    for survey in surveys:
        for number, track in survey.tracks.items():
            before = tracks.get(number)
            tracks[number] = track if before is None else _continued(before, track)
    return tracks


def _continued(before: TrackSummary, track: TrackSummary) -> TrackSummary:
    """One track out of what two segments say of it: how it began, and how it ended."""
    named = before if before.market else track
    return replace(
        before if track.closed_seq is None else track,
        market=named.market,
        feed=named.feed,
        url=named.url,
        opened_seq=before.opened_seq,
        opened_ns=before.opened_ns,
        frames=before.frames + track.frames,
        events=before.events + track.events,
        opaque=before.opaque + track.opaque,
        payload_bytes=before.payload_bytes + track.payload_bytes,
        holdings=[*before.holdings, *track.holdings],
        channels=_channels(before.channels, track.channels),
    )


def _channels(
    before: Mapping[str, ChannelSummary], more: Mapping[str, ChannelSummary]
) -> dict[str, ChannelSummary]:
    channels = dict(before)
    for name, seen in more.items():
        if (first := before.get(name)) is not None:
            seen = replace(
                seen,
                events=first.events + seen.events,
                first_seq=first.first_seq,
                first_offset_ns=first.first_offset_ns,
            )
        channels[name] = seen
    return channels


def _redactions(each: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    total: dict[str, dict[str, int]] = {}
    for redactions in each:
        for placeholder, places in redactions.items():
            counts = total.setdefault(placeholder, {})
            for place, count in places.items():
                counts[place] = counts.get(place, 0) + count
    return total


def ended(survey: Survey, *, seq: int, offset_ns: int) -> Survey:
    """The survey of a recording that another follows: what was open at its end ends there."""
    tracks = {
        number: track
        if track.closed_seq is not None
        else replace(track, closed_seq=seq, closed_ns=offset_ns, close_code=_GOING_AWAY)
        for number, track in survey.tracks.items()
    }
    return replace(survey, tracks=tracks)


def all_gaps(surveys: Sequence[Survey], between: Sequence[Gap]) -> list[Gap]:
    """The gaps of recordings and between them, in order.

    Of a market of which gaps were written down here and not there, those that were not are found out: what is
    written of one recording must not hide what happened to another.
    """
    written = {gap.market for gap in (*between, *(gap for survey in surveys for gap in survey.gaps))}
    found = [
        gap
        for survey in surveys
        for market in sorted(written)
        for gap in outages(
            survey, market, [track for track in survey.tracks.values() if track.market == market]
        )
    ]
    return sorted([*found, *between], key=lambda gap: gap.seq)
