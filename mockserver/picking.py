"""Wanted events of a lane, as frames.

A frame of which every event is wanted is copied as it was recorded; one that is
wanted in part is put together anew around the bytes of its wanted events. All of it
is done with slices, maps and one join: Python runs for a stretch of frames of one
kind, not for a frame.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, compress, groupby, repeat
from operator import add, eq, ne, not_, sub
from typing import Final

from tickdeck.cassette.chunks import Lane
from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header

_FEW: Final = 8
"""Of up to one event in so many the frame is searched for; of more it is looked up in a table."""

_SHORT: Final = 4096
"""Joints of frames up to this size are remembered."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Frames picked from a lane: by frame its row there and its size, and their bytes back to back."""

    rows: Sequence[int]
    sizes: Sequence[int]
    wire: bytes


class _Joints(dict[int, bytes]):
    """By bytes of events and commas: the end of a frame before, and the beginning of one around so many."""

    def __missing__(self, size: int) -> bytes:
        joint = b"]" + frame_header(TEXT, size + 2) + b"["
        if size <= _SHORT:
            self[size] = joint
        return joint


_JOINTS: Final = _Joints()


def pick_all(lane: Lane) -> Picked:
    """Every frame of a lane."""
    return Picked(range(lane.frames), list(map(sub, lane.starts[1:], lane.starts)), lane.wire)


def pick_events(lane: Lane, events: Sequence[int]) -> Picked:
    """The frames that these events (ordinals, rising) lie in, with these events alone."""
    if not events:
        return Picked((), (), b"")
    if lane.first_event[-1] == lane.frames:  # one event a frame
        return _as_recorded(lane, events)
    counts = Counter(_rows(lane, events))
    rows, wanted = list(counts), list(counts.values())
    first = lane.first_event
    held = map(sub, map(first.__getitem__, map(add, rows, repeat(1))), map(first.__getitem__, rows))
    whole = list(map(eq, wanted, held))
    if all(whole):
        return _as_recorded(lane, rows)
    if any(whole):
        return _mixed(lane, events, rows, wanted, whole)
    return _put_together(lane, events, rows, wanted)


def _rows(lane: Lane, events: Sequence[int]) -> Sequence[int]:
    """The frame of each event."""
    if _FEW * len(events) <= lane.first_event[-1]:
        return list(map(sub, map(bisect_right, repeat(lane.first_event), events), repeat(1)))
    return list(map(lane.event_rows.__getitem__, events))


def _as_recorded(lane: Lane, rows: Sequence[int]) -> Picked:
    begins = list(map(lane.starts.__getitem__, rows))
    ends = list(map(lane.starts.__getitem__, map(add, rows, repeat(1))))
    apart = list(map(ne, begins[1:], ends))
    firsts, lasts = chain(begins[:1], compress(begins[1:], apart)), chain(compress(ends, apart), ends[-1:])
    wire = b"".join(map(lane.wire.__getitem__, map(slice, firsts, lasts)))
    return Picked(rows, list(map(sub, ends, begins)), wire)


def _put_together(lane: Lane, events: Sequence[int], rows: Sequence[int], counts: Sequence[int]) -> Picked:
    """Frames made around events: so many of them, ``counts``, in each."""
    begins = list(map(lane.event_starts.__getitem__, events))
    ends = list(map(lane.event_ends.__getitem__, events))
    first = list(accumulate(counts, initial=0))
    # With a comma counted to each event, and one to none before the first, frames differ by running sums.
    reach = list(accumulate(map(sub, ends, begins), initial=0))
    reach = list(map(add, map(reach.__getitem__, first), first))
    sizes = list(map(sub, map(sub, reach[1:], reach), repeat(1)))
    joints = list(map(_JOINTS.__getitem__, sizes))
    between = [b","] * len(events)
    for at, joint in zip(first, joints, strict=False):
        between[at] = joint
    between[0] = between[0][1:]
    pieces = map(lane.wire.__getitem__, map(slice, begins, ends))
    wire = b"".join(chain(chain.from_iterable(zip(between, pieces, strict=True)), (b"]",)))
    return Picked(rows, list(map(add, sizes, map(len, joints))), wire)


def _mixed(
    lane: Lane, events: Sequence[int], rows: list[int], counts: list[int], whole: list[bool]
) -> Picked:
    """Both kinds, by stretches of one kind."""
    partly = list(map(not_, whole))
    of_cut = compress(events, chain.from_iterable(map(repeat, partly, counts)))
    cut = _put_together(lane, list(of_cut), list(compress(rows, partly)), list(compress(counts, partly)))
    cut_starts = list(accumulate(cut.sizes, initial=0))
    parts: list[bytes] = []
    sizes: list[int] = []
    at = cut_at = 0
    for as_recorded, stretch in groupby(whole):
        length = len(list(stretch))
        if as_recorded:
            recorded = _as_recorded(lane, rows[at : at + length])
            parts.append(recorded.wire)
            sizes += recorded.sizes
        else:
            parts.append(cut.wire[cut_starts[cut_at] : cut_starts[cut_at + length]])
            sizes += cut.sizes[cut_at : cut_at + length]
            cut_at += length
        at += length
    return Picked(rows, sizes, b"".join(parts))
