"""`MockServer`: a cassette as a server inside a Python program or test.

One constructor, two handles, so that both are typed. ``with`` gives a plain handle:
the server runs in a thread of its own and methods block. ``async with`` gives one
for the loop that is already there: what waits is awaited, all else is done at once.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.placing import Chain, chain_of
from tickdeck.cassette.readable import Readable
from tickdeck.gateway.identity import client_context
from tickdeck.mockserver.controls import Controls, WaitTimeoutError
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.loops import new_loop_of
from tickdeck.mockserver.options import OptionWords, options_of
from tickdeck.mockserver.server import Player
from tickdeck.mockserver.telling import Line
from tickdeck.mockserver.views import ClientView, Moved, State

__all__ = ["AsyncMarket", "MockServer", "PlainMarket", "WaitTimeoutError"]

Result = TypeVar("Result")


class _Market(ABC):
    """What both handles have: where the server is, and every verb that does not wait.

    Where a verb takes a ``timeline`` (a number from 1), it is for that one alone;
    without it, for all. What is asked is also answered once the server has stopped.
    """

    def __init__(self, player: Player, loop: asyncio.AbstractEventLoop) -> None:
        self._player = player
        self._loop = loop
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

    @abstractmethod
    def _in_loop(self, work: Callable[[], Result]) -> Result:
        """Done in the server's loop."""

    # -- what it is asked

    @property
    def journal(self) -> list[Entry]:
        """What clients did so far, and what the server was told, in order."""
        return self._ask(lambda: list(self._player.journal.entries))

    def state(self) -> State:
        """Where everything stands."""
        return self._ask(self._controls.state)

    def clients(self) -> list[ClientView]:
        """Who is connected: what it holds, where it is."""
        return self._ask(self._controls.clients)

    def misses(self) -> list[dict[str, object]]:
        """Requests that were not on the cassette, each with the nearest recording."""
        return self._ask(self._controls.misses)

    def metrics(self) -> str:
        """The numbers of the run, as Prometheus reads them (docs/control.md)."""
        return self._ask(self._controls.metrics)

    def report(self) -> Line:
        """Who was sent what, misses, missteps, lateness, digests (docs/playing.md)."""
        return self._ask(self._player.report)

    # -- what it is told

    def pause(self, *, timeline: int | None = None) -> State:
        """Stand still."""
        return self._tell(lambda: self._controls.pause(timeline=timeline))

    def resume(self, *, timeline: int | None = None) -> State:
        """Go on; with ``start_on="control"`` this is the start, also for clients that come later."""
        return self._tell(lambda: self._controls.resume(timeline=timeline))

    def speed(self, speed: str | float | Fraction, *, timeline: int | None = None) -> State:
        """Go on at another speed: a factor, ``max``, ``step`` or ``lockstep``; timelines to come start at it too."""
        return self._tell(lambda: self._controls.speed(speed, timeline=timeline))

    def seek(self, to: str, *, timeline: int | None = None) -> State:
        """Jump to a place on the tape: ``+90s``, ``09:31:05`` or a timestamp with its zone."""
        return self._tell(lambda: self._controls.seek(to, timeline=timeline))

    def step(
        self, *, frames: int | None = None, duration: str | None = None, timeline: int | None = None
    ) -> Moved:
        """Let the next frames (one, if nothing is said) or a stretch of the tape (``500ms``) go, and stand."""
        return self._tell(lambda: self._controls.step(frames=frames, duration=duration, timeline=timeline))

    def burst(
        self, *, frames: int | None = None, duration: str | None = None, timeline: int | None = None
    ) -> Moved:
        """Let frames, or a stretch of the tape, go at once, and go on from there at the speed there was."""
        return self._tell(lambda: self._controls.burst(frames=frames, duration=duration, timeline=timeline))

    def drop(self, *, code: int | None = None, reason: str = "", client: int | None = None) -> State:
        """Lose every client, or one: with a close frame of ``code``, or without one."""
        return self._tell(lambda: self._controls.drop(code=code, reason=reason, client=client))

    def stub(
        self,
        request: str,
        body: object = None,
        *,
        status: int = 200,
        content_type: str = "application/json",
        clear: bool = False,
    ) -> None:
        """Answer a request (``GET /v1/marketstatus/now``) with a body: bytes, text, or what becomes JSON.

        ``clear`` lets the cassette answer again.
        """
        self._tell(
            lambda: self._controls.stub(request, body, status=status, content_type=content_type, clear=clear)
        )

    def refuse_keys(self, keys: Iterable[str] | None = None, *, refuse: bool = True) -> None:
        """Refuse these keys from now on (all, if none is named), or take them again. Who is in stays in."""
        self._tell(lambda: self._controls.refuse_keys(keys, refuse=refuse))

    def send(self, payload: bytes | str, *, market: str | None = None) -> int:
        """A frame of one's own, a JSON array of events, to each client that holds one of its channels; to how many."""
        return self._tell(lambda: self._controls.send(payload, market=market))

    # -- how it is done

    @property
    def _controls(self) -> Controls:
        return self._player.controls

    def _ask(self, work: Callable[[], Result]) -> Result:
        return self._in_loop(work) if self._player.running else work()

    def _tell(self, work: Callable[[], Result]) -> Result:
        self._need_running()
        return self._in_loop(work)

    def _need_running(self) -> None:
        if not self._player.running:
            raise UsageError("the server has stopped: it can be asked, and told nothing any more")


