"""The vendor's own Python clients, unmodified, asking the REST side of a played cassette.

`massive` and `polygon-api-client` bring their own connection pool, retries, paging and
classes, so what is asserted here is what a user's program would have in its hands.
"""

from __future__ import annotations

import gzip
import importlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest
from urllib3.exceptions import MaxRetryError

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Interaction, Record
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.dialects.synth import glimpse
from tickdeck.mockserver.harness import MockServer, PlainMarket

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

pytestmark = pytest.mark.timeout(30)

UPSTREAM = "https://api.polygon.io"
FIRST = "/v2/aggs/ticker/AAPL/range/1/day/2020-01-02/2020-01-10?limit=2"
SECOND = "/v2/aggs/ticker/AAPL/range/1/day/1578286800000/2020-01-10?cursor=bGltaXQ9Mg"
PREVIOUS = "/v2/aggs/ticker/MSFT/prev"
TOO_MANY = b'{"status":"ERROR","request_id":"f0","error":"You\'ve exceeded the maximum requests per minute"}'


@pytest.fixture(params=["massive", "polygon"])
def vendor(request: pytest.FixtureRequest) -> ModuleType:
    """One of the two packages."""
    return importlib.import_module(request.param)


@contextmanager
def client(vendor: ModuleType, market: PlainMarket, key: str = "a-key") -> Iterator[Any]:
    """An official client of this server; its connections are closed behind it."""
    asking = vendor.RESTClient(key, base=market.http_url)
    try:
        yield asking
    finally:
        asking.client.clear()


def page(bars: str, following: str = "") -> bytes:
    more = f',"next_url":"{UPSTREAM}{following}"' if following else ""
    return f'{{"ticker":"AAPL","results":[{bars}],"status":"OK","request_id":"0"{more}}}'.encode()


def bar(close: float, at_ms: int) -> str:
    return f'{{"v":1000,"vw":{close},"o":{close},"c":{close},"h":{close},"l":{close},"t":{at_ms},"n":7}}'


def compressed(record: Interaction) -> Interaction:
    headers = (*record.response_headers, (b"Content-Encoding", b"gzip"))
    return replace(record, body=gzip.compress(record.body, mtime=0), response_headers=headers)


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "gzip"])
def test_aggregates_are_followed_over_their_pages_on_this_server(
    vendor: ModuleType, make: Make, story: Any, is_compressed: bool
) -> None:
    story.answers(1, UPSTREAM + FIRST, page(f"{bar(75.0875, 1)},{bar(74.3575, 2)}", SECOND))
    story.answers(2, UPSTREAM + SECOND, page(bar(74.95, 3)))
    records = [compressed(each) for each in story.records] if is_compressed else story.records
    with MockServer(make(records)) as market, client(vendor, market) as asking:
        bars = list(asking.list_aggs("AAPL", 1, "day", "2020-01-02", "2020-01-10", limit=2))
        raw = asking.list_aggs("AAPL", 1, "day", "2020-01-02", "2020-01-10", limit=2, raw=True)
        report: Any = market.report()
    assert all(type(each) is vendor.rest.models.Agg for each in bars)
    assert [(each.close, each.timestamp) for each in bars] == [(75.0875, 1), (74.3575, 2), (74.95, 3)]
    assert json.loads(raw.data)["next_url"] == market.http_url + SECOND
    assert raw.headers.get("Content-Encoding") == ("gzip" if is_compressed else None)
    assert report["requests"] == {"served": 3, "variant": 0, "stubbed": 0, "refused": 0, "missed": 0}
    assert report["unplayed"] == []


def test_a_rate_limit_is_asked_four_times_and_then_given_up(
    vendor: ModuleType, make: Make, story: Any
) -> None:
    story.answers(1, UPSTREAM + PREVIOUS, TOO_MANY, status=429)
    with MockServer(make(story.records)) as market, client(vendor, market) as asking:
        with pytest.raises(MaxRetryError, match="too many 429 error responses"):
            asking.get_previous_close_agg("MSFT")
        report: Any = market.report()
    assert report["requests"]["served"] == 4
    assert [entry.parts["status"] for entry in market.journal if entry.kind == "request"] == [429] * 4


