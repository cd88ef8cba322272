"""Which frames of a feed are kept, where only some channels are wanted.

A frame is kept whole or not at all: it has an event on a wanted channel, or it has
none of the market at all (a status, an acknowledgement, what nobody here reads). What
the client says, pings and pongs are always kept. Nothing of this changes what the
client is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.indexing import STATUS, Indexer
from tickdeck.cassette.records import TEXT, Sender
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.recorder.capture import Message


class Only:
    """The channels that are wanted (``T.AAPL``, ``T.*``); ``left_out`` counts frames.

    UsageError for one that is none.
    """

    def __init__(self, channels: Iterable[str], indexer: Indexer) -> None:
        names = tuple(channels)
        for name in names:
            topic, dot, symbol = name.partition(".")
            if not (topic and dot and symbol):
                raise UsageError(f"only wants channels like T.AAPL or T.*, not {name!r}")
        self.left_out = 0
        self._wanted = Subscriptions(names)
        self._indexer = indexer

    def kept(self, sender: Sender, messages: Sequence[Message]) -> Sequence[Message]:
        """Those of the messages that go onto the cassette."""
        if sender is not Sender.SERVER:
            return messages
        kept = [each for each in messages if each.opcode != TEXT or self._keeps(each.payload)]
        self.left_out += len(messages) - len(kept)
        return kept

    def _keeps(self, payload: bytes) -> bool:
        channels = {event.channel for event in self._indexer.events(payload) or ()} - {STATUS}
        return not channels or any(map(self._wanted.wants, channels))
