"""What can be read as one recording: a cassette, or several of them as one.

Whoever plays, shows or checks a recording asks for this and no more, so that it need
not know whether a file is behind it, or five, one of them still growing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from tickdeck.cassette.chunks import Chunk, ChunkRef
from tickdeck.cassette.records import Header, Interaction, Record
from tickdeck.cassette.survey import Survey


class Readable(Protocol):
    """A recording open for reading. Chunks may be decoded from several threads at once."""

    @property
    def name(self) -> str:
        """What to call it when talking to a person."""
        ...

    @property
    def header(self) -> Header:
        """What was known when the recording began."""
        ...

    @property
    def sealed(self) -> bool:
        """Whether nothing can be added to it any more."""
        ...

    @property
    def size(self) -> int:
        """Bytes on disk."""
        ...

    @property
    def survey(self) -> Survey:
        """What it holds, at a glance."""
        ...

    @property
    def digest(self) -> str:
        """A digest of its records, in hexadecimal digits; empty as long as they can become more."""
        ...

    def wall_ns(self, offset_ns: int) -> int:
        """The wall clock of the recording at an offset: nanoseconds since 1970 (UTC)."""
        ...

    def offset_of(self, wall_ns: int) -> int:
        """The first offset at which the wall clock shows a moment, or else is past it; what `wall_ns` undoes."""
        ...

    def chunk_refs(self) -> Sequence[ChunkRef]:
        """One reference a chunk, without decoding any."""
        ...

    def chunk(self, number: int) -> Chunk:
        """Chunk ``number``, decoded; FormatError when it is damaged, IndexError when there is none."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk in turn; one is in memory at a time."""
        ...

    def records(self) -> Iterator[Record]:
        """Every record in sequence order."""
        ...

    def interactions(self) -> Iterator[Interaction]:
        """Every interaction with its whole body."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
