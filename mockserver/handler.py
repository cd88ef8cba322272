"""aiohttp's side of a connection, with what a server of ours needs to know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp import web

from tickdeck.mockserver.lingering import Delivery, Lingering, shut_down
from tickdeck.mockserver.strictness import FrameWatch

_NO_FRAME: Final = b"\xff\x80\x00\x00\x00\x00"
"""A head with reserved bits: what aiohttp's reader is given in the place of one that it would let pass."""


class Handler(web.RequestHandler):
    """``gone`` is set at its end; ``breach`` is what a client did that aiohttp's own reader does not mind.

    ``talks``: its client may have more to say once the server has ended it. ``is_cut``: it is not waited for.
    ``delivery`` is what became of what was written last.
    """

    def __init__(self, manager: web.Server, lingering: Lingering, **handling: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **handling)
        self.gone = asyncio.Event()
        self.on_gone: Callable[[], object] | None = None
        """What to call at its end: an answer that is held for this client waits no longer."""
        self.talks = False
        self.is_cut = False
        self.delivery = Delivery()
        self._lingering = lingering
        self._made: asyncio.BaseTransport | None = None
        self._watch: FrameWatch | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._made = transport  # aiohttp forgets its own when it closes it
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended."""
        self.closing(self._made, exc)
        super().connection_lost(exc)
        self.gone.set()
        if self.on_gone is not None:
            self.on_gone()

    def closing(self, below: asyncio.BaseTransport | None, exc: BaseException | None) -> None:
        """The socket is closed next: its last words are to arrive, unless it is lost."""
        if below is None or exc is not None or self.is_cut:
            shut_down(below)
        else:
            self._lingering.keep(below, talks=self.talks, delivery=self.delivery)

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
