"""How large a synthetic market may be, so that a slip of the pen fills neither the memory nor the disk.

A stock costs about 750 bytes as long as the generator runs, an event about 32 on the disk; the venues of the United
States list some 12,000 stocks, and their busiest seconds have some hundred thousand events.
"""

from __future__ import annotations

from typing import Final

from tickdeck.cassette.errors import UsageError

MOST_SYMBOLS: Final = 50_000
MOST_RATE: Final = 1_000_000
MOST_SECONDS: Final = 86_400
MOST_EVENTS: Final = 1_000_000_000
"""``rate`` times ``seconds``: some 32 GB."""

_MOST: Final = {"symbols": MOST_SYMBOLS, "seconds": MOST_SECONDS, "rate": MOST_RATE}


def check(*, symbols: int, seconds: int, rate: int) -> None:
    """`UsageError` where a market would be empty or too large."""
    for name, value in (("symbols", symbols), ("seconds", seconds), ("rate", rate)):
        if value < 1:
            raise UsageError(f"a market needs at least 1 for {name}, not {value}")
        if value > _MOST[name]:
            raise UsageError(f"a market takes at most {_MOST[name]:,} for {name}, not {value:,}")
    if rate * seconds > MOST_EVENTS:
        raise UsageError(
            f"{rate:,} events a second for {seconds:,} s are {rate * seconds:,} events; "
            f"a market has at most {MOST_EVENTS:,}: lower the rate, or make it shorter"
        )
