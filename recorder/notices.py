"""What the recorder has to say while it works, as values; a person or a JSON line is made of them in `deck`.

Every text in them has passed redaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import ClassVar, TypeAlias

from tickdeck.recorder.meters import Flow


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to say; ``kind`` is its name in a JSON line."""

    kind: ClassVar[str] = "notice"

    def values(self) -> dict[str, object]:
        """Its parts, for a JSON line."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Listening(Notice):
    """The proxy takes connections: REST at ``http``, sockets at ``ws`` (``feed`` is ``HOST:PORT``)."""

    kind: ClassVar[str] = "listening"
    http: str
    ws: str
    feed: str


@dataclass(frozen=True, slots=True)
class StoodStill(Notice):
    """The recorder could do nothing for so long: what came meanwhile is stamped when it was read."""

    kind: ClassVar[str] = "stood_still"
    seconds: float


@dataclass(frozen=True, slots=True)
class ClockMoved(Notice):
    """The wall clock was set, or the machine slept: it is that much further (less, if negative) than time passed."""

    kind: ClassVar[str] = "clock_moved"
    seconds: float


@dataclass(frozen=True, slots=True)
class Kept(Notice):
    """What a ring held is kept, in these segments."""

    kind: ClassVar[str] = "kept"
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recovered(Notice):
    """What a recorder that was killed had left of the recording that goes on is sealed, under this name."""

    kind: ClassVar[str] = "recovered"
    name: str
    records: int


@dataclass(frozen=True, slots=True)
class OtherHost(Notice):
    """The command asked for a host that is not the vendor's: whether it was let through."""

    kind: ClassVar[str] = "other_host"
    host: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Lack(Notice):
    """Something that cannot be done here, and how it could."""

    kind: ClassVar[str] = "lack"
    message: str


@dataclass(frozen=True, slots=True)
class Progress(Notice):
    """Once a second: what was taken so far; ``pauses`` are waits for a slow disk."""

    kind: ClassVar[str] = "progress"
    frames: int
    bytes: int
    interactions: int
    tracks: int
    tracks_open: int
    pauses: int
    flow: Flow = field(default_factory=Flow)

    def values(self) -> dict[str, object]:
        return _flat(self)


@dataclass(frozen=True, slots=True)
class TrackStarted(Notice):
    """A WebSocket connection was made."""

    kind: ClassVar[str] = "track"
    track: int
    market: str


@dataclass(frozen=True, slots=True)
class TrackEnded(Notice):
    """A WebSocket connection ended: ``code`` is ``None`` when it was lost without a close frame."""

    kind: ClassVar[str] = "track_ended"
    track: int
    market: str
    code: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Dropped(Notice):
    """The service ended a connection for a reason that it gave in ``words``; ``advice`` is what to do."""

    kind: ClassVar[str] = "dropped"
    track: int
    market: str
    words: str
    advice: str


@dataclass(frozen=True, slots=True)
class Answered(Notice):
    """A path of ``--get`` was answered."""

    kind: ClassVar[str] = "answered"
    path: str
    status: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Authenticated(Notice):
    """The service took the key."""

    kind: ClassVar[str] = "authenticated"
    market: str


@dataclass(frozen=True, slots=True)
class Acknowledged(Notice):
    """The service said that it sends these channels."""

    kind: ClassVar[str] = "subscribed"
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused(Notice):
    """The service will not send these channels, in its own ``words``."""

    kind: ClassVar[str] = "refused"
    channels: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Unacknowledged(Notice):
    """The service has not said anything about these channels."""

    kind: ClassVar[str] = "unacknowledged"
    channels: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Quiet(Notice):
    """No event came for so long."""

    kind: ClassVar[str] = "quiet"
    market: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Lost(Notice):
    """The connection to a market is gone; the next attempt is made after ``retry_seconds``."""

    kind: ClassVar[str] = "lost"
    market: str
    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Outage(Notice):
    """Nobody listened to a market for so long; it is on the cassette."""

    kind: ClassVar[str] = "gap"
    market: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble(Notice):
    """Something went wrong; the recorder goes on."""

    kind: ClassVar[str] = "error"
    message: str


@dataclass(frozen=True, slots=True)
class Unreached(Trouble):
    """The upstream did not answer."""


@dataclass(frozen=True, slots=True)
class Rejected(Notice):
    """What came was no request: so many ``times`` since this ``sentence`` was last said."""

    kind: ClassVar[str] = "rejected"
    sentence: str
    times: int


@dataclass(frozen=True, slots=True)
class Report(Notice):
    """The end: what the cassette holds, and what there is to know about it.

    ``verdict`` is empty, or the reason why this recording is no success although
    nothing failed (``no events``, ``no request``, ``nothing``). ``segments`` are its files, where it has several;
    ``path`` is then a pattern. ``left_out`` are frames that were not wanted. ``sealed`` is false when only the unsealed
    recording could be left. ``redactions`` counts by placeholder and place.
    ``failed_because`` is why the exit code will not be 0, in a word.
    """

    kind: ClassVar[str] = "report"
    path: str
    sealed: bool
    frames: int
    bytes: int
    interactions: int
    tracks: int
    gaps: int
    pauses: int
    errors: int = 0
    refused: tuple[str, ...] = ()
    unacknowledged: tuple[str, ...] = ()
    redactions: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    verdict: str = ""
    segments: tuple[str, ...] = ()
    left_out: int = 0
    failed_because: str | None = None
    flow: Flow = field(default_factory=Flow)

    def values(self) -> dict[str, object]:
        return _flat(self)


@dataclass(frozen=True, slots=True)
class Metrics(Notice):
    """The numbers for Prometheus have a port of their own."""

    kind: ClassVar[str] = "metrics"
    url: str


Notify: TypeAlias = Callable[[Notice], None]


def _flat(notice: Progress | Report) -> dict[str, object]:
    """Its parts, and those of its flow, as one."""
    values = asdict(notice)
    flow: dict[str, object] = values.pop("flow")
    return {**values, **flow}


def cleaned(notice: Notice, clean_text: Callable[[str], str]) -> Notice:
    """The same notice, with every text in it redacted."""
    changes: dict[str, object] = {}
    for each in fields(notice):
        value = getattr(notice, each.name)
        if isinstance(value, str):
            changes[each.name] = clean_text(value)
        elif isinstance(value, tuple):
            changes[each.name] = tuple(clean_text(text) for text in value)
    return replace(notice, **changes) if changes else notice