def test_a_rate_limit_that_ends_is_waited_out(vendor: ModuleType, make: Make, story: Any) -> None:
    for at in (1, 2):
        story.answers(at, UPSTREAM + PREVIOUS, TOO_MANY, status=429)
    story.answers(3, UPSTREAM + PREVIOUS, page('{"T":"MSFT","c":160.62,"v":22622100}'))
    with MockServer(make(story.records), repeats="in-order") as market, client(vendor, market) as asking:
        (previous,) = asking.get_previous_close_agg("MSFT")
    assert type(previous) is vendor.rest.models.PreviousCloseAgg
    assert (previous.ticker, previous.close) == ("MSFT", 160.62)
    assert [entry.parts["status"] for entry in market.journal if entry.kind == "request"] == [429, 429, 200]


@pytest.mark.parametrize(
    ("profile", "words"), [(None, "invalid API key"), ("massive-2026", "Unknown API Key")]
)
def test_a_refused_key_is_a_bad_response_in_the_services_words(
    vendor: ModuleType, make: Make, story: Any, profile: str | None, words: str
) -> None:
    story.answers(1, UPSTREAM + PREVIOUS, page(""))
    with (
        MockServer(make(story.records), reject_keys=["bad"], profile=profile) as market,
        client(vendor, market, "bad") as asking,
        pytest.raises(vendor.exceptions.BadResponse) as caught,
    ):
        asking.get_previous_close_agg("MSFT")
    said = json.loads(str(caught.value))
    assert (said["status"], said["error"]) == ("ERROR", words)
    assert len(said["request_id"]) == 32


def test_a_request_without_a_key_is_told_so(vendor: ModuleType, make: Make, story: Any) -> None:
    story.answers(1, UPSTREAM + PREVIOUS, page(""))
    with (
        MockServer(make(story.records)) as market,
        client(vendor, market, "") as asking,
        pytest.raises(vendor.exceptions.BadResponse, match="API Key was not provided"),
    ):
        asking.get_previous_close_agg("MSFT")


def test_what_was_never_recorded_is_not_found_and_the_nearest_is_named(
    vendor: ModuleType, make: Make, story: Any
) -> None:
    story.answers(1, UPSTREAM + "/v3/trades/AAPL?limit=10", page(""))
    with MockServer(make(story.records)) as market, client(vendor, market) as asking:
        with pytest.raises(vendor.exceptions.BadResponse) as caught:
            list(asking.list_trades("AAPL", limit=50))
        report: Any = market.report()
    said = json.loads(str(caught.value))
    sentence = "no recording of GET /v3/trades/AAPL?limit=50; nearest: the same path with limit=10"
    assert (said["status"], said["message"]) == ("NOT_FOUND", sentence)
    assert report["requests"] == {"served": 0, "variant": 0, "stubbed": 0, "refused": 0, "missed": 1}


def test_paging_ends_where_the_recording_does(vendor: ModuleType, make: Make, story: Any) -> None:
    trades, following = "/v3/trades/AAPL?limit=1", "/v3/trades/AAPL?cursor=AbC123"
    story.answers(1, UPSTREAM + trades, page('{"price":300.5,"size":1}', following))
    with MockServer(make(story.records)) as market, client(vendor, market) as asking:
        found = asking.list_trades("AAPL", limit=1)
        assert next(found).price == 300.5
        with pytest.raises(vendor.exceptions.BadResponse, match=r"no recording of GET .*cursor=AbC123"):
            next(found)
        (missed,) = market.misses()
    assert missed["sentence"] == (
        "no recording of GET /v3/trades/AAPL?cursor=AbC123; "
        "nearest: the same path with limit=1 and without cursor=AbC123"
    )


def test_a_stub_is_busy_twice_and_then_the_tape_answers(vendor: ModuleType, make: Make, story: Any) -> None:
    story.answers(1, UPSTREAM + PREVIOUS, page(bar(1, 1)))
    with MockServer(make(story.records)) as market, client(vendor, market) as asking:
        market.stub(f"GET {PREVIOUS}", TOO_MANY, status=429, headers={"Retry-After": "0"}, times=2)
        assert asking.get_previous_close_agg("MSFT")[0].close == 1
        statuses = [each.parts["status"] for each in market.journal.requests]
    assert statuses == [429, 429, 200]


