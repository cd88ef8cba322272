"""The one change made to what a service said: its own addresses become ours.

A `next_url` is absolute. Some clients follow it verbatim, with their key: past the
recorder, or from an offline test to the real service. So what a client is given
names our address wherever it named the upstream's; the cassette keeps the
upstream's. An origin is replaced only where it is the whole origin of an address:
`https://api.polygon.io.evil/`, `https://api.polygon.io:8443/` and
`https://api.polygon.io@evil/` are other places. JSON may escape slashes; the
spelling is kept. An upstream WebSocket origin becomes our WebSocket origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_ADDRESS: Final = re.compile(
    rb":(?P<slashes>(?:/|\\/|\\u002[fF]){2})"
    rb"(?=(?P<authority>[\w.\-:\[\]%\x80-\xff]+)(?![!$&'()*+,;=~\w.:%\-]{0,256}@))"
)
"""From the colon on: a pattern that begins with a letter looks ten times as long at a page of numbers."""

_SCHEME: Final = re.compile(rb"(?<![A-Za-z0-9+.\-])(?:https?|wss?)\Z", re.IGNORECASE)
_BORDER: Final = re.compile(rb"[\s\"<>{}]")
"""What is no part of an address."""

LONGEST: Final = 4096
"""Bytes that a text in pieces keeps back at most."""

_REACH: Final = len(b"*https")
_DEFAULT_PORT: Final = {b"https": b":443", b"wss": b":443", b"http": b":80", b"ws": b":80"}
_SOCKET_SCHEME: Final = {b"http": b"ws", b"https": b"wss"}


class Origins:
    """Upstream origins and the one that stands for them.

    ``upstream`` are scheme, host and maybe port (``https://api.massive.com``);
    ``own`` is our http(s) origin, as the client at hand spells it.
    """

    def __init__(self, upstream: Iterable[str], *, own: str) -> None:
        places = (origin.encode("utf-8").rstrip(b"/").partition(b"://") for origin in upstream)
        self._upstream = frozenset(_normal(scheme, authority) for scheme, _, authority in places)
        self._scheme, _, self._authority = own.encode("ascii").rstrip(b"/").partition(b"://")

    def __bool__(self) -> bool:
        """Whether there are any to be replaced."""
        return bool(self._upstream)

    def rewrite(self, text: bytes) -> tuple[bytes, int]:
        """The text with every upstream origin replaced, and how many there were."""
        pieces: list[bytes] = []
        kept_to = 0
        for hit in _ADDRESS.finditer(text):
            before = text[max(hit.start() - _REACH, 0) : hit.start()]
            authority = hit["authority"].rstrip(b".:")  # the end of a sentence is not part of an address
            scheme = _SCHEME.search(before)
            if scheme is not None and _normal(scheme[0], authority) in self._upstream:
                pieces += [text[kept_to : hit.start() - len(scheme[0])], self._scheme_for(scheme[0]), b":"]
                pieces += [hit["slashes"], self._authority]
                kept_to = hit.start("authority") + len(authority)
        if not pieces:
            return text, 0
        return b"".join([*pieces, text[kept_to:]]), len(pieces) // 5

    def as_it_comes(self) -> Rewriter:
        """The same for a text in pieces."""
        return Rewriter(self)

    def _scheme_for(self, upstream_scheme: bytes) -> bytes:
        return _SOCKET_SCHEME[self._scheme] if upstream_scheme.lower().startswith(b"ws") else self._scheme


class Rewriter:
    """Rewrites a text that comes in pieces. Of each it keeps back what an address could still be the beginning of."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What can be given away now."""
        text = self._held + piece
        borders = _BORDER.search(text[::-1][:LONGEST])
        cut = len(text) - borders.start() if borders else max(len(text) - LONGEST, 0)
        self._held = text[cut:]
        return self._origins.rewrite(text[:cut])[0]

    def finish(self) -> bytes:
        """The rest."""
        text, self._held = self._held, b""
        return self._origins.rewrite(text)[0]


def _normal(scheme: bytes, authority: bytes) -> tuple[bytes, bytes]:
    scheme = scheme.lower()
    return scheme, authority.lower().removesuffix(_DEFAULT_PORT.get(scheme, b""))
