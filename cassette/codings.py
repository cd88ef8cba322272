"""Content codings, opened within a limit and closed again with fixed settings.

A replay opens a compressed body for one of two reasons only: an address in it must
be changed, or the client does not read its coding. What cannot be opened (damage, a
bomb) is `None`, and the caller serves the bytes as they are.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:  # pragma: no cover
    from compression import zstd

LIMIT: Final = 256 * 1024 * 1024
"""No body is opened beyond this; a few kilobytes can claim to be terabytes."""

_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No time, no name, no operating system: the same body gives the same bytes."""

_ZSTD_WINDOW: Final = {int(zstd.DecompressionParameter.window_log_max): 27}
_STEP: Final = 1 << 16

KNOWN: Final = frozenset(("gzip", "deflate", "zstd", "br"))
"""The codings that are opened."""

_ALIASES: Final = {"x-gzip": "gzip"}


class _Stream(Protocol):
    """A decompressor of zlib or zstd."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: memoryview, max_length: int, /) -> bytes: ...


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
    return _open(body, codings, limit, broken=False)


def readable(body: bytes, codings: tuple[str, ...], *, limit: int = LIMIT) -> bytes | None:
    """The plain body, or its beginning if it breaks off; ``None`` when nothing of it can be opened in the limit."""
    return _open(body, codings, limit, broken=True)


def closed(plain: bytes, codings: tuple[str, ...]) -> bytes:
    """``plain`` under the codings again; each must be one that `opened` knows."""
    for coding in codings:
        plain = _close_one(plain, coding)
    return plain


def _open(body: bytes, codings: tuple[str, ...], limit: int, *, broken: bool) -> bytes | None:
    plain: bytes | None = body
    for coding in reversed(codings):
        if plain is None:
            return None
        plain = _open_one(plain, coding, limit, broken=broken)
    return plain


def _open_one(body: bytes, coding: str, limit: int, *, broken: bool) -> bytes | None:
    try:
        match coding:
            case "gzip":
                return _joined(body, limit, lambda: zlib.decompressobj(31), broken=broken)
            case "deflate":
                return _inflate_either(body, limit, broken=broken)
            case "zstd":
                return _joined(
                    body, limit, lambda: zstd.ZstdDecompressor(options=_ZSTD_WINDOW), broken=broken
                )
            case "br":
                return _unbrotli(body, limit, broken=broken)
    except (zlib.error, zstd.ZstdError):
        return None
    return None


def _inflate_either(body: bytes, limit: int, *, broken: bool) -> bytes | None:
    """`deflate` means a zlib stream; some services send a bare one."""
    try:
        return _joined(body, limit, zlib.decompressobj, broken=broken)
    except zlib.error:
        return _joined(body, limit, lambda: zlib.decompressobj(-zlib.MAX_WBITS), broken=broken)


def _joined(body: bytes, limit: int, new_stream: Callable[[], _Stream], *, broken: bool) -> bytes | None:
    """The streams that follow each other in ``body``; if ``broken``, as far as they can be read."""
    plain = bytearray()
    stream = new_stream()
    rest = memoryview(body)
    midway = False
    try:
        while rest:
            piece, rest = rest[:_STEP], rest[_STEP:]
            while piece:
                plain += stream.decompress(piece, limit + 1 - len(plain))
                if len(plain) > limit:
                    return None
                midway = not stream.eof
                piece = memoryview(b"" if midway else stream.unused_data)
                if not midway:
                    stream = new_stream()
    except (zlib.error, zstd.ZstdError):
        if not (broken and plain):
            raise
        return bytes(plain)
    return bytes(plain) if broken or not midway else None


def _unbrotli(body: bytes, limit: int, *, broken: bool) -> bytes | None:
    """A brotli stream (RFC 7932), which is one, and has no checksum."""
    import brotli  # seldom wanted: the recorder does not ask for it

    stream, plain, rest = brotli.Decompressor(), bytearray(), body
    try:
        while not stream.is_finished():
            piece = stream.process(rest, output_buffer_limit=_STEP)
            rest = b""
            plain += piece
            if len(plain) > limit:
                return None
            if not piece and not stream.is_finished() and stream.can_accept_more_data():
                return bytes(plain) if broken and plain else None  # it breaks off
    except brotli.error:
        return bytes(plain) if broken and plain else None
    return bytes(plain)


def _close_one(plain: bytes, coding: str) -> bytes:
    if coding == "zstd":
        return bytes(zstd.compress(plain, level=3))
    if coding == "deflate":
        return zlib.compress(plain, 6)
    if coding == "br":
        import brotli

        return bytes(brotli.compress(plain, quality=5))
    stream = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    tail = zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")
    return _GZIP_HEADER + stream.compress(plain) + stream.flush() + tail
