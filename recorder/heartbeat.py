"""What the once-a-second beat of a recorder tells about the machine it runs on.

Offsets on a cassette come from the monotonic clock and never step back. The wall clock
does, when somebody sets it; and it runs on while a machine sleeps, which the monotonic
clock of some systems does not. So the two are compared: where they part, it is said, and
the wall clock is noted on the cassette. A beat that is late by seconds means that the
process stood still, stopped or starved, and what came meanwhile is stamped late.
"""

from __future__ import annotations

from typing import Final

from tickdeck.recorder.notices import ClockMoved, Notice, StoodStill

LATE_NS: Final = 3 * 10**9
MOVED_NS: Final = 10**9
"""From so much on it is worth a sentence."""


class Heartbeat:
    """Begins with a look at both clocks."""

    def __init__(self, now_ns: int, wall_ns: int) -> None:
        self._apart_ns = wall_ns - now_ns

    def beat(self, now_ns: int, wall_ns: int, *, due_ns: int) -> list[Notice]:
        """What there is to say at a beat that was due at ``due_ns``."""
        said: list[Notice] = []
        if now_ns - due_ns >= LATE_NS:
            said.append(StoodStill((now_ns - due_ns) / 1e9))
        moved_ns = wall_ns - now_ns - self._apart_ns
        if abs(moved_ns) >= MOVED_NS:
            self._apart_ns += moved_ns
            said.append(ClockMoved(moved_ns / 1e9))
        return said
