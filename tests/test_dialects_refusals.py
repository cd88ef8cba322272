"""REST refusals, to the letter."""

from __future__ import annotations

import pytest

from tickdeck.dialects import refusals
from tickdeck.dialects.profiles import PROFILES
from tickdeck.dialects.refusals import Refusal

ID = "0123456789abcdef0123456789abcdef"
ROWS = [
    (refusals.NO_KEY, 401, '{"status":"ERROR","request_id":"%s","error":"API Key was not provided"}'),
    (
        refusals.NOT_ENTITLED,
        403,
        (
            '{"status":"NOT_AUTHORIZED","request_id":"%s","message":"You are not entitled to this data. '
            'Please upgrade your plan at https://polygon.io/pricing"}'
        ),
    ),
    (
        refusals.NOT_ENTITLED_2025,
        403,
        (
            '{"status":"NOT_AUTHORIZED","request_id":"%s","message":"You are not entitled to this data. '
            'Please upgrade your plan at https://massive.com/pricing"}'
        ),
    ),
    (
        refusals.TIMEFRAME,
        403,
        (
            '{"status":"NOT_AUTHORIZED","request_id":"%s","message":"Your plan doesn\'t include this data timeframe. '
            'Please upgrade your plan at https://polygon.io/pricing"}'
        ),
    ),
    (
        refusals.TICKER_NOT_FOUND,
        404,
        '{"status":"NOT_FOUND","request_id":"%s","message":"Ticker not found."}',
    ),
    (refusals.DATA_NOT_FOUND, 404, '{"status":"NOT_FOUND","request_id":"%s","message":"Data not found."}'),
    (
        refusals.OPTION_NOT_FOUND,
        404,
        '{"status":"NOT_FOUND","request_id":"%s","message":"Option Ticker not found."}',
    ),
    (
        refusals.RATE_LIMIT,
        429,
        (
            '{"status":"ERROR","request_id":"%s","error":"You\'ve exceeded the maximum requests per minute, '
            'please wait or upgrade your subscription to continue. https://polygon.io/pricing"}'
        ),
    ),
    (
        refusals.RATE_LIMIT_2025,
        429,
        (
            '{"status":"ERROR","request_id":"%s","error":"You\'ve exceeded the maximum requests per minute, '
            'please wait or upgrade your subscription to continue. https://massive.com/pricing"}'
        ),
    ),
]


@pytest.mark.parametrize(("refusal", "status", "body"), ROWS)
def test_a_refusal_is_worded_to_the_letter(refusal: Refusal, status: int, body: str) -> None:
    assert refusal.http == status
    assert refusal.body(ID) == (body % ID).encode()


@pytest.mark.parametrize(
    ("profile", "words"),
    [("polygon", "invalid API key"), ("alpaca-2019", "invalid API key"), ("massive-2026", "Unknown API Key")],
)
def test_a_bad_key_is_refused_in_the_words_of_the_profile(profile: str, words: str) -> None:
    refusal = refusals.bad_key(PROFILES[profile].bad_key)
    assert refusal.http == 401
    assert refusal.body(ID) == f'{{"status":"ERROR","request_id":"{ID}","error":"{words}"}}'.encode()


def test_a_bad_key_of_february_2021_was_refused_in_92_bytes() -> None:
    assert {len(refusals.bad_key(wording.bad_key).body(ID)) for wording in PROFILES.values()} == {92}


def test_the_request_id_of_the_body_is_that_of_the_header_and_there_is_no_retry_after() -> None:
    assert refusals.RATE_LIMIT.headers(ID) == {"Content-Type": "application/json", "X-Request-Id": ID}


def test_401_and_429_say_error_and_403_and_404_say_message() -> None:
    for refusal, status, _ in ROWS:
        assert refusal.field == ("error" if status in (401, 429) else "message")


def test_what_is_not_on_the_cassette_is_a_404_with_our_sentence() -> None:
    refusal = refusals.not_recorded('no recording of GET /v3/"é"')
    assert refusal.http == 404
    assert refusal.body(ID) == (
        b'{"status":"NOT_FOUND","request_id":"%s","message":"no recording of GET /v3/\\"\\u00e9\\""}'
        % ID.encode()
    )


def test_a_snapshot_names_a_missing_ticker_in_a_row() -> None:
    row = b'{"error":"NOT_FOUND","message":"Ticker not found.","ticker":"TSLAAPL"}'
    assert refusals.missing_row("TSLAAPL") == row
