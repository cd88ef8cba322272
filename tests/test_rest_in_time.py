"""When a REST answer comes, and which one: on real sockets, where a wait in vain would be one of an hour."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Interaction, Record
from tickdeck.mockserver.clock import Turn
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
HOUR = 3_600 * SECOND


def answer(
    number: int, at: int, *, took: int = 0, first: int | None = None, status: int = 200
) -> Interaction:
    first_byte_ns = at + (took if first is None else first)
    return Interaction(
        seq=number,
        offset_ns=at,
        first_byte_ns=first_byte_ns,
        end_ns=at + took,
        interaction=number,
        method="GET",
        url="https://api.polygon.io/v1/marketstatus/now",
        status=status,
        response_headers=((b"Content-Type", b"application/json"),),
        body=b"%d" % number,
    )


def get(market: PlainMarket, target: str = "/v1/marketstatus/now") -> tuple[int, Any]:
    try:
        with urlopen(f"{market.http_url}{target}?apiKey=key", timeout=60) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with closing(error):
            return error.code, json.load(error)


def numbers(market: PlainMarket, count: int) -> list[Any]:
    return [get(market)[1] for _ in range(count)]


def subscribe(bot: ClientConnection) -> None:
    bot.recv(10)
    bot.send('{"action":"auth","params":"key"}')
    bot.recv(10)
    bot.send('{"action":"subscribe","params":"T.AAPL"}')
    bot.recv(10)


@pytest.fixture
def day(make: Make, story: Any) -> Cassette:
    """Two answers before the tape's zero, one that began before it and ended behind it, two at 100 s and 200 s."""
    story.records += [answer(0, 1_000), answer(1, 2_000)]
    story.opens(1, 3_000)
    story.acks(1, SECOND, "T.AAPL")
    story.trades(1, SECOND, "AAPL")
    story.records.append(answer(story.seq, SECOND - 5, took=10))
    story.records.append(answer(story.seq, 101 * SECOND, took=20 * MILLISECOND))
    story.records.append(answer(story.seq, 201 * SECOND))
    story.trades(1, 301 * SECOND, "AAPL")
    story.closes(1, 302 * SECOND, 1000)
    return make(story.records)


REFUSED_TWICE = (answer(0, 1, status=429), answer(1, 2, status=429), answer(2, 3, status=200))


def test_without_a_tape_repeats_are_in_order_at_every_speed(make: Make) -> None:
    with MockServer(make(REFUSED_TWICE)) as market:
        assert [get(market)[0] for _ in range(4)] == [429, 429, 200, 200]


def test_without_a_tape_by_time_can_still_be_asked_for(make: Make) -> None:
    with MockServer(make(REFUSED_TWICE), repeats="by-time") as market:
        assert numbers(market, 3) == [0, 0, 0]


@pytest.mark.parametrize("speed", ["1", "step", "lockstep"])
def test_before_the_start_answers_come_in_order_and_never_from_the_future(day: Cassette, speed: str) -> None:
    with MockServer(day, speed=speed) as market:
        assert numbers(market, 4) == [0, 1, 1, 1]


def test_before_the_start_the_earliest_comes_where_none_was_complete(make: Make, story: Any) -> None:
    story.opens(1, 0)
    story.acks(1, 1, "T.AAPL")
    story.trades(1, 2, "AAPL")
    story.records += [answer(3, 5), answer(4, 6)]
    with MockServer(make(story.records)) as market:
        assert numbers(market, 3) == [3, 3, 3]


def test_a_tape_that_is_stepped_is_answered_by_time(day: Cassette) -> None:
    with MockServer(day, speed="step") as market, connect(market.ws_url, compression=None) as bot:
        subscribe(bot)
        market.wait_started()
        seen = [numbers(market, 2)]
        for distance in ("50s", "100s", "100s"):
            market.step(duration=distance)
            seen.append(numbers(market, 2))
    assert seen == [[1, 1], [5, 5], [6, 6], [7, 7]]


