from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.codings import accepts, closed, codings_of, opened
from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.dialects.moments import Shift
from tickdeck.dialects.origins import Origins
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.answers import Answer, answer_of

UPSTREAM = (
    "https://api.polygon.io",
    "https://api.massive.com/",
    "wss://socket.massive.com",
    "http://10.0.0.1:99",
)
OWN = "http://127.0.0.1:8420"
ORIGINS = Origins(UPSTREAM, own=OWN)
JSON: HeaderPairs = ((b"Content-Type", b"application/json"),)
PAGE = b'{"count":1,"next_url":"https://api.polygon.io/v3/trades/AAPL?cursor=abc"}'
OURS = b'{"count":1,"next_url":"http://127.0.0.1:8420/v3/trades/AAPL?cursor=abc"}'


def recorded(
    body: bytes = b"{}", headers: HeaderPairs = JSON, *, status: int = 200, method: str = "GET"
) -> Interaction:
    return Interaction(
        seq=7,
        offset_ns=0,
        first_byte_ns=0,
        end_ns=0,
        interaction=7,
        method=method,
        url="https://api.polygon.io/v3/trades/AAPL",
        status=status,
        reason="Fine",
        response_headers=headers,
        body=body,
    )


def answer(interaction: Interaction, *, method: str = "GET", accept_encoding: str | None = "gzip") -> Answer:
    return answer_of(interaction, method=method, accept_encoding=accept_encoding, origins=ORIGINS)


def coded(body: bytes, coding: bytes) -> Interaction:
    names = codings_of(coding.decode())
    return recorded(
        closed(body, names), (*JSON, (b"Content-Encoding", coding), (b"Vary", b"Accept-Encoding"))
    )


def test_status_reason_fields_and_body_are_those_of_the_recording() -> None:
    headers = (
        (b"X-Request-Id", b"a"),
        (b"content-length", b"2"),
        (b"Set-Cookie", b"b"),
        (b"Set-Cookie", b"c"),
    )
    assert answer(recorded(b"\xff{", headers, status=429)) == Answer(
        status=429, reason="Fine", headers=headers, body=b"\xff{"
    )


def test_fields_of_the_recorded_connection_are_not_served() -> None:
    names = (
        b"Keep-Alive Transfer-Encoding TE Trailer Upgrade Proxy-Authenticate X-Hop "
        b"Strict-Transport-Security Alt-Svc"
    )
    dropped = tuple((name, b"x") for name in names.split())
    headers = ((b"Connection", b"close, x-hop"), *dropped, (b"Server", b"nginx"))
    assert answer(recorded(b"", headers)).headers == ((b"Server", b"nginx"), (b"Content-Length", b"0"))


def test_a_connection_field_cannot_take_away_the_type_of_the_body() -> None:
    headers = ((b"Connection", b"content-type"), *JSON)
    assert answer(recorded(b"", headers)).headers == (*JSON, (b"Content-Length", b"0"))


def test_fields_that_no_connection_could_carry_are_left_out() -> None:
    headers = ((b"a b", b"x"), (b"", b"x"), (b"X-A", b"1\r\nX-B: 2"), (b"X-C", b"3"))
    interaction = replace(recorded(b"", headers), reason="OK\r\nX-D: 4")
    made = answer(interaction)
    assert made.headers == ((b"X-C", b"3"), (b"Content-Length", b"0"))
    assert made.reason == ""


def test_content_length_is_made_right_where_it_stood() -> None:
    headers = ((b"Content-Length", b"999"), (b"Server", b"nginx"), (b"content-length", b"998"))
    assert answer(recorded(b"four", headers)).headers == ((b"Content-Length", b"4"), (b"Server", b"nginx"))


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_content_have_neither_body_nor_length(status: int) -> None:
    made = answer(recorded(b"x", ((b"Content-Length", b"1"),), status=status))
    assert (made.body, made.headers) == (b"", ())


def test_a_head_answered_by_a_get_says_how_long_it_would_be() -> None:
    made = answer(recorded(PAGE), method="head")
    assert made.body == b""
    assert made.headers == (*JSON, (b"Content-Length", b"%d" % len(OURS)))


@pytest.mark.parametrize("length", [(), ((b"Content-Length", b"1234"),)])
def test_a_recorded_head_keeps_its_length(length: HeaderPairs) -> None:
    made = answer(recorded(b"", (*JSON, *length), method="HEAD"), method="HEAD")
    assert (made.body, made.headers) == (b"", (*JSON, *length))


