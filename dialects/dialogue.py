"""The client's side of a Polygon conversation: what to say next, and what the answers mean.

The service pushes a greeting, answers the key once, and answers each channel with a
status event or with silence (an unknown topic), in any framing: acknowledgements may
share a frame with each other, with the auth reply and with data. `not authorized`
names no channel. So nothing is read from the shape of a frame, only from the status
events in it; and which channels were refused is what is left when the rest has been
acknowledged.

Frames without a status event, which is nearly all of them, are not parsed.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tickdeck.dialects.advice import EVICTIONS, what_to_do
from tickdeck.dialects.channels import normalise

_STATUS: Final = b'"status"'
_ACKNOWLEDGED: Final = "subscribed to: "
_NOT_AUTHORIZED: Final = "not authorized"


class Stage(enum.Enum):
    """How far the conversation has come."""

    GREETING = "greeting"
    AUTH = "answer to the key"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Say:
    """Send this text message."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """The key is good."""


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """It is not; the service says why in these words."""

    words: str


@dataclass(frozen=True, slots=True)
class ChannelsTaken:
    """These channels were acknowledged."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChannelsRefused:
    """These are known to be refused; none is named while it is still open which."""

    channels: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Evicted:
    """The service ends this connection in favour of another one; ``advice`` is what to do."""

    words: str
    advice: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """The service ends this connection for what was done on it; dialling again is right."""

    words: str
    advice: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """Another error status."""

    words: str


@dataclass(frozen=True, slots=True)
class Market:
    """The frame holds market data."""


Step: TypeAlias = (
    Say | KeyTaken | KeyRefused | ChannelsTaken | ChannelsRefused | Evicted | LetGo | Complaint | Market
)


class Dialogue:
    """One connection's conversation."""

    def __init__(self, key: str, channels: Iterable[str]) -> None:
        self._key = key
        self._asked = tuple(dict.fromkeys(normalise(channel) for channel in channels))
        self._open = dict.fromkeys(self._asked)
        self._refusals = 0
        self.words = ""
        self.stage = Stage.GREETING

    @property
    def open(self) -> tuple[str, ...]:
        """The channels without an answer of their own so far."""
        return tuple(self._open)

    @property
    def refusals(self) -> int:
        """How many refusals came that named no channel."""
        return self._refusals

    def receive(self, payload: bytes) -> list[Step]:
        """What a text message of the service means, in order."""
        if _STATUS not in payload:
            return [Market()]
        steps: list[Step] = []
        for event in _events(payload):
            if event.get("ev") == "status" or (not event.get("ev") and "status" in event):
                steps += self._status(str(event.get("status", "")), str(event.get("message", "")))
            else:
                steps.append(Market())
        return steps

    def _status(self, status: str, message: str) -> list[Step]:
        if advice := what_to_do(status):
            kind = Evicted if status in EVICTIONS else LetGo
            return [kind(message.strip() or status, advice)]
        match self.stage, status:
            case Stage.GREETING, "connected":
                self.stage = Stage.AUTH
                return [Say(_action("auth", self._key))]
            case ((Stage.GREETING | Stage.AUTH), ("auth_failed" | "auth_timeout" | "error")):
                return [KeyRefused(message)]
            case Stage.AUTH, ("auth_success" | "success"):
                self.stage = Stage.READY
                asked = [Say(_action("subscribe", ",".join(self._asked)))] if self._asked else []
                return [KeyTaken(), *asked]
            case Stage.READY, "success" if message.startswith(_ACKNOWLEDGED):
                return self._acknowledged(message.removeprefix(_ACKNOWLEDGED))
            case Stage.READY, "error" if message == _NOT_AUTHORIZED:
                self._refusals += 1
                self.words = message
                return self._refused()
            case Stage.READY, ("auth_failed" | "auth_timeout"):
                return [KeyRefused(message)]
            case Stage.READY, "error":
                return [Complaint(message)]
            case _:
                return []

    def _acknowledged(self, channel: str) -> list[Step]:
        name = normalise(channel.strip())
        if name not in self._asked:
            return []
        self._open.pop(name, None)
        return [ChannelsTaken((name,)), *self._refused()]

    def _refused(self) -> list[Step]:
        """Once as many are left as were refused, the ones that are left are the refused ones."""
        if not self._refusals or self._refusals < len(self._open):
            return []
        refused = self.open
        self._open.clear()
        return [ChannelsRefused(refused, self.words)] if refused else []


def _action(action: str, params: str) -> bytes:
    return json.dumps({"action": action, "params": params}, separators=(",", ":")).encode()


def _events(payload: bytes) -> list[dict[str, object]]:
    try:
        events = json.loads(payload)
    except (ValueError, RecursionError):
        return []
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
