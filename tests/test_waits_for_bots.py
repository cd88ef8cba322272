"""`wait_finished` and an assertion about the bot: what everybody writes first."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket, WaitTimeoutError

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]
EVENTS = 500
ENDS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    story.opens(0, 0)
    story.acks(0, 0, "T.A")
    for number in range(EVENTS):
        story.trades(0, number * 1_000_000, "A")
    return make(story.records)


class Bot:
    """Counts trades in a thread of its own, and answers a ping when all that came before it is counted."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/stocks"
        self.trades = 0

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._url, autoping=False, autoclose=False) as socket,
        ):
            await _subscribes(socket)
            while (message := await socket.receive()).type not in ENDS:
                if message.type is aiohttp.WSMsgType.PING:
                    await socket.pong(message.data)
                else:
                    self.trades += sum(event["ev"] == "T" for event in json.loads(message.data))


async def _subscribes(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_str('{"action":"auth","params":"k"}')
    await socket.send_str('{"action":"subscribe","params":"T.A"}')


@contextmanager
def running(bot: Bot) -> Iterator[Bot]:
    thread = threading.Thread(target=bot.run)
    thread.start()
    try:
        yield bot
    finally:
        thread.join(20)


@pytest.fixture
def market(tape: Cassette) -> Iterator[PlainMarket]:
    with MockServer(tape, speed="max") as market:
        yield market


def test_a_bot_has_counted_all_of_the_tape_when_the_wait_for_its_end_is_over(market: PlainMarket) -> None:
    with running(Bot(market.ws_url)) as bot:
        market.wait_finished()
        assert bot.trades == EVENTS
        market.drop(code=1000)


async def test_a_bot_in_the_loop_of_the_test_has_too(tape: Cassette) -> None:
    async with MockServer(tape, speed="max") as market, connect(f"{market.ws_url}/stocks") as socket:
        counted = 0

        async def reads() -> None:
            nonlocal counted
            async for message in socket:
                counted += sum(event["ev"] == "T" for event in json.loads(message))

        await socket.send('{"action":"auth","params":"k"}')
        await socket.send('{"action":"subscribe","params":"T.A"}')
        reading = asyncio.create_task(reads())
        await market.wait_finished()
        assert counted == EVENTS
        await socket.close()
        await reading


async def test_whoever_waits_over_http_waits_for_the_bot_too(market: PlainMarket) -> None:
    with running(Bot(market.ws_url)) as bot:
        async with aiohttp.ClientSession() as session:
            url = f"{market.http_url}/__tickdeck/wait?for=finished&timeout=20"
            async with session.get(url) as answer:
                assert (await answer.json())["timelines"][0]["finished"]
        assert bot.trades == EVENTS
        market.drop(code=1000)


def test_what_was_stepped_is_counted_when_it_is_delivered(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, running(Bot(market.ws_url)) as bot:
        market.wait_started()
        for stepped in (1, 2, 3):
            market.step()
            market.wait_delivered()
            assert bot.trades == stepped
        market.drop(code=1000)


def test_a_client_that_the_server_closes_has_read_all_when_the_wait_is_over(tape: Cassette) -> None:
    with MockServer(tape, speed="max", at_end="close") as market, running(Bot(market.ws_url)) as bot:
        market.wait_finished()
        assert bot.trades == EVENTS


def test_the_ping_is_in_no_digest_and_counts_as_nothing_that_was_sent(tape: Cassette) -> None:
    def played(*, waits: bool) -> dict[str, object]:
        with MockServer(tape, speed="max", at_end="close") as market:
            with running(Bot(market.ws_url)):
                if waits:
                    market.wait_delivered()
            row = market.report()["clients"][0]  # type: ignore[index] - a list of rows
            return {name: row[name] for name in ("digest", "frames", "bytes")}

    assert played(waits=True) == played(waits=False)


async def test_a_client_that_answers_no_ping_is_given_up_and_named(tape: Cassette) -> None:
    async with MockServer(tape, speed="max") as market, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{market.ws_url}/stocks", autoping=False) as socket:
            reading = asyncio.create_task(_reads(socket))
            await _subscribes(socket)
            await market.wait_finished()
            await market.wait_delivered(timeout=0.5)  # who was given up costs no second more
            assert market.report()["clients"][0]["not_waited_for"] == "no-pong"  # type: ignore[index] - rows
        await reading


async def test_a_client_that_is_never_quiet_is_given_up_and_named(tape: Cassette) -> None:
    async with MockServer(tape, speed="max") as market, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{market.ws_url}/stocks") as socket:
            reading = asyncio.create_task(_reads(socket))
            await _subscribes(socket)
            await market.wait_started()
            waiting = asyncio.create_task(market.wait_finished())
            while not waiting.done():
                await socket.send_str('{"action":"unsubscribe","params":"T.NONE"}')
                await asyncio.wait([waiting], timeout=0)
            await waiting
            assert market.report()["clients"][0]["not_waited_for"] == "not-quiet"  # type: ignore[index] - rows
        await reading


async def test_in_lockstep_no_other_ping_is_sent(tape: Cassette) -> None:
    async with MockServer(tape, speed="lockstep") as market, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{market.ws_url}/stocks", autoping=False) as socket:
            pings: list[bytes] = []
            reading = asyncio.create_task(_reads(socket, pings=pings, answers=True))
            await _subscribes(socket)
            await market.wait_finished()
            await market.wait_delivered()
            assert len(pings) == EVENTS
            assert market.report()["clients"][0]["not_waited_for"] is None  # type: ignore[index] - rows
        await reading


async def _reads(
    socket: aiohttp.ClientWebSocketResponse, *, pings: list[bytes] | None = None, answers: bool = False
) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.PING and pings is not None:
            pings.append(message.data)
            if answers:
                await socket.pong(message.data)


async def test_a_wait_in_vain_says_who_does_not_read(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for number in range(300):
        story.says(0, number, f'[{{"ev":"T","sym":"A","pad":"{"x" * 60_000}"}}]')
    async with (
        MockServer(make(story.records), speed="max") as market,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{market.ws_url}/stocks", max_msg_size=0) as socket,
    ):
        await _subscribes(socket)
        with pytest.raises(WaitTimeoutError, match="client 1 does not read; it is playing"):
            await market.wait_finished(timeout=1)
