"""Lines to paste into a terminal, that make the clients at hand talk to the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import Interaction

ANY_KEY: Final = "any"
KEY_OF_YOURS: Final = "YOUR_KEY"
"""Stands where only certain keys are let in: a real one is not to stand on a terminal."""


def paste_lines(cassette: Readable, listening: Mapping[str, object], *, market: str, key: str) -> list[str]:
    """For the official Python client, Node and curl; ``listening`` is the line of that kind."""
    channel, path = _busiest(cassette, market), _answered(cassette)
    http, ws, feed = listening["http"], listening["ws"], listening["feed"]
    python = (
        f'from massive import WebSocketClient; WebSocketClient("{key}", feed="{feed}", market="{market}", '
        f'secure={str(ws).startswith("wss:")}, subscriptions=["{channel}"]).run(print)'
    )
    node = (
        f'const s = new WebSocket("{ws}/{market}"); s.onmessage = m => console.log(m.data); '
        f's.onopen = () => ["auth {key}", "subscribe {channel}"].map(a => a.split(" "))'
        ".forEach(([action, params]) => s.send(JSON.stringify({action, params})))"
    )
    trust = "" if (ca := listening.get("ca")) is None else f"--cacert {ca} "
    return [
        f"  http {http}   socket {ws}/{market}   feed {feed}",
        "  python (pip install massive), node 22, curl:",
        f"    python -c '{python}'",
        f"    node -e '{node}'",
        f"    curl {trust}-H 'Authorization: Bearer {key}' '{http}{path}'",
    ]


def _busiest(cassette: Readable, market: str) -> str:
    events: dict[str, int] = {}
    for track in cassette.survey.tracks.values():
        if track.market == market:
            for channel, summary in track.channels.items():
                events[channel] = events.get(channel, 0) + summary.events
    return max(events, key=lambda name: (events[name], name), default="T.AAPL")


def _answered(cassette: Readable) -> str:
    """A request that the cassette answers with 200, secrets dropped."""
    fine = (each for each in cassette.interactions() if each.method == "GET" and each.status == 200)
    first = next(fine, None)
    return "/v1/marketstatus/now" if first is None else target(first)


def target(interaction: Interaction) -> str:
    """Path and query as asked, without what stood where a secret was."""
    parts = urlsplit(interaction.url)
    query = urlencode([pair for pair in parse_qsl(parts.query, True) if not pair[1].startswith("REDACTED-")])
    return parts.path + (f"?{query}" if query else "")
