"""The checksum of blocks: zlib's CRC-32, by the quickest code that is installed.

It is taken of every byte that is played. zlib-ng (the extra ``fast``) uses the
processor's carry-less multiplication and takes a quarter of the time; the number is
the same.
"""

from __future__ import annotations

from typing import Final, Protocol

try:
    from zlib_ng.zlib_ng import crc32 as _crc32
except ImportError:
    from zlib import crc32 as _crc32


class Crc32(Protocol):
    """The checksum of bytes, going on from that of the bytes before them."""

    def __call__(self, data: bytes | memoryview, before: int = 0, /) -> int: ...


crc32: Final[Crc32] = _crc32
