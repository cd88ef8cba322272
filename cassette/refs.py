"""The index of a sealed cassette: one row a chunk, in columns, so that opening costs next to nothing.

A cassette of a gigabyte has some 20,000 chunks. Their rows are unpacked column by
column when first asked for, and a reference is made only for the chunk one looks at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter
from typing import overload

from tickdeck.cassette.chunks import ChunkRef
from tickdeck.cassette.columns import MAX_ROWS, pack_column, unpack_column
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.packing import Fields, pack

_COLUMNS = {
    "positions": True,
    "sizes": False,
    "records": False,
    "first_seqs": True,
    "last_seqs": True,
    "min_offsets_ns": True,
    "max_offsets_ns": True,
    "interactions": False,
    "body_parts": False,
}
"""The columns in the order of a ChunkRef's fields, and which of them rise."""


def pack_refs(refs: Sequence[ChunkRef]) -> bytes:
    """The index of chunks 0, 1, 2..."""
    sets: dict[tuple[int, ...], int] = {}
    chosen = [sets.setdefault(ref.tracks, len(sets)) for ref in refs]
    rows = [
        (
            ref.position,
            ref.size,
            ref.records,
            ref.first_seq,
            ref.last_seq,
            ref.min_offset_ns,
            ref.max_offset_ns,
            ref.interactions,
            ref.body_parts,
        )
        for ref in refs
    ]
    columns = zip(*rows, strict=True) if rows else ((),) * len(_COLUMNS)
    packed = {
        name: pack_column(column, rising=rises)
        for (name, rises), column in zip(_COLUMNS.items(), columns, strict=True)
    }
    return pack({"chunks": len(refs), **packed, "track_sets": list(sets), "tracks": pack_column(chosen)})


class Refs(Sequence[ChunkRef]):
    """The references of a cassette's chunks, read from its index."""

    def __init__(self, data: bytes, *, most: int = MAX_ROWS) -> None:
        """``most``: to promise more chunks than there is room for before the index is a lie, and a costly one."""
        self._fields = Fields(data, "the index")
        self._count = self._fields.integer("chunks", high=most)

    def _column(self, name: str) -> Sequence[int]:
        column = unpack_column(self._fields.binary(name), most=self._count)
        if len(column) != self._count:
            raise FormatError(f"the index: {name} has {len(column)} rows, not {self._count}")
        return column

    @cached_property
    def _columns(self) -> list[Sequence[int]]:
        return [self._column(name) for name in _COLUMNS]

    @cached_property
    def _track_sets(self) -> list[tuple[int, ...]]:
        return [_numbers(tracks) for tracks in self._fields.items("track_sets")]

    @cached_property
    def _chosen(self) -> Sequence[int]:
        chosen = self._column("tracks")
        if chosen and not 0 <= min(chosen) <= max(chosen) < len(self._track_sets):
            raise FormatError("the index names a set of tracks that it does not have")
        return chosen

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> ChunkRef: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[ChunkRef]: ...
    def __getitem__(self, number: int | slice) -> ChunkRef | Sequence[ChunkRef]:
        if isinstance(number, slice):
            return [self._ref(one) for one in range(self._count)[number]]
        return self._ref(range(self._count)[number])

    def _ref(self, number: int) -> ChunkRef:
        tracks = self._track_sets[self._chosen[number]]
        position, size, records, first, last, low, high, interactions, parts = map(
            itemgetter(number), self._columns
        )
        return ChunkRef(number, position, size, records, first, last, low, high, interactions, parts, tracks)


def _numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(track) is int for track in value):
        raise FormatError("the index: a set of tracks is not a list of numbers")
    return tuple(value)
