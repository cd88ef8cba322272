"""The vendor's own Python clients, unmodified, on the sockets of a played cassette.

`massive` and `polygon-api-client` parse every event with their own classes, so what is
asserted here is what a user's program would have in its hands.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest
from websockets.exceptions import ConnectionClosedError

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Frame, Record, Sender
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.dialects.synth import glimpse
from tickdeck.mockserver.harness import AsyncMarket, MockServer

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

pytestmark = pytest.mark.timeout(30)

MILLISECOND = 1_000_000
TRADE = (
    '{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"t":1781622376036,"pt":1781622376029,'
    '"q":4938312,"z":3,"trfi":202,"trft":1781622376036,"ds":"40.0"}'
)
QUOTE = (
    '{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
    '"t":1536036818784,"q":50385480,"z":3}'
)
MINUTE = (
    '{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,"h":0.4489,'
    '"l":0.4486,"a":0.4352,"z":685,"s":1610144640000,"e":1610144700000}'
)
BAND = '{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":1788877046310003385,"q":290317}'


@pytest.fixture(params=["massive", "polygon"])
def vendor(request: pytest.FixtureRequest) -> ModuleType:
    """One of the two packages."""
    return importlib.import_module(request.param)


class Bot:
    """A program around an official client: it keeps what the client gives it."""

    def __init__(self, vendor: ModuleType, server: AsyncMarket, *channels: str, **options: Any) -> None:
        options = {"api_key": "a-key", "market": "stocks", **options}
        self.client = vendor.WebSocketClient(
            feed=server.feed, secure=False, subscriptions=list(channels), **options
        )
        self.heard: list[Any] = []
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Until the client has had enough."""
        await asyncio.wait_for(self.client.connect(self._take), 20)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """While this is open; then the client closes."""
        task = asyncio.create_task(self.listen())
        yield
        await self.client.close()
        await task

    async def hears(self, count: int) -> list[Any]:
        """The first ``count`` things, once they are here."""
        async with asyncio.timeout(15):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard[:count]

    async def _take(self, message: Any) -> None:
        self.heard += message if isinstance(message, list) else [message]
        self._news.set()


def trade(symbol: str, number: int) -> str:
    return f'{{"ev":"T","sym":"{symbol}","p":{100 + number}.5,"s":{number},"t":1577413831740}}'


def prices(heard: Iterable[Any]) -> list[tuple[str, float]]:
    return [(event.symbol, event.price) for event in heard]


def entries(market: AsyncMarket, kind: str) -> list[Any]:
    return [entry for entry in market.journal if entry.kind == kind]


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """A few events of each kind, mixed in frames as the service mixes them."""
    story.opens(0, 0)
    story.says(0, 1, f"[{TRADE},{QUOTE}]")
    story.says(0, 2 * MILLISECOND, f"[{MINUTE}]")
    story.says(0, 3 * MILLISECOND, f"[{BAND},{trade('BRK.B', 3)},{trade('BRK.A', 4)}]")
    story.says(0, 4 * MILLISECOND, f"[{trade('AAPL', 5)}]")
    return make(story.records)


async def test_every_event_reaches_the_clients_own_classes_with_its_fields(
    vendor: ModuleType, tape: Cassette
) -> None:
    async with MockServer(tape, speed="max", at_end="close") as market:
        bot = Bot(vendor, market, "T.AAPL", "Q.MSFT", "AM.GTE", "LULD.MSFT")
        await bot.listen()
    models = vendor.websocket.models
    kinds = [type(each) for each in bot.heard]
    first, quote, minute, band, last = bot.heard
    assert kinds == [
        models.EquityTrade,
        models.EquityQuote,
        models.EquityAgg,
        models.LimitUpLimitDown,
        models.EquityTrade,
    ]
    assert (first.symbol, first.price, first.id, first.size) == ("AAPL", 297.845, "143541", 40)
    assert (first.exchange, first.trf_id, first.timestamp) == (4, 202, 1781622376036)
    assert (quote.bid_price, quote.ask_price, quote.ask_size, quote.indicators) == (
        114.125,
        114.128,
        160,
        [604],
    )
    assert (minute.symbol, minute.vwap, minute.end_timestamp) == ("GTE", 0.4488, 1610144700000)
    assert (band.symbol, band.high_price, band.timestamp) == ("MSFT", 218.96, 1788877046310003385)
    assert (last.symbol, last.price) == ("AAPL", 105.5)


