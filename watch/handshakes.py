"""A WebSocket handshake as aiohttp may look at it: it logs the subprotocols that it does not know, a key maybe."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from aiohttp import hdrs, web
from multidict import CIMultiDict


def without_unknown_subprotocols(request: web.BaseRequest, known: Iterable[str]) -> Any:
    """The request, or what a handshake looks at of it, without subprotocols of which none is known here."""
    named = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    if named is None or not set(known).isdisjoint(each.strip() for each in named.split(",")):
        return request
    fields = CIMultiDict(request.headers)
    fields.popall(hdrs.SEC_WEBSOCKET_PROTOCOL)
    return SimpleNamespace(headers=fields, remote=request.remote, _message=request._message)
