"""Where an answer of the service ends, and what of it is no HTTP (RFC 9112 6.3 and 7.1).

The HTTP library in use gives up a whole answer where anything in it is wrong: bytes
behind the end of a body, a chunk without its size, one length given twice. Its client
would have got all that came before, so it has to get that from the recorder, too. What
comes is looked through here first. The library is handed what it understands, in its
turn; the rest is counted, and never taken for the beginning of another answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_HEAD_LIMIT: Final = 1 << 20
_LINE_LIMIT: Final = 64 << 10
"""Bytes of a head, and of a line between chunks, that are waited for."""

_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"\s*HTTP/1\.[0-9] ([1-5][0-9][0-9])\b")
_FIELD: Final = re.compile(rb"([^\s:]+)[ \t]*:[ \t]*(.*?)[ \t]*")
_CHUNK: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_SWITCHING: Final = 101
_LENGTH, _CODING = b"content-length", b"transfer-encoding"


class Framing:
    """One answer. ``feed`` gives what is to be handed on of the bytes that came."""

    def __init__(self, *, has_body: bool = True) -> None:
        """``has_body``: an answer to this request can have one (none to a HEAD has)."""
        self.surplus = 0
        """Bytes that came behind the end of the answer."""
        self.is_broken = False
        """What came last is no body that can go on: it ends here."""
        self.ended = False
        self._has_body = has_body
        self._begins = True
        self._passes = False
        self._line = b""
        self._left = 0
        self._chunked = False
        self._after_data = False
        self._in_trailers = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What of ``data`` is to be handed on: a head by itself, then what follows it."""
        at, body = 0, list[bytes]()
        while at < len(data) and not self.is_broken:
            if self.ended:
                self.surplus += len(data) - at
                break
            if self._passes:
                body.append(data[at:])
                break
            if self._begins:
                head, at = self._head(data, at)
                yield head
            else:
                piece, at = self._rest(data, at)
                body.append(piece)
        yield b"".join(body)

    def _head(self, data: bytes, at: int) -> tuple[bytes, int]:
        came = self._line + data[at:]
        end = _HEAD_END.search(came)
        if end is None and len(came) <= _HEAD_LIMIT:
            self._line = came
            return b"", len(data)
        head, self._line = came if end is None else came[: end.end()], b""
        return self._begun(head), len(data) - (len(came) - len(head))

    def _begun(self, head: bytes) -> bytes:
        """The head as it is handed on; from now on it is known what follows."""
        lines = head.replace(b"\r\n", b"\n").split(b"\n")
        status = _STATUS.match(lines[0])
        code = int(status[1]) if status else 0
        if 100 <= code < 200 and code != _SWITCHING:
            return head  # another head follows
        self._begins = False
        if code < 200 or any(line[:1] in (b" ", b"\t") for line in lines[1:]):
            self._passes = True
            return head
        if not self._has_body or code in (204, 304):
            self.ended = True
        elif _is_chunked(lines):
            self._chunked = True
            return _without_length(lines)
        elif not self._sized(lines):
            self._passes = True
            return head
        return _with_one_length(lines)

    def _sized(self, lines: list[bytes]) -> bool:
        """Whether it has a length; else it ends with the connection, or has two, and is no HTTP."""
        lengths = {part.strip() for value in _values(lines, _LENGTH) for part in value.split(b",")}
        length = lengths.pop() if len(lengths) == 1 and not _values(lines, _CODING) else b""
        if not length.isdigit():
            return False
        self._left = int(length)
        self.ended = not self._left
        return True

    def _rest(self, data: bytes, at: int) -> tuple[bytes, int]:
        if not self._left:
            return self._between(data, at)
        piece = data[at : at + self._left]
        self._left -= len(piece)
        self.ended = not self._left and not self._chunked
        self._after_data = not self._left
        return piece, at + len(piece)

    def _between(self, data: bytes, at: int) -> tuple[bytes, int]:
        """A line of its own: it ends a chunk, begins one, or is a trailer's."""
        end = data.find(b"\n", at) + 1
        self._line += data[at : end or len(data)]
        if not end:
            self.is_broken = len(self._line) > _LINE_LIMIT
            return b"", len(data)
        line, self._line = self._line.rstrip(b"\r\n"), b""
        return self._line_says(line), end

    def _line_says(self, line: bytes) -> bytes:
        if self._in_trailers:  # no field of them is handed on
            self.ended = not line
            return b"\r\n" if self.ended else b""
        if self._after_data:
            self._after_data, self.is_broken = False, bool(line)
            return b"" if line else b"\r\n"
        size = _CHUNK.fullmatch(line)
        if size is None:
            self.is_broken = True
            return b""
        self._left = int(size[1], 16)
        self._in_trailers = not self._left
        return size[1] + b"\r\n"


def _values(lines: list[bytes], name: bytes) -> list[bytes]:
    fields = filter(None, map(_FIELD.fullmatch, lines[1:]))
    return [field[2] for field in fields if field[1].lower() == name]


def _is_chunked(lines: list[bytes]) -> bool:
    codings = b",".join(_values(lines, _CODING)).lower().split(b",")
    return codings[-1].strip() == b"chunked"


def _is_length(line: bytes) -> bool:
    return line[: len(_LENGTH)].lower() == _LENGTH


def _without_length(lines: list[bytes]) -> bytes:
    """Chunks say how long they are: a length beside them is removed (RFC 9112 6.3)."""
    return b"\r\n".join(line for at, line in enumerate(lines) if not at or not _is_length(line))


def _with_one_length(lines: list[bytes]) -> bytes:
    """A length that is given more than once is one (RFC 9110 8.6)."""
    seen = False
    kept = []
    for line in lines:
        if _is_length(line):
            if seen:
                continue
            seen, line = True, line.partition(b",")[0]
        kept.append(line)
    return b"\r\n".join(kept)
