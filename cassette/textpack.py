"""From lines of JSON back to records: what a person wrote or edited becomes a tape.

The lines may be those of `text`, or a few written by hand: whatever is missing has a
default, down to a file of nothing but payloads. What is there is taken at its word, so
a field of another name is an error and not a silent nothing. Payloads and bodies may be
written as JSON rather than as a string that holds JSON; their numbers are kept as they
are spelled (``114.170``), only the white space goes.

Sequence numbers must rise where they are given; where they are not, or where lines were
put between, the lines are numbered in their order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, NoReturn

from tickdeck.cassette.records import (
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Header,
    Interaction,
    Profile,
    Record,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.textline import Line

CASSETTE: Final = "cassette"
"""The kind of the line that carries the header."""

VERSION: Final = 1
EPOCH_NS: Final = 1_577_975_400 * 1_000_000_000
"""2020-01-02T14:30:00Z, the epoch of a cassette whose lines do not say another: an opening bell."""

MARKET: Final = "stocks"
_JSON_TYPE: Final = ((b"Content-Type", b"application/json"),)
_CLOSED: Final = 1000


def records_from_lines(lines: Iterable[str], *, origin: str | None = None) -> tuple[Header, Iterator[Record]]:
    """The header, and the records as they are read; UsageError names the line that cannot be understood.

    ``origin`` is put before a url that is only a path; by default it is the first that the
    header names.
    """
    rows = (Line(number, text) for number, text in enumerate(lines, start=1) if text.strip("\ufeff \t\r\n"))
    first = next(rows, None)
    if first is None:
        return _synthetic(), iter(())
    if first.kind != CASSETTE:
        return _synthetic(), _Packer(_synthetic(), {}, origin).records(chain((first,), rows))
    header, profile = _header(first), first.texts("profile")
    return header, _Packer(header, profile, origin).records(rows)


class _Packer:
    """Makes records of lines, and remembers what the next line may leave out."""

    def __init__(self, header: Header, profile: Mapping[str, str], origin: str | None) -> None:
        self._profile = profile
        self._origin = origin or _http_origin(header)
        self._epoch_ns = header.epoch_ns
        self._seq = -1
        self._given = -1
        self._offset_ns = 0
        self._tracks: set[int] = set()
        self._track = 0
        self._interactions = 0

    def records(self, lines: Iterable[Line]) -> Iterator[Record]:
        """The records of the lines; then the header's profile, if no line had one."""
        for line in lines:
            make = _MAKERS.get(line.kind)
            if make is None:
                _unknown_kind(line)
            self._offset_ns = line.offset(self._offset_ns)
            given = line.count("seq", 0) if line.has("seq") else -1
            if line.has("seq") and given <= self._given:
                line.fail(
                    f"seq {given} does not rise above {self._given}; "
                    "leave seq out everywhere, and the lines are numbered"
                )
            self._given = max(self._given, given)
            yield from self._opened(line, given)
            self._seq = max(given, self._seq + 1)
            yield make(self, line)
            line.finish("channels")
        if self._profile:
            yield Profile(self._seq + 1, self._offset_ns, self._profile)

    def _opened(self, line: Line, given: int) -> Iterator[Record]:
        """The opening of a frame's track, if no line was about it."""
        track = line.count("track", self._track) if line.kind == "frame" else -1
        if line.kind == "frame" and track not in self._tracks:
            self._tracks.add(track)
            self._seq = max(given - 1, self._seq + 1)
            yield TrackOpened(self._seq, self._offset_ns, track, MARKET)

    def frame(self, line: Line) -> Record:
        self._track = line.count("track", self._track)
        sender, opcode = line.sender("from"), line.opcode()
        return Frame(self._seq, self._offset_ns, self._track, sender, opcode, line.data("payload"))

    def track(self, line: Line) -> Record:
        self._track = line.count("track", max(self._tracks, default=-1) + 1)
        self._tracks.add(self._track)
        return TrackOpened(
            self._seq,
            self._offset_ns,
            self._track,
            line.text("market", MARKET),
            line.text("feed"),
            line.text("url"),
            line.pairs("request_headers"),
            line.pairs("response_headers"),
        )

    def closed(self, line: Line) -> Record:
        track = line.count("track", self._track)
        by = None if line.says_null("by") else line.sender("by")
        code = None if line.says_null("code") else line.count("code", _CLOSED)
        return TrackClosed(self._seq, self._offset_ns, track, by, code, line.text("reason"))

    def interaction(self, line: Line) -> Record:
        number = line.count("interaction", self._interactions)
        self._interactions = max(self._interactions, number + 1)
        url = line.text("url")
        if not url:
            line.fail("url is missing")
        return Interaction(
            seq=self._seq,
            offset_ns=self._offset_ns,
            first_byte_ns=line.integer("first_byte_ns", self._offset_ns),
            end_ns=line.integer("end_ns", self._offset_ns),
            interaction=number,
            method=line.text("method", "GET"),
            url=self._origin + url if url.startswith("/") else url,
            status=line.count("status", 200),
            reason=line.text("reason"),
            request_headers=line.pairs("request_headers"),
            request_body=line.data("request_body"),
            response_headers=line.pairs("headers", _JSON_TYPE),
            body=line.data("body"),
            body_parts=line.count("body_parts", 0),
            decoded=line.flag("decoded", False),
            complete=line.flag("complete", True),
        )

    def body_part(self, line: Line) -> Record:
        number = line.count("interaction", self._interactions)
        return BodyPart(self._seq, self._offset_ns, number, line.data("data"))

    def gap(self, line: Line) -> Record:
        end_ns = line.integer("end_ns", self._offset_ns)
        return Gap(self._seq, self._offset_ns, end_ns, line.text("market", MARKET), line.text("reason"))

    def anchor(self, line: Line) -> Record:
        wall_ns = line.integer("wall_ns", self._epoch_ns + self._offset_ns)
        return Anchor(self._seq, self._offset_ns, wall_ns)

    def profile(self, line: Line) -> Record:
        self._profile = {}
        return Profile(self._seq, self._offset_ns, line.texts("values"))


