"""What the rest of the house asks of a dialect, so that no other room knows a service by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from tickdeck.cassette.indexing import Indexer
from tickdeck.cassette.records import HeaderPairs, Sender
from tickdeck.cassette.redaction import SecretPlaces
from tickdeck.dialects.dialogue import Dialogue
from tickdeck.dialects.effects import Misstep
from tickdeck.dialects.moments import Shift
from tickdeck.dialects.profiles import Wording
from tickdeck.dialects.restrequests import Pairs
from tickdeck.dialects.timefields import Stretch


class Learner(Protocol):
    """Listens to one track and learns how the service words its part."""

    def feed(self, sender: Sender, payload: bytes) -> Mapping[str, str] | None:
        """All that is known by now, if this text frame taught something."""
        ...


class Mover(Protocol):
    """Moves what the service said in time, by one shift; only digits change."""

    @property
    def shift(self) -> Shift:
        """By how much."""
        ...

    def event(self, event: bytes) -> bytes:
        """One event."""
        ...

    def stretch(self, stretch: Stretch) -> bytes | None:
        """Many frames at once, as long as they were; ``None`` if it has to be done event by event."""
        ...

    def body(self, body: bytes) -> bytes:
        """The body of a REST answer, of JSON."""
        ...

    def asked_back(self, path: Sequence[str], query: Pairs) -> tuple[tuple[str, ...], Pairs]:
        """The decoded segments and parameters of a request, moved back."""
        ...


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

    @property
    def places(self) -> SecretPlaces:
        """Where secrets stand."""
        ...

    def is_harmless(self, name: str, value: str, path: Sequence[str]) -> bool:
        """Whether this query parameter changes no answer of this path (its segments, decoded)."""
        ...

    @property
    def origins(self) -> tuple[str, ...]:
        """Every origin the service is or was known by."""
        ...

    @property
    def upstream_http(self) -> str:
        """The REST origin to record from."""
        ...

    @property
    def markets(self) -> tuple[str, ...]:
        """The paths of its sockets."""
        ...

    @property
    def default_market(self) -> str:
        """What ``/`` is taken for where nothing else decides."""
        ...

    @property
    def feeds(self) -> tuple[str, ...]:
        """The host words of its sockets; the first is the default."""
        ...

    @property
    def profiles(self) -> tuple[str, ...]:
        """The names of its wordings; the first is the default."""
        ...

    def upstream_ws(self, feed: str) -> str:
        """The socket origin of a feed to record from."""
        ...

    def advice(self, payload: bytes) -> tuple[str, str] | None:
        """The words and what to do, if this message of the service announces the end of its connection."""
        ...

    def feed_of(self, host: str) -> str:
        """The feed that a host name stands for; nothing if it is not the service's."""
        ...

    def market_of(self, path: str) -> str | None:
        """The market that a request path names; ``None`` if it names none."""
        ...

    def zone_of(self, market: str) -> str:
        """The exchange zone of a market, by its IANA name."""
        ...

    def event_time_ns(self, event: bytes) -> int | None:
        """When an event says it was, in nanoseconds since 1970."""
        ...

    def key_of(self, query: Iterable[tuple[str, str]], headers: HeaderPairs) -> str | None:
        """The API key of a request; ``None`` if it has none."""
        ...

    def misplaced_secret(self, query: Iterable[tuple[str, str]], headers: HeaderPairs) -> Misstep | None:
        """The misstep that a request is because of a secret that the service does not want, if it has one."""
        ...

    def mover(self, shift: Shift) -> Mover:
        """What moves events and bodies by this shift."""
        ...

    def wording(self, name: str | None, learned: Mapping[str, str]) -> Wording:
        """The named wording; with no name, the default with what a cassette learned laid over it."""
        ...

    def learner(self) -> Learner:
        """A new listener for one track."""
        ...

    def dialogue(self, key: str, channels: Iterable[str]) -> Dialogue:
        """The client's side of one connection."""
        ...
