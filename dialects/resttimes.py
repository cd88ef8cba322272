"""Which fields of a REST answer say when something was; and bodies moved in time.

The service's endpoints tell moments as numbers (ms or ns since 1970, by their size), as
RFC 3339 text, and as dates. They keep them under the same few keys at whatever depth,
so a table of keys is enough; numbers that are no moments (an ``open`` of 324.66) are too
small or no integers. Facts about companies and contracts (dividends, splits, filings,
listing, expiry) keep their dates, as do addresses, whose paths and cursors the recording
has to be found by. Whatever does not move stays byte for byte.
"""

from __future__ import annotations

import re
from typing import Final

from tickdeck.dialects.moments import Shift, moved_date, moved_instant, moved_number

KEYS: Final = (
    "t",  # ms in aggregates, ns in last trades, quotes and historic ticks: the SIP's moment
    "y",  # ns: the participant's
    "f",  # ns: the trade facility's
    "timestamp",  # ms or ns; RFC 3339 in schedules
    "sip_timestamp",
    "participant_timestamp",
    "trf_timestamp",
    "bid_timestamp",
    "ask_timestamp",
    "window_start",
    "updated",
    "last_updated",
    "serverTime",
    "published_utc",
    "open",  # RFC 3339 in holidays; elsewhere a price
    "close",
    "from",  # the date of a daily open and close
    "date",
    "day",
    "session_end_date",
)
"""Keys under which a body keeps moments and the dates of market days."""

_NUMBER: Final = r"[0-9]++(?:\.0++)?+(?![.eE0-9])"
_PLAIN: Final = {f'"{key}"': re.compile(rf'("{key}")(\s*+:\s*+)({_NUMBER}|"[^"]*+")') for key in KEYS}
"""By key, in quotes: a pattern each, for one that begins with so much plain text is found quickly."""

_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+'
"""A string; one that is never closed goes to the end, so that no text makes this slow."""

_ANY: Final = re.compile(rf"({_STRING})(?:(\s*+:\s*+)({_NUMBER}|{_STRING})?+)?+", re.DOTALL)


def moved_body(body: bytes, shift: Shift) -> bytes:
    """A body of JSON, moved."""
    # Without a backslash every quote opens or closes a string, and a word between quotes
    # with a colon behind it can only be a key; else strings are passed over one by one.
    if b"\\" in body:
        return any_body(body, shift)
    text = body.decode("latin-1")
    for key, field in _PLAIN.items():
        if key in text:
            text = field.sub(lambda found: _moved(found, shift), text)
    return text.encode("latin-1")


def any_body(body: bytes, shift: Shift) -> bytes:
    """The same for every body alike: string by string."""
    return _ANY.sub(lambda found: _moved(found, shift), body.decode("latin-1")).encode("latin-1")


def _moved(found: re.Match[str], shift: Shift) -> str:
    key, between, value = found.groups()
    if value is None or key not in _PLAIN:
        return found[0]
    if value.startswith('"'):
        if not value.endswith('"'):
            return found[0]
        moved = f'"{moved_instant(moved_date(value[1:-1], shift), shift)}"'
    else:
        moved = moved_number(value, shift)
    return f"{key}{between}{moved}"