async def test_a_raw_client_gets_the_bytes_of_the_tape(vendor: ModuleType, tape: Cassette) -> None:
    async with MockServer(tape, speed="max", at_end="close") as market:
        bot = Bot(vendor, market, "T.AAPL", "Q.MSFT", raw=True)
        await bot.listen()
    ack, *data = bot.heard
    said = {event["message"] for event in json.loads(ack)}
    assert said == {"subscribed to: T.AAPL", "subscribed to: Q.MSFT"}
    assert data == [f"[{TRADE},{QUOTE}]", f"[{trade('AAPL', 5)}]"]


async def test_a_wildcard_is_all_symbols_of_its_topic_and_of_no_other(
    vendor: ModuleType, tape: Cassette
) -> None:
    async with MockServer(tape, speed="max", at_end="close") as market:
        bot = Bot(vendor, market, "T.*")
        await bot.listen()
    wanted = [("AAPL", 297.845), ("BRK.B", 103.5), ("BRK.A", 104.5), ("AAPL", 105.5)]
    assert prices(bot.heard) == wanted


async def test_several_symbols_with_a_dot_among_them_and_no_others(
    vendor: ModuleType, tape: Cassette
) -> None:
    async with MockServer(tape, speed="max", at_end="close") as market:
        bot = Bot(vendor, market, "T.BRK.B", "T.AAPL", "T.NOSUCH")
        await bot.listen()
        report: Any = market.report()
    assert prices(bot.heard) == [("AAPL", 297.845), ("BRK.B", 103.5), ("AAPL", 105.5)]
    (row,) = report["clients"]
    assert row["channels"]["T.NOSUCH"]["unrecorded"] is True
    assert row["missteps"] == []


async def test_a_channel_subscribed_later_is_asked_for_within_a_second(
    vendor: ModuleType, tape: Cassette
) -> None:
    async with MockServer(tape, speed="max", start_on=["T.AAPL", "Q.MSFT"]) as market:
        bot = Bot(vendor, market, "T.AAPL", raw=True)
        async with bot.listening():
            assert "subscribed to: T.AAPL" in (await bot.hears(1))[0]
            bot.client.subscribe("Q.MSFT")
            heard = await bot.hears(4)
    assert "subscribed to: Q.MSFT" in heard[1]
    assert heard[2:] == [f"[{TRADE},{QUOTE}]", f"[{trade('AAPL', 5)}]"]
    first, second = entries(market, "subscribed")
    assert (first.parts["channels"], second.parts["channels"]) == (["T.AAPL"], ["Q.MSFT"])
    assert second.now_ns - first.now_ns < 3_000 * MILLISECOND


@pytest.fixture
def stretch(make: Make, story: Any) -> Cassette:
    """A and B trade at once every 200 ms, five times."""
    story.opens(0, 0)
    for number in range(5):
        story.says(0, number * 200 * MILLISECOND, f"[{trade('A', number)},{trade('B', number)}]")
    return make(story.records)


async def test_subscriptions_may_change_while_the_tape_runs(vendor: ModuleType, stretch: Cassette) -> None:
    async with MockServer(stretch, speed=1, at_end="close") as market:
        bot = Bot(vendor, market, "T.A")
        listening = asyncio.create_task(bot.listen())
        await bot.hears(1)
        bot.client.subscribe("T.B")
        bot.client.unsubscribe("T.A")
        await listening
        report: Any = market.report()
    heard = prices(bot.heard)
    assert heard[0] == ("A", 100.5)
    assert heard[-1] == ("B", 104.5)
    assert heard == sorted(heard, key=lambda each: each[1])
    (row,) = report["clients"]
    assert row["channels"]["T.A"]["sent"] == sum(symbol == "A" for symbol, _ in heard)
    assert row["channels"]["T.B"]["sent"] == sum(symbol == "B" for symbol, _ in heard)


async def test_a_subscription_to_all_takes_the_place_of_single_ones(
    vendor: ModuleType, stretch: Cassette
) -> None:
    async with MockServer(stretch, speed=1, at_end="close") as market:
        bot = Bot(vendor, market, "T.A")
        listening = asyncio.create_task(bot.listen())
        await bot.hears(1)
        bot.client.subscribe("T.*")
        await listening
    assert [entry.parts["channels"] for entry in entries(market, "subscribed")] == [["T.A"], ["T.*"]]
    assert [entry.parts["channels"] for entry in entries(market, "unsubscribed")] == [["T.A"]]
    assert prices(bot.heard)[-2:] == [("A", 104.5), ("B", 104.5)]


