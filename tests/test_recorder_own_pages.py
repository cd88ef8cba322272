"""The numbers of a recorder over HTTP: what they say while it records, and who is told."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassette
from tickdeck.recorder.notices import Listening, Metrics, Notice, Report
from tickdeck.recorder.run import Options, Recorder

KEY = "a_key_of_32_characters_0123456789"
PAGE = (Path(__file__).resolve().parents[1] / "docs" / "recording.md").read_text(encoding="utf-8")
GREETING = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
TAKEN = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'
HELD = '[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]'
TRADE = '[{"ev":"T","sym":"MSFT","p":114.170}]'
TRADES = 20


@asynccontextmanager
async def service() -> AsyncIterator[str]:
    """Greets, takes any key, answers a subscription with trades, and any request with an object."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            return web.json_response({"status": "OK"})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(GREETING)
        async for message in socket:
            if "auth" in str(message.data):
                await socket.send_str(TAKEN)
            else:
                for text in (HELD, *[TRADE] * TRADES):
                    await socket.send_str(text)
        return socket

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Told:
    """Hears notices, and waits for one of a kind."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[Notice] = asyncio.Queue()

    def __call__(self, notice: Notice) -> None:
        self._heard.put_nowait(notice)

    async def first(self, kind: type[Notice]) -> Any:
        async with asyncio.timeout(10):
            while not isinstance(notice := await self._heard.get(), kind):
                pass
        return notice


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(tmp_path / "x.cassette", listen_port=0)


@asynccontextmanager
async def recording(options: Options, upstream: str, told: Told) -> AsyncIterator[asyncio.Future[Report]]:
    recorder = Recorder(
        replace(options, upstream_http=f"http://{upstream}", upstream_ws=f"ws://{upstream}"), notify=told
    )
    running = asyncio.ensure_future(recorder.run())
    try:
        yield running
    finally:
        recorder.request_stop()
        await running


async def numbers(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with session.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await response.text()
    assert KEY not in text
    return {
        sample.name + "".join(f",{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def heard(session: aiohttp.ClientSession, listening: Listening) -> None:
    """A bot that subscribes, reads all trades and leaves."""
    async with session.ws_connect(f"{listening.ws}/stocks") as bot:
        await bot.send_json({"action": "auth", "params": KEY})
        await bot.send_json({"action": "subscribe", "params": "T.MSFT"})
        for _ in range(3 + TRADES):
            await bot.receive(10)


async def test_a_proxy_tells_what_it_has_recorded(options: Options) -> None:
    told = Told()
    async with service() as upstream, aiohttp.ClientSession() as session:
        async with recording(options, upstream, told) as running:
            listening = await told.first(Listening)
            await heard(session, listening)
            async with session.get(f"{listening.http}/v1/x", params={"apiKey": KEY}) as answer:
                assert answer.status == 200
            found = await numbers(session, f"{listening.http}/__tickdeck/metrics")
        report = await running
    assert found["tickdeck_recorder_frames_total"] == 5 + TRADES == report.frames
    assert found["tickdeck_recorder_payload_bytes_total"] == report.bytes
    assert found["tickdeck_recorder_interactions_total"] == 1
    assert found["tickdeck_recorder_tracks_total"] == 1
    assert found["tickdeck_recorder_delay_seconds_count,stocks"] == 3 + TRADES
    assert found["tickdeck_recorder_first_byte_seconds_count"] == 1
    assert found["tickdeck_recorder_redactions_total,REDACTED-1"] == 2
    assert found["tickdeck_recorder_journal_rows"] > 5 + TRADES
    assert 0 < report.flow.delay_p50_ns <= report.flow.delay_p99_ns
    assert report.flow.compression > 1
    assert report.flow.journal_chunks == report.flow.journal_rows == 0
    with open_cassette(options.output) as cassette:
        assert cassette.survey.records >= found["tickdeck_recorder_journal_rows"]


async def test_what_is_asked_for_the_numbers_is_not_on_the_cassette(options: Options) -> None:
    told = Told()
    async with service() as upstream, aiohttp.ClientSession() as session:
        async with recording(options, upstream, told) as running:
            listening = await told.first(Listening)
            for _ in range(3):
                await numbers(session, f"{listening.http}/__tickdeck/metrics")
        report = await running
    assert (report.interactions, report.frames) == (0, 0)


async def test_the_page_documents_every_number(options: Options) -> None:
    told = Told()
    async with service() as upstream, aiohttp.ClientSession() as session, recording(options, upstream, told):
        listening = await told.first(Listening)
        await heard(session, listening)
        async with session.get(f"{listening.http}/__tickdeck/metrics") as response:
            named = re.findall(r"^# TYPE (\w+)", await response.text(), re.M)
    assert re.findall(r"`(tickdeck_recorder_\w+)`", PAGE) == named


async def test_a_client_has_them_on_a_port_of_their_own(options: Options) -> None:
    told = Told()
    client = replace(options, subscribe=("T.MSFT",), key=KEY, metrics=("127.0.0.1", 0))
    async with service() as upstream, aiohttp.ClientSession() as session, recording(client, upstream, told):
        page = await told.first(Metrics)
        async with asyncio.timeout(10):
            while (await numbers(session, page.url))["tickdeck_recorder_frames_total"] < 5 + TRADES:
                pass
        found = await numbers(session, page.url)
        assert found["tickdeck_recorder_delay_seconds_count,stocks"] == 3 + TRADES
        async with session.get(page.url.removesuffix("metrics")) as answer:
            assert answer.status == 404
        async with session.post(page.url) as answer:
            assert answer.status == 405


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=lambda headers: next(iter(headers)),
)
async def test_a_page_in_a_browser_is_not_told(options: Options, headers: dict[str, str]) -> None:
    told = Told()
    async with service() as upstream, aiohttp.ClientSession() as session, recording(options, upstream, told):
        listening = await told.first(Listening)
        async with session.get(f"{listening.http}/__tickdeck/metrics", headers=headers) as answer:
            assert answer.status == 403
            assert "tickdeck_recorder" not in await answer.text()


async def test_a_port_that_is_taken_is_said_in_a_sentence(options: Options) -> None:
    async with service() as upstream:
        host, _, port = upstream.partition(":")
        taken = replace(options, metrics=(host, int(port)))
        with pytest.raises(UsageError, match=f"cannot listen on {upstream}: address already in use"):
            await Recorder(taken, notify=lambda notice: None).run()
    assert not options.output.exists() if isinstance(options.output, Path) else False


async def test_the_last_line_has_the_same_numbers(options: Options) -> None:
    told = Told()
    async with service() as upstream, aiohttp.ClientSession() as session:
        async with recording(options, upstream, told) as running:
            await heard(session, await told.first(Listening))
        values = (await running).values()
    assert "flow" not in values
    assert values["delay_p99_ns"] > 0
    assert json.loads(json.dumps(values))["compression"] > 1
