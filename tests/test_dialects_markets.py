"""Markets: their paths, hosts, channels and clocks."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from tickdeck.dialects.markets import (
    FEEDS,
    MARKETS,
    ORIGINS,
    UPSTREAM_HTTP,
    event_time_ns,
    feed_of,
    market_of,
    topics_of,
    upstream_ws,
    zone_of,
)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("around", ["/{}", "/{}/", "/a/prefix/{}", "/{}?x=/crypto"])
def test_a_path_names_its_market_under_any_prefix(market: str, around: str) -> None:
    assert market_of(around.format(market)) == market


@pytest.mark.parametrize("path", ["/", "", "/stock", "/Stocks", "/stocks/FMV", "/futures/xyz", "/cme"])
def test_any_other_path_names_none(path: str) -> None:
    assert market_of(path) is None


def test_eighteen_feeds_are_known_and_both_domains() -> None:
    assert len(set(FEEDS)) == 18
    for feed in FEEDS:
        assert f"wss://{feed}.massive.com" in ORIGINS
        assert f"wss://{feed}.polygon.io" in ORIGINS
        assert feed_of(f"{feed}.massive.com") == feed_of(f"{feed.upper()}.polygon.io") == feed


def test_the_upstream_is_massive_unless_told() -> None:
    assert UPSTREAM_HTTP == "https://api.massive.com"
    assert upstream_ws() == "wss://socket.massive.com"
    assert upstream_ws("delayed") == "wss://delayed.massive.com"


def test_rest_is_at_both_domains() -> None:
    assert {"https://api.massive.com", "https://api.polygon.io"} <= set(ORIGINS)


@pytest.mark.parametrize("host", ["localhost", "socket.massive.com.evil", "api.massive.com", ""])
def test_a_host_that_is_no_feed_has_none(host: str) -> None:
    assert feed_of(host) == ""


def test_what_may_be_asked_for_differs_by_market() -> None:
    assert topics_of("stocks") == {"T", "Q", "A", "AM", "LULD", "NOI", "FMV", "LV"}
    assert topics_of("options") == {"T", "Q", "A", "AM", "FMV", "LV"}
    assert topics_of("forex") == {"C", "CA", "CAS", "AM", "FMV", "LV"}
    assert topics_of("crypto") == {"XT", "XQ", "XL2", "XA", "XAS", "XS", "AM", "FMV", "LV"}
    assert topics_of("indices") == {"V", "A", "AM"}
    assert topics_of("futures") == topics_of("futures/cme") == {"T", "Q", "A", "AM"}


def test_in_a_market_that_is_not_known_anything_may_be_asked_for() -> None:
    assert {"T", "XT", "C", "V"} <= topics_of("weather")


@pytest.mark.parametrize(
    ("market", "zone"),
    [
        ("stocks", "America/New_York"),
        ("options", "America/New_York"),
        ("indices", "America/New_York"),
        ("futures", "America/Chicago"),
        ("futures/nymex", "America/Chicago"),
        ("crypto", "UTC"),
        ("forex", "UTC"),
        ("weather", "UTC"),
    ],
)
def test_each_market_has_a_zone(market: str, zone: str) -> None:
    assert zone_of(market) == zone
    assert ZoneInfo(zone).key == zone


@pytest.mark.parametrize(
    ("event", "ns"),
    [
        (b'{"ev":"T","sym":"MSFT","t":1536036818784}', 1_536_036_818_784_000_000),
        (b'{"ev":"AM","s":1610144640000,"e":1610144700000}', 1_610_144_640_000_000_000),
        (b'{"ev":"T","sym":"A","s":467,"t":1577413831740}', 1_577_413_831_740_000_000),
        (b'{"ev":"LULD","T":"MSFT","t":1601316752683746}', 1_601_316_752_683_746_000),
        (b'{"ev":"LULD","T":"MSFT","t":1788877046310003385}', 1_788_877_046_310_003_385),
        (b'{"ev":"T","sym":"A","s":467}', None),
        (b'{"ev":"T","t":"1577413831740"}', None),
        (b'{"ev":"T","t":0}', None),
        (b'{"ev":"T","t":1577413831740000000000}', None),
        (b'{"ev":"T","t":true}', None),
        (b"[1577413831740]", None),
        (b"{", None),
        (b"[" * 100_000, None),
    ],
)
def test_an_event_says_when_it_was_in_whatever_unit(event: bytes, ns: int | None) -> None:
    assert event_time_ns(event) == ns
