"""The numbers of a player, as Prometheus reads them, held to what clients really got."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]
PAGE = (Path(__file__).resolve().parents[1] / "docs" / "control.md").read_text(encoding="utf-8")
MILLISECOND = 1_000_000
KEY = {"Authorization": "Bearer key"}


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Ten trades, 10 ms apart; one REST answer."""
    story.opens(0, 0)
    story.acks(0, 0, "T.A")
    for number in range(10):
        story.trades(0, number * 10 * MILLISECOND, "A")
    story.answers(5, "https://api.polygon.io/v2/a", b"{}")
    return make(story.records)


def numbers(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f",{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def subscribed(bot: aiohttp.ClientWebSocketResponse) -> list[int]:
    """The sizes of the three answers, on the wire."""
    await bot.send_json({"action": "auth", "params": "key"})
    await bot.send_json({"action": "subscribe", "params": "T.A"})
    return [len((await bot.receive(10)).data) + 2 for _ in range(3)]


async def test_what_was_sent_is_counted_and_stays_when_its_client_leaves(tape: Cassette) -> None:
    async with Player(tape, options_of(speed="10")) as player, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{player.ws_url}/stocks") as bot:
            got = await subscribed(bot)
            got += [len((await bot.receive(10)).data) + 2 for _ in range(10)]
            await bot.send_str("nonsense")
            await player.waits.delivered()
            async with session.get(f"{player.http_url}/v2/a", headers=KEY) as answer:
                assert answer.status == 200
            async with session.get(f"{player.http_url}/v2/b", headers=KEY) as answer:
                assert answer.status == 404
            async with session.get(f"{player.http_url}/__tickdeck/metrics") as response:
                assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                assert response.headers["Cache-Control"] == "no-store"
                now = numbers(await response.text())
        await player.waits.left()
        then = numbers(player.controls.metrics())
    assert (now["tickdeck_player_clients"], then["tickdeck_player_clients"]) == (1, 0)
    for found in (now, then):
        assert found["tickdeck_player_frames_total"] == 10
        assert found["tickdeck_player_sent_bytes_total"] == sum(got)
        assert found["tickdeck_player_lateness_seconds_count"] == 10
        assert found["tickdeck_player_clients_total"] == 1
        assert found["tickdeck_player_chunks_decoded_total"] == 1
        assert found["tickdeck_player_requests_total,served"] == 1
        assert found["tickdeck_player_requests_total,missed"] == 1
    assert then["tickdeck_player_missteps_total"] == 1
    assert now["tickdeck_player_speed_ratio,1"] == 10
    assert now["tickdeck_player_playhead_seconds,1"] >= 0.09


@pytest.mark.parametrize(("speed", "ratio"), [("step", 0), ("max", math.inf), ("1/2", 0.5)])
async def test_a_speed_is_a_number_whatever_it_is_called(tape: Cassette, speed: str, ratio: float) -> None:
    async with (
        Player(tape, options_of(speed=speed)) as player,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{player.ws_url}/stocks") as bot,
    ):
        await subscribed(bot)
        await player.waits.started()
        assert numbers(player.controls.metrics())["tickdeck_player_speed_ratio,1"] == ratio
        player.controls.pause()
        assert numbers(player.controls.metrics())["tickdeck_player_speed_ratio,1"] == 0


async def test_after_a_reset_counting_begins_anew(tape: Cassette) -> None:
    async with Player(tape, options_of(speed="max")) as player, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{player.ws_url}/stocks") as bot:
            await subscribed(bot)
            for _ in range(10):
                await bot.receive(10)
        await player.waits.left()
        assert numbers(player.controls.metrics())["tickdeck_player_frames_total"] == 10
        await player.controls.reset()
        found = numbers(player.controls.metrics())
    assert found["tickdeck_player_frames_total"] == found["tickdeck_player_clients_total"] == 0


async def test_a_stranger_is_not_told(tape: Cassette) -> None:
    async with (
        Player(tape, options_of(token="a-token")) as player,
        aiohttp.ClientSession() as session,
        session.get(f"{player.http_url}/__tickdeck/metrics") as response,
    ):
        assert response.status == 401


async def test_the_page_documents_every_number(tape: Cassette) -> None:
    table = PAGE.partition("## In numbers")[2].partition("## In the journal")[0]
    async with (
        Player(tape, options_of(speed="max")) as player,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{player.ws_url}/stocks") as bot,
    ):
        await subscribed(bot)
        await player.waits.started()
        named = re.findall(r"^# TYPE (\w+)", player.controls.metrics(), re.M)
    assert sorted(re.findall(r"`(tickdeck_player_\w+)`", table)) == sorted(named)
