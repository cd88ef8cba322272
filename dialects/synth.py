"""Cassettes that nobody recorded: plausible data from a seed.

Vendor data may not be redistributed, so whatever is shown, shipped or measured here
is made up: `sample` tells a minute of a bot's day with everything in it that a
recording can hold, `glimpse` eight seconds of one, `market` is as many symbols and
events a second as one likes, in flat memory. The same seed gives the same records on
every machine. `page_2019` is the transcript that Alpaca's page "Polygon Integration"
showed in 2019, to the letter, but for what the page itself elided; and the page's first
request, to which it shows no answer, with bars that are made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from tickdeck.cassette.records import (
    TEXT,
    Anchor,
    Frame,
    Gap,
    Header,
    Interaction,
    Profile,
    Record,
    Sender,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.dialects.prng import Prng
from tickdeck.dialects.synth_feed import EPOCH_NS, KNOWN, SECOND, Batch, Feed
from tickdeck.dialects.synth_limits import check
from tickdeck.dialects.synth_page import daily_bars
from tickdeck.dialects.synth_rest import Desk
from tickdeck.dialects.synth_talk import KEY, READY_NS, Line

PAGE_EPOCH_NS: Final = 1_577_413_831_000_000_000

_MILLISECOND: Final = 1_000_000
_LEAD_NS: Final = READY_NS + 8 * _MILLISECOND
_ORIGINS: Final = ("https://api.massive.com", "wss://socket.massive.com")
_STOCKS: Final = 5
_LEARNED: Final = 3  # the greeting, the reply to a good key, the framing of acknowledgements
_FIRST_CHANNELS: Final = ("T.AAPL", "T.MSFT", "T.BRK.B", "Q.AAPL", "Q.MSFT", "A.*", "AM.*", "LULD.*")
_ALL_CHANNELS: Final = ("AM.*", "T.BRK.B", "Q.AAPL", "LULD.*", "T.AAPL", "A.*", "Q.BRK.B", "T.MSFT")
_MARKET_CHANNELS: Final = ("T.*", "Q.*", "A.*", "AM.*")

_PULSE: Final[Mapping[int, int]] = {
    0: 90, 1: 60, 2: 45, 9: 160, 10: 240, 11: 90, 22: 3, 23: 0, 24: 0, 25: 0, 26: 2,
    41: 180, 42: 130, 49: 1, 50: 0, 51: 0, 57: 120, 58: 2, 59: 40,
}  # fmt: skip
"""Events in a second of the sample where it is not an ordinary one: bursts and quiet stretches."""


def sample(seed: int) -> tuple[Header, Iterable[Record]]:
    """A minute at the open: two connections with a loss between them, REST, bursts and silence."""
    return _header(f"made by tickdeck's generator (sample, seed {seed})"), _numbered(_minute(Prng(seed)))


def glimpse(seed: int) -> tuple[Header, Iterable[Record]]:
    """Eight seconds around the end of the first minute, on one connection, for when time is short."""
    return _header(f"made by tickdeck's generator (glimpse, seed {seed})"), _numbered(
        _eight_seconds(Prng(seed))
    )


def market_header(seed: int) -> Header:
    """The header that goes with `market`."""
    return _header(f"made by tickdeck's generator (market, seed {seed})")


def market(seed: int, *, symbols: int = 500, seconds: int = 60, rate: int = 5_000) -> Iterator[Record]:
    """All trades, quotes and aggregates of ``symbols`` stocks: ``rate`` events in each of ``seconds``.

    Streams: what is held at a time is one second's timetable and the state of the
    stocks. After the last second come the aggregates that close it, on top of the
    rate. UsageError when a number is below 1, or beyond `synth_limits`.
    """
    check(symbols=symbols, seconds=seconds, rate=rate)
    return _in_order(_market(Feed(symbols, chance=Prng(seed)), seconds, rate))


def page_2019() -> tuple[Header, tuple[Record, ...]]:
    """The transcript of the 2019 page; the key that stood there has become its placeholder."""
    header = Header(
        epoch_ns=PAGE_EPOCH_NS,
        origins=("https://api.polygon.io", "wss://socket.polygon.io"),
        source=Source.SYNTHETIC,
        note="the transcript of Alpaca's page 'Polygon Integration' of 2019, its elided fields left out; "
        "the answer to its REST example is made up",
    )
    return header, tuple(_in_order(_page()))


def _header(note: str) -> Header:
    return Header(
        epoch_ns=EPOCH_NS,
        origins=_ORIGINS,
        source=Source.SYNTHETIC,
        note=f"synthetic market data, no vendor's: {note}",
    )


def _minute(chance: Prng) -> Iterator[Record]:
    feed, desk = Feed(_STOCKS, chance=chance), Desk(chance)
    book = {each.symbol: each for each in feed.books}
    yield Anchor(0, 0, EPOCH_NS)
    lost_ns, back_ns = 33 * SECOND + 402_771_350, 35 * SECOND + 610_448_091
    first, second = Line(1, 0), Line(2, back_ns)
    yield from first.open(_FIRST_CHANNELS)
    yield from _morning(desk, 120 * _MILLISECOND)
    yield from _run(feed, (first,), range(8), chance, lead_ns=_LEAD_NS)
    yield from first.subscribe(8 * SECOND - 30 * _MILLISECOND, ("Q.BRK.B",))
    yield from _bands(feed, (first,), 8 * SECOND)
    yield from _run(feed, (first,), range(8, 20), chance)
    yield from first.ping(20 * SECOND + 3_118_222, b"\x1d\x02\xa4\x7f")
    yield desk.snapshot(20 * SECOND + 400 * _MILLISECOND, book["AAPL"])
    yield from _run(feed, (first,), range(20, 29), chance)
    yield from first.unsubscribe(29 * SECOND - 3 * _MILLISECOND, ("Q.MSFT",))
    yield from first.lost(lost_ns)
    yield from second.open(_ALL_CHANNELS)
    yield Gap(0, lost_ns, back_ns + READY_NS, "stocks", "the connection was lost")
    yield from _run(feed, (first, second), range(29, 50), chance)
    yield desk.market_status(50 * SECOND + 12 * _MILLISECOND)
    yield desk.snapshot(50 * SECOND + 300 * _MILLISECOND, book["BRK.B"])
    yield from _bands(feed, (second,), 50 * SECOND)
    yield from second.ping(55 * SECOND + 731_904_338, b"\xf0\x9c\x11\x3b")
    yield from _run(feed, (second,), range(50, 61), chance)
    yield from _ending(feed, second, 61)


def _eight_seconds(chance: Prng) -> Iterator[Record]:
    feed, desk = Feed(_STOCKS, chance=chance), Desk(chance)
    start_ns = 54 * SECOND
    line = Line(1, start_ns)
    yield Anchor(0, start_ns, EPOCH_NS + start_ns)
    yield from line.open(_ALL_CHANNELS)
    yield from _morning(desk, start_ns + 120 * _MILLISECOND)
    yield from _bands(feed, (line,), start_ns + 500 * _MILLISECOND)
    yield from _run(feed, (line,), range(54, 56), chance, lead_ns=_LEAD_NS)
    yield desk.snapshot(56 * SECOND, feed.books[0])
    yield from line.ping(58 * SECOND + 500 * _MILLISECOND, b"\x1d\x02\xa4\x7f")
    yield from _run(feed, (line,), range(56, 61), chance)
    yield from _ending(feed, line, 61)


def _morning(desk: Desk, at_ns: int) -> Iterator[Interaction]:
    """What a bot asks before it trades, and three mistakes."""
    yield desk.market_status(at_ns)
    yield from desk.aggregates(at_ns + 70 * _MILLISECOND, "AAPL", KNOWN[0][1])
    yield from desk.trades(at_ns + 350 * _MILLISECOND, "BRK.B", 226)
    yield desk.unknown_key(at_ns + 520 * _MILLISECOND)
    yield desk.not_found(at_ns + 590 * _MILLISECOND)
    yield desk.too_many(at_ns + 660 * _MILLISECOND)


def _run(
    feed: Feed, lines: tuple[Line, ...], seconds: range, chance: Prng, *, lead_ns: int = 0
) -> Iterator[Record]:
    """The market of these seconds, to whichever line is there to hear it."""
    for number in seconds:
        events = _PULSE.get(number % 60, chance.between(8, 34)) + feed.waiting
        for batch in feed.second(number, events, lead_ns=lead_ns):
            yield from _deliver(lines, batch)
        lead_ns = 0


def _bands(feed: Feed, lines: tuple[Line, ...], at_ns: int) -> Iterator[Record]:
    bands = [feed.band(symbol, at_ns) for symbol in ("AAPL", "BRK.B")]
    yield from _deliver(lines, Batch(at_ns + 5_000, bands))


def _ending(feed: Feed, line: Line, second: int) -> Iterator[Record]:
    at_ns = second * SECOND
    for batch in feed.flush(at_ns + 204_000):
        yield from line.deliver(batch)
    yield Anchor(0, at_ns + 500 * _MILLISECOND, EPOCH_NS + at_ns + 500 * _MILLISECOND)
    yield from line.close(at_ns + 731_250_006)


def _deliver(lines: tuple[Line, ...], batch: Batch) -> Iterator[Record]:
    for line in lines:
        yield from line.deliver(batch)


def _market(feed: Feed, seconds: int, rate: int) -> Iterator[Record]:
    line = Line(1, 0)
    yield Anchor(0, 0, EPOCH_NS)
    yield from line.open(_MARKET_CHANNELS)
    for number in range(seconds):
        for batch in feed.second(number, rate, lead_ns=0 if number else _LEAD_NS):
            yield from line.deliver(batch)
    yield from _ending(feed, line, seconds)


def _page() -> Iterator[Record]:
    yield TrackOpened(0, 0, 1, "stocks", feed="socket", url="wss://socket.polygon.io/stocks")
    yield daily_bars(2 * _MILLISECOND)
    for sender, at_ms, text in (
        (Sender.SERVER, 31, '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'),
        (Sender.CLIENT, 34, f'{{"action":"auth","params":"{KEY}"}}'),
        (Sender.SERVER, 62, '[{"ev":"status","status":"success","message":"authenticated"}]'),
        (Sender.CLIENT, 64, '{"action":"subscribe","params":"T.MSFT"}'),
        (Sender.SERVER, 91, '[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]'),
        (Sender.SERVER, 752, '[{"ev":"T","sym":"MSFT","p":114.170,"x":"10","s":467,"t":1577413831740}]'),
    ):
        yield Frame(0, at_ms * _MILLISECOND, 1, sender, TEXT, text.encode("ascii"))
    yield TrackClosed(0, 1_000 * _MILLISECOND, 1, by=Sender.CLIENT, code=1000)


def _moment(record: Record) -> int:
    """When a recorder writes it down: an interaction and a gap when they are over."""
    return record.end_ns if isinstance(record, Interaction | Gap) else record.offset_ns


def _numbered(records: Iterable[Record]) -> Iterator[Record]:
    """A small story, told line by line, put into the order of time."""
    return _in_order(sorted(records, key=_moment))


def _in_order(records: Iterable[Record]) -> Iterator[Record]:
    for seq, record in enumerate(_with_profile(records)):
        yield replace(record, seq=seq)


def _with_profile(records: Iterable[Record]) -> Iterator[Record]:
    """With what a recorder would have learned of the wording by the end of the first conversation."""
    learner = ProfileLearner()
    learned: Mapping[str, str] = {}
    for record in records:
        yield record
        if isinstance(record, Frame) and record.opcode == TEXT and len(learned) < _LEARNED:
            news = learner.feed(record.sender, record.payload)
            if news is not None:
                learned = news
                yield Profile(0, record.offset_ns, learned)
