"""The channel names of a chunk that was read: unpacked, and checked, when one is first asked for.

A feed of many symbols has hundreds of names in each chunk, and who is sent all of it
needs none of them. How many there are stands in front of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, overload

from tickdeck.cassette.compression import PLAIN, ZSTD, beginning
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.indexing import STATUS
from tickdeck.cassette.lanes import stored
from tickdeck.cassette.packing import Fields, unpack
from tickdeck.cassette.storedcolumns import StoredColumns

_SHORT, _LONG, _VERY_LONG = range(0x90, 0xA0), 0xDC, 0xDD
"""How msgpack begins an array: up to 15 elements, a count of two bytes, a count of four."""

_COUNT_SIZE: Final = 5


class ChannelTable(Sequence[str]):
    """The names; errors that are found late pass through the columns' ``within``."""

    def __init__(self, columns: StoredColumns) -> None:
        self._columns = columns

    @cached_property
    def _count(self) -> int:
        try:
            return _count(self._columns.fields)
        except FormatError:
            with self._columns.within():
                raise

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All of them; number 0 is the empty name."""
        try:
            names = Fields({"channels": unpack(stored(self._columns.fields, "channels"))}, "a chunk").texts(
                "channels"
            )
            if names[:1] != (STATUS,) or len(names) != self._count:
                raise FormatError("the channel table of a chunk does not begin with the empty name")
        except FormatError:
            with self._columns.within():
                raise
        return names

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self.names[index]

    def __eq__(self, other: object) -> bool:
        return self.names == (other.names if isinstance(other, ChannelTable) else other)

    __hash__ = None  # type: ignore[assignment]  # it would have to unpack the names


def _count(columns: Fields) -> int:
    """How many names msgpack promises, from its first bytes."""
    match columns.value("channels"):
        case bytes(data):
            head = beginning(PLAIN, data, _COUNT_SIZE)
        case [int(), bytes(data)]:
            head = beginning(ZSTD, data, _COUNT_SIZE)
        case _:
            raise FormatError("channels of a chunk is not what it should be")
    kind = head[0] if head else 0
    if kind in _SHORT:
        return kind - _SHORT.start
    if kind == _LONG:
        return int.from_bytes(head[1:3], "big")
    if kind == _VERY_LONG:
        return int.from_bytes(head[1:5], "big")
    raise FormatError("a chunk: channels is not what it should be")
