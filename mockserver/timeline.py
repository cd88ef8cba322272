"""The course of one playback: when it starts, where it stands, what happens when everybody has gone.

A timeline belongs to an API key, as it does on a vendor's account: all sockets and
requests with that key share one playhead. While the tape has a pace the playhead is
a formula of the clock, and it runs on while nobody listens, as the market does. At
``max`` there is no clock: every socket is at its own cursor, the timeline is where
the foremost of a market's sockets is, and the tape waits while nobody reads.

Nothing here waits. `alarm_ns` says when to look again, `tick` what has happened by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Protocol

from tickdeck.mockserver.choices import Channels, OnReturn, StartOn
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.playhead import Playhead
from tickdeck.mockserver.reel import Reel
from tickdeck.mockserver.shelf import Visits
from tickdeck.mockserver.tape import BEGINNING, TapeGap, Tapes

NOT_STARTED = -1
"""The position of a timeline before its start: nothing on the tape is due."""


class Listener(Protocol):
    """A session, as far as a timeline needs it."""

    market: str
    reel: Reel

    def holds(self, channel: str) -> bool:
        """Whether the client holds exactly this channel now."""
        ...

    @property
    def has_read(self) -> bool:
        """Whether all that the tape has for it was taken."""
        ...


class Timeline:
    """One playback of the cassette. ``number`` counts timelines from 1, ``run`` the times it began anew."""

    def __init__(self, number: int, options: PlayOptions, tapes: Tapes) -> None:
        self.number = number
        self.options = options
        self.run = 1
        self.joined = False
        """Whether a socket ever came; a key may be used for REST alone."""
        self._tapes = tapes
        self._sessions: dict[int, Listener] = {}
        self._rewind()

    def _rewind(self) -> None:
        self.started = False
        self.finished = False
        self.over = False
        self.visits = Visits()
        self._playhead: Playhead | None = None
        self._settle_at_ns: int | None = None
        self._reached: dict[str, int] = {}
        self._markets: set[str] = set()
        self._gaps_said: dict[str, int] = {}

    @property
    def sessions(self) -> Collection[Listener]:
        """The sockets that are connected now."""
        return self._sessions.values()

    @property
    def paced(self) -> bool:
        """Whether the tape has a pace (any speed but max)."""
        return self.options.speed.paced

    def position(self, now_ns: int) -> int:
        """Nanoseconds of tape that have passed; -1 before the start."""
        if not self.started:
            return NOT_STARTED
        if self._playhead is not None:
            return self._playhead.position(now_ns)
        reached = ((market, self._foremost(market)) for market in self._markets)
        return max((0, *(self._tapes.of(market).position_behind(seq) for market, seq in reached)))

    def deadline(self, position_ns: int | None) -> int | None:
        """The clock reading at which a position is reached; ``None`` if that is not known."""
        if position_ns is None or self._playhead is None:
            return None
        return self._playhead.deadline(position_ns)

    def cursor(self, session: Listener, now_ns: int) -> int:
        """The cursor at which something that a session does now takes effect."""
        if not self.started:
            return BEGINNING
        if self._playhead is not None:
            return self._tapes.of(session.market).seq_behind(self._playhead.position(now_ns))
        return max(session.reel.cursor, self._reached.get(session.market, BEGINNING))

    def due_seq(self, session: Listener, now_ns: int) -> int:
        """The cursor up to which a session may be sent the tape now."""
        if not self.started:
            return session.reel.cursor
        if self._playhead is not None:
            return self._tapes.of(session.market).seq_behind(self._playhead.position(now_ns))
        idle = session.reel.idle
        return session.reel.cursor if idle else self._tapes.of(session.market).last_seq + 1

    def join(self, session: Listener, now_ns: int, *, connected_ns: int) -> list[Entry]:
        """A socket has authenticated with this timeline's key."""
        if self.over:
            self.run += 1
            self._rewind()
        self.joined = True
        returned = self.started and not self._sessions
        self._sessions[id(session)] = session
        self._markets.add(session.market)
        if returned:
            return [self._entry("resumed", now_ns)]
        if self.started:
            return []
        if self.options.start_on is StartOn.CONNECT:
            return [self._start(connected_ns)]
        return [self._start(now_ns)] if self.options.start_on is StartOn.AUTH else []

    def subscribed(self, now_ns: int) -> None:
        """A socket came to hold channels."""
        gate = self.options.start_on
        if gate is StartOn.SUBSCRIBE:
            self._settle_at_ns = now_ns + self.options.settle_ns
        elif isinstance(gate, Channels) and all(map(self._is_held, gate.names)):
            self._settle_at_ns = now_ns

    def acted(self, now_ns: int) -> None:
        """A socket said something: a start that waits for quiet waits on."""
        if self._settle_at_ns is not None and self.options.start_on is StartOn.SUBSCRIBE:
            self._settle_at_ns = now_ns + self.options.settle_ns

    def leave(self, session: Listener, now_ns: int, *, by_server: bool) -> list[Entry]:
        """A socket is gone."""
        happened = self.tick(now_ns)
        del self._sessions[id(session)]
        market = session.market
        self._reached[market] = max(self._reached.get(market, BEGINNING), session.reel.cursor)
        if not self._sessions:
            policy = self.options.on_return
            self.over = policy is OnReturn.REWIND or (policy is OnReturn.AUTO and not by_server)
            if not self.started:
                self._settle_at_ns = None
        return [*happened, *self.tick(now_ns)]

    def alarm_ns(self) -> int | None:
        """When to call `tick` again, at the latest; ``None`` when only a client's doing can change anything."""
        if not self.started:
            return self._settle_at_ns
        if self._playhead is None or self.finished:
            return None
        gaps = (gap.start_ns for market in self._markets for gap in self._unsaid(market))
        return self._playhead.deadline(min((*gaps, max(self._end_ns(), 0))))

    def tick(self, now_ns: int) -> list[Entry]:
        """What has come about by now: a start, gaps, the end."""
        return list(self._happenings(now_ns))

    def _happenings(self, now_ns: int) -> Iterator[Entry]:
        if not self.started and self._settle_at_ns is not None and now_ns >= self._settle_at_ns:
            yield self._start(now_ns)
        if not self.started or self.finished:
            return
        yield from self._gaps(now_ns)
        if self._has_ended(now_ns):
            self.finished = True
            yield self._entry("finished", now_ns)

    def _start(self, now_ns: int) -> Entry:
        self.started = True
        self._settle_at_ns = None
        speed = self.options.speed
        self._playhead = Playhead(speed.factor, now_ns=now_ns) if speed.paced else None
        return self._entry("started", now_ns)

    def _gaps(self, now_ns: int) -> Iterator[Entry]:
        position = self.position(now_ns)
        for market in sorted(self._markets):
            for gap in self._unsaid(market):
                if gap.start_ns > position:
                    break
                self._gaps_said[market] = self._gaps_said.get(market, 0) + 1
                length = gap.end_ns - gap.start_ns
                entry = self._entry("gap", now_ns, market=market, length_ns=length, reason=gap.reason)
                yield replace(entry, position_ns=max(gap.start_ns, 0))

    def _unsaid(self, market: str) -> list[TapeGap]:
        return self._tapes.of(market).gaps[self._gaps_said.get(market, 0) :]

    def _has_ended(self, now_ns: int) -> bool:
        if self._playhead is not None:
            return self._playhead.position(now_ns) >= self._end_ns()
        reading = [session for session in self._sessions.values() if not session.reel.idle]
        return bool(reading) and all(session.reel.ended for session in reading)

    def _end_ns(self) -> int:
        return max((self._tapes.of(market).end_ns for market in self._markets), default=-1)

    def _is_held(self, channel: str) -> bool:
        return any(session.holds(channel) for session in self._sessions.values())

    def _foremost(self, market: str) -> int:
        live = [session.reel.cursor for session in self._sessions.values() if session.market == market]
        return max([self._reached.get(market, BEGINNING), *live])

    def _entry(self, kind: str, now_ns: int, **parts: object) -> Entry:
        position = self.position(now_ns)
        return Entry(
            kind, now_ns, position_ns=position, timeline=self.number, parts={"run": self.run, **parts}
        )


class Timelines:
    """The timelines of a server, one a key."""

    def __init__(self, options: PlayOptions, tapes: Tapes) -> None:
        self._options = options
        self._tapes = tapes
        self._by_key: dict[str, Timeline] = {}

    def of(self, key: str) -> Timeline:
        """The timeline of a key, made at its first use."""
        if key not in self._by_key:
            self._by_key[key] = Timeline(len(self._by_key) + 1, self._options, self._tapes)
        return self._by_key[key]

    def __iter__(self) -> Iterator[Timeline]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)
