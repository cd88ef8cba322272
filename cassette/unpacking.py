"""A body under content codings, opened as it comes: pieces in, plain pieces out, of a few tens of kilobytes each.

`codings` opens a whole body at once. This is for one that is too large to be held:
whoever feeds it takes what comes out before more is made, so that no piece, however
it was compressed, costs more than a step of memory.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:  # pragma: no cover
    from compression import zstd

STEP: Final = 1 << 16
_ZSTD_WINDOW: Final = {int(zstd.DecompressionParameter.window_log_max): 27}
_ZLIB_METHOD: Final = 8


class DamagedError(ValueError):
    """These bytes are not what their coding says."""


class Unpacker:
    """Takes codings off, the one that was applied last first; `DamagedError` where that cannot be done."""

    def __init__(self, codings: Sequence[str]) -> None:
        """``codings`` in the order they were applied; ValueError for one that is not known."""
        self._stages = [_stage(coding) for coding in reversed(codings)]

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What these bytes open to."""
        return _through(self._stages, piece)

    @property
    def is_whole(self) -> bool:
        """Whether the body could end here."""
        return not any(stage.midway for stage in self._stages)


class _Stage(Protocol):
    """One coding."""

    midway: bool

    def feed(self, piece: bytes) -> Iterator[bytes]: ...


def _through(stages: Sequence[_Stage], piece: bytes) -> Iterator[bytes]:
    if not stages:
        yield piece
        return
    for opened in stages[0].feed(piece):
        yield from _through(stages[1:], opened)


class _Streams:
    """Streams of zlib or zstd that follow each other."""

    def __init__(self, first: Callable[[bytes], Any]) -> None:
        self.midway = False
        self._new = first
        self._stream: Any = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        rest = piece
        try:
            while rest:
                if self._stream is None:
                    self._stream = self._new(rest)
                opened = self._stream.decompress(rest, STEP)
                while opened:
                    yield opened
                    opened = self._more(len(opened))
                self.midway = not self._stream.eof
                rest = self._stream.unused_data
                if self._stream.eof:
                    self._stream = None
                else:
                    return
        except (zlib.error, zstd.ZstdError) as error:
            raise DamagedError(str(error)) from error

    def _more(self, was: int) -> bytes:
        """What the stream still has of what it was given."""
        if self._stream.eof:
            return b""
        left = getattr(self._stream, "unconsumed_tail", b"")
        if left or was == STEP:
            return bytes(self._stream.decompress(left, STEP))
        return b""


class _Brotli:
    """A brotli stream (RFC 7932), which is one."""

    def __init__(self) -> None:
        import brotli  # seldom met

        self.midway = False
        self._error = brotli.error
        self._stream: Any = brotli.Decompressor()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        if self._stream.is_finished():
            return  # what follows a stream is nothing
        try:
            opened = self._stream.process(piece, output_buffer_limit=STEP)
            while opened:
                yield opened
                if self._stream.is_finished():
                    break
                opened = self._stream.process(b"", output_buffer_limit=STEP)
        except self._error as error:
            raise DamagedError(str(error)) from error
        self.midway = not self._stream.is_finished()


def _stage(coding: str) -> _Stage:
    match coding:
        case "gzip":
            return _Streams(lambda _: zlib.decompressobj(31))
        case "deflate":
            return _Streams(_inflater)
        case "zstd":
            return _Streams(lambda _: zstd.ZstdDecompressor(options=_ZSTD_WINDOW))
        case "br":
            return _Brotli()
    raise ValueError(f"no coding is called {coding}")


def _inflater(beginning: bytes) -> Any:
    """`deflate` means a zlib stream; some services send a bare one (told by its first byte: RFC 1950 2.2)."""
    return zlib.decompressobj(zlib.MAX_WBITS if beginning[0] & 15 == _ZLIB_METHOD else -zlib.MAX_WBITS)
