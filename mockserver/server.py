"""A cassette, playing: one port for REST and every market's socket, from start to stop.

Lifetimes live here: the listening sockets, one `Connection` a client, one alarm a
timeline. What is decided is decided on floor 0; what happens is told, line by line,
to whoever gave ``tell``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from aiohttp import web

from tickdeck import dialects
from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.readable import Readable
from tickdeck.dialects.channels import topic_of
from tickdeck.dialects.conversation import Conversation, Keys
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.journal import Entry, Journal
from tickdeck.mockserver.listening import Listening, bind, stop_accepting
from tickdeck.mockserver.options import SECOND, PlayOptions
from tickdeck.mockserver.reel import Ending
from tickdeck.mockserver.report import Lateness, client_report, situation
from tickdeck.mockserver.rest import RestDesk
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.shelf import Shelf
from tickdeck.mockserver.sockets import GOING_AWAY, Connection
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timeline import Timeline, Timelines

CONTROL: Final = "/__tickdeck/"
ALONE_NS: Final = SECOND
"""How long nothing must be connected before everybody counts as having left."""

HEARD_WITHIN_S: Final = 1.0
"""How long a newcomer waits at most until those who hung up before it have been noticed."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Line: TypeAlias = dict[str, object]
"""One happening as a JSON line: ``kind`` and its parts."""


