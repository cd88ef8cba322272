"""Msgpack with nothing left to chance: one way to write a value, and a guarded way to read one.

Msgpack by itself would let a hostile file name extension types or promise arrays
of four thousand million elements, and reads any value where another was meant.
Here extensions are refused, lengths are bounded, and each value is asked for by
name and type, so that what is wrong is said as a FormatError and not as a
TypeError somewhere else. Unknown keys are ignored: later minor versions add some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import NoReturn, cast

import msgpack  # type: ignore[import-untyped]  # it ships no types

from tickdeck.cassette.errors import FormatError

MAX_ELEMENTS = 1 << 23
"""How many elements a value may have, those of its inner arrays and maps counted in."""

_HARMLESS = 1 << 20
"""Fewer bytes than this are unpacked without counting: each of them can cost some 70 of memory."""

BIG = 1 << 62
"""Integers of a cassette lie strictly between -BIG and BIG, so that a difference of two fits 64 bits."""


def _refuse(code: int, data: bytes) -> NoReturn:
    raise FormatError(f"msgpack extension type {code} has no place in a cassette")


def pack(value: object) -> bytes:
    """The shortest msgpack for a value; equal values give equal bytes."""
    return cast(bytes, msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape"))


class _Budget:
    """Counts elements while they are unpacked, so that a bomb is stopped and not admired."""

    def __init__(self) -> None:
        self._left = MAX_ELEMENTS

    def spend(self, value: Sized) -> Sized:
        self._left -= 1 + len(value)
        if self._left < 0:
            raise FormatError(f"a value of more than {MAX_ELEMENTS} elements has no place in a cassette")
        return value


def unpack(data: bytes | memoryview) -> object:
    """The value; text that is no UTF-8 comes back with surrogate escapes, as it was given."""
    count = None if len(data) < _HARMLESS else _Budget().spend
    try:
        value: object = msgpack.unpackb(
            data,
            raw=False,
            timestamp=0,
            strict_map_key=True,
            unicode_errors="surrogateescape",
            ext_hook=_refuse,
            list_hook=count,
            object_hook=count,
            # Room is made for as many elements as are promised, and each takes a byte at least.
            max_array_len=min(MAX_ELEMENTS, len(data)),
            max_map_len=min(MAX_ELEMENTS, len(data)),
        )
    except (ValueError, MemoryError, msgpack.exceptions.UnpackException) as error:
        raise FormatError("the bytes are not the msgpack they should be") from error
    return value


def _is_integer(value: object) -> bool:
    return type(value) is int and -BIG < value < BIG


class Fields:
    """A msgpack map, read by name and type; ``what`` names it in errors."""

    def __init__(self, data: bytes | memoryview | object, what: str) -> None:
        value = unpack(data) if isinstance(data, bytes | memoryview) else data
        if not isinstance(value, dict):
            raise FormatError(f"{what} is not a map")
        self._values: Mapping[object, object] = value
        self._what = what

    def _wrong(self, key: str) -> FormatError:
        found = "is missing" if key not in self._values else "is not what it should be"
        return FormatError(f"{self._what}: {key} {found}")

    def value(self, key: str) -> object:
        """Whatever stands there, to be looked at."""
        return self._values.get(key)

    def integer(self, key: str, *, low: int = 0, high: int = BIG - 1, default: int | None = None) -> int:
        value = self._values.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(key)
        return value

    def optional(self, key: str, *, low: int = 0) -> int | None:
        return None if self._values.get(key) is None else self.integer(key, low=low)

    def text(self, key: str, *, default: str | None = None) -> str:
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key)
        return value

    def binary(self, key: str) -> bytes:
        value = self._values.get(key)
        if not isinstance(value, bytes):
            raise self._wrong(key)
        return value

    def items(self, key: str) -> list[object]:
        value = self._values.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        items = self.items(key)
        if not set(map(type, items)) <= {str}:
            raise self._wrong(key)
        return tuple(cast("list[str]", items))

    def integers(self, key: str) -> tuple[int, ...]:
        items = self.items(key)
        if not all(map(_is_integer, items)):
            raise self._wrong(key)
        return tuple(cast("list[int]", items))

    def inner(self, key: str) -> Fields:
        return Fields(self._values.get(key, {}), f"{self._what}: {key}")

    def mapping(self, key: str) -> dict[str, str]:
        value = self._values.get(key, {})
        if not isinstance(value, dict) or not all(
            isinstance(part, str) for pair in value.items() for part in pair
        ):
            raise self._wrong(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._values if isinstance(key, str))
