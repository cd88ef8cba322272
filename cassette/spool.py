"""The writer thread: full chunks are compressed, appended and synced here, and then their segments go.

The thread that appends rows never waits for compression; it waits only when the
disk is so slow that several chunks are pending, which is counted as a pause. A row
is on disk in its segment before its batch is passed on; segments are synced at most
every second, also when nothing follows, so that a power failure costs no more.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tickdeck.cassette.disk import Disk, storing, sync, write_all
from tickdeck.cassette.errors import StorageError, TickdeckError
from tickdeck.cassette.survey import Survey
from tickdeck.cassette.writer import Binder, Cut

PENDING: Final = 16
"""Full chunks that may wait for the disk before appending pauses: some 4 MiB of rows."""

SYNC_SECONDS: Final = 1.0


@dataclass(slots=True)
class OpenSegment:
    """A write-ahead segment on disk. ``dirty``: it has rows that were not synced."""

    path: Path
    descriptor: int
    dirty: bool = True
    named: bool = False


class Spool:
    """Owns the recording's file from its first chunk until `finish`."""

    def __init__(
        self,
        path: Path,
        descriptor: int,
        *,
        binder: Binder,
        disk: Disk,
        monotonic: Callable[[], float],
        sync_s: float = SYNC_SECONDS,
    ) -> None:
        """``sync_s``: so long after a row was written it is on the disk itself; 0 is before `Recording.append` ends."""
        self.sync_s = sync_s
        self.error: TickdeckError | None = None
        self.current: OpenSegment | None = None
        self.chunks = 0
        self.raw_bytes = 0
        self.written_bytes = 0
        self.paused_seconds = 0.0
        self.most_pending = 0
        self._path = path
        self._descriptor = descriptor
        self._binder = binder
        self._disk = disk
        self._monotonic = monotonic
        self._synced_at = monotonic()
        self._handed = 0
        self._full: list[OpenSegment] = []
        self._jobs: queue.Queue[tuple[Cut, OpenSegment | None] | None] = queue.Queue(PENDING)
        self._thread = threading.Thread(target=self._run, name=f"tickdeck {path.name}", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Chunks that were handed over and are not on disk yet."""
        return self._handed - self.chunks

    def put(self, cut: Cut, segment: OpenSegment | None) -> bool:
        """Hand a full chunk over; whether that had to wait for the disk."""
        if segment is not None:
            self._full.append(segment)
        self._handed += 1
        self.most_pending = max(self.most_pending, self.pending)
        try:
            self._jobs.put_nowait((cut, segment))
        except queue.Full:
            since = self._monotonic()
            self._jobs.put((cut, segment))
            self.paused_seconds += self._monotonic() - since
            return True
        return False

    def finish(self) -> None:
        """Wait until everything handed over is on disk, or has failed to get there."""
        self._jobs.put(None)
        self._thread.join()

    def end(self, redactions: Mapping[str, Mapping[str, int]]) -> Survey:
        """After `finish`: index, survey, footer and end mark, all of it on disk; the survey."""
        tail, survey = self._binder.close(redactions)
        with storing(self._path):
            write_all(self._disk, self._descriptor, tail)
            sync(self._disk, self._descriptor, self._path)
        return survey

    def close(self) -> None:
        """After `finish`: let go of the file, and of segments whose chunks are not in it."""
        with storing(self._path), ExitStack() as closing:
            for segment in (*self._full, self.current):
                if segment is not None:
                    closing.callback(self._disk.close, segment.descriptor)
            closing.callback(self._disk.close, self._descriptor)

    def _run(self) -> None:
        while True:
            left = max(0.0, self._synced_at + self.sync_s - self._monotonic()) if self.sync_s else None
            try:
                job = self._jobs.get(timeout=left)
            except queue.Empty:
                self._attempt(self.sync_rows)
                continue
            if job is None:
                return
            self._attempt(partial(self._keep, *job))
            if self.sync_s and self._monotonic() - self._synced_at >= self.sync_s:
                self._attempt(self.sync_rows)

    def _attempt(self, step: Callable[[], None]) -> None:
        """After a failure nothing more is written; the segments keep what was to be."""
        if self.error is not None:
            self._synced_at = self._monotonic()
            return
        try:
            step()
        except TickdeckError as error:
            self.error = error
        except Exception as error:  # whatever a thread dies of, the one who appends must hear of it
            self.error = StorageError(f"cannot write {self._path.name}: {type(error).__name__}: {error}")
            self.error.__cause__ = error

    def _keep(self, cut: Cut, segment: OpenSegment | None) -> None:
        block = self._binder.bind(cut)
        with storing(self._path):
            write_all(self._disk, self._descriptor, block)
            if segment is not None:
                sync(self._disk, self._descriptor, self._path)
        self.chunks += 1
        self.raw_bytes += cut.size
        self.written_bytes += len(block)
        if segment is not None:
            self._full.remove(segment)
            with storing(segment.path):
                self._disk.close(segment.descriptor)
                self._disk.unlink(segment.path)

    def sync_rows(self) -> None:
        """Rows that are in no chunk yet are on the disk itself: those of the open one, and of full ones that wait."""
        self._synced_at = self._monotonic()
        for segment in (*self._full, self.current):
            if segment is not None and segment.dirty:
                self._sync(segment)

    def _sync(self, segment: OpenSegment) -> None:
        segment.dirty = False
        with storing(segment.path):
            sync(self._disk, segment.descriptor, segment.path)
            if not segment.named:
                segment.named = True
                self._disk.sync_folder(segment.path.parent)
