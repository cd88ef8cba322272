"""The message that a socket broke off in: what the libraries that read frames for us do not tell.

A message goes on, and onto the cassette, once it is whole. Of one that never becomes
whole there is its opcode, how long its frames said it was, and how much of it came.
That stands in the headers of the frames, so they are followed here, beside the library
that parses them; payloads are skipped unseen.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

CONTROL = 0x8


class Unfinished(NamedTuple):
    """Of a message that is not whole: ``came`` bytes of the ``size`` that its frames announced."""

    opcode: int
    size: int
    came: int

    def __str__(self) -> str:
        return f"opcode {self.opcode}, {self.came} of {self.size} bytes came"


class FrameHeaders:
    """Follows one direction of a WebSocket from its first byte on. ``whole`` counts messages, of control too."""

    def __init__(self) -> None:
        self.whole = 0
        self._rest = b""
        self._left = 0
        self._frame = (0, 0)
        """First byte and length of the frame that is coming."""
        self._message = (0, 0)
        """Opcode and size of a message in fragments, once one of them is here."""

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        data, at, end = self._rest + data, self._left, len(self._rest) + len(data)
        if self._left and at <= end:
            self._end_frame()
        while at + 1 < end:
            first, length = data[at], data[at + 1]
            header = 6 if length & 0x80 else 2
            length &= 0x7F
            if length > 125:
                wide = 2 if length == 126 else 8
                header += wide
                if at + header > end:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
            elif at + header > end:
                break
            at += header + length
            if at <= end and first & 0x80 and not self._message[0]:
                self.whole += 1
                continue
            self._frame = (first, length)
            if at <= end:
                self._end_frame()
        self._left = max(at - end, 0)
        self._rest = b"" if at >= end else data[at:]

    def _end_frame(self) -> None:
        first, length = self._frame
        opcode, size = self._message
        if first & CONTROL:
            self.whole += 1
        elif first & 0x80:
            self.whole += 1
            self._message = (0, 0)
        else:
            self._message = (opcode or first & 0xF, size + length)

    @property
    def unfinished(self) -> Unfinished | None:
        """The message that is not whole, if there is one."""
        opcode, size = self._message
        if not self._left:
            begun = opcode or (self._rest[0] & 0xF if self._rest else 0)
            return Unfinished(begun, size, size) if begun else None
        first, length = self._frame
        came = length - self._left
        if first & CONTROL:
            return Unfinished(first & 0xF, length, came)
        return Unfinished(opcode or first & 0xF, size + length, size + came)


class Overheard(asyncio.Protocol):
    """Stands before the protocol of a transport, and lets ``headers`` hear what comes on it."""

    def __init__(self, inner: asyncio.Protocol, headers: FrameHeaders) -> None:
        self._headers = headers
        self._inner = inner
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]  # the same, without a step between
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]  # likewise
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]  # likewise
        self.eof_received = inner.eof_received  # type: ignore[method-assign]  # likewise

    def data_received(self, data: bytes) -> None:
        self._headers.feed(data)
        self._inner.data_received(data)


def overhear(transport: asyncio.Transport | None, *, already: bytes) -> FrameHeaders | None:
    """What follows the frames that come on a transport; ``already`` came before, and lies with its protocol."""
    protocol = None if transport is None else transport.get_protocol()
    if transport is None or not isinstance(protocol, asyncio.Protocol):
        return None
    headers = FrameHeaders()
    headers.feed(already)
    transport.set_protocol(Overheard(protocol, headers))
    return headers
