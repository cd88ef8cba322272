"""What a failing test's report says of its market: where it stood, what the client did last, what it was sent last.

Every time in it is that of the exchange's clock, as the clients see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.readable import Readable
from tickdeck.dialects import find
from tickdeck.dialects.zones import zone_to_show
from tickdeck.mockserver.handles import Market
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.lastsent import Sent
from tickdeck.mockserver.misses import LEFT_ASIDE
from tickdeck.mockserver.receipts import WORDS, Unsettled
from tickdeck.mockserver.telling import Line, exchange_time

LAST_DONE: Final = 12
SHOWN: Final = 160
"""Characters of a frame."""

MOST_CLIENTS: Final = 10
MOST_CHANNELS: Final = 10

_SECOND_NS: Final = 1_000_000_000
_NO_WORDS: Final = frozenset(("market", "ignore", "recording", "verb"))
_BEFORE_START: Final = "before the start"

_REASONS: Final = {
    "before_start": "before it joined the tape",
    "before_subscribe": "before the subscription",
    "after_unsubscribe": "after the unsubscription",
    "after_leave": "after it had left",
    "ahead": "still to come",
}
"""Why events of the tape were not sent, as the report counts them."""

_WAITS: Final = {"finished": "wait_finished", "delivered": "wait_delivered", "events": "wait_for"}


class Story:
    """Tells of one run of one tape."""

    def __init__(self, cassette: Readable, market: Market) -> None:
        self._cassette = cassette
        self._market = market
        self._dialect = find(cassette.header.dialect)
        markets = [track.market for track in cassette.survey.tracks.values()]
        self._zone = zone_to_show(self._dialect.zone_of(markets[0] if markets else "stocks"))
        self._sent: dict[int, list[Sent]] = {}

    def lines(self) -> Iterator[str]:
        """All of it, a line each."""
        yield f"{self._cassette.name}: {self._market.situation()}"
        report = self._market.report()
        clients, unheld = report["clients"], report["held_by_nobody"]
        assert isinstance(clients, list)
        assert isinstance(unheld, list)
        if len(clients) > MOST_CLIENTS:
            yield f"{len(clients) - MOST_CLIENTS} clients, and then:"
        for row in clients[-MOST_CLIENTS:]:
            yield from _client(row)
        if unheld:
            yield f"on the tape, held by nobody: {_unheld(unheld)}"
        yield from self._done_last()
        try:
            yield from self._sent_last([row["client"] for row in clients[-MOST_CLIENTS:]])
        except FormatError as error:
            yield f"the tape cannot be read: {error}"
        if (last := self._market.last_wait) in _WAITS:
            yield (
                f"{_WAITS[last]} is the wait for what clients were sent; what your program did with it may lag: "
                "wait for that with wait_until(lambda: ...)"
            )

    def spot(self) -> str:
        """An event to ask `tickdeck why` about: the last one on the tape that was sent, or empty."""
        recorded = [sent for frames in self._sent.values() for sent in frames if sent.recorded is not None]
        last = max(recorded, key=lambda sent: sent.position_ns, default=None)
        events = None if last is None else self._dialect.indexer.events(last.recorded or b"")
        named = [event for event in events or () if event.channel]
        if last is None or not named:
            return ""
        event = named[-1]
        said_ns = self._dialect.event_time_ns((last.recorded or b"")[event.start : event.end])
        return f"{event.channel}@{_offset(last.position_ns) if said_ns is None else self._moment(said_ns)}"

    def _done_last(self) -> Iterator[str]:
        journal = self._market.journal
        if not journal:
            return
        yield "done last:"
        first = len(journal) - LAST_DONE
        started = any(each.kind == "started" for each in journal[: max(first, 0)])
        for each in journal[-LAST_DONE:]:
            started = started or each.kind == "started"
            yield f"  {self._time(each, started=started)}  {_words(each)}"

    def _time(self, entry: Entry, *, started: bool) -> str:
        if entry.position_ns is not None and entry.position_ns >= 0:
            return self._at(entry.position_ns)
        return "" if started and entry.position_ns is None else _BEFORE_START

    def _at(self, position_ns: int) -> str:
        """``09:30:00.250 EST``: the clock of the exchange at a position of the tape."""
        return exchange_time(self._market.market_ns(max(position_ns, 0)), self._zone).partition(" ")[2]

    def _moment(self, wall_ns: int) -> str:
        """``2020-01-02T09:30:00.250-05:00``, to the digits that there are."""
        moment = datetime.fromtimestamp(wall_ns // _SECOND_NS, tz=UTC).astimezone(self._zone).isoformat()
        return f"{moment[:19]}.{_digits(wall_ns)}{moment[19:]}"

    def _sent_last(self, shown: list[int]) -> Iterator[str]:
        """By client, the last frames of data that it got."""
        self._sent = self._market.last_sent()
        for number in shown:
            if frames := self._sent.get(number):
                yield f"client {number} was sent last:"
                yield from (f"  {self._at(sent.position_ns)}  {_shown(sent.payload)}" for sent in frames)


def _client(row: Line) -> Iterator[str]:
    channels = row["channels"]
    assert isinstance(channels, dict)
    told = [f"{name} {_counted(counts)}" for name, counts in channels.items()]
    if len(told) > MOST_CHANNELS:
        told[MOST_CHANNELS:] = [f"and {len(told) - MOST_CHANNELS} channels more"]
    held = ", ".join(told) or "no subscription"
    yield f"client {row['client']} ({row['market']}): {row['frames']} frames; {held}"
    if (unsettled := row["not_waited_for"]) is not None:
        yield f"client {row['client']} was no longer waited for: {WORDS[Unsettled(str(unsettled))]}"


def _counted(counts: Mapping[str, int]) -> str:
    """``3 of 5 events (2 before the subscription)``."""
    if counts["unrecorded"]:
        return "never recorded"
    missing = [f"{counts[name]} {words}" for name, words in _REASONS.items() if counts[name]]
    return f"{counts['sent']} of {counts['on_tape']} events" + (f" ({', '.join(missing)})" if missing else "")


def _unheld(rows: list[Line]) -> str:
    """``T.MSFT 168 events, T.SPY 3 events``."""
    told = [f"{row['channel']} {row['events']} event{'' if row['events'] == 1 else 's'}" for row in rows]
    rest = len(told) - MOST_CHANNELS
    return ", ".join(told[:MOST_CHANNELS]) + (f" and {rest} channels more" if rest > 0 else "")


def _shown(payload: bytes) -> str:
    text = payload.decode("utf-8", "replace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _offset(position_ns: int) -> str:
    return f"+{position_ns // _SECOND_NS}.{_digits(position_ns)}s"


def _digits(ns: int) -> str:
    """What is behind the second, to the digits that there are."""
    rest_ns = ns % _SECOND_NS
    return f"{rest_ns:09d}" if rest_ns % 1_000_000 else f"{rest_ns // 1_000_000:03d}"


def _words(entry: Entry) -> str:
    """``client 1 subscribed channels=T.AAPL``, ``control drop code=1012``."""
    who = "" if entry.client is None else f"client {entry.client} "
    verb = f" {entry.parts['verb']}" if entry.kind == "control" else ""
    parts = " ".join(
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else str(value).partition(LEFT_ASIDE)[0]}"
        for name, value in entry.parts.items()
        if name not in _NO_WORDS and value not in (None, "", []) and (name, value) != ("run", 1)
    )
    return f"{who}{entry.kind}{verb}{' ' if parts else ''}{parts}"
