"""What kind of value each option is written as, so that a wrong one is a sentence and not a traceback.

What the values mean is not known here: `tickdeck.mockserver.options` reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tickdeck.cassette.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value, in words, and what tells it."""

    words: str
    holds: Callable[[object], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Fraction) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)


def _are_texts(value: object) -> bool:
    """One text, or several; what can be gone through only once is not gone through here."""
    return isinstance(value, Iterable) and not isinstance(value, bytes | Mapping)


def _are_stubs(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(request, str) and isinstance(body, str | bytes | os.PathLike | Mapping)
        for request, body in value.items()
    )


_SECONDS: Final = Kind("a number of seconds", _is_number)
_COUNT: Final = Kind("a whole number", _is_whole)
_TEXT: Final = Kind("a text", _is_text)
_FILE: Final = Kind("the path of a file", _is_path)
_LATENCY: Final = Kind(
    "recorded, none, a duration like 200ms, or a number of seconds",
    lambda value: _is_text(value) or _is_number(value),
)
_TEXTS: Final = Kind("a text, or a list of texts", _are_texts)
_CHOICE: Final = Kind("True or False", lambda value: isinstance(value, bool))
_STUBS: Final = Kind(
    "a mapping of 'GET /path' to a file or the bytes of a body, or to its body, status, headers, times",
    _are_stubs,
)

KINDS: Final[Mapping[str, Kind]] = {
    "start_on": _TEXTS,
    "settle": _SECONDS,
    "begin": _TEXT,
    "end": _TEXT,
    "idle_cap": _SECONDS,
    "time_shift": _TEXT,
    "rest_latency": _LATENCY,
    "ignore": _TEXTS,
    "match": _TEXTS,
    "stubs": _STUBS,
    "profile": _TEXT,
    "keys": _TEXTS,
    "reject_keys": _TEXTS,
    "not_entitled": _TEXTS,
    "max_connections": _COUNT,
    "feed": _TEXT,
    "host": _TEXT,
    "port": _COUNT,
    "auth_timeout": _SECONDS,
    "tls": _CHOICE,
    "tls_cert": _FILE,
    "tls_key": _FILE,
    "deflate": _CHOICE,
    "token": _TEXT,
    "journal": _FILE,
}
"""Those that are one of a few words are not here: they are looked up among these words."""

MAY_BE_NONE: Final = frozenset(
    ("begin", "end", "idle_cap", "time_shift", "rest_latency", "profile", "keys", "max_connections", "feed")
) | {"tls_cert", "tls_key", "token", "journal"}
"""What may be left out by saying so."""


def check_kinds(words: Mapping[str, object]) -> None:
    """`UsageError` for the first value of another kind than its option has."""
    for name, kind in KINDS.items():
        if name not in words or (words[name] is None and name in MAY_BE_NONE):
            continue
        if not kind.holds(words[name]):
            raise UsageError(f"{name.replace('_', ' ')} wants {kind.words}, not {words[name]!r}")
