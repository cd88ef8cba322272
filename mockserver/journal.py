"""What clients did to the server, and what became of it: typed, in order, each with its place on the tape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    ``kind`` is that of the JSON line (``subscribed``, ``left`` ...). ``now_ns`` is the
    server's clock, ``position_ns`` the playhead's (``None`` when there was no timeline
    yet, -1 before its start), ``cursor`` the sequence of the next frame this client
    could be sent: the place where it took effect.
    """

    kind: str
    now_ns: int
    position_ns: int | None = None
    cursor: int | None = None
    client: int | None = None
    timeline: int | None = None
    parts: Mapping[str, object] = field(default_factory=dict)


class Journal:
    """All entries of a server, in order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Note it."""
        self.entries.append(entry)
