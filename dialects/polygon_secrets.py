"""Where secrets hide in a conversation with Polygon.io (PROTOCOL: the surfaces on which keys leak).

The key goes by many names. REST takes it as `apiKey` (seen as `apikey`, and as `key_id`
in 2019) or as a Bearer token; the socket's `auth` message carries it in `params`; the
Alpaca services that share these clients want `key` and `secret`, or `key_id` and
`secret_key`, or headers of their own. A client that spells a message wrongly still puts
its key into it, so the test is not whether a message is a good `auth`, but whether
`params` can be anything else: a list of channels, of a message that subscribes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tickdeck.cassette.spots import Spot, member_spots

CREDENTIALS: Final = frozenset(
    {
        "apikey",
        "api_key",
        "api-key",
        "key",
        "key_id",
        "keyid",
        "secret",
        "secret_key",
        "secretkey",
        "api_secret",
        "apisecret",
        "client_secret",
        "private_key",
        "password",
        "passwd",
        "passphrase",
        "signature",
        "sig",
        "x-amz-signature",
        "x-amz-security-token",
        "token",
        "access_token",
        "auth_token",
        "id_token",
        "refresh_token",
        "session_token",
        "oauth",
        "apca-api-key-id",
        "apca-api-secret-key",
    }
)
"""In a query, in a form, in JSON and as the parts of a multipart body alike."""

HEADERS: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "apca-api-key-id",
        "apca-api-secret-key",
        "x-api-key",
        "x-apikey",
        "api-key",
        "apikey",
        "x-auth-token",
        "x-access-token",
        "x-amz-security-token",
    }
)
MESSAGE_FIELDS: Final = frozenset(
    {"key", "secret", "key_id", "secret_key", "apikey", "api_key", "token", "access_token", "oauth"}
)

_PARAMS: Final = frozenset({"params"})
_QUOTE: Final = rb"\\*[\"']"
_ACTION: Final = _QUOTE + rb"action" + _QUOTE + rb"\s*:\s*" + _QUOTE
_ASKS_FOR_DATA: Final = re.compile(_ACTION + rb"(?:un)?subscribe\b")
_AUTHENTICATES: Final = re.compile(_ACTION + rb"auth", re.IGNORECASE)
_CHANNELS: Final = re.compile(r"\s*[A-Z]{1,5}\.[^\s,]+(?:\s*,\s*[A-Z]{1,5}\.[^\s,]+)*\s*,?\s*")
_PLACE: Final = "message"


class PolygonPlaces:
    """See `tickdeck.cassette.spots.SecretPlaces`."""

    query_parameters: Final = CREDENTIALS
    headers: Final = HEADERS
    body_fields: Final = CREDENTIALS

    def message_secrets(self, payload: bytes) -> Sequence[Spot]:
        """The secrets inside a client's message."""
        return sorted([*member_spots(payload, MESSAGE_FIELDS, _PLACE), *_in_params(payload)])


PLACES: Final = PolygonPlaces()


def _in_params(payload: bytes) -> list[Spot]:
    asks, authenticates = _ASKS_FOR_DATA.search(payload), _AUTHENTICATES.search(payload)
    if asks and not authenticates:
        return []
    spots = member_spots(payload, _PARAMS, _PLACE)
    if authenticates and not asks:
        return spots
    return [spot for spot in spots if not _CHANNELS.fullmatch(spot.secret)]
