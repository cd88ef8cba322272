"""Where secrets stand, found in bytes: query parameters, header fields, members of JSON objects.

A dialect lists the places by name (`SecretPlaces`); here they are found in what
crossed the wire. The text is never parsed as a whole, for it may be cut off, be no
quite proper JSON, or be an address inside a string inside a body: names are looked for
where a name can stand, and the value is what follows. Names may be escaped, as
any text may be. Where a value ends is decided so that in doubt it ends later.

Where nothing stands there is no spot; a placeholder of an earlier recording is one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple, Protocol

from tickdeck.cassette.spelling import spelled_as

PLACEHOLDER: Final = re.compile(r"\s*REDACTED-([0-9]{1,9})(?:-staging)?\s*")
"""What redaction leaves where a secret was."""

_EQUALS: Final = re.compile(rb"[%\\=](?:(?<=%)(?:25)*3[dD]|(?<=\\)\\*u003[dD]|(?<==))")
_EQUALS_AS_IT_IS: Final = re.compile(b"=")
_IN_NAMES: Final = b"%\\-_.~[]" + bytes(byte for byte in range(128) if chr(byte).isalnum())
"""The bytes of a name and of its escapes."""

_INDEX: Final = re.compile(rb"\[[0-9]*\]\Z")
_IN_BRACKETS: Final = b"(?:" + spelled_as("[") + b"[0-9]*" + spelled_as("]") + b")?"
"""A name of which there are several: ``apiKey[]``."""

LONGEST_NAME: Final = 256
"""Bytes of a name and of what stands between it and its value, in any spelling."""

# In an address of its own a value ends only where the next begins; within a text, also where the address does.
_IN_ADDRESS: Final = re.compile(rb"[^&#]*")
_IN_TEXT: Final = re.compile(rb"(?:[^&#\"'<>\\\s]|\\+/|\\+u00(?!2[02367]|3[cCeE])[0-9a-fA-F]{2})*")
_ONE_FORM: Final = re.compile(rb"(?![\s\xef\xbb\xbf]*[{\[\"<])[^\r\n]*\s*\Z")
"""One line that is no JSON and no XML: a value in it ends at the next parameter, not at a quote."""

_IN_COMPONENT: Final = re.compile(rb"(?:(?!%(?:25)*2[36])[^&#\"'<>\\\s])*")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_SPACE: Final = rb"(?:\s|\\+[nrt])*"
_SCHEME: Final = re.compile(rb"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s+(?=\S)")
_USER: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://([^/?#@]*)@")
_COOKIE: Final = re.compile(rb"(?:^|;)\s*(?:[^=;]*=)?\s*\"?([^;\"]*)")
_SCHEMES: Final = frozenset((b"basic", b"bearer"))
_ADDRESS_HEADERS: Final = frozenset((b"location", b"content-location", b"referer"))
_SECRET_ENDINGS: Final = (b"-token", b"-key", b"-secret")
_NO_SECRETS: Final = frozenset((b"sec-websocket-key",))
_SUBPROTOCOLS: Final = b"sec-websocket-protocol"
_WORDS: Final = (
    rb"(?:bearer|basic|token|auth|authorization|jwt|secret|key|(?:access|auth|api)[_\-]?(?:token|key))"
)
_SUBPROTOCOL: Final = re.compile(
    rb"(?:^|[\s,])(?:(?:[\w\-]+\.)*?"
    + _WORDS
    + rb"(?:[.:=]|\s*,\s*|\s+)(?P<value>[^\s,]+)|(?P<jwt>eyJ[^\s,]+))",
    re.IGNORECASE,
)
_AUTHORIZATIONS: Final = frozenset((b"authorization", b"proxy-authorization"))


_NO_STRINGS: Final = rb"(?:[\w+.\-]{1,64}" + _SPACE + b"," + _SPACE + b")*"
"""Numbers and names of constants in front of a string in an array."""

_INSIDES: Final = (
    (b"", rb"(?:\\.|(?!(?P=q))[^\\])*"),
    (rb"\\", rb"(?:\\\\(?:\\.|[^\\])|\\(?!(?P=q))[^\\]|[^\\])*"),
)
"""What stands before a quote, and between two: in JSON, and in JSON inside a string."""

_NEXT: Final = {
    (depth, q): re.compile(
        slash
        + q
        + _SPACE
        + b","
        + _SPACE
        + _NO_STRINGS
        + slash
        + rb"(?P<q>"
        + q
        + rb")(?P<value>"
        + inside
        + rb")",
        re.DOTALL,
    )
    for depth, (slash, inside) in enumerate(_INSIDES, start=1)
    for q in (b'"', b"'")
}
"""By depth and quote, from the end of one string of an array on: the next one."""


class Spot(NamedTuple):
    """Bytes ``[start, end)`` hold ``secret``, and this is the place (``query apiKey``).

    ``also`` are secrets that it is made of. ``passing`` ones (cookies) are replaced by
    many others in the course of a recording.
    """

    start: int
    end: int
    secret: str
    place: str
    also: tuple[str, ...] = ()
    passing: bool = False


class SecretPlaces(Protocol):
    """What a dialect knows about where secrets stand; all names in lower case."""

    @property
    def query_parameters(self) -> frozenset[str]:
        """Query parameters, in any address."""
        ...

    @property
    def headers(self) -> frozenset[str]:
        """Header fields; of `Authorization` the scheme is kept, of cookies the names."""
        ...

    @property
    def body_fields(self) -> frozenset[str]:
        """Fields of a request body, form or JSON."""
        ...

    def message_secrets(self, payload: bytes) -> Sequence[Spot]:
        """The secrets inside a client's message."""
        ...