class AsyncMarket(_Market):
    """A running server, driven from its own event loop."""

    async def reset(self) -> State:
        """As if the server had just started: clients are closed with 1001, all told and counted is forgotten."""
        self._need_running()
        return await self._controls.reset()

    async def wait_started(self, timeout: float = 30) -> None:
        """Until the tape runs; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._wait("started", timeout)

    async def wait_finished(self, timeout: float = 30) -> None:
        """Until the tape has ended and was sent; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._wait("finished", timeout)

    async def wait_delivered(self, timeout: float = 30) -> None:
        """Until all that is due by now has left for every client; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._wait("delivered", timeout)

    async def wait_left(self, timeout: float = 30) -> None:
        """Until no client is connected; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._wait("left", timeout)

    async def _wait(self, what: str, timeout: float) -> None:
        self._need_running()
        await self._controls.wait(what, timeout=timeout)

    def _in_loop(self, work: Callable[[], Result]) -> Result:
        if _running_loop() is not self._loop:
            raise UsageError(
                "a handle of async with was used outside its event loop; use with instead, for a plain one"
            )
        return work()


class PlainMarket(_Market):
    """A running server, driven from any thread; methods block."""

    def reset(self) -> State:
        """As if the server had just started: clients are closed with 1001, all told and counted is forgotten."""
        return self._await(self._controls.reset)

    def wait_started(self, timeout: float = 30) -> None:
        """Until the tape runs; `WaitTimeoutError` after ``timeout`` seconds."""
        self._wait("started", timeout)

    def wait_finished(self, timeout: float = 30) -> None:
        """Until the tape has ended and was sent; `WaitTimeoutError` after ``timeout`` seconds."""
        self._wait("finished", timeout)

    def wait_delivered(self, timeout: float = 30) -> None:
        """Until all that is due by now has left for every client; `WaitTimeoutError` after ``timeout`` seconds."""
        self._wait("delivered", timeout)

    def wait_left(self, timeout: float = 30) -> None:
        """Until no client is connected; `WaitTimeoutError` after ``timeout`` seconds."""
        self._wait("left", timeout)

    def _wait(self, what: str, timeout: float) -> None:
        self._await(lambda: self._controls.wait(what, timeout=timeout))

    def _in_loop(self, work: Callable[[], Result]) -> Result:
        async def in_the_loop() -> Result:
            return work()

        return self._await(in_the_loop)

    def _await(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        self._need_running()
        if _running_loop() is self._loop:
            raise UsageError(
                "a plain handle was used in the server's own thread, which would wait for itself; use async with"
            )
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise UsageError("the server was stopped meanwhile") from None
        except BaseException:
            future.cancel()
            raise


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
        self._options = options_of(**options)
        self._plain: _Thread | None = None
        self._player: Player | None = None
        self._resources = ExitStack()

    def __enter__(self) -> PlainMarket:
        self._refuse_a_second()
        self._plain = _Thread(self._make_player())
        try:
            return self._plain.start()
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
        self._player = self._make_player()
        try:
            await self._player.start()
        except BaseException:
            await self._player.stop()
            self._player = None
            self._resources.close()
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


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
