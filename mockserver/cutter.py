"""A piece of the tape, cut for one set of channels.

A frame of which a listener wants every event goes out as the bytes that were
recorded; a run of such frames is one slice. Of a frame that it wants only in part
the wanted events are copied, byte for byte, into a frame of their own. The event
index decides which is which: no JSON is read here, and no Python runs for a frame
that is not wanted.

A `Cut` does not depend on who asks, so listeners of equal subscriptions share it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, compress, repeat
from typing import Final, Protocol

from tickdeck.cassette.chunks import Lane
from tickdeck.cassette.columns import taker
from tickdeck.dialects.channels import is_wildcard, wildcard_of
from tickdeck.mockserver.picking import Picked, pick_all, pick_events, pick_where
from tickdeck.mockserver.recent import Recent, Room
from tickdeck.mockserver.tape import Tape
from tickdeck.mockserver.view import Run, View

_FEW: Final = 4
"""Up to one channel in so many is looked for by its posting list, more by the channel of each event."""

_ROW_WEIGHT: Final = 120
"""What a frame of a cut weighs besides its bytes: three integers in three lists."""


class Cut(Protocol):
    """A piece of tape for one set of channels: frame ``i`` of its ``frames`` is ``wire[starts[i]:starts[i + 1]]``.

    ``wire`` and ``frames`` cost nothing. The rows of a piece that is wanted whole are
    unpacked when first asked for: who sends all of it need not ask. ``recorded`` is the
    same cut of what was recorded, where the tape is moved in time.
    """

    @property
    def frames(self) -> int: ...
    @property
    def wire(self) -> bytes | memoryview: ...
    @property
    def seqs(self) -> Sequence[int]: ...
    @property
    def positions(self) -> Sequence[int]: ...
    @property
    def starts(self) -> Sequence[int]: ...
    @property
    def recorded(self) -> Cut | None: ...


@dataclass(frozen=True, slots=True)
class PartCut:
    """A cut of its own bytes."""

    seqs: Sequence[int]
    positions: Sequence[int]
    starts: Sequence[int]
    wire: bytes
    recorded: Cut | None = None

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.seqs)


@dataclass(frozen=True, slots=True)
class WholeCut:
    """A piece wanted whole: the one lane that it has."""

    view: View

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.view.frames

    @property
    def wire(self) -> memoryview:
        """The lane's own bytes."""
        return self.view.lanes[0].view

    @property
    def seqs(self) -> Sequence[int]:
        return self.view.seqs

    @property
    def positions(self) -> Sequence[int]:
        return self.view.positions

    @property
    def starts(self) -> Sequence[int]:
        return self.view.lanes[0].starts

    @property
    def recorded(self) -> Cut | None:
        return None if self.view.recorded is None else WholeCut(self.view.recorded)


class Verdicts(dict[str, bool]):
    """By channel, whether a set of channels lets its events through; worked out once a channel."""

    def __init__(self, wanted: frozenset[str], channels: Iterable[str]) -> None:
        """``channels``: those of the tape."""
        super().__init__()
        self._wanted = wanted
        self.by_name = wanted if not any(map(is_wildcard, wanted)) else None
        """The channels that are wanted, if each is named."""
        self.everything = all(map(self.__getitem__, channels))
        """Whether there is no other on the tape."""

    def __missing__(self, channel: str) -> bool:
        verdict = self[channel] = wants(self._wanted, channel)
        return verdict


