"""The way of one playback over the tape, leg by leg.

A playback without a jump is one leg, from where the tape begins to its end. A seek
ends the leg where the playhead is and begins another one where it lands; a loop ends
it at the end of the tape. A client that lags behind walks every leg to its end
before it takes the next one, so that what it is sent does not depend on its haste.

A *cursor* is a place on this way: the number of the leg and, within the leg, the
sequence of the next frame that may be sent. Both are one integer, the leg in the bits
above `LEG`, so that cursors compare as the places do; on the first leg a cursor is a
plain sequence number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from tickdeck.mockserver.playhead import Playhead
from tickdeck.mockserver.tape import Tape

LEG: Final = 64
"""Bits of a cursor below the number of its leg."""

_SEQ: Final = (1 << LEG) - 1

CLOCKS_KEPT: Final = 16
"""Legs that were left and whose playhead is remembered."""

EndOf: TypeAlias = Callable[[Tape], int]
"""Where a leg ends on the tape of a market: the sequence of the first frame that is no longer on it."""


def cursor_of(leg: int, seq: int) -> int:
    """The cursor at ``seq`` on a leg."""
    return leg << LEG | seq


def leg_of(cursor: int) -> int:
    """The leg that a cursor is on, from 0."""
    return cursor >> LEG


def seq_of(cursor: int) -> int:
    """The sequence of the next frame at a cursor."""
    return cursor & _SEQ


@dataclass(frozen=True, slots=True)
class Leg:
    """From ``begin_ns`` on the tape to where it was ended (``end`` of ``None``: it is under way).

    ``left_ns`` is the position at which that was, -1 where every socket turned where it
    was; ``playhead`` the one that it was left with, if a clock moved the tape.
    """

    begin_ns: int
    end: EndOf | None = None
    left_ns: int | None = None
    playhead: Playhead | None = None

    def came_to(self, position_ns: int) -> bool:
        """Whether the tape came to a position on this leg, or may yet."""
        return self.left_ns is None or position_ns <= self.left_ns


def _to_the_end(tape: Tape) -> int:
    return tape.last_seq + 1


class Course:
    """The legs of one playback so far; the last one is under way."""

    def __init__(self, begin_ns: int = 0) -> None:
        self.legs = [Leg(begin_ns)]
        self._lap: Leg | None = None

    @property
    def leg(self) -> int:
        """The number of the leg under way."""
        return len(self.legs) - 1

    @property
    def begin_ns(self) -> int:
        """Where the leg under way began."""
        return self.legs[-1].begin_ns

    def begin(self, leg: int, tape: Tape) -> int:
        """The sequence at which a leg begins on the tape of a market."""
        return tape.seq_behind(self.legs[leg].begin_ns - 1)

    def end(self, leg: int, tape: Tape) -> int:
        """The sequence at which a leg ends on the tape of a market: the tape's end while it is under way."""
        end = self.legs[leg].end
        last = tape.last_seq + 1
        return last if end is None else min(end(tape), last)

    def turn(self, begin_ns: int, *, end: EndOf, left_ns: int, playhead: Playhead | None = None) -> None:
        """End the leg under way at a position of the tape, and begin another at ``begin_ns``."""
        self.legs[-1] = Leg(self.begin_ns, end, left_ns, playhead)
        if len(self.legs) > CLOCKS_KEPT:
            self.legs[-CLOCKS_KEPT - 1] = replace(self.legs[-CLOCKS_KEPT - 1], playhead=None)
        self.legs.append(Leg(begin_ns))

    def lap(self, begin_ns: int, *, left_ns: int, playhead: Playhead | None = None) -> None:
        """Go on from the end of the tape at its beginning; laps without a clock share a leg, for they may be many."""
        if playhead is not None:
            self.turn(begin_ns, end=_to_the_end, left_ns=left_ns, playhead=playhead)
            return
        if self.legs[-1] is not self._lap:
            self.legs[-1] = Leg(self.begin_ns, _to_the_end, left_ns)
            self._lap = Leg(begin_ns, _to_the_end, left_ns)
        assert self._lap is not None
        self.legs.append(self._lap)
