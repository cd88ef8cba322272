"""The markets, their channels, their hosts and their clocks.

A market is a path (``/stocks``); what the vendor calls a cluster. What may be asked for
differs by market, and asking for anything else is met with silence, so the topics
are tabled here. Times of day are those of the exchange zone: New York for what is
traded there, Chicago for futures, and UTC for crypto and forex, which never close;
the choice for the last three is this project's.
"""

from __future__ import annotations

import json
from typing import Final

from tickdeck.dialects.moments import unit_of

DEFAULT_MARKET: Final = "stocks"
"""What ``/`` is taken for where nothing else decides."""

MARKETS: Final = (
    "stocks",
    "options",
    "forex",
    "crypto",
    "indices",
    "futures",
    "futures/cme",
    "futures/cbot",
    "futures/nymex",
    "futures/comex",
)

_TOPICS: Final = {
    "stocks": frozenset({"T", "Q", "A", "AM", "LULD", "NOI", "FMV", "LV"}),
    "options": frozenset({"T", "Q", "A", "AM", "FMV", "LV"}),
    "forex": frozenset({"C", "CA", "CAS", "AM", "FMV", "LV"}),
    "crypto": frozenset({"XT", "XQ", "XL2", "XA", "XAS", "XS", "AM", "FMV", "LV"}),
    "indices": frozenset({"V", "A", "AM"}),
    "futures": frozenset({"T", "Q", "A", "AM"}),
}

NO_WILDCARD: Final = frozenset({("options", "Q")})
"""Topics that are not offered for all symbols at once, by market."""

_ZONES: Final = {
    "stocks": "America/New_York",
    "options": "America/New_York",
    "indices": "America/New_York",
    "futures": "America/Chicago",
    "forex": "UTC",
    "crypto": "UTC",
}

FEEDS: Final = (
    "socket",
    "delayed",
    "nasdaqfeed",
    "polyfeed",
    "polyfeedplus",
    "starterfeed",
    "launchpad",
    "business",
    "edgx-business",
    "iex-business",
    "delayed-business",
    "delayed-edgx-business",
    "delayed-nasdaq-last-sale-business",
    "delayed-nasdaq-basic-business",
    "delayed-fullmarket-business",
    "fullmarket-business",
    "nasdaq-last-sale-business",
    "nasdaq-basic-business",
)
"""Host words; the first is real time."""

DOMAINS: Final = ("massive.com", "polygon.io")
"""The vendor's, the one in use since 2025-10-30 first; both serve the same."""

UPSTREAM_HTTP: Final = f"https://api.{DOMAINS[0]}"
"""The REST origin to record from."""

ORIGINS: Final = (
    *(f"https://api.{domain}" for domain in DOMAINS),
    f"https://api.staging.{DOMAINS[0]}",
    *(f"wss://{feed}.{domain}" for domain in DOMAINS for feed in FEEDS),
    f"wss://alpaca.socket.{DOMAINS[1]}",
)
"""Every origin the vendor is or was known by."""


def upstream_ws(feed: str = FEEDS[0]) -> str:
    """The socket origin of a feed to record from."""
    return f"wss://{feed}.{DOMAINS[0]}"


def feed_of(host: str) -> str:
    """The feed that a vendor's host name stands for; nothing for any other host."""
    for domain in DOMAINS:
        word = host.lower().removesuffix(f".{domain}")
        if word in FEEDS:
            return word
    return ""


def market_of(path: str) -> str | None:
    """The market that a request path names, under whatever prefix; ``None`` if it names none."""
    words = path.partition("?")[0].rstrip("/").split("/")
    for last in ("/".join(words[-2:]), words[-1]):
        if last in MARKETS:
            return last
    return None


def topics_of(market: str) -> frozenset[str]:
    """What may be asked for in a market; in one that is not known, whatever may be anywhere."""
    return _TOPICS.get(_exchange(market)) or frozenset().union(*_TOPICS.values())


def zone_of(market: str) -> str:
    """The exchange zone of a market, by its IANA name; UTC for one that is not known."""
    return _ZONES.get(_exchange(market), "UTC")


def _exchange(market: str) -> str:
    return market.partition("/")[0]


_TIME_FIELDS: Final = ("t", "s", "e")
"""Where an event says when it was: most in ``t``, aggregates in ``s`` (start) and ``e`` (end)."""


def event_time_ns(event: bytes) -> int | None:
    """When an event says it was, in nanoseconds since 1970; ``None`` if it does not say.

    The unit is told by the size of the number, for the documented one is not always
    the one that is sent (LULD: documented in ms, sent in ns, sampled in µs).
    """
    try:
        found = json.loads(event.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    values = (found.get(name) for name in _TIME_FIELDS)
    return next(filter(None, (_nanoseconds(value) for value in values)), None)


def _nanoseconds(value: object) -> int | None:
    if not isinstance(value, int):
        return None
    unit = unit_of(value)
    return None if unit is None else value * unit
