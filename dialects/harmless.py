"""Query parameters that change no answer, and that one client adds where another does not.

Alpaca's own clients add `staging=true` for a key of their staging service. The vendor's
Python clients repeat in the query what stands in the path, where the argument of their
method has a default: `/v3/reference/tickers/AAPL?ticker=AAPL`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_NEVER_READ: Final = frozenset(("staging",))
_IN_THE_PATH: Final = frozenset(("ticker", "locale", "market_type"))


def is_harmless(name: str, value: str, path: Sequence[str]) -> bool:
    """See `tickdeck.dialects.base.Dialect`."""
    return name in _NEVER_READ or (name in _IN_THE_PATH and value in path)
