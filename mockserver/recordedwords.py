"""How the recorded service words its part: what was learned while it was recorded, and more where that says nothing.

Recordings of earlier releases, and those made by hand, hold a refusal that nobody learned.
It stands on a connection that never held a channel; only such ones are looked at, and a
cassette without one costs nothing more to open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from tickdeck.cassette.chunks import records_of
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import TEXT, Frame
from tickdeck.dialects.base import Dialect

_MOST_TRACKS: Final = 4


def words_of(cassette: Readable, dialect: Dialect) -> Mapping[str, str]:
    """The wording for `tickdeck.dialects.base.Dialect.wording`."""
    words: dict[str, str] = {}
    refused = (each.track for each in cassette.survey.tracks.values() if each.frames and not each.holdings)
    for track in islice(refused, _MOST_TRACKS):
        learner = dialect.learner()
        with suppress(FormatError):  # damage is reported where the tape is played
            for frame in _talk(cassette, track):
                for name, value in (learner.feed(frame.sender, frame.payload) or {}).items():
                    words.setdefault(name, value)
    return words | cassette.survey.profile


def _talk(cassette: Readable, track: int) -> Iterator[Frame]:
    """The texts of a track in the chunk that it begins in, in order."""
    number = next((ref.number for ref in cassette.chunk_refs() if track in ref.tracks), None)
    for record in () if number is None else records_of(cassette.chunk(number)):
        if isinstance(record, Frame) and record.track == track and record.opcode == TEXT:
            yield record
