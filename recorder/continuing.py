"""A recording that goes on where an earlier one ended: what has to be known of it.

What goes on is the same recording: one epoch, one order, one numbering of tracks,
requests and placeholders. So it is read as one with what was there, and the time in
between is a stretch in which nobody recorded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from glob import iglob
from pathlib import Path
from typing import Final

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.places import expand, pattern_of
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


def before(output: Path) -> Before:
    """The recording of this name, in one file or several. UsageError when there is none that could go on."""
    paths = sorted(
        {path for path in _there(output) if _number_of(output, path)}, key=lambda p: _number_of(output, p)
    )
    if not paths:
        raise UsageError(f"there is no {output.name} that could go on; record it without --append first")
    with open_cassettes(paths) as cassette:
        if not cassette.sealed:
            raise UsageError(f"{paths[-1].name} was never sealed; `tickdeck recover` it first")
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
        )


def _there(output: Path) -> list[Path]:
    segments = pattern_of(output)
    found = expand(segments) if any(iglob(f"{segments}*")) else []
    return [*([output] if output.exists() else []), *found]


def _number_of(output: Path, path: Path) -> int:
    """The number of a segment; the file without one is the first, and 0 is none of ours."""
    if path == output:
        return 1
    numbered = _NUMBERED.search(path.stem.removeprefix(output.stem))
    return int(numbered[1]) if numbered and path.stem.removeprefix(output.stem) == numbered[0] else 0
