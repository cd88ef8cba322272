"""What a cassette holds, as values.

A record is one thing that happened: a WebSocket connection opened, a frame went
one way, a REST request was answered. Records carry the bytes of the wire as they
were and are never changed once made. Two numbers place each of them: ``seq``,
which alone decides the order, and ``offset_ns``, nanoseconds since the cassette's
epoch on one monotonic clock. Offsets may repeat or step back (a clock is not a
counter); sequences may not.

RFC 6455 says *message* for what is called a *frame* here: one complete WebSocket
message, however many protocol fragments it came in.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

HeaderPairs: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""HTTP header fields in wire order, names and values as they were sent."""

TEXT: Final = 1
BINARY: Final = 2
PING: Final = 9
PONG: Final = 10
"""Opcodes of RFC 6455 section 5.2 that a `Frame` can have; a close is a `TrackClosed`."""


class Sender(enum.IntEnum):
    """Who said it."""

    SERVER = 0
    CLIENT = 1


class Source(enum.StrEnum):
    """Where a cassette's data came from; vendor data (``recorded``) may not be redistributed."""

    RECORDED = "recorded"
    SYNTHETIC = "synthetic"
    ANONYMISED = "anonymised"


@dataclass(frozen=True, slots=True)
class Header:
    """What is known when a recording begins.

    ``epoch_ns`` is the wall clock at offset 0, in nanoseconds since 1970 (UTC).
    ``origins`` are the upstream's (``https://api.massive.com``, ``wss://socket.massive.com``).
    ``tool`` and ``program`` are the provenance: no host, user, path or argument is kept.
    """

    epoch_ns: int
    dialect: str = "polygon"
    origins: tuple[str, ...] = ()
    source: Source = Source.RECORDED
    note: str = ""
    tool: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True)
class TrackOpened:
    """A WebSocket connection was made. ``market`` is its path (``stocks``), ``feed`` the host word (``socket``)."""

    seq: int
    offset_ns: int
    track: int
    market: str
    feed: str = ""
    url: str = ""
    request_headers: HeaderPairs = ()
    response_headers: HeaderPairs = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete WebSocket message (text, binary, ping or pong), unmasked, decompressed."""

    seq: int
    offset_ns: int
    track: int
    sender: Sender
    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class TrackClosed:
    """A WebSocket connection ended.

    ``by`` is who ended it, ``None`` when that cannot be told (the recorder itself
    stopped). ``code`` is the close code of RFC 6455 7.4 (1005 for a close frame
    without one), ``None`` when the connection was lost without a close frame.
    """

    seq: int
    offset_ns: int
    track: int
    by: Sender | None
    code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One REST request and its response; it is recorded when the response is complete.

    ``offset_ns``, ``first_byte_ns`` and ``end_ns`` are the offsets of the request's
    start, the response's first byte and its end. ``url`` is absolute, at the
    upstream's origin. Bodies are as they crossed the wire, content coding
    included, unless ``decoded``: then the body was larger than redaction opens in
    place, and is kept decoded. ``body_parts`` counts the `BodyPart` records
    (same ``interaction`` number) that come before and hold the body instead.
    ``complete`` is false when either side broke off; ``body`` is then what came.
    """

    seq: int
    offset_ns: int
    first_byte_ns: int
    end_ns: int
    interaction: int
    method: str
    url: str
    status: int
    reason: str = ""
    request_headers: HeaderPairs = ()
    request_body: bytes = b""
    response_headers: HeaderPairs = ()
    body: bytes = b""
    body_parts: int = 0
    decoded: bool = False
    complete: bool = True


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A piece of a large response body, ahead of the `Interaction` that it belongs to."""

    seq: int
    offset_ns: int
    interaction: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A recorded outage of a market: from ``offset_ns`` to ``end_ns`` nobody listened."""

    seq: int
    offset_ns: int
    end_ns: int
    market: str
    reason: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The wall clock (ns since 1970, UTC) as it was at an offset."""

    seq: int
    offset_ns: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Wording learned from the wire (greeting, auth reply, framing of acknowledgements).

    What the keys mean is the dialect's affair. The last one on a cassette holds.
    """

    seq: int
    offset_ns: int
    values: Mapping[str, str] = field(default_factory=dict)


Record: TypeAlias = TrackOpened | Frame | TrackClosed | Interaction | BodyPart | Gap | Anchor | Profile
