"""The door to the cassette: what goes through it has lost its secrets.

Redaction is not an option and sits in front of the encoder. It works by place (the
dialect lists the places: a header, a query parameter, the `params` of an `auth`
message) and by value: a secret of 16 characters or more, once seen in a place, is
replaced wherever it turns up from then on, in any spelling (see `spelling`). A shorter
one is replaced in its places only, for elsewhere it could be anybody's word.

A secret becomes ``REDACTED-n``, n by first appearance, so that equal secrets stay equal
and nothing can be guessed back. A placeholder that is already in the input (the
recording of a replay) stays, and its number is not given to another secret that
comes later; one that comes only after its number was given cannot be told apart.
alpaca-trade-api appends ``-staging`` to a key; the key is the secret, the suffix stays.

Bytes outside a secret are kept exactly, and a record without one is given back as
it came. What was written before a secret was known cannot be unwritten: `audit`
finds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from tickdeck.cassette.bodies import coding_of, for_changed_body
from tickdeck.cassette.codings import closed, readable
from tickdeck.cassette.records import (
    BINARY,
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
from tickdeck.cassette.spelling import has_escapes
from tickdeck.cassette.spots import (
    LONGEST_NAME,
    NO_PLACES,
    PLACEHOLDER,
    SecretPlaces,
    Spot,
    form_spots,
    header_spots,
    member_spots,
    parameter_spots,
    part_spots,
    user_spots,
)
from tickdeck.cassette.watched import MOST_PASSING, Watched

__all__ = ["MOST_PASSING", "NO_PLACES", "SHORTEST", "Redactor", "SecretPlaces", "Spot"]

SHORTEST: Final = 16
"""Characters from which on a secret is replaced by value."""

REACH: Final = 64 << 10
"""Bytes around a cut of a large body that are looked at for a secret across it."""

STAGING: Final = "-staging"
_R = TypeVar("_R", bound=Record)


class _Body(NamedTuple):
    """A body opened: ``plain`` under ``codings``, which were taken off."""

    plain: bytes
    codings: tuple[str, ...]


class Redactor:
    """Learns secrets from their places and takes them out; one for a whole recording.

    ``known`` are secrets to be replaced by value from the start. `redactions` counts,
    by placeholder, how often it was put in which place.
    """

    def __init__(self, places: SecretPlaces, *, known: Iterable[str] = (), taken: Iterable[int] = ()) -> None:
        """``taken`` are numbers of placeholders that an earlier part of the recording gave away."""
        self.redactions: dict[str, dict[str, int]] = {}
        self._places = places
        self._placeholders: dict[str, str] = {}
        self._taken: set[int] = set(taken)
        self._watched = Watched()
        self._warned: dict[str, str] = {}
        self._unopened: Counter[str] = Counter()
        for secret in known:
            self._know(secret)

    @property
    def warnings(self) -> list[str]:
        """What could not be done as a secret deserves, a sentence each."""
        return [*self._warned.values(), *(_unopened(*each) for each in self._unopened.items())]

    def clean(self, record: Record) -> Record:
        """The record without its secrets; the same object if it held none."""
        match record:
            case Frame():
                return self._frame(record)
            case Interaction():
                return self._interaction(record)
            case TrackOpened():
                return self._track_opened(record)
            case TrackClosed():
                return _with(record, reason=self._string(record.reason, "close reason"))
            case BodyPart():
                return _with(record, data=self._text(record.data, "body"))
            case Gap():
                market, reason = self._string(record.market, "gap"), self._string(record.reason, "gap")
                return _with(record, market=market, reason=reason)
            case Profile():
                values = {key: self._string(value, "profile") for key, value in record.values.items()}
                return record if values == record.values else replace(record, values=values)
        return record  # an anchor has no text

    def clean_header(self, header: Header) -> Header:
        """The header without secrets."""
        note, tool = self._string(header.note, "header"), self._string(header.tool, "header")
        program = self._string(header.program, "header")
        origins = tuple(self._string(origin, "header", is_address=True) for origin in header.origins)
        return replace(header, note=note, tool=tool, program=program, origins=origins)

    def learn(self, head: Interaction) -> None:
        """Know the secrets of a request and of the head of its answer, whose body comes in parts, before it ends."""
        url = head.url.encode("utf-8", "surrogatepass")
        self._put(url, self._address_spots(url), counted=False)
        for name, value in (*head.request_headers, *head.response_headers):
            self._put(value, header_spots(name, value, self._places), counted=False)
        plain = readable(head.request_body, coding_of(head.request_headers, head.request_body))
        if plain:
            self._put(plain, self._request_spots(plain), counted=False)

    def boundary(self, data: bytes, at: int) -> int:
        """The last place up to ``at`` where ``data`` can be cut and no secret, nor its name, has bytes on both sides.

        Where a secret begins with the data, that is its end.
        """
        base = max(at - REACH, 0)
        window = data[base : at + REACH]
        spots = parameter_spots(window, self._places.query_parameters)
        spans = [(max(spot.start - LONGEST_NAME, 0), spot.end) for spot in spots]
        spans += self._watched.spans(window)
        cut = at - base
        for start, end in sorted(spans, reverse=True):
            cut = start if start < cut < end else cut
        return base + cut or max(end for start, end in spans if start < at)

    def clean_text(self, text: str) -> str:
        """A line for a person or a log without secrets. It is not counted: it is not on the cassette."""
        data = text.encode("utf-8", "surrogatepass")
        spots = [*self._places.message_secrets(data), *parameter_spots(data, self._places.query_parameters)]
        return _same(text, data, self._by_value(self._put(data, spots, counted=False), ""))

    # Records. What is learned from any part of one is looked for in all of it.

    def _frame(self, record: Frame) -> Record:
        payload = record.payload
        if record.sender is Sender.SERVER and self._is_quiet(payload):
            return record
        spots = parameter_spots(payload, self._places.query_parameters)
        if record.sender is Sender.CLIENT and record.opcode in (TEXT, BINARY):
            spots += self._places.message_secrets(payload)
        cleaned = self._by_value(self._put(payload, spots), "payload")
        return record if cleaned == payload else replace(record, payload=cleaned)

    def _track_opened(self, record: TrackOpened) -> Record:
        url = self._address(record.url)
        asked, answered = self._pairs(record.request_headers), self._pairs(record.response_headers)
        return _with(
            record,
            market=self._string(record.market, "url"),
            feed=self._string(record.feed, "url"),
            url=self._value(url, "url"),
            request_headers=self._pair_values(asked),
            response_headers=self._pair_values(answered),
        )

    def _interaction(self, record: Interaction) -> Record:
        url = self._address(record.url)
        asked, answered = self._pairs(record.request_headers), self._pairs(record.response_headers)
        sent = self._opened(record.request_body, record.request_headers)
        came = self._opened(record.body, () if record.decoded else record.response_headers, record.decoded)
        request_plain = self._put(sent.plain, self._request_spots(sent.plain))
        plain = self._put(came.plain, parameter_spots(came.plain, self._places.query_parameters))
        reason = self._put_string(record.reason)
        method = record.method
        fields = [part for pair in (*asked, *answered) for part in pair]
        texts = [text.encode("utf-8", "surrogatepass") for text in (method, url, reason)]
        if self._watched.may_be_in(b"\n".join([*texts, *fields, request_plain, plain])):
            request_plain = self._by_value(request_plain, "request body")
            plain = self._by_value(plain, "body")
            method, url = self._value(method, "method"), self._value(url, "url")
            reason = self._value(reason, "reason")
            asked, answered = self._pair_values(asked), self._pair_values(answered)
        asked, request_body = _closed(asked, record.request_body, sent, request_plain)
        answered, body = _closed(answered, record.body, came, plain, complete=record.complete)
        return _with(
            record,
            method=method,
            url=url,
            reason=reason,
            request_headers=asked,
            request_body=request_body,
            response_headers=answered,
            body=body,
        )

    def _request_spots(self, body: bytes) -> list[Spot]:
        fields = self._places.body_fields
        return [
            *member_spots(body, fields, "body"),
            *form_spots(body, fields, "body"),
            *part_spots(body, fields, "body"),
        ]

    # Bodies.

    def _opened(self, body: bytes, headers: HeaderPairs, is_decoded: bool = False) -> _Body:
        codings = () if is_decoded or not body else coding_of(headers, body)
        plain = readable(body, codings)
        if plain is None:
            self._unopened[", ".join(codings)] += 1
            return _Body(body, ())
        return _Body(plain, codings)

    # Parts of records: by place first, by value when the whole record has been seen.

    def _address(self, url: str) -> str:
        data = url.encode("utf-8", "surrogatepass")
        return _same(url, data, self._put(data, self._address_spots(data)))

    def _address_spots(self, url: bytes) -> list[Spot]:
        spots = parameter_spots(url, self._places.query_parameters, is_address=True)
        return spots + (user_spots(url) if self._places.query_parameters else [])

    def _pairs(self, headers: HeaderPairs) -> HeaderPairs:
        return tuple(
            (name, self._put(value, header_spots(name, value, self._places))) for name, value in headers
        )

    def _pair_values(self, headers: HeaderPairs) -> HeaderPairs:
        return tuple(
            (name, self._by_value(value, f"header {name.lower().decode('latin-1')}"))
            for name, value in ((self._by_value(name, "header name"), value) for name, value in headers)
        )

    def _put_string(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        return _same(text, data, self._put(data, parameter_spots(data, self._places.query_parameters)))

    def _string(self, text: str, place: str, *, is_address: bool = False) -> str:
        """Both at once, for a text that stands alone."""
        data = text.encode("utf-8", "surrogatepass")
        spots = parameter_spots(data, self._places.query_parameters, is_address=is_address)
        return _same(text, data, self._by_value(self._put(data, spots), place))

    def _text(self, data: bytes, place: str) -> bytes:
        return self._by_value(self._put(data, parameter_spots(data, self._places.query_parameters)), place)

    def _value(self, text: str, place: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        return _same(text, data, self._by_value(data, place))

    def _put(self, data: bytes, spots: Iterable[Spot], *, counted: bool = True) -> bytes:
        """``data`` with placeholders in these spots."""
        if not spots:
            return data
        pieces: list[bytes] = []
        kept_to = 0
        for spot in sorted(spots):
            if spot.start < kept_to or self._is_placeholder(spot.secret):
                continue
            placeholder = self._learn(spot)
            if counted:
                self._count(placeholder, spot.place)
            suffix = STAGING if spot.secret.endswith(STAGING) else ""
            pieces += [data[kept_to : spot.start], (placeholder + suffix).encode("ascii")]
            kept_to = spot.end
        return b"".join([*pieces, data[kept_to:]]) if pieces else data

    def _by_value(self, data: bytes, place: str) -> bytes:
        """``data`` with placeholders for every secret that is known by now."""

        def put(secret: str, times: int) -> bytes:
            placeholder = self._placeholder(secret)
            if place:
                self._count(placeholder, place, times)
            return placeholder.encode("ascii")

        return self._watched.replaced(data, put)

    def _is_quiet(self, data: bytes) -> bool:
        """Neither a listed place nor a known secret can be in these bytes: market data, mostly."""
        return b"=" not in data and not has_escapes(data) and not self._watched.may_be_in(data)

    # What is known.

    def _is_placeholder(self, value: str) -> bool:
        """Whether this is one of an earlier recording; its number is then not given away."""
        placeholder = PLACEHOLDER.fullmatch(value)
        if placeholder is not None:
            self._taken.add(int(placeholder[1]))
        return placeholder is not None

    def _learn(self, spot: Spot) -> str:
        """The placeholder of what stands in a spot; from now on it is known."""
        secret = _bare(spot.secret)
        placeholder = self._placeholder(secret)
        for each in (secret, *map(_bare, spot.also)):
            if len(each) >= SHORTEST:
                self._watched.add(each, passing=spot.passing)
        if len(secret) < SHORTEST and secret not in self._warned:
            self._warned[secret] = (
                f"{placeholder} has {len(secret)} characters ({spot.place}): "
                f"below {SHORTEST} a secret is redacted in its places only, not by value"
            )
        return placeholder

    def _know(self, secret: str) -> None:
        secret = _bare(secret)
        if len(secret) >= SHORTEST:
            self._watched.add(secret, passing=False)
        elif secret:
            self._warned[secret] = (
                f"a secret that was given has {len(secret)} characters: "
                f"below {SHORTEST} it is redacted in its places only, not by value"
            )

    def _placeholder(self, secret: str) -> str:
        found = self._placeholders.get(secret)
        if found is None:
            number = len(self._placeholders) + 1
            while number in self._taken:
                number += 1
            self._taken.add(number)
            found = self._placeholders[secret] = f"REDACTED-{number}"
        return found

    def _count(self, placeholder: str, place: str, times: int = 1) -> None:
        places = self.redactions.setdefault(placeholder, {})
        places[place] = places.get(place, 0) + times


def _bare(secret: str) -> str:
    return secret.strip().removesuffix(STAGING) or secret.strip()


def _closed(
    headers: HeaderPairs, body: bytes, was: _Body, plain: bytes, *, complete: bool = True
) -> tuple[HeaderPairs, bytes]:
    """The body as it was, if nothing in it has changed."""
    if plain == was.plain:
        return headers, body
    body = closed(plain, was.codings)
    return for_changed_body(headers, len(body)) if complete else headers, body


def _with(record: _R, **parts: object) -> _R:
    """The record with these parts; the same object if they are what it has."""
    changed = {name: part for name, part in parts.items() if part != getattr(record, name)}
    if not changed:
        return record
    return replace(record, **changed)  # type: ignore[arg-type]  # each is of the type of the part it was made from


def _same(text: str, data: bytes, cleaned: bytes) -> str:
    return text if cleaned == data else cleaned.decode("utf-8", "surrogatepass")


def _unopened(codings: str, times: int) -> str:
    bodies = "1 body" if times == 1 else f"{times} bodies"
    return (
        f"{bodies} under {codings} could not be opened and stay as they came: a secret inside would stay, too"
    )
