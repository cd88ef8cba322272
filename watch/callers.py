"""Who makes a request, as far as it tells: for `gate`, which decides."""

from __future__ import annotations

from aiohttp import web

from tickdeck.watch.gate import Caller


def caller_of(request: web.BaseRequest) -> Caller:
    """The two ends of the connection, and what the request says of its origin."""
    fields = request.headers
    here = None if request.transport is None else request.transport.get_extra_info("sockname")
    return Caller(
        peer=request.remote,
        here=here[0] if isinstance(here, tuple) else None,
        secure=request.secure,
        host=fields.getall("Host", []),
        origin=fields.getall("Origin", []),
        site=fields.getall("Sec-Fetch-Site", []),
        authorization=fields.getall("Authorization", []),
    )