class NoPlaces:
    """Nothing is listed: for what was made up and holds no secrets."""

    query_parameters: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    body_fields: frozenset[str] = frozenset()

    def message_secrets(self, payload: bytes) -> Sequence[Spot]:
        """None."""
        return ()


NO_PLACES: Final = NoPlaces()


def _is_something(value: str) -> bool:
    return bool(value.strip())


def as_text(raw: bytes) -> str:
    """The text that bytes of a header or an address are."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def parameter_spots(text: bytes, names: frozenset[str], *, is_address: bool = False) -> list[Spot]:
    """The values of these query parameters in an address, or in a text that may hold addresses or be a form."""
    has_escapes = b"%" in text or b"\\" in text
    if not names or not (has_escapes or b"=" in text):
        return []
    pattern, endings = _names_before(names), _endings(names)
    found: list[Spot] = []
    for equals in (_EQUALS if has_escapes else _EQUALS_AS_IT_IS).finditer(text):
        before = text[max(0, equals.start() - LONGEST_NAME) : equals.start()]
        word = before[len(before.rstrip(_IN_NAMES)) :]  # a name is all in it, however it is spelled
        if b"%" not in word and b"\\" not in word and not _INDEX.sub(b"", word).lower().endswith(endings):
            continue  # what has no escape is a name as it stands, or none
        name = pattern.search(text, max(0, equals.start() - LONGEST_NAME), equals.start())
        if name is not None and (not found or name.start() >= found[-1].end):
            found += _parameter(text, name["name"], equals, is_address)
    return found


def _parameter(text: bytes, name: bytes, equals: re.Match[bytes], is_address: bool) -> Iterator[Spot]:
    depth = equals[0].count(b"25") + 1 if equals[0].startswith(b"%") else 0
    pattern = _IN_COMPONENT if depth else _IN_ADDRESS if is_address else _IN_TEXT
    value = pattern.match(text, equals.end())
    secret = _decoded(value[0], depth + 1) if value else ""
    if value and _is_something(secret):
        yield Spot(value.start(), value.end(), secret, f"query {_decoded(name, depth + 1)}")


def _decoded(raw: bytes, times: int) -> str:
    """Without JSON's escapes, and percent-decoded so many times; a plus is a space."""
    if b"\\" in raw:
        raw = unescaped(raw).encode("utf-8", "surrogatepass")
    for _ in range(times):
        raw = _ESCAPE.sub(lambda hit: bytes((int(hit[1], 16),)), raw.replace(b"+", b" "))
    return as_text(raw)