def test_a_tape_that_is_paused_or_has_ended_is_answered_by_time(day: Cassette) -> None:
    with MockServer(day, rest_latency="none") as market, connect(market.ws_url, compression=None) as bot:
        subscribe(bot)
        market.wait_started()
        market.pause()
        market.seek("+100.01s")
        assert numbers(market, 2) == [5, 5]
        market.seek("+300s")
        market.resume()
        market.wait_finished()
        assert numbers(market, 2) == [7, 7]


def test_an_answer_takes_as_long_as_it_took_by_the_speed(make: Make) -> None:
    with MockServer(make([answer(0, 0, took=HOUR)]), speed=HOUR // (30 * MILLISECOND)) as market:
        began_ns = time.monotonic_ns()
        assert get(market) == (200, 0)
        assert time.monotonic_ns() - began_ns >= 30 * MILLISECOND


def test_a_fixed_latency_is_waited_at_max(make: Make) -> None:
    with MockServer(make([answer(0, 0)]), speed="max", rest_latency="30ms") as market:
        began_ns = time.monotonic_ns()
        assert get(market) == (200, 0)
        assert time.monotonic_ns() - began_ns >= 30 * MILLISECOND


@pytest.mark.parametrize(
    "options",
    [
        {"speed": "max"},
        {"speed": "step"},
        {"speed": "lockstep"},
        {"rest_latency": "none"},
        {"idle_cap": 0.001},
        {"stubs": {"GET /v1/marketstatus/now": b"0"}},
    ],
    ids=str,
)
def test_an_answer_of_an_hour_comes_at_once(make: Make, options: dict[str, Any]) -> None:
    with MockServer(make([answer(0, 0, took=HOUR)]), **options) as market:
        assert get(market) == (200, 0)


def test_a_miss_and_a_refused_key_never_wait(make: Make) -> None:
    with MockServer(make([answer(0, 0, took=HOUR)]), rest_latency=3600, reject_keys=["key"]) as market:
        assert get(market)[0] == 401
    with MockServer(make([answer(0, 0, took=HOUR)]), rest_latency=3600) as market:
        assert get(market, "/v1/other")[0] == 404


def test_the_head_comes_before_the_body_and_a_server_that_stops_waits_for_neither(make: Make) -> None:
    with MockServer(make([answer(0, 0, first=0, took=HOUR), answer(1, 1, took=HOUR)])) as market:
        begun = http.client.HTTPConnection("127.0.0.1", market.port, timeout=60)
        begun.request("GET", "/v1/marketstatus/now?apiKey=key")
        response = begun.getresponse()
        assert (response.status, response.getheader("Content-Length")) == (200, "1")
        held = http.client.HTTPConnection("127.0.0.1", market.port, timeout=60)
        held.request("GET", "/v1/marketstatus/now?apiKey=key")
        market.wait_until(lambda: len(market.journal.requests) == 2)
    assert response.read() == b"0"
    assert held.getresponse().read() == b"1"
    begun.close()
    held.close()


async def test_a_client_that_hangs_up_is_not_waited_for(make: Make) -> None:
    options = options_of()
    async with Player(make([answer(0, 0, first=0, took=HOUR)]), options) as player:
        reader, writer = await asyncio.open_connection("127.0.0.1", player.port)
        writer.write(b"GET /v1/marketstatus/now?apiKey=key HTTP/1.1\r\nHost: here\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert player.desk.delivery.held == 1
        writer.transport.abort()
        async with asyncio.timeout(30):
            while player.desk.delivery.held:
                await Turn()


def test_who_asks_when_the_recorded_request_began_gets_its_answer(day: Cassette) -> None:
    with MockServer(day) as market, connect(market.ws_url, compression=None) as bot:
        subscribe(bot)
        market.wait_started()
        market.seek("+100s")
        assert get(market) == (200, 6)


def test_a_pause_does_not_hold_an_answer(day: Cassette) -> None:
    with (
        MockServer(day, speed=100, rest_latency="10ms") as market,
        connect(market.ws_url, compression=None) as bot,
    ):
        subscribe(bot)
        market.wait_started()
        market.pause()
        assert get(market)[0] == 200
