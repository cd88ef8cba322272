"""`MockServer`: a cassette as a server inside a Python program or test.

One constructor, two handles, so that both are typed. ``with`` gives a plain handle:
the server runs in a thread of its own and methods block. ``async with`` gives one
for the loop that is already there: what waits is awaited, all else is done at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from tickdeck.cassette.errors import TickdeckError, UsageError, said_by_us, without_internals
from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.placing import Chain, chain_of
from tickdeck.cassette.readable import Readable
from tickdeck.mockserver.controls import WaitTimeoutError
from tickdeck.mockserver.handles import AsyncMarket, PlainMarket
from tickdeck.mockserver.loops import new_loop_of
from tickdeck.mockserver.options import OptionWords, options_of
from tickdeck.mockserver.server import Player

__tracebackhide__ = said_by_us
__all__ = ["AsyncMarket", "MockServer", "PlainMarket", "WaitTimeoutError"]


class MockServer:
    """A cassette, served. ``cassette`` is a path, several (one tape, see ``chain``), or an open `Cassette`.

    The options are those of ``tickdeck play``; ``chain`` is ``back-to-back`` or ``wall``.

    ``with MockServer("open-auction.cassette", speed="max") as market:`` (plain) or
    ``async with`` (asyncio); `market` has ``http_url``, ``ws_url`` and ``feed``, and the
    verbs of the control (docs/control.md).
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
        self._options = without_internals(lambda: options_of(**options))
        self._plain: _Thread | None = None
        self._player: Player | None = None
        self._resources = ExitStack()

    def __enter__(self) -> PlainMarket:
        self._refuse_a_second()
        self._plain = _Thread(without_internals(self._make_player))
        try:
            return without_internals(self._plain.start)
        except BaseException:
            self._plain = None
            self._resources.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._plain is not None
        self._plain.stop()
        self._plain = None
        self._resources.close()

    async def __aenter__(self) -> AsyncMarket:
        self._refuse_a_second()
        self._player = without_internals(self._make_player)
        try:
            await self._player.start()
        except BaseException as error:
            await self._player.stop()
            self._player = None
            self._resources.close()
            if isinstance(error, TickdeckError):
                raise error.with_traceback(None) from error.__cause__
            raise
        return AsyncMarket(self._player, asyncio.get_running_loop())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._player is not None
        await self._player.stop()
        self._player = None
        self._resources.close()

    def _refuse_a_second(self) -> None:
        """One server at a time: who leaves would else end the other's."""
        if self._plain is not None or self._player is not None:
            raise UsageError("this MockServer is in use; make another one")

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
        self._loop.set_exception_handler(player.log.of_loop)
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
        self._submit(_cancel_the_rest()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        return self

    def _submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


async def _cancel_the_rest() -> None:
    """Whoever still waits in this loop, from another thread, is not to wait for ever."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
