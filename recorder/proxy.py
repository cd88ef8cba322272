"""The recorder's own server: one port for REST and every market's socket, any path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from aiohttp import web

from tickdeck.cassette.errors import StorageError, UsageError
from tickdeck.dialects.origins import Service
from tickdeck.recorder.addresses import address
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.notices import Listening, Notify, Rejected
from tickdeck.recorder.own_pages import OwnPages
from tickdeck.recorder.passing import LARGEST_REQUEST, as_it_came, no_answer_yet
from tickdeck.recorder.rest_proxy import RestProxy
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.socket_proxy import SocketProxy
from tickdeck.recorder.upstream import LONGEST_LINE, Upstream, why
from tickdeck.watch.rejections import Rejections
from tickdeck.watch.serverlog import ServerLog

_GRACE_S: Final = 2.0


def server_log(notify: Notify, clock: Clock, *, clean: Callable[[str], str] = lambda text: text) -> ServerLog:
    """What aiohttp, and a loop that is all ours, have to say, as notices."""
    rejections = Rejections(lambda sentence, times: notify(Rejected(sentence, times)), now_ns=clock.now_ns)
    return ServerLog(rejections, clean=clean, advice="use http:// and ws://")


class Proxy:
    """Listens, and hands each request to the one whose business it is."""

    def __init__(
        self,
        upstream: Upstream,
        intake: Intake,
        clock: Clock,
        *,
        service: Service,
        market_of: Callable[[str], str],
        feed_of: Callable[[str], str],
        advice: Callable[[bytes], tuple[str, str] | None] = lambda words: None,
        notify: Notify,
        pages: OwnPages | None = None,
        log: ServerLog | None = None,
    ) -> None:
        self._pages = pages
        self.asked = 0
        """Requests that came, handshakes among them."""
        self._upstream = upstream
        self._rest = RestProxy(upstream, intake, clock, service=service, notify=notify)
        self._sockets = SocketProxy(
            upstream,
            intake,
            clock,
            rest=self._rest,
            market_of=market_of,
            feed_of=feed_of,
            advice=advice,
            notify=notify,
        )
        self._site: web.TCPSite | None = None
        self._busy: set[asyncio.Task[object]] = set()
        app = web.Application(client_max_size=LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._handle, expect_handler=no_answer_yet)
        app.on_response_prepare.append(as_it_came)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=log or server_log(notify, clock),
            auto_decompress=False,
            handler_cancellation=True,
            shutdown_timeout=_GRACE_S,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )

    async def start(self, host: str, port: int) -> Listening:
        """Listen; UsageError when the address cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(f"cannot listen on {address(host, port)}: {why(error)}") from error
        self._site = site
        feed = address(*self._runner.addresses[0][:2])
        return Listening(f"http://{feed}", f"ws://{feed}", feed)

    def close_sockets(self) -> None:
        """Say good-bye on the sockets. A signal handler may call it."""
        self._sockets.stop()

    async def stop(self) -> None:
        """Say good-bye on the sockets, let what is asked be answered for a moment, then end it all.

        Cancelled, it does not wait for anybody; but it still sees that all is over when it returns.
        """
        self._sockets.stop()
        site, self._site = self._site, None
        try:
            if site is not None:
                await site.stop()
            await self._settled()
        finally:
            self._sockets.cut()
            self._upstream.cut()
            await self._settled()
            await self._runner.cleanup()
            await self._settled()

    async def _settled(self) -> None:
        if self._busy:
            await asyncio.wait(self._busy, timeout=_GRACE_S)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """A client that leaves (its handler is cancelled) ends the wait for the vendor, not the keeping."""
        self.asked += not self._is_ours(request)
        work = asyncio.create_task(self._answer(request))
        self._busy.add(work)
        work.add_done_callback(self._busy.discard)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._upstream.cut(work)
            await work
            raise

    def _is_ours(self, request: web.Request) -> bool:
        return self._pages is not None and self._pages.has(request.path)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            if not request.raw_path.startswith("/"):
                return web.Response(status=400, text="a request line names a path here, not an address\n")
            if self._pages is not None and self._is_ours(request):
                return self._pages.answer(request)
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._sockets.handle(request)
            return await self._rest.handle(request)
        except StorageError as error:
            sentence = json.dumps({"status": "ERROR", "error": f"tickdeck cannot record: {error}"})
            return web.Response(status=503, text=sentence, content_type="application/json")
        except ConnectionResetError:
            return web.Response()  # to nobody: the client left in the middle of its request