@pytest.mark.parametrize("code", [None, 1008])
async def test_after_a_loss_the_client_reconnects_and_resubscribes_by_itself(
    vendor: ModuleType, stretch: Cassette, code: int | None
) -> None:
    async with MockServer(stretch, speed=1, at_end="close") as market:
        bot = Bot(vendor, market, "T.A")
        listening = asyncio.create_task(bot.listen())
        await bot.hears(1)
        market.drop(code=code)
        await listening
        report: Any = market.report()
    heard = prices(bot.heard)
    assert heard[0] == ("A", 100.5)
    assert heard[-1] == ("A", 104.5)
    assert len(set(heard)) == len(heard)
    kinds = [entry.kind for entry in market.journal]
    assert (kinds.count("authenticated"), kinds.count("started"), kinds.count("resumed")) == (2, 1, 1)
    assert [entry.parts["channels"] for entry in entries(market, "subscribed")] == [["T.A"], ["T.A"]]
    lost, ended = entries(market, "left")
    assert (lost.parts["by"], lost.parts["code"], ended.parts["code"]) == ("server", code, 1000)
    assert {row["timeline"] for row in report["clients"]} == {1}


async def test_a_client_that_may_not_reconnect_raises_the_loss(vendor: ModuleType, stretch: Cassette) -> None:
    async with MockServer(stretch, speed=1) as market:
        bot = Bot(vendor, market, "T.A", max_reconnects=0)
        listening = asyncio.create_task(bot.listen())
        await bot.hears(1)
        market.drop()
        with pytest.raises(ConnectionClosedError):
            await listening


@pytest.mark.parametrize("code", [1000, 1001])
async def test_after_a_clean_close_the_client_returns(
    vendor: ModuleType, stretch: Cassette, code: int
) -> None:
    async with MockServer(stretch, speed=1) as market:
        bot = Bot(vendor, market, "T.A")
        listening = asyncio.create_task(bot.listen())
        await bot.hears(1)
        market.drop(code=code)
        await listening
        assert len(entries(market, "connected")) == 1


async def test_a_client_that_closes_has_left_by_itself(vendor: ModuleType, tape: Cassette) -> None:
    async with MockServer(tape, speed="max") as market:
        bot = Bot(vendor, market, "T.*")
        async with bot.listening():
            await bot.hears(4)
        await market.wait_left()
        (left,) = entries(market, "left")
    assert (left.parts["by"], left.parts["code"]) == ("client", 1000)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (None, "invalid API key"),
        ("polygon", "invalid API key"),
        ("alpaca-2019", "invalid API key"),
        ("massive-2026", "authentication failed"),
    ],
)
async def test_a_refused_key_is_an_auth_error_in_the_services_words(
    vendor: ModuleType, tape: Cassette, profile: str | None, words: str
) -> None:
    async with MockServer(tape, reject_keys=["a-key"], profile=profile) as market:
        bot = Bot(vendor, market, "T.*")
        with pytest.raises(vendor.exceptions.AuthError, match=f"^{words}$"):
            await bot.listen()
        await market.wait_left()
        assert len(entries(market, "refused")) == 1
        assert not entries(market, "authenticated")


@pytest.mark.parametrize("profile", ["polygon", "alpaca-2019", "massive-2026"])
async def test_every_profile_lets_a_good_key_in(vendor: ModuleType, tape: Cassette, profile: str) -> None:
    async with MockServer(tape, speed="max", at_end="close", profile=profile, keys=["a-key"]) as market:
        bot = Bot(vendor, market, "T.*")
        await bot.listen()
    assert len(bot.heard) == 4


async def test_a_channel_that_is_not_in_the_plan_is_silent_and_the_others_flow(
    vendor: ModuleType, tape: Cassette, caplog: pytest.LogCaptureFixture
) -> None:
    async with MockServer(tape, speed="max", at_end="close", not_entitled=["Q.*"]) as market:
        bot = Bot(vendor, market, "T.AAPL", "Q.MSFT")
        await bot.listen()
    assert [each.symbol for each in bot.heard] == ["AAPL", "AAPL"]
    if vendor.__name__ == "massive":
        assert [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING] == [
            "server error: not authorized"
        ]


