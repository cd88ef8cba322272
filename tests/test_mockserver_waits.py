"""Waiting for what is to come, and saying where things stand when it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player
from tickdeck.mockserver.waits import Waits, situation

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Ten frames of A within a tenth of a second."""
    story.opens(0, 0)
    for at in range(10):
        story.trades(0, at * 10**7, "A")
    story.answers(0, "/v1/now", b"{}")
    return make(story.records)


class Bot:
    """A client that has authenticated, and may have subscribed."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def says(self, action: str, params: str) -> None:
        await self._socket.send(json.dumps({"action": action, "params": params}))

    async def hears(self, messages: int = 1) -> str:
        async with asyncio.timeout(20):
            return "".join([await self._socket.recv(decode=True) for _ in range(messages)])

    async def goes(self) -> None:
        await self._socket.close()


@asynccontextmanager
async def comes(player: Player, *, key: str | None = "key", subscribe: str = "") -> AsyncIterator[Bot]:
    async with connect(player.ws_url + "/stocks", compression=None) as socket:
        bot = Bot(socket)
        assert "connected" in await bot.hears()
        if key is not None:
            await bot.says("auth", key)
            assert "auth_success" in await bot.hears()
        if subscribe:
            await bot.says("subscribe", subscribe)
            assert "subscribed to" in await bot.hears()
        yield bot


async def within(wait: Awaitable[None]) -> None:
    await asyncio.wait_for(wait, 20)


def pending(wait: Awaitable[None]) -> asyncio.Task[None]:
    async def waits() -> None:
        await wait

    return asyncio.get_running_loop().create_task(waits())


async def test_each_wait_returns_once_it_has_come(tape: Cassette) -> None:
    async with Player(tape, options_of(settle=0)) as player:
        waits = player.waits
        client, started, finished, done = map(
            pending, (waits.client(), waits.started(), waits.finished(), waits.done())
        )
        async with comes(player) as bot:
            await within(client)
            assert not started.done()
            assert waits.situation() == "it never started: 1 client, authenticated, no subscription"
            await bot.says("subscribe", "T.A")
            await within(started)
            assert waits.situation().startswith("it is playing, at 20")
            assert not finished.done()
            await bot.hears(11)
            await within(finished)
            await within(done)
            await within(waits.delivered())
            assert waits.situation().startswith("it has ended, at 20")
            left = pending(waits.left())
            await waits.client()
            assert not left.done()
            await bot.goes()
            await within(left)


async def test_what_is_due_is_delivered_though_the_tape_goes_on(tape: Cassette) -> None:
    async with (
        Player(tape, options_of(settle=0, speed="step")) as player,
        comes(player, subscribe="T.A") as bot,
    ):
        await within(player.waits.started())
        await within(player.waits.delivered())
        player.controls.step(frames=3)
        await within(player.waits.delivered())
        assert (await bot.hears(3)).count('"sym":"A"') == 3
        assert player.waits.situation().startswith("it is playing, at 20")


async def test_nobody_is_waited_for_where_everybody_has_left_with_the_tape_unread(tape: Cassette) -> None:
    async with Player(tape, options_of(settle=0, speed=0.001)) as player:
        done = pending(player.waits.done())
        async with comes(player, subscribe="T.A"):
            await within(player.waits.started())
            assert not done.done()
        await within(done)


async def test_where_nothing_is_on_the_tape_it_is_done_once_all_who_came_have_been_gone_a_while(
    make: Make, story: Any
) -> None:
    story.answers(0, "/v1/now", b"{}")
    async with Player(make(story.records), options_of()) as player:
        done = pending(player.waits.done())
        async with aiohttp.ClientSession() as session:
            async with session.get(player.http_url + "/v1/now?apiKey=any") as answer:
                assert answer.status == 200
            await within(player.waits.client())
            assert not done.done()
        await within(done)


async def test_a_wait_that_has_become_impossible_raises_what_made_it_so(tape: Cassette) -> None:
    async with Player(tape, options_of()) as player:
        finished = pending(player.waits.finished())
        for _ in range(3):
            await player.stage.clock.breathe()
        player.stage.failed(FormatError("x.cassette: chunk 3 is damaged"))
        with pytest.raises(FormatError, match="chunk 3 is damaged"):
            await within(finished)
        with pytest.raises(FormatError):
            await player.waits.started()
        assert player.stage.waiting == 0


async def test_a_wait_that_is_given_up_leaves_nothing_behind(tape: Cassette) -> None:
    async with Player(tape, options_of()) as player:
        started = pending(player.waits.started())
        for _ in range(3):
            await player.stage.clock.breathe()
        assert player.stage.waiting == 1
        started.cancel()
        with pytest.raises(asyncio.CancelledError):
            await started
        assert player.stage.waiting == 0


async def test_before_a_server_listens_nobody_can_have_left(make: Make, story: Any) -> None:
    story.answers(0, "/v1/now", b"{}")
    player = Player(make(story.records), options_of())
    player.stage.clients = 1
    assert isinstance(player.waits, Waits)
    done = pending(player.waits.done())
    await asyncio.wait([done], timeout=0)
    assert not done.done()
    done.cancel()


async def test_a_wait_in_vain_says_where_the_clients_stand(tape: Cassette) -> None:
    async with Player(tape, options_of(start_on="control")) as player:
        assert player.waits.situation() == "it never started: no client"
        async with comes(player, subscribe="T.A"):
            assert player.waits.situation() == "it never started: 1 client, authenticated, subscribed"
            async with comes(player, key=None):
                assert player.waits.situation() == "it never started: 2 clients, 1 authenticated, subscribed"


def test_without_anybody_it_never_started() -> None:
    assert situation([], []) == "it never started: no client"
