from __future__ import annotations

import pytest

from tickdeck.dialects.moments import Shift
from tickdeck.dialects.polygon import POLYGON
from tickdeck.dialects.restrequests import moved_request

WEEK = Shift(7 * 86_400_000, 7)
HOUR = Shift(3_600_000, None, calendar_days=1)


def moved(target: str, shift: Shift = WEEK) -> str:
    path, _, query = target.partition("?")
    pairs = tuple(
        (name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)
    )
    parts, pairs = moved_request(path.split("/"), pairs, shift)
    return "/".join(parts) + ("?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else "")


@pytest.mark.parametrize(
    ("target", "then"),
    [
        (
            "/v2/aggs/ticker/AAPL/range/1/day/2020-01-02/2020-01-03",
            "/v2/aggs/ticker/AAPL/range/1/day/2020-01-09/2020-01-10",
        ),
        (
            "/v2/aggs/ticker/AAPL/range/1/minute/1577975400000/1577975460000?adjusted=true&limit=50000",
            "/v2/aggs/ticker/AAPL/range/1/minute/1578580200000/1578580260000?adjusted=true&limit=50000",
        ),
        (
            "/v2/aggs/grouped/locale/us/market/stocks/2020-01-02",
            "/v2/aggs/grouped/locale/us/market/stocks/2020-01-09",
        ),
        ("/v1/open-close/AAPL/2020-01-02", "/v1/open-close/AAPL/2020-01-09"),
        ("/v1/open-close/crypto/BTC/USD/2020-01-02", "/v1/open-close/crypto/BTC/USD/2020-01-09"),
        ("/v1/historic/forex/EUR/USD/2020-01-02", "/v1/historic/forex/EUR/USD/2020-01-09"),
        (
            "/v2/ticks/stocks/nbbo/AAPL/2020-01-02?timestamp=1577975400000000000&timestampLimit=1577975401000000000",
            "/v2/ticks/stocks/nbbo/AAPL/2020-01-09?timestamp=1578580200000000000&timestampLimit=1578580201000000000",
        ),
        (
            "/v1/historic/agg/minute/AAPL?from=2020-01-02&to=1577975400000",
            "/v1/historic/agg/minute/AAPL?from=2020-01-09&to=1578580200000",
        ),
        (
            "/v3/trades/AAPL?timestamp.gte=2020-01-02&timestamp.lt=1577975400000000000",
            "/v3/trades/AAPL?timestamp.gte=2020-01-09&timestamp.lt=1578580200000000000",
        ),
        (
            "/v3/quotes/AAPL?timestamp=2020-01-02T14:30:00.5Z",
            "/v3/quotes/AAPL?timestamp=2020-01-09T14:30:00.5Z",
        ),
        ("/v3/quotes/AAPL?timestamp=1577975400000.0", "/v3/quotes/AAPL?timestamp=1578580200000.0"),
        (
            "/v3/reference/options/contracts?as_of=2020-01-02&expiration_date.gte=2020-01-03",
            "/v3/reference/options/contracts?as_of=2020-01-09&expiration_date.gte=2020-01-03",
        ),
        (
            "/stocks/v1/short-volume?date.any_of=2020-01-02,2020-01-03&ticker=A",
            "/stocks/v1/short-volume?date.any_of=2020-01-09,2020-01-10&ticker=A",
        ),
        (
            "/v2/reference/news?published_utc.gte=2020-01-02",
            "/v2/reference/news?published_utc.gte=2020-01-09",
        ),
        (
            "/futures/v1/aggs/ESZ4?window_start.gte=2020-01-02",
            "/futures/v1/aggs/ESZ4?window_start.gte=2020-01-09",
        ),
        ("/v3/reference/tickers?date=2020-01-02", "/v3/reference/tickers?date=2020-01-09"),
    ],
)
def test_moments_and_market_days_of_a_request_move(target: str, then: str) -> None:
    assert moved(target) == then
    assert moved(then, WEEK.back) == target


@pytest.mark.parametrize(
    "target",
    [
        "/v3/trades/O:AAPL200117C00300000?limit=10",
        "/v2/aggs/ticker/O:AAPL200117C00300000/prev",
        "/v3/reference/dividends?ex_dividend_date=2020-01-02&pay_date.gte=2020-01-02&declaration_date=2020-01-02",
        "/v3/reference/splits?execution_date.gt=2020-01-02",
        "/v3/reference/options/contracts?expiration_date=2020-01-17",
        "/v3/snapshot/options/AAPL?expiration_date.gte=2020-01-17",
        "/vX/reference/financials?filing_date=2020-01-02&period_of_report_date.lt=2020-01-02",
        "/vX/reference/ipos?listing_date=2020-01-02",
        "/v3/trades/AAPL?cursor=dGltZXN0YW1wPTIwMjAtMDEtMDI&limit=50000",
        "/v3/trades/AAPL?timestamp=soon&timestamp.around=2020-01-02",
        "/v1/conversion/USD/EUR?amount=1577975400000",
        "/v1/last/crypto/2020-01-02/2020-01-03",
        "/2020-01-02",
    ],
)
def test_facts_cursors_and_what_is_no_moment_stay(target: str) -> None:
    assert moved(target) == target


def test_a_shift_of_no_whole_days_moves_dates_by_the_days_of_the_calendar() -> None:
    assert moved("/v1/open-close/AAPL/2020-01-02", HOUR) == "/v1/open-close/AAPL/2020-01-03"
    assert moved("/v3/quotes/AAPL?timestamp=1577975400000", HOUR) == "/v3/quotes/AAPL?timestamp=1577979000000"
    assert moved("/v1/open-close/AAPL/2020-01-02", Shift(3_600_000, None)) == "/v1/open-close/AAPL/2020-01-02"


def test_a_mover_moves_a_request_back() -> None:
    path, query = POLYGON.mover(WEEK).asked_back(
        ("", "v1", "open-close", "AAPL", "2020-01-09"), (("date", "2020-01-09"),)
    )
    assert (path[-1], query) == ("2020-01-02", (("date", "2020-01-02"),))
