"""A secret is one in a query, a form, JSON, a multipart part and a header field alike, however short it is."""

from __future__ import annotations

import json

import pytest

from tickdeck.cassette.audit import audit
from tickdeck.cassette.records import Header, HeaderPairs, Interaction, TrackOpened
from tickdeck.cassette.redaction import Redactor
from tickdeck.dialects.polygon_secrets import PLACES

NAMES = (
    "client_secret", "password", "signature", "key", "token", "apiKey[]", "apiKey[0]", "api_secret", "refresh_token"
)  # fmt: skip
SECRET = "sesame"
LONG = "a-secret-of-many-letters-00"


def asked(url: str = "https://a/b", *, sent: bytes = b"", headers: HeaderPairs = ()) -> Interaction:
    return Interaction(0, 0, 0, 0, 0, "POST", url, 200, request_headers=headers, request_body=sent)


def cleaned(record: Interaction) -> Interaction:
    clean = Redactor(PLACES).clean(record)
    assert isinstance(clean, Interaction)
    assert list(audit(Header(0), [record], places=PLACES))
    assert not list(audit(Header(0), [clean], places=PLACES))
    return clean


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_is_one_in_a_query_a_form_and_json(name: str) -> None:
    encoded = name.replace("[", "%5B").replace("]", "%5d")
    for spelled in (name, encoded):
        assert cleaned(asked(f"https://a/b?x=1&{spelled}={SECRET}&y=2")).url == (
            f"https://a/b?x=1&{spelled}=REDACTED-1&y=2"
        )
        form = cleaned(asked(sent=f"x=1&{spelled}={SECRET}&y=2".encode()))
        assert form.request_body == f"x=1&{spelled}=REDACTED-1&y=2".encode()
    body = cleaned(asked(sent=json.dumps({"x": {name: SECRET}}).encode())).request_body
    assert json.loads(body) == {"x": {name: "REDACTED-1"}}


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ('["%s", "other-secret-of-9"]', '["REDACTED-1", "REDACTED-2"]'),
        ('[7, null,"%s",-1.5,"\\u006fther-secret-of-9"]', '[7, null,"REDACTED-1",-1.5,"REDACTED-2"]'),
        ('["%s"],"x":["y","z"]', '["REDACTED-1"],"x":["y","z"]'),
    ],
)
def test_of_several_secrets_in_an_array_none_stays(written: str, left: str) -> None:
    body, expected = '{"token":' + written % SECRET + "}", '{"token":' + left + "}"
    assert cleaned(asked(sent=body.encode())).request_body == expected.encode()
    inside = cleaned(asked(sent=json.dumps({"text": body}).encode())).request_body
    assert json.loads(inside) == {"text": expected}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quote", ['"', ""])
@pytest.mark.parametrize("more", ["", "\r\nContent-Type: text/plain"])
def test_a_secret_is_one_as_a_part_of_a_multipart_body(name: str, quote: str, more: str) -> None:
    parts = (
        '--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nkeep\r\n'
        f"--b\r\ncontent-disposition: form-data; name={quote}{name}{quote}{more}\r\n\r\n%s\r\n--b--\r\n"
    )
    sent = cleaned(asked(sent=(parts % SECRET).encode())).request_body
    assert sent == (parts % "REDACTED-1").encode()


@pytest.mark.parametrize(
    "sent",
    [
        '{"url":"https://x/?token=%s"}',
        ' ["a", "token=%s"]',
        '"token=%s"',
        "<a href='/?token=%s'>x</a>",
        '--b\r\nContent-Disposition: form-data; name="u"\r\n\r\nhttps://x/?token=%s\r\n--b--\r\n',
    ],
)
def test_an_address_in_a_body_loses_its_secret_and_nothing_else(sent: str) -> None:
    clean = cleaned(asked(f"https://a/{LONG}", sent=(sent % LONG).encode()))
    assert clean.request_body.decode() == sent % "REDACTED-1"
    assert LONG not in clean.url


def test_a_secret_of_a_form_ends_at_the_next_field() -> None:
    sent = b'a=1&token=se"sa me&b=2\n'
    assert cleaned(asked(sent=sent)).request_body == b"a=1&token=REDACTED-1&b=2\n"


def test_a_part_of_another_name_stays() -> None:
    sent = b'--b\r\nContent-Disposition: form-data; name="filename_key_x"\r\n\r\nkeep\r\n--b--\r\n'
    assert Redactor(PLACES).clean(asked(sent=sent)).request_body == sent


@pytest.mark.parametrize("name", ["X-Vendor-Token", "x-custom-key", "Some-Client-SECRET"])
def test_a_field_whose_name_ends_like_a_secrets_holds_one(name: str) -> None:
    clean = cleaned(asked(headers=((name.encode(), SECRET.encode()),)))
    assert clean.request_headers == ((name.encode(), b"REDACTED-1"),)


def test_the_nonce_of_a_handshake_is_no_secret() -> None:
    record = asked(headers=((b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),))
    assert Redactor(PLACES).clean(record) is record


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        ("bearer.%s", "bearer.REDACTED-1"),
        ("v1.massive, Bearer.%s", "v1.massive, Bearer.REDACTED-1"),
        ("access_token, %s", "access_token, REDACTED-1"),
        ("base64url.bearer.%s, x", "base64url.bearer.REDACTED-1, x"),
    ],
)
def test_a_subprotocol_that_carries_a_secret_loses_it_and_so_do_path_and_echo(said: str, clean: str) -> None:
    record = TrackOpened(
        0, 0, 1, f"/stocks/{LONG}", url=f"wss://a/stocks/{LONG}",
        request_headers=((b"Sec-WebSocket-Protocol", (said % LONG).encode()),),
        response_headers=((b"X-Echo", LONG.encode().hex().upper().encode()),),
    )  # fmt: skip
    assert Redactor(PLACES).clean(record) == TrackOpened(
        0, 0, 1, "/stocks/REDACTED-1", url="wss://a/stocks/REDACTED-1",
        request_headers=((b"Sec-WebSocket-Protocol", clean.encode()),),
        response_headers=((b"X-Echo", b"REDACTED-1"),),
    )  # fmt: skip


@pytest.mark.parametrize("said", ["v1.massive", "graphql-ws, json", "tokens.v1"])
def test_a_subprotocol_that_carries_none_stays(said: str) -> None:
    record = TrackOpened(0, 0, 1, "stocks", request_headers=((b"Sec-WebSocket-Protocol", said.encode()),))
    assert Redactor(PLACES).clean(record) is record
