"""The recorded REST interactions, ready to be asked.

A recording is found by method, path and query; secrets are no part of a request's
identity, the order of parameters is not, and the origin is not either, for several
upstream hosts serve the same paths. Clients add parameters of their own (defaults,
tracing), so a recording matches whoever asks for *at least* what was recorded, and
the recording that says most wins. How numbers and booleans are spelled is not
interpreted: `1` and `1.0` are different requests to the service, too. Request bodies
are not compared; the services recorded here are read with GET.

The same request may have been recorded many times. Which answer is due depends on
the repeats policy and on where one course of playback stands; that state lies in a
`Visits` value which the timeline owns, never on the shelf. The shelf itself
remembers only what was never served, for the report.

An interaction whose response never began has no answer to give and is left off the
shelf. One that broke off later is served with what came (`Answer.complete` says so).
Recorded refusals (401, 404, 429 ...) are answers like others.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.targets import Pairs, decode_pairs, segments, show_pair, show_path, split_target

_FIRST_FINAL_STATUS: Final = 200
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks: path and query raw, as they stand on the request line."""

    method: str
    path: str
    query: Pairs = ()

    @classmethod
    def of(cls, method: str, target: str) -> Asked:
        """From a request line's target, ``/v3/trades/AAPL?limit=50``, or an absolute URL."""
        return cls(method, *split_target(target))


class Repeats(enum.StrEnum):
    """Which of several recordings of one request answers."""

    BY_TIME = "by-time"
    """The newest that was complete at the playhead's position, else the earliest."""
    IN_ORDER = "in-order"
    """The next one at each visit, then the last again."""
    CYCLE = "cycle"
    """The next one at each visit, then the first again."""
    ERROR = "error"
    """The next one at each visit, then a miss."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing answers: ``sentence`` says so to a person, ``nearest`` is the recording that came closest."""

    sentence: str
    nearest: Interaction | None = None


_Key = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Visits:
    """How often each recorded request was answered in one course of playback."""

    counts: Counter[_Key] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Slot:
    """All recordings of one request: in order of sequence, and in order of their end."""

    key: _Key
    query: Counter[tuple[str, str]]
    entries: Sequence[Interaction]
    by_end: Sequence[Interaction]
    ends: Sequence[int]

    @property
    def size(self) -> int:
        return self.query.total()


