"""How a bot is tested with tickdeck: the bot is unchanged but for two URLs, the market is a cassette.

pip install tickdeck pytest websockets
pytest examples/test_a_bot.py
"""

from __future__ import annotations

import json
import urllib.request
from importlib.resources import as_file, files

import pytest
from websockets.sync.client import connect

from tickdeck import MockServer


class Bot:
    """Remembers yesterday's close, and notes each trade above it."""

    def __init__(self, *, rest: str, stream: str, key: str) -> None:
        self.rest, self.stream, self.key = rest, stream, key
        self.above: list[float] = []

    def run(self, symbol: str) -> None:
        close = self._close_of(symbol)
        with connect(f"{self.stream}/stocks") as socket:
            socket.send(json.dumps({"action": "auth", "params": self.key}))
            socket.send(json.dumps({"action": "subscribe", "params": f"T.{symbol}"}))
            for frame in socket:
                trades = [event for event in json.loads(frame) if event["ev"] == "T"]
                self.above += [trade["p"] for trade in trades if trade["p"] > close]

    def _close_of(self, symbol: str) -> float:
        path = (
            f"/v2/aggs/ticker/{symbol}/range/1/minute/2019-12-31/2019-12-31?adjusted=true&sort=asc&limit=50"
        )
        request = urllib.request.Request(self.rest + path, headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request) as answer:
            return float(json.load(answer)["results"][-1]["c"])


@pytest.mark.parametrize("speed", ["100", "max"])
def test_the_bot_sees_the_same_market_every_time(speed: str) -> None:
    with (
        as_file(files("tickdeck") / "samples" / "minute-turns.cassette") as cassette,
        MockServer(cassette, speed=speed, at_end="close") as market,
    ):
        bot = Bot(rest=market.http_url, stream=market.ws_url, key="any key will do")
        bot.run("AAPL")
        report = market.report()
    (client,) = report["clients"]
    assert client["channels"]["T.AAPL"]["sent"] == client["channels"]["T.AAPL"]["on_tape"] > 0
    assert report["missteps"] == 0
    assert report["misses"] == []
    assert all(price > 0 for price in bot.above)
