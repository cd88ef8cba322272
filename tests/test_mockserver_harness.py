"""The two handles of `MockServer`: the same verbs, blocking and in a loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, get_type_hints

import aiohttp
import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.clock import Turn
from tickdeck.mockserver.controls import Controls
from tickdeck.mockserver.harness import AsyncMarket, MockServer, PlainMarket, WaitTimeoutError
from tickdeck.mockserver.routes import ROUTES

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]
Market: TypeAlias = AsyncMarket | PlainMarket

MILLISECOND = 1_000_000
VERBS = sorted(
    name
    for name in dir(PlainMarket)
    if not name.startswith("_") and name != "ssl_context"  # for clients, no verb
)


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Ten trades of A, 10 ms apart; one REST answer."""
    story.opens(0, 0)
    story.acks(0, 0, "T.A")
    for number in range(10):
        story.trades(0, number * 10 * MILLISECOND, "A")
    story.answers(5, "https://api.polygon.io/v2/a", b"{}")
    return make(story.records)


@pytest.fixture(params=["with", "async with"])
def serve(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``MockServer`` behind either handle."""

    @asynccontextmanager
    async def served(*arguments: Any, **options: Any) -> AsyncIterator[Market]:
        if request.param == "async with":
            async with MockServer(*arguments, **options) as market:
                yield market
        else:
            with MockServer(*arguments, **options) as plain:
                yield plain

    return served


async def done(verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a verb comes to: one that blocks does so in a thread, for the client is in this loop."""
    if isinstance(verb.__self__, PlainMarket):  # type: ignore[attr-defined]
        return await asyncio.to_thread(verb, *arguments, **named)
    answer = verb(*arguments, **named)
    return await answer if isinstance(answer, Awaitable) else answer


@asynccontextmanager
async def client(market: Market) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{market.ws_url}/stocks") as bot:
        await bot.send_json({"action": "auth", "params": "key"})
        await bot.send_json({"action": "subscribe", "params": "T.A"})
        for _ in range(3):
            await bot.receive(10)
        yield bot


async def times(bot: aiohttp.ClientWebSocketResponse, count: int) -> list[int]:
    """When the next trades were, in tens of milliseconds."""
    return [(await bot.receive_json(timeout=10))[0]["t"] // (10 * MILLISECOND) for _ in range(count)]


@pytest.mark.parametrize("verb", VERBS)
def test_both_handles_have_each_verb_with_the_same_words(verb: str) -> None:
    plain, awaited = getattr(PlainMarket, verb), getattr(AsyncMarket, verb)
    assert inspect.getdoc(plain) == inspect.getdoc(awaited) != ""
    if not isinstance(plain, property):
        assert inspect.signature(plain) == inspect.signature(awaited)
        assert get_type_hints(plain) == get_type_hints(awaited)


def test_the_handles_have_every_verb_that_there_is_over_http() -> None:
    waits = {
        f"wait_{what}" for what in ("started", "finished", "delivered", "left", "subscribed", "for", "until")
    }
    assert set(VERBS) - CLAIMS == {route.verb for route in ROUTES} - {"wait"} | waits


CLAIMS = {
    *("assert_subscribed", "assert_requested", "assert_no_missteps"),
    *(
        "failure",
        "key",
        "last_sent",
        "last_wait",
        "market_ns",
        "situation",
        "use_market_time",
        "zero_wall_ns",
    ),
}
"""What a handle has for a test beside it, and nobody asks for over HTTP."""
BESIDES = {"step": {"seconds"}, "drop": {"abrupt"}}
"""What a handle takes for convenience."""


@pytest.mark.parametrize(
    "verb", sorted(set(VERBS) - {"journal", "report"} - CLAIMS - {v for v in VERBS if "wait" in v})
)
def test_a_verb_of_the_handles_takes_what_the_control_takes(verb: str) -> None:
    ours = dict(inspect.signature(getattr(PlainMarket, verb)).parameters)
    for name in BESIDES.get(verb, ()):
        del ours[name]
    theirs = dict(inspect.signature(getattr(Controls, verb)).parameters)
    assert list(ours) == list(theirs)
    if verb != "send":  # which takes what becomes JSON, too
        assert ours == theirs


async def test_a_tape_is_driven_from_either_handle(tape: Cassette, serve: Any) -> None:
    async with serve(tape, speed="step") as market, client(market) as bot:
        await done(market.wait_started)
        assert (await done(market.step, frames=2))["frames"] == 2
        assert await times(bot, 2) == [0, 1]
        await done(market.seek, "+50ms")
        await done(market.burst, duration="20ms")
        assert await times(bot, 3) == [5, 6, 7]
        assert (await done(market.pause))["timelines"][0]["paused"]
        assert not (await done(market.resume))["timelines"][0]["paused"]
        assert await done(market.send, '[{"ev":"T","sym":"A","t":0}]') == 1
        assert await times(bot, 1) == [0]
        assert (await done(market.speed, "max"))["speed"] == "max"
        assert await times(bot, 2) == [8, 9]
        await done(market.wait_finished)
        await done(market.wait_delivered)
        (row,) = await done(market.clients)
        assert (row["client"], row["channels"], row["frames"]) == (1, ["T.A"], 7)
        assert (await done(market.report))["clients"][0]["frames"] == 7
        assert market.journal[0].kind == "connected"
        await done(market.drop, code=1012)
        assert (await bot.receive(10)).data == 1012
        await done(market.wait_left)
        assert (await done(market.state))["clients"] == 0
        assert (await done(market.reset))["timelines"] == []
        assert market.journal == []


async def test_requests_are_answered_as_either_handle_says(tape: Cassette, serve: Any) -> None:
    async with (
        serve(tape) as market,
        aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session,
    ):

        async def get(path: str) -> tuple[int, str]:
            async with session.get(market.http_url + path) as answer:
                return answer.status, await answer.text()

        await done(market.stub, "GET /v1/marketstatus/now", {"market": "closed"})
        assert await get("/v1/marketstatus/now") == (200, '{"market":"closed"}')
        await done(market.stub, "GET /v1/marketstatus/now", clear=True)
        assert (await get("/v1/marketstatus/now"))[0] == 404
        assert len(await done(market.misses)) == 1
        await done(market.refuse_keys, ["key"])
        assert (await get("/v2/a"))[0] == 401
        await done(market.refuse_keys, ["key"], refuse=False)
        assert await get("/v2/a") == (200, "{}")


async def test_what_is_wrong_is_raised_by_either_handle(tape: Cassette, serve: Any) -> None:
    async with serve(tape) as market:
        with pytest.raises(UsageError, match="no timeline has started"):
            await done(market.pause)
        for wait in (market.wait_started, market.wait_finished):
            with pytest.raises(WaitTimeoutError, match="it never started: no client"):
                await done(wait, timeout=0.01)


async def test_a_server_that_has_stopped_is_asked_and_told_nothing(tape: Cassette, serve: Any) -> None:
    async with serve(tape, speed="max") as market, client(market) as bot:
        await times(bot, 10)
    assert (await done(market.report))["clients"][0]["frames"] == 10
    assert (await done(market.state))["clients"] == 0
    assert market.journal[-1].kind == "left"
    assert (await done(market.clients), await done(market.misses)) == ([], [])
    for verb in (market.pause, market.wait_started, market.reset):
        with pytest.raises(UsageError, match="the server has stopped"):
            await done(verb)


def test_a_plain_handle_says_so_when_it_would_wait_for_itself(tape: Cassette) -> None:
    caught: list[BaseException] = []

    def in_the_server_s_thread() -> None:
        for verb in (market.state, market.pause, market.wait_started):
            try:
                verb()
            except UsageError as error:
                caught.append(error)

    with MockServer(tape) as market:
        ran = threading.Event()
        market._loop.call_soon_threadsafe(lambda: (in_the_server_s_thread(), ran.set()))
        assert ran.wait(10)
    assert ["server's own thread" in str(error) for error in caught] == [True] * 3


async def test_an_async_handle_says_so_when_it_is_used_in_another_thread(tape: Cassette) -> None:
    async with MockServer(tape) as market:
        for verb in (market.state, market.pause):
            with pytest.raises(UsageError, match="outside its event loop"):
                await asyncio.to_thread(verb)


def test_who_waits_in_another_thread_when_the_server_stops_is_told(tape: Cassette) -> None:
    caught: list[BaseException] = []

    def waits() -> None:
        try:
            market.wait_started(timeout=60)
        except UsageError as error:
            caught.append(error)

    with MockServer(tape) as market:
        waiting = threading.Thread(target=waits)
        waiting.start()
        while not market._player.stage.waiting:
            market.state()
    waiting.join(10)
    assert [str(error) for error in caught] == ["the server was stopped meanwhile"]


async def test_so_is_who_waits_beside_it_in_the_loop(tape: Cassette) -> None:
    async with MockServer(tape) as market:
        waiting = asyncio.ensure_future(market.wait_started(timeout=60))
        await Turn()
        assert market._player.stage.waiting == 1
    with pytest.raises(UsageError, match="the server was stopped meanwhile"):
        await waiting


async def test_a_server_that_is_in_use_is_not_entered_again(tape: Cassette, serve: Any) -> None:
    server = MockServer(tape)
    with server, pytest.raises(UsageError, match="in use"):
        server.__enter__()
    with server as again:
        assert again.state()["clients"] == 0
    async with server:
        with pytest.raises(UsageError, match="in use"):
            await server.__aenter__()
