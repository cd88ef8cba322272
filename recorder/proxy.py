"""The recorder's own server: one port for REST and every market's socket, any path."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from tickdeck.cassette.errors import StorageError, UsageError
from tickdeck.recorder.addresses import address
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.notices import Listening, Notify
from tickdeck.recorder.rest_proxy import RestProxy, as_it_came
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.socket_proxy import SocketProxy
from tickdeck.recorder.upstream import Upstream, why

LARGEST_REQUEST: Final = 8 << 20
"""Bytes of a request body; with the response's it has to fit into a row of the cassette."""

_GRACE_S: Final = 2.0
_LOG: Final = logging.getLogger("tickdeck.recorder")


class Proxy:
    """Listens, and hands each request to the one whose business it is."""

    def __init__(
        self,
        upstream: Upstream,
        intake: Intake,
        clock: Clock,
        *,
        origins: Sequence[str],
        market_of: Callable[[str], str],
        feed: str,
        notify: Notify,
    ) -> None:
        self._upstream = upstream
        self._rest = RestProxy(upstream, intake, clock, origins=origins, notify=notify)
        self._sockets = SocketProxy(
            upstream, intake, clock, rest=self._rest, market_of=market_of, feed=feed, notify=notify
        )
        self._site: web.TCPSite | None = None
        self._busy: set[asyncio.Task[object]] = set()
        app = web.Application(client_max_size=LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_response_prepare.append(as_it_came)
        self._runner = web.AppRunner(
            app, access_log=None, logger=_LOG, auto_decompress=False, shutdown_timeout=_GRACE_S
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

    async def stop(self) -> None:
        """Say good-bye on the sockets, let what is asked be answered for a moment, then end it all."""
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
        self._sockets.stop()
        await self._settled()
        self._sockets.cut()
        self._upstream.cut()
        await self._settled()
        await self._runner.cleanup()

    async def _settled(self) -> None:
        if self._busy:
            await asyncio.wait(self._busy, timeout=_GRACE_S)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            if not request.raw_path.startswith("/"):
                return web.Response(status=400, text="a request line names a path here, not an address\n")
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._sockets.handle(request)
            return await self._rest.handle(request)
        except StorageError as error:
            sentence = json.dumps({"status": "ERROR", "error": f"tickdeck cannot record: {error}"})
            return web.Response(status=503, text=sentence, content_type="application/json")
        finally:
            self._busy.discard(task)
