"""Reading JSON that somebody else wrote, without trusting it.

A copy is parsed to route and to decide, never to be sent on. Two things that a hostile
or merely odd text could do are ruled out: a number of thousands of digits is read
without harm, and brackets nested until the interpreter gives up are no JSON.
"""

from __future__ import annotations

import json
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"

DECODER: Final = json.JSONDecoder(parse_int=float)
"""Numbers are not looked at; as floats none has too many digits to be read."""


def read(payload: bytes) -> Json:
    """The value of a UTF-8 text. Raises `ValueError` if it is none."""
    value: Json
    try:
        value = DECODER.decode(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    return value


def read_objects(payload: bytes) -> list[JsonObject]:
    """The objects of a frame. Raises `ValueError` if it is no array of objects, one at least."""
    found = read(payload)
    if not isinstance(found, list) or not found:
        raise ValueError("it is no array of objects")
    objects = [value for value in found if isinstance(value, dict)]
    if len(objects) < len(found):
        raise ValueError("it is no array of objects")
    return objects


def text_of(value: JsonObject, key: str) -> str | None:
    """The text under a key; ``None`` if there is none."""
    found = value.get(key)
    return found if isinstance(found, str) else None


def sayable(text: str) -> str:
    """The text without what JSON can spell and UTF-8 cannot (half a surrogate pair)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
