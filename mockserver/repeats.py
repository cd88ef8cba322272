"""Which of several recordings of one request answers.

The same request may have been recorded many times. Which answer is due depends on
the policy and on where one course of playback stands; that state lies in a `Visits`
value which the timeline owns.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.asked import RequestKey


class Repeats(enum.StrEnum):
    """Which of several recordings of one request answers."""

    BY_TIME = "by-time"
    """The newest that was complete at the playhead's position, else the earliest."""
    IN_ORDER = "in-order"
    """The next one at each visit, then the last again."""
    CYCLE = "cycle"
    """The next one at each visit, then the first again."""
    ERROR = "error"
    """The next one at each visit, then a miss."""


@dataclass(slots=True)
class Visits:
    """How often each recorded request was answered in one course of playback."""

    counts: Counter[RequestKey] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Recordings:
    """All recordings of one request: in order of sequence, and in order of their end."""

    key: RequestKey
    entries: Sequence[Interaction]
    by_end: Sequence[Interaction]
    ends: Sequence[int]

    @classmethod
    def of(cls, key: RequestKey, entries: Sequence[Interaction]) -> Recordings:
        """From the recordings in order of sequence."""
        by_end = sorted(entries, key=lambda entry: entry.end_ns)
        return cls(key, entries, by_end, [entry.end_ns for entry in by_end])


def choose(found: Recordings, repeats: Repeats, *, offset_ns: int, visits: Visits) -> Interaction | None:
    """The recording that answers, noted in ``visits``; ``None`` if it was asked for too often."""
    visit, count = visits.counts[found.key], len(found.entries)
    if repeats is Repeats.ERROR and visit >= count:
        return None
    visits.counts[found.key] += 1
    match repeats:
        case Repeats.BY_TIME:
            return found.by_end[max(bisect_right(found.ends, offset_ns) - 1, 0)]
        case Repeats.CYCLE:
            return found.entries[visit % count]
        case _:
            return found.entries[min(visit, count - 1)]