@pytest.mark.parametrize("length", [(), ((b"Content-Length", b"1234"),)])
def test_a_head_answered_by_a_get_that_broke_off_is_whole(length: HeaderPairs) -> None:
    made = answer(replace(recorded(b"abc", (*JSON, *length)), complete=False), method="HEAD")
    assert (made.body, made.headers, made.complete) == (b"", (*JSON, *length), True)


def test_an_address_at_the_upstream_becomes_ours() -> None:
    made = answer(recorded(PAGE))
    assert (made.body, made.rewritten) == (OURS, 1)
    assert made.headers[-1] == (b"Content-Length", b"%d" % len(OURS))


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        (b"https://api.polygon.io", b"http://127.0.0.1:8420"),
        (b"https://api.polygon.io?a=b", b"http://127.0.0.1:8420?a=b"),
        (b"HTTPS://API.Polygon.IO/x", b"http://127.0.0.1:8420/x"),
        (b"https://api.polygon.io:443/x", b"http://127.0.0.1:8420/x"),
        (rb"https:\/\/api.polygon.io\/x", rb"http:\/\/127.0.0.1:8420\/x"),
        (rb"https:\u002f\u002Fapi.massive.com", rb"http:\u002f\u002F127.0.0.1:8420"),
        (b"see https://api.massive.com. There", b"see http://127.0.0.1:8420. There"),
        (b"see https://api.massive.com: there", b"see http://127.0.0.1:8420: there"),
        (
            b"u=https://api.massive.com,https://api.polygon.io",
            b"u=http://127.0.0.1:8420,http://127.0.0.1:8420",
        ),
        (b"http://10.0.0.1:99/x", b"http://127.0.0.1:8420/x"),
        (b"wss://socket.massive.com/stocks", b"ws://127.0.0.1:8420/stocks"),
    ],
)
def test_spellings_of_an_upstream_origin(text: bytes, rewritten: bytes) -> None:
    assert ORIGINS.rewrite(text)[0] == rewritten


@pytest.mark.parametrize(
    "text",
    [
        b"https://api.polygon.io.evil/x",
        b"https://api.polygon.io-evil/x",
        b"https://api.polygon.ioevil/x",
        b"https://api.polygon.io:8443/x",
        b"https://api.polygon.io@evil/x",
        b"https://api.polygon.io:pass@evil/x",
        b"https://api.polygon.io!a@evil/x",
        b"https://api.polygon.io%2eevil/x",
        "https://api.polygon.io。evil/x".encode(),
        b"https://user@api.polygon.io/x",
        b"https://polygon.io/pricing",
        b"https://evil.api.polygon.io/x",
        b"xhttps://api.polygon.io/x",
        b"http://10.0.0.1/x",
        b"https%3A%2F%2Fapi.polygon.io",
        b"//api.polygon.io/x",
        b"api.polygon.io",
    ],
)
def test_other_places_stay_as_they_are(text: bytes) -> None:
    assert ORIGINS.rewrite(text) == (text, 0)


def test_with_no_upstream_nothing_is_rewritten() -> None:
    assert Origins((), own=OWN).rewrite(PAGE) == (PAGE, 0)


def test_a_server_with_tls_has_a_secure_socket() -> None:
    origins = Origins(UPSTREAM, own="https://localhost:8420/")
    assert origins.rewrite(b"wss://socket.massive.com/stocks")[0] == b"wss://localhost:8420/stocks"


@given(st.binary(), st.sampled_from(UPSTREAM), st.binary())
def test_rewriting_twice_is_rewriting_once(before: bytes, origin: str, after: bytes) -> None:
    once, _ = ORIGINS.rewrite(before + b" " + origin.encode().rstrip(b"/") + b"/" + after)
    assert ORIGINS.rewrite(once) == (once, 0)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (b"https://api.polygon.io/b", b"http://127.0.0.1:8420/b"),
        (b"//API.polygon.io:443/b", b"//127.0.0.1:8420/b"),
    ],
)
def test_addresses_to_follow_become_ours_and_in_no_other_field(there: bytes, here: bytes) -> None:
    def fields(address: bytes) -> HeaderPairs:
        linked = (b"Link", b"<" + address + b">; rel=next")
        return (
            (b"location", address),
            (b"Content-Location", address),
            linked,
            (b"Refresh", b"5;url=" + address),
        )

    made = answer(recorded(b"", (*fields(there), (b"X-A", there))))
    assert made.headers[:5] == (*fields(here), (b"X-A", there))
    assert made.rewritten == 4


@pytest.mark.parametrize(
    "kind", [b"text/csv; charset=utf-8", b"application/hal+json", b"application/xml", None]
)
def test_text_is_rewritten(kind: bytes | None) -> None:
    assert answer(recorded(PAGE, ((b"Content-Type", kind),) if kind else ())).body == OURS


