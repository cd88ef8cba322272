"""A lane with other bytes in the same places: what becomes of one whose moments are moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tickdeck.cassette.chunks import Lane


class ShiftedLane:
    """A lane as it was recorded, with ``wire`` in place of its own; every column is the recorded lane's."""

    def __init__(self, recorded: Lane, wire: bytes) -> None:
        self.recorded = recorded
        self.wire = wire

    @property
    def track(self) -> int:
        """See `Lane`."""
        return self.recorded.track

    @property
    def frames(self) -> int:
        """See `Lane`."""
        return self.recorded.frames

    @property
    def seqs(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.seqs

    @property
    def offsets(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.offsets

    @property
    def starts(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.starts

    @property
    def payload_starts(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.payload_starts

    @property
    def first_event(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.first_event

    @property
    def event_rows(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.event_rows

    @property
    def event_starts(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.event_starts

    @property
    def event_ends(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.event_ends

    @property
    def event_channels(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.event_channels

    @property
    def channel_ids(self) -> Sequence[int]:
        """See `Lane`."""
        return self.recorded.channel_ids

    @property
    def postings(self) -> Mapping[int, Sequence[int]]:
        """See `Lane`."""
        return self.recorded.postings
