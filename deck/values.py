"""What a flag's text means: each kind of flag becomes a value here, once."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

import click

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver import moments
from tickdeck.mockserver.options import unbracketed

_HIGHEST_PORT: Final = 65535


def parse_duration(text: str) -> int:
    """Nanoseconds of ``50ms``, ``60s``, ``1h30m``; a bare number is seconds. else `ValueError`."""
    ns = moments.parse_duration(text)
    if ns is None:
        raise ValueError(text)
    return ns


def parse_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:8421``, ``[::1]:8421``, ``:0``, ``8421``: host and port. `UsageError` for anything else."""
    written, _colon, port = text.rpartition(":")
    host = unbracketed(written)
    is_host = host != written or not any(sign in host for sign in ":[]")
    if not port.isdecimal() or int(port) > _HIGHEST_PORT or not is_host:
        raise UsageError(f"{text!r} is no address; write 127.0.0.1:8421 or [::1]:8421")
    return host or "127.0.0.1", int(port)


def next_time_of_day(text: str, zone: tzinfo, *, now_ns: int) -> int:
    """When the clock in ``zone`` next shows ``16:00``, in ns since 1970; else `UsageError`."""
    try:
        wanted = time.fromisoformat(text)
        if wanted.tzinfo is not None:
            raise ValueError(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time of day; write 16:00") from None
    now = datetime.fromtimestamp(now_ns // 10**9, tz=UTC).astimezone(zone)
    moment = datetime.combine(now.date(), wanted, tzinfo=zone)
    if moment <= now:
        moment = datetime.combine(now.date() + timedelta(days=1), wanted, tzinfo=zone)
    return int(moment.timestamp()) * 10**9


def duration(text: str) -> int:
    """A click type: see `parse_duration`."""
    try:
        return parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no duration; write 50ms, 60s or 1h30m") from None


_UNITS: Final = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


class Span(NamedTuple):
    """So long, or so large; one of the two is ``None``."""

    ns: int | None
    size: int | None


def span(text: str) -> Span:
    """A click type: a duration (``1h``), or a size (``1GiB``, ``500MB``), above zero."""
    number, unit = text.strip()[:-2].strip(), text.strip()[-2:].lower()
    if text.strip()[-3:].lower() in _UNITS:
        number, unit = text.strip()[:-3].strip(), text.strip()[-3:].lower()
    if unit in _UNITS and number.isdecimal() and int(number) > 0:
        return Span(None, int(number) * _UNITS[unit])
    try:
        if (ns := parse_duration(text)) > 0:
            return Span(ns, None)
    except ValueError:
        pass
    raise click.BadParameter(f"{text!r} is neither a duration nor a size; write 1h, 90s or 1GiB")


class Moment(NamedTuple):
    """A place on a cassette: nanoseconds since its epoch, or (``absolute``) since 1970."""

    ns: int
    absolute: bool

    def offset_ns(self, epoch_ns: int) -> int:
        """Nanoseconds since the epoch."""
        return self.ns - epoch_ns if self.absolute else self.ns


def moment(text: str) -> Moment:
    """A click type: a duration since the epoch (``90s``), or an instant (``2020-01-02T14:30:05Z``)."""
    try:
        return Moment(parse_duration(text), absolute=False)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no moment; write 90s or 2020-01-02T14:30:05Z") from None
    if instant.tzinfo is None:
        raise click.BadParameter(f"{text!r} names no zone; end it with Z or an offset such as -05:00")
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return Moment((since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000, absolute=True)


class TakesCommand(click.Command):
    """A verb whose usage ends in a command of the user's."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]
