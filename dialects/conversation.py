"""The service's side of one connection, as a state machine.

A table of states and actions says what is answered; a missing cell is a misstep. The
service meets what it does not understand with silence (an unknown topic, most of
all), so a misstep says nothing on the wire: it is reported instead, for a helpful
error would be a wrong one. An unknown ticker is acknowledged, a channel that is held
already is not answered, and a refusal names no channel.

    state          auth     subscribe   unsubscribe
    CONNECTED      _auth    -           -
    AUTHENTICATED  -        _subscribe  _unsubscribe
    CLOSED         (nobody is there to hear an answer)

What a client sends counts in any grouping: actions may be pipelined, and parameters
are a set. Nothing is remembered from one connection to the next.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, TypeAlias

from tickdeck.dialects.acks import Acks
from tickdeck.dialects.channels import WILDCARD, normalise
from tickdeck.dialects.credentials import secret_in_message
from tickdeck.dialects.effects import (
    Authenticated,
    Drop,
    Effect,
    Hang,
    Misstep,
    Refused,
    Say,
    Subscribed,
    Unsubscribed,
)
from tickdeck.dialects.jsontext import JsonObject, read, text_of
from tickdeck.dialects.markets import DEFAULT_MARKET, NO_WILDCARD, topics_of
from tickdeck.dialects.profiles import Framing, Wording
from tickdeck.dialects.statuses import Status, frame, render
from tickdeck.dialects.subscriptions import Subscriptions

__all__ = [
    "Authenticated",
    "Conversation",
    "Drop",
    "Effect",
    "Hang",
    "Keys",
    "Misstep",
    "Refused",
    "Say",
    "State",
    "Subscribed",
    "Unsubscribed",
]

LONGEST_FRAME: Final = 1_000_000
"""Bytes; a client of the vendor's reads no more at once."""

LONGEST_CHANNEL: Final = 1_000
"""Characters; what is longer is no channel, and is not repeated in an acknowledgement."""


LONGEST_SHOWN: Final = 64
"""Characters of a client's words that a misstep repeats."""


POLICY_VIOLATION: Final = 1008
"""The close code that was seen when the vendor turned a connection out (RFC 6455 7.4.1)."""


class State(enum.Enum):
    """How far a conversation has come."""

    CONNECTED = "connected"
    AUTHENTICATED = "authenticated"
    CLOSED = "closed"


@dataclass(slots=True)
class Keys:
    """Who is let in, by socket and by REST.

    ``good`` of ``None`` is any key that is not empty; those in ``bad`` are refused,
    and with ``closed`` every key is.
    """

    good: frozenset[str] | None = None
    bad: frozenset[str] = frozenset()
    closed: bool = False

    def accepts(self, key: str) -> bool:
        """Whether a key is good, exactly as it was sent."""
        return (
            key != "" and not self.closed and key not in self.bad and (self.good is None or key in self.good)
        )

    def refuse(self, keys: frozenset[str] | None, refuse: bool) -> None:
        """Refuse these (``None``: all) from now on, or no longer."""
        if keys is None:
            self.closed = refuse
        else:
            self.bad = self.bad | keys if refuse else self.bad - keys


@dataclass(slots=True)
class _Sorted:
    """The parameters of a subscribe, by what becomes of them."""

    refused: list[str]
    new: list[str]
    missteps: list[Misstep]