@pytest.mark.parametrize("kind", [b"image/png", b"application/octet-stream", b"application/zip; name=json"])
def test_what_is_no_text_is_not(kind: bytes) -> None:
    assert answer(recorded(PAGE, ((b"Content-Type", kind),))).body == PAGE


def test_a_part_of_a_body_is_not_rewritten() -> None:
    assert answer(recorded(PAGE, status=206)).body == PAGE


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"zstd", b"x-gzip", b"deflate, gzip"])
def test_a_compressed_body_with_an_address_is_closed_again(coding: bytes) -> None:
    made = answer(coded(PAGE, coding), accept_encoding="gzip, deflate, zstd")
    assert opened(made.body, codings_of(coding.decode())) == OURS
    assert (b"Content-Encoding", coding) in made.headers
    assert made.headers[-1] == (b"Content-Length", b"%d" % len(made.body))
    assert made.body == answer(coded(PAGE, coding), accept_encoding="*").body


def test_a_compressed_body_without_an_address_keeps_its_bytes() -> None:
    body = gzip.compress(b'{"a":1}', compresslevel=9, mtime=12345)
    made = answer(recorded(body, (*JSON, (b"Content-Encoding", b"gzip"))))
    assert (made.body, made.rewritten) == (body, 0)


def test_a_compressed_picture_is_not_even_opened() -> None:
    headers = ((b"Content-Type", b"image/svgz"), (b"Content-Encoding", b"gzip"))
    assert answer(recorded(b"no gzip at all", headers)) == Answer(
        status=200, reason="Fine", headers=(*headers, (b"Content-Length", b"14")), body=b"no gzip at all"
    )


@pytest.mark.parametrize("accept_encoding", [None, "", "identity", "gzip;q=0", "deflate, *; q=0.0", "br"])
@pytest.mark.parametrize("kind", [b"application/json", b"image/png"])
def test_a_client_that_does_not_read_the_coding_gets_the_plain_body(
    accept_encoding: str | None, kind: bytes
) -> None:
    plain = b"https://api.polygon.io"
    interaction = recorded(
        gzip.compress(plain),
        ((b"Content-Encoding", b"gzip"), (b"Vary", b"Accept-Encoding"), (b"Content-Type", kind)),
    )
    made = answer(interaction, accept_encoding=accept_encoding)
    assert made.body == (plain if kind == b"image/png" else OWN.encode())
    assert made.headers[:2] == ((b"Vary", b"Accept-Encoding"), (b"Content-Type", kind))


def test_a_body_that_is_kept_decoded_is_served_plain() -> None:
    interaction = replace(recorded(PAGE, (*JSON, (b"Content-Encoding", b"gzip"))), decoded=True)
    made = answer(interaction)
    assert (made.body, made.headers) == (OURS, (*JSON, (b"Content-Length", b"%d" % len(OURS))))


def test_an_empty_body_keeps_the_name_of_its_coding() -> None:
    headers = (*JSON, (b"Content-Encoding", b"gzip"))
    assert answer(recorded(b"", headers, method="HEAD"), accept_encoding=None).headers == headers


@pytest.mark.parametrize("coding", [b"br", b"gzip", b"gzip, br", b"br, gzip"])
def test_a_body_that_cannot_be_opened_is_served_as_it_is_and_said(coding: bytes) -> None:
    made = answer(
        recorded(b"\x1f\x8bnot really", (*JSON, (b"Content-Encoding", coding))), accept_encoding=None
    )
    assert made.body == b"\x1f\x8bnot really"
    assert (b"Content-Encoding", coding) in made.headers
    names = ", ".join(codings_of(coding.decode()))
    assert made.trouble == (
        f"the recorded body of GET interaction 7 could not be opened ({names}); "
        "it is served as it was recorded"
    )


def test_digests_of_a_body_that_changed_are_not_served() -> None:
    digests = ((b"Content-MD5", b"x"), (b"Repr-Digest", b"y"))
    assert answer(recorded(PAGE, digests)).headers == ((b"Content-Length", b"%d" % len(OURS)),)
    assert answer(recorded(b"{}", digests)).headers == (*digests, (b"Content-Length", b"2"))


def test_an_answer_that_broke_off_says_so() -> None:
    made = answer(replace(recorded(b'{"resu', ((b"Content-Length", b"500"),)), complete=False))
    assert (made.complete, made.body, made.headers) == (False, b'{"resu', ((b"Content-Length", b"6"),))


