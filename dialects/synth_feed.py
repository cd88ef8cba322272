"""A synthetic market: many stocks, second by second, batched into frames.

Every second has an exact number of events. Those that close the second before
(aggregates) come first, then quotes and trades, a few stocks taking most of them.
They leave in batches of uneven size at uneven distances, as a busy feed does, so that
topics and symbols mix within a frame. An event's own time lies in the second that it
is sent in, a few milliseconds before it arrives, and never steps back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tickdeck.dialects.prng import Prng
from tickdeck.dialects.synth_book import Book
from tickdeck.dialects.synth_numbers import PIPS

SECOND: Final = 1_000_000_000
EPOCH_NS: Final = 1_577_975_400 * SECOND
"""2020-01-02T14:30:00Z: the market opens on the first trading day of that year."""

KNOWN: Final = (
    ("AAPL", 296, 3), ("MSFT", 158, 3), ("SPY", 323, 2), ("TSLA", 424, 3), ("BRK.B", 227, 1),
    ("AMZN", 1875, 3), ("AMD", 46, 3), ("BAC", 35, 1), ("F", 9, 1), ("GE", 11, 1),
    ("QQQ", 214, 3), ("NVDA", 238, 3), ("T", 39, 1), ("JPM", 139, 1), ("BF.B", 67, 1), ("XOM", 70, 1),
)  # fmt: skip
"""Symbols, about what they cost in dollars, and their tapes; further ones are made up."""

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LARGEST_BATCH: Final = 12


class Said(NamedTuple):
    """One event: its channel and its JSON text."""

    channel: str
    text: str


class Batch(NamedTuple):
    """Events that leave together."""

    offset_ns: int
    events: Sequence[Said]


class Feed:
    """The stocks and what they have yet to say."""

    def __init__(self, symbols: int, *, chance: Prng) -> None:
        self._chance = chance.fork("feed")
        self.books = tuple(_book(number, chance.fork(f"book {number}")) for number in range(symbols))
        self._waiting: deque[Said] = deque()
        self._traded: dict[str, Book] = {}
        self._traded_this_minute: dict[str, Book] = {}
        self._last_ms = 0

    def second(self, number: int, events: int, *, lead_ns: int = 0) -> Iterator[Batch]:
        """The batches of one second since the epoch, ``lead_ns`` after its beginning at the earliest."""
        start_ns = number * SECOND
        sizes = self._sizes(events)
        for size, offset_ns in zip(sizes, self._times(len(sizes), start_ns + lead_ns, start_ns), strict=True):
            yield Batch(offset_ns, [self._next(offset_ns) for _ in range(size)])
        self._close(number)

    def flush(self, offset_ns: int) -> Iterator[Batch]:
        """What closes the last second, after it."""
        while self._waiting:
            count = min(len(self._waiting), _LARGEST_BATCH)
            yield Batch(offset_ns, [self._waiting.popleft() for _ in range(count)])
            offset_ns += 150_000

    @property
    def waiting(self) -> int:
        """How many events wait for the next second."""
        return len(self._waiting)

    def band(self, symbol: str, offset_ns: int) -> Said:
        """A limit band of this stock, now."""
        book = next(book for book in self.books if book.symbol == symbol)
        return Said(f"LULD.{symbol}", book.band(EPOCH_NS + offset_ns - 1_384_015))

    def _next(self, offset_ns: int) -> Said:
        if self._waiting:
            return self._waiting.popleft()
        bits = self._chance.bits()
        count = len(self.books)
        book = self.books[((bits & 0xFFFFFFFF) * (bits >> 32 & 0xFFFFFF) * count) >> 56]
        at_ms = self._time_ms(offset_ns, bits >> 61)
        if bits >> 56 & 31 < 22:
            return Said(f"Q.{book.symbol}", book.quote(at_ms))
        self._traded[book.symbol] = book
        return Said(f"T.{book.symbol}", book.trade(at_ms))

    def _time_ms(self, offset_ns: int, latency_ms: int) -> int:
        second_ms = (EPOCH_NS + offset_ns) // SECOND * 1_000
        arrived_ms = (EPOCH_NS + offset_ns) // 1_000_000
        self._last_ms = max(self._last_ms, second_ms, arrived_ms - latency_ms)
        return self._last_ms

    def _close(self, number: int) -> None:
        start_ms = EPOCH_NS // 1_000_000 + number * 1_000
        for symbol, book in self._traded.items():
            self._waiting.append(Said(f"A.{symbol}", book.close_second(start_ms)))
        self._traded_this_minute.update(self._traded)
        self._traded.clear()
        if (number + 1) % 60 == 0:
            for symbol, book in self._traded_this_minute.items():
                self._waiting.append(Said(f"AM.{symbol}", book.close_minute(start_ms - 59_000)))
            self._traded_this_minute.clear()

    def _sizes(self, events: int) -> list[int]:
        sizes = []
        while events:
            size = min(
                events, 1 + (self._chance.below(_LARGEST_BATCH) * self._chance.below(_LARGEST_BATCH)) // 11
            )
            sizes.append(size)
            events -= size
        return sizes

    def _times(self, count: int, from_ns: int, second_ns: int) -> Iterator[int]:
        """As many moments in order, now close together, now apart."""
        steps = [1 + self._chance.below(1_000) * (30 if self._chance.one_in(12) else 1) for _ in range(count)]
        span_ns = second_ns + SECOND - from_ns
        total = sum(steps)
        passed = 0
        for step in steps:
            yield from_ns + span_ns * passed // total
            passed += step


def _book(number: int, chance: Prng) -> Book:
    if number < len(KNOWN):
        symbol, dollars, tape = KNOWN[number]
    else:
        symbol, dollars, tape = _made_up(number - len(KNOWN)), chance.between(4, 400), chance.between(1, 3)
    return Book(symbol, bid=dollars * PIPS + chance.below(100) * 100, tape=tape, chance=chance)


def _made_up(number: int) -> str:
    """ZAAA, ZAAB, ...: no listed stock has these, and no two are equal."""
    letters = ""
    while number or len(letters) < 3:
        number, letter = divmod(number, 26)
        letters = _LETTERS[letter] + letters
    return f"Z{letters}"
