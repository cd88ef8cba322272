"""Where a cassette lies: the recording beside its name, and its write-ahead segments beside that.

What a recorder writes is a recording from its first byte on (``x.cassette.part``). What
`recover`, `pack`, `cut` or `synth` writes is nothing until it is whole, and can be made
again: until then it has another name (``x.cassette.tmp``), which no reader opens.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from glob import escape, glob
from pathlib import Path

from tickdeck.cassette.blocks import HEAD_SIZE, OPENING_SIZE, claimed_length
from tickdeck.cassette.disk import FileBytes, is_locked
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.segments import Segment

PART = ".part"
TMP = ".tmp"


def tmp_of(path: Path) -> Path:
    """The name of a cassette that is being made from what is at hand, before it is whole."""
    return path.with_name(path.name + TMP)


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


def remove_recording(part: Path) -> None:
    """Remove an unsealed recording that is saved elsewhere; the file itself last, so that none looks whole."""
    for path in (*segments_of(part), part):
        path.unlink(missing_ok=True)


def find(path: Path) -> Path:
    """The file of this name, or the recording that will have it; UsageError when there is neither.

    Through a symbolic link the recording lies beside the file that the link leads to.
    """
    if path.name.endswith(TMP) and os.path.exists(path):
        raise UsageError(_unfinished(path))
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path
    for candidate in (path, part_of(target), path):  # sealing may rename it between two looks
        if os.path.exists(candidate):
            return candidate
    if os.path.exists(tmp := tmp_of(target)):
        raise UsageError(f"no such cassette: {path}; {_unfinished(tmp)}")
    raise UsageError(f"no such cassette: {path}")


def _unfinished(tmp: Path) -> str:
    if is_locked(tmp):
        return f"{tmp.name} is being written by another command: wait until it has finished"
    return (
        f"{tmp.name} is not a recording but what a command left that did not finish: run that command again"
    )


def pattern_of(path: Path) -> Path:
    """The pattern of the segments of a recording: in a shell, in `expand` and in Python's glob it means no others."""
    return Path(escape(str(path.with_name(path.stem))) + "-*" + escape(path.suffix))


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
        if not path.name.endswith(TMP)
        and not _is_segment(path)
        and (not path.name.endswith(PART) or has_begun(path))
    }
    if not cassettes:
        raise UsageError(f"no cassette matches {pattern}")
    return sorted(cassettes)


def _is_segment(path: Path) -> bool:
    beside, _, number = path.name.rpartition(".w")
    return beside.endswith(PART) and number.isdecimal()


def has_begun(part: Path) -> bool:
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
