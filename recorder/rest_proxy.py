"""REST through the recorder: asked upstream as it was here, kept, and answered as it was there."""

from __future__ import annotations

import json
import re
from typing import Final

from aiohttp import web

from tickdeck.cassette.errors import RecordingError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.dialects.origins import Origins, Service
from tickdeck.recorder.addresses import address, authority
from tickdeck.recorder.capture import Exchange
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.forwarding import answer_to_client, sent_upstream
from tickdeck.recorder.notices import Notify, Trouble, Unreached
from tickdeck.recorder.passing import Asked, Passing, in_one_piece
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.upstream import Response, Upstream

_HOST: Final = re.compile(r"[\w.\-:\[\]]+", re.ASCII)


class RestProxy:
    """Answers every request that is no upgrade."""

    def __init__(
        self, upstream: Upstream, intake: Intake, clock: Clock, *, service: Service, notify: Notify
    ) -> None:
        self._service = service
        self._upstream = upstream
        self._intake = intake
        self._clock = clock
        self._notify = notify

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, there and back."""
        started_ns = self._clock.now_ns()
        origin = self._upstream.ways.http_for(request.headers.get("Host"))
        asked = Asked(request)
        headers = sent_upstream(request.raw_headers, host=authority(origin), expects=asked.waits)
        try:
            incoming = await self._upstream.ask(
                request.method,
                request.raw_path,
                headers=headers,
                body=await asked.body(),
                chunked="chunked" in request.headers.get("Transfer-Encoding", "").lower(),
                origin=origin,
            )
        except RecordingError as error:
            if asked.broke_off:
                raise ConnectionResetError from error
            return unreachable(error, self._notify)
        if asked.too_large:
            self._notify(Trouble(f"the body of a {request.method} is larger than 8 MiB: it is not kept"))
        head = exchange_of(
            incoming.with_body(b""),
            started_ns,
            method=request.method,
            url=origin + request.raw_path,
            request_headers=headers,
            request_body=asked.kept,
        )
        passing = Passing(request, incoming, self._intake.answer(head), self._origins_for(request))
        response = await passing.run()
        if passing.trouble:
            self._notify(Trouble(passing.trouble))
        if surplus := incoming.surplus:
            told = f"{surplus} bytes came behind the end of the answer to {request.method} {request.path}"
            self._notify(Trouble(f"{told}: they are not part of it, and reach nobody"))
        return response

    async def answer(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        """Give the client what the upstream answered."""
        answer = answer_to_client(exchange, self._origins_for(request))
        if answer.trouble:
            self._notify(Trouble(answer.trouble))
        return await in_one_piece(request, answer)

    def _origins_for(self, request: web.BaseRequest) -> Origins:
        return self._service.for_client(own_origin(request))


def exchange_of(
    response: Response,
    started_ns: int,
    *,
    method: str,
    url: str,
    request_headers: HeaderPairs,
    request_body: bytes = b"",
) -> Exchange:
    """What was asked, and what was answered."""
    return Exchange(
        started_ns=started_ns,
        first_byte_ns=response.first_byte_ns,
        end_ns=response.end_ns,
        method=method,
        url=url,
        status=response.status,
        reason=response.reason,
        request_headers=request_headers,
        request_body=request_body,
        response_headers=response.headers,
        body=response.body,
        complete=response.complete,
    )


def own_origin(request: web.BaseRequest) -> str:
    """Where this client found the recorder, as it spells it."""
    host = request.headers.get("Host", "")
    if not _HOST.fullmatch(host):
        name = request.transport.get_extra_info("sockname") if request.transport else None
        host = address(*name[:2]) if name else "127.0.0.1"
    return f"http://{host}"


def unreachable(error: RecordingError, notify: Notify) -> web.Response:
    """The upstream did not answer: say so to the client, and to whoever watches the recorder."""
    notify(Unreached(str(error)))
    sentence = json.dumps({"status": "ERROR", "error": f"tickdeck {error}"}, separators=(",", ":"))
    return web.Response(status=502, text=sentence, content_type="application/json")
