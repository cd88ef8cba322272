"""The chunks of a cassette that were decoded last, for all the tapes of a server.

A chunk is decoded when somebody asks for it and kept while there is room. Who does
the decoding is handed in: `Decoder` does it where it is asked, and
`tickdeck.mockserver.ahead` in a thread, before it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from tickdeck.cassette.chunks import Chunk
from tickdeck.mockserver.recent import Recent, Room
from tickdeck.mockserver.view import View

ROOM: Final = 16 << 20
"""The bytes that decoded chunks and cut pieces of a server may take."""

_LARGE: Final = 31 << 20
"""Bytes just below what glibc still learns from."""

# Unpacked, the index of small frames weighs three times their bytes: some ten integers a frame.
_INDEX: Final = 3


class Loader(Protocol):
    """Whoever decodes chunks."""

    def __call__(self, number: int) -> Chunk:
        """Chunk ``number``; FormatError when it is damaged."""
        ...

    def prepare(self, number: int) -> None:
        """Chunk ``number`` will be asked for soon; returns at once."""
        ...


class Decoder:
    """Decodes where it is asked, and prepares nothing."""

    def __init__(self, decode: Callable[[int], Chunk]) -> None:
        self._decode = decode

    def __call__(self, number: int) -> Chunk:
        return self._decode(number)

    def prepare(self, number: int) -> None:
        """Nothing: without a thread of its own it would hold up who asks."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A decoded chunk, and how it looks as a piece of each market's tape."""

    chunk: Chunk
    views: dict[str, View]


class ChunkStore:
    """The chunks used last; ``room`` is also for what is cut from them."""

    def __init__(self, loader: Loader, room: Room | None = None) -> None:
        _keep_memory()
        self.room = Room(ROOM) if room is None else room
        self.decoded = 0
        """How many chunks were asked for that were not there: some more than once."""
        self._loader = loader
        self._kept: Recent[int, Kept] = Recent(self.room, _weight)

    def kept(self, number: int) -> Kept:
        """Chunk ``number``, decoded now or lately; FormatError when it is damaged."""
        kept = self._kept.get(number)
        if kept is None:
            kept = self._kept.keep(number, Kept(self._loader(number), {}))
            self.decoded += 1
        return kept

    def prepare(self, number: int) -> None:
        """Chunk ``number`` will be asked for soon."""
        if number not in self._kept:
            self._loader.prepare(number)


@cache
def _keep_memory() -> None:
    """Have what one chunk gave back be there for the next: once a process, which is what learns.

    glibc returns memory of a chunk's size to the system, which clears it page by page when it is
    wanted again. From a block that is freed it learns up to which size to keep. The first such block is
    never touched; a second would come from what is kept, and be cleared.
    """
    bytes(_LARGE)


def _weight(kept: Kept) -> int:
    wire = sum(len(lane.view) for lane in kept.chunk.lanes)
    return max(kept.chunk.size, wire) + _INDEX * wire
