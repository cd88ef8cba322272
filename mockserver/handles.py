"""The handles of a `MockServer`: where it is, what it can be asked and told, and what can be waited for.

One handle blocks and is used from any thread; of the other what waits is awaited, in
the loop of the server. Both have every other verb in common.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from typing import Any, Final, Self, TypeVar

from tickdeck.cassette.errors import TickdeckError, UsageError, said_by_us, without_internals
from tickdeck.gateway.identity import client_context
from tickdeck.mockserver.controls import Controls, WaitTimeoutError
from tickdeck.mockserver.happenings import (
    Happenings,
    assert_no_missteps,
    assert_requested,
    assert_subscribed,
)
from tickdeck.mockserver.lastsent import Sent
from tickdeck.mockserver.options import SECOND
from tickdeck.mockserver.server import Player
from tickdeck.mockserver.telling import Line
from tickdeck.mockserver.views import ClientView, Moved, State
from tickdeck.mockserver.waits import STOPPED
from tickdeck.watch.realtime import REAL

LOOK_EVERY_S: Final = 0.005
"""How often the predicate of `wait_until` is asked."""

TEST_KEY: Final = "test"
__tracebackhide__ = said_by_us

Result = TypeVar("Result")


class Market(ABC):
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
        self._traveller: Any = None

    @property
    def key(self) -> str:
        """An API key that this server takes: the first of ``keys``, else ``test``."""
        good = self._player.options.good_keys
        return min(good) if good else TEST_KEY

    @contextmanager
    def use_market_time(self) -> Iterator[None]:
        """``time.time`` and ``datetime.now`` of this process show market time, that of the playhead.

        At speed 1 it goes on from there; at any other speed it stands, and is set to the playhead at each wait,
        step, burst and seek. ``time.monotonic`` and sleeps stay as they are. Needs time-machine (extra ``testing``).
        """
        travel = _time_machine()
        with travel(
            self._market_seconds(), tick=self._ask(self._controls.state)["speed"] == "1"
        ) as traveller:
            self._traveller = traveller
            try:
                yield
            finally:
                self._traveller = None

    def _market_seconds(self) -> float:
        timelines = self._ask(self._controls.state)["timelines"]
        position_ns = max((each["position_ns"] for each in timelines), default=0)
        return self._player.market_ns(max(position_ns, 0)) / 1e9

    def _set_time(self) -> None:
        """The playhead may have moved."""
        if self._traveller is not None and self._ask(self._controls.state)["speed"] != "1":
            self._traveller.move_to(self._market_seconds(), tick=False)

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
    def journal(self) -> Happenings:
        """What clients did so far, and what the server was told, in order."""
        return self._ask(lambda: Happenings(self._player.journal.entries))

    def state(self) -> State:
        """Where everything stands."""
        return self._ask(self._controls.state)

    def clients(self) -> list[ClientView]:
        """Who is connected: what it holds, where it is."""
        return self._ask(self._controls.clients)

    def misses(self) -> list[dict[str, object]]:
        """Requests that were not on the cassette, each with the nearest recording."""
        return self._ask(self._controls.misses)

    def situation(self) -> str:
        """Where things stand, in words: ``it never started: 1 client, authenticated, no subscription``."""
        return self._ask(self._controls.situation)

    def failure(self) -> str | None:
        """What went wrong inside the server, if anything."""
        return self._ask(self._controls.state)["error"]

    @property
    def zero_wall_ns(self) -> int:
        """The wall clock at the tape's zero, as clients see it: nanoseconds since 1970 (UTC)."""
        return self._ask(lambda: self._player.market_ns(0))

    def market_ns(self, position_ns: int) -> int:
        """The wall clock at a position of the tape, as clients see it: nanoseconds since 1970 (UTC)."""
        return self._ask(lambda: self._player.market_ns(position_ns))

    def last_sent(self, most: int = 3) -> dict[int, list[Sent]]:
        """By client, the last frames of data that it was sent; of clients that have left, the last sixteen."""
        return self._ask(lambda: self._controls.last_sent(most))

    @property
    def last_wait(self) -> str:
        """The wait that ended last (``finished``, ``delivered`` ...); empty where that was `wait_until`, or none."""
        return self._controls.last_wait

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
        return self._moved(self._tell(lambda: self._controls.seek(to, timeline=timeline)))

    def step(
        self,
        *,
        frames: int | None = None,
        seconds: float | None = None,
        duration: str | None = None,
        timeline: int | None = None,
    ) -> Moved:
        """Let the next frames (one, if nothing is said) or a stretch of the tape go, and stand.

        The stretch is ``seconds=0.5`` or ``duration="500ms"``.
        """
        if seconds is not None:
            if duration is not None:
                raise UsageError("step takes seconds or a duration, not both")
            duration = f"{seconds:f}s"
        done = self._tell(lambda: self._controls.step(frames=frames, duration=duration, timeline=timeline))
        return self._moved(done)

    def burst(
        self, *, frames: int | None = None, duration: str | None = None, timeline: int | None = None
    ) -> Moved:
        """Let frames, or a stretch of the tape, go at once, and go on from there at the speed there was."""
        done = self._tell(lambda: self._controls.burst(frames=frames, duration=duration, timeline=timeline))
        return self._moved(done)

    def drop(
        self,
        *,
        code: int | None = None,
        reason: str = "",
        client: int | None = None,
        abrupt: bool | None = None,
    ) -> State:
        """Lose every client, or one: with a close frame of ``code``, or without one (``abrupt``)."""
        if abrupt is not None and abrupt != (code is None):
            raise UsageError("a drop is abrupt or has a code" + (", not both" if abrupt else ""))
        return self._tell(lambda: self._controls.drop(code=code, reason=reason, client=client))

    def stub(
        self,
        request: str,
        body: object = "",
        *,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str | int] | None = None,
        times: int | None = None,
        clear: bool = False,
    ) -> None:
        """Answer a request (``GET /v1/marketstatus/now``) with a body: bytes, text, or what becomes JSON.

        A request with a query is answered for that query alone, one without for any. After ``times``
        answers the cassette answers again, and so it does with ``clear``.
        """
        words: dict[str, Any] = {"status": status, "content_type": content_type, "headers": headers}
        self._tell(lambda: self._controls.stub(request, body, times=times, clear=clear, **words))

    def refuse_keys(self, keys: Iterable[str] | None = None, *, refuse: bool = True) -> None:
        """Refuse these keys from now on (all, if none is named), or take them again. Who is in stays in."""
        self._tell(lambda: self._controls.refuse_keys(keys, refuse=refuse))

    def send(
        self,
        payload: bytes | str | Mapping[str, object] | Sequence[Mapping[str, object]],
        *,
        market: str | None = None,
    ) -> int:
        """A frame of one's own to each client that holds one of its channels; to how many.

        It is an event (``{"ev": "T", "sym": "AAPL", "p": 1.5}``), several, or the text of a JSON array of them.
        """
        frame = _frame_of(payload)
        return self._tell(lambda: self._controls.send(frame, market=market))

    # -- what is proved of it

    def assert_subscribed(self, *channels: str) -> None:
        """AssertionError, with what there was, unless a client has subscribed to each of these."""
        assert_subscribed(self.journal, channels)

    def assert_requested(self, request: str, *, times: int | None = None) -> None:
        """AssertionError unless ``GET /v3/trades/AAPL`` was asked (so many ``times``), with at least its query."""
        assert_requested(self.journal, request, times)

    def assert_no_missteps(self) -> None:
        """AssertionError, with each of them, if a client did what the vendor would not have answered."""
        assert_no_missteps(self.journal)

    # -- how it is done

    @property
    def _controls(self) -> Controls:
        return self._player.controls

    def _ask(self, work: Callable[[], Result]) -> Result:
        return self._in_loop(work) if self._player.running else without_internals(work)

    def _tell(self, work: Callable[[], Result]) -> Result:
        self._need_running()
        return self._in_loop(work)

    def _moved(self, done: Result) -> Result:
        self._set_time()
        return done

    def _look_for_failure(self) -> None:
        """What the program waits for may never come, because the cassette could not be read."""
        failure = self._player.failure
        if failure is not None:
            raise failure

    def _in_vain(self, predicate: object, timeout: float) -> str:
        name = getattr(predicate, "__qualname__", "")
        what = f"{name}()" if name and "<lambda>" not in name else "what was asked for"
        return f"waited {timeout:g} s for {what}; {self._ask(self._controls.in_vain)}"

    def _need_running(self) -> None:
        if not self._player.running:
            raise UsageError("the server has stopped: it can be asked, and told nothing any more")


