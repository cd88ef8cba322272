"""What HTTP wants of a server whatever it is asked: RFC 9110 and RFC 9112."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from tickdeck.cassette.bodies import coding_of
from tickdeck.cassette.codings import KNOWN, opened, readable
from tickdeck.cassette.records import HeaderPairs

LARGEST_BODY: Final = 8 << 20
"""Bytes of a request body, also when it is opened: a recording holds no larger one."""

_HOST: Final = re.compile(r"(?:[\w.~%\-]+|\[[\w.:~%\-]+\])(?::(?P<port>\d{0,5}))?", re.ASCII)
"""A name or an address, and maybe a port: none of it means anything in JSON or in a header field."""

_HIGHEST_PORT: Final = 65535
_GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ContentCodingError(web.RequestPayloadError):
    """A body is not what its Content-Encoding says, or larger than `LARGEST_BODY` when it is opened."""


def refusal_of_host(request: web.BaseRequest) -> web.Response | None:
    """What answers a Host field that names no host (RFC 9112 3.2); none, or an empty one, is let be."""
    host = request.headers.get(hdrs.HOST, "")
    return bad_request("the Host field names no host") if host and not _is_host(host) else None


def host_of(request: web.BaseRequest) -> str | None:
    """The host that the client asked, as it spells it; where it says none, the address that it found."""
    if host := request.headers.get(hdrs.HOST):
        return host
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return authority(*name[:2]) if name else None


def authority(host: str, port: int) -> str:
    """``host:port`` as a URL has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def invite(request: web.BaseRequest) -> None:
    """Tell a client to go on that waits for it before it sends the body (RFC 9110 10.1.1)."""
    waits = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
    if waits and request.body_exists and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(_GO_ON)


async def body_of(request: web.BaseRequest) -> bytes:
    """The body as it comes; `web.HTTPRequestEntityTooLarge` at once where its length says that it is too large."""
    if (length := request.content_length or 0) > LARGEST_BODY:
        raise web.HTTPRequestEntityTooLarge(max_size=LARGEST_BODY, actual_size=length)
    invite(request)
    return await request.read()


def plain_body(headers: HeaderPairs, body: bytes) -> bytes:
    """A body without its coding, as one of a recording; `ContentCodingError` where it cannot be had.

    One under a coding that nobody here knows stays as it is.
    """
    codings = coding_of(headers, body)
    if not body or not codings or not KNOWN.issuperset(codings):
        return body
    if any(name.lower() == b"content-encoding" for name, _ in headers):
        plain = opened(body, codings, limit=LARGEST_BODY)
        if plain is None:
            raise ContentCodingError
        return plain
    return readable(body, codings, limit=LARGEST_BODY) or body


def bad_request(sentence: str) -> web.Response:
    """A refusal after which nothing more can be read on the connection."""
    response = web.Response(status=400, text=f"{sentence}\n")
    response.force_close()
    return response


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and int(found["port"] or 0) <= _HIGHEST_PORT
