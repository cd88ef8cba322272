"""Play, record through the proxy, play what was recorded: the bot cannot tell the difference.

The bot is written with libraries that nobody here wrote (websockets, aiohttp). What it
may see change is one thing, the server's own origin; so answers are compared with the
origin it asked spelled as a word.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tickdeck.cassette.files import open_cassette, verify_file
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import (
    PING,
    PONG,
    Frame,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.dialects.synth import glimpse
from tickdeck.mockserver.harness import AsyncMarket, MockServer
from tickdeck.recorder.notices import Listening, Notice, Report
from tickdeck.recorder.run import Options, Recorder

pytestmark = pytest.mark.timeout(60)

KEY = "the-key-of-the-bot-0123456789"
OTHER_KEY = "a-key-that-nobody-ever-issued"
CHANNELS = "T.*,Q.AAPL,A.AAPL,AM.*,LULD.*"
AGGREGATES = "/v2/aggs/ticker/AAPL/range/1/minute/2019-12-31/2019-12-31?adjusted=true&sort=asc&limit=50"
TRADES = f"/v3/trades/BRK.B?timestamp=2019-12-31&limit=5&apiKey={KEY}"
SNAPSHOT = "/v2/snapshot/locale/us/markets/stocks/tickers/AAPL"
REFUSED = "/v2/last/trade/MSFT"
MISSING = "/v3/reference/tickers/NOSUCH"
TOO_MANY = "/v2/aggs/ticker/MSFT/prev"
REPEATED = "/v1/marketstatus/now"


@dataclass(frozen=True)
class Answer:
    """A response, with the origin that was asked spelled ``ORIGIN``."""

    target: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class Seen:
    """All that a bot saw: answers, and for each connection its messages and how it ended."""

    answers: list[Answer] = field(default_factory=list)
    connections: list[list[str]] = field(default_factory=list)
    ends: list[int | None] = field(default_factory=list)

    @property
    def data(self) -> list[str]:
        """The messages of all connections that are no statuses."""
        return [each for messages in self.connections for each in messages if '"ev":"status"' not in each]


class Bot:
    """Knows nothing but an origin for REST and one for sockets."""

    def __init__(self, http: str, ws: str, on_data: Callable[[int], None] = lambda count: None) -> None:
        self._http = http
        self._ws = ws
        self._on_data = on_data
        self.seen = Seen()

    async def read_history(self) -> None:
        """Pages, a snapshot, and three mistakes."""
        async with self._session() as session:
            await self._pages(session, AGGREGATES)
            await self._pages(session, TRADES, authorization=None)
            for target in (SNAPSHOT, MISSING, TOO_MANY, SNAPSHOT):
                await self._ask(session, target)
            await self._ask(session, REFUSED, authorization=f"Bearer {OTHER_KEY}")

    async def ask_again(self, target: str, times: int) -> None:
        """The same thing several times."""
        async with self._session() as session:
            for _ in range(times):
                await self._ask(session, target)

    async def follow_market(self) -> None:
        """Until the server closes; after a loss it comes back at once."""
        while not self.seen.ends or self.seen.ends[-1] is None:
            messages: list[str] = []
            self.seen.connections.append(messages)
            async with connect(self._ws + "/stocks", compression=None) as socket:
                try:
                    messages.append(str(await socket.recv()))
                    await socket.send(json.dumps({"action": "auth", "params": KEY}))
                    messages.append(str(await socket.recv()))
                    await (await socket.ping(b"still there?"))
                    await socket.send(json.dumps({"action": "subscribe", "params": CHANNELS}))
                    messages.append(str(await socket.recv()))
                    async for message in socket:
                        messages.append(str(message))
                        self._on_data(len(messages) - 3)
                except ConnectionClosedError:
                    assert socket.close_code == 1006
                    self.seen.ends.append(None)
                else:
                    self.seen.ends.append(socket.close_code)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=10))

    async def _pages(self, session: aiohttp.ClientSession, target: str, **how: Any) -> None:
        """Each page's address is followed to the letter, with the key behind it where it belongs there."""
        url: str | None = self._http + target
        while url is not None:
            assert url.startswith(self._http)
            answer = await self._ask(session, url.removeprefix(self._http), **how)
            url = json.loads(answer.body).get("next_url")
            if url is not None:
                url = url.replace("ORIGIN", self._http)
                url += f"&apiKey={KEY}" if "authorization" in how else ""

    async def _ask(
        self, session: aiohttp.ClientSession, target: str, *, authorization: str | None = f"Bearer {KEY}"
    ) -> Answer:
        headers = {"Accept-Encoding": "gzip"} | ({"Authorization": authorization} if authorization else {})
        async with session.get(self._http + target, headers=headers) as response:
            body = await response.read()
            assert response.headers["Content-Length"] == str(len(body))
            fields = tuple(
                (name, value) for name, value in response.headers.items() if name != "Content-Length"
            )
            plain = gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body
            plain = plain.replace(self._http.encode(), b"ORIGIN")
            answer = Answer(target, response.status, response.reason or "", fields, plain)
        self.seen.answers.append(answer)
        return answer


