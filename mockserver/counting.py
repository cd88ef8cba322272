"""How many events of a channel lie before a place on the tape.

Asked once, for a report, about all the places that matter to it. The totals are in
the cassette's survey; only places in the middle of the tape (a late subscription, an
early leaving) cost a pass over the index up to there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from tickdeck.dialects.channels import wildcard_of
from tickdeck.mockserver.cutter import Cutter, row_of
from tickdeck.mockserver.view import View


class EventCounts:
    """Counts of events before cursors, for ``(channel, cursor)`` pairs named in advance."""

    def __init__(self, cutter: Cutter, places: Iterable[tuple[str, int]]) -> None:
        self._cutter = cutter
        self._last_seq = cutter.tape.recorded_last_seq
        self._totals = self._all_totals()
        inside: dict[str, set[int]] = {}
        for channel, seq in places:
            if 0 < seq <= self._last_seq:
                inside.setdefault(channel, set()).add(seq)
        self._inside = self._count({channel: sorted(seqs) for channel, seqs in inside.items()})

    def before(self, channel: str, seq: int) -> int:
        """Events of ``channel`` (``T.AAPL``, ``T.*``) with a sequence below ``seq``."""
        if seq <= 0:
            return 0
        return self._totals.get(channel, 0) if seq > self._last_seq else self._inside[channel, seq]

    def between(self, channel: str, from_seq: int, to_seq: int) -> int:
        """Events of ``channel`` in ``[from_seq, to_seq)``; 0 if that is empty."""
        return self.before(channel, to_seq) - self.before(channel, from_seq) if to_seq > from_seq else 0

    def _all_totals(self) -> dict[str, int]:
        tape = self._cutter.tape
        totals: dict[str, int] = {}
        counted: Iterable[tuple[str, int]] = tape.channels.items()
        if tape.ownership.contested:
            counted = ((name, len(seqs)) for view in tape.views() for name, seqs in self._events(view))
        for channel, events in counted:
            for name in dict.fromkeys((channel, wildcard_of(channel))):
                totals[name] = totals.get(name, 0) + events
        return totals

    def _count(self, places: dict[str, list[int]]) -> dict[tuple[str, int], int]:
        counts = {(channel, seq): 0 for channel, seqs in places.items() for seq in seqs}
        end = max((seqs[-1] for seqs in places.values()), default=0)
        for view in self._cutter.tape.views():
            if view.frames and view.seqs[0] >= end:
                break
            for channel, events in self._events(view, places):
                for name in dict.fromkeys((channel, wildcard_of(channel))):
                    for seq in places.get(name, ()):
                        counts[name, seq] += bisect_left(events, seq)
        return counts

    def _events(
        self, view: View, places: dict[str, list[int]] | None = None
    ) -> Iterator[tuple[str, list[int]]]:
        """By channel, the sequences of its events in a piece of tape, rising."""
        for run in view.runs:
            for channel, events in self._cutter.owned(view, run):
                if places is None or channel in places or wildcard_of(channel) in places:
                    yield channel, [run.lane.seqs[row_of(run.lane, event)] for event in events]
