"""The first example of the 2019 page: Apple's daily bars of January 2019, asked for by REST.

The page shows the request alone. The answer has the shape of the service's documentation
for aggregates; its numbers are made up, one bar for each day on which the exchange was open.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tickdeck.cassette.records import Interaction
from tickdeck.dialects.prng import Prng
from tickdeck.dialects.synth_numbers import PIPS, price, ratio
from tickdeck.dialects.synth_talk import KEY

_MILLISECOND: Final = 1_000_000
_SYMBOL: Final = "AAPL"
_FIRST: Final = date(2019, 1, 1)
_LAST: Final = date(2019, 2, 1)
_HOLIDAYS: Final = frozenset((date(2019, 1, 1), date(2019, 1, 21)))
_MIDNIGHT_UTC: Final = timedelta(hours=5)
"""When a day begins in New York in winter; a daily bar's ``t`` says that moment."""
_URL: Final = f"https://api.polygon.io/v2/aggs/ticker/{_SYMBOL}/range/1/day/{_FIRST}/{_LAST}?apiKey={KEY}"


def daily_bars(offset_ns: int) -> Interaction:
    """The request of the page and its answer; without a sequence number."""
    chance = Prng(2019)
    request_id = chance.hexadecimal(32)
    bars = list(_bars(chance))
    body = (
        f'{{"ticker":"{_SYMBOL}","queryCount":{len(bars)},"resultsCount":{len(bars)},"adjusted":true,'
        f'"results":[{",".join(bars)}],"status":"OK","request_id":"{request_id}","count":{len(bars)}}}'
    ).encode("ascii")
    return Interaction(
        seq=0,
        offset_ns=offset_ns,
        first_byte_ns=offset_ns + 22 * _MILLISECOND,
        end_ns=offset_ns + 24 * _MILLISECOND,
        interaction=1,
        method="GET",
        url=_URL,
        status=200,
        reason="OK",
        request_headers=((b"Host", b"api.polygon.io"),),
        response_headers=(
            (b"Server", b"nginx/1.17.8"),
            (b"Date", b"Fri, 27 Dec 2019 02:30:31 GMT"),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Connection", b"keep-alive"),
            (b"X-Request-Id", request_id.encode("ascii")),
        ),
        body=body,
    )


def _bars(chance: Prng) -> Iterator[str]:
    close = 155 * PIPS
    for ahead in range((_LAST - _FIRST).days + 1):
        day = _FIRST + timedelta(days=ahead)
        if day.weekday() < 5 and day not in _HOLIDAYS:
            text, close = _bar(chance, close + chance.bell(150) * 100, day)
            yield text


def _bar(chance: Prng, opened: int, day: date) -> tuple[str, int]:
    """One day as REST tells it, and its close."""
    close = opened + chance.bell(300) * 100
    high = max(opened, close) + chance.below(120) * 100
    low = min(opened, close) - chance.below(120) * 100
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC) + _MIDNIGHT_UTC
    return (
        f'{{"v":{chance.between(18_000_000, 60_000_000)},"vw":{price(ratio(opened + close + high + low, 4))},'
        f'"o":{price(opened)},"c":{price(close)},"h":{price(high)},"l":{price(low)},'
        f'"t":{int(begins.timestamp()) * 1000},"n":{chance.between(90_000, 400_000)}}}'
    ), close