@asynccontextmanager
async def recorded(path: Path, vendor: AsyncMarket) -> AsyncIterator[Listening]:
    """The proxy in front of a player; behind it, ``path`` is sealed."""
    ready: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()

    def hear(notice: Notice) -> None:
        if isinstance(notice, Listening):
            ready.set_result(notice)

    options = Options(output=path, upstream_http=vendor.http_url, upstream_ws=vendor.ws_url, listen_port=0)
    recorder = Recorder(options, notify=hear)
    running: asyncio.Task[Report] = asyncio.create_task(recorder.run())
    await asyncio.wait((ready, running), return_when=asyncio.FIRST_COMPLETED)
    yield ready.result()
    recorder.request_stop()
    report = await asyncio.wait_for(running, 10)
    assert report.sealed
    assert not report.errors
    assert not verify_file(path).findings


def tape(path: Path, records: Any = None) -> Path:
    """The generator's eight seconds, or records of a test's own, on a cassette."""
    header, made = glimpse(11)
    recording = Recording.create(path, header, redactor=Redactor(NO_PLACES), write_ahead=False)
    recording.append(made if records is None else records)
    recording.seal()
    return path


def compressed(records: Sequence[Record]) -> list[Record]:
    """With the bodies of all answers under gzip."""
    return [
        replace(
            each,
            body=gzip.compress(each.body, mtime=0),
            response_headers=(*each.response_headers, (b"Content-Encoding", b"gzip")),
        )
        if isinstance(each, Interaction) and each.body[:2] != b"\x1f\x8b"
        else each
        for each in records
    ]


async def a_day(http: str, ws: str) -> Seen:
    """A bot's day: history, then the market until it ends."""
    bot = Bot(http, ws)
    await bot.read_history()
    await asyncio.wait_for(bot.follow_market(), 20)
    return bot.seen


def digests(market: AsyncMarket) -> list[object]:
    report: Any = market.report()
    return [row["digest"] for row in report["clients"]]


async def record_a_day(tape: Path, onto: Path, **options: Any) -> tuple[Seen, list[object]]:
    """What a bot saw through the recorder, and the digest of what it was sent."""
    async with MockServer(tape, at_end="close", repeats="in-order", **options) as vendor:
        async with recorded(onto, vendor) as proxy:
            seen = await a_day(proxy.http, proxy.ws)
        return seen, digests(vendor)


async def play_a_day(tape: Path, **options: Any) -> tuple[Seen, list[object]]:
    """What a bot saw of a replay, and the digest of what it was sent."""
    async with MockServer(tape, at_end="close", repeats="in-order", **options) as market:
        seen = await a_day(market.http_url, market.ws_url)
        report: Any = market.report()
        assert report["misses"] == report["unplayed"] == []
        assert report["missteps"] == 0
        return seen, digests(market)


