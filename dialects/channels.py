"""How a channel is spelled: topic, first dot, symbol.

A symbol may hold dots of its own (``T.BRK.B``), so only the first one splits. A
forex pair may be asked for as ``EUR-USD`` or ``EUR/USD``; data and acknowledgements
spell it ``EUR/USD``, so that is the name it goes by here. Nothing else is touched:
case counts, and a crypto pair keeps its dash (``BTC-USD``).
"""

from __future__ import annotations

from typing import Final

FOREX_TOPICS: Final = frozenset({"C", "CA", "CAS"})
"""The topics whose symbols are forex pairs."""

WILDCARD: Final = "*"


def topic_of(channel: str) -> str:
    """What stands before the first dot; all of it where there is none."""
    return channel.partition(".")[0]


def normalise(channel: str) -> str:
    """The one name of a channel: forex pairs with ``/``, all else exactly as it came."""
    topic, dot, symbol = channel.partition(".")
    return topic + dot + symbol.replace("-", "/") if topic in FOREX_TOPICS else channel


def wildcard_of(channel: str) -> str:
    """The wildcard that covers a channel: ``T.*`` for ``T.BRK.B``."""
    return f"{topic_of(channel)}.{WILDCARD}"


def is_wildcard(channel: str) -> bool:
    """Whether a channel covers others."""
    return channel.endswith(f".{WILDCARD}")
