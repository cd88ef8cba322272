"""A bot that is told another day asks for that day: what was recorded is found, moved back, and else as it is asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

NEW_YORK = ZoneInfo("America/New_York")
API = "https://api.polygon.io"
BARS = "/v2/aggs/ticker/AAPL/range/1/day/{}/{}"
MINUTES = "/v2/aggs/ticker/AAPL/range/1/minute/1577975400000/2020-01-02?cursor=bGltaXQ9Mg"
OPEN_MS = 1_577_975_400_000  # 2020-01-02T14:30:00Z
EXPIRY = "/v3/snapshot/options/AAPL/O:AAPL200117C00300000"
DIVIDENDS = "/v3/reference/dividends?ex_dividend_date=2020-01-02"


def get(market: PlainMarket, target: str) -> tuple[int, Any]:
    try:
        joined = f"{target}{'&' if '?' in target else '?'}apiKey=key"
        with urlopen(market.http_url + joined, timeout=30) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with closing(error):
            return error.code, json.load(error)


@pytest.fixture
def day(make: Make, story: Any) -> Cassette:
    """A day in New York, 2020-01-02: its bars over two pages, trades since its open, and facts."""
    story.opens(1, 0)
    story.acks(1, 1, "T.AAPL")
    bars = b'{"from":"2020-01-02","results":[{"t":%d.0,"o":1.5}],"next_url":"%s"}' % (
        OPEN_MS,
        (API + MINUTES).encode(),
    )
    story.answers(2, API + BARS.format("2020-01-02", "2020-01-02"), bars)
    story.answers(3, API + MINUTES, b'{"results":[]}')
    story.answers(4, f"{API}/v3/trades/AAPL?timestamp.gte={OPEN_MS}000000", b'{"results":[1]}')
    story.answers(5, API + EXPIRY, b'{"results":{}}')
    story.answers(6, API + DIVIDENDS, b'{"results":[{"ex_dividend_date":"2020-01-02"}]}')
    story.trades(1, 7, "AAPL")
    return make(story.records)


@pytest.mark.parametrize(("shift", "days"), [("1d", 1), ("30d", 30), ("-7d", -7), ("36h", 1)])
def test_the_bars_of_the_day_that_a_bot_is_told_are_found(day: Cassette, shift: str, days: int) -> None:
    told = (datetime(2020, 1, 2, tzinfo=UTC) + timedelta(days=days)).date().isoformat()
    with MockServer(day, time_shift=shift, speed="max") as market:
        status, answer = get(market, BARS.format(told, told))
        assert (status, answer["from"]) == (200, told)
        hours = {"36h": 36}.get(shift, days * 24)
        assert answer["results"] == [{"t": OPEN_MS + hours * 3_600_000, "o": 1.5}]
        assert not market.misses()


def test_a_moment_of_now_is_asked_for_in_nanoseconds(day: Cassette) -> None:
    with MockServer(day, time_shift="90m", speed="max") as market:
        assert get(market, f"/v3/trades/AAPL?timestamp.gte={OPEN_MS + 5_400_000}000000") == (
            200,
            {"results": [1]},
        )


def test_the_next_page_is_followed_as_it_is_told(day: Cassette) -> None:
    with MockServer(day, time_shift="30d", speed="max") as market:
        told = get(market, BARS.format("2020-02-01", "2020-02-01"))[1]["next_url"]
        parts = urlsplit(told)
        assert get(market, f"{parts.path}?{parts.query}") == (200, {"results": []})


def test_what_is_asked_as_it_was_recorded_is_found_too(day: Cassette) -> None:
    with MockServer(day, time_shift="30d", speed="max") as market:
        assert get(market, BARS.format("2020-01-02", "2020-01-02"))[0] == 200


@pytest.mark.parametrize("target", [EXPIRY, DIVIDENDS])
def test_facts_are_asked_for_as_they_are(day: Cassette, target: str) -> None:
    with MockServer(day, time_shift="30d", speed="max") as market:
        assert get(market, target)[0] == 200
        assert get(market, target.replace("2020-01-02", "2020-02-01").replace("200117", "200216"))[0] == (404)


def today() -> date:
    return datetime.fromtimestamp(time.time_ns() / 1e9, NEW_YORK).date()


def test_today_is_the_day_that_a_bot_asks_for(day: Cassette) -> None:
    with MockServer(day, time_shift="today", speed="max") as market:
        began, answered, ended = today(), get(market, EXPIRY)[0], today()
        found = [get(market, BARS.format(told, told)) for told in {began, ended}]
    assert answered == 200
    assert any(
        status == 200 and answer["from"] in (began.isoformat(), ended.isoformat()) for status, answer in found
    )


def test_a_miss_names_what_was_asked_and_what_to_leave_aside(day: Cassette) -> None:
    with MockServer(day, time_shift="30d", speed="max") as market:
        assert get(market, BARS.format("2020-02-02", "2020-02-02"))[0] == 404
        assert get(market, BARS.format("2020-02-01", "2020-02-01") + "?_=123")[0] == 404
        plain, surplus = market.misses()
        assert "/2020-02-02/2020-02-02; nearest: " in str(plain["sentence"])
        assert surplus["ignore"] == ["query:_"]
