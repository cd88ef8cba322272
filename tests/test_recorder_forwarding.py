"""What a proxy changes on the way, field by field."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from tickdeck.cassette.records import HeaderPairs
from tickdeck.dialects.origins import Origins
from tickdeck.recorder.capture import Exchange
from tickdeck.recorder.forwarding import accepted_upgrade, answer_to_client, protocols_of, sent_upstream

ORIGINS = Origins(["https://api.massive.com"], own="http://127.0.0.1:8421")
ADDRESS = b'{"next_url":"https://api.massive.com/v3"}'
OURS = b'{"next_url":"http://127.0.0.1:8421/v3"}'
JSON = (b"Content-Type", b"application/json")


def fields(text: str) -> HeaderPairs:
    pairs = (line.partition(": ") for line in text.splitlines())
    return tuple((name.encode(), value.encode()) for name, _, value in pairs)


def exchange(body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> Exchange:
    return Exchange(0, 0, 0, "GET", "https://api.massive.com/v3", status, "OK", (), b"", headers, body)


def test_what_belongs_to_one_connection_stays_behind_and_the_order_stays() -> None:
    asked = fields(
        "Accept: */*\nHost: 127.0.0.1:8421\nConnection: keep-alive, X-Hop\nX-Hop: 1\nKeep-Alive: 5\n"
        "Expect: 100-continue\nX-A: 1\nUpgrade: h2c\nTE: trailers\nX-A: 2"
    )
    assert sent_upstream(asked, host="api.massive.com") == fields(
        "Accept: */*\nHost: api.massive.com\nX-A: 1\nX-A: 2"
    )


def test_a_handshake_leaves_its_own_key_and_extensions_behind() -> None:
    asked = fields(
        "Host: here\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: k\nSec-WebSocket-Version: 13\n"
        "Sec-WebSocket-Extensions: permessage-deflate\nSec-WebSocket-Protocol: v1, v2\nOrigin: http://bot"
    )
    assert sent_upstream(asked, host="h") == fields(
        "Host: h\nSec-WebSocket-Protocol: v1, v2\nOrigin: http://bot"
    )
    assert protocols_of(asked) == ["v1", "v2"]
    assert protocols_of(()) == []


def test_of_the_upstreams_101_only_what_is_not_the_handshakes_own_is_passed_on() -> None:
    answered = fields(
        "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: a\nSec-WebSocket-Protocol: v1\n"
        "Server: nginx\nSet-Cookie: a=b\nAlt-Svc: h3"
    )
    assert accepted_upgrade(answered) == fields("Server: nginx\nSet-Cookie: a=b")


def test_an_answer_without_an_address_keeps_every_byte() -> None:
    answer = answer_to_client(exchange(b'{"p":114.170}', JSON, (b"X", b"1")), ORIGINS)
    assert (answer.body, answer.headers) == (b'{"p":114.170}', (JSON, (b"X", b"1")))


@pytest.mark.parametrize("kind", [b"application/json; charset=utf-8", b"text/csv", b"application/hal+json"])
def test_addresses_in_text_are_changed(kind: bytes) -> None:
    assert answer_to_client(exchange(ADDRESS, (b"Content-Type", kind)), ORIGINS).body == OURS


def test_a_body_of_no_stated_kind_is_taken_for_text() -> None:
    assert answer_to_client(exchange(ADDRESS), ORIGINS).body == OURS


def test_a_changed_body_has_its_length_and_no_digest_of_what_it_was() -> None:
    digest = (b"Content-MD5", b"x")
    answer = answer_to_client(exchange(ADDRESS, JSON, digest, (b"Content-Length", b"41")), ORIGINS)
    assert answer.headers == (JSON, (b"Content-Length", b"%d" % len(OURS)))


@pytest.mark.parametrize(
    "untouched",
    [
        exchange(ADDRESS, (b"Content-Type", b"image/png")),
        exchange(ADDRESS, JSON, status=206),
        exchange(b"", JSON),
    ],
)
def test_what_is_no_text_is_left_alone(untouched: Exchange) -> None:
    assert answer_to_client(untouched, ORIGINS).body == untouched.body


@pytest.mark.parametrize("missing", [1, 100])
def test_a_body_that_broke_off_is_changed_and_lacks_as_much_as_it_did(missing: int) -> None:
    length = (b"Content-Length", b"%d" % (len(ADDRESS) + missing))
    answer = answer_to_client(replace(exchange(ADDRESS, JSON, length), complete=False), ORIGINS)
    assert (answer.body, answer.complete) == (OURS, False)
    assert answer.headers == (JSON, (b"Content-Length", b"%d" % (len(OURS) + missing)))


def test_a_coded_body_that_broke_off_goes_on_as_far_as_it_came() -> None:
    coded = replace(
        exchange(gzip.compress(ADDRESS)[:-1], JSON, (b"Content-Encoding", b"gzip")), complete=False
    )
    answer = answer_to_client(coded, ORIGINS)
    assert (answer.body, answer.trouble) == (coded.body, "")


def test_a_coded_body_is_closed_again_under_its_coding() -> None:
    coded = exchange(gzip.compress(ADDRESS), JSON, (b"Content-Encoding", b"gzip"))
    assert gzip.decompress(answer_to_client(coded, ORIGINS).body) == OURS


def test_a_body_that_cannot_be_opened_is_said_to_be_unchanged() -> None:
    answer = answer_to_client(exchange(b"\x0b", JSON, (b"Content-Encoding", b"br")), ORIGINS)
    assert answer.body == b"\x0b"
    assert answer.trouble == "a body could not be opened (br); addresses in it are unchanged"