class AsyncMarket(Market):
    """A running server, driven from its own event loop."""

    async def reset(self) -> State:
        """As if the server had just started: clients are closed with 1001, all told and counted is forgotten."""
        self._need_running()
        return await self._controls.reset()

    async def wait_started(self, timeout: float = 30) -> None:
        """Until the tape runs; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._wait("started", timeout)

    async def wait_finished(self, timeout: float = 30) -> None:
        """Until the tape has ended and the clients have taken it in; `WaitTimeoutError` after ``timeout`` seconds.

        That is: each has answered a ping behind its last frame and been quiet for 50 ms (docs/testing.md).
        """
        await self._wait("finished", timeout)

    async def wait_delivered(self, timeout: float = 30) -> None:
        """Until the clients have taken in all that is due by now; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._wait("delivered", timeout)

    async def wait_left(self, timeout: float = 30) -> None:
        """Until no client is connected; `WaitTimeoutError` after ``timeout`` seconds."""
        await self._wait("left", timeout)

    async def wait_subscribed(self, *channels: str, timeout: float = 30) -> None:
        """Until each channel is held by a client; `WaitTimeoutError` after ``timeout`` seconds for one of them."""
        for channel in _some(channels):
            await self._wait("subscribed", timeout, channel=channel)

    async def wait_for(self, channel: str, n: int = 1, *, timeout: float = 30) -> None:
        """Until the connected clients were sent ``n`` events of a channel; what a client made of them may lag."""
        await self._wait("events", timeout, channel=channel, n=n)

    async def wait_until(self, predicate: Callable[[], object], *, timeout: float = 30) -> None:
        """Until ``predicate()`` is true; `WaitTimeoutError` with where things stood."""
        self._need_running()
        give_up = REAL.monotonic() + timeout
        while not await _value(predicate()):
            self._set_time()
            self._look_for_failure()
            if REAL.monotonic() >= give_up:
                raise WaitTimeoutError(self._in_vain(predicate, timeout))
            await self._pause()  # nobody says when a program's own state changes
        self._controls.last_wait = ""

    async def _pause(self) -> None:
        """A moment of the machine's own time: the test may have frozen that of its loop."""
        await self._player.stage.clock.sleep(round(LOOK_EVERY_S * SECOND))

    async def _wait(self, what: str, timeout: float, *, channel: str | None = None, n: int = 1) -> None:
        self._need_running()
        try:
            await self._controls.wait(what, channel=channel, n=n, timeout=timeout)
        except TickdeckError as error:
            raise error.with_traceback(None) from error.__cause__
        self._set_time()

    def _in_loop(self, work: Callable[[], Result]) -> Result:
        if _running_loop() is not self._loop:
            raise UsageError(
                "a handle of async with was used outside its event loop; use with instead, for a plain one"
            )
        return without_internals(work)


