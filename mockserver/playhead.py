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

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tickdeck.cassette.errors import UsageError


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the tape runs: a factor of recorded time, or as fast as each client reads (``factor`` is ``None``)."""

    factor: Fraction | None

    def __str__(self) -> str:
        if self.factor is None:
            return "max"
        exact = self.factor
        return str(exact.numerator) if exact.denominator == 1 else f"{float(exact):g}"


MAX: Final = Speed(None)
REAL_TIME: Final = Speed(Fraction(1))


def parse_speed(text: str | int | float | Fraction) -> Speed:
    """``1``, ``10``, ``7.3``, ``1/2`` or ``max``; a float means its decimal spelling (0.1 is 1/10)."""
    if text == "max":
        return MAX
    try:
        factor = Fraction(str(text).removesuffix("x"))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"speed is neither a factor nor max: {text!r}") from None
    if factor <= 0:
        raise UsageError(f"speed must be above zero, not {text!r}")
    return Speed(factor)


class Playhead:
    """The position of one playback at any moment, and the moment of any position."""

    def __init__(self, factor: Fraction, *, now_ns: int, position_ns: int = 0) -> None:
        self._factor = factor
        self._anchor_now_ns = now_ns
        self._anchor_ns = position_ns
        self._paused = False

    @property
    def factor(self) -> Fraction:
        """Tape nanoseconds per nanosecond of the clock."""
        return self._factor

    @property
    def paused(self) -> bool:
        """Whether it stands."""
        return self._paused

    def position(self, now_ns: int) -> int:
        """Nanoseconds of tape that have passed at ``now_ns``, rounded down."""
        if self._paused:
            return self._anchor_ns
        elapsed = (now_ns - self._anchor_now_ns) * self._factor.numerator
        return self._anchor_ns + elapsed // self._factor.denominator

    def deadline(self, position_ns: int) -> int | None:
        """The first clock reading at which ``position_ns`` has been reached; ``None`` while paused ahead of it."""
        ahead = position_ns - self._anchor_ns
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
        self._anchor(now_ns, position_ns)

    def _anchor(self, now_ns: int, position_ns: int) -> None:
        self._anchor_now_ns = now_ns
        self._anchor_ns = position_ns
