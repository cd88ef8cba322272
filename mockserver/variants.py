"""Recordings of one request that were made with different header fields, and those of them that answer.

What the recorded answers' `Vary` names, `Range` and the conditional fields of RFC 9110
(13.1) choose; they make no miss where a whole answer was recorded. Where no recording
was made with the fields of a request, one made without `Range` and conditions answers,
and is said to be a variant. What only a field can have brought about (a part, `304`,
`412`, `416`) never answers a request without it.

Fields that differ from client to client and change no data take no part: credentials,
cookies, `User-Agent`, `Origin`, and `Accept-Encoding`, which `answers` sees to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.mockserver.asked import Asked, RequestKey, text_fits
from tickdeck.mockserver.fields import fields_of, quality, told
from tickdeck.mockserver.repeats import Recordings
from tickdeck.mockserver.targets import Pairs

CONDITIONAL: Final = frozenset(
    ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
)
_NEVER: Final = frozenset(("user-agent", "origin", "accept-encoding", "*"))
_BROUGHT_ABOUT_BY: Final = {
    206: frozenset(("range",)),
    304: frozenset(("if-none-match", "if-modified-since")),
    412: frozenset(("if-match", "if-unmodified-since", "if-none-match")),
    416: frozenset(("range",)),
}


class Choice(NamedTuple):
    """The recordings that answer; ``variant`` says how they were made differently, or is empty."""

    recordings: Recordings
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Variants:
    """All recordings of one request: ``names`` are the fields that choose, ``groups`` those made with equal ones."""

    key: RequestKey
    names: frozenset[str]
    groups: tuple[Recordings, ...]
    whole: Mapping[Pairs, Recordings]
    """Those groups, by their fields, in which every recording answers whoever has these fields."""

    @classmethod
    def of(
        cls, key: RequestKey, entries: Sequence[Interaction], *, chooses: Callable[[str], bool]
    ) -> Variants:
        """From the recordings in order of sequence; ``chooses`` tells whether a field may take part."""
        names = frozenset(filter(chooses, _naming(entries))) - _NEVER
        grouped: dict[Pairs, list[Interaction]] = {}
        for entry in entries:
            grouped.setdefault(fields_of(entry.request_headers, names.__contains__), []).append(entry)
        groups = {
            fields: Recordings.of(key._replace(fields=fields), made) for fields, made in grouped.items()
        }
        whole = {
            fields: each
            for fields, each in groups.items()
            if not any(entry.status in _BROUGHT_ABOUT_BY for entry in each.entries)
        }
        return cls(key, names, tuple(groups.values()), whole)

    @property
    def first(self) -> Interaction:
        """The recording that was made first."""
        return self.groups[0].entries[0]

    def fields(self, asked: Asked) -> Pairs:
        """Those of a request that choose."""
        return fields_of(asked.headers, self.names.__contains__)

    def choose(self, asked: Asked) -> Choice | None:
        """Those that answer a request; ``None`` if all were brought about by fields that it has not."""
        wanted = self.fields(asked)
        if (own := self.whole.get(wanted)) is not None:
            return Choice(own)
        able = [each for group in self.groups if (each := _able(group, asked, wanted)) is not None]
        if not able:
            return None
        best = max(able, key=lambda group: _likeness(group, wanted))
        if text_fits(best.key.fields, wanted):
            return Choice(best)
        return Choice(best, f"made {told(best.key.fields, wanted)}")


def _naming(entries: Sequence[Interaction]) -> Iterator[str]:
    """The fields that choose: of an answer that comes in several media types, `Accept` did it, said or not."""
    yield from CONDITIONAL
    for entry in entries:
        for name, value in entry.response_headers:
            if name.lower() == b"vary":
                yield from (part.strip().lower() for part in value.decode("latin-1").split(","))
    if len({_media_type(entry.response_headers) for entry in entries}) > 1:
        yield "accept"


def _media_type(headers: HeaderPairs) -> str:
    value = next((value for name, value in headers if name.lower() == b"content-type"), b"")
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def _conditions(fields: Pairs) -> Pairs:
    return tuple(pair for pair in fields if pair[0] in CONDITIONAL)


def _able(group: Recordings, asked: Asked, wanted: Pairs) -> Recordings | None:
    """Those of a group that can answer: whole ones, and where its conditions are those of the request, all."""
    same = text_fits(_conditions(group.key.fields), _conditions(wanted))
    held = frozenset(name.decode("latin-1").lower() for name, _ in asked.headers)

    def is_able(entry: Interaction) -> bool:
        causes = _BROUGHT_ABOUT_BY.get(entry.status)
        return causes is None or (same and not causes.isdisjoint(held))

    able = [entry for entry in group.entries if is_able(entry)]
    if len(able) == len(group.entries):
        return group
    return Recordings.of(group.key, able) if able else None


def _likeness(group: Recordings, wanted: Pairs) -> tuple[bool, bool, bool, float, int]:
    """Made with the same fields, without conditions, with the same ones; welcome; with how many equal fields."""
    fields, asked = group.key.fields, dict(wanted)
    conditions = _conditions(fields)
    welcome = quality(asked.get("accept", "*/*"), _media_type(group.entries[0].response_headers))
    equal = sum(text_fits(value, asked.get(name, "")) for name, value in fields)
    return (
        text_fits(fields, wanted),
        not conditions,
        text_fits(conditions, _conditions(wanted)),
        welcome,
        equal,
    )