class Conversation:
    """One connection. ``also`` are topics to be known besides those of the market."""

    def __init__(
        self,
        wording: Wording,
        *,
        market: str = DEFAULT_MARKET,
        keys: Keys | None = None,
        not_entitled: Subscriptions | None = None,
        also: AbstractSet[str] = frozenset(),
    ) -> None:
        self.state = State.CONNECTED
        self.key: str | None = None
        self.market = market
        self.subscriptions = Subscriptions()
        self._wording = wording
        self._keys = keys or Keys()
        self._not_entitled = not_entitled or Subscriptions()
        self._topics = topics_of(market) | also

    def open(self) -> list[Effect]:
        """The client is connected."""
        return [Say(self._wording.greeting)]

    def receive(self, payload: bytes) -> list[Effect]:
        """The client sent a text message."""
        if self.state is State.CLOSED:
            return []
        try:
            message = read(payload)
        except ValueError:
            return [Misstep("malformed", f"a message of {len(payload)} bytes that is no JSON")]
        if not isinstance(message, dict):
            return [Misstep("malformed", f"a message of {len(payload)} bytes that is no JSON object")]
        return self._act(message)

    def receive_binary(self, payload: bytes) -> list[Effect]:
        """The client sent a binary message."""
        if self.state is State.CLOSED:
            return []
        return [Misstep("binary", f"a binary message of {len(payload)} bytes")]

    def auth_timeout(self) -> list[Effect]:
        """The time to authenticate is up; nothing happens to a client that did."""
        if self.state is not State.CONNECTED:
            return []
        self.state = State.CLOSED
        return [Say(frame([render(Status.AUTH_TIMEOUT)])), Drop()]

    def evicted(self) -> list[Effect]:
        """Another connection of the same key took this one's place (PROTOCOL 1.3: said to the older one, then 1008)."""
        self.state = State.CLOSED
        return [Say(frame([render(Status.MAX_CONNECTIONS)])), Hang(POLICY_VIOLATION)]

    def too_slow(self) -> list[Effect]:
        """The client does not read what it is sent."""
        self.state = State.CLOSED
        return [Say(frame([render(Status.SLOW_CONSUMER)])), Hang(POLICY_VIOLATION)]

    def _act(self, message: JsonObject) -> list[Effect]:
        misstep = secret_in_message(message)
        answer = self._answer(message)
        return answer if misstep is None else [misstep, *answer]

    def _answer(self, message: JsonObject) -> list[Effect]:
        action = text_of(message, "action")
        answer = _TABLE.get((self.state, action or ""))
        if answer is None:
            return [self._out_of_place(action)]
        params = text_of(message, "params")
        if params is None:
            return [Misstep("params", f"{action} with params that are no text")]
        return list(answer(self, params))

    def _out_of_place(self, action: str | None) -> Misstep:
        if action is None:
            return Misstep("malformed", "a message without an action")
        if action not in _ACTIONS:
            return Misstep("unknown-action", f"an action {self._shown(action)}")
        if action == "auth":
            return Misstep("second-auth", "auth when already authenticated")
        return Misstep("before-auth", f"{action} before auth")

    def _auth(self, key: str) -> Iterator[Effect]:
        if self._keys.accepts(key):
            self.state, self.key = State.AUTHENTICATED, key
            yield Say(self._wording.accepted)
            yield Authenticated(key)
        else:
            self.state = State.CLOSED
            yield Say(self._wording.refused)
            yield Refused(key)
            yield Drop()

    def _subscribe(self, params: str) -> Iterator[Effect]:
        asked = self._sorted(_channels(params))
        refusals = [render(Status.NOT_AUTHORIZED)] * len(asked.refused)
        yield from self._say([*refusals, *map(self._wording.acks.subscribed, asked.new)])
        if asked.new:
            yield Subscribed(tuple(asked.new))
        yield from asked.missteps

    def _unsubscribe(self, params: str) -> Iterator[Effect]:
        gone = [channel for channel in _channels(params) if self.subscriptions.discard(channel)]
        yield from self._say([self._wording.acks.unsubscribed(channel) for channel in gone])
        if gone:
            yield Unsubscribed(tuple(gone))

    def _sorted(self, channels: list[str]) -> _Sorted:
        asked = _Sorted([], [], [])
        for channel in channels:
            if (misstep := self._not_a_channel(channel)) is not None:
                asked.missteps.append(misstep)
            elif self._not_entitled.wants(channel):
                asked.refused.append(channel)
            elif self.subscriptions.add(channel):
                asked.new.append(channel)
        if not channels:
            asked.missteps.append(Misstep("params", "subscribe that names no channel"))
        return asked

    def _not_a_channel(self, channel: str) -> Misstep | None:
        topic, dot, symbol = channel.partition(".")
        if len(channel) > LONGEST_CHANNEL:
            return Misstep("params", f"a channel {self._shown(channel)}")
        if not dot or topic not in self._topics:
            return Misstep(
                "unknown-topic", f"a channel {self._shown(channel)}, which {self.market} does not know"
            )
        if symbol == WILDCARD and (self.market, topic) in NO_WILDCARD:
            return Misstep(
                "not-offered", f"a channel {self._shown(channel)}, which {self.market} does not offer"
            )
        return None

    def _say(self, objects: list[bytes]) -> Iterator[Effect]:
        if self._wording.framing is Framing.APART:
            groups: Iterable[list[bytes]] = ([each] for each in objects)
        else:
            groups = _fitting(objects, self._wording.acks)
        for group in groups:
            yield Say(self._wording.acks.frame(group))

    def _shown(self, text: str) -> str:
        """A client's words as they may be repeated: not before its key is known, never the key, and not at length."""
        if self.key is None or self.key in text or len(text) > LONGEST_SHOWN:
            return f"of {len(text)} characters"
        return ascii(text)


_Answer: TypeAlias = Callable[[Conversation, str], Iterator[Effect]]

_TABLE: Final[dict[tuple[State, str], _Answer]] = {
    (State.CONNECTED, "auth"): Conversation._auth,
    (State.AUTHENTICATED, "subscribe"): Conversation._subscribe,
    (State.AUTHENTICATED, "unsubscribe"): Conversation._unsubscribe,
}
_ACTIONS: Final = frozenset(action for _, action in _TABLE)


def _channels(params: str) -> list[str]:
    """The channels that are named, each once, in the order of their first naming."""
    names = (normalise(name.strip()) for name in params.split(","))
    return list(dict.fromkeys(name for name in names if name))


def _fitting(objects: list[bytes], acks: Acks) -> Iterator[list[bytes]]:
    """The objects in runs that each fit into a frame."""
    run: list[bytes] = []
    size = acks.around
    for each in objects:
        if run and size + len(acks.separator) + len(each) > LONGEST_FRAME:
            yield run
            run, size = [], acks.around
        run.append(each)
        size += len(each) + len(acks.separator)
    if run:
        yield run
