"""A request gets the answer that was recorded for it: by query, body and header fields, over real sockets."""

from __future__ import annotations

import gzip
import http.client
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import brotli
import pytest
import requests

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Header, HeaderPairs, Interaction, Record
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.harness import MockServer, PlainMarket

if sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

pytestmark = pytest.mark.timeout(30)

ORIGIN = "https://api.polygon.io"
KEY = {"Authorization": "Bearer any"}


def answer(
    seq: int,
    target: str,
    body: bytes,
    *,
    method: str = "GET",
    status: int = 200,
    asked: Mapping[str, str] | None = None,
    answered: Mapping[str, str] | None = None,
    sent: bytes = b"",
) -> Interaction:
    def pairs(fields: Mapping[str, str] | None) -> HeaderPairs:
        return tuple((name.encode(), value.encode()) for name, value in (fields or {}).items())

    return Interaction(
        *(seq, seq, seq, seq, seq, method, ORIGIN + target, status),
        request_headers=pairs(asked),
        request_body=sent,
        response_headers=pairs(answered),
        body=body,
    )


def ask(
    market: PlainMarket,
    target: str,
    *,
    method: str = "GET",
    fields: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    host = market.http_url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request(method, target, body, {**KEY, **(fields or {})})
    with connection.getresponse() as response:
        found = response.status, response.read()
    connection.close()
    return found


def test_two_posts_to_one_path_get_their_own_answers(make: Make) -> None:
    bodies = {name: json.dumps({"symbol": name}).encode() for name in ("AAPL", "MSFT")}
    tape = make(
        answer(number, "/v1/orders", name.encode(), method="POST", sent=sent)
        for number, (name, sent) in enumerate(bodies.items())
    )
    with MockServer(tape) as market:
        for symbol in ("MSFT", "AAPL"):
            url = f"{market.http_url}/v1/orders"
            assert requests.post(url, json={"symbol": symbol}, headers=KEY, timeout=10).text == symbol
        assert requests.post(url, json={"symbol": "SPY"}, headers=KEY, timeout=10).status_code == 404
        (miss,) = market.misses()
    assert miss["sentence"] == (
        "no recording of POST /v1/orders; nearest: the same request with another body (it differs at $.symbol)"
    )


def test_a_path_of_json_is_ignored_by_an_option(make: Make) -> None:
    tape = make([answer(1, "/v1/orders", b"{}", method="POST", sent=b'{"id": 1, "symbol": "AAPL"}')])
    with MockServer(tape, ignore="json:$.id") as market:
        assert ask(market, "/v1/orders", method="POST", body=b'{"symbol":"AAPL","id":"x"}')[0] == 200
        assert ask(market, "/v1/orders", method="POST", body=b'{"symbol":"SPY","id":1}')[0] == 404


@pytest.mark.parametrize(
    ("coding", "close"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress), ("zstd", zstd.compress)],
)
def test_bodies_are_compared_without_their_coding(
    make: Make, coding: str, close: Callable[[bytes], bytes]
) -> None:
    fields = {"Content-Encoding": coding, "Content-Type": "application/json"}
    tape = make([answer(0, "/v1/o", b"ok", method="POST", asked=fields, sent=close(b'{"a": 1}'))])
    with MockServer(tape) as market:
        for body, asked in ((close(b'{"a":1.0}'), fields), (b'{"a":1}', {})):
            assert ask(market, "/v1/o", method="POST", fields=asked, body=body) == (200, b"ok")
        assert ask(market, "/v1/o", method="POST", fields=fields, body=close(b'{"a":2}'))[0] == 404


@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("x-gzip", gzip.compress(b'{"a": 1}')),
        ("gzip, br", brotli.compress(gzip.compress(b'{"a": 1}'))),
        ("", gzip.compress(b'{"a": 1}')),
        ("", gzip.compress(b'{"a": 1}')[:-3]),
        ("", b"\x1f\x8b\x08 no gzip"),
        ("unheard-of", b"whatever it is"),
    ],
    ids=["x-gzip", "two", "unsaid", "unsaid and broken off", "only its first bytes", "unknown"],
)
def test_a_request_that_is_made_again_byte_by_byte_is_answered(make: Make, coding: str, sent: bytes) -> None:
    fields = {"Content-Encoding": coding} if coding else {}
    tape = make([answer(0, "/v1/o", b"ok", method="POST", asked=fields, sent=sent)])
    with MockServer(tape) as market:
        assert ask(market, "/v1/o", method="POST", fields=fields, body=sent) == (200, b"ok")


