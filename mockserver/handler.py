"""aiohttp's side of a connection, with what a server of ours needs to know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp import web

from tickdeck.mockserver.strictness import FrameWatch

_NO_FRAME: Final = b"\xff\x80\x00\x00\x00\x00"
"""A head with reserved bits: what aiohttp's reader is given in the place of one that it would let pass."""


class Handler(web.RequestHandler):
    """``gone`` is set at its end; ``breach`` is what a client did that aiohttp's own reader does not mind."""

    def __init__(self, manager: web.Server, **handling: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **handling)
        self.gone = asyncio.Event()
        self.on_gone: Callable[[], object] | None = None
        """What to call at its end: an answer that is held for this client waits no longer."""
        self._watch: FrameWatch | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended."""
        super().connection_lost(exc)
        self.gone.set()
        if self.on_gone is not None:
            self.on_gone()

    @property
    def breach(self) -> str | None:
        """What was wrong with the client's frames, if something was."""
        return None if self._watch is None else self._watch.breach

    @property
    def below(self) -> asyncio.Transport | None:
        """The TCP connection."""
        return self.transport

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """A handshake is done: from here on there are frames."""
        self._watch = FrameWatch()
        watched: Any = _Watched(parser, self._watch)
        super().set_parser(watched, data_received_cb)


class _Reader(Protocol):
    def feed_data(self, data: bytes) -> tuple[bool, bytes]: ...

    def feed_eof(self) -> None: ...


class _Watched:
    """A reader that is given only what may be read."""

    def __init__(self, reader: _Reader, watch: FrameWatch) -> None:
        self._reader = reader
        self._watch = watch
        self.feed_eof = reader.feed_eof

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        broken, rest = self._reader.feed_data(self._watch.feed(data))
        if broken or self._watch.breach is None:
            return broken, rest
        return self._reader.feed_data(_NO_FRAME)
