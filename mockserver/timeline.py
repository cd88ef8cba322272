"""The course of one playback: when it starts, where it stands, what happens when everybody has gone.

A timeline belongs to an API key, as it does on a vendor's account: all sockets and
requests with that key share one playhead (or everybody does, or nobody: `Timelines`).
While the tape has a pace the playhead is a formula of the clock, and it runs on while
nobody listens, as the market does. At ``max`` there is no clock: every socket is at its
own cursor, the timeline is where the foremost of a market's sockets is, and the tape
waits while nobody reads. At ``step`` and ``lockstep`` it stands until it is moved.

Nothing here waits. `alarm_ns` says when to look again, `tick` what has happened by then.
What a timeline can be told to do is in `tickdeck.mockserver.steering`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import replace
from typing import Final, Protocol

from tickdeck.mockserver.choices import AtEnd, Channels, Clients, Gaps, OnReturn, StartOn
from tickdeck.mockserver.course import Course, cursor_of, leg_of, seq_of
from tickdeck.mockserver.heads import DrivenHead, FreeHead, Head, PacedHead, head_at
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.lockstep import Lockstep
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.outages import Loss, Outages
from tickdeck.mockserver.outlook import Coming, EndComing, GapComing, Outlook
from tickdeck.mockserver.playhead import Mode, Playhead
from tickdeck.mockserver.reel import Reel
from tickdeck.mockserver.repeats import Visits
from tickdeck.mockserver.tape import Tape, Tapes

NOT_STARTED: Final = -1
"""The position of a timeline before its start: nothing on the tape is due."""


class Listener(Protocol):
    """A session, as far as a timeline needs it."""

    @property
    def number(self) -> int:
        """Of the client, from 1."""
        ...

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
        self.tapes = tapes
        self.run = 1
        self.moves = 0
        """How often something other than the clock moved the tape: clients are to be looked at then."""
        self.joined = False
        """Whether a socket ever came; a key may be used for REST alone."""
        self._armed = False
        self._sessions: dict[int, Listener] = {}
        self._rewind()

    def _rewind(self) -> None:
        self.speed = self.options.speed
        self.started = False
        self.finished = False
        self.over = False
        self.visits = Visits()
        self.course = Course(self.tapes.begin_ns)
        self._outages = Outages(self.course)
        self.head: Head = FreeHead()
        self.lockstep = Lockstep()
        self.reached: dict[str, int] = {}
        """By market, a cursor that was reached even if nobody is there any more."""
        self._markets: set[str] = set()
        self._outlook = Outlook(self.tapes, self.options, begin_ns=self.tapes.begin_ns)
        self._settle_at_ns: int | None = None
        self._news: list[Entry] = []

    @property
    def sessions(self) -> Collection[Listener]:
        """The sockets that are connected now."""
        return self._sessions.values()

    @property
    def reading(self) -> list[Listener]:
        """Those of them that want anything; one that is only to be told something does not."""
        return [session for session in self._sessions.values() if session.reel.wants]

    @property
    def markets(self) -> Collection[str]:
        """The markets that sockets joined."""
        return self._markets

    @property
    def loops_freely(self) -> bool:
        """Whether it begins anew for ever, as fast as clients read."""
        free = isinstance(self.head, FreeHead) and not self.head.paused
        return self.started and free and self.options.at_end is AtEnd.LOOP

    # -- where it stands

    def position(self, now_ns: int) -> int:
        """Nanoseconds of tape that have passed, no more than it has; -1 before the start."""
        elapsed_ns = self.elapsed(now_ns)
        if isinstance(self.head, FreeHead) or self.options.at_end is AtEnd.LOOP:
            return elapsed_ns
        joined = isinstance(self.head, PacedHead) and self._markets  # a hand may move it on for other markets
        return min(elapsed_ns, max(self.end_ns if joined else self.tapes.end_ns, self.course.begin_ns))

    def elapsed(self, now_ns: int) -> int:
        """The same, and at a pace also what passed behind the end of the tape: requests were recorded then, too."""
        if not self.started:
            return NOT_STARTED
        if not isinstance(self.head, FreeHead):
            return self.head.position(now_ns)
        here = [self.tapes.of(market).position_behind(seq) for market, seq in self._foremost()]
        return max([self.course.begin_ns, *here])

    def deadline(self, position_ns: int | None, *, leg: int | None = None) -> int | None:
        """The clock reading at which a position is reached, or was on a leg that is over; ``None`` if not known."""
        playhead = self._playhead if leg in (None, self.course.leg) else self.course.legs[leg or 0].playhead
        return None if position_ns is None or playhead is None else playhead.deadline(position_ns)

    @property
    def _playhead(self) -> Playhead | None:
        return self.head.playhead if isinstance(self.head, PacedHead) else None

    def cursor(self, session: Listener, now_ns: int) -> int:
        """The cursor at which something that a session does now takes effect."""
        if isinstance(self.head, FreeHead) and self.head.paused:
            return session.reel.cursor  # it stands there, short of what was reached or sought
        return self.joins_at(session, now_ns)

    def joins_at(self, session: Listener, now_ns: int) -> int:
        """The cursor at which a session that comes now begins."""
        tape = self.tapes.of(session.market)
        if not self.started:
            return self.course.begin(0, tape)
        if isinstance(self.head, FreeHead):
            reached = self.reached.get(session.market, cursor_of(self.course.leg, self._begin(tape)))
            return max(session.reel.cursor, reached)
        return self.due_on(tape, now_ns)

    def due(self, session: Listener, now_ns: int) -> int:
        """The cursor up to which a session may be sent the tape now."""
        if not self.started:
            return session.reel.cursor
        if isinstance(self.head, FreeHead) and (self.head.paused or session.reel.idle):
            return session.reel.said_until  # what was said is said in a pause too, behind what was due then
        return self.due_on(self.tapes.of(session.market), now_ns)

    def due_on(self, tape: Tape, now_ns: int) -> int:
        """The cursor up to which the tape of a market may be sent now; at max all of it."""
        last = tape.last_seq + 1
        seq = last if isinstance(self.head, FreeHead) else min(self.head.due(tape, now_ns), last)
        return cursor_of(self.course.leg, seq)

    def _begin(self, tape: Tape) -> int:
        return self.course.begin(self.course.leg, tape)

    def _foremost(self) -> Iterator[tuple[str, int]]:
        """By market, how far on this leg the foremost socket is."""
        for market in self._markets:
            live = [session.reel.cursor for session in self._sessions.values() if session.market == market]
            foremost = max([self.reached.get(market, 0), *live])
            if leg_of(foremost) == self.course.leg:
                yield market, seq_of(foremost)

    # -- who listens

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
            return [self.entry("resumed", now_ns)]
        if self.started:
            return []
        if self.options.start_on is StartOn.CONNECT:
            return self.start(connected_ns)
        return self.start(now_ns) if self.options.start_on is StartOn.AUTH or self._armed else []

    def subscribed(self, now_ns: int) -> None:
        """A socket came to hold channels."""
        gate = self.options.start_on
        if gate is StartOn.SUBSCRIBE or (isinstance(gate, Clients) and len(self.reading) >= gate.count):
            self._settle_at_ns = now_ns + self.options.settle_ns
        elif isinstance(gate, Channels) and all(map(self._is_held, gate.names)):
            self._settle_at_ns = now_ns

    def acted(self, now_ns: int) -> None:
        """A socket said something: a start that waits for quiet waits on."""
        if self._settle_at_ns is not None and not isinstance(self.options.start_on, Channels):
            self._settle_at_ns = now_ns + self.options.settle_ns

    def leave(self, session: Listener, now_ns: int, *, by_server: bool) -> list[Entry]:
        """A socket is gone."""
        happened = self.tick(now_ns)
        del self._sessions[id(session)]
        self.lockstep.forget(session.number)
        self._outages.left(session.number)
        market = session.market
        self.reached[market] = max(self.reached.get(market, 0), session.reel.cursor)
        if not self._sessions:
            policy = self.options.on_return
            self.over = policy is OnReturn.REWIND or (policy is OnReturn.AUTO and not by_server)
            if not self.started:
                self._settle_at_ns = None
        gate = self.options.start_on
        if isinstance(gate, Clients) and len(self.reading) < gate.count:
            self._settle_at_ns = None
        return [*happened, *self.tick(now_ns)]

    def arm(self) -> None:
        """Whoever joins from now on starts it at once."""
        self._armed = True

    def start(self, now_ns: int) -> list[Entry]:
        """Start now, whatever was waited for; nothing if it has."""
        if self.started:
            return []
        self.started = True
        self._settle_at_ns = None
        self.place_head(self.course.begin_ns, now_ns, sent=False)
        return [self.entry("started", now_ns)]

    def place_head(self, position_ns: int, now_ns: int, *, sent: bool) -> None:
        """A head for the present speed at a position; ``sent``: the frames right there are out already."""
        self.moves += 1
        self.lockstep = Lockstep()
        self.head = head_at(position_ns, self.speed, now_ns=now_ns, sent=sent)
        if sent:
            self._outlook = self._outlook.moved_to(position_ns)
        else:
            self._outlook = Outlook(self.tapes, self.options, begin_ns=position_ns)

    # -- what happens by itself

    def alarm_ns(self) -> int | None:
        """When to call `tick` again, at the latest; ``None`` when only a client's doing can change anything."""
        if not self.started:
            return self._settle_at_ns
        if isinstance(self.head, DrivenHead):
            return self.lockstep.patience_ends_ns
        return None if self.finished else self.deadline(self._outlook.next(self._markets).position_ns)

    def tick(self, now_ns: int) -> list[Entry]:
        """What has come about by now: a start, gaps, the end."""
        news, self._news = self._news, []
        return [*news, *self._happenings(now_ns)]

    def _happenings(self, now_ns: int) -> Iterator[Entry]:
        if self._settle_at_ns is not None and now_ns >= self._settle_at_ns:
            yield from self.start(now_ns)
        if not self.started or self.finished:
            return
        if isinstance(self.head, PacedHead):
            yield from self._come_to(self.head, now_ns)
            return
        if self.speed.mode is Mode.LOCKSTEP:
            yield from self._go_on_in_lockstep(now_ns)
        for come in self._outlook.gaps_until(self.position(now_ns), self._markets):
            yield self._gap(come, now_ns)
        if self._all_through() and self.options.at_end is not AtEnd.LOOP:
            self.finished = True
            yield self.entry("finished", now_ns)

    def _come_to(self, head: PacedHead, now_ns: int) -> Iterator[Entry]:
        """All that a paced tape has come to by now, in order, each at its own moment however late this is."""
        while not self.finished:
            come = self._outlook.next(self._markets)
            if come.position_ns > head.position(now_ns):
                return
            self._outlook.passed(come)
            yield from self._act(come, head, now_ns)

    def _act(self, come: Coming, head: PacedHead, now_ns: int) -> Iterator[Entry]:
        if isinstance(come, EndComing):
            yield self._end(come, head, now_ns)
            return
        if isinstance(come, GapComing):
            yield self._gap(come, now_ns)
        if come.skip_to_ns is not None:
            self.moves += 1
            head.playhead.skip(come.position_ns, come.skip_to_ns)

    def _end(self, come: EndComing, head: PacedHead, now_ns: int) -> Entry:
        if self.options.at_end is not AtEnd.LOOP:
            self.finished = True
            return replace(self.entry("finished", now_ns), position_ns=come.position_ns)
        before = copy(head.playhead)
        head.playhead.skip(come.position_ns, self.tapes.begin_ns)
        return self._lap(now_ns, before)

    def _lap(self, now_ns: int, before: Playhead | None = None) -> Entry:
        """The tape begins anew."""
        self.moves += 1
        left_ns = max(self.tapes.end_ns, self.tapes.begin_ns)
        self.course.lap(self.tapes.begin_ns, left_ns=left_ns, playhead=before)
        if isinstance(self.head, DrivenHead):
            self.place_head(self.tapes.begin_ns, now_ns, sent=False)
        else:
            self._outlook = Outlook(self.tapes, self.options, begin_ns=self.tapes.begin_ns)
        return self.entry("looped", now_ns, lap=self.course.leg + 1)

    def may_lap(self, session: Listener, now_ns: int) -> bool:
        """Whether the tape, which has ended for a socket, begins anew because of that.

        At a pace the clock decides. A tape that is moved by hand ends for all markets at
        once; one without a frame for this socket would begin anew for ever.
        """
        if isinstance(self.head, PacedHead) or self.head.paused:
            return False
        if isinstance(self.head, DrivenHead) and not self._all_due(self.head, now_ns):
            return False
        return session.reel.plays_from(self._begin(self.tapes.of(session.market)))

    def lap(self, now_ns: int) -> None:
        """Without a clock, the foremost socket came to the end of a tape that loops; the next `tick` tells it."""
        self._news.append(self._lap(now_ns))

    def _gap(self, come: GapComing, now_ns: int) -> Entry:
        gap = come.gap
        length = gap.end_ns - gap.start_ns
        entry = self.entry("gap", now_ns, market=come.market, length_ns=length, reason=gap.reason)
        return replace(entry, position_ns=max(gap.start_ns, 0))

    # -- lost connections

    def loss_of(self, session: Listener) -> Loss | None:
        """Where a client is to lose its connection, if recorded outages are losses."""
        if self.options.gaps is not Gaps.DISCONNECT:
            return None
        return self._outages.of(session.number, self.tapes.of(session.market))

    def has_lost(self, session: Listener, now_ns: int) -> bool:
        """Whether it has come to that; at max it comes to a socket when the socket does."""
        loss = self.loss_of(session)
        if loss is None:
            return False
        if leg_of(loss.cursor) < self.course.leg:
            return True
        if isinstance(self.head, FreeHead):
            return session.reel.cursor >= loss.cursor
        return loss.position_ns <= self.head.position(now_ns)

    def passed(self, market: str, loss: Loss) -> None:
        """The tape of a market has come to a place whatever the cursors say: who joins there does so behind it."""
        self._outages.passed(market, loss)

    def _spared_ns(self, market: str, cursor: int, now_ns: int) -> int:
        """Up to where outages are behind a client that joins at a cursor: it may come back from one."""
        if not isinstance(self.head, FreeHead):
            return max(self.elapsed(now_ns), self.course.begin_ns)
        behind_ns = self.tapes.of(market).position_behind(seq_of(cursor))
        return max(
            self.course.legs[leg_of(cursor)].begin_ns, behind_ns, self._outages.passed_ns(cursor, market)
        )

    # -- the next frame

    def release_next(self, now_ns: int) -> bool:
        """Let the next frame go that a client is sent (without clients: the tape's next); whether there was one."""
        assert not isinstance(self.head, FreeHead)
        found = self._next_frame(now_ns)
        if found is not None and self._outage_comes_first(self.head, found, now_ns):
            return False
        self._release(self.head, found, now_ns)
        return found is not None

    def _outage_comes_first(self, head: PacedHead | DrivenHead, frame: tuple[int, int], now_ns: int) -> bool:
        """Move to the outage that lies before a frame for anybody who is to have it, if there is one.

        Who loses the connection there has the frame to come when it returns.
        """
        losses = [loss for each in self._readers(now_ns) if (loss := self.loss_of(each)) is not None]
        first = min(losses, key=lambda loss: loss.cursor, default=None)
        if first is None or seq_of(first.cursor) > frame[0]:
            return False
        self.moves += 1
        head.move_to(first.position_ns, now_ns)
        self._pass_over(head, now_ns)
        return True

    def _release(self, head: PacedHead | DrivenHead, frame: tuple[int, int] | None, now_ns: int) -> None:
        """Let a frame go; where there is none any more, the rest of the tape."""
        if frame is not None:
            self.moves += 1
            head.release(*frame, now_ns)
        elif head.position(now_ns) < self.end_ns or not self._all_due(head, now_ns):
            self.moves += 1
            head.move_to(max(self.end_ns, head.position(now_ns)), now_ns)
        self._pass_over(head, now_ns)

    def _pass_over(self, head: PacedHead | DrivenHead, now_ns: int) -> None:
        """A step to a frame went over what is skipped at a pace: that does not take it any further."""
        while isinstance(head, PacedHead) and not isinstance(
            come := self._outlook.next(self._markets), EndComing
        ):
            if come.position_ns > head.position(now_ns):
                return
            self._outlook.passed(come)
            if isinstance(come, GapComing):
                self._news.append(self._gap(come, now_ns))

    def _all_due(self, head: PacedHead | DrivenHead, now_ns: int) -> bool:
        """Whether all that is played was let go; of frames at one position a step lets go but one."""
        tapes = map(self.tapes.of, self._markets)
        return all(head.due(tape, now_ns) > tape.last_seq for tape in tapes)

    def _next_frame(self, now_ns: int) -> tuple[int, int] | None:
        """Sequence and position of the next frame that any client is to be sent."""
        if readers := self._readers(now_ns):
            return min(filter(None, (self._next_for(session, now_ns) for session in readers)), default=None)
        tapes = map(self.tapes.of, self._markets or self.tapes.recorded)
        frames = (tape.frame_at(seq_of(self.due_on(tape, now_ns))) for tape in tapes)
        return min(filter(None, frames), default=None)

    def _readers(self, now_ns: int) -> list[Listener]:
        """Who is to be sent what comes next: it wants something, and its connection is not lost."""
        return [session for session in self.reading if not self.has_lost(session, now_ns)]

    def _next_for(self, session: Listener, now_ns: int) -> tuple[int, int] | None:
        return session.reel.frame_at(seq_of(self.due_on(self.tapes.of(session.market), now_ns)))

    def _go_on_in_lockstep(self, now_ns: int) -> Iterator[Entry]:
        for number in self.lockstep.impatient(now_ns):
            detail = "a ping behind a frame was not answered in 10 s"
            yield replace(self.entry("misstep", now_ns, misstep="no-pong", detail=detail), client=number)
        assert isinstance(self.head, DrivenHead)
        if self.head.paused or self.lockstep.waiting:
            return
        coming = [(each, self._next_for(each, now_ns)) for each in self._readers(now_ns)]
        frame = min((found for _, found in coming if found is not None), default=None)
        if frame is not None and self._outage_comes_first(self.head, frame, now_ns):
            return
        if frame is not None:
            cursor = cursor_of(self.course.leg, frame[0])
            self.lockstep.expect([each.number for each, found in coming if found == frame], cursor, now_ns)
        if coming:
            self._release(self.head, frame, now_ns)

    def arrived(self, session: Listener, cursor: int, now_ns: int) -> None:
        """A socket that joined stands at a cursor."""
        spared_ns = self._spared_ns(session.market, cursor, now_ns)
        self._outages.joined(session.number, leg=leg_of(cursor), spared_ns=spared_ns)

    def ponged(self, client: int, cursor: int) -> None:
        """A client answered the ping that was sent at a cursor; the next `tick` goes on."""
        self.lockstep.answered(client, cursor)

    # -- its end

    @property
    def end_ns(self) -> int:
        """The position of the last frame that is played on the markets that sockets joined; -1 if there is none."""
        return max((self.tapes.of(market).end_ns for market in self._markets), default=-1)

    def _all_through(self) -> bool:
        reading = self.reading
        return bool(reading) and all(self.is_through(session) for session in reading)

    def is_through(self, session: Listener) -> bool:
        """Whether a socket was sent all that the tape has for it, on this lap."""
        return session.reel.ended and leg_of(session.reel.cursor) == self.course.leg

    def _is_held(self, channel: str) -> bool:
        return any(session.holds(channel) for session in self._sessions.values())

    def entry(self, kind: str, now_ns: int, **parts: object) -> Entry:
        """An entry of the journal about this timeline, at its position."""
        position = self.position(now_ns)
        return Entry(
            kind, now_ns, position_ns=position, timeline=self.number, parts={"run": self.run, **parts}
        )
