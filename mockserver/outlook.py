"""What a paced tape comes to next: a recorded outage, a stretch without a frame, its end.

Each is a value with the position at which it is reached; the timeline acts on it. An
outage or a stretch that is to be skipped never hides a frame: with several markets
the tape goes on at the first frame of any of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from tickdeck.mockserver.choices import AtEnd, Gaps
from tickdeck.mockserver.options import MILLISECOND, PlayOptions
from tickdeck.mockserver.tape import TapeGap, Tapes

SHORTEST_LAP: Final = MILLISECOND
"""A tape of a single moment is not looped more often than this."""

LOOKED_THROUGH: Final = 256
"""How many frames ahead a long stretch is looked for at once."""


@dataclass(frozen=True, slots=True)
class GapComing:
    """An outage begins; ``skip_to_ns`` is where the tape goes on, if not right here."""

    position_ns: int
    market: str
    gap: TapeGap
    skip_to_ns: int | None


@dataclass(frozen=True, slots=True)
class IdleComing:
    """A stretch was waited out as long as is allowed, or (``skip_to_ns`` of ``None``) is to be looked for from here."""

    position_ns: int
    skip_to_ns: int | None


@dataclass(frozen=True, slots=True)
class EndComing:
    """The end of the tape."""

    position_ns: int


Coming: TypeAlias = GapComing | IdleComing | EndComing


class Outlook:
    """Looks ahead from where a leg began; what has come is passed, once."""

    def __init__(self, tapes: Tapes, options: PlayOptions, *, begin_ns: int) -> None:
        self._tapes = tapes
        self._options = options
        self._begin_ns = begin_ns
        self._from_ns = begin_ns
        """What lies before this was come to, or left out."""
        self._gaps_passed: dict[str, int] = {}

    def moved_to(self, position_ns: int) -> Outlook:
        """The same from another place on the same leg: outages that were told are not told again."""
        outlook = Outlook(self._tapes, self._options, begin_ns=position_ns)
        outlook._gaps_passed = dict(self._gaps_passed)
        return outlook

    def next(self, markets: Collection[str]) -> Coming:
        """The next thing that the tape of these markets comes to."""
        coming: list[Coming] = [*self._gaps(markets), *self._idle(markets), self._end(markets)]
        return min(coming, key=lambda each: each.position_ns)

    def gaps_until(self, position_ns: int, markets: Collection[str]) -> Iterator[GapComing]:
        """The outages that lie behind a position and were not told yet; they are passed."""
        while due := [each for each in self._gaps(markets) if each.position_ns <= position_ns]:
            for each in due:
                self.passed(each)
                yield each

    def passed(self, come: Coming) -> None:
        """It has come: look beyond it."""
        if isinstance(come, GapComing):
            self._gaps_passed[come.market] = self._gaps_passed.get(come.market, 0) + 1
        if not isinstance(come, EndComing):
            self._from_ns = max(self._from_ns, come.skip_to_ns or 0)
        if isinstance(come, IdleComing) and come.skip_to_ns is None:
            self._from_ns = max(self._from_ns, come.position_ns)

    def _gaps(self, markets: Collection[str]) -> Iterator[GapComing]:
        for market in sorted(markets):
            gaps = self._tapes.of(market).gaps
            at = self._gaps_passed.get(market, 0)
            while at < len(gaps) and gaps[at].end_ns <= self._begin_ns and self._begin_ns > 0:
                at += 1
            self._gaps_passed[market] = at
            if at < len(gaps):
                start_ns = max(gaps[at].start_ns, self._from_ns)  # no moment is left out twice
                yield GapComing(start_ns, market, gaps[at], self._behind(gaps[at], start_ns, markets))

    def _behind(self, gap: TapeGap, start_ns: int, markets: Collection[str]) -> int | None:
        if self._options.gaps is not Gaps.SKIP:
            return None
        frame_ns = self._tapes.next_position(markets, start_ns)
        to_ns = gap.end_ns if frame_ns is None else min(gap.end_ns, frame_ns)
        return to_ns if to_ns > start_ns else None

    def _idle(self, markets: Collection[str]) -> Iterator[IdleComing]:
        cap = self._options.idle_cap_ns
        if cap is None:
            return
        here = self._from_ns
        for _ in range(LOOKED_THROUGH):
            frame_ns = self._tapes.next_position(markets, here)
            if frame_ns is None:
                return
            if frame_ns - here > cap:
                yield IdleComing(here + cap, frame_ns)
                return
            here = frame_ns
        yield IdleComing(here, None)

    def _end(self, markets: Collection[str]) -> EndComing:
        end_ns = max((self._tapes.of(market).end_ns for market in markets), default=-1)
        if self._options.at_end is AtEnd.LOOP:
            return EndComing(max(end_ns, self._tapes.begin_ns + SHORTEST_LAP))
        return EndComing(max(end_ns, self._begin_ns))
