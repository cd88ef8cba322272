"""Columns of integers: delta-coded and cut in byte planes, so that compression finds what repeats.

A column is a row of integers of one meaning (offsets, lengths, channel ids). Where
it rises steadily its differences are stored instead of its values; all of them in
the narrowest signed width that holds the largest; and their first bytes together,
then their second bytes, and so on: high bytes are mostly zero and low bytes mostly
alike, which zstd sees only when they stand side by side. Plain u64 columns would
cost a third of the compression.

    shape u8 | count u32 | first i64 | planes            (all little-endian)

``shape`` is ``order << 4 | width``: order 0 stores values, 1 differences; width is
0, 1, 2, 4 or 8 bytes. In order 1, ``first`` is the first value and the planes hold
``count - 1`` differences. Width 0 has no planes: all values (order 0: ``first``
itself) or all differences (order 1: an i64 follows) are the same number.

Reading is slicing, `memoryview` and `itertools.accumulate`: no Python runs per row,
and a column that rises by steps of one size is a `range`, however long it is.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final, Literal, TypeVar

from tickdeck.cassette.errors import FormatError

_T = TypeVar("_T")

_HEAD: Final = struct.Struct("<BIq")
_STEP: Final = struct.Struct("<q")
HEAD_SIZE: Final = _HEAD.size
"""The bytes of a column that say how many rows it has."""

_CODES: Final[dict[int, Literal["b", "h", "i", "q"]]] = {1: "b", 2: "h", 4: "i", 8: "q"}
_ROOM: Final = [(width, 1 << (8 * width - 1)) for width in _CODES]

MAX_ROWS: Final = 1 << 22
"""The longest column; one of width 0 could else promise any number of rows in a few bytes."""


def pack_column(values: Sequence[int], *, rising: bool = False) -> bytes:
    """One column; ``rising`` ones are stored as differences. Equal values give equal bytes."""
    if not values:
        return _HEAD.pack(rising << 4, 0, 0)
    stored = list(map(operator.sub, values[1:], values)) if rising else values
    low, high = (min(stored), max(stored)) if stored else (0, 0)
    if low == high:
        head = _HEAD.pack(rising << 4, len(values), values[0])
        return head + _STEP.pack(low) if rising else head
    width = next(width for width, room in _ROOM if -room <= low and high < room)
    head = _HEAD.pack(rising << 4 | width, len(values), values[0] if rising else 0)
    return head + _planes(stored, width)


def _planes(values: Sequence[int], width: int) -> bytes:
    cells = array(_CODES[width], values)
    if sys.byteorder == "big":
        cells.byteswap()
    flat = cells.tobytes()
    return b"".join(flat[plane::width] for plane in range(width))


def unpack_column(data: bytes, *, most: int = MAX_ROWS) -> Sequence[int]:
    """The values; FormatError when the column is not sound or has more than ``most`` rows."""
    order, width, count, first = _head(data, most)
    stored = count - order if count else 0
    size = len(data) - _HEAD.size
    if size != (stored * width if width else _STEP.size * order * (count > 0)):
        raise FormatError(f"a column of {count} rows has {size} bytes")
    if not count:
        return []
    if not width:
        return _constant(first, count, _STEP.unpack_from(data, _HEAD.size)[0] if order else 0)
    cells = _cells(data[_HEAD.size :], width, stored)
    return list(accumulate(cells, initial=first)) if order else cells


def constant_of(data: bytes) -> int | None:
    """The one value that all rows of a column have, if it is stored as that."""
    order, width, count, first = _head(data, MAX_ROWS)
    return first if not order and not width and count else None


def has_negative(data: bytes) -> bool:
    """Whether any value of a column that holds values, not differences, is below zero."""
    _, width, count, first = _head(data, MAX_ROWS)
    # The last plane has the signs, and a byte with its high bit set is none of ASCII.
    return not data[len(data) - count :].isascii() if width else first < 0


def extremes(column: Sequence[int]) -> tuple[int, int]:
    """The smallest and the largest of a column that is not empty."""
    if isinstance(column, range):
        return (column[0], column[-1]) if column.step > 0 else (column[-1], column[0])
    return min(column), max(column)


def _head(data: bytes, most: int) -> tuple[int, int, int, int]:
    if len(data) < HEAD_SIZE:
        raise FormatError("a column is cut short")
    shape, count, first = _HEAD.unpack_from(data)
    order, width = shape >> 4, shape & 15
    if order > 1 or (width and width not in _CODES) or count > min(most, MAX_ROWS):
        raise FormatError(f"a column of shape {shape} and {count} rows is not one of ours")
    return order, width, count, first


def _constant(first: int, count: int, step: int) -> Sequence[int]:
    return range(first, first + step * count, step) if step else [first] * count


def _cells(planes: bytes, width: int, count: int) -> list[int]:
    flat = bytearray(planes)
    if width > 1:
        order = range(width) if sys.byteorder == "little" else range(width - 1, -1, -1)
        for plane, place in enumerate(order):
            flat[place::width] = planes[plane * count : (plane + 1) * count]
    return memoryview(flat).cast(_CODES[width]).tolist()


def taker(rows: Sequence[int]) -> Callable[[Sequence[_T]], Sequence[_T]]:
    """What takes these rows of any column; without a step of Python for each."""
    if len(rows) > 1:
        return itemgetter(*rows)
    return lambda column: [column[row] for row in rows]


def room_of(rows: int) -> int:
    """The most bytes that a column of so many rows takes."""
    return _HEAD.size + max(_STEP.size, rows * max(_CODES))


def starts_of(lengths: Iterable[int]) -> list[int]:
    """Where each of the pieces begins that lie back to back, and at last where they end."""
    return list(accumulate(lengths, initial=0))
