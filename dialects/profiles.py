"""How the service words things in one era.

The same conversation was worded differently over the years, and old clients check
words: alpaca-trade-api 0.34 accepts ``success``/``authenticated`` alone, 0.35 to
1.3.0 ``auth_success``/``authenticated`` alone. A profile is one era's wording; a
cassette may carry what was learned while it was recorded, which overlays the
default: the greeting, the replies to a good key and to a bad one, and the spelling and
framing of acknowledgements. What REST says of a bad key is looked up on the shelf, where
recorded answers are.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.acks import COMPACT, SEPARATOR, SUBSCRIBED, Acks, acks_of
from tickdeck.dialects.jsontext import JsonObject, read_objects, text_of
from tickdeck.dialects.statuses import NO_SOCKETS, Status, frame, render


class Framing(enum.StrEnum):
    """How several acknowledgements travel: ``together`` in one frame, or each in one of its own."""

    TOGETHER = "together"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Wording:
    """All that a conversation needs to know of an era.

    ``greeting``, ``accepted`` and ``refused`` are whole frames; ``bad_key`` is what
    REST says of a bad key. ``learned`` names what a cassette overlaid, ``notes``
    say what of it could not be used.
    """

    name: str
    greeting: bytes
    accepted: bytes
    refused: bytes
    bad_key: str
    framing: Framing = Framing.TOGETHER
    acks: Acks = COMPACT
    learned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _wording(name: str, accepted: Status, refused: Status, bad_key: str) -> Wording:
    greeting = frame([render(Status.CONNECTED)])
    return Wording(name, greeting, frame([render(accepted)]), frame([render(refused)]), bad_key)


_INVALID: Final = "invalid API key"

PROFILES: Final = {
    wording.name: wording
    for wording in (
        _wording("polygon", Status.AUTHENTICATED, Status.KEY_INVALID, _INVALID),
        _wording("alpaca-2019", Status.AUTHENTICATED_2019, Status.KEY_INVALID, _INVALID),
        _wording("massive-2026", Status.AUTHENTICATED, Status.KEY_REFUSED, "Unknown API Key"),
    )
}
"""By name; the first is the default."""

DEFAULT: Final = PROFILES["polygon"]

LEARNED: Final = "learned"
"""The name of the default wording with what a cassette learned laid over it."""

GREETING: Final = "greeting"
ACCEPTED: Final = "auth_success"
REFUSED: Final = "auth_failed"
FRAMING: Final = "acks"
"""Keys of what is learned: the first three are whole frames as text, the last a `Framing`; see also `acks`."""

LONGEST_STATUS: Final = 4096
"""No greeting or reply is longer, in bytes; what is, is not learned."""


def profile(name: str) -> Wording:
    """The wording of that name. Raises `UsageError` for a name that is none."""
    if name not in PROFILES:
        raise UsageError(f"no profile is called {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]


def wording(name: str | None, learned: Mapping[str, str]) -> Wording:
    """The named wording as it is; with no name, the default with what a cassette learned laid over it."""
    return profile(name) if name is not None else overlay(DEFAULT, learned)


def overlay(base: Wording, learned: Mapping[str, str]) -> Wording:
    """A wording with what was learned laid over it; a value that is not sound is left out, with a note."""
    made = base
    for key, value in learned.items():
        try:
            made = _laid_over(made, key, value)
        except ValueError as error:
            made = replace(made, notes=(*made.notes, f"learned {key} is not used: {error}"))
    return made


def _laid_over(base: Wording, key: str, value: str) -> Wording:
    made = replace(base, name=LEARNED, learned=(*base.learned, key))
    if key == GREETING:
        return replace(made, greeting=_lone_status(value, is_greeting))
    if key == ACCEPTED:
        return replace(made, accepted=_lone_status(value, is_acceptance))
    if key == REFUSED:
        return replace(made, refused=_lone_status(value, is_refusal))
    if key == SUBSCRIBED:
        return replace(made, acks=acks_of(_short(value), separator=base.acks.separator))
    if key == SEPARATOR:
        return replace(made, acks=base.acks.separated_by(_short(value)))
    if key == FRAMING:
        return replace(made, framing=_framing(value))
    raise ValueError("this release knows no such thing")


def _framing(value: str) -> Framing:
    if value not in list(Framing):
        raise ValueError(f"it is neither {' nor '.join(Framing)}")
    return Framing(value)


def _lone_status(value: str, is_right: Callable[[JsonObject], bool]) -> bytes:
    payload = _short(value).encode("utf-8", "replace")
    objects = read_objects(payload)
    if len(objects) > 1 or not is_right(objects[0]):
        raise ValueError("it is not that status alone")
    return payload


def _short(value: str) -> str:
    if len(value.encode("utf-8", "replace")) > LONGEST_STATUS:
        raise ValueError(f"it is longer than {LONGEST_STATUS} bytes")
    return value


def is_greeting(event: JsonObject) -> bool:
    """Whether an event is what the service says first."""
    return _status_of(event) == "connected"


def is_acceptance(event: JsonObject) -> bool:
    """Whether an event is the reply to a good key, in any era."""
    status = _status_of(event)
    return status == "auth_success" or (status == "success" and event.get("message") == "authenticated")


def is_refusal(event: JsonObject) -> bool:
    """Whether an event is the reply to a bad key, in any era; a key whose plan has no sockets is a good one."""
    message = event.get("message")
    if _status_of(event) == "auth_failed":
        return not str(message).startswith(NO_SOCKETS)
    return _status_of(event) == "error" and message == Status.KEY_REFUSED_AS_ERROR.message


def _status_of(event: JsonObject) -> str | None:
    """The status of a status event that has a message, which clients insist on."""
    if event.get("ev") != "status" or text_of(event, "message") is None:
        return None
    return text_of(event, "status")
