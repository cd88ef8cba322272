"""The control over HTTP: `routes` says what there is, `gate` who may, `controls` does the work.

Every answer but that of ``metrics`` is one JSON object with the ``kind``, ``v`` and
``time`` of the lines of ``--json``; a refusal is of the kind ``error``, with a ``sentence``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any, Final

from aiohttp import web

from tickdeck.cassette.errors import TickdeckError, UsageError
from tickdeck.mockserver import routes
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.controls import Controls, WaitTimeoutError
from tickdeck.mockserver.httprules import invite, plain_body
from tickdeck.mockserver.options import SECOND
from tickdeck.mockserver.routes import Route
from tickdeck.mockserver.steering import NotNowError
from tickdeck.mockserver.telling import Line, utc
from tickdeck.watch.callers import caller_of
from tickdeck.watch.exposition import CONTENT_TYPE
from tickdeck.watch.gate import Gate, Refused

VERSION: Final = 1
"""That of the JSON lines."""

LONGEST_BODY: Final = 4 * 1024 * 1024
"""Bytes, unpacked, of what a verb is told."""

BODY_SECONDS: Final = 30
"""How long a body may take to come."""

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_STATUS: Final[tuple[tuple[type[TickdeckError], int], ...]] = (
    (WaitTimeoutError, 504),
    (NotNowError, 409),
    (UsageError, 400),
    (TickdeckError, 500),
)


class ControlDesk:
    """Answers requests to the control."""

    def __init__(self, controls: Controls, gate: Gate, *, clock: Clock) -> None:
        self._controls = controls
        self._gate = gate
        self._clock = clock
        self._waits: set[asyncio.Future[Any]] = set()

    def close(self) -> None:
        """The server stops: whoever waits is told so."""
        for wait in self._waits:
            wait.cancel()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response."""
        refused = self._gate.refusal(caller_of(request))
        if refused is not None:
            return self._refuse(refused)
        if "Upgrade" in request.headers:
            return self._refuse(Refused(400, "the control is no socket; ask it with plain requests"))
        if request.path.rstrip("/") == routes.CONTROL:
            return self._index(request)
        route = routes.find(request.path)
        if isinstance(route, Refused):
            return self._refuse(route)
        if request.method != route.method:
            return self._not_so(request.method, route.method, route.path)
        return await self._carry_out(route, request)

    async def _carry_out(self, route: Route, request: web.BaseRequest) -> web.Response:
        body = await _body_of(request, self._clock) if route.method == "POST" else b""
        if isinstance(body, Refused):
            return self._refuse(body)
        try:
            told = routes.arguments(route, request.query.items(), body)
            done = getattr(self._controls, route.verb)(**told)
            answer = await self._until_done(done) if inspect.isawaitable(done) else done
        except TickdeckError as error:
            status = next(status for blamed, status in _STATUS if isinstance(error, blamed))
            return self._refuse(Refused(status, str(error)))
        if answer is None:
            return self._refuse(Refused(503, "the server stops"))
        if route.kind == routes.METRICS:
            return _text(str(answer))
        return self._respond(route.kind, answer if isinstance(answer, dict) else {route.kind: answer})

    async def _until_done(self, work: Awaitable[object]) -> object:
        """What comes of it; ``None`` if the server stops before."""
        task = asyncio.ensure_future(work)
        self._waits.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._waits.discard(task)
            task.cancel()
        return None if task.cancelled() else task.result()

    def _index(self, request: web.BaseRequest) -> web.Response:
        if request.method != "GET":
            return self._not_so(request.method, "GET", f"{routes.CONTROL}/")
        return self._respond("routes", {"routes": routes.listing()})

    def _not_so(self, asked: str, allowed: str, path: str) -> web.Response:
        response = self._refuse(Refused(405, f"{path} is asked with {allowed}, not with {asked}"))
        response.headers["Allow"] = allowed
        return response

    def _refuse(self, refused: Refused) -> web.Response:
        response = self._respond("error", {"sentence": refused.sentence}, status=refused.status)
        if refused.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if refused.status in (408, 413):
            response.force_close()
        return response

    def _respond(self, kind: str, answer: Line, *, status: int = 200) -> web.Response:
        answer = self._controls.redacted(answer)
        whole = {"kind": kind, "v": VERSION, "time": utc(self._clock.wall_ns()), **answer}
        body = routes.compact(whole) + b"\n"
        return web.Response(status=status, body=body, content_type="application/json", headers=_HEADERS)


def _text(answer: str) -> web.Response:
    """What is no JSON: the numbers, as Prometheus reads them."""
    headers = {"Content-Type": CONTENT_TYPE, **_HEADERS}
    return web.Response(body=answer.encode(), headers=headers)


async def _body_of(request: web.BaseRequest, clock: Clock) -> bytes | Refused:
    """The whole body, or why it is not taken."""
    too_long = Refused(413, f"the body is longer than {LONGEST_BODY} bytes")
    if (request.content_length or 0) > LONGEST_BODY:
        return too_long
    body = bytearray()
    invite(request)
    try:
        async with clock.within(BODY_SECONDS * SECOND):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > LONGEST_BODY:
                    return too_long
        plain = plain_body(request.raw_headers, bytes(body))
    except web.RequestPayloadError:
        return Refused(400, "the body cannot be unpacked")
    except TimeoutError:
        return Refused(408, f"the body did not come within {BODY_SECONDS} s")
    return too_long if len(plain) > LONGEST_BODY else plain
