"""Bodies of REST messages, as redaction and audit look into them.

A player serves a compressed body that is damaged as it came, and is right to. Here
every byte that can be read has to be read: a body that broke off, or that has rubbish
behind it, is opened as far as it goes, and one that does not say it is compressed but
shows it is opened, too. What cannot be opened at all (brotli, a bomb) is ``None``.

A body too large for one row of a cassette is cut into parts, after redaction: a secret
across a border would otherwise be missed.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from tickdeck.cassette.codings import LIMIT, codings_of
from tickdeck.cassette.records import BodyPart, HeaderPairs, Interaction, Record

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:  # pragma: no cover
    from compression import zstd

WHOLE_LIMIT: Final = 16 << 20
"""A body up to this is kept whole, as it crossed the wire; a larger one decoded, in parts."""

PART_SIZE: Final = 4 << 20

_MAGIC: Final = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_DIGESTS: Final = frozenset((b"content-md5", b"content-digest", b"repr-digest", b"digest"))
_ZSTD_WINDOW: Final = {int(zstd.DecompressionParameter.window_log_max): 27}
_STEP: Final = 1 << 16


class _Stream(Protocol):
    """A decompressor of zlib or zstd."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: memoryview, max_length: int, /) -> bytes: ...


def coding_of(headers: HeaderPairs, body: bytes) -> tuple[str, ...]:
    """The codings a body is under, in the order they were applied: those that are said, else what shows."""
    said = b",".join(value for name, value in headers if name.lower() == b"content-encoding")
    codings = codings_of(said.decode("latin-1"))
    if codings:
        return codings
    return tuple(coding for magic, coding in _MAGIC.items() if body.startswith(magic))


def readable(body: bytes, codings: tuple[str, ...], *, limit: int = LIMIT) -> bytes | None:
    """The plain body, or its beginning if it breaks off; ``None`` when it cannot be opened within the limit."""
    plain: bytes | None = body
    for coding in reversed(codings):
        if plain is None:
            return None
        plain = _open_one(plain, coding, limit)
    return plain


def for_changed_body(headers: HeaderPairs, size: int) -> HeaderPairs:
    """The headers of a body that was changed: a Content-Length that fits, no digests of what it was."""
    length = b"%d" % size
    return tuple(
        (name, length if name.lower() == b"content-length" else value)
        for name, value in headers
        if name.lower() not in _DIGESTS
    )


def split_body(interaction: Interaction, next_seq: int) -> list[Record]:
    """The interaction as it goes onto the cassette, from ``next_seq`` on: a large body in parts before it."""
    body = interaction.body
    if len(body) <= WHOLE_LIMIT:
        return [replace(interaction, seq=next_seq)]
    pieces = [body[at : at + PART_SIZE] for at in range(0, len(body), PART_SIZE)]
    parts: list[Record] = [
        BodyPart(next_seq + at, interaction.end_ns, interaction.interaction, piece)
        for at, piece in enumerate(pieces)
    ]
    count = len(parts)
    return [*parts, replace(interaction, seq=next_seq + count, body=b"", body_parts=count)]


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
    return _joined(body, limit, lambda: zlib.decompressobj(wbits))


def _open_zstd(body: bytes, limit: int) -> bytes | None:
    return _joined(body, limit, lambda: zstd.ZstdDecompressor(options=_ZSTD_WINDOW))


def _joined(body: bytes, limit: int, new_stream: Callable[[], _Stream]) -> bytes | None:
    """The streams that follow each other in ``body``, as far as they can be read."""
    plain = bytearray()
    stream = new_stream()
    rest = memoryview(body)
    while rest:
        piece, rest = rest[:_STEP], rest[_STEP:]
        try:
            while piece:
                plain += stream.decompress(piece, limit + 1 - len(plain))
                if len(plain) > limit:
                    return None
                piece = memoryview(stream.unused_data) if stream.eof else memoryview(b"")
                if stream.eof:
                    stream = new_stream()
        except (zlib.error, zstd.ZstdError):
            if not plain:
                raise
            break
    return bytes(plain)
