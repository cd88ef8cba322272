"""From records to the bytes of a cassette, in two steps that may run in two threads.

The `Encoder` is the only door: every record passes redaction there, is checked for
order, and becomes a row, which is what the write-ahead segment keeps. It also
decides, by the rows' bytes alone, where a chunk ends, so that the same records give
the same chunks however they came. The `Binder` takes the cuts (the records of one
full chunk) and makes blocks of them; it keeps what the end of the file needs: the
index, the survey and the content digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from tickdeck.cassette.blocks import Kind, pack_block, pack_ending, pack_opening
from tickdeck.cassette.checksum import crc32
from tickdeck.cassette.chunkcodec import build_chunk, encode_chunk
from tickdeck.cassette.chunks import ChunkRef, ref_of
from tickdeck.cassette.codec import encode_row
from tickdeck.cassette.compression import LEVEL, squeeze
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.header import header_map, pack_header
from tickdeck.cassette.indexing import Indexer
from tickdeck.cassette.packing import pack
from tickdeck.cassette.records import Header, Record
from tickdeck.cassette.refs import pack_refs
from tickdeck.cassette.survey import Survey, SurveyTaker
from tickdeck.cassette.surveymap import pack_survey

CHUNK_TARGET: Final = 256 << 10
"""A chunk is cut before its rows would exceed this; a longer row has a chunk of its own."""


class Scrubber(Protocol):
    """What stands in front of the encoder: redaction."""

    @property
    def redactions(self) -> Mapping[str, Mapping[str, int]]:
        """By placeholder: how often it was put in each place."""
        ...

    def clean(self, record: Record) -> Record:
        """The same record without its secrets."""
        ...

    def clean_header(self, header: Header) -> Header:
        """The same header without its secrets."""
        ...


@dataclass(slots=True)
class Cut:
    """The records of one chunk, and their rows."""

    number: int
    records: list[Record] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, record: Record, row: bytes) -> None:
        self.records.append(record)
        self.rows.append(row)
        self.size += len(row)


class Encoder:
    """Records in, rows and cuts out; the only way into a cassette."""

    def __init__(self, header: Header, *, redactor: Scrubber, continues: bool = False) -> None:
        """``continues``: what the redactor counted so far is another segment's."""
        self._before = _counts(redactor) if continues else {}
        self._counted: dict[str, dict[str, int]] | None = None
        self.header = redactor.clean_header(header)
        self.open = Cut(0)
        self._redactor = redactor
        self._last_seq = -1
        self._header_payload = pack_header(self.header)

    @property
    def redactions(self) -> dict[str, dict[str, int]]:
        """What redaction has replaced in it so far; a recording in segments has one redactor for all."""
        return _counts(self._redactor, self._before) if self._counted is None else self._counted

    def freeze(self) -> None:
        """Nothing follows: from now on the redactor counts for others."""
        self._counted = self.redactions

    def opening(self) -> bytes:
        """The first bytes of the file."""
        return pack_opening() + pack_block(Kind.HEADER, self._header_payload)

    def segment_opening(self, number: int) -> bytes:
        """The first bytes of the write-ahead segment of chunk ``number``."""
        belongs = {"number": number, "header": crc32(self._header_payload)}
        return pack_opening() + pack_block(Kind.SEGMENT, pack(belongs))

    def add(self, record: Record) -> tuple[bytes, Cut | None]:
        """The record's row block for its chunk's segment; and the chunk before, if it was full without it."""
        if record.seq <= self._last_seq:
            raise UsageError(f"record {record.seq} comes after record {self._last_seq}; sequences rise")
        clean = self._redactor.clean(record)
        row = encode_row(clean)
        self._last_seq = record.seq
        full = self.cut() if self.open.rows and self.open.size + len(row) > CHUNK_TARGET else None
        self.open.add(clean, row)
        return pack_block(Kind.ROW, row), full

    def cut(self) -> Cut:
        """Close the open chunk and open the next."""
        full, self.open = self.open, Cut(self.open.number + 1)
        return full


def _counts(
    redactor: Scrubber, before: Mapping[str, Mapping[str, int]] | None = None
) -> dict[str, dict[str, int]]:
    """What was replaced, by placeholder and place, since it was ``before``."""
    since: dict[str, dict[str, int]] = {}
    for placeholder, places in redactor.redactions.items():
        told = (before or {}).get(placeholder, {})
        if counts := {place: n - told.get(place, 0) for place, n in places.items() if n > told.get(place, 0)}:
            since[placeholder] = counts
    return since


class Binder:
    """Cuts in, blocks out: the rest of the file, from ``position`` on."""

    def __init__(self, header: Header, *, indexer: Indexer, position: int, level: int = LEVEL) -> None:
        self._header = header
        self._indexer = indexer
        self._level = level
        self._position = position
        self._refs: list[ChunkRef] = []
        self._taker = SurveyTaker(indexer)
        self._digest = hashlib.sha256(pack_header(header))

    def bind(self, cut: Cut) -> bytes:
        """The chunk's block."""
        chunk = build_chunk(cut.number, cut.records, self._indexer)
        indexer = self._indexer
        payload = encode_chunk(chunk, indexer=indexer.name, revision=indexer.revision, level=self._level)
        block = pack_block(Kind.CHUNK, payload)
        self._refs.append(ref_of(cut.number, cut.records, position=self._position, size=len(block)))
        self._taker.add_chunk(chunk)
        self._digest.update(b"".join(cut.rows))
        self._position += len(block)
        return block

    def close(self, redactions: Mapping[str, Mapping[str, int]]) -> tuple[bytes, Survey]:
        """Index, survey, footer and end mark; and the survey."""
        survey = self._taker.survey
        survey.redactions = {placeholder: dict(places) for placeholder, places in redactions.items()}
        index = _packed(Kind.INDEX, pack_refs(self._refs), self._level)
        index_at, survey_at = self._position, self._position + len(index)
        statistics = _packed(Kind.SURVEY, pack_survey(survey), self._level)
        footer_at = survey_at + len(statistics)
        footer = {
            "header": header_map(self._header),
            "profile": dict(sorted(survey.profile.items())),
            "chunks": len(self._refs),
            "records": survey.records,
            "last_seq": survey.last_seq,
            "indexer": self._indexer.name,
            "revision": self._indexer.revision,
            "index": index_at,
            "survey": survey_at,
            "sha256": self._digest.digest(),
        }
        tail = b"".join((index, statistics, pack_block(Kind.FOOTER, pack(footer)), pack_ending(footer_at)))
        return tail, survey


def _packed(kind: Kind, data: bytes, level: int) -> bytes:
    method, stored = squeeze(data, level)
    return pack_block(kind, pack({"method": method, "size": len(data), "data": stored}))


def encode_cassette(
    header: Header, records: Iterable[Record], *, indexer: Indexer, redactor: Scrubber, level: int = LEVEL
) -> Iterator[bytes]:
    """A sealed cassette, piece by piece."""
    encoder = Encoder(header, redactor=redactor)
    opening = encoder.opening()
    yield opening
    binder = Binder(encoder.header, indexer=indexer, position=len(opening), level=level)
    for record in records:
        _, full = encoder.add(record)
        if full is not None:
            yield binder.bind(full)
    last = encoder.cut()
    if last.rows:
        yield binder.bind(last)
    yield binder.close(encoder.redactions)[0]
