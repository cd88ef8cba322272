"""A piece of the tape, cut for one set of channels.

A frame of which a listener wants every event goes out as the bytes that were
recorded; a run of such frames is one slice. Of a frame that it wants only in part
the wanted events are copied, byte for byte, into a frame of their own. The event
index decides which is which: no JSON is read here.

A `Cut` does not depend on who asks, so listeners of equal subscriptions share it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain

from tickdeck.cassette.chunks import Lane
from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.channels import wildcard_of
from tickdeck.mockserver.recent import Recent
from tickdeck.mockserver.tape import Run, Tape, View


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of tape for one set of channels: frame ``i`` is ``wire[starts[i]:starts[i + 1]]``."""

    seqs: Sequence[int]
    positions: Sequence[int]
    starts: Sequence[int]
    wire: bytes


class Cutter:
    """Cuts the pieces of a tape for sets of channels, and keeps the last few cuts."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._cuts: Recent[tuple[int, frozenset[str]], Cut] = Recent(64)

    def cut(self, number: int, wanted: frozenset[str]) -> Cut:
        """Piece ``number`` of the tape for the channels ``wanted`` (wildcards allowed)."""
        return self._cuts.get_or_make((number, wanted), lambda: self._make(number, wanted))

    def owned(self, view: View, run: Run) -> Iterator[tuple[str, Sequence[int]]]:
        """By channel, the events of a run that are on the tape (statuses are not), in order."""
        lane = run.lane
        first, last = lane.first_event[run.first], lane.first_event[run.last]
        whole = run.last - run.first == len(lane.seqs)
        for number, events in lane.postings.items():
            if channel := view.channels[number]:
                within = events if whole else events[bisect_left(events, first) : bisect_left(events, last)]
                yield channel, self._owned(lane, channel, within)

    def _make(self, number: int, wanted: frozenset[str]) -> Cut:
        view = self.tape.view(number)
        if self._all_wanted(view, wanted):
            return _whole(view)
        rows: list[int] = []
        frames: list[bytes] = []
        base = 0
        for run in view.runs:
            for row, events in _by_frame(run, self._ordinals(view, run, wanted)):
                rows.append(base + row - run.first)
                frames.append(_frame_of(run.lane, row, events))
            base += run.last - run.first
        return Cut(
            [view.seqs[row] for row in rows],
            [view.positions[row] for row in rows],
            list(accumulate(map(len, frames), initial=0)),
            b"".join(frames),
        )

    def _all_wanted(self, view: View, wanted: frozenset[str]) -> bool:
        if len(view.runs) != 1 or view.runs[0].last - view.runs[0].first != len(view.runs[0].lane.seqs):
            return False
        lane = view.runs[0].lane
        return all(
            wants(wanted, view.channels[channel])
            and not self.tape.ownership.excluded(lane.track, view.channels[channel])
            for channel in lane.postings
        )

    def _ordinals(self, view: View, run: Run, wanted: frozenset[str]) -> list[int]:
        """The wanted events of a run, in order."""
        lists = (events for channel, events in self.owned(view, run) if wants(wanted, channel))
        return sorted(chain.from_iterable(lists))

    def _owned(self, lane: Lane, channel: str, events: Sequence[int]) -> Sequence[int]:
        excluded = self.tape.ownership.excluded(lane.track, channel)
        if not excluded:
            return events
        return [
            event
            for event in events
            if not any(start <= lane.seqs[row_of(lane, event)] < end for start, end in excluded)
        ]


@lru_cache(maxsize=1 << 16)
def wants(wanted: frozenset[str], channel: str) -> bool:
    """Whether a set of channels lets an event through; a status (no channel) never is."""
    return channel != "" and (channel in wanted or wildcard_of(channel) in wanted)


def row_of(lane: Lane, event: int) -> int:
    """The frame of a lane that an event lies in."""
    return bisect_right(lane.first_event, event) - 1


def _by_frame(run: Run, events: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """The frames that the events lie in, each with its own."""
    at = 0
    while at < len(events):
        row = row_of(run.lane, events[at])
        behind = bisect_left(events, run.lane.first_event[row + 1], lo=at)
        yield row, events[at:behind]
        at = behind


def _frame_of(lane: Lane, row: int, events: Sequence[int]) -> bytes:
    if len(events) == lane.first_event[row + 1] - lane.first_event[row]:
        return lane.wire[lane.starts[row] : lane.starts[row + 1]]
    payload = b",".join(lane.wire[lane.event_starts[event] : lane.event_ends[event]] for event in events)
    return frame_header(TEXT, len(payload) + 2) + b"[" + payload + b"]"


def _whole(view: View) -> Cut:
    lane = view.runs[0].lane
    return Cut(view.seqs, view.positions, lane.starts, lane.wire)