@pytest.mark.parametrize("bodies", ["as made", "all gzip"])
async def test_the_bot_sees_its_day_again_at_any_speed(tmp_path: Path, bodies: str) -> None:
    records = list(glimpse(11)[1])
    source = tape(tmp_path / "source.cassette", compressed(records) if bodies == "all gzip" else records)
    seen, digest = await record_a_day(source, tmp_path / "x.cassette", speed=20)
    assert [each.status for each in seen.answers] == [200] * 6 + [404, 429, 200, 401]
    assert (len(seen.connections), seen.ends) == (1, [1000])
    assert len(seen.data) > 40
    for speed in (20, "max", "7.3"):
        again, its_digest = await play_a_day(tmp_path / "x.cassette", speed=speed)
        assert again == seen
        assert its_digest == digest


@pytest.mark.parametrize("profile", ["alpaca-2019", "massive-2026"])
async def test_the_recording_speaks_as_the_recorded_service_did(tmp_path: Path, profile: str) -> None:
    source = tape(tmp_path / "source.cassette")
    seen, _ = await record_a_day(source, tmp_path / "x.cassette", speed="max", profile=profile)
    again, _ = await play_a_day(tmp_path / "x.cassette", speed="max")
    assert ('"status":"success","message":"authenticated"' in seen.connections[0][1]) == (
        profile == "alpaca-2019"
    )
    assert again == seen


SPACED = '[{"ev": "status", "status": "success", "message": "subscribed to: T.MSFT"}]'
TURNED_AWAY = '[{"ev": "status", "status": "auth_failed", "message": "we do not know you"}]'


async def talk(ws: str, key: str) -> list[str]:
    """What a bot hears that says its key and asks for one channel."""
    async with connect(ws + "/stocks", compression=None) as socket:
        heard = [str(await socket.recv())]
        try:
            for action, params in (("auth", key), ("subscribe", "T.MSFT")):
                await socket.send(json.dumps({"action": action, "params": params}))
                heard.append(str(await socket.recv()))
        except ConnectionClosedError:
            assert socket.close_code == 1006
    return heard


async def test_a_refusal_and_an_acknowledgement_are_spelled_as_the_recorded_service_did(
    tmp_path: Path,
) -> None:
    said = {
        "auth_failed": TURNED_AWAY,
        "subscribed": SPACED.replace("T.MSFT", "{channel}"),
        "separator": ", ",
    }
    records = [replace(each, values=said) if isinstance(each, Profile) else each for each in glimpse(11)[1]]
    source, path = tape(tmp_path / "source.cassette", records), tmp_path / "x.cassette"
    async with (
        MockServer(source, speed="step", reject_keys=[OTHER_KEY]) as vendor,
        recorded(path, vendor) as proxy,
    ):
        heard = [await talk(proxy.ws, key) for key in (KEY, OTHER_KEY)]
    assert [each[-1] for each in heard] == [SPACED, TURNED_AWAY]
    async with MockServer(path, speed="step", reject_keys=[OTHER_KEY]) as market:
        assert [await talk(market.ws_url, key) for key in (KEY, OTHER_KEY)] == heard
    async with MockServer(path, speed="step", reject_keys=[OTHER_KEY], profile="polygon") as market:
        assert "invalid API key" in (await talk(market.ws_url, OTHER_KEY))[-1]


async def test_the_recording_of_a_replay_is_the_recording(tmp_path: Path) -> None:
    source, first, second = (tmp_path / f"{name}.cassette" for name in ("source", "first", "second"))
    seen, digest = await record_a_day(tape(source), first, speed="max")
    again, its_digest = await record_a_day(first, second, speed="max")
    third, last_digest = await play_a_day(second, speed="max")
    assert again == seen == third
    assert its_digest == digest == last_digest
    assert conversation(second) == conversation(first)
    assert exchanges(second) == exchanges(first)
    assert [each.payload for each in lines(second, Frame) if each.opcode in (PING, PONG)] == [
        b"still there?"
    ] * 2
    assert survey_of(second) == survey_of(first)


