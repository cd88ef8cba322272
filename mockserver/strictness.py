"""What RFC 6455 asks of a client's frames, and aiohttp's reader lets pass.

A client masks its frames (section 5.1), begins no message within another one (5.4),
and closes with a code that may be sent (7.4). All of it stands in the heads of frames,
so only they are looked at: a head is held back until it is whole, and what stands
behind a breach is not read at all.
"""

from __future__ import annotations

from typing import Final

_CONTINUATION: Final = 0
_DATA: Final = (1, 2)
_CLOSE: Final = 8
_CODES: Final = (*range(1000, 1004), *range(1007, 1015), *range(3000, 5000))
"""What may stand in a close frame; 1005, 1006 and 1015 mean what was not said, 1004 nothing."""


class FrameWatch:
    """Looks at one client's bytes as they come. ``breach`` says what was wrong, once something was."""

    def __init__(self) -> None:
        self.breach: str | None = None
        self._held = b""
        self._payload_left = 0
        self._in_message = False

    def feed(self, data: bytes) -> bytes:
        """What may be read now: up to the last whole head or the payload behind it, nothing from a breach on."""
        wire = self._held + data if self._held else data
        at = 0
        while at < len(wire) and self.breach is None:
            if self._payload_left:
                passed = min(self._payload_left, len(wire) - at)
                self._payload_left -= passed
            elif not (passed := self._head(wire[at : at + 16])):
                break
            at += passed
        self._held = b"" if self.breach else wire[at:]
        return wire[:at]

    def _head(self, wire: bytes) -> int:
        """The length of a frame's head, with the code if it closes; 0 if it is not whole or in breach."""
        if len(wire) < 2:
            return 0
        opcode, final = wire[0] & 0x0F, bool(wire[0] & 0x80)
        if not wire[1] & 0x80:
            return self._breaks("a frame that is not masked")
        if opcode in _DATA and self._in_message:
            return self._breaks("a message that begins within another one")
        start = 2 + {126: 2, 127: 8}.get(wire[1] & 0x7F, 0)
        length = int.from_bytes(wire[2:start], "big") if start > 2 else wire[1] & 0x7F
        size = start + 4 + (2 if opcode == _CLOSE and length >= 2 else 0)
        if len(wire) < size:
            return 0
        if size > start + 4 and not self._may_be_sent(wire[start:size]):
            return 0
        if opcode in (_CONTINUATION, *_DATA):
            self._in_message = not final
        self._payload_left = length - (size - start - 4)
        return size

    def _may_be_sent(self, masked: bytes) -> bool:
        code = int.from_bytes(bytes((masked[4] ^ masked[0], masked[5] ^ masked[1])), "big")
        if code not in _CODES:
            self._breaks(f"the close code {code}, which may not be sent")
        return self.breach is None

    def _breaks(self, breach: str) -> int:
        self.breach = breach
        return 0
