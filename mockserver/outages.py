"""Where clients lose their connection, if recorded outages are to be losses.

A client loses it at the first outage that it comes to: on the leg where it joined one
that begins behind the place where it did, on a later leg one that begins behind the
leg's begin. An outage that is left out by a seek takes nobody's connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from tickdeck.mockserver.course import Course, cursor_of, leg_of
from tickdeck.mockserver.tape import Tape


@dataclass(frozen=True, slots=True)
class Loss:
    """The cursor and the position at which a connection is lost."""

    cursor: int
    position_ns: int


@dataclass(slots=True)
class _Way:
    """From which leg on a client is there; ``spared_ns``: outages up to there are behind it on that leg."""

    leg: int
    spared_ns: int
    found: tuple[int, Loss | None] | None = None


class Outages:
    """The losses that lie ahead of the clients of one course, by their numbers."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._ways: dict[int, _Way] = {}
        self._passed: dict[str, Loss] = {}

    def passed(self, market: str, place: Loss) -> None:
        """Somebody lost the connection there, or a clock has come there, which no cursor may tell."""
        before = self._passed.get(market, place)
        if (leg_of(before.cursor), before.position_ns) <= (leg_of(place.cursor), place.position_ns):
            self._passed[market] = place

    def passed_ns(self, cursor: int, market: str) -> int:
        """The position that was passed on the leg of a cursor; -1 if none is known."""
        place = self._passed.get(market)
        return -1 if place is None or leg_of(place.cursor) != leg_of(cursor) else place.position_ns

    def joined(self, client: int, *, leg: int, spared_ns: int) -> None:
        """A client is there from now on."""
        self._ways[client] = _Way(leg, spared_ns)

    def left(self, client: int) -> None:
        """It is gone."""
        self._ways.pop(client, None)

    def of(self, client: int, tape: Tape) -> Loss | None:
        """Where this client is to lose its connection."""
        way = self._ways.get(client)
        if way is None:
            return None
        if way.found is None or way.found[0] != self._course.leg:
            way.found = self._course.leg, self._first(way, tape)
        return way.found[1]

    def _first(self, way: _Way, tape: Tape) -> Loss | None:
        for number in range(way.leg, len(self._course.legs)):
            leg = self._course.legs[number]
            begin_ns = way.spared_ns if number == way.leg else leg.begin_ns
            for gap in tape.gaps:
                if begin_ns < gap.start_ns and not tape.is_beyond(gap.start_ns) and leg.came_to(gap.start_ns):
                    return Loss(cursor_of(number, tape.seq_behind(gap.start_ns)), gap.start_ns)
        return None
