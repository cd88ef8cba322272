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
from tickdeck.cassette.columns import taker
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
    if lane.first_event[-1] == lane.frames:  # one event a frame
        return _as_recorded(lane, events)
    rows = _rows(lane, events)
    counts: Sequence[int] = [1] * len(rows)
    if len(set(rows)) < len(rows):
        counted = Counter(rows)
        rows, counts = list(counted), list(counted.values())
    take = taker(events)
    return _frames(lane, rows, counts, take(lane.event_starts), take(lane.event_ends))


def pick_where(lane: Lane, wanted: Sequence[bool]) -> Picked:
    """The frames of the wanted events, with these alone; ``wanted`` has an answer for each event."""
    if lane.first_event[-1] == lane.frames:
        return _as_recorded(lane, list(compress(range(lane.frames), wanted)))
    before = taker(lane.first_event)(list(accumulate(wanted, initial=0)))
    counts = list(map(sub, before[1:], before))
    begins, ends = list(compress(lane.event_starts, wanted)), list(compress(lane.event_ends, wanted))
    return _frames(lane, list(compress(range(lane.frames), counts)), list(filter(None, counts)), begins, ends)


def _rows(lane: Lane, events: Sequence[int]) -> Sequence[int]:
    """The frame of each event."""
    if _FEW * len(events) <= lane.first_event[-1]:
        return list(map(sub, map(bisect_right, repeat(lane.first_event), events), repeat(1)))
    return taker(events)(lane.event_rows)


def _frames(
    lane: Lane, rows: Sequence[int], counts: Sequence[int], begins: Sequence[int], ends: Sequence[int]
) -> Picked:
    """The frames ``rows``, of each of which so many events, ``counts``, are wanted: those of the given bounds."""
    first = lane.first_event
    held = map(sub, taker(_next(rows))(first), taker(rows)(first))
    whole = list(map(eq, counts, held))
    if all(whole):
        return _as_recorded(lane, rows)
    if any(whole):
        return _mixed(lane, rows, counts, whole, (begins, ends))
    return Picked(rows, *_put_together(lane.wire, counts, begins, ends))


def _as_recorded(lane: Lane, rows: Sequence[int]) -> Picked:
    begins, ends = taker(rows)(lane.starts), taker(_next(rows))(lane.starts)
    apart = list(map(ne, begins[1:], ends))
    firsts, lasts = chain(begins[:1], compress(begins[1:], apart)), chain(compress(ends, apart), ends[-1:])
    wire = b"".join(map(lane.wire.__getitem__, map(slice, firsts, lasts)))
    return Picked(rows, list(map(sub, ends, begins)), wire)


def _put_together(
    wire: bytes, counts: Sequence[int], begins: Sequence[int], ends: Sequence[int]
) -> tuple[list[int], bytes]:
    """Frames made around events, so many, ``counts``, in each: their sizes and their bytes."""
    first = list(accumulate(counts, initial=0))
    # With a comma counted to each event the running sums tell what lies in a frame, and one comma too many.
    reach = list(accumulate(map(sub, ends, begins), initial=0))
    reach = list(map(add, taker(first)(reach), first))
    sizes = list(map(sub, map(sub, reach[1:], reach), repeat(1)))
    joints = list(map(_JOINTS.__getitem__, sizes))
    parts = [b","] * (2 * len(begins) + 1)
    parts[1::2] = map(wire.__getitem__, map(slice, begins, ends))
    parts[-1] = b"]"
    if len(joints) == len(begins):
        parts[:-1:2] = joints
    else:
        for at, joint in zip(first, joints, strict=False):
            parts[2 * at] = joint
    parts[0] = parts[0][1:]
    return list(map(add, sizes, map(len, joints))), b"".join(parts)


def _mixed(
    lane: Lane,
    rows: Sequence[int],
    counts: Sequence[int],
    whole: Sequence[bool],
    bounds: tuple[Sequence[int], Sequence[int]],
) -> Picked:
    """Frames of both kinds, by stretches of one kind."""
    partly = list(map(not_, whole))
    of_partly = list(chain.from_iterable(map(repeat, partly, counts)))
    begins, ends = (list(compress(bound, of_partly)) for bound in bounds)
    cut_sizes, cut = _put_together(lane.wire, list(compress(counts, partly)), begins, ends)
    cut_starts = list(accumulate(cut_sizes, initial=0))
    recorded = _as_recorded(lane, list(compress(rows, whole)))
    recorded_starts = list(accumulate(recorded.sizes, initial=0))
    parts: list[bytes] = []
    sizes: list[int] = []
    at = cut_at = 0
    for as_recorded, stretch in groupby(whole):
        length = len(list(stretch))
        if as_recorded:
            parts.append(recorded.wire[recorded_starts[at] : recorded_starts[at + length]])
            sizes += recorded.sizes[at : at + length]
            at += length
        else:
            parts.append(cut[cut_starts[cut_at] : cut_starts[cut_at + length]])
            sizes += cut_sizes[cut_at : cut_at + length]
            cut_at += length
    return Picked(rows, sizes, b"".join(parts))


def _next(rows: Sequence[int]) -> Sequence[int]:
    return list(map(add, rows, repeat(1)))
