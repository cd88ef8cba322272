"""Looking for what should not be on a cassette.

Redaction cannot unwrite what was written before a secret was known, and a cassette may
come from elsewhere. Audit reads it all again: for known secrets in every spelling, for
values that stand in a listed place and are no placeholder, and for tokens that have
the shape of a key. The last is a guess, so it is a narrow one: 32 letters, digits and
underscores that are not all hexadecimal (every `request_id` is), alone between other
characters, and not a piece of a long cursor; or an Alpaca key id.

A finding shows four characters of what it found and no more.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from tickdeck.cassette.bodies import coding_of
from tickdeck.cassette.codings import readable
from tickdeck.cassette.records import (
    BINARY,
    TEXT,
    BodyPart,
    Frame,
    Gap,
    Header,
    HeaderPairs,
    Interaction,
    Profile,
    Record,
    Sender,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.spelling import Spelling
from tickdeck.cassette.spots import (
    PLACEHOLDER,
    SecretPlaces,
    Spot,
    form_spots,
    header_spots,
    member_spots,
    parameter_spots,
    part_spots,
    user_spots,
)

_OVERLAP: Final = 4096
"""So much of a piece is looked at again with the next: the longest spelling of a secret is shorter."""

_LONGEST_RUN: Final = 64
"""A token inside a longer run of base64 is a piece of a cursor, not a key."""

# What comes before a token may be an escape whose last characters are letters.
_BEFORE: Final = rb"(?:(?<!\w)|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})|(?<=\\[nrtbf]))"
_TOKEN: Final = re.compile(
    _BEFORE + rb"(?:(?![0-9a-fA-F]{32}(?!\w))[A-Za-z0-9_]{32}|[PAC]K[A-Z0-9]{18})(?!\w)"
)
_SPACED: Final = bytes(
    byte if (chr(byte).isalnum() and byte < 128) or byte == 95 else 32 for byte in range(256)
)
"""Translates all but letters, digits and underscores to spaces."""

_SHORTEST_TOKEN: Final = 20
_RUN: Final = re.compile(rb"[A-Za-z0-9_+%\-]*")
_RUN_BEFORE: Final = re.compile(rb"[A-Za-z0-9_+%\-]*\Z")


_PACKED: Final = re.compile(rb"(?:H4sI|KLUv/|KLUv_)[A-Za-z0-9+/_\-]{12,}")
"""The beginning of gzip or zstd, in base64."""

_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_INSIDE: Final = ", inside the base64 at byte "
_DEEPEST: Final = 3
"""So often is packed into packed looked."""


class What(enum.StrEnum):
    """What kind of thing was found."""

    KNOWN = "a known secret"
    PLACED = "a value where a secret stands"
    SHAPED = "a token in the shape of a key"
    UNOPENED = "a body that could not be opened"
    RECORDED = "vendor data, which may not be redistributed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: in record ``seq`` (``None``: not in a record), at byte ``offset`` of ``part``.

    ``kind`` is the record's, as `cat` calls it. ``shown`` begins with what was found and
    never holds it whole; ``place`` is the listed place, if it is in one.
    """

    what: What
    seq: int | None
    kind: str
    part: str
    offset: int
    shown: str = ""
    place: str = ""

    def __str__(self) -> str:
        where = self.kind if self.seq is None else f"record {self.seq} ({self.kind})"
        spot = f"{where}, {self.part}, byte {self.offset}" if self.part else where
        told = " ".join(filter(None, (self.what.value, self.place and f"({self.place})")))
        return f"{spot}: {told}{', ' if self.shown else ''}{self.shown}"


class _Part(NamedTuple):
    """A piece of a record to be looked through, with the places that are in it.

    ``data`` begins at byte ``begin``; its first ``skip`` bytes were looked through before.
    ``unopened`` are the codings that could not be taken off.
    """

    name: str
    data: bytes
    spots: Sequence[Spot] = ()
    begin: int = 0
    skip: int = 0
    unopened: str = ""


_Found: TypeAlias = tuple[Finding, int]


