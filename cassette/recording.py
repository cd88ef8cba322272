"""A cassette being recorded: begun, appended to, sealed and named.

While it is recorded, ``x.cassette`` is ``x.cassette.part``, created exclusively and
locked, with one write-ahead segment beside it for each chunk that is not in it yet
(``x.cassette.part.w000017``). What a command makes of data at hand is ``x.cassette.tmp``
until it is whole. Sealing gives it its name without replacing anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tickdeck.cassette.compression import LEVEL
from tickdeck.cassette.disk import DISK, Disk, storing
from tickdeck.cassette.errors import StorageError, TickdeckError, UsageError
from tickdeck.cassette.indexing import Indexer
from tickdeck.cassette.outputs import begin, give_name, output_at
from tickdeck.cassette.places import part_of, tmp_of
from tickdeck.cassette.records import Header, Record
from tickdeck.cassette.spool import SYNC_SECONDS, OpenSegment, Spool
from tickdeck.cassette.survey import Survey
from tickdeck.cassette.writer import Binder, Cut, Encoder, Scrubber
from tickdeck.watch.realtime import REAL


def indexer_of(dialect: str) -> Indexer:
    """The indexer of a dialect, by name."""
    from tickdeck.dialects import find

    return find(dialect).indexer


@dataclass(slots=True)
class Stats:
    """What a recording has taken so far: ``bytes`` of rows; ``pauses`` are waits for a slow disk.

    ``pending`` chunks are full and not in the file, the open one has ``open_rows``;
    ``raw_bytes`` of rows are in the file, in ``written_bytes`` of chunks.
    """

    records: int = 0
    bytes: int = 0
    chunks: int = 0
    pauses: int = 0
    paused_seconds: float = 0.0
    pending: int = 0
    most_pending: int = 0
    open_rows: int = 0
    open_bytes: int = 0
    raw_bytes: int = 0
    written_bytes: int = 0


class Recording:
    """A cassette being recorded. One thread at a time may append."""

    def __init__(
        self, path: Path, encoder: Encoder, spool: Spool, *, disk: Disk, write_ahead: bool, replace: bool
    ):
        self.path = path
        self.part = part_of(path) if write_ahead else tmp_of(path)
        self.header = encoder.header
        self._encoder = encoder
        self._spool = spool
        self._disk = disk
        self._write_ahead = write_ahead
        self._replace = replace
        self._error: TickdeckError | None = None
        self._closed = False
        self._stats = Stats()

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        header: Header,
        *,
        redactor: Scrubber,
        indexer: Indexer | None = None,
        replace: bool = False,
        write_ahead: bool = True,
        continues: bool = False,
        level: int = LEVEL,
        sync_s: float = SYNC_SECONDS,
        opener: Disk = DISK,
    ) -> Recording:
        """Begin a cassette. UsageError when there is one already, StorageError when the disk refuses.

        ``write_ahead=False`` is for what can be made again: what a kill leaves of it is no recording, and the
        next run replaces it. ``continues``:
        it is a further segment, and what the redactor counted so far belongs to those before. A power failure
        costs at most the rows of the last ``sync_s`` seconds; 0 syncs each batch before it is passed on.
        """
        target, disk = output_at(Path(path)), opener
        unsealed = part_of(target) if write_ahead else tmp_of(target)
        encoder = Encoder(header, redactor=redactor, continues=continues)
        indexer = indexer or indexer_of(encoder.header.dialect)
        opening = encoder.opening()
        descriptor = begin(target, unsealed, opening, replace=replace, disk=disk)
        binder = Binder(encoder.header, indexer=indexer, position=len(opening), level=level)
        spool = Spool(unsealed, descriptor, binder=binder, disk=disk, monotonic=REAL.monotonic, sync_s=sync_s)
        return cls(target, encoder, spool, disk=disk, write_ahead=write_ahead, replace=replace)

    @property
    def stats(self) -> Stats:
        """What was taken so far."""
        stats, spool, cut = self._stats, self._spool, self._encoder.open
        stats.chunks, stats.pending, stats.most_pending = spool.chunks, spool.pending, spool.most_pending
        stats.raw_bytes, stats.written_bytes = spool.raw_bytes, spool.written_bytes
        stats.open_rows, stats.open_bytes = len(cut.rows), cut.size
        stats.paused_seconds = spool.paused_seconds
        return stats

    def append(self, records: Iterable[Record]) -> None:
        """Keep these records: when this returns they are in the operating system's hands, and survive a kill.

        One write() for the batch (and one more where a chunk ends within it). StorageError when the disk
        refuses, now or since the last call; what was kept before stays readable, and `StorageError.kept` says
        how much of this batch was.
        """
        self._check()
        before = self._stats.records
        try:
            self._write_rows(records)
        except StorageError as error:
            error.kept = self._stats.records - before
            raise

    def _write_rows(self, records: Iterable[Record]) -> None:
        blocks: list[bytes] = []
        stats = self._stats
        try:
            for record in records:
                block, full = self._encoder.add(record)
                if full is not None:
                    self._flush(blocks, full.number)
                    self._hand_over(full)
                    blocks = []
                blocks.append(block)
                stats.records += 1
                stats.bytes += len(block)
        finally:
            self._flush(blocks, self._encoder.open.number)

    def freeze(self) -> None:
        """Nothing is appended any more, here: it can be sealed by another thread."""
        self._encoder.freeze()

    def seal(self) -> Survey:
        """Finish the cassette and give it its name; returns what it holds."""
        self._check()
        last = self._encoder.cut()
        if last.rows:
            self._hand_over(last)
        self._closed = True
        self._spool.finish()
        try:
            if self._spool.error is not None:
                raise self._spool.error
            survey = self._spool.end(self._encoder.redactions)
        finally:
            self._spool.close()
        give_name(self.part, self.path, replace=self._replace, disk=self._disk)
        return survey

    def abandon(self) -> None:
        """Stop here: what was appended stays under the name with ``.part``, for reading and for `recover`."""
        if not self._closed:
            self._closed = True
            self._spool.finish()
            with suppress(StorageError):  # all that can be kept is kept
                self._spool.close()

    def _check(self) -> None:
        if self._closed:
            raise UsageError(f"{self.path.name} is not being recorded any more")
        error = self._error or self._spool.error
        if error is not None:
            raise error

    def _flush(self, blocks: list[bytes], number: int) -> None:
        if not self._write_ahead or not blocks or self._error is not None:
            return
        path = self.part.with_name(f"{self.part.name}.w{number:06d}")
        segment = self._spool.current
        opening, written = b"", 0
        try:
            with storing(path):
                if segment is None:
                    segment = self._spool.current = OpenSegment(path, self._disk.create(path))
                    opening = self._encoder.segment_opening(number)
                data = b"".join((opening, *blocks))
                while written < len(data):
                    written += self._disk.write(segment.descriptor, data[written:] if written else data)
        except StorageError as error:
            # A row may be cut off now, and nothing may follow it.
            self._error = error
            self._uncount(blocks, written - len(opening))
            raise
        segment.dirty = True
        if not self._spool.sync_s:
            self._spool.sync_rows()

    def _uncount(self, blocks: list[bytes], written: int) -> None:
        """Of these rows only so many bytes are on disk."""
        lost = [
            block for block, end in zip(blocks, accumulate(map(len, blocks)), strict=True) if end > written
        ]
        self._stats.records -= len(lost)
        self._stats.bytes -= sum(map(len, lost))

    def _hand_over(self, cut: Cut) -> None:
        # The thread closes the segment when the chunk is on disk: from here on it is not the current one.
        segment, self._spool.current = self._spool.current, None
        self._stats.pauses += self._spool.put(cut, segment)