@pytest.mark.parametrize(
    ("market_name", "channel", "event", "model", "fields"),
    [
        (
            "options",
            "T.O:AMC210827C00037000",
            '{"ev":"T","sym":"O:AMC210827C00037000","x":65,"p":1.54,"s":1,"c":[233],"t":1629820676333,"q":651921857}',
            "EquityTrade",
            {"symbol": "O:AMC210827C00037000", "price": 1.54, "conditions": [233]},
        ),
        (
            "forex",
            "C.USD/CNH",
            '{"ev":"C","p":"USD/CNH","x":"44","a":6.83366,"b":6.83363,"t":1536036818784}',
            "ForexQuote",
            {"pair": "USD/CNH", "ask_price": 6.83366, "bid_price": 6.83363},
        ),
        (
            "crypto",
            "XT.BTC-USD",
            (
                '{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,"s":0.01616617,"c":[2],"i":14272084,"x":3,'
                '"r":1610462007576}'
            ),
            "CryptoTrade",
            {"pair": "BTC-USD", "price": 33021.9, "received_timestamp": 1610462007576},
        ),
        (
            "indices",
            "V.I:SPX",
            '{"ev":"V","val":3988.5,"T":"I:SPX","t":1678220098130}',
            "IndexValue",
            {"value": 3988.5, "ticker": "I:SPX"},
        ),
        (
            "futures/cme",
            "Q.ESZ4",
            (
                '{"ev":"Q","sym":"ESZ4","bp":5499.0,"bs":50,"bt":1700000000000,"ap":5500.0,"as":30,"at":1700000000000,'
                '"t":1700000000000}'
            ),
            "FuturesQuote",
            {"symbol": "ESZ4", "bid_price": 5499.0, "ask_size": 30},
        ),
    ],
    ids=["options", "forex", "crypto", "indices", "futures"],
)
async def test_every_market_has_its_socket(
    vendor: ModuleType,
    make: Make,
    story: Any,
    *,
    market_name: str,
    channel: str,
    event: str,
    model: str,
    fields: dict[str, object],
) -> None:
    story.opens(0, 0, market=market_name)
    story.says(0, 1, f"[{event}]")
    async with MockServer(make(story.records), speed="max", at_end="close") as market:
        bot = Bot(vendor, market, channel, market=market_name)
        await bot.listen()
    (heard,) = bot.heard
    assert type(heard) is getattr(vendor.websocket.models, model)
    assert {name: getattr(heard, name) for name in fields} == fields


async def test_a_feed_may_have_a_path_in_front_of_the_market(vendor: ModuleType, tape: Cassette) -> None:
    async with MockServer(tape, speed="max", at_end="close") as market:
        market.feed += "/some/prefix"
        bot = Bot(vendor, market, "T.BRK.B")
        await bot.listen()
    assert prices(bot.heard) == [("BRK.B", 103.5)]


@pytest.fixture
def eight_seconds(tmp_path: Path) -> Path:
    """The generator's eight seconds."""
    header, records = glimpse(11)
    path = tmp_path / "glimpse.cassette"
    recording = Recording.create(path, header, redactor=Redactor(NO_PLACES), write_ahead=False)
    recording.append(records)
    recording.seal()
    return path


async def test_all_of_a_synthetic_market_arrives_event_for_event(
    vendor: ModuleType, eight_seconds: Path
) -> None:
    with open_cassette(eight_seconds) as cassette:
        frames = [each for each in cassette.records() if isinstance(each, Frame)]
        said = [
            json.loads(each.payload) for each in frames if each.sender is Sender.SERVER and each.opcode == 1
        ]
    events = [event for message in said for event in message if event["ev"] != "status"]
    topics = sorted({event["ev"] for event in events})
    async with MockServer(eight_seconds, speed="max", at_end="close") as market:
        bot = Bot(vendor, market, *(f"{topic}.*" for topic in topics))
        await bot.listen()
    assert topics == ["A", "AM", "LULD", "Q", "T"]
    assert Counter(each.event_type for each in bot.heard) == Counter(event["ev"] for event in events)
    trades = [event for event in events if event["ev"] == "T"]
    assert prices(each for each in bot.heard if each.event_type == "T") == [
        (event["sym"], event["p"]) for event in trades
    ]