class Auditor:
    """Looks records, headers and files through, for ``known`` secrets and in the dialect's ``places``."""

    def __init__(self, places: SecretPlaces, *, known: Iterable[str] = ()) -> None:
        self._places = places
        self._known = [Spelling(secret) for secret in dict.fromkeys(known) if secret]
        self._ends: dict[int, tuple[int, bytes]] = {}

    def header(self, header: Header, *, for_sharing: bool = False) -> Iterator[Finding]:
        """What the header holds; for sharing, also that it is of a recording."""
        if for_sharing and header.source is Source.RECORDED:
            yield Finding(What.RECORDED, None, "header", "", 0, "source: recorded")
        texts = {"note": header.note, "tool": header.tool, "program": header.program}
        for name, text in [*texts.items(), *(("origins", origin) for origin in header.origins)]:
            yield from self._look(None, "header", self._text(name, text))

    def record(self, record: Record) -> Iterator[Finding]:
        """What one record holds; records are given in order."""
        kind, parts = self._parts(record)
        for part in parts:
            yield from self._look(record.seq, kind, part)

    def raw(self, pieces: Iterable[bytes]) -> Iterator[Finding]:
        """Known secrets in the bytes of a file, which hold what is not compressed."""
        end, last = 0, b""
        for piece in pieces:
            part = _Part("bytes", last + piece, begin=end - len(last), skip=len(last))
            yield from (finding for finding, _ in self._known_in(None, "file", part))
            end, last = end + len(piece), part.data[-_OVERLAP:]

    def _look(self, seq: int | None, kind: str, part: _Part) -> Iterator[Finding]:
        """Everything in one part; of what overlaps, the surest."""
        if part.unopened:
            yield Finding(What.UNOPENED, seq, kind, part.name, 0, place=part.unopened)
        seen: list[tuple[int, int]] = []
        for found in (self._known_in, _placed_in, _shaped_in):
            for finding, end in found(seq, kind, part):
                if not any(start < end and finding.offset < stop for start, stop in seen):
                    seen.append((finding.offset, end))
                    yield finding

        for inside in self._insides(part):
            yield from self._look(seq, kind, inside)

    def _insides(self, part: _Part) -> Iterator[_Part]:
        """What is compressed and then written in base64 (base64 alone is one of a secret's spellings)."""
        for run in _PACKED.finditer(part.data):
            if run.end() > part.skip:
                packed = _unbase64(run[0])
                plain = readable(packed, coding_of((), packed))
                if plain is not None and part.name.count(_INSIDE) < _DEEPEST:
                    name = f"{part.name}{_INSIDE}{part.begin + run.start()}"
                    yield _Part(name, plain, parameter_spots(plain, self._places.query_parameters))

    def _known_in(self, seq: int | None, kind: str, part: _Part) -> Iterator[_Found]:
        for spelling in self._known:
            for start, end in spelling.spans(part.data):
                yield from _found(What.KNOWN, seq, kind, part, start, end)

    # What there is to look through.

    def _parts(self, record: Record) -> tuple[str, list[_Part]]:
        match record:
            case Frame():
                return "frame", [_Part("payload", record.payload, self._frame_spots(record))]
            case Interaction():
                return "interaction", list(self._interaction(record))
            case TrackOpened():
                return "track", list(self._track(record))
            case TrackClosed():
                return "closed", [self._text("reason", record.reason)]
            case BodyPart():
                return "body_part", [self._body_part(record)]
            case Gap():
                return "gap", [self._text("market", record.market), self._text("reason", record.reason)]
            case Profile():
                return "profile", [self._text(key, value) for key, value in record.values.items()]
        return "anchor", []

    def _frame_spots(self, frame: Frame) -> list[Spot]:
        spots = parameter_spots(frame.payload, self._places.query_parameters)
        if frame.sender is Sender.CLIENT and frame.opcode in (TEXT, BINARY):
            spots += self._places.message_secrets(frame.payload)
        return spots

    def _interaction(self, record: Interaction) -> Iterator[_Part]:
        yield self._address(record.url)
        yield self._text("method", record.method)
        yield self._text("reason", record.reason)
        yield from self._fields("request header", record.request_headers)
        fields = self._places.body_fields
        sent, unopened = _plain(record.request_body, record.request_headers)
        spots = [
            *member_spots(sent, fields, "body"),
            *form_spots(sent, fields, "body"),
            *part_spots(sent, fields, "body"),
        ]
        yield _Part("request body", sent, spots, unopened=unopened)
        yield from self._fields("response header", record.response_headers)
        if record.body_parts:
            self._ends.pop(record.interaction, None)
            return
        body, unopened = record.body, ""
        if not record.decoded:
            body, unopened = _plain(body, record.response_headers)
        spots = parameter_spots(body, self._places.query_parameters)
        yield _Part("body", body, spots, unopened=unopened)

    def _track(self, record: TrackOpened) -> Iterator[_Part]:
        yield self._address(record.url)
        yield self._text("market", record.market)
        yield from self._fields("request header", record.request_headers)
        yield from self._fields("response header", record.response_headers)

    def _body_part(self, record: BodyPart) -> _Part:
        """The part with the end of the one before: a secret may lie across the border."""
        end, last = self._ends.get(record.interaction, (0, b""))
        data = last + record.data
        self._ends[record.interaction] = end + len(record.data), data[-_OVERLAP:]
        spots = parameter_spots(data, self._places.query_parameters)
        return _Part("body", data, spots, begin=end - len(last), skip=len(last))

    def _fields(self, part: str, headers: HeaderPairs) -> Iterator[_Part]:
        for name, value in headers:
            yield _Part(f"{part} name", name)
            spots = header_spots(name, value, self._places)
            yield _Part(f"{part} {name.lower().decode('latin-1')}", value, spots)

    def _address(self, url: str) -> _Part:
        data = url.encode("utf-8", "surrogatepass")
        spots = parameter_spots(data, self._places.query_parameters, is_address=True)
        return _Part("url", data, [*spots, *user_spots(data)])

    def _text(self, name: str, text: str) -> _Part:
        data = text.encode("utf-8", "surrogatepass")
        return _Part(name, data, parameter_spots(data, self._places.query_parameters))


