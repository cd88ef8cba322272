"""permessage-deflate (RFC 7692): what is agreed on with a client, and a run of frames with its messages compressed.

Each message is compressed by itself: no reference goes back past its beginning, so a
client reads it whatever was agreed about contexts that are kept, and what comes out
depends on nothing but the frames and the window. zlib's full flush does that: it ends
on the same four bytes as the sync flush that RFC 7692 section 7.2.1 asks for, and
forgets what came before. Control frames are never compressed, and a message that would
not get shorter goes out as it is.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.wire import frame_header

SHORTEST: Final = 64
"""Bytes of payload; a shorter message is not worth its compression."""

LEVEL: Final = 1
"""Speed before size: a replay compresses for nobody's sake but the client's that offered to read it so."""

EXTENSION: Final = "permessage-deflate"

_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_SERVER_WINDOW: Final = "server_max_window_bits"
_CLIENT_WINDOW: Final = "client_max_window_bits"
_WINDOW: Final = re.compile(r"[89]|1[0-5]")
_SMALLEST: Final = 9
"""The standard goes down to 8, zlib does not."""

_FINAL: Final = 0x80
_COMPRESSED: Final = 0x40
_DATA: Final = (_FINAL | 1, _FINAL | 2)
_TAIL: Final = b"\x00\x00\xff\xff"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was agreed on: ``answer`` to the offer, and the window that our messages keep to."""

    answer: str
    window_bits: int


def agreed(offers: str) -> Agreement | None:
    """The first of a client's offers (``Sec-WebSocket-Extensions``) that can be kept; ``None`` where none can be."""
    for offer in offers.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name == EXTENSION and (agreement := _kept(parameters)) is not None:
            return agreement
    return None


def _kept(parameters: list[str]) -> Agreement | None:
    answer = [EXTENSION, *_FLAGS]
    window_bits = zlib.MAX_WBITS
    names = [parameter.partition("=")[0].strip() for parameter in parameters]
    if len(set(names)) < len(names):
        return None
    for name, parameter in zip(names, parameters, strict=True):
        value = parameter.partition("=")[2].strip().strip('"')
        fits = _WINDOW.fullmatch(value) is not None
        if name == _SERVER_WINDOW and fits and int(value) >= _SMALLEST:
            window_bits = int(value)
            answer.append(f"{_SERVER_WINDOW}={value}")
        elif not (name in _FLAGS and "=" not in parameter) and not (
            name == _CLIENT_WINDOW and (fits or "=" not in parameter)
        ):
            return None
    return Agreement("; ".join(answer), window_bits)


def deflated(wire: bytes | memoryview, window_bits: int) -> bytes:
    """Whole unmasked server frames, with their messages compressed for a window of 9 to 15 bits."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -window_bits)
    pieces: list[bytes | memoryview] = []
    view = memoryview(wire)
    at = 0
    while at < len(wire):
        start, end = _payload(view, at)
        if wire[at] in _DATA and end - start >= SHORTEST:
            pieces.append(_message(compressor, wire[at], view[at:end], view[start:end]))
        else:
            pieces.append(view[at:end])
        at = end
    return b"".join(pieces)


def _payload(wire: memoryview, at: int) -> tuple[int, int]:
    """Where the payload of the frame at ``at`` starts and ends."""
    length = wire[at + 1]
    if length < 126:
        start = at + 2
    else:
        start = at + (4 if length == 126 else 10)
        length = int.from_bytes(wire[at + 2 : start], "big")
    return start, start + length


def _message(
    compressor: zlib._Compress, first: int, frame: memoryview, payload: memoryview
) -> bytes | memoryview:
    shorter = compressor.compress(payload) + compressor.flush(zlib.Z_FULL_FLUSH)
    assert shorter.endswith(_TAIL)
    if len(shorter) - len(_TAIL) >= len(payload):
        return frame
    header = bytearray(frame_header(first & 0x0F, len(shorter) - len(_TAIL)))
    header[0] |= _COMPRESSED
    return bytes(header) + shorter[: -len(_TAIL)]
