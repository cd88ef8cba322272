"""Entries of the journal, kept and told: each as a line with the market time of its place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, TypeAlias

from tickdeck.cassette.redaction import NO_PLACES
from tickdeck.mockserver.journal import Entry, Journal
from tickdeck.mockserver.redacting import Secrets

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999: a tape that is held at its end runs on at any speed."""

_DAY_US: Final = 86_400_000_000

Line: TypeAlias = dict[str, object]
"""One happening as a JSON line: ``kind`` and its parts."""


class Teller:
    """Writes the journal, and tells what goes into it. ``wall_ns`` is the recording's wall clock at a position.

    Both have lost the ``secrets`` of clients.
    """

    def __init__(
        self,
        wall_ns: Callable[[int], int],
        tell: Callable[[Line], None] | None,
        *,
        secrets: Secrets | None = None,
    ) -> None:
        self.journal = Journal()
        self.keep: Callable[[Entry], None] = lambda entry: None
        """Who else is given each entry."""
        self._wall_ns = wall_ns
        self._tell = tell or (lambda line: None)
        self._secrets = secrets or Secrets(NO_PLACES)

    def entry(self, entry: Entry) -> None:
        """Keep it and tell it."""
        entry = self._secrets.entry(entry)
        self.journal.add(entry)
        self.keep(entry)
        self._tell(self.line_of(entry))

    def line(self, kind: str, **parts: object) -> None:
        """Tell what is no client's doing."""
        self._tell({"kind": kind, **self._secrets.clean(parts)})

    def line_of(self, entry: Entry) -> Line:
        """An entry as a line."""
        line: Line = {"kind": entry.kind}
        if entry.client is not None:
            line["client"] = entry.client
        if entry.timeline is not None:
            line["timeline"] = entry.timeline
        if entry.position_ns is not None:
            line["position_ns"] = entry.position_ns
            line["market_time"] = self.market_time(entry.position_ns)
        return {**line, **entry.parts}

    def market_time(self, position_ns: int) -> str:
        """The wall clock of the recording at a position of the tape, UTC, to the microsecond."""
        return utc(self._wall_ns(max(position_ns, 0)))


def exchange_time(wall_ns: int, zone: tzinfo) -> str:
    """``2020-01-02 09:30:00.250 EST``: nanoseconds since 1970 as the clock of an exchange shows them."""
    moment = (_EPOCH + timedelta(microseconds=min(wall_ns // 1000, _LAST_US - _DAY_US))).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {moment:%Z}"


def utc(wall_ns: int) -> str:
    """``2026-11-23T20:39:53.123456Z``; no later than dates go."""
    moment = _EPOCH + timedelta(microseconds=min(wall_ns // 1000, _LAST_US))
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
