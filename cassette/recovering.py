"""What can be saved of a broken cassette, and what cannot.

A first walk finds every sound block and every stretch that is none, and with luck
the footer and the index, which say what there was. A second walk gives back the
records of the chunks that still decode, merged by sequence with the rows of the
write-ahead segments, each record once. What is missing is then told from the index
if it is sound, else from the holes in the sequence; and where a file lost its end,
what lay there cannot be told: that is said, too.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from tickdeck.cassette.blocks import (
    ENDING_SIZE,
    HEAD_SIZE,
    OPENING_SIZE,
    Block,
    ByteSource,
    Damage,
    Kind,
    check_opening,
    claimed_kind,
    read_ending,
    scan,
)
from tickdeck.cassette.chunkcodec import decode_chunk, read_summary
from tickdeck.cassette.chunks import ChunkRef, records_of
from tickdeck.cassette.codec import decode_row
from tickdeck.cassette.errors import FormatError, NewerFormatError
from tickdeck.cassette.header import header_of, read_header
from tickdeck.cassette.packing import Fields
from tickdeck.cassette.reader import expect, read_packed
from tickdeck.cassette.records import Header, Record
from tickdeck.cassette.refs import Refs
from tickdeck.cassette.segments import Segment, is_foreign, is_tail, number_of
from tickdeck.cassette.surveymap import unpack_survey


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that are gone: at most how many, and the sequences and offsets they lie between."""

    records: int
    first_seq: int
    last_seq: int
    from_offset_ns: int | None
    to_offset_ns: int | None


