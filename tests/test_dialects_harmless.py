"""Query parameters that change no answer."""

from __future__ import annotations

import pytest

from tickdeck.dialects.polygon import POLYGON


@pytest.mark.parametrize(
    ("name", "value", "path", "harmless"),
    [
        ("staging", "true", "/v1/marketstatus/now", True),
        ("ticker", "AAPL", "/v3/reference/tickers/AAPL", True),
        ("locale", "us", "/v2/aggs/grouped/locale/us/market/stocks/2020-01-02", True),
        ("ticker", "MSFT", "/v3/reference/tickers/AAPL", False),
        ("ticker", "AAPL", "/v3/reference/tickers", False),
        ("limit", "3", "/v3/trades/3", False),
        ("cursor", "AbC123", "/v3/trades/AAPL", False),
    ],
)
def test_what_repeats_the_path_and_what_the_service_never_reads_is_harmless(
    name: str, value: str, path: str, harmless: bool
) -> None:
    assert POLYGON.is_harmless(name, value, path.split("/")) is harmless
