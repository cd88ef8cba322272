"""What Alpaca's page of 2019 shows, tried against its fixture with the default options."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from tickdeck.mockserver.harness import MockServer, PlainMarket

PAGE = Path(__file__).parent.parent / "fixtures" / "alpaca-2019-page.cassette"
EXAMPLE = "/v2/aggs/ticker/AAPL/range/1/day/2019-01-01/2019-02-01"


@pytest.fixture
def market() -> Iterator[PlainMarket]:
    with MockServer(PAGE, reject_keys=["no-such-account"]) as market:
        yield market


def get(market: PlainMarket, key: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(f"{market.http_url}{EXAMPLE}?apiKey={key}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def say(bot: ClientConnection, action: str, params: str) -> Any:
    bot.send(json.dumps({"action": action, "params": params}))
    return json.loads(bot.recv(10))


def test_its_first_request_is_answered_with_a_bar_for_each_day_of_trading(market: PlainMarket) -> None:
    status, answer = get(market, "AK-my-key-id")
    days = [datetime.fromtimestamp(bar["t"] / 1000, UTC).date().isoformat() for bar in answer["results"]]
    assert (status, answer["ticker"], answer["status"]) == (200, "AAPL", "OK")
    assert (days[0], days[-1], len(days)) == ("2019-01-02", "2019-02-01", 22)
    assert all(
        bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"]
        for bar in answer["results"]
    )


def test_its_transcript_is_what_a_client_hears(market: PlainMarket) -> None:
    with connect(f"{market.ws_url}/stocks", compression=None) as bot:
        assert json.loads(bot.recv(10))[0]["status"] == "connected"
        assert say(bot, "auth", "AK-my-key-id") == [
            {"ev": "status", "status": "success", "message": "authenticated"}
        ]
        assert say(bot, "subscribe", "T.MSFT")[0]["message"] == "subscribed to: T.MSFT"
        assert b'"p":114.170' in bot.recv(10, decode=False)
    assert get(market, "AK-my-key-id")[0] == 200


def test_a_refused_key_hears_invalid_api_key_by_rest(market: PlainMarket) -> None:
    status, answer = get(market, "no-such-account")
    assert (status, answer["error"]) == (401, "invalid API key")


def test_a_refused_key_hears_invalid_api_key_on_the_socket(market: PlainMarket) -> None:
    with connect(f"{market.ws_url}/stocks", compression=None) as bot:
        bot.recv(10)
        assert say(bot, "auth", "no-such-account")[0]["message"] == "invalid API key"
        with pytest.raises(ConnectionClosedError):
            bot.recv(10)