@lru_cache(maxsize=16)
def _names_before(names: frozenset[str]) -> re.Pattern[bytes]:
    """One of the names, at the end of what is looked at, and not the end of a longer name."""
    before = rb"(?:(?<![\w.\-])|(?<=%26)|(?<=%3[fF])|(?<=2526)|(?<=253[fF])|(?<=u0026)|(?<=u003[fF]))"
    return re.compile(before + b"(?P<name>" + _any_of(names) + _IN_BRACKETS + rb")\Z")


@lru_cache(maxsize=16)
def _endings(names: frozenset[str]) -> tuple[bytes, ...]:
    return tuple(name.encode() for name in names)


def _any_of(names: Iterable[str]) -> bytes:
    return b"(?:" + b"|".join(spelled_as(name, any_case=True) for name in sorted(names)) + b")"


def user_spots(url: bytes) -> list[Spot]:
    """User and password in an address (``https://user:password@host/``)."""
    hit = _USER.match(url)
    if hit is None:
        return []
    user, _, password = hit[1].partition(b":")
    at = hit.start(1)
    places = [(at, user, "url user"), (at + len(user) + 1, password, "url password")]
    return [
        Spot(start, start + len(raw), _decoded(raw, 1), place)
        for start, raw, place in places
        if _is_something(_decoded(raw, 1))
    ]


def header_spots(name: bytes, value: bytes, places: SecretPlaces) -> list[Spot]:
    """What is secret in one header field."""
    lower, listed = name.lower(), places.headers
    if listed and lower == _SUBPROTOCOLS:
        return list(_subprotocols(value))
    if lower.decode("latin-1") in listed:
        return list(_field(lower, value))
    if listed and lower.endswith(_SECRET_ENDINGS):
        # Whatever it is, the next may be another: a service may send a new one with each answer.
        return [] if lower in _NO_SECRETS else [spot._replace(passing=True) for spot in _field(lower, value)]
    return parameter_spots(value, places.query_parameters, is_address=lower in _ADDRESS_HEADERS)


def _field(lower: bytes, value: bytes) -> Iterator[Spot]:
    place = f"header {lower.decode('latin-1')}"
    if lower in (b"cookie", b"set-cookie"):
        return _cookies(value, place, only_first=lower == b"set-cookie")
    return _credentials(value, place, with_scheme=lower in _AUTHORIZATIONS)


def _subprotocols(value: bytes) -> Iterator[Spot]:
    """What stands behind ``bearer.`` or a word like it: a browser can send its key in no other field."""
    for hit in _SUBPROTOCOL.finditer(value):
        group = "value" if hit["value"] else "jwt"
        yield Spot(hit.start(group), hit.end(group), as_text(hit[group]), "header sec-websocket-protocol")


def _cookies(value: bytes, place: str, *, only_first: bool) -> Iterator[Spot]:
    hits = _COOKIE.finditer(value)
    for hit in islice(hits, 1) if only_first else hits:
        content = hit[1].rstrip()
        if _is_something(as_text(content)):
            yield Spot(hit.start(1), hit.start(1) + len(content), as_text(content), place, passing=True)


def _credentials(value: bytes, place: str, *, with_scheme: bool) -> Iterator[Spot]:
    scheme = _SCHEME.match(value) if with_scheme else None
    start = scheme.end() if scheme else len(value) - len(value.lstrip())
    end = len(value.rstrip())
    secret = as_text(value[start:end])
    if _is_something(secret) and not (with_scheme and value.strip().lower() in _SCHEMES):
        is_basic = scheme is not None and scheme[1].lower() == b"basic"
        yield Spot(start, end, secret, place, also=_basic(value[start:end]) if is_basic else ())


def _basic(credentials: bytes) -> tuple[str, ...]:
    """User and password of HTTP's Basic scheme."""
    try:
        pair = base64.b64decode(credentials + b"==")
    except binascii.Error:
        return ()
    user, _, password = pair.partition(b":")
    return tuple(text for text in (as_text(user), as_text(password)) if _is_something(text))


