"""The listening sockets, and whether anybody is connected to them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.handler import Handler
from tickdeck.mockserver.httprules import LARGEST_BODY
from tickdeck.mockserver.lingering import Lingering
from tickdeck.mockserver.secure import SecureHandler

_HANDLING: Final[dict[str, Any]] = {
    "access_log": None,
    "max_line_size": 65536,
    "max_field_size": 65536,
    "auto_decompress": False,
}


class Listening(web.Server):
    """aiohttp's server, which also says when the last connection has gone; with a ``context`` it speaks TLS."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        clock: Clock,
        on_change: Callable[[], None],
        log: logging.Logger,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._handling = {**_HANDLING, "logger": log}
        super().__init__(handler, request_factory=_request, **self._handling)
        self.lingering = Lingering(clock)
        self._context = context
        self._shaking_hands: set[SecureHandler] = set()
        self.alone_since_ns = clock.now_ns()
        self._clock = clock
        self._on_change = on_change
        self._connected: set[web.RequestHandler] = set()

    @property
    def connected(self) -> int:
        """How many connections are open; `connections` keeps one until its handler has ended, too."""
        return len(self._connected)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._connected.add(handler)

    def __call__(self) -> web.RequestHandler:
        """Whoever takes the next connection."""
        if self._context is None:
            return Handler(self, self.lingering, **self._handling)
        return SecureHandler(
            self, self.lingering, context=self._context, on_shaking=self._on_shaking, **self._handling
        )

    async def shutdown(self, timeout: float | None = None) -> None:
        """End what is still connected, those included who have not shaken hands."""
        for each in list(self._shaking_hands):
            await each.give_up()
        await super().shutdown(timeout)

    def _on_shaking(self, handler: SecureHandler, shaking: bool) -> None:
        (self._shaking_hands.add if shaking else self._shaking_hands.discard)(handler)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._connected.discard(handler)
        self.alone_since_ns = self._clock.now_ns()
        self._on_change()


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets on the host; for 127.0.0.1 also on ::1, at the same port, where the machine has it."""
    for _ in range(16):
        first = _bind(host, port)
        if host != "127.0.0.1":
            return [first]
        try:
            return [first, _bind("::1", first.getsockname()[1])]
        except UsageError:
            first.close()
            if port:
                raise
        except OSError:
            return [first]
    raise UsageError(f"no port is free on both {host} and ::1")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except (UnicodeError, TypeError) as error:  # a name that is none, before anything was asked
        listener.close()
        raise UsageError(f"{host!r} is no name of a host") from error
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} of {host} is taken; --port 0 takes a free one") from error
        if family == socket.AF_INET6 and host == "::1":
            raise
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def stop_accepting(listeners: Iterable[socket.socket]) -> None:
    """Accept nobody more: whom asyncio accepts while it closes a listener it forgets, and he would hang."""
    for each in listeners:
        with contextlib.suppress(NotImplementedError):  # not every event loop can
            asyncio.get_running_loop().remove_reader(each)


def stop_listening(listeners: Iterable[socket.socket]) -> None:
    """Refuse whoever comes, also where a process that was forked from this one still holds the listeners."""
    for each in listeners:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def is_hung_up(descriptor: int) -> bool:
    """Whether the other side of a connected socket has closed it; never where the system cannot tell."""
    if descriptor < 0 or not hasattr(select, "POLLRDHUP"):
        return False
    look = select.poll()
    look.register(descriptor, select.POLLRDHUP)
    return bool(look.poll(0))


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """As aiohttp makes one, but with a body as large as a cassette holds."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)
