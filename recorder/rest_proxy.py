"""REST through the recorder: asked upstream as it was here, kept, and answered as it was there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from tickdeck.cassette.errors import RecordingError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.dialects.origins import Origins
from tickdeck.recorder.addresses import address, authority
from tickdeck.recorder.capture import Exchange
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.forwarding import Answer, answer_to_client, sent_upstream
from tickdeck.recorder.notices import Notify, Trouble
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.upstream import Response, Upstream

_AS_IT_CAME: Final = web.ResponseKey("names of the fields that came", frozenset[bytes])
_HOST: Final = re.compile(r"[\w.\-:\[\]]+", re.ASCII)


class RestProxy:
    """Answers every request that is no upgrade."""

    def __init__(
        self, upstream: Upstream, intake: Intake, clock: Clock, *, origins: Sequence[str], notify: Notify
    ) -> None:
        self._origins = origins
        self._upstream = upstream
        self._intake = intake
        self._clock = clock
        self._notify = notify

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, there and back."""
        started_ns = self._clock.now_ns()
        origin = self._upstream.ways.http_for(request.headers.get("Host"))
        headers = sent_upstream(request.raw_headers, host=authority(origin))
        body = await request.read()
        try:
            response = await self._upstream.ask(
                request.method,
                request.raw_path,
                headers=headers,
                body=body,
                chunked="chunked" in request.headers.get("Transfer-Encoding", "").lower(),
                origin=origin,
            )
        except RecordingError as error:
            return unreachable(error, self._notify)
        exchange = exchange_of(
            response,
            started_ns,
            method=request.method,
            url=origin + request.raw_path,
            request_headers=headers,
            request_body=body,
        )
        self._intake.interaction(exchange)
        return await self.answer(request, exchange)

    async def answer(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        """Give the client what the upstream answered."""
        by_name = self._upstream.ways.is_by_name(request.headers.get("Host"))
        origins = Origins(() if by_name else self._origins, own=own_origin(request))
        answer = answer_to_client(exchange, origins)
        if answer.trouble:
            self._notify(Trouble(answer.trouble))
        if answer.complete:
            response = web.Response(
                status=answer.status, reason=answer.reason, headers=_fields(answer.headers), body=answer.body
            )
            names = response[_AS_IT_CAME] = frozenset(name.lower() for name, _ in answer.headers)
            has_length = b"content-length" in names or not _has_a_body(request.method, answer.status)
            if not has_length and request.version >= HttpVersion11:
                response.enable_chunked_encoding()
            return response
        return await _broken(request, answer)


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
    notify(Trouble(str(error)))
    sentence = json.dumps({"status": "ERROR", "error": f"tickdeck {error}"}, separators=(",", ":"))
    return web.Response(status=502, text=sentence, content_type="application/json")


async def as_it_came(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Take out what aiohttp adds to every response, where the upstream did not say it."""
    came = response.get(_AS_IT_CAME)
    if came is not None:
        for name in ("Content-Type", "Server", "Date"):
            if name.lower().encode() not in came:
                response.headers.popall(name, None)


def _has_a_body(method: str, status: int) -> bool:
    """Whether such an answer is followed by a body, maybe an empty one (RFC 9112 6.3)."""
    return method != "HEAD" and status not in (204, 304)


async def _broken(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """A response that broke off upstream breaks off here."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_fields(answer.headers))
    response[_AS_IT_CAME] = frozenset(name.lower() for name, _ in answer.headers)
    response.force_close()
    try:
        await response.prepare(request)
        await response.write(answer.body)
    except ConnectionError:
        pass  # the client is gone; what it was to be told was that this broke off
    if request.transport is not None:
        request.transport.close()
    return response


def _fields(headers: HeaderPairs) -> CIMultiDict[str]:
    return CIMultiDict(
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in headers
    )
