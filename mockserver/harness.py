"""`MockServer`: a cassette as a server inside a Python program or test.

One constructor, two handles, so that both are typed. ``with`` gives a plain handle:
the server runs in a thread of its own and methods block. ``async with`` gives one
whose methods are awaited: the server runs in the loop that is already there.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.placing import Chain, chain_of
from tickdeck.cassette.readable import Readable
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.loops import new_loop_of
from tickdeck.mockserver.options import OptionWords, options_of
from tickdeck.mockserver.server import Player
from tickdeck.mockserver.telling import Line
from tickdeck.mockserver.tls import client_context

Result = TypeVar("Result")


class _Handle:
    def __init__(self, player: Player) -> None:
        self._player = player
        self.http_url = player.http_url
        self.ws_url = player.ws_url
        self.feed = player.feed
        self.port = player.port
        self.ca_file = player.ca_file

    def ssl_context(self) -> ssl.SSLContext:
        """What a client connects with that trusts the throw-away CA; `UsageError` where there is none."""
        if self.ca_file is None:
            raise UsageError("this server has no throw-away CA to trust; tls=True without tls_cert makes one")
        return client_context(self.ca_file)

    @property
    def journal(self) -> list[Entry]:
        """What clients did so far, in order."""
        return list(self._player.journal.entries)


class AsyncMarket(_Handle):
    """A running server, driven from its own event loop."""

    def report(self) -> Line:
        """Who was sent what, misses, missteps, lateness, digests (docs/playing.md)."""
        return self._player.report()

    def drop(self, *, code: int | None = None, reason: str = "") -> None:
        """Lose every client: with a close frame of ``code``, or without one."""
        self._player.controls.drop(code=code, reason=reason)

    async def wait_started(self, timeout: float = 30) -> None:
        """Until the tape runs; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._player.controls.wait("started", timeout=timeout)

    async def wait_finished(self, timeout: float = 30) -> None:
        """Until the tape has ended and was sent; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._player.controls.wait("finished", timeout=timeout)

    async def wait_left(self, timeout: float = 30) -> None:
        """Until no client is connected; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._player.controls.wait("left", timeout=timeout)


class PlainMarket(_Handle):
    """A running server, driven from any thread; methods block."""

    def __init__(self, player: Player, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(player)
        self._loop = loop

    def report(self) -> Line:
        """Who was sent what, misses, missteps, lateness, digests (docs/playing.md)."""
        return self._call(self._player.report)

    def drop(self, *, code: int | None = None, reason: str = "") -> None:
        """Lose every client: with a close frame of ``code``, or without one."""
        self._call(lambda: self._player.controls.drop(code=code, reason=reason))

    def wait_started(self, timeout: float = 30) -> None:
        """Until the tape runs; `WaitTimeoutError` after ``timeout`` seconds."""
        self._run(self._player.controls.wait("started", timeout=timeout))

    def wait_finished(self, timeout: float = 30) -> None:
        """Until the tape has ended and was sent; `WaitTimeoutError` after ``timeout`` seconds."""
        self._run(self._player.controls.wait("finished", timeout=timeout))

    def wait_left(self, timeout: float = 30) -> None:
        """Until no client is connected; `WaitTimeoutError` after ``timeout`` seconds."""
        self._run(self._player.controls.wait("left", timeout=timeout))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _call(self, work: Callable[[], Result]) -> Result:
        async def in_the_loop() -> Result:
            return work()

        return self._run(in_the_loop())


class MockServer:
    """A cassette, served. ``cassette`` is a path, several (one tape, see ``chain``), or an open `Cassette`.

    The options are those of ``tickdeck play``; ``chain`` is ``back-to-back`` or ``wall``.

    ``with MockServer("open-auction.cassette", speed="max") as market:`` (plain) or
    ``async with`` (asyncio); `market` has ``http_url``, ``ws_url`` and ``feed``.
    """

    def __init__(
        self,
        cassette: str | Path | Sequence[str | Path] | Readable,
        *,
        chain: str = Chain.BACK_TO_BACK,
        **options: Unpack[OptionWords],
    ) -> None:
        self._given = cassette
        self._order = chain_of(chain)
        self._options = options_of(**options)
        self._plain: _Thread | None = None
        self._player: Player | None = None
        self._resources = ExitStack()

    def __enter__(self) -> PlainMarket:
        self._plain = _Thread(self._make_player())
        try:
            return self._plain.start()
        except BaseException:
            self._resources.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._plain is not None
        self._plain.stop()
        self._resources.close()

    async def __aenter__(self) -> AsyncMarket:
        self._player = self._make_player()
        try:
            await self._player.start()
        except BaseException:
            await self._player.stop()
            self._resources.close()
            raise
        return AsyncMarket(self._player)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._player is not None
        await self._player.stop()
        self._resources.close()

    def _make_player(self) -> Player:
        if not isinstance(self._given, str | Path | Sequence):
            return Player(self._given, self._options)
        paths = [self._given] if isinstance(self._given, str | Path) else self._given
        cassette = self._resources.enter_context(open_cassettes(paths, order=self._order))
        try:
            return Player(cassette, self._options)
        except BaseException:
            self._resources.close()
            raise


class _Thread:
    """An event loop in a thread of its own, with a player in it."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._loop = new_loop_of(player.options.effective_loop)()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tickdeck", daemon=True)

    def start(self) -> PlainMarket:
        self._thread.start()
        try:
            self._submit(self._player.start()).result()
        except BaseException:
            self.stop()
            raise
        return PlainMarket(self._player, self._loop)

    def stop(self) -> Self:
        self._submit(self._player.stop()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        return self

    def _submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