class Player:
    """A cassette behind a real local server, in the running event loop."""

    def __init__(
        self,
        cassette: Readable,
        options: PlayOptions | None = None,
        *,
        tell: Callable[[Line], None] | None = None,
    ) -> None:
        self.options = options or PlayOptions()
        self.journal = Journal()
        self.failure: TickdeckError | None = None
        self._cassette = cassette
        self._tell = tell or (lambda line: None)
        self._dialect = dialects.find(cassette.header.dialect)
        self._wording = self._dialect.wording(self.options.profile, cassette.survey.profile)
        self._tapes = Tapes(cassette, feed=self.options.feed)
        self._cutters: dict[str, Cutter] = {}
        self._timelines = Timelines(self.options, self._tapes)
        self._keys = Keys(good=self.options.good_keys, bad=self.options.bad_keys)
        self._connections: dict[int, Connection] = {}
        self._past: list[Line] = []
        self._past_lateness = Lateness()
        self._alarms: dict[int, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()
        self._clients = 0
        self._server: Listening | None = None
        self._listeners: list[socket.socket] = []
        self._runner: web.ServerRunner | None = None
        self._desk: RestDesk | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen; ``listening`` is told once clients can connect."""
        self._clock = Clock()
        shelf = Shelf(
            self._cassette.interactions(),
            secret_parameters=self._dialect.places.query_parameters,
            zero_ns=self._tapes.zero_ns,
        )
        self._desk = RestDesk(
            shelf,
            wording=self._wording,
            options=self.options,
            keys=self._keys,
            timelines=self._timelines,
            origins=(*self._cassette.header.origins, *self._dialect.origins),
            secret_parameters=self._dialect.places.query_parameters,
            clock=self._clock,
            note=self._note,
        )
        self._server = Listening(self._handle, clock=self._clock, on_change=self._changed.set)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=1.0)
        await self._runner.setup()
        self._listeners = bind(self.options.host, self.options.port)
        self._port = self._listeners[0].getsockname()[1]
        for each in self._listeners:
            await web.SockSite(self._runner, each).start()
        self._tell_line(
            "listening",
            http=self.http_url,
            ws=self.ws_url,
            feed=self.feed,
            profile=self._wording.name,
            notes=list(self._wording.notes),
        )

    async def stop(self) -> None:
        """Close every socket with 1001 and stop listening; the report stays."""
        for alarm in self._alarms.values():
            alarm.cancel()
        stop_accepting(self._listeners)
        for _ in range(3):  # what was accepted just now takes so many turns to become a connection
            await self._clock.breathe()
        for site in [] if self._runner is None else list(self._runner.sites):
            await site.stop()
        self._listeners = []
        for connection in self._connections.values():
            connection.end(Ending(GOING_AWAY))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait_left(), 1.0)
        for connection in self._connections.values():
            connection.cut_off()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Player:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    @property
    def http_url(self) -> str:
        """The REST base: ``http://127.0.0.1:PORT``."""
        return f"http://{self.feed}"

    @property
    def ws_url(self) -> str:
        """The socket origin: ``ws://127.0.0.1:PORT``; a market is its path (``/stocks``)."""
        return f"ws://{self.feed}"

    @property
    def feed(self) -> str:
        """``127.0.0.1:PORT``, the official client's ``feed`` argument."""
        host = self.options.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    def drop(self, *, code: int | None = None, reason: str = "") -> None:
        """Lose every socket: with a close frame of ``code``, or (``None``) abruptly, without one."""
        for connection in self._connections.values():
            connection.end(Ending(code, reason))

    async def wait_started(self) -> None:
        """Until a timeline has started."""
        await self._until(lambda: any(timeline.started for timeline in self._timelines))

    async def wait_finished(self) -> None:
        """Until a timeline has come to its end and its clients were sent all of it."""
        await self._until(self._has_finished)

    async def wait_left(self) -> None:
        """Until no socket is connected."""
        while self._connections:
            self._changed.clear()
            await self._changed.wait()

    async def wait_client(self) -> None:
        """Until anybody came, by socket or by request."""
        await self._until(lambda: bool(self._clients or self._asked))

    async def wait_done(self) -> None:
        """Until the tape has ended and every client has read it or left (what ``--once`` waits for)."""
        await self._until(self._is_done)

    def situation(self) -> str:
        """Where the clients stand, in words: ``it never started: 1 client, authenticated, no subscription``."""
        return situation([connection.session for connection in self._connections.values()], self._timelines)

    def report(self) -> Line:
        """What the run has come to so far; its parts are described in docs/playing.md."""
        lateness = Lateness()
        lateness.merge(self._past_lateness)
        rows = list(self._past)
        for connection in self._connections.values():
            if connection.pump is not None:
                lateness.merge(connection.pump.lateness)
                rows.append(_row(connection))
        rest = self._desk.report() if self._desk is not None else {}
        missteps = sum(len(row["missteps"]) for row in rows if isinstance(row["missteps"], list))
        return {
            "kind": "report",
            "clients": sorted(rows, key=lambda row: str(row["client"]).zfill(9)),
            "missteps": missteps,
            **rest,
            "error": None if self.failure is None else str(self.failure),
            "lateness": lateness.summary(),
            "profile": self._wording.name,
            "speed": str(self.options.speed),
        }

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
            return web.json_response({"error": f"no such control: {request.path}"}, status=404)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        assert self._desk is not None
        return await self._desk.answer(request, own=self._own_origin(request))

    async def _socket(self, request: web.BaseRequest) -> web.StreamResponse:
        self._clients += 1
        market = self._market(request.path)
        conversation = Conversation(
            self._wording,
            market=market,
            keys=self._keys,
            not_entitled=Subscriptions(self.options.not_entitled),
            also=frozenset(map(topic_of, self._tapes.of(market).channels)),
        )
        session = Session(
            self._clients,
            conversation,
            market=market,
            cutter=self._cutter(market),
            timelines=self._timelines,
        )
        connection = Connection(
            session,
            clock=self._clock,
            auth_timeout_ns=self.options.auth_timeout_ns,
            note=self._note,
            on_idle=self._on_idle,
            on_failure=self._fail,
            others_heard=self._others_heard,
        )
        self._connections[session.number] = connection
        try:
            return await connection.serve(request)
        finally:
            self._gone(connection)

    async def _others_heard(self, newcomer: Connection) -> None:
        """Who hung up before a newcomer came has left before it: else it would join a course that is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARD_WITHIN_S):
                while any(each.hung_up for each in self._connections.values() if each is not newcomer):
                    self._changed.clear()
                    await self._changed.wait()

    def _gone(self, connection: Connection) -> None:
        del self._connections[connection.session.number]
        if connection.pump is not None:
            self._past.append(_row(connection))
            self._past_lateness.merge(connection.pump.lateness)
        self._changed.set()

    def _market(self, path: str) -> str:
        recorded = self._tapes.recorded
        only = recorded[0] if len(recorded) == 1 else self._dialect.default_market
        return self._dialect.market_of(path) or only

    def _cutter(self, market: str) -> Cutter:
        if market not in self._cutters:
            self._cutters[market] = Cutter(self._tapes.of(market))
        return self._cutters[market]

    def _own_origin(self, request: web.BaseRequest) -> str:
        return f"http://{request.host or self.feed}"

    def _on_idle(self, session: Session) -> None:
        if session.timeline is not None:
            self._look(session.timeline)
        self._changed.set()

    def _note(self, entries: Iterable[Entry]) -> None:
        """Write it into the journal, tell it, and see what it has brought about."""
        touched = set()
        for entry in entries:
            self.journal.add(entry)
            self._tell(self._line(entry))
            touched.add(entry.timeline)
        for timeline in self._timelines:
            if timeline.number in touched:
                self._look(timeline)
        self._changed.set()

    def _look(self, timeline: Timeline) -> None:
        """See what a timeline has come to, tell it, and set its alarm."""
        try:
            happened = timeline.tick(self._clock.now_ns())
        except TickdeckError as error:
            self._fail(error)
            return
        for entry in happened:
            self.journal.add(entry)
            self._tell(self._line(entry))
        if happened:
            self._changed.set()
        if any(entry.kind == "started" for entry in happened):
            self._wake(timeline)
        if (alarm := self._alarms.pop(timeline.number, None)) is not None:
            alarm.cancel()
        if (when_ns := timeline.alarm_ns()) is not None:
            self._alarms[timeline.number] = self._clock.call_at(when_ns, lambda: self._look(timeline))

    def _fail(self, error: TickdeckError) -> None:
        """The cassette cannot be read where it should: whoever waits hears of it, the others play on."""
        if self.failure is None:
            self._tell_line("error", sentence=str(error))
        self.failure = self.failure or error
        self._changed.set()

    def _wake(self, timeline: Timeline) -> None:
        for connection in self._connections.values():
            if connection.session.timeline is timeline:
                connection.wake()

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            if self.failure is not None:
                raise self.failure
            self._changed.clear()
            await self._changed.wait()

    def _has_finished(self) -> bool:
        return any(timeline.finished and self._all_read(timeline) for timeline in self._timelines)

    def _all_read(self, timeline: Timeline) -> bool:
        connections = self._connections.values()
        return all(each.has_read for each in connections if each.session.timeline is timeline)

    def _is_done(self) -> bool:
        if self._tapes.end_ns < 0:
            return bool(self._clients or self._asked) and self._everybody_left()
        timelines = [timeline for timeline in self._timelines if timeline.joined]
        return bool(timelines) and all(
            timeline.over or (timeline.finished and self._all_read(timeline)) for timeline in timelines
        )

    @property
    def _asked(self) -> int:
        return 0 if self._desk is None else self._desk.asked

    def _everybody_left(self) -> bool:
        """Nothing is connected, and was not for a moment: a REST client may open a connection a request."""
        if self._server is None or self._server.connections:
            return False
        alone_at_ns = self._server.alone_since_ns + ALONE_NS
        if (now_ns := self._clock.now_ns()) < alone_at_ns:
            self._clock.call_at(alone_at_ns, self._changed.set)
        return now_ns >= alone_at_ns

    def _line(self, entry: Entry) -> Line:
        line: Line = {"kind": entry.kind}
        if entry.client is not None:
            line["client"] = entry.client
        if entry.timeline is not None:
            line["timeline"] = entry.timeline
        if entry.position_ns is not None:
            line["position_ns"] = entry.position_ns
            line["market_time"] = self.market_time(entry.position_ns)
        return {**line, **entry.parts}

    def market_time(self, position_ns: int) -> str:
        """The wall clock of the recording at a position of the tape, UTC, to the microsecond."""
        wall_ns = self._cassette.wall_ns(self._tapes.zero_ns + max(position_ns, 0))
        moment = _EPOCH + timedelta(microseconds=wall_ns // 1000)
        return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"

    def _tell_line(self, kind: str, **parts: object) -> None:
        self._tell({"kind": kind, **parts})


def _row(connection: Connection) -> Line:
    assert connection.pump is not None
    return client_report(connection.session, digest=connection.pump.digest, lateness=connection.pump.lateness)
