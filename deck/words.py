"""How a person reads numbers: sizes, counts, durations, market time, columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

SECOND: Final = 1_000_000_000


def count(number: int, thing: str = "") -> str:
    """``1,234 frames``, ``1 frame``; without a thing the bare number."""
    plural = "" if number == 1 or not thing else "es" if thing.endswith(("s", "sh", "ch")) else "s"
    return f"{number:,} {thing}{plural}".rstrip()


def size(octets: int) -> str:
    """``812 B``, ``12.3 kB``, ``4.5 MB``: decimal, as disks are sold."""
    if octets < 1000:
        return f"{octets} B"
    value = float(octets)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:,.1f} TB"


def duration(ns: int) -> str:
    """``350 ms``, ``8.0 s``, ``1 m 30 s``, ``6 h 30 m``."""
    if ns < 0:
        return f"-{duration(-ns)}"
    if ns < SECOND:
        return f"{ns / 1_000_000:.3g} ms"
    if ns < 60 * SECOND:
        return f"{ns / SECOND:.1f} s"
    seconds = ns // SECOND
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60} s"
    return f"{seconds // 3600} h {seconds // 60 % 60} m"


def offset(ns: int) -> str:
    """A place in a cassette: ``+12.345 s``."""
    return f"{'-' if ns < 0 else '+'}{abs(ns) // 1_000_000 / 1000:,.3f} s"


def zone_of(market: str) -> tzinfo:
    """The zone of a market's times of day; `UsageError` where this machine has no data of it."""
    from tickdeck.dialects import markets
    from tickdeck.dialects.zones import zone_named

    return zone_named(markets.zone_of(market))


def market_time(wall_ns: int, market: str) -> str:
    """``2020-01-02 09:30:00.250 EST``: nanoseconds since 1970 by the market's wall clock; by UTC without zone data."""
    from tickdeck.dialects import markets
    from tickdeck.dialects.zones import zone_to_show

    zone = zone_to_show(markets.zone_of(market))
    moment = datetime.fromtimestamp(wall_ns // SECOND, tz=UTC).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{wall_ns % SECOND // 1_000_000:03d} {moment:%Z}"


def utc(wall_ns: int) -> str:
    """``2026-11-23T20:39:53.123456Z``, for machines."""
    moment = datetime.fromtimestamp(wall_ns // SECOND, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ns % SECOND // 1000:06d}Z"


def columns(
    rows: Iterable[Sequence[str]], *, indent: str = "  ", right: frozenset[int] = frozenset()
) -> list[str]:
    """Lines of a table without rules; the columns in ``right`` are flush right."""
    kept = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    return [
        indent + "  ".join(_cell(cell, widths[at], at in right) for at, cell in enumerate(row)).rstrip()
        for row in kept
    ]


def _cell(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)
