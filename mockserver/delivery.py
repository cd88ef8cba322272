"""An answer on its way to the client: the head and the body at their times, the end as it was recorded."""

from __future__ import annotations

import asyncio

from aiohttp import web
from multidict import CIMultiDict

from tickdeck.mockserver.answers import Answer
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.handler import Handler
from tickdeck.mockserver.restlatency import Waits


class Delivery:
    """Holds answers until they are due; a server that stops holds none."""

    def __init__(self) -> None:
        self._held: set[asyncio.Event] = set()

    async def send(
        self, request: web.BaseRequest, answer: Answer, waits: Waits, *, clock: Clock, came_ns: int
    ) -> web.StreamResponse:
        """The response to a request that came at ``came_ns``; an answer that broke off breaks off again."""
        await self._hold(request, clock, came_ns + waits.head_ns)
        is_later = waits.body_ns > waits.head_ns and bool(answer.body)
        if answer.complete and not is_later:
            return response_of(answer)
        response = _begun(answer)
        await response.prepare(request)
        await self._hold(request, clock, came_ns + waits.body_ns)
        if answer.body:
            await response.write(answer.body)
        if not answer.complete and request.transport is not None:
            request.transport.close()
        return response

    @property
    def held(self) -> int:
        """How many are held now."""
        return len(self._held)

    def release(self) -> None:
        """The server stops: nothing is held any longer."""
        for held in self._held:
            held.set()

    async def _hold(self, request: web.BaseRequest, clock: Clock, when_ns: int) -> None:
        """Until a moment of the clock; no longer than the client is there."""
        if when_ns <= clock.now_ns():
            return
        held, handler = asyncio.Event(), request.protocol
        alarm = clock.call_at(when_ns, held.set)
        self._held.add(held)
        if isinstance(handler, Handler):
            handler.on_gone = held.set
        try:
            await held.wait()
        finally:
            self._held.discard(held)
            alarm.cancel()


def response_of(answer: Answer) -> web.Response:
    """An answer that goes out in one go."""
    reason = answer.reason or None
    return web.Response(status=answer.status, reason=reason, body=answer.body, headers=_headers(answer))


def _begun(answer: Answer) -> web.StreamResponse:
    """The head of an answer; where the rest never came, with a length that it does not reach."""
    headers = _headers(answer)
    if not answer.complete:
        headers["Content-Length"] = str(len(answer.body) + 1)
    return web.StreamResponse(status=answer.status, reason=answer.reason or None, headers=headers)


def _headers(answer: Answer) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in answer.headers:
        headers.add(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
    return headers
