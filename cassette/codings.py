"""Content codings, opened within a limit and closed again with fixed settings.

A replay opens a compressed body for one of two reasons only: an address in it must
be changed, or the client does not read its coding. What cannot be opened (brotli,
damage, a bomb) is `None`, and the caller serves the bytes as they are.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:  # pragma: no cover
    from compression import zstd

LIMIT: Final = 256 * 1024 * 1024
"""No body is opened beyond this; a few kilobytes can claim to be terabytes."""

_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No time, no name, no operating system: the same body gives the same bytes."""

_ALIASES: Final = {"x-gzip": "gzip"}


def codings_of(content_encoding: str) -> tuple[str, ...]:
    """The codings of a Content-Encoding, in the order they were applied, in lower case."""
    names = (part.strip().lower() for part in content_encoding.split(","))
    return tuple(_ALIASES.get(name, name) for name in names if name and name != "identity")


def accepts(accept_encoding: str | None, coding: str) -> bool:
    """Whether a client that sent this Accept-Encoding reads ``coding``.

    RFC 9110 12.5.3 lets a server choose freely when the field is absent; clients
    that do not send it are the ones that cannot decode, so that means no.
    """
    weights: dict[str, bool] = {}
    for part in (accept_encoding or "").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights[_ALIASES.get(name, name)] = not any(_is_zero_weight(each) for each in parameters)
    return weights.get(coding, weights.get("*", False))


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip(" 0.") == ""


def opened(body: bytes, codings: tuple[str, ...], *, limit: int = LIMIT) -> bytes | None:
    """The plain body; ``None`` when a coding is unknown, the bytes are damaged or the limit is passed."""
    plain: bytes | None = body
    for coding in reversed(codings):
        if plain is None:
            return None
        plain = _open_one(plain, coding, limit)
    return plain


def closed(plain: bytes, codings: tuple[str, ...]) -> bytes:
    """``plain`` under the codings again; each must be one that `opened` knows."""
    for coding in codings:
        plain = _close_one(plain, coding)
    return plain


def _open_one(body: bytes, coding: str, limit: int) -> bytes | None:
    try:
        match coding:
            case "gzip":
                return _inflate(body, 31, limit)
            case "deflate":
                return _inflate_either(body, limit)
            case "zstd":
                return _open_zstd(body, limit)
    except (zlib.error, zstd.ZstdError):
        return None
    return None


def _inflate_either(body: bytes, limit: int) -> bytes | None:
    """`deflate` means a zlib stream; some services send a bare one."""
    try:
        return _inflate(body, zlib.MAX_WBITS, limit)
    except zlib.error:
        return _inflate(body, -zlib.MAX_WBITS, limit)


def _inflate(body: bytes, wbits: int, limit: int) -> bytes | None:
    plain = bytearray()
    while body:
        stream = zlib.decompressobj(wbits)
        plain += stream.decompress(body, limit + 1 - len(plain))
        if not stream.eof or len(plain) > limit:
            return None
        body = stream.unused_data
    return bytes(plain)


def _open_zstd(body: bytes, limit: int) -> bytes | None:
    plain = bytearray()
    while body:
        stream = zstd.ZstdDecompressor()
        plain += stream.decompress(body, limit + 1 - len(plain))
        if not stream.eof or len(plain) > limit:
            return None
        body = stream.unused_data
    return bytes(plain)


def _close_one(plain: bytes, coding: str) -> bytes:
    if coding == "zstd":
        return bytes(zstd.compress(plain, level=3))
    if coding == "deflate":
        return zlib.compress(plain, 6)
    stream = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    tail = zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")
    return _GZIP_HEADER + stream.compress(plain) + stream.flush() + tail
