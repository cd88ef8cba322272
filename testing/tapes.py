"""Tapes by hand: a few lines of Python that a test can be read with.

tape().at("09:30:00").send({"ev": "T", "sym": "AAPL", "p": 114.17}).lose().at("09:30:05").send(...)
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from tickdeck.cassette.errors import UsageError, said_by_us
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.records import (
    TEXT,
    Frame,
    Gap,
    Header,
    Interaction,
    Record,
    Sender,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.dialects import find
from tickdeck.dialects.markets import DEFAULT_MARKET
from tickdeck.dialects.zones import zone_named

SECOND_NS: Final = 1_000_000_000
DAY: Final = "2020-01-02"
"""The trading day of a tape that names no other."""

OPENING: Final = "09:30:00"
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?")
_OFFSET: Final = re.compile(r"\+(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_NS: Final = {"ms": 1_000_000, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS}

Event = Mapping[str, object]
__tracebackhide__ = said_by_us


class Tape:
    """What was said on one market's socket, and asked by REST, in order. Each method returns the tape."""

    def __init__(self, market: str = DEFAULT_MARKET, *, day: str = DAY) -> None:
        self._market = market
        dialect = find("polygon")
        if market not in dialect.markets:
            raise UsageError(f"there is no market {market!r}; there are {', '.join(dialect.markets)}")
        self._zone = zone_named(dialect.zone_of(market))
        self._http = dialect.upstream_http
        try:
            self._day = date.fromisoformat(day)
        except ValueError:
            raise UsageError(f"a day is spelled {DAY}, not {day!r}") from None
        self._epoch_ns = self._wall_ns(OPENING)
        self._now_ns: int | None = None
        self._records: list[Record] = []
        self._tracks = 0
        self._open = False
        self._lost_ns: int | None = None
        self._interactions = 0

    def at(self, moment: str) -> Tape:
        """What follows happens then: ``09:30:00.250`` (the exchange's clock) or ``+1.5s`` (after what was last)."""
        offset = _OFFSET.fullmatch(moment)
        if offset:
            now_ns = (self._epoch_ns if self._now_ns is None else self._now_ns) + round(
                float(offset[1]) * _UNIT_NS[offset[2]]
            )
        else:
            now_ns = self._wall_ns(moment)
        if self._now_ns is not None and now_ns < self._now_ns:
            raise UsageError(f"{moment} comes before what is on the tape already")
        if self._now_ns is None:
            self._epoch_ns = now_ns
        self._now_ns = now_ns
        return self

    def send(self, *events: Event | str | bytes) -> Tape:
        """One frame of the service with these events; a text is a frame as it stands."""
        if not events:
            raise UsageError("send takes at least one event")
        self._opened()
        if len(events) == 1 and isinstance(events[0], str | bytes):
            said = events[0]
            payload = said.encode() if isinstance(said, str) else said
        elif any(isinstance(each, str | bytes) for each in events):
            raise UsageError("a text is a whole frame, and is sent alone")
        else:
            payload = _compact(list(events))
        return self._add(Frame(0, self._offset, self._tracks - 1, Sender.SERVER, TEXT, payload))

    def lose(self, reason: str = "lost") -> Tape:
        """The connection is lost, without a close; nobody listens until something follows at a later time."""
        self._opened()
        self._open = False
        self._lost_ns = self._offset
        self._reason = reason
        return self._add(TrackClosed(0, self._offset, self._tracks - 1, Sender.SERVER, None))

    def rest(
        self,
        method: str,
        path: str,
        body: object = b"",
        *,
        status: int = 200,
        content_type: str = "application/json",
    ) -> Tape:
        """An answer to a request: a body of bytes or text as it stands, anything else as JSON."""
        if not path.startswith("/"):
            raise UsageError(f"{path!r} is no path; give one that begins with a slash, as /v3/trades/AAPL")
        raw = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else _compact(body)
        at, number = self._offset, self._interactions
        self._interactions += 1
        headers = ((b"Content-Type", content_type.encode()),)
        return self._add(
            Interaction(
                *(0, at, at, at, number, method.upper(), self._http + path, status),
                response_headers=headers,
                body=raw,
            )
        )

    def records(self) -> list[Record]:
        """What is on the tape; an open connection ends with it."""
        records = list(self._records)
        if self._open:
            records.append(TrackClosed(0, self._offset, self._tracks - 1, Sender.SERVER, 1000))
        return [replace(record, seq=seq) for seq, record in enumerate(records)]

    def write(self, path: str | Path, *, replace: bool = False) -> Path:
        """The tape as a cassette in a file, sealed; UsageError if it is there."""
        header = Header(self._epoch_ns, origins=(self._http,), source=Source.SYNTHETIC)
        target = Path(path)
        make_cassette(target, header, self.records(), replace=replace, places=find("polygon").places)
        return target

    def in_a_file(self) -> Path:
        """The same in a temporary folder, which is the caller's to remove."""
        return self.write(Path(tempfile.mkdtemp(prefix="tickdeck-tape-")) / "tape.cassette")

    @property
    def _offset(self) -> int:
        return 0 if self._now_ns is None else self._now_ns - self._epoch_ns

    def _opened(self) -> None:
        if self._open:
            return
        if self._lost_ns is not None:
            lost_ns, self._lost_ns = self._lost_ns, None
            self._add(Gap(0, lost_ns, self._offset, self._market, self._reason))
        self._open = True
        self._tracks += 1
        self._add(TrackOpened(0, self._offset, self._tracks - 1, self._market))

    def _add(self, record: Record) -> Tape:
        self._records.append(record)
        return self

    def _wall_ns(self, moment: str) -> int:
        found = _CLOCK.fullmatch(moment)
        if found is None or int(found[1]) > 23 or int(found[2]) > 59 or int(found[3] or 0) > 59:
            raise UsageError(f"a time is spelled 09:30:00, 09:30:00.250 or +1.5s, not {moment!r}")
        clock = timedelta(hours=int(found[1]), minutes=int(found[2]), seconds=int(found[3] or 0))
        midnight = datetime(self._day.year, self._day.month, self._day.day, tzinfo=self._zone)
        return int((midnight + clock).timestamp()) * SECOND_NS + int((found[4] or "").ljust(9, "0"))


def tape(market: str = DEFAULT_MARKET, *, day: str = DAY) -> Tape:
    """An empty tape of a market, on a trading day."""
    return Tape(market, day=day)


def _compact(value: object) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise UsageError(f"this does not become JSON: {error}") from error
    return text.encode()
