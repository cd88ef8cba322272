"""Where a client says who it is, and what it must not say: the secret key of its account.

The service knows an account by its key alone (the 2019 page: by the Alpaca API key id)
and never wants the secret that belongs to it. Alpaca's own services want both, and a client
that was made for those sends both everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tickdeck.cassette.records import HeaderPairs
from tickdeck.dialects.effects import Misstep
from tickdeck.dialects.jsontext import JsonObject

KEY_PARAMETERS: Final = frozenset({"apikey", "key_id"})
SECRET_FIELDS: Final = frozenset({"secret", "secret_key", "secretkey"})
SECRET_PARAMETERS: Final = SECRET_FIELDS | {"apca-api-secret-key"}
SECRET_HEADER: Final = b"apca-api-secret-key"

_BEARER: Final = "bearer "


def key_of(query: Iterable[tuple[str, str]], headers: HeaderPairs) -> str | None:
    """The API key of a request, from where the service looks for it; ``None`` if there is none."""
    for name, value in query:
        if name.lower() in KEY_PARAMETERS and value:
            return value
    field = next((value for name, value in headers if name.lower() == b"authorization"), b"")
    said = field.decode("utf-8", "surrogateescape")
    return said[len(_BEARER) :].strip() or None if said.lower().startswith(_BEARER) else None


def secret_in_request(query: Iterable[tuple[str, str]], headers: HeaderPairs) -> Misstep | None:
    """The misstep that it is to send the secret key of an account with a request; ``None`` if none was."""
    if any(name.lower() == SECRET_HEADER and value.strip() for name, value in headers):
        return _misstep(f"the header {SECRET_HEADER.decode().upper()}")
    found = (name for name, value in query if name.lower() in SECRET_PARAMETERS and value)
    return next((_misstep(f"the parameter {name}") for name in found), None)


def secret_in_message(message: JsonObject) -> Misstep | None:
    """The same for a message on a socket; the secret may also stand one level down."""
    nested = (part for part in message.values() if isinstance(part, dict))
    found = (
        name for part in (message, *nested) for name, value in part.items() if value and _is_secret(name)
    )
    return next((_misstep(f"the field {name}") for name in found), None)


def _misstep(place: str) -> Misstep:
    return Misstep(
        "secret-key", f"the secret key of an account in {place}; the service wants its key id alone"
    )


def _is_secret(name: str) -> bool:
    return name.lower() in SECRET_FIELDS