class Cutter:
    """Cuts the pieces of a tape for sets of channels, and keeps those cut last while there is room.

    That room is the tape's, where none is given.
    """

    def __init__(self, tape: Tape, *, room: Room | None = None) -> None:
        self.tape = tape
        room = tape.room if room is None else room
        self._cuts: Recent[tuple[int, frozenset[str]], Cut] = Recent(room, _weight)
        self._verdicts: Recent[frozenset[str], Verdicts] = Recent(room, self._verdict_weight)

    def cut(self, number: int, wanted: frozenset[str]) -> Cut:
        """Piece ``number`` of the tape for the channels ``wanted`` (wildcards allowed)."""
        cut = self._cuts.get((number, wanted))
        if cut is not None:
            return cut
        view = self.tape.view(number)
        verdicts = self._verdicts.get(wanted)
        if verdicts is None:
            verdicts = self._verdicts.keep(wanted, Verdicts(wanted, self.tape.channels))
        if self._all_wanted(view, verdicts):
            return WholeCut(view)  # it shares the view's bytes, so there is nothing to keep
        return self._cuts.keep((number, wanted), self._cut(view, verdicts))

    def owned(self, view: View, run: Run) -> Iterator[tuple[str, Sequence[int]]]:
        """By channel, the events of a run that are on the tape (statuses are not), in order."""
        lane = run.lane
        first, last = lane.first_event[run.first], lane.first_event[run.last]
        whole = run.last - run.first == lane.frames
        for number, events in lane.postings.items():
            if channel := view.channels[number]:
                within = events if whole else events[bisect_left(events, first) : bisect_left(events, last)]
                yield channel, self._owned(lane, channel, within)

    def _verdict_weight(self, _: Verdicts) -> int:
        return _ROW_WEIGHT * len(self.tape.channels)

    def _all_wanted(self, view: View, verdicts: Verdicts) -> bool:
        if len(view.lanes) != 1 or view.lanes[0].statuses:
            return False
        if not verdicts.everything and not all(map(verdicts.__getitem__, view.names[0])):
            return False
        return not self.tape.ownership.contested or not self._is_contested(view.lanes[0], view.names[0])

    def _is_contested(self, lane: Lane, names: Sequence[str]) -> bool:
        ownership = self.tape.ownership
        return ownership.contested and any(map(ownership.excluded, repeat(lane.track), names))

    def _cut(self, view: View, verdicts: Verdicts) -> Cut:
        picks = [(lane, self._pick(view, at, verdicts)) for at, lane in enumerate(view.lanes)]
        if len(picks) == 1:
            _, picked = picks[0]
            rows: Sequence[int] = picked.rows
            starts, wire = list(accumulate(picked.sizes, initial=0)), picked.wire
        else:
            rows, starts, wire = _merged(view, picks)
        take = taker(rows)
        recorded = None if view.recorded is None else self._cut(view.recorded, verdicts)
        return PartCut(take(view.seq_list), take(view.position_list), starts, wire, recorded)

    def _pick(self, view: View, at: int, verdicts: Verdicts) -> Picked:
        lane, names = view.lanes[at], view.names[at]
        if self._is_contested(lane, names):
            owned = self.owned(view, Run(lane, 0, lane.frames))
            lists = (events for channel, events in owned if verdicts[channel])
            return pick_events(lane, sorted(chain.from_iterable(lists)))
        ids = _ids(view, at, verdicts)
        if len(ids) == len(names):
            return pick_all(lane)
        if _FEW * len(ids) <= len(names):
            return pick_events(lane, sorted(chain.from_iterable(map(lane.postings.__getitem__, ids))))
        return pick_where(lane, view.by_event[at](list(map(verdicts.__getitem__, view.channels))))

    def _owned(self, lane: Lane, channel: str, events: Sequence[int]) -> Sequence[int]:
        excluded = self.tape.ownership.excluded(lane.track, channel)
        if not excluded:
            return events
        return [
            event
            for event in events
            if not any(start <= lane.seqs[row_of(lane, event)] < end for start, end in excluded)
        ]


def _ids(view: View, at: int, verdicts: Verdicts) -> list[int]:
    """The numbers of the wanted channels that occur in a lane."""
    if verdicts.by_name is not None:
        numbers = view.numbers[at]
        return [numbers[channel] for channel in numbers.keys() & verdicts.by_name if channel]
    return list(compress(view.lanes[at].channel_ids, map(verdicts.__getitem__, view.names[at])))


def wants(wanted: frozenset[str], channel: str) -> bool:
    """Whether a set of channels lets an event through; a status (no channel) never is."""
    return channel != "" and (channel in wanted or wildcard_of(channel) in wanted)


def row_of(lane: Lane, event: int) -> int:
    """The frame of a lane that an event lies in."""
    return bisect_right(lane.first_event, event) - 1


def _merged(view: View, picks: Sequence[tuple[Lane, Picked]]) -> tuple[list[int], list[int], bytes]:
    """What was picked of several lanes, in the order of the tape: rows of the view, starts, bytes."""
    seqs: list[int] = []
    frames: list[bytes] = []
    for lane, picked in picks:
        starts = list(accumulate(picked.sizes, initial=0))
        seqs += map(lane.seqs.__getitem__, picked.rows)
        frames += map(picked.wire.__getitem__, map(slice, starts, starts[1:]))
    order = sorted(range(len(seqs)), key=seqs.__getitem__)
    in_order = list(map(frames.__getitem__, order))
    rows = list(map(bisect_left, repeat(view.seqs), map(seqs.__getitem__, order)))
    return rows, list(accumulate(map(len, in_order), initial=0)), b"".join(in_order)


def _weight(cut: Cut) -> int:
    recorded = 0 if cut.recorded is None else len(cut.recorded.wire)
    return len(cut.wire) + recorded + _ROW_WEIGHT * cut.frames
