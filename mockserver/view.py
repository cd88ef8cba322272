"""One chunk, seen as a piece of one market's tape.

Nothing of it is worked out before it is asked for: a listener that wants everything
needs the bytes of a lane, and no row of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import accumulate, chain, repeat
from operator import is_, le, sub

from tickdeck.cassette.chunks import Lane
from tickdeck.cassette.columns import taker
from tickdeck.mockserver.shiftedlane import as_recorded


@dataclass(frozen=True, slots=True)
class Run:
    """Frames ``first`` up to ``last`` of a lane, which follow each other on the tape."""

    lane: Lane
    first: int
    last: int


class View:
    """A piece of tape: the lanes of its tracks, its runs in order, and a row a frame.

    ``floor_ns`` is the position that everything before it has reached.
    """

    def __init__(
        self, number: int, channels: Sequence[str], lanes: Sequence[Lane], *, zero_ns: int, floor_ns: int
    ) -> None:
        self.number = number
        self.channels = channels
        self.lanes = lanes
        self.frames = sum(lane.frames for lane in lanes)
        self._zero_ns = zero_ns
        self._floor_ns = floor_ns

    @cached_property
    def recorded(self) -> View | None:
        """The same piece as it was recorded, row by row, where the tape is moved in time; else ``None``."""
        lanes = list(map(as_recorded, self.lanes))
        if all(map(is_, lanes, self.lanes)):
            return None
        return View(self.number, self.channels, lanes, zero_ns=self._zero_ns, floor_ns=self._floor_ns)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Its frames in the order of the tape, by stretches that lie together."""
        if len(self.lanes) == 1:
            return (Run(self.lanes[0], 0, self.frames),)
        return tuple(_in_order(self.lanes))

    @cached_property
    def seqs(self) -> Sequence[int]:
        """By row, the sequence of the frame."""
        if len(self.lanes) == 1:
            return self.lanes[0].seqs
        return list(chain.from_iterable(run.lane.seqs[run.first : run.last] for run in self.runs))

    @cached_property
    def positions(self) -> Sequence[int]:
        """By row, the position of the frame; it never steps back, even where offsets do."""
        if len(self.lanes) == 1:
            return _positions(self.lanes[0].offsets, self._zero_ns, self._floor_ns)
        offsets = list(chain.from_iterable(run.lane.offsets[run.first : run.last] for run in self.runs))
        return _positions(offsets, self._zero_ns, self._floor_ns)

    @cached_property
    def names(self) -> Sequence[Sequence[str]]:
        """By lane, the channels that occur in it, in the order of their numbers."""
        channels = tuple(self.channels)
        return [list(map(channels.__getitem__, lane.channel_ids)) for lane in self.lanes]

    @cached_property
    def numbers(self) -> Sequence[dict[str, int]]:
        """By lane, the numbers of the channels that occur in it."""
        pairs = zip(self.names, self.lanes, strict=True)
        return [dict(zip(names, lane.channel_ids, strict=True)) for names, lane in pairs]

    @cached_property
    def by_event(self) -> Sequence[Callable[[Sequence[bool]], Sequence[bool]]]:
        """By lane, what takes an answer for each channel number, and gives one for each event."""
        return [taker(lane.event_channels) for lane in self.lanes]

    @cached_property
    def seq_list(self) -> list[int]:
        """``seqs`` as a list: many rows are taken of it sooner than of a range."""
        return list(self.seqs)

    @cached_property
    def position_list(self) -> list[int]:
        """``positions`` as a list."""
        return list(self.positions)


def _in_order(lanes: Sequence[Lane]) -> Iterator[Run]:
    heads = [(lane.seqs[0], at, 0) for at, lane in enumerate(lanes)]
    heapify(heads)
    while heads:
        _, at, first = heappop(heads)
        lane = lanes[at]
        last = bisect_left(lane.seqs, heads[0][0], lo=first) if heads else lane.frames
        yield Run(lane, first, last)
        if last < lane.frames:
            heappush(heads, (lane.seqs[last], at, last))


def _positions(offsets: Sequence[int], zero_ns: int, floor_ns: int) -> Sequence[int]:
    if not offsets:
        return []
    if offsets[0] - zero_ns >= floor_ns:
        if isinstance(offsets, range) and offsets.step > 0:
            return range(offsets.start - zero_ns, offsets.stop - zero_ns, offsets.step)
        if all(map(le, offsets, offsets[1:])):
            return list(map(sub, offsets, repeat(zero_ns)))
    return list(accumulate(map(sub, offsets, repeat(zero_ns)), max, initial=floor_ns))[1:]
