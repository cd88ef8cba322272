"""The columns part of a chunk that was read: restored, and looked at, when a column of it is first asked for.

Who is sent all the bytes of a lane needs no column, and then its columns stay as they
lie in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TypeAlias

from tickdeck.cassette.columns import room_of, unpack_column
from tickdeck.cassette.compression import restore
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.lanes import stored
from tickdeck.cassette.packing import Fields

Within: TypeAlias = Callable[[], AbstractContextManager[None]]
"""What errors about a chunk pass through, however late they are found: it says which chunk that is."""


class StoredColumns:
    """The columns of a chunk with so many ``lanes``.

    Asking for them may be a FormatError, which whoever asks lets pass through ``within``.
    """

    def __init__(
        self, method: int, stored_bytes: memoryview, size: int, *, lanes: int, within: Within
    ) -> None:
        self.within = within
        self._stored = method, stored_bytes, size
        self._lanes = lanes

    @cached_property
    def fields(self) -> Fields:
        """The columns part, by name."""
        return Fields(restore(*self._stored), "the columns of a chunk")

    @cached_property
    def lanes(self) -> Sequence[Fields]:
        """The columns of each lane."""
        values = self.fields.items("lanes")
        if len(values) != self._lanes:
            raise FormatError(f"a chunk of {self._lanes} lanes has the columns of {len(values)}")
        return [Fields(value, "a lane") for value in values]


def stored_column(fields: Fields, key: str, *, rows: int) -> Sequence[int]:
    """The column that `store` kept under a key, of exactly so many rows."""
    column = unpack_column(stored(fields, key, most=room_of(rows)), most=rows)
    if len(column) != rows:
        raise FormatError(f"the column {key} of a chunk has {len(column)} rows, not {rows}")
    return column
