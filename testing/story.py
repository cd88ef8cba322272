"""What a failing test's report says of its market: where it stood, what the client did last, what it was sent last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import TEXT, Frame, Sender
from tickdeck.dialects import find
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.happenings import Happenings
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.misses import LEFT_ASIDE
from tickdeck.mockserver.telling import Line

LAST_DONE: Final = 12
LAST_SENT: Final = 3
SHOWN: Final = 160
"""Characters of a frame."""

LARGEST_READ: Final = 64 << 20
"""Bytes of a cassette that is read through for the frames sent last."""

_SECOND_NS: Final = 1_000_000_000
_NO_WORDS: Final = frozenset(("market", "ignore", "recording"))


class Story:
    """Tells of one run of one tape."""

    def __init__(self, cassette: Readable, *, zero_wall_ns: int) -> None:
        self._cassette = cassette
        self._zero_wall_ns = zero_wall_ns
        self._last: tuple[str, int] | None = None
        markets = [track.market for track in cassette.survey.tracks.values()]
        self._zone = ZoneInfo(find(cassette.header.dialect).zone_of(markets[0] if markets else "stocks"))

    def lines(self, situation: str, journal: Happenings, report: Line) -> Iterator[str]:
        """All of it, a line each."""
        yield f"{self._cassette.name}: {situation}"
        clients = report["clients"]
        assert isinstance(clients, list)
        for client in clients:
            yield self._client(client)
        if journal:
            yield "done last:"
            yield from (f"  {self._time(each)}  {_words(each)}" for each in journal[-LAST_DONE:])
        try:
            sent = list(self._sent_last(journal, clients))
        except FormatError as error:
            sent = [f"  the tape cannot be read: {error}"]
        if sent:
            yield "sent last:"
            yield from sent

    def spot(self) -> str:
        """An event to ask `tickdeck why` about: the last that was sent, or empty."""
        if self._last is None:
            return ""
        channel, wall_ns = self._last
        return f"{channel}@{self.market_time(wall_ns).partition(' ')[0]}"

    def _client(self, row: dict[str, object]) -> str:
        channels = row["channels"]
        assert isinstance(channels, dict)
        told = ", ".join(
            f"{name} {counts['sent']} of {counts['on_tape']} events" for name, counts in channels.items()
        )
        return (
            f"client {row['client']} ({row['market']}): {row['frames']} frames; {told or 'no subscription'}"
        )

    def _time(self, entry: Entry) -> str:
        if entry.position_ns is None or entry.position_ns < 0:
            return "before the start "
        return self.market_time(self._zero_wall_ns + entry.position_ns)

    def market_time(self, wall_ns: int) -> str:
        """``09:30:00.250 EST``."""
        moment = datetime.fromtimestamp(wall_ns // _SECOND_NS, tz=UTC).astimezone(self._zone)
        return f"{moment:%H:%M:%S}.{wall_ns % _SECOND_NS // 1_000_000:03d} {moment:%Z}"

    def _sent_last(self, journal: Happenings, clients: list[dict[str, object]]) -> Iterator[str]:
        """The frames with events that anybody held, up to where the last of the clients was."""
        held = Subscriptions(
            name for row in clients if isinstance(row["channels"], dict) for name in row["channels"]
        )
        came_to = max((each.position_ns or 0 for each in journal), default=0)
        sent = any(isinstance(row["frames"], int) and row["frames"] for row in clients)
        if not sent or self._cassette.size > LARGEST_READ:
            return
        events = find(self._cassette.header.dialect).indexer.events
        last: deque[Frame] = deque(maxlen=LAST_SENT)
        for record in self._cassette.records():
            if not isinstance(record, Frame) or record.sender is not Sender.SERVER or record.opcode != TEXT:
                continue
            if self._cassette.wall_ns(record.offset_ns) > self._zero_wall_ns + came_to:
                break
            wanted = [each.channel for each in events(record.payload) or () if held.wants(each.channel)]
            if wanted:
                last.append(record)
                self._last = wanted[-1], self._cassette.wall_ns(record.offset_ns)
        for frame in last:
            text = frame.payload.decode("utf-8", "replace")
            shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            yield f"  {self.market_time(self._cassette.wall_ns(frame.offset_ns))}  {shown}"


def _words(entry: Entry) -> str:
    """``client 1 subscribed channels=T.AAPL``."""
    who = "" if entry.client is None else f"client {entry.client} "
    parts = " ".join(
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else str(value).partition(LEFT_ASIDE)[0]}"
        for name, value in entry.parts.items()
        if name not in _NO_WORDS and value not in (None, "", [])
    )
    return f"{who}{entry.kind}{' ' if parts else ''}{parts}"
