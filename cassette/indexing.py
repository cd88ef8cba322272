"""The questions a cassette asks of a dialect, and nothing else about it.

The event index of a chunk (where each event lies in its frame, and which channel
it is on) is made once, when the chunk is built, so that playing never parses
JSON. What an event is, and what its channel is called, only the dialect knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tickdeck.cassette.records import Sender

STATUS = ""
"""The channel of an event that belongs to the conversation, not to the market: it is never on the tape."""


class Event(NamedTuple):
    """One JSON object inside a frame: bytes ``[start, end)`` of the payload, and its channel (``T.AAPL``)."""

    start: int
    end: int
    channel: str


class Index(NamedTuple):
    """The events of several frames, one behind the other.

    ``counts`` says how many each frame has; event ``e`` is bytes ``[starts[e], ends[e])`` of the
    payload of its frame, on ``channels[e]``.
    """

    counts: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]
    channels: Sequence[str]


class Holding(NamedTuple):
    """A track came to hold a channel (``T.AAPL``, ``AM.*``), or ceased to."""

    channel: str
    held: bool


class Indexer(Protocol):
    """A dialect, as far as a chunk needs it."""

    @property
    def name(self) -> str:
        """The dialect's name, as it stands in the header."""
        ...

    @property
    def revision(self) -> int:
        """Rises whenever the same payload would be indexed otherwise; stored beside every index."""
        ...

    def events(self, payload: bytes) -> Sequence[Event] | None:
        """The events of a server frame, in order; ``None`` if it is no array of objects (the frame is opaque)."""
        ...

    def index(self, payloads: Sequence[bytes]) -> Index | None:
        """The same for several frames at once, all of which have events, and of the market only.

        ``None`` where that is not so, or where it is no quicker than one by one.
        """
        ...

    def holdings(self, sender: Sender, payload: bytes) -> Sequence[Holding]:
        """What this text frame changes about the channels its track holds (an acknowledgement does)."""
        ...
