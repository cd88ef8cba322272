"""The numbers over HTTP: on the port of the proxy, or on one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web

from tickdeck.cassette.errors import UsageError
from tickdeck.recorder.addresses import address
from tickdeck.recorder.upstream import why
from tickdeck.watch.callers import caller_of
from tickdeck.watch.exposition import CONTENT_TYPE, Family, exposition
from tickdeck.watch.gate import Gate, Refused

METRICS_PATH: Final = "/__tickdeck/metrics"
"""No service has such a path: it does not go upstream."""

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class MetricsDesk:
    """Answers whoever asks for the numbers, if it is a program on this machine."""

    def __init__(self, numbers: Callable[[], Iterable[Family]], *, host: str) -> None:
        self._numbers = numbers
        self._gate = Gate(host, token=None, hint="it has no tokens while recording")

    def answer(self, request: web.BaseRequest) -> web.Response:
        """The response."""
        refused = self._gate.refusal(caller_of(request))
        if refused is None and request.path != METRICS_PATH:
            refused = Refused(404, f"there is no such page here; the numbers are at {METRICS_PATH}")
        if refused is None and request.method != "GET":
            refused = Refused(405, f"{METRICS_PATH} is asked with GET")
        if refused is not None:
            return web.Response(status=refused.status, text=f"{refused.sentence}\n", headers=_HEADERS)
        body = exposition(self._numbers()).encode()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE, **_HEADERS})


class MetricsPort:
    """A port where nothing else is."""

    def __init__(self, desk: MetricsDesk) -> None:
        self._desk = desk
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)

    async def start(self, host: str, port: int) -> str:
        """Listen; the address of the page. UsageError when this one cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(f"cannot listen on {address(host, port)}: {why(error)}") from error
        return f"http://{address(*self._runner.addresses[0][:2])}{METRICS_PATH}"

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return self._desk.answer(request)
