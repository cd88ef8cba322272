"""The one change made to what a service said: its own addresses become ours.

A `next_url` is absolute. Some clients follow it verbatim, with their key: past the
recorder, or from an offline test to the real service. So what a client is given
names our address wherever it named the service; the cassette keeps the service's.
Recorder and player go by the same rule, which is all in here: which origins count,
in which fields and bodies, in which spellings.

An origin is replaced only where it is the whole origin of an address:
`https://api.massive.com.evil/`, `https://api.massive.com:8443/` and
`https://api.massive.com@evil/` are other places. The scheme does not make another
place, and neither do the ports 80 and 443: a client that went there would take its
key to the same host. But a WebSocket's origin is none of REST's, and the other way
round, for the same word may stand before the domain of a web page. JSON may escape
the colon, the slashes and the host; the spelling of colon and slashes is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from tickdeck.cassette.records import HeaderPairs

DIGESTS: Final = frozenset((b"content-md5", b"content-digest", b"repr-digest", b"digest"))
"""Fields that are wrong once a body is changed."""

_FIELDS: Final = frozenset((b"location", b"content-location", b"link", b"refresh"))
"""Fields in which a client finds an address to follow."""

_TEXT: Final = re.compile(rb"text/|[^;]*(?:json|xml|csv|javascript|x-www-form-urlencoded)", re.IGNORECASE)
_PARTIAL: Final = 206

_HOST_ESCAPE: Final = (
    rb"\\u(?:00(?:2[5DdEe]|3[0-9Aa]|[46][1-9A-Fa-f]|5[0-9AaBbDdFf]|7[0-9Aa]|[89A-Fa-f][0-9A-Fa-f])"
    rb"|(?!00)[0-9A-Fa-f]{4})"
)
_USER_ESCAPE: Final = rb"\\u00(?:2[14-9A-Ea-e]|3[0-9ABDabd]|[567][0-9A-Fa-f]|4[1-9A-Fa-f])"
_HOST: Final = rb"[\w.\-:\[\]%\x80-\xff]*+"
_USER: Final = rb"[!$&'()*+,;=~\w.:%\-]*+"
_AUTHORITY: Final = (
    rb"(?=(?P<authority>" + _HOST + rb"(?:" + _HOST_ESCAPE + _HOST + rb")*+)"
    rb"(?!" + _USER + rb"(?:" + _USER_ESCAPE + _USER + rb")*+(?:@|\\u0040)))"
)
"""All possessive: what cannot match is not read twice."""

_SLASHES: Final = rb"(?P<slashes>(?:/|\\/|\\u002[fF]){2})"
_PLAIN: Final = re.compile(rb"(?P<colon>:)(?P<slashes>//)" + _AUTHORITY)
_SLASHED: Final = re.compile(rb"(?P<colon>:)" + _SLASHES + _AUTHORITY)
_ESCAPED: Final = re.compile(rb"(?P<colon>:|\\u003[aA])" + _SLASHES + _AUTHORITY)
_IN_FIELD: Final = re.compile(rb"(?P<colon>:|\\u003[aA]|)" + _SLASHES + _AUTHORITY)
"""From the colon on: a pattern that begins with a letter looks ten times as long at a page of numbers."""

_SCHEME: Final = re.compile(
    rb"(?:(?<![A-Za-z0-9+.\-])|(?<=\\[bfnrt])|(?<=\\u00[01][0-9a-f])|(?<=\\u002[0-9acf])|(?<=\\u003[a-f])"
    rb"|(?<=\\u(?!00)[0-9a-f]{4}))(?:https?|wss?)\Z",
    re.IGNORECASE,
)
_REACH: Final = len(rb"\u000ahttps")
"""How far before the colon that has to look."""

_RELATIVE: Final = re.compile(rb"(?:\A|[\s<='\"])\Z")
"""What stands before an address without a scheme, in a field."""

_PATH: Final = re.compile(rb"[/?#]|\\(?:/|u002[fF]|u003[fF]|u0023)")
"""What shows that a dot or a colon before it belongs to the address, and does not end a sentence."""

_ESCAPE: Final = re.compile(rb"\\u00([0-7][0-9A-Fa-f])")
_BORDER: Final = re.compile(rb"[\s\"<>{}]")
"""What is no part of an address."""

LONGEST: Final = 4096
"""Bytes that a text in pieces keeps back at most."""

_LONGEST_AUTHORITY: Final = 6 * 260
"""Bytes of the longest one that can be an origin's, every letter of it escaped."""

_SOCKET_SCHEME: Final = {b"http": b"ws", b"https": b"wss"}


_Place: TypeAlias = tuple[bytes, bytes]
"""Host and port, equal for all spellings of them."""


class _Change(NamedTuple):
    """``own`` stands for what is between two offsets of a text."""

    start: int
    end: int
    own: bytes


def is_rewritten(status: int, headers: HeaderPairs) -> bool:
    """Whether the addresses in a body are changed: in text. A part's bytes are counted in Content-Range."""
    types = (value.strip() for name, value in headers if name.lower() == b"content-type")
    return status != _PARTIAL and all(map(_TEXT.match, types))


class Service:
    """The origins that a service is known by: the upstreams given, and the REST and socket origins of its dialect."""

    def __init__(self, upstreams: Iterable[str], vendor: Iterable[str]) -> None:
        vendor = tuple(vendor)
        self.origins = tuple(dict.fromkeys((*upstreams, *vendor)))
        self._vendor = _places(vendor)

    def for_client(self, own: str) -> Origins:
        """What is replaced for a client that found us at ``own``.

        Nothing, where that is a name of the vendor: such a client was led here, as it will be led to
        the vendor's other names, and is given what the vendor says, to the letter.
        """
        is_by_name = _place(own.encode().rstrip(b"/").partition(b"://")[2]) in self._vendor
        return Origins(() if is_by_name else self.origins, own=own)


