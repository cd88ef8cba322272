"""zstd, from wherever this Python has it, and never more of it than was promised.

A compressed part of a cassette says how long it is decompressed. That number is
checked against a limit before anything is allocated and is the most that is ever
decompressed, so that a small hostile file cannot become a large amount of memory.
"""

from __future__ import annotations

import sys

from tickdeck.cassette.errors import FormatError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = 0
ZSTD = 1
"""How a part is stored: as it is, or as one zstd frame."""

LEVEL = 1
"""About 5x at 300-400 MB/s; level 3 buys nothing on market data."""

# A frame may ask for a window of gigabytes; nothing of ours is larger than a part may be.
_OPTIONS = {int(zstd.DecompressionParameter.window_log_max): 27}


def squeeze(data: bytes, level: int = LEVEL) -> tuple[int, bytes]:
    """The method and the stored bytes; level 0, or data that does not shrink, is stored as it is."""
    if level:
        smaller = zstd.compress(data, level)
        if len(smaller) < len(data):
            return ZSTD, smaller
    return PLAIN, data


def restore(method: int, stored: bytes, size: int) -> bytes:
    """The ``size`` bytes that were stored; FormatError when they are not exactly that many."""
    if method == PLAIN:
        data = stored
    elif method == ZSTD:
        data = _decompress(stored, size)
    else:
        raise FormatError(f"compression method {method} is unknown to this release")
    if len(data) != size:
        raise FormatError(f"a part of {size} bytes turned out to have {len(data)}")
    return data


def beginning(method: int, stored: bytes, size: int) -> bytes:
    """The first ``size`` bytes, or all if they are fewer, of what was stored; the rest is not looked at."""
    if method == PLAIN:
        return stored[:size]
    try:
        return zstd.ZstdDecompressor(options=_OPTIONS).decompress(stored, size)
    except zstd.ZstdError as error:
        raise FormatError("a compressed part is damaged") from error


def _decompress(stored: bytes, size: int) -> bytes:
    decompressor = zstd.ZstdDecompressor(options=_OPTIONS)
    try:
        data = decompressor.decompress(stored, size)
        # A frame that ends exactly at `size` may not have been seen to end yet.
        surplus = b"" if decompressor.eof else decompressor.decompress(b"", 1)
    except zstd.ZstdError as error:
        raise FormatError("a compressed part is damaged") from error
    if surplus or not decompressor.eof:
        raise FormatError(f"a compressed part holds other than the {size} bytes it promises")
    if decompressor.unused_data:
        raise FormatError("a compressed part is followed by bytes that belong to nothing")
    return data
