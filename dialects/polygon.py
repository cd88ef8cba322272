"""The dialect of Polygon.io (Massive since 2025-10-30): its tables and machines under one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tickdeck.cassette.indexing import Indexer
from tickdeck.cassette.records import HeaderPairs
from tickdeck.cassette.redaction import SecretPlaces
from tickdeck.dialects import credentials, harmless
from tickdeck.dialects import markets as trading
from tickdeck.dialects import profiles as eras
from tickdeck.dialects.advice import advice
from tickdeck.dialects.dialogue import Dialogue
from tickdeck.dialects.effects import Misstep
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.dialects.moments import Shift
from tickdeck.dialects.polygon_events import PolygonIndexer
from tickdeck.dialects.polygon_secrets import PLACES
from tickdeck.dialects.profiles import Wording
from tickdeck.dialects.restrequests import Pairs, moved_request
from tickdeck.dialects.resttimes import moved_body
from tickdeck.dialects.timefields import EventMover


class PolygonMover(EventMover):
    """See `tickdeck.dialects.base.Mover`."""

    def body(self, body: bytes) -> bytes:
        """See `resttimes.moved_body`."""
        return moved_body(body, self.shift)

    def asked_back(self, path: Sequence[str], query: Pairs) -> tuple[tuple[str, ...], Pairs]:
        """See `restrequests.moved_request`."""
        return moved_request(path, query, self.shift.back)


class Polygon:
    """See `tickdeck.dialects.base.Dialect`."""

    name: Final = "polygon"
    indexer: Indexer = PolygonIndexer()
    places: SecretPlaces = PLACES
    origins: Final = trading.ORIGINS
    upstream_http: Final = trading.UPSTREAM_HTTP
    markets: Final = trading.MARKETS
    default_market: Final = trading.DEFAULT_MARKET
    feeds: Final = trading.FEEDS
    profiles: Final = tuple(eras.PROFILES)

    def is_harmless(self, name: str, value: str, path: Sequence[str]) -> bool:
        """See `tickdeck.dialects.harmless`."""
        return harmless.is_harmless(name, value, path)

    def upstream_ws(self, feed: str) -> str:
        """See `markets.upstream_ws`."""
        return trading.upstream_ws(feed)

    def advice(self, payload: bytes) -> tuple[str, str] | None:
        """See `tickdeck.dialects.advice`."""
        return advice(payload)

    def feed_of(self, host: str) -> str:
        """See `markets.feed_of`."""
        return trading.feed_of(host)

    def market_of(self, path: str) -> str | None:
        """See `markets.market_of`."""
        return trading.market_of(path)

    def zone_of(self, market: str) -> str:
        """See `markets.zone_of`."""
        return trading.zone_of(market)

    def event_time_ns(self, event: bytes) -> int | None:
        """See `markets.event_time_ns`."""
        return trading.event_time_ns(event)

    def key_of(self, query: Iterable[tuple[str, str]], headers: HeaderPairs) -> str | None:
        """See `credentials.key_of`."""
        return credentials.key_of(query, headers)

    def misplaced_secret(self, query: Iterable[tuple[str, str]], headers: HeaderPairs) -> Misstep | None:
        """See `credentials.secret_in_request`."""
        return credentials.secret_in_request(query, headers)

    def mover(self, shift: Shift) -> PolygonMover:
        """See `timefields` and `resttimes`."""
        return PolygonMover(shift)

    def wording(self, name: str | None, learned: Mapping[str, str]) -> Wording:
        """See `profiles.wording`."""
        return eras.wording(name, learned)

    def learner(self) -> ProfileLearner:
        """A new listener for one track."""
        return ProfileLearner()

    def dialogue(self, key: str, channels: Iterable[str]) -> Dialogue:
        """The client's side of one connection."""
        return Dialogue(key, channels)


POLYGON: Final = Polygon()