_MAKERS: Final[Mapping[str, Callable[[_Packer, Line], Record]]] = {
    "frame": _Packer.frame,
    "track": _Packer.track,
    "closed": _Packer.closed,
    "interaction": _Packer.interaction,
    "body_part": _Packer.body_part,
    "gap": _Packer.gap,
    "anchor": _Packer.anchor,
    "profile": _Packer.profile,
}

KINDS: Final = frozenset(_MAKERS)
"""The kinds of the lines that are records."""


def _unknown_kind(line: Line) -> NoReturn:
    if line.kind == CASSETTE:
        line.fail("a line of kind cassette stands first or not at all")
    if line.kind == "event":
        line.fail("an event is no record; pack reads what cat prints without --events")
    line.fail(f"kind {json.dumps(line.kind)} is unknown; known are {', '.join(sorted(KINDS))}")


def _synthetic() -> Header:
    return Header(EPOCH_NS, source=Source.SYNTHETIC)


def _header(line: Line) -> Header:
    if line.count("v", VERSION) > VERSION:
        line.wrong("v", f"newer than this release reads ({VERSION})")
    source = line.text("source", Source.SYNTHETIC.value)
    if source not in list(Source):
        line.wrong("source", f"none of {', '.join(Source)}")
    header = Header(
        epoch_ns=line.integer("epoch_ns", EPOCH_NS),
        dialect=line.text("dialect", "polygon"),
        origins=line.strings("origins"),
        source=Source(source),
        note=line.text("note"),
        tool=line.text("tool"),
        program=line.text("program"),
    )
    line.texts("profile")
    line.finish()
    return header


def _http_origin(header: Header) -> str:
    return next((origin for origin in header.origins if origin.startswith("http")), "http://localhost")
