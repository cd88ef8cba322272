"""What is said of a request that no recording answers: what was asked, and the recording that came closest."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.asked import Difference, RequestKey, difference, text_fits
from tickdeck.mockserver.ignoring import parameter_rule
from tickdeck.mockserver.repeats import Recordings
from tickdeck.mockserver.targets import show_pair, show_path

LEFT_ASIDE: Final = "; to leave it aside: "
"""Between what is the matter and what could be written to be rid of it."""

_SHOWN: Final = 300

Known = Mapping[tuple[str, ...], Mapping[str, Sequence[Recordings]]]
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
    if methods is None:
        return _other_path(known, fact, asked.path)
    found = methods.get(asked.method) or (methods.get("GET") if asked.method == "HEAD" else None)
    if found is None:
        other = next(iter(methods.values()))[0]
        return Miss(f"{fact}; nearest: {other.key.method} of the same path", other.entries[0])
    nearest = min(found, key=lambda recordings: _distance(recordings.key, asked))
    return _other_question(fact, nearest, asked)


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


def _distance(recorded: RequestKey, asked: RequestKey) -> tuple[int, bool]:
    lacking, surplus = difference(recorded.query, asked.query)
    return len(lacking) + len(surplus), not text_fits(recorded.body, asked.body)


def _other_question(fact: str, nearest: Recordings, asked: RequestKey) -> Miss:
    differs = difference(nearest.key.query, asked.query)
    if not text_fits(nearest.key.body, asked.body):
        said = _differences(differs)
        return Miss(f"{fact}; nearest: {_same_path(said)} another body", nearest.entries[0])
    names = dict.fromkeys(name for name, _ in differs.surplus) if not differs.lacking else ()
    return Miss(
        f"{fact}; nearest: the same path {_differences(differs)}",
        nearest.entries[0],
        tuple(map(parameter_rule, names)),
    )


def _same_path(said: str) -> str:
    return f"the same path {said} and with" if said else "the same request with"


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
    recordings = next(iter(known[nearest].values()))[0]
    return Miss(f"{fact}; nearest: {show(recordings.key)}", recordings.entries[0])


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
