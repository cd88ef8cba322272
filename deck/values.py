"""What a flag's text means: each kind of flag becomes a value here, once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

import click

_UNITS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")
_WHOLE: Final = re.compile(rf"(?:{_PIECE.pattern})+")


def parse_duration(text: str) -> int:
    """Nanoseconds of ``50ms``, ``60s``, ``1h30m``; a bare number is seconds. else `ValueError`."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        text += "s"
    if not _WHOLE.fullmatch(text):
        raise ValueError(text)
    return int(sum(Fraction(amount) * _UNITS[unit] for amount, unit in _PIECE.findall(text)))


class DurationType(click.ParamType):
    """``50ms``, ``60s``, ``1h30m``: nanoseconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is no duration; write 50ms, 60s or 1h30m", param, ctx)


class MomentType(click.ParamType):
    """A place on a cassette: a duration since its epoch (``90s``), or an instant (``2020-01-02T14:30:05Z``).

    The value is a pair: is it since the epoch, and the nanoseconds (since the epoch, or since 1970).
    """

    name = "moment"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[bool, int]:
        if isinstance(value, tuple):
            return value
        text = str(value)
        try:
            return True, parse_duration(text)
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no moment; write 90s or 2020-01-02T14:30:05Z", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{text!r} names no zone; end it with Z or an offset such as -05:00", param, ctx)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return False, (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


DURATION: Final = DurationType()
MOMENT: Final = MomentType()


class TakesCommand(click.Command):
    """A verb whose usage ends in a command of the user's."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]
