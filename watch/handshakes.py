"""A WebSocket handshake as aiohttp may look at it.

It logs the subprotocols that it does not know, a key maybe, and takes a Sec-WebSocket-Key for text in ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")


def has_key(request: web.BaseRequest) -> bool:
    """Whether there is a Sec-WebSocket-Key as RFC 6455 4.1 wants it."""
    return _KEY.fullmatch(request.headers.get(hdrs.SEC_WEBSOCKET_KEY, "")) is not None


def without_unknown_subprotocols(request: web.BaseRequest, known: Iterable[str]) -> Any:
    """The request, or what a handshake looks at of it, without subprotocols of which none is known here."""
    named = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    if named is None or not set(known).isdisjoint(each.strip() for each in named.split(",")):
        return request
    fields = CIMultiDict(request.headers)
    fields.popall(hdrs.SEC_WEBSOCKET_PROTOCOL)
    return SimpleNamespace(headers=fields, remote=request.remote, _message=request._message)
