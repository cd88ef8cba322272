"""A recording that goes on where an earlier one ended: what has to be known of it.

What goes on is the same recording: one epoch, one order, one numbering of tracks,
requests and placeholders. So it is read as one with what was there, and the time in
between is a stretch in which nobody recorded.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from glob import iglob
from pathlib import Path
from typing import Final

from tickdeck.cassette.disk import is_locked
from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.files import RecoverReport, finish, open_cassette, open_cassettes
from tickdeck.cassette.places import PART, has_begun, part_of, pattern_of, remove_recording
from tickdeck.cassette.records import Source

_NUMBERED: Final = re.compile(r"-(\d+)\Z")
_PLACEHOLDER: Final = re.compile(r"REDACTED-(\d+)")


@dataclass(frozen=True, slots=True)
class Before:
    """What is there: its epoch, its last offset, the numbers that are used up, and the number of its last segment."""

    epoch_ns: int
    last_offset_ns: int
    next_seq: int
    tracks: int
    interactions: int
    placeholders: frozenset[int]
    segment: int
    recovered: tuple[RecoverReport, ...] = ()
    """What was sealed just now, for its recorder had been killed."""


def before(output: Path) -> Before:
    """The recording of this name, in one file or several; what a recorder that was killed left of it is sealed.

    UsageError when there is none that could go on, FormatError when one is damaged.
    """
    paths = _there(output)
    if not paths:
        raise UsageError(f"there is no {output.name} that could go on; record it without --append first")
    recovered = tuple(report for path in paths if (report := _finished(path)) is not None)
    with open_cassettes(paths) as cassette:
        if cassette.header.source is not Source.RECORDED:
            raise UsageError(
                f"{paths[0].name} is {cassette.header.source.value}: a recording cannot go on in it"
            )
        survey = cassette.survey
        return Before(
            epoch_ns=cassette.header.epoch_ns,
            last_offset_ns=survey.last_offset_ns or 0,
            next_seq=survey.last_seq + 1,
            tracks=max(survey.tracks, default=-1) + 1,
            interactions=survey.interactions,
            placeholders=frozenset(
                int(found[1]) for found in map(_PLACEHOLDER.fullmatch, survey.redactions) if found
            ),
            segment=_number_of(output, paths[-1]),
            recovered=recovered,
        )


def _there(output: Path) -> list[Path]:
    """What is there of a recording, sealed or not, in order."""
    segments = str(pattern_of(output))
    found = {output, *(Path(path.removesuffix(PART)) for path in (*iglob(segments), *iglob(segments + PART)))}
    there = [path for path in found if path.exists() or _part(path).exists()]
    return sorted(
        (path for path in there if _number_of(output, path)), key=lambda path: _number_of(output, path)
    )


def _part(path: Path) -> Path:
    return part_of(Path(os.path.realpath(path)) if path.is_symlink() else path)


def _finished(path: Path) -> RecoverReport | None:
    """Have only a sealed file of this name; what was saved, where it was not so."""
    part = _part(path)
    if not part.exists():
        return None
    if not path.exists() and not is_locked(part) and not has_begun(part):
        raise UsageError(f"there is no recording in {part.name}; move it away first")
    if not path.exists():
        return finish(path)
    if is_locked(part) or not _is_saved(part, path):
        raise UsageError(
            f"{path.name} and {part.name} are both there, and one cannot go on beside the other;"
            f" `tickdeck recover {part.name} -o FILE` saves the latter, then remove it"
        )
    remove_recording(part)
    return None


def _is_saved(part: Path, sealed: Path) -> bool:
    """Whether whoever sealed a recording was killed before the rest of it was removed."""
    try:
        with open_cassette(part) as rest, open_cassette(sealed) as whole:
            return rest.header == whole.header and rest.survey.last_seq <= whole.survey.last_seq
    except FormatError:
        return False


def _number_of(output: Path, path: Path) -> int:
    """The number of a segment; the file without one is the first, and 0 is none of ours."""
    if path == output:
        return 1
    numbered = _NUMBERED.search(path.stem.removeprefix(output.stem))
    return int(numbered[1]) if numbered and path.stem.removeprefix(output.stem) == numbered[0] else 0
