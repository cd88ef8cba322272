"""Secrets die at the door: the only way to the encoder leads through here.

A secret is known by its place (the dialect lists them: a query parameter, a header,
the auth message) and from then on by its value: wherever it turns up, in whatever
spelling, a placeholder stands instead. Placeholders are numbered by first
appearance, so equal secrets stay equal and nothing can be guessed back; a text that
is already a placeholder is left alone, so that a replay can be recorded again.

A secret of fewer than 16 characters is replaced only in its place, and a warning says
so: elsewhere it could not be told from chance. What was written before a secret was
known cannot be unwritten: `tickdeck.cassette.audit` finds it.

Bytes that hold no secret pass untouched, compressed bodies included; a compressed
body with a secret in it is closed again with fixed settings and a new Content-Length.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import singledispatchmethod
from typing import Final, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_plus

from tickdeck.cassette.codings import closed, codings_of, opened
from tickdeck.cassette.records import (
    TEXT,
    BodyPart,
    Frame,
    Gap,
    Header,
    HeaderPairs,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.spellings import SHORTEST, STAGING, mixed, spellings

OPENED_UP_TO: Final = 16 * 1024 * 1024
"""Bytes of a body that are opened inside their compression; larger ones come decoded."""

PART_SIZE: Final = 4 * 1024 * 1024
"""Bytes of a `BodyPart`."""

FEW: Final = 128
"""Needles that are looked for one by one before the pattern is asked where they are."""

_PLACEHOLDER: Final = re.compile(r"REDACTED-\d+(?:-staging)?")
_COOKIES: Final = frozenset((b"cookie", b"set-cookie"))
_ESCAPES: Final = re.compile(rb"[%\\]")
_COOKIE_VALUE: Final = re.compile(rb"(?:^|;\s*)[^=;\s]+=([^;]*)")


class Span(NamedTuple):
    """Bytes ``[start, end)`` of a text hold ``secret`` (decoded); ``place`` is the word for where that is."""

    start: int
    end: int
    secret: str
    place: str


class SecretPlaces(Protocol):
    """Where a service's secrets stand: the dialect's tables."""

    @property
    def query_parameters(self) -> frozenset[str]:
        """Names of query parameters (and form fields), in lower case."""
        ...

    @property
    def headers(self) -> frozenset[str]:
        """Names of header fields, in lower case."""
        ...

    def in_message(self, payload: bytes) -> Sequence[Span]:
        """Secrets inside a client's text message or JSON request body."""
        ...


class _NoPlaces:
    query_parameters: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()

    def in_message(self, payload: bytes) -> Sequence[Span]:
        return ()


NO_PLACES: Final[SecretPlaces] = _NoPlaces()
"""For data that never had a secret: synthetic cassettes."""

Rec = TypeVar("Rec", bound=Record)


