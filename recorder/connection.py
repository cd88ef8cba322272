"""A connection to the service, looked through (see `framing`) before the HTTP library parses it.

The library drops what it has of a body where the connection is lost, and leaves a
reader waiting for ever where the body goes wrong. Both is mended here, in the classes
that it lets a program give it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from tickdeck.recorder.framing import Framing
from tickdeck.recorder.route import tunnel


class Watched(ResponseHandler):
    """A connection on which one answer comes after another; ``framing`` is the latest one's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.framing: Framing | None = None
        self.answer: Answer | None = None
        self.tunnel: asyncio.StreamWriter | None = None
        """What it goes through; as a stray object it would close the connection."""

    def set_response_params(self, *, skip_payload: bool = False, **others: Any) -> None:
        """See `aiohttp.client_proto.ResponseHandler`: an answer is waited for."""
        self.framing, self.answer = Framing(has_body=not skip_payload), None
        super().set_response_params(skip_payload=skip_payload, **others)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.framing is None or not data:  # without data the library goes on with what it has
            super().data_received(data)
            return
        for piece in self.framing.feed(bytes(data)):
            if piece:
                super().data_received(piece)
        if (self.framing.surplus or self.framing.is_broken) and self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        if self.answer is not None:
            self.answer.broke_off()


class Answer(aiohttp.ClientResponse):
    """An answer that knows how it was framed."""

    framing: Framing | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """See `aiohttp.ClientResponse`: wait for the head."""
        protocol = connection.protocol
        if isinstance(protocol, Watched):
            self.framing, protocol.answer = protocol.framing, self
            await super().start(connection)
            if not protocol.connected:
                self.broke_off()
            return self
        return await super().start(connection)

    def broke_off(self) -> None:
        """Nothing more comes: whoever still waits for the body is told so."""
        content: aiohttp.StreamReader | None = self.content
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the body broke off"))

    def rest(self) -> bytes:
        """What came of a body before it broke off, and was not read."""
        content = self.content
        broke_off, content._exception = content.exception(), None  # it stands before what came earlier
        try:
            return content.read_nowait()
        finally:
            content._exception = broke_off


class Connector(aiohttp.TCPConnector):
    """Connections that are `Watched`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(Watched, loop=self._loop)  # type: ignore[assignment]  # makes a kind of what it made

    async def _create_proxy_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        """See `aiohttp.TCPConnector`, which asks for a plain socket as for a page; RFC 6455 4.1 wants a tunnel."""
        if req.url.scheme != "ws" or req.proxy is None:
            return await super()._create_proxy_connection(req, traces, timeout)
        async with asyncio.timeout(timeout.sock_connect):
            _, writer = await tunnel(urlsplit(str(req.proxy)), req.url.host or "", req.url.port or 80)
        protocol = self._factory()
        if isinstance(protocol, Watched):
            protocol.tunnel = writer
        writer.transport.set_protocol(protocol)
        protocol.connection_made(writer.transport)
        return writer.transport, protocol
