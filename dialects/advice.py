"""What the last words of a service before it drops a connection mean, and what to do about it.

The service says little: a status, and a close with 1008 or none. Whoever records a bot
should not have to know that the second connection of a key pushes out the first, or that
a client that reads too slowly is let go.
"""

from __future__ import annotations

from typing import Final

from tickdeck.dialects.jsontext import read_objects, text_of

_ANOTHER: Final = (
    "another connection with this key was made to the market, and most plans allow one: stop the other, or let the "
    "bot be the only one, recorded as a proxy"
)
_TOO_SLOW: Final = (
    "it was not read fast enough: subscribe to fewer channels, or do less in the bot before it reads on; "
    "the pauses in the report say whether the recorder's disk was it"
)

EVICTIONS: Final = frozenset(("max_connections", "disconnected", "force_disconnect"))
"""Statuses that say so; the last is in the source of the official client."""

_ADVICE: Final = {**dict.fromkeys(EVICTIONS, _ANOTHER), "slow_consumer": _TOO_SLOW}


def what_to_do(status: str) -> str:
    """The advice for such a status; empty where it announces no end."""
    return _ADVICE.get(status, "")


def advice(payload: bytes) -> tuple[str, str] | None:
    """The service's own words and what to do, if this message announces the end of its connection."""
    if b'"status"' not in payload:
        return None
    try:
        objects = read_objects(payload)
    except ValueError:
        return None
    for event in objects:
        status = text_of(event, "status") or ""
        if status in _ADVICE:
            return (text_of(event, "message") or status).strip(), _ADVICE[status]
    return None
