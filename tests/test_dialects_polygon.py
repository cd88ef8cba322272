"""The dialect as the rest of the house finds it: one name for its tables and machines."""

from __future__ import annotations

from tickdeck.cassette.records import Sender
from tickdeck.dialects import find
from tickdeck.dialects.base import Dialect

POLYGON: Dialect = find("polygon")


def test_a_path_gives_a_market_with_its_zone() -> None:
    assert POLYGON.market_of("/prefix/futures/cme") == "futures/cme"
    assert POLYGON.zone_of("futures/cme") == "America/Chicago"
    assert POLYGON.default_market in POLYGON.markets


def test_a_feed_gives_an_upstream_that_is_one_of_the_vendors_origins() -> None:
    origins = [POLYGON.upstream_http, *map(POLYGON.upstream_ws, POLYGON.feeds)]
    assert set(origins) <= set(POLYGON.origins)
    assert POLYGON.feed_of("delayed.polygon.io") == "delayed"


def test_an_event_says_when_it_was() -> None:
    assert POLYGON.event_time_ns(b'{"ev":"T","t":1536036818784}') == 1_536_036_818_784_000_000


def test_what_a_track_teaches_is_spoken_when_it_is_played() -> None:
    greeting = b'[{"ev":"status","status":"connected","message":"Good morning"}]'
    learned = POLYGON.learner().feed(Sender.SERVER, greeting)
    assert learned is not None
    assert POLYGON.wording(None, learned).greeting == greeting
    assert POLYGON.wording(POLYGON.profiles[0], learned).greeting != greeting


def test_the_key_is_looked_for_where_this_service_takes_it() -> None:
    assert {"apikey", "key_id"} <= POLYGON.places.query_parameters
    assert "authorization" in POLYGON.places.headers
