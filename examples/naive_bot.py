"""A bot with a bug that its author's three test trades never showed. `test_naive_bot.py` finds it."""

from __future__ import annotations

import json
from collections import Counter

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class VolumeBot:
    """Adds up how many shares of each symbol were traded."""

    def __init__(self, stream: str, key: str) -> None:
        self.stream, self.key = stream, key
        self.volume: Counter[str] = Counter()

    def run(self, *symbols: str) -> None:
        """Until the service closes the connection."""
        with connect(f"{self.stream}/stocks") as socket:
            socket.send(json.dumps({"action": "auth", "params": self.key}))
            socket.send(
                json.dumps({"action": "subscribe", "params": ",".join(f"T.{each}" for each in symbols)})
            )
            try:
                while True:
                    self.hear(socket.recv())
            except ConnectionClosed:
                return

    def hear(self, frame: str | bytes) -> None:
        """One message of the service: a list with an event in it."""
        event = json.loads(frame)[0]  # and if there are two?
        if event["ev"] == "T":
            self.volume[event["sym"]] += event["s"]
