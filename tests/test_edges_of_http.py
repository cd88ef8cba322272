"""Requests at the edge of HTTP: what is none is refused with 400, what is one is answered as the recording has it."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import brotli
import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Interaction, Record
from tickdeck.mockserver.harness import MockServer, PlainMarket

Make = Callable[[Iterable[Record]], Cassette]

pytestmark = pytest.mark.timeout(30)

ORIGIN = "https://api.polygon.io"
PAGE = b'{"next_url":"https://api.polygon.io/v3/trades/A?cursor=x"}'
GOOD_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture
def tape(make: Make) -> Cassette:
    def answer(seq: int, method: str, body: bytes, sent: bytes = b"") -> Interaction:
        return Interaction(
            *(seq, seq, seq, seq, seq, method, f"{ORIGIN}/v3/trades/A", 200),
            request_body=sent,
            response_headers=((b"Content-Type", b"application/json"),),
            body=body,
        )

    return make([answer(0, "GET", PAGE), answer(1, "POST", b'{"posted":1}', b'{"a":1}')])


@pytest.fixture
def market(tape: Cassette) -> Iterator[PlainMarket]:
    with MockServer(tape) as market:
        yield market


@contextmanager
def line_to(market: PlainMarket) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", market.port), 10) as line:
        yield line


def head_of(*fields: bytes, first: bytes = b"GET /v3/trades/A HTTP/1.1") -> bytes:
    return b"\r\n".join([first, b"Authorization: Bearer any", *fields, b"", b""])


def answer_on(line: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(line)
    response.begin()
    return response.status, response.read()


def said_to(market: PlainMarket, request: bytes) -> tuple[int, bytes]:
    with line_to(market) as line:
        line.sendall(request)
        return answer_on(line)


def posted(coding: bytes, body: bytes, *more: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    first = b"POST /v3/trades/A HTTP/1.1"
    return head_of(b"Host: h", b"Content-Encoding: " + coding, length, *more, first=first) + body


def is_served(market: PlainMarket) -> bool:
    return said_to(market, head_of(b"Host: h"))[0] == 200


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", b'{"a":1}'),
        (b"deflate", b'{"a":1}'),
        (b"br", b'{"a":1}'),
        (b"zstd", b'{"a":1}'),
        (b"gzip", gzip.compress(b'{"a":1}') + b"rubbish"),
        (b"gzip", gzip.compress(b'{"a":1}')[:-4]),
        (b"br", brotli.compress(b'{"a":1}')[:-1]),
        (b"br", b"hello"),
        (b"gzip, br", gzip.compress(b'{"a":1}')),
        (b"gzip", gzip.compress(bytes(9 << 20))),
    ],
    ids=[
        "gzip", "deflate", "br", "zstd", "more behind the gzip", "gzip breaks off", "br breaks off",
        "br that never begins", "one of two codings", "more than fits",
    ],
)  # fmt: skip
def test_a_body_that_is_not_what_its_coding_says_is_a_bad_request(
    coding: bytes, body: bytes, market: PlainMarket
) -> None:
    assert said_to(market, posted(coding, body))[0] == 400
    assert is_served(market)
    assert market.report()["rejected"] == {"refused a request: its body is not what its fields say": 1}


def test_a_body_of_megabytes_is_compared_too(make: Make) -> None:
    sent = b'{"a":"%s"}' % (b"x" * (3 << 20))
    recorded = Interaction(0, 0, 0, 0, 0, "POST", f"{ORIGIN}/o", 200, request_body=sent, body=b"ok")
    first = b"POST /o HTTP/1.1"
    with MockServer(make([recorded])) as market:
        for body, answered in ((sent, 200), (sent.replace(b"x", b"y", 1), 404)):
            head = head_of(b"Host: h", b"Content-Length: %d" % len(body), first=first)
            assert said_to(market, head + body)[0] == answered


@pytest.mark.parametrize(
    "key", [b"\xff\xff", b"", b"short", GOOD_KEY + b"=", b"!!!!", GOOD_KEY[:-4] + b"\xff==="]
)
def test_a_websocket_key_that_is_none_is_a_bad_request(key: bytes, market: PlainMarket) -> None:
    fields = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
    head = head_of(b"Host: h", *fields, b"Sec-WebSocket-Key: " + key, first=b"GET /stocks HTTP/1.1")
    assert said_to(market, head)[0] == 400
    assert is_served(market)


def test_who_waits_for_the_word_to_go_on_gets_it_and_then_the_answer(market: PlainMarket) -> None:
    fields = (b"Host: h", b"Content-Length: 7", b"Expect: 100-continue")
    with line_to(market) as line:
        line.sendall(head_of(*fields, first=b"POST /v3/trades/A HTTP/1.1"))
        assert line.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b'{"a":1}')
        assert answer_on(line) == (200, b'{"posted":1}')


@pytest.mark.parametrize(
    "host",
    [b"h\xc3\xa4", b"\xff", b'a","evil":"b', b"a b", b"a/b", b"u@h", b"h:port", b"h:70000", b"[::1", b"a\\b"],
)
def test_a_host_that_is_none_is_a_bad_request(host: bytes, market: PlainMarket) -> None:
    assert said_to(market, head_of(b"Host: " + host))[0] == 400
    assert is_served(market)


def test_two_hosts_are_a_bad_request(market: PlainMarket) -> None:
    assert said_to(market, head_of(b"Host: a", b"Host: b"))[0] == 400


@pytest.mark.parametrize("host", [b"localhost:81", b"h", b"[::1]:82", b"a_b.c-d.", b"10.0.0.1:"])
def test_the_next_page_is_where_the_client_found_this_one(host: bytes, market: PlainMarket) -> None:
    status, body = said_to(market, head_of(b"Host: " + host))
    assert (status, json.loads(body)["next_url"]) == (200, f"http://{host.decode()}/v3/trades/A?cursor=x")


@pytest.mark.parametrize("fields", [(), (b"Host:",)], ids=["no host", "an empty host"])
def test_without_a_host_the_next_page_is_at_the_port_that_was_asked(
    fields: tuple[bytes, ...], market: PlainMarket
) -> None:
    status, body = said_to(market, head_of(*fields, first=b"GET /v3/trades/A HTTP/1.0"))
    expected = f"http://127.0.0.1:{market.port}/v3/trades/A?cursor=x"
    assert (status, json.loads(body)["next_url"]) == (200, expected)


def test_the_control_says_to_go_on_too(market: PlainMarket) -> None:
    body = b'{"speed": 2}'
    fields = (b"Host: 127.0.0.1", b"Content-Length: %d" % len(body), b"Expect: 100-continue")
    with line_to(market) as line:
        line.sendall(head_of(*fields, first=b"POST /__tickdeck/speed HTTP/1.1"))
        assert line.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(body)
        assert answer_on(line)[0] == 200


def test_nobody_of_http_1_0_is_told_to_go_on(market: PlainMarket) -> None:
    head = head_of(b"Content-Length: 7", b"Expect: 100-continue", first=b"POST /v3/trades/A HTTP/1.0")
    with line_to(market) as line:
        line.sendall(head + b'{"a":1}')
        assert line.recv(12, socket.MSG_WAITALL) == b"HTTP/1.0 200"


def test_a_bad_request_prints_no_traceback(market: PlainMarket, caplog: pytest.LogCaptureFixture) -> None:
    said_to(market, posted(b"gzip", b'{"a":1}'))
    said_to(market, head_of(b"Host: \xff"))
    assert not any(record.exc_info for record in caplog.records)
    assert "Traceback" not in caplog.text
