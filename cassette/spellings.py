"""The ways in which a secret may be spelled, so that it is found in each.

A key turns up as it is, percent-encoded in a URL, escaped in JSON, and inside base64
at any of three alignments. A secret long enough to be told from chance (16
characters) is looked for in all of these, in every byte that passes. The common
spellings are found by plain search, which is fast; mixed ones (any character may be
escaped) by a pattern, and only in text that has an escape in it at all.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 16
"""Characters; a shorter secret is replaced only where it stands in a listed place."""

STAGING: Final = "-staging"
"""What alpaca-trade-api appends to a key."""


def spellings(secret: str) -> list[bytes]:
    """The secret as it is and in each usual encoding, the longest first; base64 by its core, less the edges."""
    plain = secret.encode("utf-8", "surrogateescape")
    found = {plain, *_percent(secret), *_escaped(secret)}
    found.update(core for spelling in sorted(found) for core in _base64_cores(spelling))
    return sorted(found, key=lambda each: (-len(each), each))


def _percent(secret: str) -> Iterator[bytes]:
    for spelling in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield spelling.encode()
        yield re.sub("%[0-9A-F]{2}", lambda hit: hit[0].lower(), spelling).encode()


def _escaped(secret: str) -> Iterator[bytes]:
    for ascii_only in (True, False):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        for spelling in (escaped, escaped.replace("/", "\\/")):
            yield spelling.encode("utf-8", "surrogateescape")


def _base64_cores(plain: bytes) -> Iterator[bytes]:
    """What base64 makes of the bytes wherever they stand in a text: three alignments, less the edge characters."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + plain)
        first, last = -(-8 * before // 6), 8 * (before + len(plain)) // 6
        core = encoded[first:last]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def mixed(secrets: Iterable[str]) -> dict[str, re.Pattern[bytes]]:
    """By secret, a pattern that finds it with any of its characters escaped, by percent or as JSON."""
    return {secret: re.compile(b"".join(map(_any_spelling, secret))) for secret in secrets}


def _any_spelling(character: str) -> bytes:
    raw = character.encode("utf-8", "surrogateescape")
    percent = b"".join(b"%%%02X" % byte for byte in raw)
    units = character.encode("utf-16-be", "surrogatepass")
    escapes = "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)).encode()
    ways = [re.escape(raw), b"(?i:" + re.escape(percent) + b")", b"(?i:" + re.escape(escapes) + b")"]
    if character in '"\\/':
        ways.append(re.escape(b"\\" + raw))
    return b"(?:" + b"|".join(ways) + b")"
