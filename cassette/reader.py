"""One reading API over what a cassette can be: sealed, growing, or left behind by a killed recorder.

A sealed cassette says at its end where its index is: opening reads that, and a
chunk is read and decoded when it is asked for, so that memory stays flat. An
unsealed one is scanned block by block; what only its write-ahead segments hold
appears as its last chunks, made in memory. Sealed or not, each block's checksum is
verified before a byte of it is believed, and damage is an error that names the
position: a corrupt cassette never reads as an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from types import TracebackType
from typing import NamedTuple, Self

from tickdeck.cassette.blocks import (
    ENDING_SIZE,
    HEAD_SIZE,
    OPENING_SIZE,
    Block,
    ByteSource,
    Damage,
    Kind,
    check_opening,
    read_block,
    read_ending,
    scan,
    whole_block,
)
from tickdeck.cassette.chunkcodec import build_chunk, decode_chunk, read_summary
from tickdeck.cassette.chunks import Chunk, ChunkRef, records_of, ref_of
from tickdeck.cassette.compression import restore
from tickdeck.cassette.errors import FormatError, NewerFormatError
from tickdeck.cassette.header import read_header
from tickdeck.cassette.indexing import Indexer
from tickdeck.cassette.packing import Fields
from tickdeck.cassette.records import BodyPart, Header, Interaction, Record
from tickdeck.cassette.refs import Refs
from tickdeck.cassette.segments import Segment, is_tail, new_pieces, read_segment
from tickdeck.cassette.survey import Survey, SurveyTaker
from tickdeck.cassette.surveymap import unpack_survey

MAX_INDEX = 1 << 28
"""The most that an index or a survey may decompress to."""


class Contents(NamedTuple):
    """What opening found: the chunks, those of them that are only in memory, and how to come by a survey."""

    header: Header
    sealed: bool
    size: int
    revision: int
    refs: Sequence[ChunkRef]
    loose: Mapping[int, Chunk]
    survey: Callable[[Cassette], Survey]
    digest: bytes = b""


class Cassette:
    """A cassette open for reading. Chunks may be decoded from several threads at once."""

    def __init__(self, name: str, source: ByteSource, contents: Contents) -> None:
        self.name = name
        self.header = contents.header
        self.sealed = contents.sealed
        self.size = contents.size
        self.indexer_revision = contents.revision
        self.digest = contents.digest.hex()
        """SHA-256 over its records, as its footer has it; empty where it is not sealed."""
        self._source = source
        self._contents = contents

    @cached_property
    def survey(self) -> Survey:
        """What the cassette holds, at a glance; a cassette that is not sealed is read through for it."""
        with named(self.name):
            return self._contents.survey(self)

    def wall_ns(self, offset_ns: int) -> int:
        """The wall clock of the recording at an offset: nanoseconds since 1970 (UTC)."""
        return self.header.epoch_ns + offset_ns

    def offset_of(self, wall_ns: int) -> int:
        """The offset at which the wall clock shows a moment."""
        return wall_ns - self.header.epoch_ns

    def chunk_refs(self) -> Sequence[ChunkRef]:
        """One reference a chunk, without decoding any."""
        return self._contents.refs

    def chunk(self, number: int) -> Chunk:
        """Chunk ``number``, decoded; FormatError when it is damaged, IndexError when there is none."""
        loose = self._contents.loose.get(number)
        if loose is not None:
            return loose
        try:
            ref = self._contents.refs[number]
        except FormatError:
            with named(self.name):
                raise
        return read_chunk(self._source, ref, self.name)

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk in turn; one is in memory at a time."""
        return map(self.chunk, range(len(self._contents.refs)))

    def records(self) -> Iterator[Record]:
        """Every record in sequence order; one chunk is in memory at a time."""
        for chunk in self.chunks():
            yield from records_of(chunk)

    def interactions(self) -> Iterator[Interaction]:
        """Every interaction with its whole body; only chunks that hold some are read."""
        parts: dict[int, list[bytes]] = {}
        for number, ref in enumerate(self._contents.refs):
            if ref.interactions or ref.body_parts:
                yield from _joined(self.chunk(number), parts)

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _joined(chunk: Chunk, parts: dict[int, list[bytes]]) -> Iterator[Interaction]:
    for record in chunk.side:
        if isinstance(record, BodyPart):
            parts.setdefault(record.interaction, []).append(record.data)
        elif isinstance(record, Interaction):
            pieces = parts.pop(record.interaction, [])
            yield replace(record, body=b"".join(pieces)) if record.body_parts else record


@contextmanager
def named(name: str) -> Iterator[None]:
    """Errors about the file begin with its name."""
    try:
        yield
    except FormatError as error:
        if error.file is not None:
            raise
        raise type(error)(f"{name}: {error}", at=error.at, file=name) from error


@contextmanager
def located(position: int) -> Iterator[None]:
    """Errors about what a sound block holds say where the block is."""
    try:
        yield
    except NewerFormatError:
        raise
    except FormatError as error:
        at = position if error.at is None else error.at
        where = f"damaged at byte {position}: " if error.at is None else ""
        raise FormatError(f"{where}{error}", at=at, file=error.file) from error


@contextmanager
def _within(name: str, position: int) -> Iterator[None]:
    """What `named` and `located` do, for errors that are found later."""
    with named(name), located(position):
        yield


