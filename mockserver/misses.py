"""What is said of a request that no recording answers: what was asked, and the recording that came closest."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.asked import Difference, RequestKey, difference, text_fits
from tickdeck.mockserver.bodies import Canonical
from tickdeck.mockserver.fields import told
from tickdeck.mockserver.ignoring import parameter_rule
from tickdeck.mockserver.repeats import Recordings
from tickdeck.mockserver.targets import Pairs, show_pair, show_path
from tickdeck.mockserver.variants import Variants

LEFT_ASIDE: Final = "; to leave it aside: "
"""Between what is the matter and what could be written to be rid of it."""

_SHOWN: Final = 300
_MOST_PLACES: Final = 5
_PLAIN: Final = re.compile(r"[^.\[\]'*?]+")

Known = Mapping[tuple[str, ...], Mapping[str, Sequence[Variants]]]
"""All recordings by path and method."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing answers: ``fact`` says so to a person, ``nearest`` is the recording that came closest.

    ``surplus`` are the rules (``query:cursor``) that would have to leave parameters aside
    for ``nearest`` to answer, where nothing else differs.
    """

    fact: str
    nearest: Interaction | None = None
    surplus: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The fact, and what would leave aside what is surplus."""
        if not self.surplus:
            return self.fact
        flags = " ".join(f"--ignore {shlex.quote(rule)}" for rule in self.surplus)
        return f"{self.fact}{LEFT_ASIDE}{flags}"


def miss(known: Known, asked: RequestKey) -> Miss:
    """Why nothing that is known answers."""
    fact = f"no recording of {show(asked)}"
    methods = known.get(asked.path)
    if methods is None:  # a path in which a secret was redacted may be this one
        methods = next((found for path, found in known.items() if text_fits(path, asked.path)), None)
    if methods is None:
        return _other_path(known, fact, asked.path)
    found = methods.get(asked.method) or (methods.get("GET") if asked.method == "HEAD" else None)
    if found is None:
        other = next(iter(methods.values()))[0]
        return Miss(f"{fact}; nearest: {other.key.method} of the same path", other.first)
    nearest = min(found, key=lambda variants: _distance(variants.key, asked))
    return _other_question(fact, nearest, asked)


def miss_by_fields(found: Variants, asked: RequestKey, fields: Pairs) -> Miss:
    """Why no recording of a request answers it: all were made with other header fields, and are no whole answers."""
    made = told(found.groups[0].key.fields, fields)
    own = told(fields, ())
    return Miss(
        f"no recording of {show(asked)}{' ' if own else ''}{own}; nearest: the same request {made}",
        found.first,
    )


def asked_too_often(found: Recordings) -> Miss:
    """A request that was recorded, but not as often."""
    count = len(found.entries)
    times = "once" if count == 1 else f"{count} times"
    return Miss(
        f"{show(found.key)} was asked more often than recorded ({times}); "
        "--repeats in-order gives the last answer again",
        found.entries[-1],
    )


def show(key: RequestKey) -> str:
    """A request in one printable line: ``GET /v3/trades/AAPL?limit=10``."""
    pairs = "&".join(map(show_pair, key.query))
    return _clip(f"{key.method} {show_path(key.path)}{'?' if pairs else ''}{pairs}")


def _distance(recorded: RequestKey, asked: RequestKey) -> tuple[int, bool, bool]:
    lacking, surplus = difference(recorded.query, asked.query)
    return (
        len(lacking) + len(surplus),
        not text_fits(recorded.body, asked.body),
        not text_fits(recorded.bound, asked.bound),
    )


def _other_question(fact: str, nearest: Variants, asked: RequestKey) -> Miss:
    recorded = nearest.key
    differs = difference(recorded.query, asked.query)
    said = [_differences(differs)]
    if not text_fits(recorded.body, asked.body):
        places = list(islice(_places(recorded.body, asked.body, "$"), _MOST_PLACES))
        where = f" (it differs at {', '.join(places)})" if places and places != ["$"] else ""
        said.append(f"with another body{where}")
    if not text_fits(recorded.bound, asked.bound):
        said.append(told(recorded.bound, asked.bound))
    only_surplus = differs.surplus and not differs.lacking and len(said) == 1
    names = dict.fromkeys(name for name, _ in differs.surplus) if only_surplus else {}
    names = {} if "" in names else names  # no rule can be written for a parameter without a name
    return Miss(
        f"{fact}; nearest: the same {'path' if said[0] else 'request'} {' and '.join(filter(None, said))}",
        nearest.first,
        tuple(map(parameter_rule, names)),
    )


def _places(recorded: Canonical, asked: Canonical, at: str) -> Iterator[str]:
    """The paths at which two bodies of JSON or two forms differ; never what stands there."""
    ours, theirs = _members(recorded), _members(asked)
    if ours is None or theirs is None or _kind(recorded) != _kind(asked):
        if not text_fits(recorded, asked):
            yield at
        return
    for name in sorted({**ours, **theirs}):
        if name in ours and name in theirs:
            yield from _places(ours[name], theirs[name], at + name)
        else:
            yield at + name


def _kind(body: Canonical) -> Canonical:
    return body[0] if isinstance(body, tuple) else ""


def _members(body: Canonical) -> dict[str, Canonical] | None:
    """What is in an object, an array or a form, by the step that leads to it."""
    if not isinstance(body, tuple) or _kind(body) not in ("object", "array", "form"):
        return None
    if _kind(body) == "array":
        return {f"[{index}]": each for index, each in enumerate(body[1:])}
    pairs = [(_step(str(pair[0])), pair[1]) for pair in body[1:] if isinstance(pair, tuple)]
    if _kind(body) == "object":
        return dict(pairs)
    fields: dict[str, Canonical] = {}
    for step, value in pairs:  # a form may have several fields of one name
        fields[step] = (fields[step], value) if step in fields else value
    return fields


def _step(name: str) -> str:
    plain = _clip(name) if name.isprintable() and name.isascii() else _clip(ascii(name)[1:-1])
    return f".{plain}" if _PLAIN.fullmatch(plain) else f"['{plain}']"


def _differences(differs: Difference) -> str:
    """``with limit=10 and without cursor=abc``; a parameter with another value is not told twice."""
    names = {name for name, _ in differs.lacking}
    surplus = [pair for pair in differs.surplus if pair[0] not in names]
    parts = (("with", differs.lacking), ("without", surplus))
    return " and ".join(f"{word} {_pairs(pairs)}" for word, pairs in parts if pairs)


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return " and ".join(_clip(show_pair(pair)) for pair in pairs)


def _other_path(known: Known, fact: str, path: tuple[str, ...]) -> Miss:
    if not known:
        return Miss(f"{fact}; the shelf is empty")
    nearest = max(known, key=lambda other: _likeness(path, other))
    if _likeness(path, nearest)[0] == 0:
        return Miss(f"{fact}; nothing recorded is near it")
    variants = next(iter(known[nearest].values()))[0]
    return Miss(f"{fact}; nearest: {show(variants.key)}", variants.first)


def _likeness(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[int, bool, int]:
    """Segments in common, equal depth, then how far into the first different segment they agree."""
    common = sum(1 for mine, theirs in zip(one, other, strict=False) if mine and mine == theirs)
    prefix = 0
    for mine, theirs in zip("/".join(one), "/".join(other), strict=False):
        if mine != theirs:
            break
        prefix += 1
    return common, len(one) == len(other), prefix


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
