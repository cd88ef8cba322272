"""The recorder's own pages over HTTP: on the port of the proxy, or on one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from aiohttp import web

from tickdeck.cassette.errors import UsageError
from tickdeck.recorder.addresses import address
from tickdeck.recorder.upstream import why
from tickdeck.watch.callers import caller_of
from tickdeck.watch.exposition import CONTENT_TYPE, Family, exposition
from tickdeck.watch.gate import Gate, Refused

METRICS_PATH: Final = "/__tickdeck/metrics"
KEEP_PATH: Final = "/__tickdeck/keep"
"""No service has such paths: they do not go upstream."""

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class OwnPages:
    """Answers whoever asks for one, if it is a program on this machine: the numbers, and to keep what a ring holds."""

    def __init__(
        self, numbers: Callable[[], Iterable[Family]], *, host: str, keep: Callable[[], Sequence[str] | None]
    ) -> None:
        """``keep`` gives the names of the segments that are kept; ``None`` where there is no ring."""
        self._numbers = numbers
        self._keep = keep
        self._gate = Gate(host, token=None, hint="it has no tokens while recording")
        self._pages: Mapping[str, tuple[str, Callable[[], web.Response]]] = {
            METRICS_PATH: ("GET", self._metrics),
            KEEP_PATH: ("POST", self._kept),
        }

    def has(self, path: str) -> bool:
        """Whether a path is one of them, and so does not go upstream."""
        return path in self._pages

    def answer(self, request: web.BaseRequest) -> web.Response:
        """The response."""
        refused = self._gate.refusal(caller_of(request))
        if refused is None and not self.has(request.path):
            known = " and ".join(self._pages)
            refused = Refused(404, f"there is no such page here; there are {known}")
        if refused is None and request.method != self._pages[request.path][0]:
            refused = Refused(405, f"{request.path} is asked with {self._pages[request.path][0]}")
        if refused is not None:
            return web.Response(status=refused.status, text=f"{refused.sentence}\n", headers=_HEADERS)
        return self._pages[request.path][1]()

    def _metrics(self) -> web.Response:
        body = exposition(self._numbers()).encode()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE, **_HEADERS})

    def _kept(self) -> web.Response:
        names = self._keep()
        if names is None:
            sentence = "there is no ring to keep: this recording keeps everything; record with --ring 5m\n"
            return web.Response(status=409, text=sentence, headers=_HEADERS)
        return web.json_response({"kind": "kept", "segments": list(names)}, headers=_HEADERS)


class OwnPort:
    """A port where nothing else is."""

    def __init__(self, pages: OwnPages) -> None:
        self._pages = pages
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
        return self._pages.answer(request)