def test_json_and_csv_parts_and_conditions_each_get_their_own(make: Make) -> None:
    vary = {"Vary": "Accept"}
    tape = make(
        [
            answer(0, "/f", b"{}", asked={"Accept": "application/json"}, answered=vary),
            answer(1, "/f", b"a,b", asked={"Accept": "text/csv"}, answered=vary),
            answer(2, "/g", b"0123", asked={"Range": "bytes=0-3"}, status=206),
            answer(3, "/g", b"0123456789"),
            answer(4, "/g", b"", asked={"If-None-Match": '"1"'}, status=304),
        ]
    )
    with MockServer(tape) as market:
        assert ask(market, "/f", fields={"Accept": "text/csv"}) == (200, b"a,b")
        assert ask(market, "/f", fields={"Accept": "application/json"}) == (200, b"{}")
        assert ask(market, "/g", fields={"If-None-Match": 'W/"1"'}) == (304, b"")
        assert ask(market, "/g", fields={"Range": "bytes=0-3"}) == (206, b"0123")
        assert ask(market, "/g") == (200, b"0123456789")
        assert market.report()["requests"] == {
            "served": 5, "variant": 0, "stubbed": 0, "refused": 0, "missed": 0
        }  # fmt: skip
        assert ask(market, "/g", fields={"Range": "bytes=5-"}) == (200, b"0123456789")
        assert ask(market, "/f", fields={"Accept": "text/html"}) == (200, b"{}")
        assert market.report()["requests"]["variant"] == 2  # type: ignore[index]  # a report is plain JSON
        told = [each.parts.get("variant") for each in market.journal.requests]
        metrics = requests.get(f"{market.http_url}/__tickdeck/metrics", timeout=10).text
    assert told == [None] * 5 + ["made without range", "made with accept: application/json"]
    assert 'tickdeck_player_requests_total{outcome="variant"} 2' in metrics


def test_a_field_can_be_made_binding(make: Make) -> None:
    tape = make(
        [answer(0, "/f", b"gold", asked={"X-Plan": "gold"}), answer(1, "/f", b"", asked={"X-Plan": "b"})]
    )
    with MockServer(tape, match=["header:X-Plan"]) as market:
        assert ask(market, "/f", fields={"x-plan": "gold"}) == (200, b"gold")
        assert ask(market, "/f", fields={"x-plan": "none"})[0] == 404


def test_a_credential_of_the_dialect_cannot_be_made_binding(make: Make) -> None:
    server = MockServer(make([answer(0, "/f", b"")]), match="header:APCA-API-KEY-ID")
    with pytest.raises(UsageError, match="cannot have header:apca-api-key-id: credentials are"), server:
        pass


def test_what_was_redacted_answers_a_live_secret(tmp_path: Path) -> None:
    """By value a secret is redacted wherever it stands: in the path, in a parameter of another name, in a body."""
    recorded = "the-key-of-the-recording"
    sent = json.dumps({"by": recorded, "n": 1}).encode()
    fields = {"Authorization": f"Bearer {recorded}"}
    path = tmp_path / "x.cassette"
    header = Header(1_577_975_400_000_000_000, origins=(ORIGIN,))
    records = [
        answer(0, f"/v1/keys/{recorded}?session={recorded}", b"one", asked=fields),
        answer(1, "/v1/orders", b"two", method="POST", sent=sent, asked=fields),
    ]
    make_cassette(path, header, records, replace=False, places=POLYGON.places)
    assert recorded.encode() not in path.read_bytes()
    with MockServer(path) as market:
        assert ask(market, "/v1/keys/live?session=live") == (200, b"one")
        assert ask(market, "/v1/orders", method="POST", body=b'{"n":1,"by":"live"}') == (200, b"two")
        assert ask(market, "/v1/orders", method="POST", body=b'{"n":2,"by":"live"}')[0] == 404
