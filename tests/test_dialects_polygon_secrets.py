import json

import pytest

from tickdeck.dialects.polygon_secrets import PLACES

KEY = "an_Api_Key_of_32_characters_0000"


def secrets_in(payload: str) -> list[tuple[str, str]]:
    raw = payload.encode()
    spots = PLACES.message_secrets(raw)
    assert all(raw[spot.start : spot.end] for spot in spots)
    return [(spot.place, spot.secret) for spot in spots]


@pytest.mark.parametrize(
    "payload",
    [
        '{"action":"auth","params":"%s"}',
        '{ "params" : "%s" ,\n "action" : "auth" }',
        '{"action":"authenticate","params":["%s"]}',
        r'"{\"action\":\"auth\",\"params\":\"%s\"}"',
        "{'action': 'auth', 'params': '%s'}",
        '{"action":"atuh","params":"%s"}',
        '{"Action":"auth","PARAMS":"%s"}',
        r'{"action":"auth","p\u0061rams":"%s"}',
        '{"params":"%s',
        '[{"action":"auth","params":"%s"},{"action":"subscribe","params":"T.MSFT,AM.*"}]',
    ],
)
def test_the_key_of_an_auth_message_is_found_however_it_is_written(payload: str) -> None:
    assert [secret for _, secret in secrets_in(payload % KEY)] == [KEY]


@pytest.mark.parametrize(
    "payload",
    [
        '{"action":"subscribe","params":"T.MSFT"}',
        '{"action":"unsubscribe","params":"not a channel at all"}',
        '{"action":"list","params":"T.BRK.B, Q.*"}',
        '{"action":"auth","params":""}',
        '{"action":"auth","params":null}',
        "not json",
        "",
    ],
)
def test_what_is_no_key_is_left_alone(payload: str) -> None:
    assert secrets_in(payload) == []


def test_alpaca_messages_carry_two_secrets() -> None:
    old = {"action": "authenticate", "data": {"key_id": "PKAAAABBBBCCCCDDDDEE", "secret_key": 'a/"b'}}
    assert secrets_in(json.dumps(old)) == [
        ("message key_id", "PKAAAABBBBCCCCDDDDEE"),
        ("message secret_key", 'a/"b'),
    ]
    new = '{"action":"auth","secret":"s\\/t","key":"k"}'
    assert secrets_in(new) == [("message secret", "s/t"), ("message key", "k")]


def test_a_channel_is_no_key_but_an_auth_message_is_believed() -> None:
    assert secrets_in('{"action":"auth","params":"T.MSFT"}') == [("message params", "T.MSFT")]


def test_the_tables_are_in_lower_case() -> None:
    for names in (PLACES.query_parameters, PLACES.headers, PLACES.body_fields):
        assert {name.lower() for name in names} == names
