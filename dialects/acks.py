"""How acknowledgements are spelled: the order of keys, and the spaces.

Some clients take an acknowledgement apart by its text, so one is made as the recorded
ones were. What is learned is the text of a frame that acknowledges one subscription, with
``{channel}`` where the channel stood, and what stood between two objects of a frame. An
object with further keys is no model: what stands under them may change from channel to
channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii
from typing import Final

from tickdeck.dialects.jsontext import JsonObject, read_objects
from tickdeck.dialects.polygon_events import events

SUBSCRIBED: Final = "subscribed"
SEPARATOR: Final = "separator"
"""The keys of what is learned."""

_CHANNEL: Final = "{channel}"
_HELD: Final = "subscribed to: "
_GIVEN_BACK: Final = "unsubscribed to: "
_COMPACT: Final = f'[{{"ev":"status","status":"success","message":"{_HELD}{_CHANNEL}"}}]'
_COMMA: Final = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Acks:
    """The spelling of one service: a frame around its objects, an object around its channel."""

    opening: bytes
    head: bytes
    tail: bytes
    closing: bytes
    separator: bytes = b","

    @property
    def around(self) -> int:
        """How many bytes of a frame belong to none of its objects, but for separators."""
        return len(self.opening) + len(self.closing)

    def subscribed(self, channel: str) -> bytes:
        """A channel is held from now on."""
        return b"".join((self.head, _quoted(channel), self.tail))

    def unsubscribed(self, channel: str) -> bytes:
        """It is held no longer."""
        head = self.head.removesuffix(_HELD.encode()) + _GIVEN_BACK.encode()
        return b"".join((head, _quoted(channel), self.tail))

    def frame(self, objects: Sequence[bytes]) -> bytes:
        """A frame of these objects."""
        return b"".join((self.opening, self.separator.join(objects), self.closing))

    def separated_by(self, text: str) -> Acks:
        """The same with this between the objects of a frame. Raises `ValueError` if it is no comma with spaces."""
        if not _COMMA.fullmatch(text):
            raise ValueError("it is no comma with spaces around it")
        return replace(self, separator=text.encode("ascii"))


def acks_of(text: str, *, separator: bytes = b",") -> Acks:
    """The spelling that the text of a frame with ``{channel}`` in it tells. Raises `ValueError` if it is none."""
    before, _, behind = text.partition(_CHANNEL)
    start, end = before.find("{"), behind.rfind("}") + 1
    if not before.endswith(_HELD) or _CHANNEL in behind or not _is_plain(read_objects(text.encode())):
        raise ValueError("it is not the acknowledgement of one channel")
    opening, head, tail, closing = (
        part.encode() for part in (before[:start], before[start:], behind[:end], behind[end:])
    )
    return Acks(opening, head, tail, closing, separator)


def spelling(payload: bytes) -> Mapping[str, str] | None:
    """What a server frame teaches, nothing if it is spelled as usual; ``None`` if no subscription is acknowledged."""
    found = events(payload) or ()
    for event in found:
        one = payload[event.start : event.end]
        head, said, behind = one.partition(_HELD.encode())
        channel, quote, tail = behind.partition(b'"')
        if said and one.count(channel) == 1 and _is_plain(read_objects(b"[" + one + b"]")):
            opening, closing = payload[: found[0].start], payload[found[-1].end :]
            text = b"".join((opening, head, said, _CHANNEL.encode(), quote, tail, closing)).decode()
            between = payload[found[0].end : found[1].start].decode() if len(found) > 1 else _guessed(head)
            return _unusual(text, between)
    return None


def _guessed(head: bytes) -> str:
    """What would stand between objects, as between the members of one."""
    return ", " if b'", "' in head else ","


def _unusual(text: str, separator: str) -> Mapping[str, str]:
    taught = {SUBSCRIBED: (text, _COMPACT), SEPARATOR: (separator, ",")}
    return {key: value for key, (value, usual) in taught.items() if value != usual}


def _is_plain(objects: Sequence[JsonObject]) -> bool:
    """Whether this is one acknowledgement with the usual keys."""
    return (
        len(objects) == 1
        and objects[0].keys() == {"ev", "status", "message"}
        and objects[0]["ev"] == "status"
        and objects[0]["status"] == "success"
        and str(objects[0]["message"]).startswith(_HELD)
    )


def _quoted(channel: str) -> bytes:
    return encode_basestring_ascii(channel)[1:-1].encode("ascii")


COMPACT: Final = acks_of(_COMPACT)
