"""Request bodies as values that are equal where they ask for the same.

JSON is equal whatever its spaces and the order of its members, and a form whatever the
order of its fields; anything else is equal byte by byte, in a multipart body but for the
boundary, which clients draw anew every time. Secrets take no part, nor does what the
user leaves aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, TypeAlias

from tickdeck.mockserver.ignoring import Step
from tickdeck.mockserver.targets import decode_pairs, singular, split_query

Canonical: TypeAlias = "str | bytes | Decimal | tuple[Canonical, ...]"
"""A value of tuples: ``("object", (name, value), ...)``, ``("array", ...)``, ``("form", (name, value), ...)``."""

Paths: TypeAlias = Sequence[tuple[Step, ...]]

_FORM: Final = re.compile(rb"\s*application/x-www-form-urlencoded", re.IGNORECASE)
_JSON: Final = re.compile(rb"[^;]*json", re.IGNORECASE)
_BOUNDARY: Final = re.compile(rb"\s*multipart/.*;\s*boundary=(?:\"([^\"]+)\"|([^\s;]+))", re.IGNORECASE)
_BRACKET: Final = re.compile(rb"\s*[\[{]")


def canonical(body: bytes, content_type: bytes, *, secrets: frozenset[str], ignored: Paths = ()) -> Canonical:
    """A plain body. ``secrets`` are names of fields, in lower case, whose texts take no part."""
    if not body:
        return body
    if _JSON.match(content_type) or _BRACKET.match(body):
        try:
            return _pruned(_parsed(body), secrets, ignored)
        except (ValueError, ArithmeticError, RecursionError):
            pass  # no JSON, or none that can be read: its bytes are what there is
    if _FORM.match(content_type):
        return _form(body, secrets, ignored)
    boundary = _BOUNDARY.match(content_type)
    return body.replace(b"--" + (boundary[1] or boundary[2]), b"--boundary") if boundary else body


class _Members(tuple[tuple[str, object], ...]):
    """Those of a JSON object in their order: of one name there may be several, and readers differ on which counts."""


def _parsed(body: bytes) -> object:
    return json.loads(body, parse_int=Decimal, parse_float=Decimal, object_pairs_hook=_Members)


def _form(body: bytes, secrets: frozenset[str], ignored: Paths) -> Canonical:
    pairs = decode_pairs(split_query(body.decode("utf-8", "surrogateescape")))
    kept = (pair for pair in pairs if singular(pair[0]) not in secrets and not _is_named(pair[0], ignored))
    return ("form", *sorted(kept))


def _is_named(name: str, ignored: Paths) -> bool:
    return any(len(path) == 1 and path[0].leads_to(name) for path in ignored)


def _pruned(value: object, secrets: frozenset[str], ignored: Paths) -> Canonical:
    """A parsed JSON value, of which ``ignored`` are the paths that go on from here."""
    if isinstance(value, _Members):
        members = (
            (name, _pruned(member, secrets, _beyond(name, ignored)))
            for name, member in value
            if not _is_left_out(name, ignored) and not (isinstance(member, str) and singular(name) in secrets)
        )
        return ("object", *sorted(members, key=lambda member: member[0]))
    if isinstance(value, list):
        elements = enumerate(value)
        return (
            "array",
            *(
                _pruned(element, secrets, _beyond(index, ignored))
                for index, element in elements
                if not _is_left_out(index, ignored)
            ),
        )
    return value if isinstance(value, str | Decimal) else (json.dumps(value),)


def _is_left_out(key: str | int, ignored: Paths) -> bool:
    return any(len(path) == 1 and path[0].leads_to(key) for path in ignored)


def _beyond(key: str | int, ignored: Paths) -> Paths:
    """The paths that go on below a member or element."""
    return [path for each in ignored for path in _onward(key, each)] if ignored else ()


def _onward(key: str | int, path: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    if path[0].deep:
        yield path
    if len(path) > 1 and path[0].leads_to(key):
        yield path[1:]
