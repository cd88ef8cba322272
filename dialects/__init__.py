"""The languages spoken on the wire, as pure state machines and tables; `find` gives one by its name."""

from __future__ import annotations

from tickdeck.cassette.errors import FormatError
from tickdeck.dialects.base import Dialect

__all__ = ["NAMES", "find"]

NAMES = ("polygon",)
"""The dialects this release speaks, as they stand in a cassette's header."""


def find(name: str) -> Dialect:
    """The dialect of that name. Raises `FormatError` for one that this release does not speak."""
    if name not in NAMES:
        raise FormatError(f"this release does not speak the dialect {name!r}; it speaks {', '.join(NAMES)}")
    from tickdeck.dialects.polygon import POLYGON

    return POLYGON
