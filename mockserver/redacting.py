"""What a player prints, returns and keeps of its clients, without their secrets.

Everything a client says is looked through first, so that a secret which stands in its
place once (a Bearer token) is hidden wherever else the same request has it (its path,
a parameter of another name). The rules are those of a recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar, cast

from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.cassette.redaction import SHORTEST, Redactor, SecretPlaces
from tickdeck.mockserver.journal import Entry

MOST_HEADS: Final = 1024
"""Heads of requests that are known to bring nothing new: a client sends the same one every time."""

_V = TypeVar("_V")


class Secrets:
    """Learns from what clients send, and cleans what is told. ``known`` are secrets from the start."""

    def __init__(self, places: SecretPlaces, *, known: Iterable[str] = ()) -> None:
        self._redactor = Redactor(places, known=known)
        self._heads: set[HeaderPairs] = set()

    def learn(self, *, url: str, headers: HeaderPairs, body: bytes = b"") -> None:
        """Know the secrets of a request."""
        seen = headers in self._heads
        if not seen:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            self._heads.add(headers)
        elif "=" not in url and "@" not in url and not body:
            return
        asked = () if seen and not body else headers
        self._redactor.learn(
            Interaction(0, 0, 0, 0, 0, "GET", url, 0, request_headers=asked, request_body=body)
        )

    def learn_message(self, text: str) -> None:
        """Know the secrets of what a client said on its socket."""
        self._redactor.clean_text(text)

    def clean(self, value: _V) -> _V:
        """The same value without secrets: a text, or what is made of texts."""
        return cast(_V, self._clean(value))

    def entry(self, entry: Entry) -> Entry:
        """An entry of the journal without secrets."""
        parts = {name: self._clean(part) for name, part in entry.parts.items()}
        return entry if parts == entry.parts else replace(entry, parts=parts)

    def _clean(self, value: object) -> object:
        match value:
            case str():
                return self._redactor.clean_text(value) if len(value) >= SHORTEST or "=" in value else value
            case Mapping():
                return {self._clean(name): self._clean(part) for name, part in value.items()}
            case list():
                return [self._clean(part) for part in value]
            case tuple() if type(value) is tuple:
                return tuple(self._clean(part) for part in value)
        return value
