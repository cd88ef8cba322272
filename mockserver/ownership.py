"""Who a channel comes from, where several recorded tracks hold it at once.

The rule is the tape's (see `tickdeck.mockserver.tape`): at any instant the earliest
track that is open and holds the channel has it. Tracks seldom overlap, so what is
kept is the exception: for each track the elder ones it overlaps, and the spans of
the sequence in which those hold a channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from tickdeck.cassette.survey import TrackSummary
from tickdeck.dialects.channels import wildcard_of

NEVER: Final = 1 << 63
"""A sequence behind every record."""

Spans: TypeAlias = dict[str, list[tuple[int, int]]]
"""By channel, ``[first, last)`` in sequence."""


def end_seq(track: TrackSummary) -> int:
    """The sequence at which the track ended; behind everything if it never did."""
    return NEVER if track.closed_seq is None else track.closed_seq


class Ownership:
    """Which track a channel comes from while several hold it.

    A track holds a channel from its acknowledgement, or its first event where
    nothing was acknowledged, until it unsubscribes or ends.
    """

    def __init__(self, tracks: Iterable[TrackSummary]) -> None:
        self._elder: dict[int, list[tuple[TrackSummary, Spans]]] = {}
        before: list[tuple[TrackSummary, Spans]] = []
        for track in sorted(tracks, key=lambda track: track.opened_seq):
            self._elder[track.track] = [
                (elder, spans) for elder, spans in before if end_seq(elder) > track.opened_seq
            ]
            before.append((track, _spans(track)))
        self.contested = any(self._elder.values())
        """Whether any two tracks were ever open at once."""

    def excluded(self, track: int, channel: str) -> Sequence[tuple[int, int]]:
        """Where (in sequence) an elder track has the channel, so that this one's events are not on the tape."""
        if not self._elder[track]:
            return ()
        topic = wildcard_of(channel)
        return [
            span
            for _, spans in self._elder[track]
            for name in dict.fromkeys((channel, topic))
            for span in spans.get(name, ())
        ]


def _spans(track: TrackSummary) -> Spans:
    spans: Spans = {}
    since: dict[str, int] = {}
    for change in track.holdings:
        if change.held:
            since.setdefault(change.channel, change.seq)
        elif (start := since.pop(change.channel, None)) is not None:
            spans.setdefault(change.channel, []).append((start, change.seq))
    for channel, start in since.items():
        spans.setdefault(channel, []).append((start, end_seq(track)))
    for channel, seen in track.channels.items():
        if channel not in spans and wildcard_of(channel) not in spans:
            spans[channel] = [(seen.first_seq, end_seq(track))]
    return spans
