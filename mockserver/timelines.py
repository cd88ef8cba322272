"""Who shares a timeline: all that use one key, everybody, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tickdeck.mockserver.choices import TimelineOf
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timeline import NOT_STARTED, Timeline

SHARED = ""


class Timelines:
    """The timelines of a server, numbered from 1."""

    def __init__(self, options: PlayOptions, tapes: Tapes) -> None:
        self.options = options
        self._tapes = tapes
        self._by_name: dict[str, Timeline] = {}
        self._by_number: dict[int, Timeline] = {}
        self._newest: dict[str, str] = {}
        self._armed = False

    def of(self, key: str, *, client: int | None = None) -> Timeline:
        """The timeline of a key, made at its first use; ``client`` is the number of a socket, ``None`` for a request.

        Where every connection has its own, a request goes with the newest socket of its key.
        """
        match self.options.timeline:
            case TimelineOf.SHARED:
                return self._named(SHARED)
            case TimelineOf.KEY:
                return self._named(key)
        if client is not None:
            self._newest[key] = f"{key}#{client}"
        return self._named(self._newest.get(key, key))

    def arm(self) -> None:
        """Whoever comes from now on starts at once: the control has said so before anybody was there."""
        self._armed = True
        for timeline in self:
            timeline.arm()

    def numbered(self, number: int) -> Timeline | None:
        """A timeline by its number."""
        return self._by_number.get(number)

    def playhead(self, now_ns: int) -> int | None:
        """Where the tape stands for what is about no timeline: -1 before any has started; ``None`` if several have."""
        started = list(islice((each for each in self if each.started), 2))
        if len(started) > 1:
            return None
        return started[0].position(now_ns) if started else NOT_STARTED

    def clear(self) -> None:
        """Forget them all."""
        self._by_name.clear()
        self._by_number.clear()
        self._newest.clear()
        self._armed = False

    def _named(self, name: str) -> Timeline:
        if name not in self._by_name:
            timeline = self._by_name[name] = Timeline(len(self) + 1, self.options, self._tapes)
            self._by_number[timeline.number] = timeline
            if self._armed:
                timeline.arm()
        return self._by_name[name]

    def __iter__(self) -> Iterator[Timeline]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)