def member_spots(text: bytes, names: frozenset[str], place: str) -> list[Spot]:
    """The string values under these names in JSON, at any depth, also in JSON inside a string."""
    if not names or b":" not in text:
        return []
    found: list[Spot] = []
    for depth, pattern in enumerate(_members(names), start=1):
        for hit in pattern.finditer(text):
            name = unescaped(hit["name"], depth)
            for start, end in _values(text, hit, depth):
                if _is_something(secret := unescaped(text[start:end], depth)):
                    found.append(Spot(start, end, secret, f"{place} {name}"))
    return sorted(found)


def _values(text: bytes, first: re.Match[bytes], depth: int) -> Iterator[tuple[int, int]]:
    """Where the value of a member stands; of an array, where all its strings do."""
    yield first.span("value")
    hit = _NEXT[depth, first["q"]].match(text, first.end("value")) if first["array"] is not None else None
    while hit is not None:
        yield hit.span("value")
        hit = _NEXT[depth, hit["q"]].match(text, hit.end("value"))


def prepare(places: SecretPlaces) -> None:
    """Compile what looks for these places, before there is anything to look at: it takes a tenth of a second."""
    for names in (places.query_parameters, places.body_fields):
        if names:
            _names_before(names)
    if places.body_fields:
        _members(places.body_fields)
    places.message_secrets(b":")


@lru_cache(maxsize=16)
def _members(names: frozenset[str]) -> tuple[re.Pattern[bytes], ...]:
    """Quoted name, colon, quoted value (in an array, perhaps): with plain quotes, then with escaped ones."""
    return tuple(
        re.compile(
            slash + rb"(?P<q>[\"'])(?P<name>" + _any_of(names) + _IN_BRACKETS + rb")" + slash + rb"(?P=q)"
            + _SPACE + b":" + _SPACE + rb"(?P<array>\[" + _SPACE + _NO_STRINGS + rb")?" + slash + rb"(?P=q)"
            + rb"(?P<value>" + value + rb")",
            re.DOTALL,
        )
        for slash, value in _INSIDES
    )  # fmt: skip


def unescaped(raw: bytes, times: int = 1) -> str:
    """The text of a JSON string's inside."""
    text = as_text(raw)
    for _ in range(times):
        try:
            value: object = json.loads(f'"{text}"', strict=False)
        except ValueError:
            return text
        text = str(value)
    return text


def form_spots(text: bytes, names: frozenset[str], place: str) -> list[Spot]:
    """The values of these fields in a form (``a=1&b=2``); in JSON, XML or parts, those in the addresses there."""
    spots = parameter_spots(text, names, is_address=_ONE_FORM.match(text) is not None)
    return [spot._replace(place=spot.place.replace("query", place, 1)) for spot in spots]


def part_spots(text: bytes, names: frozenset[str], place: str) -> list[Spot]:
    """The contents of these parts of a multipart body (RFC 7578)."""
    if not names or b"isposition" not in text.lower():
        return []
    return [
        Spot(hit.start("value"), hit.end("value"), as_text(hit["value"]), f"{place} {as_text(hit['name'])}")
        for hit in _parts(names).finditer(text)
        if _is_something(as_text(hit["value"]))
    ]


@lru_cache(maxsize=16)
def _parts(names: frozenset[str]) -> re.Pattern[bytes]:
    """The field that names a part, the others of its head, an empty line; then what comes before the border."""
    field = rb"(?i:content-disposition)[ \t]*:(?:[^\r\n]|\r?\n[ \t])*?[;\s](?i:name)[ \t]*=[ \t]*\"?(?P<name>"
    rest = rb")(?:\"|[;\s])(?:[^\r\n]*\r?\n)(?:[^\r\n]+\r?\n)*\r?\n"
    return re.compile(field + _any_of(names) + _IN_BRACKETS + rest + rb"(?P<value>(?s:.*?))(?=\r?\n--|\Z)")
