"""Header fields of a request as values that are equal where they ask for the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tickdeck.cassette.records import HeaderPairs
from tickdeck.mockserver.targets import Pairs

_SEPARATOR: Final = re.compile(r"\s*([,;])\s*")
_TAG: Final = re.compile(r'(?:W/)?("[^"]*"|\*)')
_TAGS: Final = frozenset(("if-match", "if-none-match"))
_SHOWN: Final = 100


def fields_of(headers: HeaderPairs, wanted: Callable[[str], bool]) -> Pairs:
    """Those that are wanted (by their name in lower case), sorted; several of one name are one."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        lower = name.decode("latin-1").lower()
        if wanted(lower):
            found.setdefault(lower, []).append(value.decode("utf-8", "surrogateescape"))
    return tuple(sorted((name, _value(name, ", ".join(values))) for name, values in found.items()))


def _value(name: str, text: str) -> str:
    """Spaces around commas say nothing; entity tags are a set, compared weakly (RFC 9110, 13.1)."""
    if name in _TAGS and (tags := _TAG.findall(text)):
        return ",".join(sorted(set(tags)))
    return _SEPARATOR.sub(r"\1", " ".join(text.split()))


def quality(accept: str, media_type: str) -> float:
    """How welcome a media type is to a client with this `Accept` field (RFC 9110, 12.5.1); 0 is not at all."""
    kind = media_type.partition("/")[0]
    by_range = dict(map(_range, accept.lower().split(",")))
    ranges = (media_type, f"{kind}/*", "*/*")
    return next((by_range[each] for each in ranges if each in by_range), 0.0)


def _range(text: str) -> tuple[str, float]:
    name, _, parameters = text.partition(";")
    weight = re.search(r"(?:^|;)\s*q=([0-9.]+)", parameters)
    try:
        return name.strip(), float(weight[1]) if weight else 1.0
    except ValueError:
        return name.strip(), 1.0


def told(fields: Pairs, others: Pairs) -> str:
    """Fields that differ from those of another: ``with accept: text/csv and without range``."""
    ours, theirs = dict(fields), dict(others)
    names = [name for name in sorted({**ours, **theirs}) if ours.get(name) != theirs.get(name)]
    held = [f"{name}: {_printable(ours[name])}" for name in names if name in ours]
    parts = (("with", held), ("without", [name for name in names if name not in ours]))
    return " and ".join(f"{word} {' and '.join(each)}" for word, each in parts if each)


def _printable(text: str) -> str:
    shown = text if text.isprintable() and text.isascii() else ascii(text)[1:-1]
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
