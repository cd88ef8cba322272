"""Where each event lies in a frame, and which channel it is on.

A frame of market data is an array of objects. They are cut at the byte: the text is
read as latin-1, in which every byte is one character, so that positions in the text
are positions in the payload, and what is cut is what the service sent, down to
``114.170`` and the order of keys. A frame that is not such an array (or whose
objects name no event type) is opaque: it is kept, never guessed at.

An event's channel is its type and its symbol, and the symbol goes by a different
name in each market: ``sym``, ``pair``, ``T``, and ``p`` for forex quotes. The last is
read for those alone, for everywhere else ``p`` is a price.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tickdeck.cassette.indexing import STATUS, Event, Holding, Index
from tickdeck.cassette.records import Sender
from tickdeck.dialects.channels import normalise
from tickdeck.dialects.flat_frames import events_of_flat, index_of_flat
from tickdeck.dialects.jsontext import DECODER, Json, JsonObject, read_objects, sayable, text_of

REVISION: Final = 1
"""Rises whenever the same payload would be indexed otherwise."""

_SPACE: Final = (" ", "\t", "\n", "\r")
_SYMBOL_KEYS: Final = ("sym", "pair", "T")
_HELD: Final = {"subscribed to: ": True, "unsubscribed to: ": False}


def channel_of(event: Mapping[str, Json]) -> str | None:
    """The channel of one event: ``T.AAPL``; `STATUS` for a status; ``None`` if it is no event."""
    kind = event.get("ev")
    if not isinstance(kind, str):
        return None
    if kind == "status" or (kind == "" and "status" in event):
        return STATUS
    for key in (*_SYMBOL_KEYS, "p") if kind == "C" else _SYMBOL_KEYS:
        symbol = event.get(key)
        if isinstance(symbol, str):
            return normalise(f"{kind}.{symbol}")
    return f"{kind}."


def events(payload: bytes) -> Sequence[Event] | None:
    """The events of a server frame with their exact byte ranges; ``None`` if the frame is opaque."""
    found = events_of_flat(payload)
    return parsed_events(payload) if found is None else found


def parsed_events(payload: bytes) -> Sequence[Event] | None:
    """The same, for every frame alike: by parsing it."""
    try:
        return list(_walk(payload))
    except (ValueError, RecursionError):
        return None


def _walk(payload: bytes) -> Iterator[Event]:
    text = payload.decode("latin-1")
    at = _past(text, 0, "[")
    while True:
        start = _past_space(text, at)
        value, end = DECODER.raw_decode(text, start)
        yield Event(start, end, _channel_at(payload[start:end], value))
        at = _past_space(text, end)
        if not text.startswith(",", at):
            break
        at += 1
    if _past_space(text, _past(text, at, "]")) < len(text):
        raise ValueError("something follows the array")


def _channel_at(event: bytes, value: Json) -> str:
    channel = channel_of(value) if isinstance(value, dict) else None
    if channel is None:
        raise ValueError("it is no event")
    if channel.isascii():
        return channel
    # Read as latin-1 its letters came apart: read it again.
    again = DECODER.decode(event.decode("utf-8", "replace"))
    return sayable(channel_of(again) or "")


def holdings(sender: Sender, payload: bytes) -> Sequence[Holding]:
    """What the server's acknowledgements in this frame change about the channels its track holds."""
    if sender is not Sender.SERVER or b'"status"' not in payload:
        return ()
    return [Holding(channel, held) for channel, held in acknowledgements(payload)]


def acknowledgements(payload: bytes) -> Sequence[tuple[str, bool]]:
    """The channels that a server frame acknowledges, each with whether it is held from now on."""
    try:
        objects = read_objects(payload)
    except ValueError:
        return ()
    return [
        (normalise(sayable(message.removeprefix(prefix))), held)
        for message in map(_success, objects)
        for prefix, held in _HELD.items()
        if message.startswith(prefix)
    ]


def _success(event: JsonObject) -> str:
    """The message of a status of success; of anything else nothing."""
    if channel_of(event) != STATUS or event.get("status") != "success":
        return ""
    return text_of(event, "message") or ""


def _past_space(text: str, at: int) -> int:
    while text.startswith(_SPACE, at):
        at += 1
    return at


def _past(text: str, at: int, mark: str) -> int:
    at = _past_space(text, at)
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark} at {at}")
    return at + len(mark)


class PolygonIndexer:
    """The answers to the cassette's questions; see `tickdeck.cassette.indexing.Indexer`."""

    name = "polygon"
    revision = REVISION

    def events(self, payload: bytes) -> Sequence[Event] | None:
        """See `events`."""
        return events(payload)

    def index(self, payloads: Sequence[bytes]) -> Index | None:
        """See `tickdeck.dialects.flat_frames.index_of_flat`."""
        return index_of_flat(payloads)

    def holdings(self, sender: Sender, payload: bytes) -> Sequence[Holding]:
        """See `holdings`."""
        return holdings(sender, payload)
