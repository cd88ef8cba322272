"""The words of a playback's options, each a value: what starts it, what ends it, what happens in between."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias


class StartOn(enum.StrEnum):
    """What starts a timeline."""

    CONNECT = "connect"
    AUTH = "auth"
    SUBSCRIBE = "subscribe"
    CONTROL = "control"
    """Only the control's ``resume``."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Start when all of these are held: exact, whatever a bot's timing."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clients:
    """Start when so many clients of one timeline hold a subscription."""

    count: int


Start: TypeAlias = StartOn | Channels | Clients


class TimelineOf(enum.StrEnum):
    """Who shares a playhead: all sockets and requests of an API key, everybody, or nobody."""

    KEY = "key"
    SHARED = "shared"
    CONNECTION = "connection"


class OnReturn(enum.StrEnum):
    """What a client finds that comes back when its timeline has nobody left.

    ``auto``: after a loss that the server caused it resumes; after the client's own
    leaving the tape starts anew.
    """

    AUTO = "auto"
    RESUME = "resume"
    REWIND = "rewind"


class AtEnd(enum.StrEnum):
    """What happens at the end of the tape."""

    HOLD = "hold"
    """Sockets stay open and silent."""
    CLOSE = "close"
    """Sockets are closed with 1000."""
    LOOP = "loop"
    """The tape begins anew, at the very moment of its end."""


class Gaps(enum.StrEnum):
    """What a recorded outage becomes."""

    SILENCE = "silence"
    """As long as it was, and told."""
    DISCONNECT = "disconnect"
    """The sockets of its market are lost where it begins."""
    SKIP = "skip"
    """The tape goes on behind it, or at the first frame of another market within it."""


class SlowClient(enum.StrEnum):
    """What becomes of a client whose unread data has grown beyond `tickdeck.mockserver.session.SLOW_BYTES`."""

    WAIT = "wait"
    """Its cursor lags; what is late goes out as its socket drains."""
    DISCONNECT = "disconnect"
    """It is dropped, as the vendor does: a status, then close code 1008."""


class EventLoop(enum.StrEnum):
    """Which event loop serves: ``auto`` is uvloop if it can be imported, else asyncio's."""

    AUTO = "auto"
    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"
