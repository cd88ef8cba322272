"""What a service's own words teach while they are recorded.

Only from what is certain: the greeting, the replies to a good key and to a bad one
(each a frame with nothing else in it), how an acknowledgement is spelled, and whether
several of them travel together. The last is told from the answers to one request alone,
for two requests sent back to back are answered in two frames by any service. Whether a
key is good is not learned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from tickdeck.cassette.records import Sender
from tickdeck.dialects.acks import spelling
from tickdeck.dialects.channels import normalise
from tickdeck.dialects.jsontext import read, read_objects, text_of
from tickdeck.dialects.polygon_events import acknowledgements
from tickdeck.dialects.profiles import (
    ACCEPTED,
    FRAMING,
    GREETING,
    LONGEST_STATUS,
    REFUSED,
    Framing,
    is_acceptance,
    is_greeting,
    is_refusal,
)

REMEMBERED = 16
"""How many requests are kept to tell their acknowledgements apart."""


ALL = frozenset((GREETING, ACCEPTED, FRAMING))
"""Who knows these has heard all that a connection teaches."""


class _Request:
    """A request for several channels, and in how many frames of one each it was acknowledged."""

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self.alone = 0


class ProfileLearner:
    """Listens to one track, in order."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._greeted = False
        self._spelled = False
        self._done = False
        self._requests: deque[_Request] = deque(maxlen=REMEMBERED)

    def feed(self, sender: Sender, payload: bytes) -> Mapping[str, str] | None:
        """Hear one text frame; all that is known by now, if this frame taught something."""
        if self._done:
            return None
        before = len(self._values)
        if sender is Sender.CLIENT:
            self._asked(payload)
        elif b'"status"' in payload:
            self._answered(payload)
        if sender is Sender.SERVER:
            self._greeted = True
        self._done = self._values.keys() >= ALL
        return dict(self._values) if len(self._values) > before else None

    def _asked(self, payload: bytes) -> None:
        if FRAMING in self._values:
            return
        try:
            message = read(payload)
        except ValueError:
            return
        if not isinstance(message, dict) or message.get("action") not in ("subscribe", "unsubscribe"):
            return
        names = (text_of(message, "params") or "").split(",")
        channels = frozenset(normalise(name.strip()) for name in names)
        if len(channels) > 1:
            self._requests.append(_Request(channels))

    def _answered(self, payload: bytes) -> None:
        if not self._greeted or ACCEPTED not in self._values:
            self._learn_status(payload)
        if not self._spelled and (spelled := spelling(payload)) is not None:
            self._spelled = True
            self._values.update(spelled)
        if FRAMING not in self._values and self._requests:
            self._learn_framing([channel for channel, _ in acknowledgements(payload)])

    def _learn_status(self, payload: bytes) -> None:
        if len(payload) > LONGEST_STATUS:
            return
        try:
            objects, text = read_objects(payload), payload.decode("utf-8")
        except ValueError:
            return
        if len(objects) > 1:
            return
        if not self._greeted and is_greeting(objects[0]):
            self._values[GREETING] = text
        elif is_acceptance(objects[0]):
            self._values.setdefault(ACCEPTED, text)
        elif is_refusal(objects[0]):
            self._values.setdefault(REFUSED, text)

    def _learn_framing(self, acknowledged: list[str]) -> None:
        for request in self._requests:
            answered = len(request.channels.intersection(acknowledged))
            request.alone += answered == 1 and len(acknowledged) == 1
            if answered > 1:
                self._values[FRAMING] = Framing.TOGETHER.value
            elif request.alone > 1:
                self._values[FRAMING] = Framing.APART.value
            if FRAMING in self._values:
                self._requests.clear()
                return
