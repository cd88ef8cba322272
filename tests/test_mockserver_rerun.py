"""A run that was kept is run once more, without a server, to the same bytes."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import xxhash
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.course import seq_of
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.rerun import Rerun, rerun, tapes_of
from tickdeck.mockserver.rundown import Rundown
from tickdeck.mockserver.server import Player
from tickdeck.mockserver.sighting import Question, look
from tickdeck.mockserver.why import why

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

MILLISECOND = 1_000_000


@contextmanager
def client(market: PlainMarket, key: str = "test") -> Iterator[ClientConnection]:
    with connect(market.ws_url + "/stocks", compression=None) as bot:
        ask(bot, "auth", key)
        yield bot


def ask(bot: ClientConnection, action: str, params: str) -> None:
    bot.send(json.dumps({"action": action, "params": params}))


def until(bot: ClientConnection, words: str) -> list[str]:
    """What comes up to a message with these words in it."""
    heard = [str(bot.recv(10))]
    while words not in heard[-1]:
        heard.append(str(bot.recv(10)))
    return heard


def digest(rerun: Rerun) -> str:
    return xxhash.xxh3_128(rerun.data).hexdigest()


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """A minute of trades, one every 50 ms, of A and B together and of C alone."""
    story.opens(0, 0)
    story.acks(0, 1, "T.A", "T.B", "T.C")
    for number in range(1200):
        story.trades(0, 1 + number * 50 * MILLISECOND, *(("A", "B"), ("C",))[number % 2])
    return make(story.records)


def again(tape: Cassette, path: Path, **options: Any) -> list[Rerun]:
    with open_cassette(path) as kept:
        return list(rerun(tape, options_of(**options), Rundown(kept)))


def test_late_subscriptions_losses_and_returns_are_run_again_to_the_same_bytes(
    tape: Cassette, tmp_path: Path
) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed=50, journal=path) as market:
        with client(market) as one, client(market) as two:
            ask(one, "subscribe", "T.A")
            until(one, '"sym":"A"')
            ask(two, "subscribe", "T.B,T.C")
            until(two, '"sym":"C"')
            ask(one, "subscribe", "T.C")
            until(one, '"sym":"C"')
            ask(two, "unsubscribe", "T.C")
            until(two, "unsubscribed to: T.C")
            until(two, '"sym":"B"')
            market.drop()
            for bot in (one, two):
                with pytest.raises(ConnectionClosed):
                    until(bot, "nothing of the kind")
        with client(market) as three:
            ask(three, "subscribe", "T.*")
            market.wait_finished()
            until(three, "59950000001")
        market.wait_left()
        rows = market.report()["clients"]
    reruns = again(tape, path)
    assert [digest(each) for each in reruns] == [row["digest"] for row in rows]
    assert len({digest(each) for each in reruns}) == 3


def test_on_the_first_leg_a_cursor_is_what_the_position_says(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed=50, journal=path) as market, client(market) as bot:
        for symbol in "ABC":
            ask(bot, "subscribe", f"T.{symbol}")
            until(bot, f'"sym":"{symbol}"')
    with open_cassette(path) as kept:
        run = Rundown(kept)
        stocks = tapes_of(tape, run).of("stocks")
    held = [each.since for each in run.clients[1].held]
    assert [seq_of(each.cursor) for each in held] == [
        stocks.seq_behind(each.position_ns or 0) for each in held
    ]
    assert held[-1].position_ns or 0 > 0


def test_every_byte_is_the_same_when_all_of_the_tape_was_read(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed="max", journal=path) as market, client(market) as bot:
        ask(bot, "subscribe", "T.A")
        heard = until(bot, f"{1 + 1198 * 50 * MILLISECOND}")
    (only,) = again(tape, path)
    frames = b"".join(_wire(each.encode()) for each in heard)
    assert only.wire == frames


def _wire(payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes((0x81, len(payload))) + payload


@pytest.mark.parametrize("speed", ["max", 50])
def test_a_looped_or_sought_tape_is_run_again_leg_by_leg(tape: Cassette, tmp_path: Path, speed: Any) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed=speed, at_end="loop", begin="+50s", journal=path) as market:
        with client(market) as bot:
            ask(bot, "subscribe", "T.A")
            until(bot, "59900000001")
            until(bot, "50000000001")
            ask(bot, "subscribe", "T.C")
            until(bot, '"sym":"C"')
            market.drop()
            with pytest.raises(ConnectionClosed):
                until(bot, "nothing of the kind")
        market.wait_left()
        rows = market.report()["clients"]
    assert [digest(each) for each in again(tape, path)] == [row["digest"] for row in rows]


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_clients_and_control_do_by_hand_is_run_again(
    tape: Cassette, tmp_path: Path, seed: int
) -> None:
    dice, path = random.Random(seed), tmp_path / "run.cassette"
    options = options_of(speed="step", start_on="auth", timeline=dice.choice(["key", "shared"]), journal=path)
    async with Player(tape, options) as player, AsyncExitStack() as sockets:
        bots = [await newcomer(player, sockets, f"key-{dice.randrange(2)}") for _ in range(2)]
        for _ in range(25):
            match dice.randrange(7):
                case 0 | 1:
                    await said(dice.choice(bots), "subscribe", dice.choice(["T.A", "T.B", "T.C", "T.*"]))
                case 2:
                    await said(dice.choice(bots), "unsubscribe", dice.choice(["T.A", "T.B", "T.*"]))
                case 3:
                    player.controls.step(duration=f"{dice.randrange(1, 5000)}ms")
                case 4:
                    player.controls.step(frames=dice.randrange(1, 9))
                case 5:
                    player.controls.seek(f"+{dice.randrange(0, 60)}s")
                case _ if len(bots) < 5:
                    bots.append(await newcomer(player, sockets, f"key-{dice.randrange(2)}"))
            await player.controls.wait("delivered")
    rows = player.report()["clients"]
    assert isinstance(rows, list)
    assert [digest(each) for each in again(tape, path)] == [row["digest"] for row in rows]
    assert sum(row["frames"] for row in rows) > 0
    assert told_as_sent(tape, path) == {
        (each.client, symbol): each.data.count(b'"sym":"%s"' % symbol.encode())
        for each in again(tape, path)
        for symbol in "ABC"
    }


def told_as_sent(tape: Cassette, path: Path) -> dict[tuple[int, str], int]:
    """By client and symbol, how many of all the events `why` says were sent, laps counted."""
    with open_cassette(path) as kept:
        run = Rundown(kept)
    tapes, counts = tapes_of(tape, run), {}
    for symbol in "ABC":
        everything = Question("all", f"T.{symbol}", ((0, 1 << 62),), own=False)
        found = look(tapes, "stocks", everything, own_time=lambda event: None, wall_ns=abs)
        assert len(found.fitting) == 600
        for number, client in run.clients.items():
            verdicts = [why(run, client, tapes, seen) for seen in found.fitting]
            counts[number, symbol] = sum(verdict.times for verdict in verdicts)
    return counts


async def newcomer(player: Player, sockets: AsyncExitStack, key: str) -> AsyncConnection:
    """A client that is known, and drinks whatever comes."""
    bot = await sockets.enter_async_context(
        async_connect(f"{player.ws_url}/stocks", compression=None, close_timeout=0.1)
    )
    await bot.send(json.dumps({"action": "auth", "params": key}))
    while "auth_success" not in str(await bot.recv()):
        pass
    return bot


async def said(bot: AsyncConnection, action: str, params: str) -> None:
    """The client's word has been heard: behind it a ping has been answered."""
    await bot.send(json.dumps({"action": action, "params": params}))
    draining = asyncio.ensure_future(_drink(bot))
    await (await bot.ping())
    draining.cancel()


async def _drink(bot: AsyncConnection) -> None:
    async for _ in bot:
        pass