class _InItsThread(Market):
    """The server runs in a loop of its own, in another thread."""

    def _in_loop(self, work: Callable[[], Result]) -> Result:
        async def in_the_loop() -> Result:
            return work()

        return self._result_of(self._submit(in_the_loop))

    def _submit(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Future[Result]:
        self._need_running()
        if _running_loop() is self._loop:
            raise UsageError(
                "a plain handle was used in the server's own thread, which would wait for itself; use async with"
            )
        return asyncio.run_coroutine_threadsafe(work(), self._loop)

    def _result_of(self, future: Future[Result]) -> Result:
        try:
            return without_internals(future.result)
        except CancelledError:
            raise UsageError(STOPPED) from None
        except BaseException:
            future.cancel()
            raise


class AwaitedMarket(_InItsThread, AsyncMarket):
    """A server in a thread of its own, driven from any event loop of asyncio: waits are awaited."""

    @classmethod
    def beside(cls, plain: PlainMarket) -> Self:
        """Another handle of the same server."""
        return cls(plain._player, plain._loop)

    async def reset(self) -> State:
        """As if the server had just started: clients are closed with 1001, all told and counted is forgotten."""
        return await self._awaited(self._controls.reset)

    async def _pause(self) -> None:
        await self._awaited(super()._pause)

    async def _wait(self, what: str, timeout: float, *, channel: str | None = None, n: int = 1) -> None:
        await self._awaited(lambda: self._controls.wait(what, channel=channel, n=n, timeout=timeout))
        self._set_time()

    async def _awaited(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        future = self._submit(work)
        try:
            return await asyncio.wrap_future(future)
        except TickdeckError as error:
            raise error.with_traceback(None) from error.__cause__
        except asyncio.CancelledError:
            if future.cancelled() and not _is_cancelled():
                raise UsageError(STOPPED) from None
            raise


class PlainMarket(_InItsThread):
    """A running server, driven from any thread; methods block."""

    def reset(self) -> State:
        """As if the server had just started: clients are closed with 1001, all told and counted is forgotten."""
        return self._await(self._controls.reset)

    def wait_started(self, timeout: float = 30) -> None:
        """Until the tape runs; `WaitTimeoutError` after ``timeout`` seconds."""
        self._wait("started", timeout)

    def wait_finished(self, timeout: float = 30) -> None:
        """Until the tape has ended and the clients have taken it in; `WaitTimeoutError` after ``timeout`` seconds.

        That is: each has answered a ping behind its last frame and been quiet for 50 ms (docs/testing.md).
        """
        self._wait("finished", timeout)

    def wait_delivered(self, timeout: float = 30) -> None:
        """Until the clients have taken in all that is due by now; `WaitTimeoutError` after ``timeout`` seconds."""
        self._wait("delivered", timeout)

    def wait_left(self, timeout: float = 30) -> None:
        """Until no client is connected; `WaitTimeoutError` after ``timeout`` seconds."""
        self._wait("left", timeout)

    def wait_subscribed(self, *channels: str, timeout: float = 30) -> None:
        """Until each channel is held by a client; `WaitTimeoutError` after ``timeout`` seconds for one of them."""
        for channel in _some(channels):
            self._wait("subscribed", timeout, channel=channel)

    def wait_for(self, channel: str, n: int = 1, *, timeout: float = 30) -> None:
        """Until the connected clients were sent ``n`` events of a channel; what a client made of them may lag."""
        self._wait("events", timeout, channel=channel, n=n)

    def wait_until(self, predicate: Callable[[], object], *, timeout: float = 30) -> None:
        """Until ``predicate()`` is true; `WaitTimeoutError` with where things stood."""
        self._need_running()
        give_up = REAL.monotonic() + timeout
        while not predicate():
            self._set_time()
            self._look_for_failure()
            if REAL.monotonic() >= give_up:
                raise WaitTimeoutError(self._in_vain(predicate, timeout))
            REAL.sleep(LOOK_EVERY_S)
        self._controls.last_wait = ""

    def _wait(self, what: str, timeout: float, *, channel: str | None = None, n: int = 1) -> None:
        self._await(lambda: self._controls.wait(what, channel=channel, n=n, timeout=timeout))
        self._set_time()

    def _await(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        return self._result_of(self._submit(work))


def _frame_of(payload: bytes | str | Mapping[str, object] | Sequence[Mapping[str, object]]) -> bytes | str:
    if isinstance(payload, bytes | str):
        return payload
    events = [payload] if isinstance(payload, Mapping) else list(payload)
    return json.dumps(events, ensure_ascii=False, separators=(",", ":"))


def _some(channels: tuple[str, ...]) -> tuple[str, ...]:
    if not channels:
        raise UsageError("wait_subscribed takes at least one channel")
    return channels


def _time_machine() -> Callable[..., AbstractContextManager[Any]]:
    try:
        from time_machine import travel
    except ImportError:
        raise UsageError("use_market_time needs time-machine: pip install 'tickdeck[testing]'") from None
    return travel


def _is_cancelled() -> bool:
    """Whether it is this task that somebody wants to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _value(found: object) -> object:
    return await found if inspect.isawaitable(found) else found


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
