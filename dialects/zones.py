"""Time zones by their IANA names, from the zone data of the machine or of the package ``tzdata``.

Slim images have neither, and Python brings none. What a user means by ``09:31:05`` cannot be known then, so that
reading a time is an error; one that is only shown is shown in UTC, and says so. UTC itself needs no data.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickdeck.cassette.errors import UsageError


def zone_named(name: str) -> tzinfo:
    """The zone of this name; `UsageError` where this machine has no data of it, or none that can be read."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"there is no time-zone data for {name} on this machine: install tzdata (pip install tzdata)"
        ) from error


def zone_to_show(name: str) -> tzinfo:
    """The zone that a time is shown in: UTC where this machine has no data of the one that is meant."""
    try:
        return zone_named(name)
    except UsageError:
        return UTC
