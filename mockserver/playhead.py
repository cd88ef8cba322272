"""Where a playback stands, as a formula.

A position on the tape is a straight line through one anchor: at ``anchor_now_ns``
the playhead was at ``anchor_ns``, and since then it moves at ``factor``. Every
deadline is computed from that anchor, never from the one before it, so that
lateness cannot add up to drift. A change of factor, a pause or a jump sets a new
anchor at the place where the playhead is at that moment, and so leaves no seam.

The factor is a `fractions.Fraction`: 7.3 is exactly 73/10, and no rounding decides
which frame is due. Positions round down and deadlines up, so nothing is early.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tickdeck.cassette.errors import UsageError


class Mode(enum.StrEnum):
    """What moves the tape."""

    PACED = "paced"
    """A clock, at a factor of recorded time."""
    MAX = "max"
    """Each client, as fast as it reads."""
    STEP = "step"
    """The control, step by step."""
    LOCKSTEP = "lockstep"
    """The pong to a ping behind the last frame: it reached the client's library."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the tape runs; ``factor`` counts only where it is paced."""

    factor: Fraction = Fraction(1)
    mode: Mode = Mode.PACED

    def __str__(self) -> str:
        if self.mode is not Mode.PACED:
            return self.mode.value
        exact = self.factor
        return str(exact.numerator) if exact.denominator == 1 else f"{float(exact):g}"

    @property
    def paced(self) -> bool:
        """Whether a clock moves the tape."""
        return self.mode is Mode.PACED


REAL_TIME: Final = Speed()
MAX: Final = Speed(mode=Mode.MAX)
STEP: Final = Speed(mode=Mode.STEP)
LOCKSTEP: Final = Speed(mode=Mode.LOCKSTEP)
_HUGE: Final = re.compile(r"[eE][+-]?[\d_]{3}|.{100}")
_NAMED: Final = {str(speed): speed for speed in (MAX, STEP, LOCKSTEP)}


def parse_speed(text: str | int | float | Fraction) -> Speed:
    """``7.3``, ``1/2``, ``max``, ``step`` or ``lockstep``; a float means its decimal spelling (0.1 is 1/10)."""
    if isinstance(text, str) and text in _NAMED:
        return _NAMED[text]
    spelled = str(text).removesuffix("x")
    try:
        if _HUGE.search(spelled):  # it would take for ever to be written out
            raise ValueError
        factor = Fraction(spelled)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"speed is neither a factor nor max, step or lockstep: {text!r}") from None
    if factor <= 0:
        raise UsageError(f"speed must be above zero, not {text!r}")
    return Speed(factor)


LEFT_OUT_KEPT: Final = 16
"""Stretches left out that a deadline before them takes account of; who lags further is not that late."""


@dataclass(frozen=True, slots=True)
class Line:
    """The line a playhead is on: at ``now_ns`` it was at ``position_ns``; it holds from ``from_ns`` on the tape."""

    now_ns: int
    position_ns: int
    factor: Fraction
    from_ns: int
    paused: bool = False

    def deadline(self, position_ns: int) -> int:
        """The first clock reading at which a position has been reached."""
        ahead = position_ns - self.position_ns
        return self.now_ns - (-ahead * self.factor.denominator) // self.factor.numerator


class Playhead:
    """The position of one playback at any moment, and the moment of any position."""

    def __init__(self, factor: Fraction, *, now_ns: int, position_ns: int = 0) -> None:
        self._factor = factor
        self._anchor_now_ns = now_ns
        self._anchor_ns = self._from_ns = position_ns
        self._paused = False
        self._left_out: deque[tuple[int, int]] = deque(maxlen=LEFT_OUT_KEPT)

    @property
    def factor(self) -> Fraction:
        """Tape nanoseconds per nanosecond of the clock."""
        return self._factor

    @property
    def paused(self) -> bool:
        """Whether it stands."""
        return self._paused

    @property
    def line(self) -> Line:
        """The line that it is on."""
        return Line(self._anchor_now_ns, self._anchor_ns, self._factor, self._from_ns, self._paused)

    def position(self, now_ns: int) -> int:
        """Nanoseconds of tape that have passed at ``now_ns``, rounded down."""
        if self._paused:
            return self._anchor_ns
        elapsed = (now_ns - self._anchor_now_ns) * self._factor.numerator
        return self._anchor_ns + elapsed // self._factor.denominator

    def deadline(self, position_ns: int) -> int | None:
        """The first clock reading at which ``position_ns`` has been reached; ``None`` while paused ahead of it."""
        ahead = self._with_left_out(position_ns) - self._anchor_ns
        if self._paused:
            return self._anchor_now_ns if ahead <= 0 else None
        return self._anchor_now_ns - (-ahead * self._factor.denominator) // self._factor.numerator

    def set_factor(self, factor: Fraction, now_ns: int) -> None:
        """Go on from here at another speed."""
        self._anchor(now_ns, self.position(now_ns))
        self._factor = factor

    def pause(self, now_ns: int) -> None:
        """Stand still here."""
        self._anchor(now_ns, self.position(now_ns))
        self._paused = True

    def resume(self, now_ns: int) -> None:
        """Go on from where it stands."""
        self._anchor(now_ns, self.position(now_ns))
        self._paused = False

    def seek(self, position_ns: int, now_ns: int) -> None:
        """Jump; a paused playhead stays paused there."""
        self._left_out = deque(maxlen=LEFT_OUT_KEPT)
        self._anchor(now_ns, position_ns)

    def skip(self, from_ns: int, to_ns: int) -> None:
        """Leave the tape between two positions out: the moment of the first becomes that of the second.

        However late this is called, nothing is late because of it. A step back (a lap)
        leaves nothing out.
        """
        self._anchor_ns += to_ns - from_ns
        self._from_ns = to_ns
        if to_ns > from_ns:
            self._left_out.append((from_ns, to_ns))
        else:
            self._left_out = deque(maxlen=LEFT_OUT_KEPT)

    def _with_left_out(self, position_ns: int) -> int:
        """A position moved on by what was left out behind it: on the line of now its moment is what it was."""
        moved_ns = 0
        for from_ns, to_ns in reversed(self._left_out):
            if position_ns < to_ns:
                position_ns = min(position_ns, from_ns)
                moved_ns += to_ns - from_ns
        return position_ns + moved_ns

    def _anchor(self, now_ns: int, position_ns: int) -> None:
        self._anchor_now_ns = now_ns
        self._anchor_ns = self._from_ns = position_ns
