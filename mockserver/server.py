"""A cassette, playing: one port for REST and every market's socket, from start to stop.

Lifetimes live here: the listening sockets, the stage and its clock. What is decided is
decided on floor 0; what happens is told, line by line, to whoever gave ``tell``.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeAlias

from aiohttp import web

from tickdeck.cassette.disk import DISK, HASTY, Disk
from tickdeck.cassette.errors import StorageError, TickdeckError
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.redaction import Redactor
from tickdeck.gateway.identity import HERE, Identity, hosts_of, identity_of
from tickdeck.mockserver.clock import Turn
from tickdeck.mockserver.control import ControlDesk
from tickdeck.mockserver.controls import Controls
from tickdeck.mockserver.handshakes import refusal_of
from tickdeck.mockserver.httprules import (
    ContentCodingError,
    authority,
    bad_request,
    host_of,
    refusal_of_host,
)
from tickdeck.mockserver.journal import Journal, Scratch
from tickdeck.mockserver.keeping import Keeper
from tickdeck.mockserver.listening import Listening, bind, stop_accepting, stop_listening
from tickdeck.mockserver.minutes import run_facts, run_header
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.rest import RestDesk
from tickdeck.mockserver.routes import is_control
from tickdeck.mockserver.stage import Stage, known_of
from tickdeck.mockserver.telling import Line
from tickdeck.mockserver.waits import Waits
from tickdeck.watch.gate import Gate
from tickdeck.watch.rejections import Rejections
from tickdeck.watch.serverlog import ServerLog

Tell: TypeAlias = Callable[[Line], None]

_LOG: Final = logging.getLogger("tickdeck.mockserver")


class Player:
    """A cassette behind a real local server, in the running event loop."""

    def __init__(
        self, cassette: Readable, options: PlayOptions | None = None, *, tell: Tell | None = None
    ) -> None:
        self.options = options or PlayOptions()
        self._untold = tell is None
        self.stage = Stage(cassette, self.options, tell=tell)
        self.desk = RestDesk(self.stage)
        self.waits = Waits(self.stage, self.desk)
        self.controls = Controls(self.stage, self.desk, self.waits)
        self._gate = Gate(self.options.host, token=self.options.token)
        self.log = ServerLog(
            Rejections(self._rejected, now_ns=lambda: self.stage.clock.now_ns()),
            clean=self.stage.secrets.clean,
            advice="use --tls or http://",
        )
        """What aiohttp, and a loop that is all ours, have to say."""
        self._control: ControlDesk | None = None
        self._server: Listening | None = None
        self._listeners: list[socket.socket] = []
        self._runner: web.ServerRunner | None = None
        self._port = 0
        self._identity: Identity | None = None
        self._names = frozenset(hosts_of(self.stage.dialect.origins, host="localhost")) - frozenset(HERE)

    async def start(self) -> None:
        """Listen; ``listening`` is told once clients can connect."""
        self.stage.open()
        self._keep()
        try:
            await self._start()
        except BaseException:
            if self.stage.keeper is not None:
                self.stage.keeper.discard()
            raise

    def _keep(self) -> None:
        """Keep this run on a cassette from now on, if that is wanted."""
        journal = self.options.journal
        if isinstance(journal, Scratch):
            try:
                self._keep_on(self._recording(journal, HASTY), journal.failed)
            except StorageError as error:
                journal.failed(error)
        elif journal is not None:
            self._keep_on(self._recording(journal, DISK), self.stage.failed)

    def _recording(self, path: str | os.PathLike[str], disk: Disk) -> Recording:
        stage = self.stage
        header = run_header(
            stage.cassette.header,
            name=stage.cassette.name,
            epoch_ns=stage.clock.wall_ns(),
            tool=f"tickdeck {version('tickdeck')}",
        )
        redactor = Redactor(stage.dialect.places, known=known_of(self.options))
        return Recording.create(path, header, redactor=redactor, opener=disk)

    def _keep_on(self, recording: Recording, on_failure: Callable[[TickdeckError], None]) -> None:
        stage = self.stage
        facts = run_facts(stage.cassette, self.options, stage.tapes)
        stage.keeper = Keeper(recording, facts, clock=stage.clock, on_failure=on_failure)
        stage.teller.keep = stage.keeper.entry

    async def _start(self) -> None:
        self._control = ControlDesk(self.controls, self._gate, clock=self.stage.clock)
        self._identity = self._identified()
        self._server = Listening(
            self._handle,
            clock=self.stage.clock,
            on_change=self.stage.changed.set,
            log=self.log,
            context=None if self._identity is None else self._identity.context,
        )
        self.waits.server = self._server
        self._runner = web.ServerRunner(self._server, shutdown_timeout=1.0)
        await self._runner.setup()
        self._listeners = bind(self.options.host, self.options.port)
        self._port = self._listeners[0].getsockname()[1]
        for each in self._listeners:
            await web.SockSite(self._runner, each).start()
        self.stage.teller.line(
            "listening",
            http=self.http_url,
            ws=self.ws_url,
            feed=self.feed,
            ca=None if self.ca_file is None else str(self.ca_file),
            profile=self.stage.wording.name,
            notes=[*self.stage.wording.notes, *self._gate.notes],
        )

    async def stop(self) -> None:
        """Close every socket with 1001 and stop listening; the report stays."""
        if self._identity is not None:
            self._identity.close()
        stop_accepting(self._listeners)
        for _ in range(3):  # what was accepted just now takes so many turns to become a connection
            await Turn()
        stop_listening(self._listeners)
        for site in [] if self._runner is None else list(self._runner.sites):
            await site.stop()
        self._listeners = []
        self.desk.delivery.release()
        if self._control is not None:
            self._control.close()
        if self.stage.keeper is not None:
            self.stage.keeper.stopping()
        if self._server is not None:
            self._server.lingering.stopping()
        await self.waits.all_gone()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            if self._server is not None:
                await self._server.lingering.over()
            if self.stage.keeper is not None:
                self.stage.keeper.seal()
        self.stage.close()

    async def __aenter__(self) -> Player:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def running(self) -> bool:
        """Whether it has started and not stopped."""
        return self._runner is not None

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    @property
    def host(self) -> str:
        """The host listened on."""
        return self.options.host

    @property
    def speaks_tls(self) -> bool:
        """Whether it serves https and wss."""
        return self._identity is not None

    @property
    def by_name(self) -> tuple[str, ...]:
        """The origins of the vendor: who asks for one by name, and is led here, is answered as the vendor would."""
        return self.desk.service.origins

    @property
    def http_url(self) -> str:
        """The REST base: ``http://127.0.0.1:PORT``, over TLS ``https``."""
        return f"http{self._s}://{self.feed}"

    @property
    def ws_url(self) -> str:
        """The socket origin: ``ws://127.0.0.1:PORT``, over TLS ``wss``; a market is its path (``/stocks``)."""
        return f"ws{self._s}://{self.feed}"

    @property
    def ca_file(self) -> Path | None:
        """The throw-away CA's certificate, for clients to trust, while the server runs."""
        return None if self._identity is None else self._identity.ca_file

    @property
    def feed(self) -> str:
        """``127.0.0.1:PORT``, the official client's ``feed`` argument."""
        return authority(self.options.host, self._port)

    @property
    def failure(self) -> TickdeckError | None:
        """What could not be read of the cassette, if anything."""
        return self.stage.failure

    @property
    def journal(self) -> Journal:
        """What clients did."""
        return self.stage.teller.journal

    def market_ns(self, position_ns: int) -> int:
        """The wall clock of the tape at a position, as clients see it: nanoseconds since 1970 (UTC)."""
        return self.stage.market_ns(position_ns)

    def report(self) -> Line:
        """What the run has come to so far; its parts are described in docs/playing.md."""
        return {**self.controls.report(), "rejected": dict(self.log.counts)}

    def _rejected(self, sentence: str, times: int) -> None:
        self.stage.teller.line("rejected", sentence=sentence, times=times)
        if self._untold:
            _LOG.warning("%s", sentence)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.stage.secrets.learn(url=request.raw_path, headers=request.raw_headers)
        if (bad := refusal_of_host(request)) is not None:
            return bad
        if self._control is not None and is_control(request.path):
            return await self._control.answer(request)
        await self.controls.admitted()
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if (refusal := refusal_of(request)) is not None:
                return refusal
            misplaced = self.stage.dialect.misplaced_secret(request.query.items(), request.raw_headers)
            connection = self.stage.connection(request.path, handshake=misplaced)
            try:
                return await connection.serve(request)
            finally:
                self.stage.gone(connection)
        try:
            return await self._answer(request)
        except web.RequestPayloadError as error:
            if isinstance(error, ContentCodingError):  # any other one was counted by aiohttp's parser
                self.log.add(error)
            return bad_request("the body is not what its fields say, or larger than 8 MiB when it is opened")

    def _own_origin(self, host: str | None) -> str:
        """This server's origin as a client spells it; one that was led here asked for https."""
        if host in self._names:
            return f"https://{host}"
        return f"http{self._s}://{host or self.feed}"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        own, started_ns = self._own_origin(host_of(request)), self.stage.clock.now_ns()
        response = await self.desk.answer(request, own=own)
        if self.stage.keeper is not None:
            url, headers = own + request.raw_path, request.raw_headers
            self.stage.keeper.request(
                started_ns, method=request.method, url=url, status=response.status, headers=headers
            )
        return response

    @property
    def _s(self) -> str:
        return "" if self._identity is None else "s"

    def _identified(self) -> Identity | None:
        options = self.options
        hosts = hosts_of(self.by_name, host=options.host)
        return identity_of(options.tls, options.tls_cert, options.tls_key, hosts=hosts)
