"""A connection under TLS: its handshake, and what cannot be done through the encryption.

asyncio's TLS transport has no half-close, and closes with an alert (close_notify) or by
throwing away what is unsent. A WebSocket needs more: to say its last frame to a client
that is still talking, and to get lost as a broken line does. So the TCP connection
``below`` is kept: what was written through the encryption, then the end of the
connection below it. Without TLS the two are one and the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from aiohttp import web

from tickdeck.mockserver.handler import Handler
from tickdeck.mockserver.lingering import Lingering, shut_down

HANDSHAKE_S: Final = 10.0
"""How long a client may take to shake hands."""

SHUTDOWN_S: Final = 2.0
"""How long it may take to answer the last word of TLS."""


class SecureHandler(Handler):
    """aiohttp's side of a connection, which it is given once the hands are shaken."""

    def __init__(
        self,
        manager: web.Server,
        lingering: Lingering,
        *,
        context: ssl.SSLContext,
        on_shaking: Callable[[SecureHandler, bool], None],
        **handling: Any,
    ) -> None:
        super().__init__(manager, lingering, **handling)
        self._below: asyncio.Transport | None = None
        self._context = context
        self._on_shaking = on_shaking
        self._shaking: asyncio.Task[None] | None = None
        self._early: list[bytes] = []

    @property
    def below(self) -> asyncio.Transport | None:
        """The TCP connection under the encryption."""
        return self._below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection is there."""
        below = cast(asyncio.Transport, transport)
        self._below = below
        self._shaking = asyncio.get_running_loop().create_task(self._shake_hands(below))
        self._on_shaking(self, True)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has gone, maybe before aiohttp was told of it."""
        if self.transport is not None:
            super().connection_lost(exc)

    def closing(self, below: asyncio.BaseTransport | None, exc: BaseException | None) -> None:
        """The socket was closed already: `closing_below` was told before."""

    def closing_below(self, exc: BaseException | None) -> None:
        """The socket is closed next."""
        super().closing(self._below, exc)

    def data_received(self, data: bytes) -> None:
        """A client may send its request together with the end of its handshake."""
        if self.transport is None:
            self._early.append(data)
        else:
            super().data_received(data)

    async def give_up(self) -> None:
        """End it, if its hands are not shaken yet."""
        if self._shaking is not None and self._below is not None:
            self._below.abort()
            self._shaking.cancel()
            await asyncio.wait([self._shaking])

    async def _shake_hands(self, below: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                below,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except (
            OSError
        ) as error:  # no TLS, a CA that is not trusted, the end, or silence: it ends this one alone
            self.logger.debug("no handshake", exc_info=error)
            shut_down(below)
            return
        finally:
            self._on_shaking(self, False)
        if transport is None or transport.is_closing():
            below.abort()  # it came and went
            return
        below.set_protocol(_Below(cast(asyncio.BufferedProtocol, below.get_protocol()), self.closing_below))
        super().connection_made(transport)
        for data in self._early:
            super().data_received(data)
        self._early.clear()


def say_no_more(transport: asyncio.Transport, below: asyncio.Transport) -> None:
    """End our side behind all that was written; what still comes is not heard."""
    if transport is below:
        below.resume_reading()
        _end_of_ours(below)
    else:
        _when_encrypted(transport, lambda: _turn_away(below))


def unencrypted(transport: asyncio.Transport) -> int:
    """Bytes that wait in a transport; none where asyncio has dropped its encryption (at the second close)."""
    encryption = getattr(transport, "_ssl_protocol", transport)
    return 0 if encryption is None else transport.get_write_buffer_size()


def hang_up(transport: asyncio.Transport, below: asyncio.Transport) -> None:
    """End the connection behind all that was written, as a line ends that breaks: over TLS without an alert."""
    if transport is below:
        below.close()
    else:
        _when_encrypted(transport, below.close)


def _when_encrypted(transport: asyncio.Transport, then: Callable[[], None]) -> None:
    if unencrypted(transport):
        transport.set_protocol(_Emptying(transport.get_protocol(), then))
    else:
        then()


def _turn_away(below: asyncio.Transport) -> None:
    below.set_protocol(_Deaf(below.get_protocol()))
    below.resume_reading()
    _end_of_ours(below)


def _end_of_ours(below: asyncio.Transport) -> None:
    with contextlib.suppress(OSError):  # it is lost already, which is noticed by reading
        below.write_eof()


class _Below(asyncio.BufferedProtocol):
    """Stands between the TCP connection and its encryption, for the socket's end is to be seen before it is closed."""

    def __init__(
        self, encryption: asyncio.BufferedProtocol, on_closing: Callable[[BaseException | None], None]
    ) -> None:
        self._encryption = encryption
        self._on_closing = on_closing

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where what comes is put."""
        return self._encryption.get_buffer(sizehint)  # type: ignore[return-value]  # typeshed: a buffer of any kind

    def buffer_updated(self, nbytes: int) -> None:
        """It has come."""
        self._encryption.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        """The client has ended its side."""
        return self._encryption.eof_received()

    def pause_writing(self) -> None:
        """The connection takes no more for now."""
        self._encryption.pause_writing()

    def resume_writing(self) -> None:
        """It takes more."""
        self._encryption.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._on_closing(exc)
        self._encryption.connection_lost(exc)


class _Emptying(asyncio.Protocol):
    """Waits until all that was written is encrypted and on its way; the end is handed on."""

    def __init__(self, before: asyncio.BaseProtocol, then: Callable[[], None]) -> None:
        self._before = before
        self._then = then

    def resume_writing(self) -> None:
        """It is: nothing waits above the connection below."""
        self._then()

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        self._before.connection_lost(error)


class _Deaf(asyncio.Protocol):
    """Takes the place of the encryption: what it would answer to words that come too late has no way out any more."""

    def __init__(self, encryption: asyncio.BaseProtocol) -> None:
        self._encryption = encryption

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        self._encryption.connection_lost(error)
