"""When a market was listened to, and when not, as the survey of a recording tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tickdeck.cassette.records import Gap
from tickdeck.cassette.survey import Survey, TrackSummary

_IN_ORDER = (1000, 1001)
"""Close codes of RFC 6455 7.4.1 that are no loss: normal, and going away (a recorder that stops writes it)."""


def zero_of(survey: Survey) -> int:
    """The recording's zero, as an offset: its earliest data or subscription, over all markets."""
    firsts = [first for track in survey.tracks.values() for first in _firsts(track)]
    return min(firsts, default=survey.first_offset_ns or 0)


def heard_ns(track: TrackSummary) -> int:
    """The offset from which a track was heard: its earliest data or subscription, else its opening."""
    return min(_firsts(track), default=track.opened_ns)


def _firsts(track: TrackSummary) -> Iterator[int]:
    yield from (change.offset_ns for change in track.holdings if change.held)
    yield from (channel.first_offset_ns for channel in track.channels.values())


def outages(survey: Survey, market: str, tracks: Iterable[TrackSummary]) -> list[Gap]:
    """Outages of a market: those written down, else the silences between a lost track of these and the next."""
    written = [gap for gap in survey.gaps if gap.market == market]
    return sorted(written or _lost(market, tracks), key=lambda gap: gap.offset_ns)


def _lost(market: str, tracks: Iterable[TrackSummary]) -> Iterator[Gap]:
    in_order = sorted(tracks, key=lambda track: track.opened_seq)
    for at, track in enumerate(in_order):
        if track.closed_ns is None or track.closed_seq is None or track.close_code in _IN_ORDER:
            continue
        if any(_is_open(other, track.closed_seq) for other in in_order if other is not track):
            continue
        heard_again = [heard_ns(other) for other in in_order[at + 1 :]]
        if heard_again:
            reason = "connection lost" if track.close_code is None else f"closed with {track.close_code}"
            yield Gap(track.closed_seq, track.closed_ns, min(heard_again), market, reason)


def _is_open(track: TrackSummary, seq: int) -> bool:
    return track.opened_seq < seq and (track.closed_seq is None or seq < track.closed_seq)