@pytest.mark.parametrize("package", ["massive", "polygon"])
async def test_the_vendors_own_clients_are_recorded_and_played_to(tmp_path: Path, package: str) -> None:
    vendor = importlib.import_module(package)
    source, first = tape(tmp_path / "source.cassette"), tmp_path / "first.cassette"
    async with (
        MockServer(source, speed="max", at_end="close") as upstream,
        recorded(first, upstream) as proxy,
    ):
        seen = await _official_day(vendor, proxy.http, proxy.feed)
    async with MockServer(first, speed="max", at_end="close") as market:
        again = await _official_day(vendor, market.http_url, market.feed)
    bars, events = seen
    assert (len(bars), len({each.symbol for each in events}) > 2) == (150, True)
    assert again == seen


async def _official_day(vendor: ModuleType, http: str, feed: str) -> tuple[list[Any], list[Any]]:
    """The bars of the session before, then all trades and minutes, in the client's own classes."""
    asking = vendor.RESTClient(KEY, base=http)
    day = "2019-12-31"
    listed = asking.list_aggs("AAPL", 1, "minute", day, day, adjusted=True, sort="asc", limit=50)
    bars = await asyncio.to_thread(list, listed)
    asking.client.clear()
    events: list[Any] = []

    async def take(heard: list[Any]) -> None:
        events.extend(heard)

    listening = vendor.WebSocketClient(KEY, feed=feed, secure=False, subscriptions=["T.*", "AM.*"])
    await asyncio.wait_for(listening.connect(take), 20)
    return bars, events


async def test_a_key_is_on_no_generation_and_stays_the_same_placeholder(tmp_path: Path) -> None:
    source, first, second = (tmp_path / f"{name}.cassette" for name in ("source", "first", "second"))
    await record_a_day(tape(source), first, speed="max")
    await record_a_day(first, second, speed="max")
    for path in (first, second):
        whole = repr(everything(path))
        assert KEY not in whole
        assert OTHER_KEY not in whole
        assert {f"REDACTED-{number}" in whole for number in (1, 2)} == {True}
        assert "REDACTED-3" not in whole


async def test_a_lost_connection_is_on_the_tape_and_what_came_is_played_in_order(tmp_path: Path) -> None:
    source, first, second = (tmp_path / f"{name}.cassette" for name in ("source", "first", "second"))
    seen, lost_once = await _lose_once(tape(source), first, speed=10)
    assert [type(each).__name__ for each in lines(first, TrackOpened, TrackClosed)] == [
        "TrackOpened",
        "TrackClosed",
        "TrackOpened",
        "TrackClosed",
    ]
    loss, end = lines(first, TrackClosed)
    assert (loss.by, loss.code, end.code) == (Sender.SERVER, None, 1000)
    assert lost_once
    for speed in (20, "max"):
        async with MockServer(first, speed=speed, at_end="close") as market:
            bot = Bot(market.http_url, market.ws_url)
            await asyncio.wait_for(bot.follow_market(), 20)
            (gap,) = (entry for entry in market.journal if entry.kind == "gap")
        assert bot.seen.ends == [1000]
        assert bot.seen.data == seen.data
        assert gap.parts["market"] == "stocks"
    async with MockServer(first, speed="max", at_end="close") as vendor, recorded(second, vendor) as proxy:
        bot = Bot(proxy.http, proxy.ws)
        await asyncio.wait_for(bot.follow_market(), 20)
    assert bot.seen.data == seen.data


async def test_a_replay_can_be_lost_as_the_recording_was_and_resumes(tmp_path: Path) -> None:
    source, first, second = (tmp_path / f"{name}.cassette" for name in ("source", "first", "second"))
    seen, _ = await _lose_once(tape(source), first, speed=10)
    again, lost_again = await _lose_once(first, second, speed=1)  # what it recorded has the pace of ten
    assert lost_again
    everything_seen = iter(seen.data)
    assert all(message in everything_seen for message in again.data)  # in this order, but for the outage
    assert again.data[:8] == seen.data[:8]


