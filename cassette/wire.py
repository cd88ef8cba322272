"""Server frames as they cross the wire: an RFC 6455 header, unmasked, and the payload.

A server does not mask (section 5.1), so these bytes are the same for every client
and can go to any socket as they are.
"""

from __future__ import annotations

from typing import Final

HEADER_SIZES: Final = frozenset((2, 4, 10))
"""The lengths that `frame_header` can have."""


def frame_header(opcode: int, length: int) -> bytes:
    """The header of one final, unmasked frame of ``length`` payload bytes (RFC 6455 section 5.2)."""
    if length < 126:
        return bytes((0x80 | opcode, length))
    if length < 1 << 16:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big")
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big")


def payload_of(frame: bytes) -> bytes:
    """The payload of one such frame."""
    length = frame[1]
    return frame[2 if length < 126 else 4 if length == 126 else 10 :]
