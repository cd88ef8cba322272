"""Which of several recordings of one request answers.

The same request may have been recorded many times. Which answer is due depends on
the policy and on where one course of playback stands; that state lies in a `Visits`
value which the timeline owns.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.asked import RequestKey


class Repeats(enum.StrEnum):
    """Which of several recordings of one request answers."""

    BY_TIME = "by-time"
    """The newest at the playhead's position, else the earliest; see `Timing`."""
    IN_ORDER = "in-order"
    """The next one at each visit, then the last again."""
    CYCLE = "cycle"
    """The next one at each visit, then the first again."""
    ERROR = "error"
    """The next one at each visit, then a miss."""


class Timing(enum.Enum):
    """What by-time goes by, at a position of the tape."""

    ENDED = enum.auto()
    """When an answer was complete: it comes at once."""
    BEGAN = enum.auto()
    """When a request was made: its answer takes as long as it took, and so tells nothing too early."""
    WARM_UP = enum.auto()
    """The tape has not started: those that were complete before, one after the other, then the last of them."""


@dataclass(slots=True)
class Visits:
    """How often each recorded request was answered in one course of playback."""

    counts: Counter[RequestKey] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Recordings:
    """All recordings of one request: in order of sequence, of their beginning, and of their end."""

    key: RequestKey
    entries: Sequence[Interaction]
    by_end: Sequence[Interaction]
    ends: Sequence[int]
    by_start: Sequence[Interaction]
    starts: Sequence[int]

    @classmethod
    def of(cls, key: RequestKey, entries: Sequence[Interaction]) -> Recordings:
        """From the recordings in order of sequence."""
        by_end = sorted(entries, key=lambda entry: entry.end_ns)
        by_start = sorted(entries, key=lambda entry: entry.offset_ns)
        ends = [entry.end_ns for entry in by_end]
        return cls(key, entries, by_end, ends, by_start, [entry.offset_ns for entry in by_start])

    def at(self, offset_ns: int, timing: Timing, *, visit: int) -> Interaction:
        """The one that is due by time; where none is yet, the earliest."""
        match timing:
            case Timing.BEGAN:
                return self.by_start[max(bisect_right(self.starts, offset_ns) - 1, 0)]
            case Timing.ENDED:
                return self.by_end[max(bisect_right(self.ends, offset_ns) - 1, 0)]
            case Timing.WARM_UP:
                return self.by_end[max(min(visit, bisect_left(self.ends, offset_ns) - 1), 0)]
            case _:
                assert_never(timing)


def choose(
    found: Recordings, repeats: Repeats, *, offset_ns: int, visits: Visits, timing: Timing = Timing.ENDED
) -> Interaction | None:
    """The recording that answers, noted in ``visits``; ``None`` if it was asked for too often."""
    visit, count = visits.counts[found.key], len(found.entries)
    if repeats is Repeats.ERROR and visit >= count:
        return None
    visits.counts[found.key] += 1
    match repeats:
        case Repeats.BY_TIME:
            return found.at(offset_ns, timing, visit=visit)
        case Repeats.CYCLE:
            return found.entries[visit % count]
        case _:
            return found.entries[min(visit, count - 1)]
