"""The talk around the data: greeting, auth, subscriptions and their acknowledgements.

A `Line` is one synthetic WebSocket connection seen from the recorder. It makes the
records of the conversation and knows which channels are held at which moment, so that
data which nobody asked for is not put on the tape. The key has already become its
placeholder, as in any recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tickdeck.cassette.records import PING, PONG, TEXT, Frame, Record, Sender, TrackClosed, TrackOpened
from tickdeck.dialects.synth_feed import Batch, Said

KEY: Final = "REDACTED-1"

READY_NS: Final = 62_357_208
"""From a connection's first moment to the acknowledgement of its subscriptions."""

_MILLISECOND: Final = 1_000_000
_ROUND_TRIP_NS: Final = 20_055_431
_CONNECTED: Final = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
_AUTHENTICATED: Final = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'


class Line:
    """One connection to the ``stocks`` market of the real-time feed."""

    def __init__(self, track: int, opened_ns: int) -> None:
        self.track = track
        self._opened_ns = opened_ns
        self._closed_ns: int | None = None
        self._held: dict[str, int] = {}

    def open(self, channels: Sequence[str]) -> Iterator[Record]:
        """Connects, authenticates, subscribes; data may flow `READY_NS` after the connection was made."""
        at_ns = self._opened_ns
        yield TrackOpened(
            seq=0,
            offset_ns=at_ns,
            track=self.track,
            market="stocks",
            feed="socket",
            url="wss://socket.massive.com/stocks",
            request_headers=(
                (b"Host", b"socket.massive.com"),
                (b"Upgrade", b"websocket"),
                (b"Connection", b"Upgrade"),
                (b"Sec-WebSocket-Version", b"13"),
            ),
            response_headers=((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")),
        )
        yield self._server(at_ns + 18 * _MILLISECOND + 204_113, _CONNECTED)
        yield self._client(at_ns + 19 * _MILLISECOND + 88_520, f'{{"action":"auth","params":"{KEY}"}}')
        yield self._server(at_ns + 41 * _MILLISECOND + 917_006, _AUTHENTICATED)
        yield from self.subscribe(at_ns + READY_NS - _ROUND_TRIP_NS, channels)

    def subscribe(self, at_ns: int, channels: Sequence[str]) -> Iterator[Record]:
        """Asks for channels; the answer comes 20 ms later."""
        yield self._client(at_ns, f'{{"action":"subscribe","params":"{",".join(channels)}"}}')
        acknowledged_ns = at_ns + _ROUND_TRIP_NS
        yield self._server(acknowledged_ns, _acknowledgement("subscribed", channels))
        self._held.update(dict.fromkeys(channels, acknowledged_ns))

    def unsubscribe(self, at_ns: int, channels: Sequence[str]) -> Iterator[Record]:
        """Gives channels back; what is delivered from now on is without them."""
        yield self._client(at_ns, f'{{"action":"unsubscribe","params":"{",".join(channels)}"}}')
        yield self._server(at_ns + _ROUND_TRIP_NS, _acknowledgement("unsubscribed", channels))
        for channel in channels:
            self._held.pop(channel, None)

    def ping(self, at_ns: int, payload: bytes) -> Iterator[Record]:
        """The client asks whether the service is there, and it is."""
        yield Frame(0, at_ns, self.track, Sender.CLIENT, PING, payload)
        yield Frame(0, at_ns + 11 * _MILLISECOND + 640_902, self.track, Sender.SERVER, PONG, payload)

    def lost(self, at_ns: int) -> Iterator[Record]:
        """The connection goes away without a word."""
        self._closed_ns = at_ns
        yield TrackClosed(0, at_ns, self.track, by=Sender.SERVER)

    def close(self, at_ns: int) -> Iterator[Record]:
        """The client says goodbye."""
        self._closed_ns = at_ns
        yield TrackClosed(0, at_ns, self.track, by=Sender.CLIENT, code=1000)

    def deliver(self, batch: Batch) -> Iterator[Record]:
        """The events of a batch that are held at its moment, as one frame."""
        if self._closed_ns is not None and batch.offset_ns >= self._closed_ns:
            return
        texts = [said.text for said in batch.events if self._wants(said, batch.offset_ns)]
        if texts:
            yield self._server(batch.offset_ns, f"[{','.join(texts)}]")

    def _wants(self, said: Said, at_ns: int) -> bool:
        topic = said.channel.partition(".")[0]
        since_ns = self._held.get(said.channel), self._held.get(f"{topic}.*")
        return any(each is not None and each < at_ns for each in since_ns)

    def _server(self, at_ns: int, text: str) -> Frame:
        return Frame(0, at_ns, self.track, Sender.SERVER, TEXT, text.encode("ascii"))

    def _client(self, at_ns: int, text: str) -> Frame:
        return Frame(0, at_ns, self.track, Sender.CLIENT, TEXT, text.encode("ascii"))


def _acknowledgement(word: str, channels: Sequence[str]) -> str:
    events = (
        f'{{"ev":"status","status":"success","message":"{word} to: {channel}"}}' for channel in channels
    )
    return f"[{','.join(events)}]"
