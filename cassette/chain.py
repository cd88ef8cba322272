"""Several cassettes as one: their records in the order given, as if one recorder had written them all.

Whoever reads it need not know: it is asked for chunks, records and a survey as a
cassette is, decodes a chunk of one of them when it is asked for it, and shares the
bytes. Where each lies, and why there, says `tickdeck.cassette.placing`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from types import TracebackType
from typing import Self

from tickdeck.cassette.chunks import Chunk, ChunkRef, records_of
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.joining import all_gaps, joined_header, joined_survey, same_dialect
from tickdeck.cassette.moving import moved_chunk, moved_interaction, moved_ref
from tickdeck.cassette.placing import Chain, Place, distances, place, recordings
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import Interaction, Record
from tickdeck.cassette.survey import Survey


def chain(cassettes: Sequence[Readable], *, order: Chain = Chain.BACK_TO_BACK) -> Readable:
    """The cassettes as one, which then owns them: closing it closes them. Of a single one, that one.

    UsageError when there is none, when they speak different dialects, when segments of one recording are out of
    order, and, at wall time, when recordings of one market overlap.
    """
    if not cassettes:
        raise UsageError("no cassette was given; give one at least")
    if len(cassettes) == 1:
        return cassettes[0]
    same_dialect((each.name, each.header) for each in cassettes)
    places = place(recordings(cassettes), order)
    gaps = all_gaps([each.survey for each in places], distances(places) if order is Chain.WALL else ())
    return Chained(
        cassettes, places, order, replace(joined_survey([each.survey for each in places]), gaps=gaps)
    )


class Chained:
    """Several cassettes open for reading as one. Chunks may be decoded from several threads at once."""

    def __init__(
        self, cassettes: Sequence[Readable], places: Sequence[Place], order: Chain, survey: Survey
    ) -> None:
        rest = len(cassettes) - 1
        self.name = f"{cassettes[0].name} and {rest} more"
        self.header = replace(
            joined_header([each.header for each in cassettes]), epoch_ns=places[0].recording.epoch_ns
        )
        self.sealed = all(each.sealed for each in cassettes)
        self.size = sum(each.size for each in cassettes)
        self.digest = _digest([each.digest for each in cassettes], order)
        self.survey = survey
        self._cassettes = cassettes
        clocks = places if order is Chain.BACK_TO_BACK else places[:1]
        self._clocks = [(each.start_ns, each.wall_ns) for each in clocks]
        self._parts = [(cassette, each.move) for each in places for cassette in each.recording.segments]
        self._starts = [0]
        for cassette, _ in self._parts:
            self._starts.append(self._starts[-1] + len(cassette.chunk_refs()))

    def wall_ns(self, offset_ns: int) -> int:
        """The wall clock of the recording that lies at an offset, as it was there."""
        at = bisect_right(self._clocks, offset_ns, lo=1, key=lambda clock: clock[0]) - 1
        return self._clocks[at][1] + offset_ns

    def offset_of(self, wall_ns: int) -> int:
        """The first offset at which the wall clock shows a moment, or else is past it."""
        for _, zero_ns in self._clocks:
            offset_ns = wall_ns - zero_ns
            if offset_ns >= self._clocks[0][0] and self.wall_ns(offset_ns) == wall_ns:
                return offset_ns
        later = (start_ns for start_ns, zero_ns in self._clocks if start_ns + zero_ns > wall_ns)
        return next(later, wall_ns - self._clocks[-1][1])

    @cached_property
    def _refs(self) -> Sequence[ChunkRef]:
        moves = ((ref, move) for cassette, move in self._parts for ref in cassette.chunk_refs())
        return [moved_ref(ref, move, number=number) for number, (ref, move) in enumerate(moves)]

    def chunk_refs(self) -> Sequence[ChunkRef]:
        """One reference a chunk, without decoding any; ``position`` is that in its own file."""
        return self._refs

    def chunk(self, number: int) -> Chunk:
        """Chunk ``number``, decoded; FormatError when it is damaged, IndexError when there is none."""
        number = range(self._starts[-1])[number]
        part = bisect_right(self._starts, number) - 1
        cassette, move = self._parts[part]
        return moved_chunk(cassette.chunk(number - self._starts[part]), move, number=number)

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk in turn; one is in memory at a time."""
        return map(self.chunk, range(self._starts[-1]))

    def records(self) -> Iterator[Record]:
        """Every record in sequence order; one chunk is in memory at a time."""
        for chunk in self.chunks():
            yield from records_of(chunk)

    def interactions(self) -> Iterator[Interaction]:
        """Every interaction with its whole body; only chunks that hold some are read."""
        for cassette, move in self._parts:
            for interaction in cassette.interactions():
                yield moved_interaction(interaction, move)

    def close(self) -> None:
        """Let go of all of them."""
        with ExitStack() as held:
            for cassette in self._cassettes:
                held.callback(cassette.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _digest(digests: Sequence[str], order: Chain) -> str:
    """That of several as one: none if one of them has none yet."""
    return sha256(" ".join((order, *digests)).encode()).hexdigest() if all(digests) else ""
