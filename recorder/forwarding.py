"""What a proxy changes on the way, and nothing more.

Upstream is sent what the client sent, but for the fields that belong to one
connection, the host, and content codings that nobody here can open: an address
inside such a body could not be changed, and a client that followed it would go past
the recorder, with the key. The client is given what the upstream sent, but for the
same fields, the addresses that name the upstream, and Alt-Svc, which names another
way to it. The cassette keeps what the upstream was sent and what it answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tickdeck.cassette.codings import closed, codings_of, opened
from tickdeck.cassette.records import HeaderPairs
from tickdeck.dialects.origins import DIGESTS, Origins, is_rewritten
from tickdeck.recorder.capture import Exchange

_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
_CODING: Final = b"content-encoding"
_HANDSHAKE: Final = frozenset(
    b"sec-websocket-key sec-websocket-version sec-websocket-extensions sec-websocket-accept".split()
)
_PAST_US: Final = frozenset((b"alt-svc", b"strict-transport-security"))
_READABLE: Final = frozenset((b"gzip", b"x-gzip", b"deflate", b"zstd", b"identity"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client is given; ``trouble`` says what could not be done, or is empty."""

    status: int
    reason: str
    headers: HeaderPairs
    body: bytes
    complete: bool = True
    trouble: str = ""


def sent_upstream(headers: HeaderPairs, *, host: str, expects: bool = False) -> HeaderPairs:
    """The client's request header fields as they go upstream, in the client's order.

    ``expects``: `Expect` is among them, and whoever sends them waits for what it expects.
    """
    dropped = _connection_fields(headers) | _HANDSHAKE | (set() if expects else {b"expect"})
    pairs = []
    for name, value in headers:
        match name.lower():
            case b"host":
                value = host.encode()
            case b"accept-encoding":
                value = _readable(value)
            case lower if lower in dropped:
                continue
        pairs.append((name, value))
    return tuple(pairs)


def _readable(accept_encoding: bytes) -> bytes:
    kept = [
        part for part in accept_encoding.split(b",") if part.partition(b";")[0].strip().lower() in _READABLE
    ]
    return b",".join(kept).strip() or b"identity"


def without(headers: HeaderPairs, names: Iterable[bytes]) -> HeaderPairs:
    """The fields that have none of these (lower-case) names."""
    dropped = frozenset(names)
    return tuple(pair for pair in headers if pair[0].lower() not in dropped)


def values_of(headers: HeaderPairs, name: bytes) -> list[bytes]:
    """The values of one (lower-case) field name, in order."""
    return [value for each, value in headers if each.lower() == name]


def protocols_of(headers: HeaderPairs) -> list[str]:
    """The subprotocols that a handshake names."""
    parts = b",".join(values_of(headers, b"sec-websocket-protocol")).split(b",")
    return [part.strip().decode("latin-1") for part in parts if part.strip()]


def accepted_upgrade(headers: HeaderPairs) -> HeaderPairs:
    """The fields of the upstream's 101 that the client is given besides its own handshake's."""
    own = _HANDSHAKE | {b"sec-websocket-protocol", b"content-length"} | _PAST_US
    return without(headers, _connection_fields(headers) | own)


def head_to_client(headers: HeaderPairs, origins: Origins) -> HeaderPairs:
    """The header fields of an answer as its client is given them."""
    return origins.rewrite_fields(without(headers, _connection_fields(headers) | _PAST_US))[0]


def codings_in(headers: HeaderPairs) -> tuple[str, ...]:
    """The content codings of a body, in the order they were applied."""
    return codings_of(b",".join(values_of(headers, _CODING)).decode("latin-1"))


def head_of_rewritten(headers: HeaderPairs) -> HeaderPairs:
    """The fields of a body that is opened and changed as it comes: nobody knows yet how long it will be."""
    return without(headers, {_CODING, b"content-length"} | DIGESTS)


def answer_to_client(exchange: Exchange, origins: Origins) -> Answer:
    """What the client of this exchange is given."""
    headers = head_to_client(exchange.response_headers, origins)
    answer = Answer(exchange.status, exchange.reason, headers, exchange.body, exchange.complete)
    if not exchange.body or not is_rewritten(exchange.status, headers):
        return answer
    return _readdressed(answer, origins)


def _readdressed(answer: Answer, origins: Origins) -> Answer:
    codings = codings_in(answer.headers)
    plain = opened(answer.body, codings)
    if plain is None and not answer.complete:
        return answer  # nobody can open what has no end
    if plain is None:
        trouble = f"a body could not be opened ({', '.join(codings)}); addresses in it are unchanged"
        return replace(answer, trouble=trouble)
    changed, _ = origins.rewrite(plain)
    if changed == plain:
        return answer
    body = closed(changed, codings)
    missing = 0 if answer.complete else _missing(answer)
    headers = tuple(
        (name, b"%d" % (len(body) + missing) if name.lower() == b"content-length" else value)
        for name, value in without(answer.headers, DIGESTS)
    )
    return replace(answer, headers=headers, body=body)


def _missing(answer: Answer) -> int:
    """Bytes that did not come of a body that broke off; at least one, so that its client sees it break off."""
    said = [int(value) for value in values_of(answer.headers, b"content-length") if value.isdigit()]
    return max([length - len(answer.body) for length in said], default=1)


def _connection_fields(headers: HeaderPairs) -> frozenset[bytes]:
    named = b",".join(values_of(headers, b"connection")).split(b",")
    return _HOP_BY_HOP | {name.strip().lower() for name in named if name.strip()}