async def _lose_once(source: Path, onto: Path, *, speed: int) -> tuple[Seen, bool]:
    """Recorded while the upstream loses the bot's first connection behind its eighth message of data."""
    async with (
        MockServer(source, speed=speed, at_end="close") as vendor,
        recorded(onto, vendor) as proxy,
    ):

        def lose(count: int) -> None:
            if count == 8 and len(bot.seen.connections) == 1:
                vendor.drop()

        bot = Bot(proxy.http, proxy.ws, on_data=lose)
        await asyncio.wait_for(bot.follow_market(), 20)
        resumed = [entry for entry in vendor.journal if entry.kind == "resumed"]
    assert bot.seen.ends == [None, 1000]
    first, second = bot.seen.connections
    assert first[:3] == second[:3]
    return bot.seen, len(resumed) == 1


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("repeats", "heard"),
    [
        ("in-order", [b"open", b"429", b"closed", b"closed", b"closed"]),
        ("cycle", [b"open", b"429", b"closed", b"open", b"429"]),
    ],
)
async def test_an_answer_that_changed_changes_again(
    tmp_path: Path, story: Any, is_compressed: bool, repeats: str, heard: list[bytes]
) -> None:
    for at, (status, word) in enumerate([(200, b"open"), (429, b"429"), (200, b"closed")]):
        body = b'{"market":"%b","next_url":"https://api.massive.com/v1/x"}' % word
        story.answers(at, "https://api.massive.com" + REPEATED, body, status=status)
    source = tape(tmp_path / "source.cassette", compressed(story.records) if is_compressed else story.records)
    first, second = tmp_path / "first.cassette", tmp_path / "second.cassette"
    seen = []
    for path, onto in ((source, first), (first, second)):
        async with MockServer(path, repeats=repeats) as vendor, recorded(onto, vendor) as proxy:
            bot = Bot(proxy.http, proxy.ws)
            await bot.ask_again(REPEATED, 5)
            seen.append(bot.seen.answers)
    async with MockServer(second, repeats=repeats) as market:
        bot = Bot(market.http_url, market.ws_url)
        await bot.ask_again(REPEATED, 5)
        seen.append(bot.seen.answers)
    bodies = [b'{"market":"%b","next_url":"ORIGIN/v1/x"}' % word for word in heard]
    for answers in seen:
        assert [each.body for each in answers] == bodies
        assert [each.status for each in answers] == [429 if word == b"429" else 200 for word in heard]
    assert seen[0] == seen[1] == seen[2]
    assert exchanges(second) == exchanges(first)


def everything(path: Path) -> list[Record]:
    with open_cassette(path) as cassette:
        return list(cassette.records())


def lines(path: Path, *kinds: type) -> list[Any]:
    return [each for each in everything(path) if isinstance(each, kinds)]


def conversation(path: Path) -> list[object]:
    """What was said on the sockets, either side by itself (how the sides interleave is the wire's doing)."""
    frames = lines(path, Frame)
    return [
        [(each.market, each.url.rpartition("/")[2]) for each in lines(path, TrackOpened)],
        [(each.track, each.opcode, each.payload) for each in frames if each.sender is Sender.SERVER],
        [(each.track, each.opcode, each.payload) for each in frames if each.sender is Sender.CLIENT],
        [(each.track, each.by, each.code, each.reason) for each in lines(path, TrackClosed)],
    ]


def exchanges(path: Path) -> list[object]:
    """What was asked and answered, with the recording's own origins as a word."""
    with open_cassette(path) as cassette:
        origin = cassette.header.origins[0]
        return [_exchange(each, origin) for each in cassette.interactions()]


def _exchange(each: Interaction, origin: str) -> object:
    coded = (b"Content-Encoding", b"gzip") in each.response_headers
    plain = gzip.decompress(each.body) if coded else each.body
    asked = tuple(pair for pair in each.request_headers if pair[0] != b"Host")
    answered = tuple(pair for pair in each.response_headers if pair[0] != b"Content-Length")
    url, body = each.url.replace(origin, "ORIGIN"), plain.replace(origin.encode(), b"ORIGIN")
    return each.method, url, each.status, each.reason, asked, each.request_body, answered, body, each.complete


def survey_of(path: Path) -> object:
    """What the index says that does not depend on when it was recorded."""
    with open_cassette(path) as cassette:
        survey = cassette.survey
        return survey.profile, survey.redactions
