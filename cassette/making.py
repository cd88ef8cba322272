"""A cassette made from records that are at hand: whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from tickdeck.cassette.compression import LEVEL
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Header, Record
from tickdeck.cassette.redaction import NO_PLACES, Redactor, SecretPlaces
from tickdeck.cassette.survey import Survey

BATCH: Final = 512


def make_cassette(
    path: Path,
    header: Header,
    records: Iterable[Record],
    *,
    replace: bool,
    places: SecretPlaces = NO_PLACES,
    level: int = LEVEL,
) -> Survey:
    """Write and seal it. Whatever goes wrong, nothing half-made is left, and nothing was replaced."""
    redactor = Redactor(places)
    recording = Recording.create(
        path, header, redactor=redactor, replace=replace, write_ahead=False, level=level
    )
    try:
        rest = iter(records)
        while batch := list(islice(rest, BATCH)):
            recording.append(batch)
        return recording.seal()
    except BaseException:
        recording.abandon()
        recording.part.unlink(missing_ok=True)
        raise
