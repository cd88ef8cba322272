"""What becomes of a lane whose moments are moved: other bytes, nearly always in the same places.

It knows the lane it came from, row by row the same, for the tape digest covers what
was recorded: see `as_recorded`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tickdeck.cassette.chunks import Lane


class ShiftedLane:
    """``wire`` in place of a lane's own. Where numbers changed their length, ``places`` says where all lies now."""

    def __init__(self, recorded: Lane, wire: bytes, places: Lane | None = None) -> None:
        self.recorded = recorded
        self.wire = wire
        self._places = recorded if places is None else places

    @property
    def view(self) -> memoryview:
        """See `Lane`."""
        return memoryview(self.wire)

    @property
    def track(self) -> int:
        """See `Lane`."""
        return self.recorded.track

    @property
    def frames(self) -> int:
        """See `Lane`."""
        return self.recorded.frames

    @property
    def statuses(self) -> int:
        """See `Lane`."""
        return self.recorded.statuses

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
        return self._places.starts

    @property
    def payload_starts(self) -> Sequence[int]:
        """See `Lane`."""
        return self._places.payload_starts

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
        return self._places.event_starts

    @property
    def event_ends(self) -> Sequence[int]:
        """See `Lane`."""
        return self._places.event_ends

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


def as_recorded(lane: Lane) -> Lane:
    """The lane as it is on the cassette; itself if it is not moved."""
    return lane.recorded if isinstance(lane, ShiftedLane) else lane