class Origins:
    """Origins of a service and the one that stands for them.

    ``upstream`` are scheme, host and maybe port (``https://api.massive.com``);
    ``own`` is our http(s) origin, as the client at hand spells it.
    """

    def __init__(self, upstream: Iterable[str], *, own: str) -> None:
        self._places = _places(tuple(upstream))
        self._scheme, _, self._authority = own.encode("ascii").rstrip(b"/").partition(b"://")

    def __bool__(self) -> bool:
        """Whether there are any to be replaced."""
        return bool(self._places)

    def rewrite(self, text: bytes) -> tuple[bytes, int]:
        """The text with every origin of the service replaced, and how many there were."""
        return _spliced(text, list(self.changes(text)))

    def rewrite_fields(self, headers: HeaderPairs) -> tuple[HeaderPairs, int]:
        """The fields with every origin replaced where an address is to be followed, and how many there were."""
        pairs = []
        total = 0
        for name, value in headers:
            if name.lower() in _FIELDS:
                value, count = _spliced(value, list(self.changes(value, in_field=True)))
                total += count
            pairs.append((name, value))
        return tuple(pairs), total

    def as_it_comes(self) -> Rewriter:
        """The same for a text in pieces."""
        return Rewriter(self)

    def changes(self, text: bytes, *, in_field: bool = False) -> Iterator[_Change]:
        """What is to be replaced, from the left; in a field (``in_field``) also ``//HOST/PATH``."""
        if not self._places or (b"/" not in text and b"\\" not in text):
            return
        for hit in (_IN_FIELD if in_field else _pattern(text)).finditer(text):
            change = self._change(text, hit)
            if change is not None:
                yield change

    def _change(self, text: bytes, hit: re.Match[bytes]) -> _Change | None:
        authority = hit["authority"]
        if not _PATH.match(text, hit.end("authority")):
            authority = authority.rstrip(b".:")  # the end of a sentence is not part of an address
        kinds = self._places.get(_place(authority)) if len(authority) <= _LONGEST_AUTHORITY else None
        if kinds is None:
            return None
        before = text[max(hit.start() - _REACH, 0) : hit.start()]
        found = (_SCHEME if hit["colon"] else _RELATIVE).search(before)
        scheme = found[0] if found is not None and hit["colon"] else b""
        if found is None or _is_socket(scheme) not in kinds:
            return None
        own = self._scheme_for(scheme) + hit["colon"] + hit["slashes"] + self._authority
        return _Change(hit.start() - len(scheme), hit.start("authority") + len(authority), own)

    def _scheme_for(self, scheme: bytes) -> bytes:
        if _is_socket(scheme):
            return _SOCKET_SCHEME[self._scheme]
        return self._scheme if scheme else b""


class Rewriter:
    """Rewrites a text that comes in pieces. Of each it keeps back what an address could still be the beginning of."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._text = b""
        self._given = 0
        """Bytes of the text that have been given away: what comes may have to be read in their light."""

    def feed(self, piece: bytes) -> bytes:
        """What can be given away now."""
        text = self._text = self._text + piece
        borders = _BORDER.search(text[: -LONGEST - 1 : -1])
        return self._give(max(len(text) - (borders.start() if borders else LONGEST), 0))

    def finish(self) -> bytes:
        """The rest."""
        return self._give(len(self._text))

    def _give(self, end: int) -> bytes:
        """The text up to there, or up to the end of an address that begins before."""
        text, at = self._text, self._given
        pieces = []
        for change in self._origins.changes(text):
            if at <= change.start < end:
                pieces += [text[at : change.start], change.own]
                at = change.end
        pieces.append(text[at:end])
        at = max(at, end)
        self._given = min(at, _REACH)
        self._text = text[at - self._given :]
        return b"".join(pieces)


def _spliced(text: bytes, changes: list[_Change]) -> tuple[bytes, int]:
    pieces = []
    at = 0
    for change in changes:
        pieces += [text[at : change.start], change.own]
        at = change.end
    return (b"".join([*pieces, text[at:]]) if changes else text), len(changes)


def _pattern(text: bytes) -> re.Pattern[bytes]:
    """The least of them that finds every address in a text: what looks for escapes takes longer."""
    if b"\\" not in text or (b"\\/" not in text and b"\\u00" not in text):
        return _PLAIN
    return _ESCAPED if b"\\u003a" in text or b"\\u003A" in text else _SLASHED


@lru_cache(maxsize=16)
def _places(origins: tuple[str, ...]) -> Mapping[_Place, frozenset[bool]]:
    """Where origins are; of each place whether it is one of sockets, of REST, or of both."""
    kinds: dict[_Place, frozenset[bool]] = {}
    for origin in origins:
        scheme, _, authority = origin.encode("utf-8").rstrip(b"/").partition(b"://")
        place = _place(authority)
        kinds[place] = kinds.get(place, frozenset()) | {_is_socket(scheme)}
    return kinds


def _is_socket(scheme: bytes) -> bool:
    return scheme.lower().startswith(b"ws")


@lru_cache(maxsize=1024)
def _place(authority: bytes) -> _Place:
    if b"\\" in authority:
        authority = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), authority)
    host, colon, port = authority.rpartition(b":")
    if not colon or not (port.isdigit() or not port):
        host, port = authority, b""
    port = port.lstrip(b"0") or port
    return host.lower().removesuffix(b"."), b"" if port in (b"80", b"443") else port
