"""What is on while a server runs: the tapes, the timelines, the clients, the journal.

The server brings sockets and requests here and the control its wishes; here they meet.
Every happening is noted, whoever waits for one is woken, and each timeline that
happens to change is looked after.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import tzinfo
from typing import Final

from tickdeck import dialects
from tickdeck.cassette.chunks import Chunk
from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.readable import Readable
from tickdeck.dialects.channels import topic_of
from tickdeck.dialects.conversation import Conversation, Keys
from tickdeck.dialects.effects import Misstep
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.dialects.zones import zone_named
from tickdeck.mockserver.account import Sums
from tickdeck.mockserver.ahead import Ahead
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.keeping import Keeper
from tickdeck.mockserver.lastsent import Trail, trail_of
from tickdeck.mockserver.lingering import Delivery
from tickdeck.mockserver.moments import Moment, position_of, zone_for
from tickdeck.mockserver.options import SECOND, PlayOptions
from tickdeck.mockserver.playhead import Speed
from tickdeck.mockserver.recordedwords import words_of
from tickdeck.mockserver.redacting import Secrets
from tickdeck.mockserver.reel import Ending
from tickdeck.mockserver.report import Lateness, client_report, unheld
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.sockets import Connection
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.telling import Line, Teller
from tickdeck.mockserver.timeline import Timeline
from tickdeck.mockserver.timelines import Timelines
from tickdeck.mockserver.timeshift import Shifter, describe
from tickdeck.mockserver.waker import Alarm

HEARD_WITHIN_NS: Final = SECOND
"""How long a newcomer waits at most until those who hung up before it have been noticed."""

TRAILS_KEPT: Final = 16
"""Of so many clients that have left it is remembered where they were on the tape."""

UNHELD_TOLD: Final = 1000
"""Of the channels that nobody held, so many are in the report."""

REPORTED_PAST: Final = 10_000
"""Clients that have left and are still reported one by one; of elder ones only the lateness is kept."""


class Stage:
    """One cassette in play. Its clock begins with `open`."""

    def __init__(
        self,
        cassette: Readable,
        options: PlayOptions,
        *,
        tell: Callable[[Line], None] | None = None,
    ) -> None:
        self.options = options
        self._given = options
        self.cassette = cassette
        self.dialect = dialects.find(cassette.header.dialect)
        self.wording = self.dialect.wording(options.profile, words_of(cassette, self.dialect))
        self.shifter: Shifter | None = None
        self._ahead = Ahead(self._chunk)
        self.tapes = Tapes(cassette, feed=options.feed, loader=self._ahead)
        self.failure: TickdeckError | None = None
        self.keeper: Keeper | None = None
        """Who keeps this run on a cassette, if anybody does."""
        self.secrets = Secrets(self.dialect.places, known=known_of(options))
        self.teller = Teller(
            lambda position_ns: cassette.wall_ns(self.tapes.zero_ns + position_ns), tell, secrets=self.secrets
        )
        if options.time_shift is not None:
            self.shifter = Shifter(options.time_shift, self.dialect, zone=self.zone)
        if options.begin is not None or options.end is not None:
            self.tapes.cut_to(self._begin(options.begin), self._stop(options.end))
        self.timelines = Timelines(options, self.tapes)
        self.keys = Keys(good=options.good_keys, bad=options.bad_keys)
        self.connections: dict[int, Connection] = {}
        self.clients = 0
        """How many sockets came so far."""
        self.left_ns = 0
        """The clock when one of those that are gone left last."""
        self.changed = asyncio.Event()
        self.closed = False
        self.waiting = 0
        """How many wait for something that may be true whenever a client rests."""
        self._cutters: dict[str, Cutter] = {}
        self._past: list[tuple[Line, Delivery]] = []
        self._past_lateness = Lateness()
        self._past_sums = Sums()
        self._trails: deque[tuple[int, Trail]] = deque(maxlen=TRAILS_KEPT)
        self._held: dict[str, set[str]] = {}
        """By market, the channels that any client ever held."""
        self._alarms: dict[int, Alarm] = {}
        self._seen: dict[int, int] = {}
        """By timeline, its moves that clients have been woken for."""

    def open(self) -> None:
        """The clock runs; in the event loop that serves."""
        self.clock = Clock()

    def close(self) -> None:
        """Nothing rings any more, no chunk is made ready, and whoever waits hears of it."""
        self.closed = True
        self.changed.set()
        self.clock.close()
        self._ahead.close()

    def place(self, moment: Moment, *, market: str | None = None) -> int:
        """The position of a moment; times of day are those of a market's exchange, by default the first one's."""
        zone_name = self.zone_name if market is None else self.dialect.zone_of(market)
        zero_ns = self.tapes.zero_ns
        return position_of(
            moment,
            zone=zone_for(moment, zone_name),
            zero_wall_ns=self.cassette.wall_ns(zero_ns),
            end_wall_ns=self.cassette.wall_ns(zero_ns + max(self.tapes.recorded_end_ns, 0)),
            position_at=lambda wall_ns: self.cassette.offset_of(wall_ns) - zero_ns,
        )

    def market_ns(self, position_ns: int) -> int:
        """The wall clock of the tape at a position, as clients see it: nanoseconds since 1970 (UTC)."""
        mover = None if self.shifter is None else self.shifter.mover
        wall_ns = self.cassette.wall_ns(self.tapes.zero_ns + position_ns)
        return wall_ns if mover is None else wall_ns + mover.shift.ms * 1_000_000

    @property
    def zone(self) -> tzinfo:
        """The exchange zone of the first market that was recorded."""
        return zone_named(self.zone_name)

    @property
    def zone_name(self) -> str:
        """Its IANA name."""
        return self.dialect.zone_of((*self.tapes.recorded, self.dialect.default_market)[0])

    def _chunk(self, number: int) -> Chunk:
        """A chunk, moved in time once that is known; asked for in a thread, too."""
        chunk = self.cassette.chunk(number)
        return chunk if self.shifter is None else self.shifter.chunk(chunk)

    def fix_time(self) -> None:
        """The first start, or the first answer: from now on the tape is moved by one constant."""
        if self.shifter is None or self.shifter.mover is not None:
            return
        tape_wall_ns = self.cassette.wall_ns(self.tapes.zero_ns + self.tapes.begin_ns)
        shift = self.shifter.start(tape_wall_ns=tape_wall_ns, now_wall_ns=self.clock.program_wall_ns())
        self._ahead.forget()
        self.tapes.forget()
        for connection in self.connections.values():
            connection.session.reel.look_again()
        told = {"shift": describe(shift), "shift_ms": shift.ms}
        self.teller.entry(Entry("shifted", self.clock.now_ns(), parts=told))

    def _begin(self, moment: Moment | None) -> int:
        return 0 if moment is None else max(self.place(moment), 0)

    def _stop(self, moment: Moment | None) -> int | None:
        return None if moment is None else self.place(moment)

    # -- clients come and go

    def connection(self, path: str, *, handshake: Misstep | None = None) -> Connection:
        """A new client's connection to the market that a path names; ``handshake``: what was wrong with its opening."""
        self.clients += 1
        market = self.market_of(path)
        conversation = Conversation(
            self.wording,
            market=market,
            keys=self.keys,
            not_entitled=Subscriptions(self.options.not_entitled),
            also=frozenset(map(topic_of, self.tapes.of(market).channels)),
        )
        session = Session(
            self.clients,
            conversation,
            market=market,
            cutter=self._cutter(market),
            timelines=self.timelines,
        )
        session.handshake = handshake
        witness = None if self.keeper is None else self.keeper.witness(session)
        connection = Connection(session, clock=self.clock, options=self.options, house=self, witness=witness)
        self.connections[session.number] = connection
        return connection

    def gone(self, connection: Connection) -> None:
        """A client's connection has ended."""
        del self.connections[connection.session.number]
        self.left_ns = max(self.left_ns, connection.recipient.last_sign_ns)
        self._past_sums.add(connection.session.account)
        if connection.pump is not None:
            self._trails.append((connection.session.number, trail_of(connection.session)))
            self._past.append((_row(connection), connection.delivery))
            self._past_lateness.merge(connection.pump.lateness)
            del self._past[:-REPORTED_PAST]
        self.changed.set()

    def market_of(self, path: str) -> str:
        """The market that a request path names; ``/`` is the only one that was recorded, else the usual one."""
        recorded = self.tapes.recorded
        only = recorded[0] if len(recorded) == 1 else self.dialect.default_market
        return self.dialect.market_of(path) or only

    def _cutter(self, market: str) -> Cutter:
        if market not in self._cutters:
            self._cutters[market] = Cutter(self.tapes.of(market))
        return self._cutters[market]

    async def others_heard(self, newcomer: Connection) -> None:
        """Who hung up before a newcomer came has left before it: else it would join a course that is over."""
        with contextlib.suppress(TimeoutError):
            async with self.clock.within(HEARD_WITHIN_NS):
                while any(each.hung_up for each in self.connections.values() if each is not newcomer):
                    self.changed.clear()
                    await self.changed.wait()

    # -- happenings

    def learn(self, text: str) -> None:
        """A client says this: whatever of it is secret is told nowhere."""
        self.secrets.learn_message(text)

    def note(self, entries: Iterable[Entry]) -> None:
        """Write it into the journal, tell it, and see what it has brought about."""
        touched = set()
        for entry in entries:
            self._tell(entry)
            touched.add(entry.timeline)
            if entry.kind == "subscribed" and isinstance(channels := entry.parts["channels"], list):
                self._held.setdefault(str(entry.parts["market"]), set()).update(channels)
            if entry.kind == "authenticated" and self.options.max_connections is not None:
                self._evict(entry)
        for number in touched:
            timeline = None if number is None else self.timelines.numbered(number)
            if timeline is not None:
                self.look(timeline)
        if touched:
            self.changed.set()

    def remember(self, entries: Iterable[Entry]) -> None:
        """Write it into the journal, and tell nobody: it may come many times a second."""
        for entry in entries:
            self.teller.journal.add(entry)

    def _tell(self, entry: Entry) -> None:
        if entry.kind == "started":
            self.fix_time()
        self.teller.entry(entry)

    def look(self, timeline: Timeline) -> None:
        """See what a timeline has come to, tell it, and set its alarm; its clients are let go if that fails."""
        try:
            self._look(timeline)
        except TickdeckError as error:
            self.failed(error)
            for connection in list(self.connections.values()):
                if connection.session.timeline is timeline:
                    connection.break_off(error)

    def _look(self, timeline: Timeline) -> None:
        happened = timeline.tick(self.clock.now_ns())
        for entry in happened:
            self._tell(entry)
        if happened:
            self.changed.set()
        self._set_alarm(timeline)
        if self._seen.get(timeline.number) != timeline.moves:
            self._seen[timeline.number] = timeline.moves
            if self.keeper is not None:
                self.keeper.moved(timeline, self.clock.now_ns())
            self.wake(timeline)

    def wake(self, timeline: Timeline) -> None:
        """Something may be due for its clients."""
        for connection in list(self.connections.values()):
            if connection.session.timeline is timeline:
                connection.wake()

    def rests(self, session: Session) -> None:
        """Nothing is due for this client now."""
        if session.timeline is not None and not session.timeline.speed.paced:
            self.look(session.timeline)
        if self.waiting:
            self.changed.set()

    def failed(self, error: TickdeckError) -> None:
        """The cassette cannot be read where it should: whoever waits hears of it, the others play on."""
        if self.failure is None:
            self.teller.line("error", sentence=str(error))
        self.failure = self.failure or error
        self.changed.set()

    def _set_alarm(self, timeline: Timeline) -> None:
        when_ns = timeline.alarm_ns()
        alarm = self._alarms.get(timeline.number)
        if alarm is not None and alarm.when_ns == when_ns:
            return
        if alarm is not None:
            self._alarms.pop(timeline.number).cancel()
        if when_ns is not None:
            self._alarms[timeline.number] = self.clock.call_at(when_ns, lambda: self._ring(timeline))

    def _ring(self, timeline: Timeline) -> None:
        self._alarms.pop(timeline.number, None)
        self.look(timeline)

    def _evict(self, entry: Entry) -> None:
        """A newcomer may be one too many: then who has been in longest, of its key and market, has to go."""
        newcomer = self.connections[entry.client or 0].session
        rivals = [
            each
            for each in self.connections.values()
            if each.session.conversation.key == newcomer.conversation.key
            and each.session.market == newcomer.market
            and each.session.turned_out is None
            and each.session.ending is None
            and not each.session.account.left
        ]
        rivals.sort(key=lambda each: each.session.joined_ns)
        for connection in rivals[: -(self.options.max_connections or 0)]:
            for told in connection.session.evict(self.clock.now_ns()):
                self.teller.entry(told)
            connection.let_go()

    # -- what it has come to

    def lateness(self) -> Lateness:
        """That of all clients so far."""
        lateness = Lateness()
        lateness.merge(self._past_lateness)
        for connection in self.connections.values():
            if connection.pump is not None:
                lateness.merge(connection.pump.lateness)
        return lateness

    def sent(self) -> Sums:
        """What all clients so far come to."""
        sums = replace(self._past_sums)
        for connection in self.connections.values():
            sums.add(connection.session.account)
        return sums

    def rows(self) -> list[Line]:
        """One row a client, in the order of their coming."""
        past = [{**row, "untaken": delivery.untaken} for row, delivery in self._past]
        live = [
            {**_row(each), "untaken": each.delivery.untaken}
            for each in self.connections.values()
            if each.pump is not None
        ]
        return sorted([*past, *live], key=lambda row: str(row["client"]).zfill(9))

    def trails(self) -> dict[int, Trail]:
        """By client, where it was on the tape: of all that are connected, and of those that left last."""
        live = {
            number: trail_of(each.session)
            for number, each in self.connections.items()
            if each.pump is not None
        }
        return {**dict(self._trails), **live}

    def held_by_nobody(self) -> list[Line]:
        """The channels on the tapes that no client ever held, those with most events first."""
        if self.failure is not None:
            return []
        found = [
            (-events, market, channel)
            for market in self.tapes.recorded
            for channel, events in unheld(
                self._cutter(market), self._held.get(market, ()), self.tapes.begin_ns
            )
        ]
        rows = sorted(found)[:UNHELD_TOLD]
        return [{"market": market, "channel": channel, "events": -less} for less, market, channel in rows]

    def reset(self) -> None:
        """As if nobody had come yet."""
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()
        self._past.clear()
        self._trails.clear()
        self._held.clear()
        self._past_lateness = Lateness()
        self._past_sums = Sums()
        self._seen.clear()
        self.timelines.clear()
        self.options = self.timelines.options = self._given
        self.keys.bad, self.keys.closed = self._given.bad_keys, False
        self.teller.journal.clear()
        self.clients = 0
        if self.keeper is not None:
            self.keeper.reset()

    def set_speed(self, speed: Speed) -> None:
        """What starts from now on starts at this speed."""
        self.options = self.timelines.options = replace(self.options, speed=speed)

    def end_all(self, ending: Ending) -> None:
        """End every connection from the server's side."""
        for connection in list(self.connections.values()):
            connection.end(ending)


def known_of(options: PlayOptions) -> list[str]:
    """The secrets that the options hold."""
    return [*(options.good_keys or ()), *options.bad_keys, *([options.token] if options.token else [])]


def _row(connection: Connection) -> Line:
    assert connection.pump is not None
    return client_report(connection.session, digest=connection.pump.digest, lateness=connection.pump.lateness)
