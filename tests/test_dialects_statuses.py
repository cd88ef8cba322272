"""Every status whose words are known, to the letter."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.dialects.statuses import ONLY_KNOWN_BY_NAME, Status, frame, render

ROWS = {
    Status.CONNECTED: b'{"ev":"status","status":"connected","message":"Connected Successfully"}',
    Status.AUTHENTICATED_2019: b'{"ev":"status","status":"success","message":"authenticated"}',
    Status.AUTHENTICATED: b'{"ev":"status","status":"auth_success","message":"authenticated"}',
    Status.SUBSCRIBED: b'{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}',
    Status.UNSUBSCRIBED: b'{"ev":"status","status":"success","message":"unsubscribed to: T.MSFT"}',
    Status.KEY_REFUSED: b'{"ev":"status","status":"auth_failed","message":"authentication failed"}',
    Status.KEY_INVALID: b'{"ev":"status","status":"auth_failed","message":"invalid API key"}',
    Status.NO_SOCKETS_IN_PLAN: (
        b'{"ev":"status","status":"auth_failed","message":"Your plan doesn\'t include websocket access. '
        b'Visit https://polygon.io/pricing to upgrade."}'
    ),
    Status.NO_SOCKETS_IN_PLAN_2025: (
        b'{"ev":"status","status":"auth_failed","message":"Your plan doesn\'t include websocket access. '
        b'Visit https://massive.com/pricing to upgrade."}'
    ),
    Status.KEY_REFUSED_AS_ERROR: b'{"ev":"status","status":"error","message":"authentication failed"}',
    Status.AUTH_TIMEOUT: (
        b'{"ev":"status","status":"auth_timeout","message":"No authentication request received."}'
    ),
    Status.MAX_CONNECTIONS: (
        b'{"ev":"status","status":"max_connections",'
        b'"message":"Maximum number of websocket connections exceeded. "}'
    ),
    Status.MAX_CONNECTIONS_LONG: (
        b'{"ev":"status","status":"max_connections",'
        b'"message":"Maximum number of websocket connections exceeded. '
        b"You have reached the connection limit for your account. "
        b'Please contact support at https://polygon.io/contact to increase your limit."}'
    ),
    Status.MAX_CONNECTIONS_2020: (
        b'{"ev":"status","status":"max_connections","message":"Maximum number of connections exceeded."}'
    ),
    Status.DISCONNECTED: (
        b'{"ev":"status","status":"disconnected","message":"Reason: Max connections reached"}'
    ),
    Status.NOT_AUTHORIZED: b'{"ev":"status","status":"error","message":"not authorized"}',
    Status.DELAYED_ONLY: (
        b'{"ev":"status","status":"error","message":"You don\'t have access real-time data. '
        b"If your plan only includes delayed data, you can connect to the delayed websocket at "
        b'wss://delayed.polygon.io/stocks."}'
    ),
    Status.DELAYED_ONLY_2026: (
        b'{"ev":"status","status":"error","message":"You don\'t have access real-time data. '
        b"If your plan only includes delayed data, you can connect to the delayed websocket at "
        b"wss://delayed.polygon.io/stocks. If you're already subscribed to a plan that includes "
        b'real-time data, you may need to visit the dashboard to sign your agreements."}'
    ),
    Status.SLOW_CONSUMER: b'{"ev":"status","status":"slow_consumer","message":"Slow consumer."}',
    Status.SUBSCRIPTION_LIMIT: (
        b'{"ev":"status","status":"error","message":"Subscription limit reached for feed. '
        b'Please remove some subscriptions and try again."}'
    ),
}


@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_a_status_is_rendered_to_the_letter(status: Status) -> None:
    assert render(status, channel="T.MSFT") == ROWS[status]


def test_a_status_that_is_only_known_by_name_has_no_words_here() -> None:
    assert ONLY_KNOWN_BY_NAME.isdisjoint({status.status for status in Status})


def test_a_frame_is_an_array_without_spaces() -> None:
    assert frame([b'{"a":1}', b'{"b":2}']) == b'[{"a":1},{"b":2}]'


@given(st.text())
def test_whatever_was_asked_for_is_acknowledged_as_json_that_says_so(channel: str) -> None:
    assert json.loads(render(Status.SUBSCRIBED, channel=channel))["message"] == f"subscribed to: {channel}"


def test_every_status_has_a_message_because_clients_insist_on_one() -> None:
    for status in Status:
        assert list(json.loads(render(status))) == ["ev", "status", "message"]
