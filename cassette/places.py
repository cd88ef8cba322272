"""Where a cassette lies: the recording beside its name, and its write-ahead segments beside that."""

from __future__ import annotations

import os
from contextlib import ExitStack
from glob import glob
from pathlib import Path

from tickdeck.cassette.blocks import HEAD_SIZE, OPENING_SIZE, claimed_length
from tickdeck.cassette.disk import FileBytes
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.segments import Segment

PART = ".part"


def part_of(path: Path) -> Path:
    """The name of a recording before it is sealed."""
    if not path.name:
        raise UsageError("the name of a file is empty")
    return path.with_name(path.name + PART)


def segments_of(part: Path) -> list[Path]:
    """The write-ahead segments beside a recording, in order."""
    beside = part.name + ".w"
    try:
        found = [path for path in part.parent.iterdir() if path.name.startswith(beside)]
    except OSError:
        return []
    return sorted(path for path in found if path.name[len(beside) :].isdecimal())


def find(path: Path) -> Path:
    """The file of this name, or the recording that will have it; UsageError when there is neither."""
    for candidate in (path, part_of(path), path):  # sealing may rename it between two looks
        if os.path.exists(candidate):
            return candidate
    raise UsageError(f"no such cassette: {path}")


def expand(pattern: Path) -> list[Path]:
    """The cassettes that a path with ``*`` stands for, sealed or not, by name; any other path is itself.

    A recording that was killed before its header was written is none yet: the segment before it is the last one.
    UsageError when the pattern stands for no cassette.
    """
    if "*" not in str(pattern) or os.path.exists(pattern):
        return [pattern]
    found = map(Path, {*glob(str(pattern)), *glob(str(part_of(pattern)))})
    cassettes = {
        path.with_name(path.name.removesuffix(PART))
        for path in found
        if not _is_segment(path) and (not path.name.endswith(PART) or _has_begun(path))
    }
    if not cassettes:
        raise UsageError(f"no cassette matches {pattern}")
    return sorted(cassettes)


def _is_segment(path: Path) -> bool:
    beside, _, number = path.name.rpartition(".w")
    return beside.endswith(PART) and number.isdecimal()


def _has_begun(part: Path) -> bool:
    """Whether the header of a recording is there, whole."""
    try:
        with part.open("rb") as file:
            head = file.read(OPENING_SIZE + HEAD_SIZE)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return True  # whoever opens it says what is wrong
    return len(head) == OPENING_SIZE + HEAD_SIZE and size >= len(head) + claimed_length(head[OPENING_SIZE:])


def open_segments(part: Path, held: ExitStack) -> list[Segment]:
    """The segments beside a recording, open until ``held`` closes."""
    segments = []
    for path in segments_of(part):
        try:
            source = FileBytes(path)
        except FileNotFoundError:  # its chunk has just been written
            continue
        held.callback(source.close)
        segments.append(Segment(path.name, source))
    return segments
