"""Request targets, taken apart so that two spellings of one request are one value.

`/v3/trades/BRK%2EB?limit=10` and `/v3/trades/BRK.B?limit=10` ask for the same.
Decoding happens segment by segment, so that an encoded slash stays inside its
segment and cannot be mistaken for a border. Whatever is shown to a person is
encoded again: a target comes from a stranger and may hold line breaks.
"""

from __future__ import annotations

import re
from typing import Final

Pairs = tuple[tuple[str, str], ...]

_INDEX: Final = re.compile(r"\[[0-9]*\]$")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9\-._~!$'()*,:;@/]")
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")


def unquote(text: str) -> str:
    """Percent-decoded once; bytes that are no UTF-8 are kept apart as surrogates."""
    if "%" not in text:
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda hit: bytes([int(hit[1], 16)]), raw).decode("utf-8", "surrogateescape")


def quote(text: str) -> str:
    """Percent-encoded for showing and for writing: printable ASCII only."""
    raw = text.encode("utf-8", "surrogateescape")
    return _UNSAFE.sub(lambda hit: b"%%%02X" % hit[0][0], raw).decode("ascii")


def segments(path: str) -> tuple[str, ...]:
    """A raw path as its decoded segments."""
    return tuple(unquote(segment) for segment in path.split("/"))


def split_target(target: str) -> tuple[str, Pairs]:
    """A raw target (or an absolute URL) as its raw path and its raw query pairs, in order."""
    path, _, query = _ORIGIN.sub("", target, count=1).partition("#")[0].partition("?")
    return path or "/", split_query(query)


def split_query(query: str) -> Pairs:
    """A raw query, or a form, as its raw pairs, in order."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return tuple((name, value) for name, _, value in pairs)


def decode_pairs(pairs: Pairs) -> Pairs:
    """Raw query pairs, decoded; a plus is a space."""
    return tuple((unquote(name.replace("+", " ")), unquote(value.replace("+", " "))) for name, value in pairs)


def singular(name: str) -> str:
    """The name of a parameter in lower case, without the brackets of one of which there are several: ``apiKey[]``."""
    return _INDEX.sub("", name).lower()


def show_path(parts: tuple[str, ...]) -> str:
    """Decoded segments as a path that can be printed."""
    return "/".join(quote(part).replace("/", "%2F") for part in parts)


def show_pair(pair: tuple[str, str]) -> str:
    """A decoded query pair as it can be printed: ``limit=10``."""
    return f"{quote(pair[0])}={quote(pair[1])}"
