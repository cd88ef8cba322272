"""A long recording in segments: one after the other gets full, is sealed behind our back, and the next goes on.

The segments of a recording share its epoch, and their sequences go on: so readers know
them for one. A segment begins with the connections that are open, said once more, and
with the wording learned so far, so that it can also be read alone.

A ring keeps only the last minutes. Its segments are short, and the eldest are removed as
others come, until somebody says that those which are there are to be kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tickdeck.cassette.errors import StorageError, TickdeckError, UsageError
from tickdeck.cassette.places import pattern_of
from tickdeck.cassette.recording import Recording, Stats
from tickdeck.cassette.records import Record

RING_PIECES: Final = 5
"""Segments that a ring's span is cut into; the eldest goes when a whole span lies behind it."""

DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment is full: after so long, or so many bytes; ``ring_ns`` is how much a ring keeps."""

    span_ns: int | None = None
    size: int | None = None
    ring_ns: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is more than one segment at all."""
        return self.span_ns is not None or self.size is not None or self.ring_ns is not None

    @property
    def longest_ns(self) -> int | None:
        """How long one segment goes on."""
        if self.ring_ns is None:
            return self.span_ns
        piece_ns = max(self.ring_ns // RING_PIECES, 1)
        return piece_ns if self.span_ns is None else min(self.span_ns, piece_ns)


@dataclass(slots=True)
class Segment:
    """One of them: where it lies, and between which clock readings it was written."""

    recording: Recording
    begun_ns: int
    ended_ns: int | None = None
    sealing: threading.Thread | None = None
    error: TickdeckError | None = None
    kept: bool = False


@dataclass(slots=True)
class Rotation:
    """Takes records as a `Recording` does, and begins with another when one is full.

    ``begin`` makes the recording of a path. ``removes`` takes a file away.
    """

    output: Path
    limits: Limits
    begin: Callable[[Path], Recording]
    removes: Callable[[Path], None]
    now_ns: int
    last_number: int = 0
    """Of the segments that are there already."""
    segments: list[Segment] = field(default_factory=list)
    """Those that are there; the last one is being written."""
    _open: Segment = field(init=False)
    _past: Stats = field(default_factory=Stats)

    def __post_init__(self) -> None:
        self._next(self.now_ns)

    @property
    def part(self) -> Path:
        """The file that is being written."""
        return self._open.recording.part

    @property
    def pattern(self) -> str:
        """What names all of them."""
        return str(pattern_of(self.output))

    @property
    def names(self) -> tuple[str, ...]:
        """The segments that are there."""
        return tuple(each.recording.path.name for each in self.segments)

    @property
    def stats(self) -> Stats:
        """What was taken so far, by all of them."""
        return _sum(self._past, self._open.recording.stats)

    def append(self, records: Iterable[Record]) -> None:
        """See `Recording.append`."""
        self._open.recording.append(records)

    def is_full(self, now_ns: int) -> bool:
        """Whether it is time for the next segment; not before this one holds something."""
        stats, limits = self._open.recording.stats, self.limits
        if not stats.records:
            return False
        long_enough = limits.longest_ns is not None and now_ns - self._open.begun_ns >= limits.longest_ns
        return long_enough or (limits.size is not None and stats.bytes >= limits.size)

    def turn(self, opening: Iterable[Record], now_ns: int) -> None:
        """Go on in the next segment, which begins with these records; the last one is sealed by a thread.

        StorageError when there can be no next one: then the last one goes on.
        """
        last = self._open
        self._next(now_ns)
        self._past = _sum(self._past, last.recording.stats)
        self.append(opening)
        last.ended_ns = now_ns
        last.recording.freeze()
        last.sealing = threading.Thread(
            target=_seal, args=(last,), name=f"tickdeck seals {last.recording.path.name}"
        )
        last.sealing.start()
        self._forget(now_ns)

    def keep(self) -> tuple[str, ...]:
        """What is here stays: the names of the segments that a ring would have removed."""
        kept = tuple(each.recording.path.name for each in self.segments if not each.kept)
        for each in self.segments:
            each.kept = True
        return kept

    def seal(self) -> None:
        """Seal the last one, and wait for the others; raises what went wrong with any."""
        self._open.recording.seal()
        for each in self._sealed():
            if each.error is not None:
                raise each.error

    def drop(self) -> None:
        """Remove what nobody wanted to keep, once all is sealed."""
        for each in [each for each in self.segments if not each.kept]:
            self._remove(each)

    def forget_sealed(self) -> None:
        """Remove the segments before the last one, once that is abandoned: nothing came in any of them."""
        for each in self.segments[:-1]:
            self._remove(each)

    def abandon(self) -> None:
        """See `Recording.abandon`."""
        self._open.recording.abandon()
        list(self._sealed())

    def _sealed(self) -> list[Segment]:
        for each in self.segments:
            if each.sealing is not None:
                each.sealing.join()
        return self.segments

    def _next(self, now_ns: int) -> None:
        number = self.last_number + 1
        path = self.output.with_name(f"{self.output.stem}-{number:0{DIGITS}d}{self.output.suffix}")
        try:
            recording = self.begin(path)
        except UsageError as error:
            if not self.segments:
                raise
            raise StorageError(f"there can be no next segment: {error}") from error
        self.last_number = number
        self._open = Segment(recording, now_ns)
        self.segments.append(self._open)

    def _forget(self, now_ns: int) -> None:
        if self.limits.ring_ns is None:
            return
        for each in list(self.segments):
            old = each.ended_ns is not None and now_ns - each.ended_ns >= self.limits.ring_ns
            if old and not each.kept:
                self._remove(each)

    def _remove(self, segment: Segment) -> None:
        if segment.sealing is not None:
            segment.sealing.join()
        self.segments.remove(segment)
        self.removes(segment.recording.path)


def _seal(segment: Segment) -> None:
    try:
        segment.recording.seal()
    except TickdeckError as error:
        segment.error = error


def _sum(one: Stats, other: Stats) -> Stats:
    return Stats(
        records=one.records + other.records,
        bytes=one.bytes + other.bytes,
        chunks=one.chunks + other.chunks,
        pauses=one.pauses + other.pauses,
        paused_seconds=one.paused_seconds + other.paused_seconds,
        pending=other.pending,
        most_pending=max(one.most_pending, other.most_pending),
        open_rows=other.open_rows,
        open_bytes=other.open_bytes,
        raw_bytes=one.raw_bytes + other.raw_bytes,
        written_bytes=one.written_bytes + other.written_bytes,
    )
