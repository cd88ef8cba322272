"""Reading write-ahead segments: the rows of chunks that are not in the recording yet.

A segment holds the rows of one chunk, in the order they were appended. It ends
where its recorder was interrupted: a last row that is cut off, or a stretch of
zeros that a power failure leaves, is its normal end. Anything else is damage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tickdeck.cassette.blocks import (
    OPENING_SIZE,
    Block,
    ByteSource,
    Damage,
    Kind,
    check_opening,
    read_block,
    scan,
)
from tickdeck.cassette.checksum import crc32
from tickdeck.cassette.codec import decode_row
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.header import pack_header
from tickdeck.cassette.packing import Fields
from tickdeck.cassette.records import Header, Record


class Segment(NamedTuple):
    """A segment's file name and bytes."""

    name: str
    source: ByteSource


class Piece(NamedTuple):
    """The records of one segment, and the number of the chunk they will be."""

    number: int
    records: list[Record]


def is_tail(source: ByteSource, damage: Damage) -> bool:
    """Whether this is how an interrupted recorder leaves the end of a file."""
    if damage.end < source.size:
        return False
    return damage.torn or not source.read_at(damage.position, damage.end - damage.position).strip(b"\0")


def header_check(header: Header) -> int:
    """What a segment says of the recording it belongs to."""
    return crc32(pack_header(header))


def number_of(source: ByteSource) -> int | None:
    """The chunk whose rows a segment holds; ``None`` if its head is not sound."""
    try:
        return _head(source).integer("number")
    except FormatError:
        return None


def is_foreign(source: ByteSource, header: Header) -> bool:
    """Whether a segment says that it belongs to another recording."""
    try:
        return _head(source).integer("header") != header_check(header)
    except FormatError:
        return False


def _head(source: ByteSource) -> Fields:
    return Fields(read_block(source, OPENING_SIZE).payload, "the head of a segment")


def read_segment(segment: Segment, header: Header) -> Piece | None:
    """What a segment of this recording holds; ``None`` if it was interrupted before its first row."""
    try:
        return _read(segment.source, header)
    except FormatError as error:
        raise type(error)(f"{segment.name}: {error}", at=error.at) from error


def _read(source: ByteSource, header: Header) -> Piece | None:
    if not source.read_at(0, source.size if source.size < OPENING_SIZE else OPENING_SIZE).strip(b"\0"):
        return None
    blocks = scan(source, OPENING_SIZE)
    if source.size >= OPENING_SIZE:
        check_opening(source)
    first = next(blocks, None)
    if first is None or (isinstance(first, Damage) and is_tail(source, first)):
        return None
    belongs = _head(source)
    if belongs.integer("header") != header_check(header):
        raise FormatError("belongs to another recording", at=OPENING_SIZE)
    return Piece(belongs.integer("number"), list(_rows(source, blocks)))


def _rows(source: ByteSource, blocks: Iterator[Block | Damage]) -> Iterator[Record]:
    for block in blocks:
        if isinstance(block, Damage):
            if is_tail(source, block):
                return
            raise FormatError(f"damaged at byte {block.position}: {block.reason}", at=block.position)
        if block.kind == Kind.ROW:
            yield decode_row(block.payload)


def new_pieces(pieces: Sequence[Piece], last_seq: int) -> Iterator[Piece]:
    """The pieces by number, without the rows that chunks up to ``last_seq`` hold already."""
    for piece in sorted(pieces):
        records = [record for record in piece.records if record.seq > last_seq]
        if [record.seq for record in records] != sorted({record.seq for record in records}):
            raise FormatError(f"the rows of segment {piece.number} are out of order")
        if records:
            yield Piece(piece.number, records)
            last_seq = records[-1].seq