def test_a_request_with_more_than_was_recorded_is_answered_where_the_rest_is_ignored(
    vendor: ModuleType, make: Make, story: Any
) -> None:
    story.answers(1, UPSTREAM + "/v3/trades/AAPL", page('{"price":300.5,"size":1}'))
    ignore = ("query:timestamp.*", "query:order", "query:limit")
    with MockServer(make(story.records), ignore=ignore) as market, client(vendor, market) as asking:
        (trade,) = asking.list_trades("AAPL", timestamp_gte="2020-01-02", order="asc", limit=10)
    assert (trade.price, trade.size) == (300.5, 1)


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generator's eight seconds, which begin with a bot's requests."""
    header, records = glimpse(11)
    path = tmp_path_factory.mktemp("rest") / "glimpse.cassette"
    recording = Recording.create(path, header, redactor=Redactor(NO_PLACES), write_ahead=False)
    recording.append(records)
    recording.seal()
    return path


def recorded(path: Path, part: str) -> list[dict[str, Any]]:
    """The recorded answers to requests whose URL has this part, read without any of the server's code."""
    with open_cassette(path) as cassette:
        found = [each for each in cassette.interactions() if part in each.url]
    coded = [dict(each.response_headers).get(b"Content-Encoding") == b"gzip" for each in found]
    return [
        json.loads(gzip.decompress(each.body) if is_coded else each.body)
        for each, is_coded in zip(found, coded, strict=True)
    ]


def test_a_synthetic_session_of_minutes_is_listed_bar_for_bar(vendor: ModuleType, morning: Path) -> None:
    pages = recorded(morning, "/v2/aggs/ticker/AAPL/")
    with MockServer(morning) as market, client(vendor, market) as asking:
        bars = list(
            asking.list_aggs(
                "AAPL", 1, "minute", "2019-12-31", "2019-12-31", adjusted=True, sort="asc", limit=50
            )
        )
    wanted = [(each["t"], each["o"], each["c"], each["v"]) for page in pages for each in page["results"]]
    assert len(pages) == 3
    assert [(each.timestamp, each.open, each.close, each.volume) for each in bars] == wanted


def test_synthetic_trades_are_listed_over_their_pages(vendor: ModuleType, morning: Path) -> None:
    pages = recorded(morning, "/v3/trades/BRK.B")
    with MockServer(morning) as market, client(vendor, market) as asking:
        trades = list(asking.list_trades("BRK.B", timestamp="2019-12-31", limit=5))
    wanted = [
        (each["id"], each["price"], each["sip_timestamp"]) for page in pages for each in page["results"]
    ]
    assert len(pages) == 2
    assert [(each.id, each.price, each.sip_timestamp) for each in trades] == wanted


def test_a_synthetic_snapshot_is_parsed_whole(vendor: ModuleType, morning: Path) -> None:
    (said,) = recorded(morning, "/v2/snapshot/")
    with MockServer(morning) as market, client(vendor, market) as asking:
        snapshot = asking.get_snapshot_ticker("stocks", "AAPL")
    assert type(snapshot) is vendor.rest.models.TickerSnapshot
    assert snapshot.ticker == "AAPL"
    assert snapshot.last_trade.price == said["ticker"]["lastTrade"]["p"]
    assert snapshot.last_quote.ask_price == said["ticker"]["lastQuote"]["P"]
    assert (snapshot.day.close, snapshot.min.volume) == (
        said["ticker"]["day"]["c"],
        said["ticker"]["min"]["v"],
    )


def test_the_state_of_the_market_is_parsed(vendor: ModuleType, morning: Path) -> None:
    with MockServer(morning) as market, client(vendor, market) as asking:
        status = asking.get_market_status()
    assert (status.market, status.exchanges.nyse) == ("open", "open")


def test_recorded_refusals_are_answers_like_others(vendor: ModuleType, morning: Path) -> None:
    with MockServer(morning) as market, client(vendor, market) as asking:
        with pytest.raises(vendor.exceptions.BadResponse, match='"Unknown API Key"'):
            asking.get_last_trade("MSFT")
        with pytest.raises(vendor.exceptions.BadResponse, match=r'"NOT_FOUND".*"Ticker not found\."'):
            asking.get_ticker_details("NOSUCH")
        with pytest.raises(MaxRetryError, match="too many 429 error responses"):
            asking.get_previous_close_agg("MSFT")
        report: Any = market.report()
    statuses = [entry.parts["status"] for entry in market.journal if entry.kind == "request"]
    assert statuses == [401, 404, 429, 429, 429, 429]
    assert report["requests"] == {"served": 6, "variant": 0, "stubbed": 0, "refused": 0, "missed": 0}
