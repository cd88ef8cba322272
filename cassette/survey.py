"""What a cassette holds, at a glance: the part of the index that answers questions without reading a chunk.

A survey is fed every record in sequence order, by the writer while it records and
by a reader that finds no footer. The footer keeps it, so that opening a sealed
cassette costs its index only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tickdeck.cassette.records import Gap, Sender


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
    """One recorded connection. ``closed_ns`` and ``closed_seq`` are ``None`` while it was still open at the end."""

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
