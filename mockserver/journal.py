"""What clients did to the server, and what became of it: typed, in order, each with its place on the tape."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tickdeck.cassette.errors import TickdeckError

KEPT: Final = 100_000
"""Entries in memory; of a longer journal the latest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    ``kind`` is that of the JSON line (``subscribed``, ``left`` ...). ``now_ns`` is the
    server's clock, ``position_ns`` the playhead's (``None`` when there was no timeline
    yet, -1 before its start), ``cursor`` the place of the next frame this client could
    be sent (`tickdeck.mockserver.course`): where it took effect.
    """

    kind: str
    now_ns: int
    position_ns: int | None = None
    cursor: int | None = None
    client: int | None = None
    timeline: int | None = None
    parts: Mapping[str, object] = field(default_factory=dict)

    @property
    def doer(self) -> str:
        """Who did it, in words: a client, or a request."""
        if self.client is None and "url" in self.parts:
            return f"{self.parts.get('method')} {self.parts['url']}"
        return f"client {self.client}"


class Scratch(os.PathLike[str]):
    """The file of a journal that only serves to explain a failure: it is not synced, and without it the run goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failure: str | None = None
        """Why the run could not be kept, if that is so."""

    def __fspath__(self) -> str:
        return str(self._path)

    def failed(self, error: TickdeckError) -> None:
        """The disk takes no more."""
        self.failure = str(error)


class Journal:
    """The entries of a server, in order. ``lost`` counts those that were let go for later ones."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.lost = 0

    def add(self, entry: Entry) -> None:
        """Note it."""
        self.lost += len(self.entries) == KEPT
        self.entries.append(entry)

    def clear(self) -> None:
        """Forget all of it."""
        self.entries.clear()
        self.lost = 0
