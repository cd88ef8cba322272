"""Which parts of a REST request say when something is; and requests moved in time.

A bot that is told another day asks for that day. Under the names of this table a request
holds a moment, or the date of a market day: a number of ms or ns since 1970, RFC 3339
text, or a date. All else is a fact and stays: a ticker with an expiry in it, dates of
dividends, splits, filings and expiries, and cursors, which are the service's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from tickdeck.dialects.moments import Shift, moved_date, moved_instant, moved_number

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_ANY: Final = "*"
_MOMENT: Final = "@"

PATHS: Final = tuple(
    tuple(path.split("/"))
    for path in (
        "/v2/aggs/ticker/*/range/*/*/@/@",
        "/v2/aggs/grouped/locale/*/market/*/@",
        "/v2/ticks/stocks/trades/*/@",
        "/v2/ticks/stocks/nbbo/*/@",
        "/v1/open-close/*/@",
        "/v1/open-close/crypto/*/*/@",
        "/v1/historic/crypto/*/*/@",
        "/v1/historic/forex/*/*/@",
        "/v1/historic/trades/*/@",
        "/v1/historic/quotes/*/@",
    )
)
"""Paths with moments in them, at the places of ``@``; ``*`` is any segment."""

PARAMETERS: Final = frozenset(
    (
        "timestamp",
        "timestampLimit",
        "window_start",
        "published_utc",
        "last_updated",
        "date",
        "as_of",
        "session_end_date",
    )
)
"""Parameters that hold a moment, on any path; also with a comparison behind them (``timestamp.gte``)."""

_COMPARISONS: Final = frozenset(("gt", "gte", "lt", "lte", "any_of"))
_OLD_AGGREGATES: Final = ("", "v1", "historic", "agg", _ANY, _ANY)
_RANGE: Final = frozenset(("from", "to"))
"""Elsewhere these are currencies."""


def moved_request(path: Sequence[str], query: Pairs, shift: Shift) -> tuple[tuple[str, ...], Pairs]:
    """Decoded segments and parameters, moved."""
    moved_path = next((_at_places(path, each, shift) for each in PATHS if _fits(path, each)), tuple(path))
    names = PARAMETERS | _RANGE if _fits(path, _OLD_AGGREGATES) else PARAMETERS
    return moved_path, tuple(
        (name, _all_moved(value, shift) if _is_named(name, names) else value) for name, value in query
    )


def _fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(path) == len(pattern) and all(
        wanted in (_ANY, _MOMENT, part) for part, wanted in zip(path, pattern, strict=True)
    )


def _at_places(path: Sequence[str], pattern: Sequence[str], shift: Shift) -> tuple[str, ...]:
    return tuple(
        _moved(part, shift) if wanted == _MOMENT else part for part, wanted in zip(path, pattern, strict=True)
    )


def _is_named(name: str, names: frozenset[str]) -> bool:
    stem, _, comparison = name.partition(".")
    return stem in names and (not comparison or comparison in _COMPARISONS)


def _all_moved(text: str, shift: Shift) -> str:
    """Moments with commas between them: ``date.any_of`` may have several."""
    return ",".join(_moved(part, shift) for part in text.split(","))


def _moved(text: str, shift: Shift) -> str:
    """A moment in any of its spellings; anything else as it is."""
    return moved_instant(moved_date(moved_number(text, shift), shift), shift)
