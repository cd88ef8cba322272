"""How a client's WebSocket begins: aiohttp's part of it, and what is no handshake."""

from __future__ import annotations

from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from multidict import CIMultiDict

from tickdeck.mockserver.deflating import Agreement
from tickdeck.watch.handshakes import has_key, without_unknown_subprotocols

VERSION: Final = "13"
"""Of the protocol: RFC 6455."""


class ReadingSide(web.WebSocketResponse):
    """aiohttp's part of a socket, which says nothing by itself, not even at a broken message.

    What it would agree on about compression leaves out what a client may insist on, so
    that is ours too.
    """

    agreement: Agreement | None = None

    def _handshake(self, request: web.BaseRequest) -> tuple[CIMultiDict[str], str | None, int, bool]:
        headers, protocol, compress, no_takeover = super()._handshake(
            without_unknown_subprotocols(request, ())
        )
        if (agreement := self.agreement) is not None:
            headers[hdrs.SEC_WEBSOCKET_EXTENSIONS] = agreement.answer
            return headers, protocol, agreement.window_bits, True
        return headers, protocol, compress, no_takeover

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Leave that to the `Connection`."""
        return False


def refusal_of(request: web.BaseRequest) -> web.Response | None:
    """What answers a handshake of another version (RFC 6455 4.4) or of another kind of request (4.1)."""
    version = request.headers.get(hdrs.SEC_WEBSOCKET_VERSION)
    if version is not None and version.strip() != VERSION:
        headers = {hdrs.SEC_WEBSOCKET_VERSION: VERSION, hdrs.UPGRADE: "websocket"}
        return web.Response(status=426, headers=headers)
    if request.method != hdrs.METH_GET or request.version < HttpVersion11:
        return web.Response(status=400, text="a WebSocket begins with a GET of HTTP/1.1")
    if not has_key(request):
        return web.Response(status=400, text="the Sec-WebSocket-Key is not sixteen bytes in base64")
    return None
