"""The secrets that are replaced by value, wherever they turn up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tickdeck.cassette.sieve import Sieve
from tickdeck.cassette.spelling import Spelling

MOST_PASSING: Final = 64
"""So many cookies are looked for by value, the newest: a service may set another with each answer."""


class Watched:
    """What is looked for. What one look costs does not grow with the number of secrets."""

    def __init__(self) -> None:
        self._sieve = Sieve()
        self._spellings: dict[str, Spelling] = {}
        self._passing: list[str] = []

    def add(self, secret: str, *, passing: bool) -> None:
        """Look for this one from now on; a ``passing`` one until many others have come."""
        if secret in self._spellings:
            if not passing and secret in self._passing:
                self._passing.remove(secret)
            return
        spelling = self._spellings[secret] = Spelling(secret)
        self._sieve.add(secret, spelling.wanted)
        if passing:
            self._passing.append(secret)
            if len(self._passing) > MOST_PASSING:
                gone = self._passing.pop(0)
                self._sieve.remove(gone)
                del self._spellings[gone]

    def may_be_in(self, data: bytes) -> bool:
        """Whether one of them can stand in ``data``; if not, none does."""
        return bool(self._sieve.windows(data))

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where any of them stands; they may overlap."""
        found = self._sieve.windows(data).items()
        return [span for secret, windows in found for span in self._spellings[secret].spans(data, windows)]

    def replaced(self, data: bytes, placeholder: Callable[[str, int], bytes]) -> bytes:
        """``data`` with what ``placeholder`` gives for a secret and the number of times it was found."""
        windows = self._sieve.windows(data)
        for secret in sorted(windows, key=len, reverse=True):
            spans = self._spellings[secret].spans(data, windows.get(secret, ()))
            if spans:
                data = _replaced(data, spans, placeholder(secret, len(spans)))
                windows = self._sieve.windows(data)
        return data


def _replaced(data: bytes, spans: Sequence[tuple[int, int]], placeholder: bytes) -> bytes:
    pieces: list[bytes] = []
    kept_to = 0
    for start, end in spans:
        pieces += [data[kept_to:start], placeholder]
        kept_to = end
    return b"".join([*pieces, data[kept_to:]])