class Redactor:
    """Cleans records and texts, and remembers what it found.

    ``known`` are secrets given beforehand. ``redactions`` counts, by placeholder, how
    often it was put in each place. ``warnings`` are sentences for a person.
    """

    def __init__(self, places: SecretPlaces, *, known: Iterable[str] = ()) -> None:
        self.redactions: dict[str, dict[str, int]] = {}
        self.warnings: list[str] = []
        self._places = places
        self._placeholders: dict[str, str] = {}
        self._needles: dict[bytes, str] = {}
        self._find: re.Pattern[bytes] | None = None
        self._mixed: dict[str, re.Pattern[bytes]] = {}
        self._query = _query_pattern(places.query_parameters)
        for secret in known:
            self._learn(secret, "a given secret")

    def clean(self, record: Record) -> Record:
        """The record without its secrets: the same object if it has none."""
        return self._clean(record)

    def clean_text(self, text: str) -> str:
        """A line for a person, a log or a program, without secrets."""
        raw = text.encode("utf-8", "surrogateescape")
        return self._text(raw, "text").decode("utf-8", "surrogateescape")

    def clean_header(self, header: Header) -> Header:
        """The header of a cassette without secrets."""
        return replace(
            header,
            origins=tuple(map(self.clean_text, header.origins)),
            note=self.clean_text(header.note),
            tool=self.clean_text(header.tool),
            program=self.clean_text(header.program),
        )

    @singledispatchmethod
    def _clean(self, record: Record) -> Record:
        return record

    @_clean.register
    def _frame(self, record: Frame) -> Record:
        payload = record.payload
        if record.sender is Sender.CLIENT and record.opcode == TEXT:
            payload = self._message(payload)
        payload = self._text(payload, "a frame")
        return record if payload is record.payload else replace(record, payload=payload)

    @_clean.register
    def _opened(self, record: TrackOpened) -> Record:
        return replace(
            record,
            url=self.clean_text(record.url),
            request_headers=self._headers(record.request_headers),
            response_headers=self._headers(record.response_headers),
        )

    @_clean.register
    def _closed(self, record: TrackClosed) -> Record:
        return replace(record, reason=self.clean_text(record.reason)) if record.reason else record

    @_clean.register
    def _interaction(self, record: Interaction) -> Record:
        url = self.clean_text(record.url)
        request_headers = self._headers(record.request_headers)
        response_headers = self._headers(record.response_headers)
        request_body, request_headers = self._body(record.request_body, request_headers, self._message)
        body, response_headers = self._body(record.body, response_headers, None, plain=record.decoded)
        return replace(
            record,
            url=url,
            reason=self.clean_text(record.reason),
            request_headers=request_headers,
            request_body=request_body,
            response_headers=response_headers,
            body=body,
        )

    @_clean.register
    def _part(self, record: BodyPart) -> Record:
        return replace(record, data=self._text(record.data, "a body"))

    @_clean.register
    def _gap(self, record: Gap) -> Record:
        return replace(record, reason=self.clean_text(record.reason))

    @_clean.register
    def _profile(self, record: Profile) -> Record:
        return replace(record, values={key: self.clean_text(value) for key, value in record.values.items()})

    def _message(self, payload: bytes) -> bytes:
        """A client's own text, its listed places first."""
        spans = self._places.in_message(payload)
        for span in reversed(spans):
            instead = self._placeholder(span.secret, span.place)
            if instead is not None:
                payload = payload[: span.start] + instead.encode() + payload[span.end :]
        return payload

    def _headers(self, pairs: HeaderPairs) -> HeaderPairs:
        return tuple((name, self._field(name, value)) for name, value in pairs)

    def _field(self, name: bytes, value: bytes) -> bytes:
        lower = name.lower()
        if lower.decode("latin-1") in self._places.headers:
            place = f"header {name.decode('latin-1')}"
            if lower in _COOKIES:
                value = _COOKIE_VALUE.sub(lambda hit: self._group(hit, 1, place), value)
            else:
                value = self._credential(value, place)
        return self._text(value, "a header")

    def _credential(self, value: bytes, place: str) -> bytes:
        """An Authorization or the like: the scheme stays, where there is one."""
        scheme, space, rest = value.strip().partition(b" ")
        secret = rest.strip() if space else scheme
        if scheme.lower() == b"basic":
            self._learn_basic(secret, place)
        instead = self._placeholder(secret.decode("utf-8", "surrogateescape"), place)
        if instead is None:
            return value
        return (scheme + b" " if space else b"") + instead.encode()

    def _learn_basic(self, encoded: bytes, place: str) -> None:
        try:
            user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
        except binascii.Error:
            return
        for part in (user, password):
            self._learn(part.decode("utf-8", "surrogateescape"), place)

    def _body(
        self,
        body: bytes,
        headers: HeaderPairs,
        listed: Callable[[bytes], bytes] | None,
        *,
        plain: bool = False,
    ) -> tuple[bytes, HeaderPairs]:
        if not body:
            return body, headers
        field = b",".join(value for name, value in headers if name.lower() == b"content-encoding")
        codings = () if plain else codings_of(field.decode("latin-1"))
        text = opened(body, codings, limit=OPENED_UP_TO) if codings else body
        if text is None:
            self._warn(f"a body in {', '.join(codings)} could not be opened to look for secrets")
            return body, headers
        cleaned = self._text(listed(text) if listed else text, "a body")
        if cleaned == text:
            return body, headers
        made = closed(cleaned, codings)
        return made, _with_length(headers, len(made))

    def _text(self, text: bytes, what: str) -> bytes:
        """Any bytes: query parameters by their place, then every known secret by its value."""
        if self._query is not None and b"=" in text:
            text = self._query.sub(self._parameter, text)
        if self._find is not None:
            if self._may_hold(text):
                text = self._find.sub(lambda hit: self._known(self._needles[hit[0]], what), text)
            if _ESCAPES.search(text) is not None:
                text = self._unescape(text, what)
        return text

    def _may_hold(self, text: bytes) -> bool:
        """Plain searches are many times faster than one pattern, while the needles are few."""
        return len(self._needles) > FEW or any(needle in text for needle in self._needles)

    def _unescape(self, text: bytes, what: str) -> bytes:
        for secret, pattern in self._mixed.items():
            text = pattern.sub(lambda _, secret=secret: self._known(secret, what), text)  # type: ignore[misc]
        return text

    def _known(self, secret: str, what: str) -> bytes:
        placeholder = self._placeholders[secret]
        self._count(placeholder, f"by value in {what}")
        return placeholder.encode()

    def _parameter(self, hit: re.Match[bytes]) -> bytes:
        secret = unquote_plus(hit["value"].decode("utf-8", "surrogateescape"))
        instead = self._placeholder(secret, f"query {hit['name'].decode('latin-1')}")
        return hit[0] if instead is None else hit["before"] + instead.encode()

    def _group(self, hit: re.Match[bytes], group: int, place: str) -> bytes:
        instead = self._placeholder(hit[group].strip().decode("utf-8", "surrogateescape"), place)
        if instead is None:
            return hit[0]
        start = hit.start(group) - hit.start()
        return hit[0][:start] + instead.encode() + hit[0][start + len(hit[group]) :]

    def _placeholder(self, secret: str, place: str) -> str | None:
        """What stands for a secret that was found in a listed place; ``None`` if that is none."""
        if not secret.strip() or _PLACEHOLDER.fullmatch(secret):
            return None
        base = secret.removesuffix(STAGING)
        placeholder = self._learn(base, place)
        self._count(placeholder, place)
        return placeholder + secret[len(base) :]

    def _learn(self, secret: str, place: str) -> str:
        if not secret or _PLACEHOLDER.fullmatch(secret):
            return secret
        if secret in self._placeholders:
            return self._placeholders[secret]
        placeholder = self._placeholders[secret] = f"REDACTED-{len(self._placeholders) + 1}"
        if len(secret) < SHORTEST:
            self._warn(
                f"{placeholder} ({place}) has fewer than {SHORTEST} characters, so it is replaced only in such places"
            )
        else:
            self._look_for(secret)
        return placeholder

    def _look_for(self, secret: str) -> None:
        for needle in spellings(secret):
            self._needles.setdefault(needle, secret)
        longest_first = sorted(self._needles, key=len, reverse=True)
        self._find = re.compile(b"|".join(map(re.escape, longest_first)))
        self._mixed.update(mixed([secret]))

    def _count(self, placeholder: str, place: str) -> None:
        places = self.redactions.setdefault(placeholder, {})
        places[place] = places.get(place, 0) + 1

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def split_body(interaction: Interaction, *, next_seq: int, size: int = PART_SIZE) -> list[Record]:
    """An interaction whose large body lies in parts ahead of it; cleaned before, so nothing hides at a seam."""
    pieces = [interaction.body[at : at + size] for at in range(0, len(interaction.body), size)]
    parts: list[Record] = [
        BodyPart(next_seq + at, interaction.end_ns, interaction.interaction, piece)
        for at, piece in enumerate(pieces)
    ]
    whole = replace(interaction, seq=next_seq + len(parts), body=b"", body_parts=len(parts))
    return [*parts, whole]


def _query_pattern(names: frozenset[str]) -> re.Pattern[bytes] | None:
    if not names:
        return None
    ways = b"|".join(re.escape(name.encode()) for name in sorted(names, key=len, reverse=True))
    return re.compile(
        rb"(?P<before>(?:^|[?&;]|\\u0026|&amp;)(?P<name>" + ways + rb")=)(?P<value>[^&#\s\"'<>\\;]*)",
        re.IGNORECASE,
    )


def _with_length(headers: HeaderPairs, length: int) -> HeaderPairs:
    return tuple(
        (name, b"%d" % length if name.lower() == b"content-length" else value) for name, value in headers
    )