def audit(
    header: Header,
    records: Iterable[Record],
    *,
    places: SecretPlaces,
    known: Iterable[str] = (),
    for_sharing: bool = False,
    raw: Iterable[bytes] = (),
) -> Iterator[Finding]:
    """Everything that should not be on a cassette; ``raw`` are the bytes of its file, in pieces."""
    auditor = Auditor(places, known=known)
    yield from auditor.header(header, for_sharing=for_sharing)
    for record in records:
        yield from auditor.record(record)
    yield from auditor.raw(raw)


def _unbase64(run: bytes) -> bytes:
    """Either alphabet's, up to where its last whole group ends."""
    whole = run[: len(run) - (len(run) % 4 == 1)]
    return base64.b64decode(whole.translate(_TO_STANDARD) + b"=" * (-len(whole) % 4))


def _plain(body: bytes, headers: HeaderPairs) -> tuple[bytes, str]:
    """The body opened, and the codings that prevented it."""
    codings = coding_of(headers, body) if body else ()
    plain = readable(body, codings)
    return (body, ", ".join(codings)) if plain is None else (plain, "")


def _placed_in(seq: int | None, kind: str, part: _Part) -> Iterator[_Found]:
    for spot in part.spots:
        if not PLACEHOLDER.fullmatch(spot.secret):
            yield from _found(What.PLACED, seq, kind, part, spot.start, spot.end, place=spot.place)


def _shaped_in(seq: int | None, kind: str, part: _Part) -> Iterator[_Found]:
    if max(map(len, part.data.translate(_SPACED).split()), default=0) < _SHORTEST_TOKEN:
        return  # as most market data: trying the pattern at every byte takes twenty times as long
    for hit in _TOKEN.finditer(part.data):
        if not _in_a_cursor(part.data, *hit.span()):
            yield from _found(What.SHAPED, seq, kind, part, *hit.span())


def _found(
    what: What, seq: int | None, kind: str, part: _Part, start: int, end: int, *, place: str = ""
) -> Iterator[_Found]:
    """The finding and where it ends, unless the piece before had it already."""
    if end > part.skip:
        shown = _shown(part.data[start:end])
        yield Finding(what, seq, kind, part.name, part.begin + start, shown, place), part.begin + end


def _in_a_cursor(data: bytes, start: int, end: int) -> bool:
    before = _RUN_BEFORE.search(data, max(0, start - _LONGEST_RUN), start)
    after = _RUN.match(data, end, end + _LONGEST_RUN)
    return sum(len(run[0]) for run in (before, after) if run) + end - start > _LONGEST_RUN


def _shown(found: bytes) -> str:
    """At most four characters, and at most a quarter of it."""
    text = found.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text[: min(4, len(text) // 4)]) + "…"
