"""One stock of a synthetic market: a price that walks, and the events it gives off.

The bid walks at random in cents; trades happen at the bid, the ask or between them;
every trade counts for the aggregates of its second and its minute, so that these can
be checked against the trades. (The real tape leaves odd lots and some conditions out
of high and low; here all trades count, which is simpler and as testable.) Events are
rendered as the vendor writes them, key order included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tickdeck.dialects.prng import Prng
from tickdeck.dialects.synth_numbers import MICROS, PIPS, price, ratio, with_point

_CENT: Final = PIPS // 100
_LOWEST_BID: Final = PIPS
_EXCHANGES: Final = (4, 11, 12, 4, 8, 10, 19, 4, 15, 11, 12, 4, 2, 7, 18, 3)
"""Numbers of venues; 4 is the off-exchange tape, about a quarter of the trades."""
_OFF_EXCHANGE: Final = 4


@dataclass(slots=True)
class Bar:
    """Trades added up; empty until the first. ``turnover`` is in pips times millionths of a share."""

    open: int = 0
    high: int = 0
    low: int = 0
    close: int = 0
    shares: int = 0
    micros: int = 0
    turnover: int = 0
    trades: int = 0

    def add(self, at_price: int, shares: int, micros: int) -> None:
        """One more trade, later than those before."""
        if not self.trades:
            self.open = self.high = self.low = at_price
        self.high = max(self.high, at_price)
        self.low = min(self.low, at_price)
        self.close = at_price
        self.shares += shares
        self.micros += micros
        self.turnover += at_price * micros
        self.trades += 1

    @property
    def average(self) -> int:
        """The volume-weighted average price in pips."""
        return ratio(self.turnover, self.micros)


class Book:
    """The state of one stock. ``tape`` is 1 for NYSE, 2 for AMEX and 3 for Nasdaq listings."""

    def __init__(self, symbol: str, *, bid: int, tape: int, chance: Prng) -> None:
        self.symbol = symbol
        self.tape = tape
        self.bid = bid
        self.ask = bid + 2 * _CENT
        self.day = Bar()
        self.second = Bar()
        self.minute = Bar()
        self.last_trade_ms = 0
        self._chance = chance
        self._trade_number = chance.between(1, 200)
        self._sequence = chance.between(1_000, 4_000)
        self._reference = bid

    def quote(self, at_ms: int) -> str:
        """The bid and the ask move; a `Q` event."""
        bits = self._chance.bits()
        step = (bits & 3) + (bits >> 2 & 3) - 3  # -3 to 3 cents, mostly none or one
        self.bid = max(_LOWEST_BID, self.bid + step * _CENT)
        self.ask = self.bid + (1 + (bits >> 4 & 3)) * _CENT
        sequence = self._next_sequence(bits >> 6 & 31)
        indicators = ',"i":[604]' if bits >> 11 & 15 == 0 else ""
        return (
            f'{{"ev":"Q","sym":"{self.symbol}","bx":{_EXCHANGES[bits >> 15 & 15]},"bp":{price(self.bid)},'
            f'"bs":{1 + (bits >> 19 & 7)},"ax":{_EXCHANGES[bits >> 22 & 15]},"ap":{price(self.ask)},'
            f'"as":{1 + (bits >> 26 & 7)},"c":{bits >> 29 & 1}{indicators},"t":{at_ms},"q":{sequence},'
            f'"z":{self.tape}}}'
        )

    def trade(self, at_ms: int) -> str:
        """Someone meets the price; a `T` event. The aggregates count it."""
        bits = self._chance.bits()
        at_price = self._trade_price(bits & 7)
        shares, micros = self._size(bits >> 3 & 0xFFFFF)
        for bar in (self.day, self.minute, self.second):
            bar.add(at_price, shares, micros)
        self.last_trade_ms = at_ms
        self._trade_number += 1 + (bits >> 23 & 3)
        exchange = _EXCHANGES[bits >> 25 & 15]
        participant_ms = at_ms - (bits >> 29 & 7)
        facility = f',"trfi":{201 + (bits >> 32 & 1)},"trft":{at_ms}' if exchange == _OFF_EXCHANGE else ""
        return (
            f'{{"ev":"T","sym":"{self.symbol}","i":"{self._trade_number}","x":{exchange},'
            f'"p":{price(at_price)},"s":{shares}{_conditions(bits >> 33 & 15, shares)},"t":{at_ms},'
            f'"pt":{participant_ms},"q":{self._next_sequence(bits >> 37 & 31)},"z":{self.tape}{facility},'
            f'"ds":"{with_point(micros, 6)}"}}'
        )

    def band(self, at_ns: int) -> str:
        """The limits up and down around the reference price; a `LULD` event, with its time in nanoseconds."""
        reach = ratio(self._reference * 5, 100 * _CENT) * _CENT
        high, low = self._reference + reach, self._reference - reach
        return (
            f'{{"ev":"LULD","T":"{self.symbol}","h":{price(high)},"l":{price(low)},"i":[21],'
            f'"z":{self.tape},"t":{at_ns},"q":{self._next_sequence(0)}}}'
        )

    def close_second(self, start_ms: int) -> str:
        """The `A` event of the second that began then; the stock was traded in it."""
        bar, self.second = self.second, Bar()
        return self._aggregate("A", bar, start_ms, 1_000)

    def close_minute(self, start_ms: int) -> str:
        """The `AM` event of the minute that began then; the stock was traded in it."""
        bar, self.minute = self.minute, Bar()
        return self._aggregate("AM", bar, start_ms, 60_000)

    def _aggregate(self, topic: str, bar: Bar, start_ms: int, length_ms: int) -> str:
        day = self.day
        return (
            f'{{"ev":"{topic}","sym":"{self.symbol}","v":{bar.shares},"dv":"{with_point(bar.micros, 6)}",'
            f'"av":{day.shares},"dav":"{with_point(day.micros, 6)}","op":{price(day.open)},'
            f'"vw":{price(bar.average)},"o":{price(bar.open)},"c":{price(bar.close)},"h":{price(bar.high)},'
            f'"l":{price(bar.low)},"a":{price(day.average)},"z":{max(1, bar.shares // bar.trades)},'
            f'"s":{start_ms},"e":{start_ms + length_ms}}}'
        )

    def _trade_price(self, draw: int) -> int:
        if draw < 3:
            return self.bid
        if draw < 6:
            return self.ask
        return (self.bid + self.ask) // 2 + (draw & 1) * (_CENT // 10)  # between them, in fractions of a cent

    def _size(self, draw: int) -> tuple[int, int]:
        """Shares as the integer field says them, and exactly, in millionths."""
        kind, rest = draw & 15, draw >> 4
        if kind == 0:
            micros = 1 + rest * 37 % (3 * MICROS)
            return max(1, micros // MICROS), micros
        if kind == 1:
            shares = 1_000 + rest % 90 * 100
        elif kind < 8:
            shares = 100 * (1 + rest % 5)
        else:
            shares = 1 + rest % 99
        return shares, shares * MICROS

    def _next_sequence(self, skip: int) -> int:
        self._sequence += 1 + skip
        return self._sequence


def _conditions(draw: int, shares: int) -> str:
    """Odd lots say so (37), some orders sweep several venues (14, 41), plain trades say nothing."""
    if shares < 100:
        return ',"c":[14,37,41]' if draw < 4 else ',"c":[37]'
    return ',"c":[14,41]' if draw < 6 else ""
