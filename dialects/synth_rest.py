"""The REST side of a synthetic recording: what a bot asks at the start of its day.

Bodies have the shapes of the service's documentation and of its recorded refusals;
`request_id` equals the X-Request-Id field, pages point at each other with absolute
addresses that carry a cursor and no key. Compressed bodies are stored, not shrunk:
every zlib shrinks in its own way, and a fixture must be the same bytes everywhere.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.dialects.prng import Prng
from tickdeck.dialects.synth_book import Bar, Book
from tickdeck.dialects.synth_feed import EPOCH_NS, SECOND
from tickdeck.dialects.synth_numbers import PIPS, price, ratio

ORIGIN: Final = "https://api.massive.com"
KEY: Final = "REDACTED-1"
UNKNOWN_KEY: Final = "REDACTED-2"

_MILLISECOND: Final = 1_000_000
_DAY_BEFORE_MS: Final = 1_577_802_600_000  # 2019-12-31T14:30:00Z, the open of the session before
_BARS: Final = 50
_PAGES: Final = 3
_TRADES: Final = 5
_MIDNIGHT: Final = 1_577_923_200  # 2020-01-02T00:00:00Z
_RETRY: Final = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
    " https://massive.com/pricing"
)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    reason: str
    body: str
    compressed: bool = False


class Desk:
    """Answers requests one after the other; each becomes an `Interaction` without a sequence number."""

    def __init__(self, chance: Prng) -> None:
        self._chance = chance.fork("rest")
        self._asked = 0

    def market_status(self, offset_ns: int) -> Interaction:
        """The market is open; asked with the key in the query."""
        seconds = (EPOCH_NS + offset_ns) // SECOND - _MIDNIGHT - 5 * 3600
        body = (
            '{"afterHours":false,"currencies":{"crypto":"open","fx":"open"},"earlyHours":false,'
            '"exchanges":{"nasdaq":"open","nyse":"open","otc":"open"},"market":"open",'
            f'"serverTime":"2020-01-02T{_clock(seconds)}-05:00"}}'
        )
        return self._ask(offset_ns, "/v1/marketstatus/now", _Reply(200, "OK", body), key_in_query=True)

    def snapshot(self, offset_ns: int, book: Book) -> Interaction:
        """One stock as it stands."""
        target = f"/v2/snapshot/locale/us/markets/stocks/tickers/{book.symbol}"
        request_id = self._request_id()
        body = f'{{"request_id":"{request_id}","status":"OK","ticker":{_ticker(book, offset_ns)}}}'
        return self._ask(offset_ns, target, _Reply(200, "OK", body), request_id=request_id)

    def aggregates(self, offset_ns: int, symbol: str, dollars: int) -> Iterator[Interaction]:
        """The minutes of the session before, over several pages, the first of them compressed."""
        path = f"/v2/aggs/ticker/{symbol}/range/1/minute"
        target = f"{path}/2019-12-31/2019-12-31?adjusted=true&limit={_BARS}&sort=asc"
        close = dollars * PIPS
        for page in range(_PAGES):
            start_ms = _DAY_BEFORE_MS + page * _BARS * 60_000
            bars = []
            for number in range(_BARS):
                text, close = self._bar(close, start_ms + number * 60_000)
                bars.append(text)
            cursor = _cursor(f"adjusted=true&limit={_BARS}&sort=asc")
            following = f"{path}/{start_ms + _BARS * 60_000}/2019-12-31?cursor={cursor}"
            last = page == _PAGES - 1
            request_id = self._request_id()
            body = (
                f'{{"ticker":"{symbol}","queryCount":{_BARS},"resultsCount":{_BARS},"adjusted":true,'
                f'"results":[{",".join(bars)}],"status":"OK","request_id":"{request_id}","count":{_BARS}'
                f"{'' if last else _next_url(following)}}}"
            )
            reply = _Reply(200, "OK", body, compressed=page == 0)
            yield self._ask(offset_ns, target, reply, request_id=request_id)
            target = following
            offset_ns += 90 * _MILLISECOND

    def trades(self, offset_ns: int, symbol: str, dollars: int) -> Iterator[Interaction]:
        """The first trades of the session before, over two pages; asked with the key in the query."""
        path = f"/v3/trades/{symbol}"
        target = f"{path}?limit={_TRADES}&timestamp=2019-12-31"
        for page in range(2):
            first = page * _TRADES
            rows = (self._trade(dollars, number) for number in range(first, first + _TRADES))
            results = ",".join(rows)
            following = (
                f"{path}?cursor={_cursor(f'limit={_TRADES}&timestamp=2019-12-31&ap={first + _TRADES}')}"
            )
            request_id = self._request_id()
            body = (
                f'{{"results":[{results}],"status":"OK","request_id":"{request_id}"'
                f"{_next_url(following) if page == 0 else ''}}}"
            )
            reply = _Reply(200, "OK", body, compressed=page == 1)
            yield self._ask(offset_ns, target, reply, request_id=request_id, key_in_query=True)
            target = following
            offset_ns += 80 * _MILLISECOND

    def unknown_key(self, offset_ns: int) -> Interaction:
        """A 401: a key that nobody issued."""
        request_id = self._request_id()
        body = f'{{"status":"ERROR","request_id":"{request_id}","error":"Unknown API Key"}}'
        reply = _Reply(401, "Unauthorized", body)
        return self._ask(offset_ns, "/v2/last/trade/MSFT", reply, request_id=request_id, key=UNKNOWN_KEY)

    def not_found(self, offset_ns: int) -> Interaction:
        """A 404: a ticker that does not exist."""
        request_id = self._request_id()
        body = f'{{"status":"NOT_FOUND","request_id":"{request_id}","message":"Ticker not found."}}'
        reply = _Reply(404, "Not Found", body)
        return self._ask(offset_ns, "/v3/reference/tickers/NOSUCH", reply, request_id=request_id)

    def too_many(self, offset_ns: int) -> Interaction:
        """A 429: asked too often."""
        request_id = self._request_id()
        body = f'{{"status":"ERROR","request_id":"{request_id}","error":"{_RETRY}"}}'
        reply = _Reply(429, "Too Many Requests", body)
        return self._ask(offset_ns, "/v2/aggs/ticker/MSFT/prev", reply, request_id=request_id)

    def _request_id(self) -> str:
        return self._chance.hexadecimal(32)

    def _ask(
        self,
        offset_ns: int,
        target: str,
        reply: _Reply,
        *,
        request_id: str = "",
        key: str = KEY,
        key_in_query: bool = False,
    ) -> Interaction:
        self._asked += 1
        body = reply.body.encode("ascii")
        if reply.compressed:
            body = stored_gzip(body)
        first_byte_ns = offset_ns + self._chance.between(14 * _MILLISECOND, 45 * _MILLISECOND)
        end_ns = first_byte_ns + self._chance.between(200_000, 4 * _MILLISECOND)
        with_key = f"{'&' if '?' in target else '?'}apiKey={key}" if key_in_query else ""
        return Interaction(
            seq=0,
            offset_ns=offset_ns,
            first_byte_ns=first_byte_ns,
            end_ns=end_ns,
            interaction=self._asked,
            method="GET",
            url=f"{ORIGIN}{target}{with_key}",
            status=reply.status,
            reason=reply.reason,
            request_headers=_request_headers(None if key_in_query else key),
            response_headers=_response_headers(first_byte_ns, request_id or self._request_id(), body, reply),
            body=body,
        )

    def _bar(self, opened: int, start_ms: int) -> tuple[str, int]:
        """One minute as REST tells it, and its close, where the next one opens."""
        chance = self._chance
        close = max(PIPS, opened + chance.bell(30) * 100)
        high = max(opened, close) + chance.below(12) * 100
        low = min(opened, close) - chance.below(12) * 100
        average = ratio(opened + close + high + low, 4)
        return (
            f'{{"v":{chance.between(20_000, 400_000)},"vw":{price(average)},"o":{price(opened)},'
            f'"c":{price(close)},"h":{price(high)},"l":{price(low)},"t":{start_ms},'
            f'"n":{chance.between(200, 4_000)}}}'
        ), close

    def _trade(self, dollars: int, number: int) -> str:
        chance = self._chance
        at_ns = _DAY_BEFORE_MS * _MILLISECOND + number * 41_000_000 + chance.below(_MILLISECOND)
        return (
            f'{{"conditions":[14,41],"exchange":{chance.choice((4, 10, 11, 12))},"id":"{number + 1}",'
            f'"participant_timestamp":{at_ns - 312_000},'
            f'"price":{price(dollars * PIPS + chance.bell(20) * 100)},'
            f'"sequence_number":{1_063 + number * 7},"sip_timestamp":{at_ns},'
            f'"size":{chance.between(1, 400)},"tape":1}}'
        )


def stored_gzip(body: bytes) -> bytes:
    """A gzip file of stored blocks (RFC 1951 3.2.4), without time or name."""
    size = 0xFFFF
    pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    blocks = b"".join(_stored(piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces))
    tail = zlib.crc32(body).to_bytes(4, "little") + (len(body) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + blocks + tail


def _stored(piece: bytes, *, last: bool) -> bytes:
    length = len(piece)
    return bytes((last,)) + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + piece


def _ticker(book: Book, offset_ns: int) -> str:
    now_ms = (EPOCH_NS + offset_ns) // _MILLISECOND
    now_ns = now_ms * _MILLISECOND
    traded_ns = book.last_trade_ms * _MILLISECOND or now_ns
    day = book.day if book.day.trades else _one_trade(book.bid)
    minute = book.minute if book.minute.trades else day
    change = day.close - day.open
    percent = ratio(change * 1_000_000, day.open)  # in ten-thousandths of a percent
    return (
        f'{{"ticker":"{book.symbol}","todaysChangePerc":{price(percent)},"todaysChange":{price(change)},'
        f'"updated":{traded_ns},"day":{{{_bar_fields(day)}}},'
        f'"lastQuote":{{"P":{price(book.ask)},"S":3,"p":{price(book.bid)},"s":2,"t":{now_ns}}},'
        f'"lastTrade":{{"c":[14,41],"i":"4046","p":{price(day.close)},"s":100,"t":{traded_ns},"x":11}},'
        f'"min":{{"av":{day.shares},"t":{now_ms // 60_000 * 60_000},"n":{minute.trades},'
        f"{_bar_fields(minute)}}},"
        f'"prevDay":{{{_bar_fields(_one_trade(day.open))}}}}}'
    )


def _bar_fields(bar: Bar) -> str:
    return (
        f'"o":{price(bar.open)},"h":{price(bar.high)},"l":{price(bar.low)},"c":{price(bar.close)},'
        f'"v":{bar.shares},"vw":{price(bar.average)}'
    )


def _one_trade(at_price: int) -> Bar:
    bar = Bar()
    bar.add(at_price, 100, 100_000_000)
    return bar


def _next_url(target: str) -> str:
    return f',"next_url":"{ORIGIN}{target}"'


def _cursor(parameters: str) -> str:
    return base64.urlsafe_b64encode(parameters.encode("ascii")).rstrip(b"=").decode("ascii")


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _request_headers(bearer: str | None) -> HeaderPairs:
    authorization = () if bearer is None else ((b"Authorization", f"Bearer {bearer}".encode("ascii")),)
    return (
        (b"Host", b"api.massive.com"),
        (b"Accept-Encoding", b"gzip"),
        (b"User-Agent", b"Massive.com PythonClient/unknown"),
        *authorization,
    )


def _response_headers(at_ns: int, request_id: str, body: bytes, reply: _Reply) -> HeaderPairs:
    seconds = (EPOCH_NS + at_ns) // SECOND - _MIDNIGHT
    coding: Sequence[tuple[bytes, bytes]] = ((b"Content-Encoding", b"gzip"),) if reply.compressed else ()
    return (
        (b"Server", b"nginx/1.19.2"),
        (b"Date", f"Thu, 02 Jan 2020 {_clock(seconds)} GMT".encode("ascii")),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Connection", b"keep-alive"),
        *coding,
        (b"Vary", b"Accept-Encoding"),
        (b"X-Request-Id", request_id.encode("ascii")),
        (b"Strict-Transport-Security", b"max-age=15724800; includeSubDomains"),
    )