@pytest.mark.parametrize(
    ("field", "reads"),
    [
        ("gzip", True),
        ("GZIP ; q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("gzip;q=0.000", False),
        (None, False),
    ],
)
def test_what_an_accept_encoding_field_says_of_gzip(field: str | None, reads: bool) -> None:
    assert accepts(field, "gzip") is reads


def test_a_bare_deflate_stream_opens_too() -> None:
    stream = zlib.compressobj(wbits=-15)
    assert opened(stream.compress(PAGE) + stream.flush(), ("deflate",)) == PAGE


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_bomb_is_not_opened(coding: str) -> None:
    bomb = closed(bytes(10_000), (coding,))
    assert opened(bomb, (coding,), limit=9_999) is None
    assert opened(bomb, (coding,), limit=10_000) == bytes(10_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_body_cut_short_is_not_opened(coding: str) -> None:
    assert opened(closed(PAGE, (coding,))[:-1], (coding,)) is None


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_in_several_members_is_opened_whole(coding: str) -> None:
    assert opened(closed(b"one", (coding,)) + closed(b"two", (coding,)), (coding,)) == b"onetwo"


@given(st.binary(), st.lists(st.sampled_from(["gzip", "deflate", "zstd"]), max_size=3).map(tuple))
def test_what_is_closed_opens_again(body: bytes, codings: tuple[str, ...]) -> None:
    assert opened(closed(body, codings), codings) == body


def test_the_gzip_we_write_is_gzip_to_others() -> None:
    assert gzip.decompress(closed(PAGE, ("gzip",))) == PAGE


HOUR = POLYGON.mover(Shift(3_600_000, None))
EARLY = b'{"results":[{"t":999999999999}],"next_url":"https://api.polygon.io/x"}'
LATER = b'{"results":[{"t":1000003599999}],"next_url":"http://127.0.0.1:8420/x"}'


def moved(interaction: Interaction, *, accept_encoding: str | None = "gzip") -> Answer:
    return answer_of(interaction, method="GET", accept_encoding=accept_encoding, origins=ORIGINS, mover=HOUR)


def test_moments_of_a_body_and_the_date_of_an_answer_move_with_the_tape() -> None:
    others = (
        (b"Last-Modified", b"Fri, 27 Dec 2019 23:30:31 GMT"),
        (b"Expires", b"Fri, 27 Dec 2019 23:30:31 GMT"),
        (b"Content-Type", b"application/json; charset=utf-8"),
    )
    headers = (
        (b"DATE", b"Fri, 27 Dec 2019 23:30:31 GMT"),
        (b"Content-Length", b"%d" % len(EARLY)),
        *others,
        (b"Content-MD5", b"x"),
    )
    made = moved(recorded(EARLY, headers))
    assert (made.body, made.rewritten) == (LATER, 1)
    assert made.headers == (
        (b"DATE", b"Sat, 28 Dec 2019 00:30:31 GMT"),
        (b"Content-Length", b"%d" % len(LATER)),
        *others,
    )


def test_without_a_shift_body_and_date_are_those_of_the_recording() -> None:
    headers = (*JSON, (b"Date", b"Fri, 27 Dec 2019 23:30:31 GMT"), (b"Content-Length", b"18"))
    made = answer(recorded(b'{"t":999999999999}', headers))
    assert (made.headers, made.body) == (headers, b'{"t":999999999999}')


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"zstd"])
def test_a_compressed_body_is_opened_to_be_moved_and_closed_again(coding: bytes) -> None:
    made = moved(coded(EARLY, coding), accept_encoding=coding.decode())
    assert opened(made.body, codings_of(coding.decode())) == LATER
    assert (b"Content-Length", b"%d" % len(made.body)) in made.headers


def test_a_compressed_body_in_which_nothing_moves_is_served_as_it_came() -> None:
    interaction = replace(coded(b"{}", b"gzip"), body=gzip.compress(b"{}", mtime=99))
    assert moved(interaction).body == interaction.body


def test_a_client_that_does_not_read_the_coding_gets_the_moved_body_plain() -> None:
    assert moved(coded(EARLY, b"gzip"), accept_encoding=None).body == LATER


@pytest.mark.parametrize(
    "interaction",
    [
        recorded(b"t\n999999999999\n", ((b"Content-Type", b"text/csv"),)),
        recorded(b'{"t":999999999999}', ((b"Content-Type", b"text/html"),)),
        recorded(b'{"t":999999999999}', ()),
        recorded(b'{"t":999999999999}', status=206),
    ],
)
def test_what_is_not_a_whole_body_of_json_does_not_move(interaction: Interaction) -> None:
    assert moved(interaction).body == interaction.body
