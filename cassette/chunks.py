"""A chunk in memory: about 256 KiB of records, laid out for playing.

The data frames of each track lie back to back in a *lane*, in unmasked server
wire form (RFC 6455 header and payload), so that a run of frames is one slice that
can go to a socket as it is. Everything else (client frames, control frames,
frames without market data, opaque frames, interactions) lies on the *side*.
``seqs`` restores the total order. Beside each lane lies its event index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tickdeck.cassette.records import Record


@dataclass(frozen=True, slots=True)
class Lane:
    """The data frames of one track in one chunk; all columns have one row a frame or one an event.

    Frame ``i`` is ``wire[starts[i]:starts[i + 1]]`` (header included); its payload
    begins at ``payload_starts[i]``. Its events are the ordinals
    ``first_event[i]:first_event[i + 1]``; event ``e`` is
    ``wire[event_starts[e]:event_ends[e]]`` on ``chunk.channels[event_channels[e]]``.
    ``postings[c]`` lists, in order, the ordinals of the events of channel id ``c``
    (ids that do not occur in the lane are absent).
    """

    track: int
    seqs: Sequence[int]
    offsets: Sequence[int]
    starts: Sequence[int]
    payload_starts: Sequence[int]
    wire: bytes
    first_event: Sequence[int]
    event_starts: Sequence[int]
    event_ends: Sequence[int]
    event_channels: Sequence[int]
    postings: dict[int, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One decoded chunk: ``channels[0]`` is always `tickdeck.cassette.indexing.STATUS`."""

    number: int
    channels: tuple[str, ...]
    lanes: tuple[Lane, ...]
    side: tuple[Record, ...]
