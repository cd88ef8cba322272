"""Whose words a refused key hears, and what a client must not send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Interaction, Profile, Record
from tickdeck.mockserver.harness import MockServer, PlainMarket

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

BARS = "/v2/aggs/ticker/AAPL/prev"
UNKNOWN = b'{"status": "ERROR", "error": "Who are you?"}\n'
NO_KEY = b'{"status": "ERROR", "error": "Say who you are"}\n'
REFUSED = '[{"ev": "status", "status": "auth_failed", "message": "who are you?"}]'
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


def interaction(number: int, url: str, status: int, body: bytes, headers: Any = ()) -> Interaction:
    return Interaction(
        seq=number,
        offset_ns=number,
        first_byte_ns=number,
        end_ns=number,
        interaction=number,
        method="GET",
        url=f"https://api.polygon.io{url}",
        status=status,
        request_headers=headers,
        response_headers=((b"Content-Type", b"application/json"), (b"X-Served-By", b"the service")),
        body=body,
    )


RECORDED = (
    interaction(1, f"{BARS}?apiKey=REDACTED-1", 200, b"{}"),
    interaction(2, "/v1/other", 401, NO_KEY),
    interaction(3, "/v1/other", 401, UNKNOWN, ((b"authorization", b"Bearer REDACTED-2"),)),
    interaction(4, "/v1/other?apiKey=REDACTED-3", 401, b'{"error":"a later one"}'),
    Profile(5, 5, {"auth_failed": REFUSED}),
)


def get(market: PlainMarket, target: str, **headers: str) -> tuple[int, bytes, str | None]:
    request = Request(
        market.http_url + target, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers["X-Served-By"]
    except HTTPError as error:
        with closing(error):
            return error.code, error.read(), error.headers["X-Served-By"]


def auth(market: PlainMarket, **fields: str) -> str:
    with connect(f"{market.ws_url}/stocks", compression=None) as bot:
        bot.recv(10)
        bot.send(json.dumps({"action": "auth", **fields}))
        answer = bot.recv(10, decode=True)
        if "auth_failed" in answer:
            with pytest.raises(ConnectionClosedError):
                bot.recv(10)
        return answer


@pytest.fixture
def make_market(make: Make) -> Callable[..., Any]:
    return lambda records=RECORDED, **options: MockServer(make(records), **options)


def test_a_refused_key_hears_what_the_recorded_one_heard(make_market: Callable[..., Any]) -> None:
    with make_market(reject_keys=["bad"]) as market:
        assert get(market, f"{BARS}?apiKey=bad") == (401, UNKNOWN, "the service")
        for _ in range(2):
            assert get(market, BARS, Authorization="Bearer bad") == (
                401,
                b'{"error":"a later one"}',
                "the service",
            )
        assert auth(market, params="bad") == REFUSED
        assert market.report()["requests"]["refused"] == 3


def test_a_refusal_that_nobody_learned_is_found_on_the_tape(
    make_market: Callable[..., Any], story: Any
) -> None:
    story.opens(1, 0)
    story.acks(1, 1, "T.AAPL")
    story.trades(1, 2, "AAPL")
    story.opens(2, 3)
    story.says(2, 4, '[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
    story.says(2, 5, REFUSED)
    story.closes(2, 6)
    with make_market(records=story.records, reject_keys=["bad"]) as market:
        assert auth(market, params="bad") == REFUSED


def test_a_recorded_refusal_that_was_given_is_played(make_market: Callable[..., Any]) -> None:
    with make_market(reject_keys=["bad"]) as market:
        get(market, f"{BARS}?apiKey=bad")
        assert len(market.report()["unplayed"]) == 3


def test_a_good_key_is_not_answered_with_what_a_bad_one_or_none_heard(
    make_market: Callable[..., Any],
) -> None:
    refused = (interaction(1, BARS, 401, NO_KEY), interaction(2, f"{BARS}?apiKey=REDACTED-1", 401, UNKNOWN))
    good = f"{BARS}?apiKey=REDACTED-2"
    revoked = (interaction(3, good, 200, b"{}"), interaction(4, good, 401, b"revoked"))
    with make_market(refused + revoked, reject_keys=["bad"], profile="polygon") as market:
        assert [get(market, f"{BARS}?apiKey=K")[1] for _ in range(2)] == [b"{}", b"revoked"]
    with make_market(refused, reject_keys=["bad"]) as market:
        assert [get(market, f"{BARS}?apiKey=K")[1] for _ in range(2)] == [NO_KEY, UNKNOWN]


def test_where_no_key_was_needed_a_refusal_is_an_answer_like_others(make_market: Callable[..., Any]) -> None:
    records = (interaction(1, BARS, 401, NO_KEY), interaction(2, BARS, 200, b"{}"))
    with make_market(records) as market:
        assert [get(market, f"{BARS}?apiKey=K")[1] for _ in range(2)] == [NO_KEY, b"{}"]


def test_a_request_without_a_key_hears_what_the_recorded_one_heard(make_market: Callable[..., Any]) -> None:
    with make_market() as market:
        assert get(market, BARS) == (401, NO_KEY, "the service")


@pytest.mark.parametrize(
    "options", [{"profile": "polygon"}, {"profile": "alpaca-2019"}, {"records": RECORDED[:1]}]
)
def test_with_a_profile_or_without_a_recorded_refusal_it_hears_invalid_api_key(
    make_market: Callable[..., Any], options: dict[str, Any]
) -> None:
    with make_market(reject_keys=["bad"], **options) as market:
        status, body, served_by = get(market, f"{BARS}?apiKey=bad")
        assert (status, json.loads(body)["error"], served_by) == (401, "invalid API key", None)
        assert json.loads(auth(market, params="bad"))[0]["message"] == "invalid API key"
        assert json.loads(get(market, BARS)[1])["error"] == "API Key was not provided"


@pytest.mark.parametrize(
    ("target", "headers", "place"),
    [
        (f"{BARS}?apiKey=K", {"APCA_API_SECRET_KEY": SECRET}, "the header APCA-API-SECRET-KEY"),
        (f"{BARS}?apiKey=K&secret={SECRET}", {}, "the parameter secret"),
        (f"{BARS}?apiKey=K&SECRET_KEY={SECRET}", {}, "the parameter SECRET_KEY"),
    ],
)
def test_a_request_with_the_secret_of_an_account_is_answered_and_is_a_misstep(
    make_market: Callable[..., Any], target: str, headers: dict[str, str], place: str
) -> None:
    with make_market() as market:
        assert get(market, target, **headers)[:2] == (200, b"{}")
        (misstep,) = market.journal.missteps
        assert (misstep.parts["misstep"], misstep.doer) == ("secret-key", f"GET {BARS}")
        assert place in str(misstep.parts["detail"])
        assert market.report()["missteps"] == 1
        with pytest.raises(AssertionError, match="1 misstep: GET /v2/aggs/ticker/AAPL/prev: secret-key, "):
            market.assert_no_missteps()
        assert SECRET not in repr((market.journal, market.report()))


@pytest.mark.parametrize(
    "fields",
    [
        {"params": "K", "secret": SECRET},
        {"key": "K", "secret": SECRET},
        {"data": {"key_id": "K", "secret_key": SECRET}},
    ],
)
def test_a_socket_that_says_the_secret_of_an_account_has_made_a_misstep(
    make_market: Callable[..., Any], fields: dict[str, Any]
) -> None:
    with make_market() as market:
        with connect(f"{market.ws_url}/stocks", compression=None) as bot:
            bot.send(json.dumps({"action": "auth", **fields}))
        assert "secret-key" in [each.parts["misstep"] for each in market.journal.missteps]
        assert SECRET not in repr((market.journal, market.report()))


def test_a_handshake_with_the_secret_of_an_account_is_a_misstep_of_its_client(
    make_market: Callable[..., Any],
) -> None:
    with make_market() as market:
        headers = {"APCA-API-KEY-ID": "K", "APCA-API-SECRET-KEY": SECRET}
        with connect(f"{market.ws_url}/stocks", compression=None, additional_headers=headers) as bot:
            bot.recv(10)
        (misstep,) = market.journal.missteps
        assert (misstep.client, misstep.parts["misstep"]) == (1, "secret-key")
        assert SECRET not in repr((market.journal, market.report()))


def test_a_client_that_sends_its_key_id_alone_makes_no_misstep(make_market: Callable[..., Any]) -> None:
    with make_market() as market:
        assert get(market, f"{BARS}?apiKey=K", APCA_API_KEY_ID="K")[0] == 200
        auth(market, params="K")
        market.assert_no_missteps()
