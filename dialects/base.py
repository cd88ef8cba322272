"""What the rest of the house asks of a dialect."""

from __future__ import annotations

from typing import Protocol

from tickdeck.cassette.indexing import Indexer


class Dialect(Protocol):
    """A language spoken on the wire."""

    @property
    def name(self) -> str:
        """As it stands in a cassette's header."""
        ...

    @property
    def indexer(self) -> Indexer:
        """Events and holdings, for the cassette."""
        ...
