"""Where the secrets of this service stand, as tables.

The key is spelled `apiKey` in queries (also `apikey`, and `key_id` for Alpaca's keys
in 2019), goes out as a bearer token, in the `params` of the `auth` message, and in
the messages of Alpaca's own streams as `key` and `secret` or `key_id` and
`secret_key`. JSON is read token by token here, so that spacing, order and escapes do
not matter and the bytes around a secret stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from tickdeck.cassette.redaction import Span

QUERY: Final = frozenset(
    "apikey api_key api-key key_id secret secret_key access_token auth_token token password".split()
)
HEADERS: Final = frozenset(
    "authorization proxy-authorization cookie set-cookie apca-api-key-id apca-api-secret-key x-api-key api-key "
    "x-auth-token".split()
)
ALWAYS: Final = frozenset("apikey api_key key_id secret secret_key password access_token".split())
"""JSON fields that hold a secret in whatever a client says."""
WHEN_AUTHENTICATING: Final = ALWAYS | frozenset(("params", "key", "token"))
"""JSON fields that do so in a message whose action is to authenticate."""
AUTHENTICATING: Final = frozenset(("auth", "authenticate"))

_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)


class PolygonPlaces:
    """See `tickdeck.cassette.redaction.SecretPlaces`."""

    query_parameters: frozenset[str] = QUERY
    headers: frozenset[str] = HEADERS

    def in_message(self, payload: bytes) -> Sequence[Span]:
        """Secrets inside a client's text message or JSON request body, in order."""
        pairs = list(_pairs(payload))
        actions = {value for key, value, _, _ in pairs if key == "action"}
        fields = WHEN_AUTHENTICATING if actions & AUTHENTICATING else ALWAYS
        return [
            Span(start, end, value, f"message {key}")
            for key, value, start, end in pairs
            if key.lower() in fields
        ]


def _pairs(payload: bytes) -> Iterator[tuple[str, str, int, int]]:
    """Each key with its string value, and where the value's characters stand."""
    key: str | None = None
    behind = 0
    for token in _STRING.finditer(payload):
        text = _decoded(token[1])
        if token[2] is not None:
            key, behind = text, token.end()
        elif key is not None and not payload[behind : token.start()].strip():
            yield key, text, token.start(1), token.end(1)
            key = None


def _decoded(raw: bytes) -> str:
    text = raw.decode("utf-8", "surrogateescape")
    if "\\" not in text:
        return text
    try:
        value = json.loads(f'"{text}"')
    except ValueError:
        return text
    return value if isinstance(value, str) else text


PLACES: Final = PolygonPlaces()