class Salvager:
    """Walks through a file and its segments, broken as they may be; `records` must be read before the losses.

    ``unfinished``: the file was never sealed, so that its segments make up for its end.
    """

    def __init__(
        self, name: str, source: ByteSource, segments: Sequence[Segment] = (), *, unfinished: bool = False
    ) -> None:
        self.header: Header | None = None
        self.redactions: dict[str, dict[str, int]] = {}
        self.damages: list[str] = []
        self.lost_bytes = 0
        self.saved = 0
        self.losses: list[Loss] = []
        self.open_end = False
        self.out_of_order = 0
        self._name = name
        self._source = source
        self._chunks: list[int] = []
        self._numbers: set[int] = set()
        self._decoded: set[int] = set()
        self._index: Sequence[ChunkRef] | None = None
        self._last_seq: int | None = None
        self._rows: list[Record] = []
        self._tail_lost = False
        if (newer := _newer(source)) is not None:
            raise NewerFormatError(f"{name}: {newer}", at=newer.at)
        tail = self._walk()
        broken = [segment.name for segment in segments if not self._walk_segment(segment)]
        self._rows.sort(key=attrgetter("seq"))
        made_up = unfinished and (
            self._check_numbers(segments) or (tail is not None and _is_ending(source, tail))
        )
        if tail is not None and not made_up:
            self._lose_damage(name, tail)
            self._tail_lost = True
        if self._last_seq is None and self._index is None:
            self.open_end = not unfinished or bool(broken) or (tail is not None and not made_up)
        if self.header is None and not self._chunks and not self._rows:
            raise FormatError(f"{name}: not a cassette, or nothing of it is left", at=0)

    def _walk(self) -> Damage | None:
        """Note every block; what the last bytes are if they are none."""
        end = self._source.size - (ENDING_SIZE if read_ending(self._source) is not None else 0)
        for found in scan(self._source, OPENING_SIZE, end):
            if isinstance(found, Damage):
                if found.end == end:
                    return found
                self._lose_damage(self._name, found)
            elif found.kind in self._NOTES:
                try:
                    self._NOTES[found.kind](self, found)
                except NewerFormatError as error:
                    raise NewerFormatError(f"{self._name}: {error}", at=error.at) from error
                except FormatError as error:
                    self._spoil(self._name, found, error)
        return None

    def _check_numbers(self, segments: Sequence[Segment]) -> bool:
        """Say which chunks are neither in the file nor in a segment; whether the first after the file is in one."""
        beside = {number for segment in segments if (number := number_of(segment.source)) is not None}
        for number in range(max(beside, default=0)):
            if number not in self._numbers | beside:
                self.damages.append(f"{self._name}: the write-ahead segment of chunk {number} is missing")
        return max(self._numbers, default=-1) + 1 in beside

    def _lose_damage(self, file: str, damage: Damage) -> None:
        self._lose(file, damage.position, damage.end - damage.position, damage.reason)

    def _lose(self, file: str, position: int, size: int, reason: str) -> None:
        self.lost_bytes += size
        self.damages.append(f"{file}: damaged at byte {position}: {reason}")

    def _spoil(self, file: str, block: Block, error: FormatError) -> None:
        """A block whose checksum is sound and whose content is not."""
        said = str(error) if error.at is None else str(error).removeprefix(f"damaged at byte {error.at}: ")
        self._lose(file, block.position, block.end - block.position, said)

    def _note_header(self, block: Block) -> None:
        self.header = self.header or read_header(block.payload)

    def _note_footer(self, block: Block) -> None:
        fields = Fields(block.payload, "the footer")
        self.header = self.header or header_of(fields.inner("header"))
        self._last_seq = fields.integer("last_seq", low=-1)

    def _note_chunk(self, block: Block) -> None:
        self._numbers.add(read_summary(block.payload).ref.number)
        self._chunks.append(block.position)

    def _note_index(self, block: Block) -> None:
        index = read_packed(self._source, block.position, Kind.INDEX)
        self._index = list(Refs(index, most=block.position // HEAD_SIZE))

    def _note_survey(self, block: Block) -> None:
        self.redactions = unpack_survey(read_packed(self._source, block.position, Kind.SURVEY)).redactions

    _NOTES: Final[dict[int, Callable[[Salvager, Block], None]]] = {
        Kind.HEADER: _note_header,
        Kind.CHUNK: _note_chunk,
        Kind.INDEX: _note_index,
        Kind.SURVEY: _note_survey,
        Kind.FOOTER: _note_footer,
    }

    def _walk_segment(self, segment: Segment) -> bool:
        """Take the segment's rows; whether its end is as a recorder leaves it."""
        if self.header is not None and is_foreign(segment.source, self.header):
            self.damages.append(f"{segment.name}: belongs to another recording, left out")
            return True
        sound = True
        for found in scan(segment.source, OPENING_SIZE):
            if isinstance(found, Damage):
                # A row that was cut off was never said to be kept.
                if not is_tail(segment.source, found):
                    sound = found.end < segment.source.size
                    self._lose_damage(segment.name, found)
            elif found.kind == Kind.ROW:
                self._take_row(segment.name, found)
        return sound

    def _take_row(self, file: str, block: Block) -> None:
        try:
            self._rows.append(decode_row(block.payload))
        except FormatError as error:
            self._spoil(file, block, error)

    def records(self) -> Iterator[Record]:
        """Every record that can be saved, once, in sequence order; memory stays flat."""
        last: Record | None = None
        holes: list[Loss] = []
        for record in heapq.merge(self._chunk_records(), self._rows, key=attrgetter("seq")):
            if last is not None and record.seq <= last.seq:
                continue
            if record.seq > (after := last.seq + 1 if last else 0):
                before = last.offset_ns if last else None
                holes.append(Loss(record.seq - after, after, record.seq - 1, before, record.offset_ns))
            self.saved += 1
            last = record
            yield record
        if self._last_seq is not None and (missing := self._last_seq - (last.seq if last else -1)) > 0:
            first, before = self._last_seq - missing + 1, last.offset_ns if last else None
            holes.append(Loss(missing, first, self._last_seq, before, None))
        # Without damage before it a hole is how the cassette was made.
        self.losses = holes if len(self.damages) > self._tail_lost else []
        if self._index is not None:
            self.losses = [_loss_of(ref) for ref in self._index if ref.number not in self._decoded]

    def _chunk_records(self) -> Iterator[Record]:
        last_seq = -1
        for position in self._chunks:
            block = expect(self._source, position, Kind.CHUNK)
            try:
                chunk = decode_chunk(block.payload)
                records = records_of(chunk)
            except FormatError as error:
                self._spoil(self._name, block, error)
                continue
            if records[0].seq <= last_seq:
                self._lose(self._name, position, block.end - position, "a chunk out of order")
                self.out_of_order += len(records)
                continue
            last_seq = records[-1].seq
            self._decoded.add(chunk.number)
            yield from records


def _is_ending(source: ByteSource, tail: Damage) -> bool:
    """Whether a recorder was interrupted while it sealed: all chunks come before its index."""
    return tail.torn and claimed_kind(source, tail.position) in (Kind.INDEX, Kind.SURVEY, Kind.FOOTER)


def _newer(source: ByteSource) -> NewerFormatError | None:
    try:
        check_opening(source)
    except NewerFormatError as error:
        return error
    except FormatError:  # a spoilt opening is no obstacle
        pass
    return None


def _loss_of(ref: ChunkRef) -> Loss:
    return Loss(ref.records, ref.first_seq, ref.last_seq, ref.min_offset_ns, ref.max_offset_ns)
