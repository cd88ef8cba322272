"""What a dialect decides, as values; whoever holds the socket carries them out, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Say:
    """Send one text frame."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """Lose the connection abruptly: TCP ends and no close frame is sent."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Close the connection with a close frame."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The client is in; ``key`` is what it sent, exactly."""

    key: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The client's key is not good."""

    key: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The client came to hold these channels, in the order it asked for them."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The client let these channels go, in the order it asked for them."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Misstep:
    """The client said what the service would not have answered; nothing is said on the wire.

    ``kind`` is a word for programs, ``detail`` a sentence for a person; neither
    holds the client's key.
    """

    kind: str
    detail: str


Effect: TypeAlias = Say | Drop | Hang | Authenticated | Refused | Subscribed | Unsubscribed | Misstep
