"""A cassette deck for market data: record a bot's conversation with its vendor, play it back byte for byte.

    from tickdeck import MockServer

    with MockServer("aapl.cassette") as market:
        run_my_bot(market.http_url, market.ws_url)

Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tickdeck.cassette.errors import (
        FormatError,
        RecordingError,
        ReplayError,
        StorageError,
        TickdeckError,
        UsageError,
    )
    from tickdeck.cassette.files import open_cassette, open_cassettes
    from tickdeck.cassette.reader import Cassette
    from tickdeck.mockserver.harness import MockServer
    from tickdeck.testing.tapes import tape

    __version__: str

__all__ = [
    "Cassette",
    "FormatError",
    "MockServer",
    "RecordingError",
    "ReplayError",
    "StorageError",
    "TickdeckError",
    "UsageError",
    "__version__",
    "open_cassette",
    "open_cassettes",
    "tape",
]

_HOMES = {
    "Cassette": "tickdeck.cassette.reader",
    "FormatError": "tickdeck.cassette.errors",
    "MockServer": "tickdeck.mockserver.harness",
    "RecordingError": "tickdeck.cassette.errors",
    "ReplayError": "tickdeck.cassette.errors",
    "StorageError": "tickdeck.cassette.errors",
    "TickdeckError": "tickdeck.cassette.errors",
    "UsageError": "tickdeck.cassette.errors",
    "open_cassette": "tickdeck.cassette.files",
    "open_cassettes": "tickdeck.cassette.files",
    "tape": "tickdeck.testing.tapes",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = importlib.import_module("importlib.metadata").version("tickdeck")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'tickdeck' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