def read_chunk(source: ByteSource, ref: ChunkRef, name: str) -> Chunk:
    """The chunk that a reference names; errors, also those found later in its columns, begin with ``name``."""
    within = partial(_within, name, ref.position)
    try:
        chunk = decode_chunk(_chunk_payload(source, ref), within=within)
        if chunk.number != ref.number:
            raise FormatError(f"chunk {chunk.number} lies where chunk {ref.number} should")
    except FormatError:
        with within():
            raise
    return chunk


def _chunk_payload(source: ByteSource, ref: ChunkRef) -> bytes | memoryview:
    found = whole_block(source, ref.position, ref.size)
    if found is not None and found[0] == Kind.CHUNK:
        return found[1]
    return expect(source, ref.position, Kind.CHUNK).payload


def expect(source: ByteSource, position: int, kind: Kind) -> Block:
    """The block at a position, which is of this kind."""
    block = read_block(source, position)
    if block.kind != kind:
        raise FormatError(f"damaged at byte {position}: no {kind.name.lower()} block lies here", at=position)
    return block


def read_head(source: ByteSource) -> tuple[Header, int]:
    """The header, and where the block after it begins."""
    check_opening(source)
    block = expect(source, OPENING_SIZE, Kind.HEADER)
    with located(block.position):
        return read_header(block.payload), block.end


def read_packed(source: ByteSource, position: int, kind: Kind) -> bytes:
    """The decompressed content of an index or survey block."""
    block = expect(source, position, kind)
    with located(position):
        fields = Fields(block.payload, f"the {kind.name.lower()} block")
        return restore(
            fields.integer("method"), fields.binary("data"), fields.integer("size", high=MAX_INDEX)
        )


def open_sealed(name: str, source: ByteSource) -> Cassette | None:
    """The cassette, from its end; ``None`` when it has no end mark: nobody sealed it, or it was cut short."""
    with named(name):
        check_opening(source)
        footer_at = read_ending(source)
        if footer_at is None:
            return None
        header, _ = read_head(source)
        block = expect(source, footer_at, Kind.FOOTER)
        with located(footer_at):
            footer = Fields(block.payload, "the footer")
            index_at, survey_at = footer.integer("index"), footer.integer("survey")
            revision, digest = footer.integer("revision"), footer.binary("sha256")
        if block.end != source.size - ENDING_SIZE:
            raise FormatError(f"damaged at byte {block.end}: something follows the footer", at=block.end)
        index = read_packed(source, index_at, Kind.INDEX)
        with located(index_at):
            refs = Refs(index, most=index_at // HEAD_SIZE)

    def survey(_: Cassette) -> Survey:
        data = read_packed(source, survey_at, Kind.SURVEY)
        with located(survey_at):
            return unpack_survey(data)

    return Cassette(name, source, Contents(header, True, source.size, revision, refs, {}, survey, digest))


def open_unsealed(
    name: str, source: ByteSource, segments: Sequence[Segment], find_indexer: Callable[[str], Indexer]
) -> Cassette:
    """The cassette as far as it has come, segments included.

    The segments must have been opened before ``source``: a chunk is in the file before its segment goes.
    """
    with named(name):
        return Cassette(name, source, unsealed_contents(source, segments, find_indexer))


def unsealed_contents(
    source: ByteSource, segments: Sequence[Segment], find_indexer: Callable[[str], Indexer]
) -> Contents:
    """What a file without an end and its segments hold; FormatError when they leave a hole."""
    header, start = read_head(source)
    indexer = find_indexer(header.dialect)
    pieces = [piece for segment in segments if (piece := read_segment(segment, header)) is not None]
    refs = list(_scan_refs(source, start, {piece.number for piece in pieces}))
    loose: dict[int, Chunk] = {}
    for piece in new_pieces(pieces, refs[-1].last_seq if refs else -1):
        if piece.number != len(refs):
            raise FormatError(f"the write-ahead segment of chunk {len(refs)} is missing")
        refs.append(ref_of(piece.number, piece.records))
        loose[piece.number] = build_chunk(piece.number, piece.records, indexer)
    size = source.size + sum(segment.source.size for segment in segments)

    def survey(cassette: Cassette) -> Survey:
        taker = SurveyTaker(indexer)
        for chunk in cassette.chunks():
            taker.add_chunk(chunk)
        return taker.survey

    return Contents(header, False, size, indexer.revision, refs, loose, survey)


def _scan_refs(source: ByteSource, start: int, ahead: set[int]) -> Iterator[ChunkRef]:
    """The chunks of an unsealed file; the segments of those ``ahead`` make up for a bad end."""
    number = 0
    for block in scan(source, start):
        if isinstance(block, Damage):
            if is_tail(source, block) or (block.end == source.size and number in ahead):
                return
            raise FormatError(f"damaged at byte {block.position}: {block.reason}", at=block.position)
        if block.kind == Kind.FOOTER:  # what follows can only be an end mark that was cut off
            return
        if block.kind != Kind.CHUNK:
            continue
        with located(block.position):
            ref = read_summary(block.payload).ref
            if ref.number != number:
                raise FormatError(f"chunk {ref.number} lies where chunk {number} should")
        yield replace(ref, position=block.position, size=block.end - block.position)
        number += 1
