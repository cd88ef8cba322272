"""Everything about a cassette that can be checked, checked; what is wrong is told, not raised.

Opening a cassette believes its footer; verifying believes nothing. Every byte is
read: each block against its checksum, each chunk against its summary, the
sequences against their order, the wire bytes against the payloads, the index
against the content (when this release indexes as the cassette was indexed), and
footer, index, survey and digest against what the chunks add up to. After damage the
checks that need all chunks are left out, so that one flipped byte is one finding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tickdeck.cassette.blocks import (
    ENDING_SIZE,
    HEAD_SIZE,
    OPENING_SIZE,
    Block,
    ByteSource,
    Kind,
    check_opening,
    read_ending,
    scan,
)
from tickdeck.cassette.chunkcodec import build_chunk, check_chunk, decode_chunk, read_summary
from tickdeck.cassette.chunks import Chunk, ChunkRef, frames_of, records_of, ref_of
from tickdeck.cassette.codec import encode_row
from tickdeck.cassette.errors import FormatError, NewerFormatError
from tickdeck.cassette.header import header_of, read_header
from tickdeck.cassette.indexing import Indexer
from tickdeck.cassette.packing import Fields, unpack
from tickdeck.cassette.reader import read_packed, unsealed_contents
from tickdeck.cassette.records import TEXT, Header, Record
from tickdeck.cassette.refs import Refs
from tickdeck.cassette.segments import Segment
from tickdeck.cassette.survey import SurveyTaker
from tickdeck.cassette.surveymap import unpack_survey
from tickdeck.cassette.wire import frame_header

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in one sentence, and the byte position where it shows, if it has one."""

    file: str
    at: int | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What verifying found; ``reindexed`` if the index was made anew to compare with."""

    name: str
    sealed: bool
    size: int
    chunks: int
    records: int
    reindexed: bool
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class Verification:
    """One walk through a file, from its first byte to its last."""

    def __init__(self, name: str, source: ByteSource, find_indexer: Callable[[str], Indexer]) -> None:
        self._name = name
        self._source = source
        self._find_indexer = find_indexer
        self._indexer: Indexer | None = None
        self._taker: SurveyTaker | None = None
        self._header: Header | None = None
        self._header_map: object = None
        self._profile: dict[str, str] | None = None
        self._indexed: tuple[str, int] | None = None
        self._refs: list[ChunkRef] = []
        self._digest = hashlib.sha256()
        self._last_seq = -1
        self._records = 0
        self._blocks = 0
        self._at: dict[int, int] = {}
        self.findings: list[Finding] = []

    def report(self, segments: Sequence[Segment] = (), *, unfinished: bool = False) -> VerifyReport:
        """Walk. ``unfinished``: the file may lack its end, which its segments then make up for."""
        try:
            return self._walk(segments, unfinished)
        except NewerFormatError as error:
            self.findings = [Finding(self._name, error.at, str(error))]
            return self._report(segments, sealed=read_ending(self._source) is not None)

    def _walk(self, segments: Sequence[Segment], unfinished: bool) -> VerifyReport:
        footer_at = read_ending(self._source)
        self._try(0, check_opening, self._source)
        stop = self._source.size - (0 if footer_at is None else ENDING_SIZE)
        for found in scan(self._source, OPENING_SIZE, stop):
            if isinstance(found, Block):
                self._blocks += 1
                self._try(found.position, self._check_block, found)
            elif self.findings and not self._blocks and found.end == stop:
                pass  # it does not begin as a cassette, nor does it go on as one
            elif footer_at is not None or not unfinished or found.end < stop:
                self._find(found.position, f"damaged at byte {found.position}: {found.reason}")
        if footer_at is not None:
            self._check_end(footer_at)
        elif not self.findings and unfinished:
            self._try(None, self._check_segments, segments)
        elif not self.findings:
            self._find(stop, f"cut short or damaged at byte {stop}: the end mark is missing")
        return self._report(segments, sealed=footer_at is not None)

    def _report(self, segments: Sequence[Segment], *, sealed: bool) -> VerifyReport:
        size = self._source.size + sum(segment.source.size for segment in segments)
        return VerifyReport(
            self._name,
            sealed,
            size,
            len(self._refs),
            self._records,
            self._taker is not None,
            tuple(self.findings),
        )

    def _find(self, at: int | None, sentence: str) -> None:
        self.findings.append(Finding(self._name, at, sentence))

    def _try(self, at: int | None, step: Callable[[_T], None], subject: _T) -> None:
        try:
            step(subject)
        except NewerFormatError:
            raise
        except FormatError as error:
            if error.at is not None or at is None:
                self._find(error.at, str(error))
            else:
                self._find(at, f"damaged at byte {at}: {error}")

    def _check_block(self, block: Block) -> None:
        checks: dict[int, Callable[[Block], None]] = {
            Kind.HEADER: self._check_header,
            Kind.CHUNK: self._check_chunk,
            Kind.INDEX: self._check_index,
            Kind.SURVEY: self._check_survey,
            Kind.FOOTER: self._check_footer,
        }
        self._at[block.kind] = block.position
        if block.kind in checks:
            checks[block.kind](block)

    def _check_header(self, block: Block) -> None:
        if block.position != OPENING_SIZE:
            raise FormatError("a header lies where none should")
        self._header = read_header(block.payload)
        self._header_map = unpack(block.payload)
        if Fields(block.payload, "the header").integer("minor", default=0) >= 1:
            self._digest.update(block.payload)
        self._indexer = self._find_indexer(self._header.dialect)
        self._taker = SurveyTaker(self._indexer)

    def _check_chunk(self, block: Block) -> None:
        summary = read_summary(block.payload)
        chunk = decode_chunk(block.payload)
        check_chunk(chunk)
        records = records_of(chunk)
        ref = ref_of(chunk.number, records)
        if ref != summary.ref:
            raise FormatError(f"the summary of chunk {chunk.number} is not that of its records")
        if chunk.number != len(self._refs) and not self.findings:
            raise FormatError(f"chunk {chunk.number} lies where chunk {len(self._refs)} should")
        self._check_order(records)
        _check_lanes(chunk)
        self._refs.append(replace(ref, position=block.position, size=block.end - block.position))
        self._digest.update(b"".join(map(encode_row, records)))
        self._indexed = summary.indexer, summary.revision
        self._check_indexed(chunk, records, self._indexed)

    def _check_order(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.seq <= self._last_seq:
                raise FormatError(f"record {record.seq} comes after record {self._last_seq}")
            self._last_seq = record.seq
        self._records += len(records)

    def _check_indexed(self, chunk: Chunk, records: Sequence[Record], indexed: tuple[str, int]) -> None:
        indexer = self._indexer
        if indexer is None or (indexer.name, indexer.revision) != indexed:
            self._taker = None
        elif build_chunk(chunk.number, records, indexer) != chunk:
            raise FormatError(f"the index of chunk {chunk.number} is not that of its content")
        elif self._taker is not None:
            self._taker.add_chunk(chunk)

    def _check_index(self, block: Block) -> None:
        index = read_packed(self._source, block.position, Kind.INDEX)
        refs = list(Refs(index, most=block.position // HEAD_SIZE))
        if not self.findings and refs != self._refs:
            raise FormatError("the index is not that of the chunks")

    def _check_survey(self, block: Block) -> None:
        survey = unpack_survey(read_packed(self._source, block.position, Kind.SURVEY))
        self._profile = survey.profile
        if self._taker is not None and not self.findings:
            survey.redactions = {}
            if survey != self._taker.survey:
                raise FormatError("the survey is not that of the records")

    def _check_footer(self, block: Block) -> None:
        fields = Fields(block.payload, "the footer")
        digest, header = fields.binary("sha256"), header_of(fields.inner("header"))
        said = {key: fields.integer(key) for key in ("chunks", "records", "index", "survey")}
        said["last_seq"] = fields.integer("last_seq", low=-1)
        if self.findings:
            return
        true = {
            "chunks": len(self._refs),
            "records": self._records,
            "index": self._at.get(Kind.INDEX),
            "survey": self._at.get(Kind.SURVEY),
            "last_seq": self._last_seq,
        }
        wrong = next((key for key in said if said[key] != true[key]), None)
        if wrong is not None:
            raise FormatError(f"the footer says {said[wrong]} for {wrong}, it is {true[wrong]}")
        if header != self._header or fields.value("header") != self._header_map:
            raise FormatError("the header in the footer is another")
        if self._profile is not None and fields.mapping("profile") != self._profile:
            raise FormatError("the profile in the footer is another than the survey's")
        indexed = fields.text("indexer"), fields.integer("revision")
        if self._indexed not in (None, indexed):
            raise FormatError("the footer names another index than the chunks")
        if digest != self._digest.digest():
            raise FormatError("the content digest does not match the header and the records")

    def _check_end(self, footer_at: int) -> None:
        if not self.findings and self._at.get(Kind.FOOTER) != footer_at:
            self._find(self._source.size - ENDING_SIZE, "the end mark points at no footer")
        if not self.findings and max(self._at.values()) != footer_at:
            self._find(footer_at, "blocks follow the footer")

    def _check_segments(self, segments: Sequence[Segment]) -> None:
        contents = unsealed_contents(self._source, segments, self._find_indexer)
        self._records += sum(contents.refs[number].records for number in contents.loose)
        self._refs.extend(contents.refs[number] for number in contents.loose)


def _check_lanes(chunk: Chunk) -> None:
    for lane in chunk.lanes:
        wire = b"".join(frame_header(TEXT, len(frame.payload)) + frame.payload for frame in frames_of(lane))
        if wire != lane.wire:
            raise FormatError(f"the lane of track {lane.track} is not in wire form")