class Shelf:
    """Interactions by request.

    ``secret_parameters`` are names of query parameters that hold secrets, in lower
    case. ``position_ns`` of `find` counts from ``zero_ns``, the offset of the tape's
    zero.
    """

    def __init__(
        self, interactions: Iterable[Interaction], *, secret_parameters: frozenset[str], zero_ns: int = 0
    ) -> None:
        self._secret = secret_parameters
        self._zero_ns = zero_ns
        self._slots: dict[tuple[str, ...], dict[str, list[_Slot]]] = {}
        self._all: dict[int, Interaction] = {}
        grouped: dict[_Key, list[Interaction]] = {}
        for interaction in sorted(interactions, key=lambda each: each.seq):
            if interaction.status >= _FIRST_FINAL_STATUS:
                self._all[interaction.seq] = interaction
                grouped.setdefault(self._key(Asked.of(interaction.method, interaction.url)), []).append(
                    interaction
                )
        self.reset()
        for key, entries in grouped.items():
            method, path, query = key
            by_end = sorted(entries, key=lambda each: each.end_ns)
            slot = _Slot(key, Counter(query), entries, by_end, [each.end_ns for each in by_end])
            self._slots.setdefault(path, {}).setdefault(method, []).append(slot)

    def reset(self) -> None:
        """As if nothing had been served yet."""
        self._unplayed = dict(self._all)

    def find(self, asked: Asked, *, repeats: Repeats, position_ns: int, visits: Visits) -> Interaction | Miss:
        """The recording that answers, noted in ``visits``; or a `Miss`, which changes nothing."""
        method, path, query = self._key(asked)
        wanted = Counter(query)
        slot = self._match(method, path, wanted)
        if slot is None:
            return self._miss(method, path, wanted)
        visit = visits.counts[slot.key]
        if repeats is Repeats.ERROR and visit >= len(slot.entries):
            return _asked_too_often(slot)
        visits.counts[slot.key] += 1
        chosen = _choose(slot, repeats, visit=visit, offset_ns=position_ns + self._zero_ns)
        self._unplayed.pop(chosen.seq, None)
        return chosen

    def unplayed(self) -> tuple[Interaction, ...]:
        """What was never served, in order of recording."""
        return tuple(self._unplayed.values())

    def _key(self, asked: Asked) -> _Key:
        pairs = decode_pairs(asked.query)
        kept = sorted(pair for pair in pairs if pair[0].lower() not in self._secret)
        return asked.method.upper(), segments(asked.path), tuple(kept)

    def _match(self, method: str, path: tuple[str, ...], wanted: Counter[tuple[str, str]]) -> _Slot | None:
        methods = self._slots.get(path, {})
        for each in (method, "GET") if method == "HEAD" else (method,):
            fitting = [slot for slot in methods.get(each, ()) if slot.query <= wanted]
            if fitting:
                return max(fitting, key=lambda slot: slot.size)  # of equals, the one recorded first
        return None

    def _miss(self, method: str, path: tuple[str, ...], wanted: Counter[tuple[str, str]]) -> Miss:
        fact = f"no recording of {_show(method, path, wanted)}"
        methods = self._slots.get(path)
        if methods is None:
            return self._other_path(fact, path)
        slots = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if slots is None:
            other = next(iter(methods.values()))[0]
            return Miss(f"{fact}; nearest: {other.key[0]} of the same path", other.entries[0])
        nearest = min(slots, key=lambda slot: ((slot.query - wanted).total(), -slot.size))
        lacking = " and ".join(_clip(show_pair(pair)) for pair in sorted((nearest.query - wanted).elements()))
        return Miss(f"{fact}; nearest: the same path with {lacking}", nearest.entries[0])

    def _other_path(self, fact: str, path: tuple[str, ...]) -> Miss:
        if not self._slots:
            return Miss(f"{fact}; the shelf is empty")
        nearest = max(self._slots, key=lambda other: _likeness(path, other))
        if _likeness(path, nearest)[0] == 0:
            return Miss(f"{fact}; nothing recorded is near it")
        slot = next(iter(self._slots[nearest].values()))[0]
        method, parts, _ = slot.key
        return Miss(f"{fact}; nearest: {_show(method, parts, slot.query)}", slot.entries[0])


def _choose(slot: _Slot, repeats: Repeats, *, visit: int, offset_ns: int) -> Interaction:
    count = len(slot.entries)
    match repeats:
        case Repeats.BY_TIME:
            return slot.by_end[max(bisect_right(slot.ends, offset_ns) - 1, 0)]
        case Repeats.CYCLE:
            return slot.entries[visit % count]
        case _:
            return slot.entries[min(visit, count - 1)]


def _asked_too_often(slot: _Slot) -> Miss:
    count = len(slot.entries)
    times = "once" if count == 1 else f"{count} times"
    method, path, _ = slot.key
    return Miss(
        f"{_show(method, path, slot.query)} was asked more often than recorded ({times}); "
        "--repeats in-order gives the last answer again",
        slot.entries[-1],
    )


def _likeness(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[int, bool, int]:
    """Segments in common, equal depth, then how far into the first different segment they agree."""
    common = sum(1 for mine, theirs in zip(one, other, strict=False) if mine and mine == theirs)
    prefix = 0
    for mine, theirs in zip("/".join(one), "/".join(other), strict=False):
        if mine != theirs:
            break
        prefix += 1
    return common, len(one) == len(other), prefix


def _show(method: str, path: tuple[str, ...], query: Counter[tuple[str, str]]) -> str:
    pairs = "&".join(show_pair(pair) for pair in sorted(query.elements()))
    return _clip(f"{method} {show_path(path)}{'?' if pairs else ''}{pairs}")


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
