"""What a command beside us finds in its environment: where the deck is, by the names that clients read."""

from __future__ import annotations

from tickdeck.dialects.markets import DEFAULT_MARKET


def addresses(*, http: str, ws: str, feed: str) -> dict[str, str]:
    """REST at ``http``, sockets at ``ws``; ``feed`` is ``HOST:PORT``. docs/recording.md has the table."""
    return {
        "TICKDECK_HTTP": http,
        "TICKDECK_WS": ws,
        "TICKDECK_FEED": feed,
        "POLYGON_WS_URL": f"{ws}/{DEFAULT_MARKET}",
        "DATA_PROXY_WS": f"{ws}/{DEFAULT_MARKET}",
    }
