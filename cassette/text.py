"""A cassette as lines of JSON, for people and for scripts: what `tickdeck cat` prints and `tickdeck pack` reads.

One line a record, after a first line that carries the header and the profile. What is
text is shown as text and what is not as base64, so that nothing is lost on the way and
back. `time` and `channels` are there for the reader's sake and are ignored on the way
back (see `textpack`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from tickdeck.cassette.indexing import STATUS, Event, Indexer
from tickdeck.cassette.records import (
    PING,
    PONG,
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Header,
    HeaderPairs,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.textline import OPCODES
from tickdeck.cassette.textpack import CASSETTE, KINDS, VERSION, records_from_lines

__all__ = ["KINDS", "Choice", "lines_of", "records_from_lines"]

Row: TypeAlias = dict[str, object]
"""One line, as a JSON object."""

_SECOND_NS: Final = 1_000_000_000
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OPCODE_NAMES: Final = {number: name for name, number in OPCODES.items()}
_EVENT: Final = "event"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records are shown: of these kinds, with offsets in ``[since_ns, until_ns)``, on these channels.

    Channels (``T.AAPL``, ``T.*``, ``*.AAPL``) choose among frames; with channels and no
    kinds, frames alone are shown. The line with the header is always there.
    """

    channels: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    since_ns: int | None = None
    until_ns: int | None = None


EVERYTHING: Final = Choice()


def lines_of(
    header: Header,
    profile: Mapping[str, str],
    records: Iterable[Record],
    *,
    indexer: Indexer,
    choice: Choice = EVERYTHING,
    events: bool = False,
) -> Iterator[str]:
    """The lines, without their ends; with ``events`` one a market event in place of one a record."""
    yield _line(_cassette_row(header, profile))
    shown = _Shown(indexer, choice, header.epoch_ns)
    for record in records:
        if shown.has(record):
            yield from map(_line, shown.events(record) if events else shown.rows(record))


class _Shown:
    """Chooses records and makes rows of them."""

    def __init__(self, indexer: Indexer, choice: Choice, epoch_ns: int) -> None:
        self._indexer = indexer
        self._choice = choice
        self._epoch_ns = epoch_ns
        patterns = (re.escape(channel).replace(r"\*", ".*") for channel in choice.channels)
        self._channels = re.compile("|".join(patterns), re.DOTALL) if choice.channels else None

    def has(self, record: Record) -> bool:
        """Whether kind and time are chosen; channels are looked at when the events are known."""
        choice = self._choice
        kinds = choice.kinds or (frozenset({"frame"}) if self._channels else KINDS)
        return (
            _KIND_OF[type(record)] in kinds
            and (choice.since_ns is None or record.offset_ns >= choice.since_ns)
            and (choice.until_ns is None or record.offset_ns < choice.until_ns)
        )

    def rows(self, record: Record) -> Iterator[Row]:
        """The record's row, if its channels are chosen."""
        if not isinstance(record, Frame):
            yield self._row(record, _parts(record))
            return
        channels = list(dict.fromkeys(event.channel for event in self._market_events(record)))
        if self._channels is None or any(map(self._channels.fullmatch, channels)):
            yield self._row(record, _frame_parts(record, channels))

    def events(self, record: Record) -> Iterator[Row]:
        """A row for each event that is chosen."""
        if not isinstance(record, Frame):
            return
        for event in self._market_events(record):
            if self._channels is None or self._channels.fullmatch(event.channel):
                raw = record.payload[event.start : event.end]
                parts: Row = {"track": record.track, "channel": event.channel, **_said("event", raw)}
                yield self._row(record, parts, kind=_EVENT)

    def _market_events(self, frame: Frame) -> Sequence[Event]:
        if frame.sender is not Sender.SERVER or frame.opcode != TEXT:
            return ()
        return [event for event in self._indexer.events(frame.payload) or () if event.channel != STATUS]

    def _row(self, record: Record, parts: Row, *, kind: str = "") -> Row:
        return {
            "kind": kind or _KIND_OF[type(record)],
            "seq": record.seq,
            "offset_ns": record.offset_ns,
            "time": iso(self._epoch_ns + record.offset_ns),
            **parts,
        }


_KIND_OF: Final[dict[type, str]] = {
    TrackOpened: "track",
    Frame: "frame",
    TrackClosed: "closed",
    Interaction: "interaction",
    BodyPart: "body_part",
    Gap: "gap",
    Anchor: "anchor",
    Profile: "profile",
}


def iso(wall_ns: int) -> str:
    """A time of the wall clock to the nanosecond: ``2020-01-02T14:30:00.000000000Z``."""
    seconds, nanoseconds = divmod(wall_ns, _SECOND_NS)
    return f"{_UNIX + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def _line(row: Row) -> str:
    return json.dumps(row, separators=(",", ":"))


def _cassette_row(header: Header, profile: Mapping[str, str]) -> Row:
    return {
        "kind": CASSETTE,
        "v": VERSION,
        "epoch_ns": header.epoch_ns,
        "time": iso(header.epoch_ns),
        "dialect": header.dialect,
        "origins": list(header.origins),
        "source": header.source.value,
        "note": header.note,
        "tool": header.tool,
        "program": header.program,
        "profile": dict(profile),
    }


def _frame_parts(frame: Frame, channels: list[str]) -> Row:
    opcode = frame.opcode
    return {
        "track": frame.track,
        "from": frame.sender.name.lower(),
        "opcode": _OPCODE_NAMES.get(opcode, opcode),
        **_said("payload", frame.payload, is_text=opcode in (TEXT, PING, PONG)),
        **({"channels": channels} if channels else {}),
    }


def _parts(record: TrackOpened | TrackClosed | Interaction | BodyPart | Gap | Anchor | Profile) -> Row:
    """What a record holds beside its place in the order."""
    match record:
        case TrackOpened():
            return {
                "track": record.track,
                "market": record.market,
                "feed": record.feed,
                "url": record.url,
                "request_headers": _pairs(record.request_headers),
                "response_headers": _pairs(record.response_headers),
            }
        case TrackClosed():
            by = None if record.by is None else record.by.name.lower()
            return {"track": record.track, "by": by, "code": record.code, "reason": record.reason}
        case Interaction():
            return _interaction_parts(record)
        case BodyPart():
            return {"interaction": record.interaction, **_said("data", record.data)}
        case Gap():
            return {"end_ns": record.end_ns, "market": record.market, "reason": record.reason}
        case Anchor():
            return {"wall_ns": record.wall_ns}
    return {"values": dict(sorted(record.values.items()))}


def _interaction_parts(record: Interaction) -> Row:
    """All of it; what is nearly always the same is left out when it is."""
    parts: Row = {
        "interaction": record.interaction,
        "first_byte_ns": record.first_byte_ns,
        "end_ns": record.end_ns,
        "method": record.method,
        "url": record.url,
        "status": record.status,
        "reason": record.reason,
        "request_headers": _pairs(record.request_headers),
    }
    if record.request_body:
        parts |= _said("request_body", record.request_body)
    parts["headers"] = _pairs(record.response_headers)
    parts |= _said("body", record.body)
    for name, value, usual in (
        ("body_parts", record.body_parts, 0),
        ("decoded", record.decoded, False),
        ("complete", record.complete, True),
    ):
        if value != usual:
            parts[name] = value
    return parts


def _pairs(headers: HeaderPairs) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _said(name: str, data: bytes, *, is_text: bool = True) -> Row:
    if is_text:
        try:
            return {name: data.decode("utf-8")}
        except UnicodeDecodeError:
            pass
    return {f"{name}_base64": base64.b64encode(data).decode("ascii")}
