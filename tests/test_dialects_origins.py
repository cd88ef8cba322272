"""What a client is given names our address; nothing that merely looks like the upstream's is touched."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.dialects.origins import LONGEST, Origins

UPSTREAM = ("https://api.polygon.io", "wss://socket.polygon.io")
OWN = "http://127.0.0.1:8421"


def rewritten(text: bytes) -> bytes:
    return Origins(UPSTREAM, own=OWN).rewrite(text)[0]


def test_a_next_url_points_to_us() -> None:
    body = b'{"next_url":"https://api.polygon.io/v3/trades/AAPL?cursor=YXA9MQ"}'
    changed, count = Origins(UPSTREAM, own=OWN).rewrite(body)
    assert changed == b'{"next_url":"http://127.0.0.1:8421/v3/trades/AAPL?cursor=YXA9MQ"}'
    assert count == 1


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        (b"https:\\/\\/api.polygon.io\\/v3", b"http:\\/\\/127.0.0.1:8421\\/v3"),
        (b"https:\\u002f\\u002Fapi.polygon.io", b"http:\\u002f\\u002F127.0.0.1:8421"),
        (b"https\\u003a//api.polygon.io", b"http\\u003a//127.0.0.1:8421"),
        (b"https\\u003A\\u002f\\/api.polygon.io\\/v3", b"http\\u003A\\u002f\\/127.0.0.1:8421\\/v3"),
        (b"\\u0061t https://api.\\u0070olygon.io\\u003a443/v3", b"\\u0061t http://127.0.0.1:8421/v3"),
        (b"HTTPS://API.Polygon.IO/v3", b"http://127.0.0.1:8421/v3"),
        (b"http://api.polygon.io/v3", b"http://127.0.0.1:8421/v3"),
        (b"http://api.polygon.io:80/v3", b"http://127.0.0.1:8421/v3"),
        (b"http://api.polygon.io:443/v3", b"http://127.0.0.1:8421/v3"),
        (b"https://api.polygon.io:443/v3", b"http://127.0.0.1:8421/v3"),
        (b"https://api.polygon.io:80/v3", b"http://127.0.0.1:8421/v3"),
        (b"https://api.polygon.io:0443/v3", b"http://127.0.0.1:8421/v3"),
        (b"https://api.polygon.io:/v3", b"http://127.0.0.1:8421/v3"),
        (b"https://api.polygon.io./v3", b"http://127.0.0.1:8421/v3"),
        (b"https://api.polygon.io.:443?a=b", b"http://127.0.0.1:8421?a=b"),
        (b"https://api.polygon.io.\\/v3", b"http://127.0.0.1:8421\\/v3"),
        (b"ws://socket.polygon.io:443", b"ws://127.0.0.1:8421"),
        (b"see:\\nhttps://api.polygon.io/v3", b"see:\\nhttp://127.0.0.1:8421/v3"),
        (b"\\u003chttps://api.polygon.io/v3\\u003e", b"\\u003chttp://127.0.0.1:8421/v3\\u003e"),
        (b"\\u0022https://api.polygon.io\\u0022", b"\\u0022http://127.0.0.1:8421\\u0022"),
        (b"see https://api.polygon.io.", b"see http://127.0.0.1:8421."),
        (b"wss://socket.polygon.io/stocks", b"ws://127.0.0.1:8421/stocks"),
        (b'<https://api.polygon.io/v3>; rel="next"', b'<http://127.0.0.1:8421/v3>; rel="next"'),
        (b"view://https://api.polygon.io/v3", b"view://http://127.0.0.1:8421/v3"),
        (b":https://api.polygon.io", b":http://127.0.0.1:8421"),
    ],
)
def test_every_spelling_of_an_upstream_origin_is_found_and_its_slashes_kept(
    given_text: bytes, expected: bytes
) -> None:
    assert rewritten(given_text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"https://api.polygon.io.evil.example/v3",
        b"https://api.polygon.io:8443/v3",
        b"https://api.polygon.io:0/v3",
        b"https://api.polygon.io@evil.example/v3",
        b"https://api.polygon.io:secret@evil.example/v3",
        b"https://xapi.polygon.io/v3",
        b"xhttps://api.polygon.io/v3",
        b"https://polygon.io/pricing",
        b"https:/api.polygon.io/v3",
        b"//api.polygon.io/v3",
        b"https://socket.polygon.io/stocks",
        b"wss://api.polygon.io/v3",
        b"https://api.polygon.io../v3",
        b"https://api.polygon.io\\u002eevil.example/v3",
        b"https://api.polygon.io\\u0040evil.example/v3",
        b"https://api.polygon.io\\u003asecret\\u0040evil.example/v3",
        b"https://api.polygon.io:" + b"x" * 300 + b"@evil.example/v3",
        b"https://api.polygon.io!" + b"x" * 300 + b"@evil.example/v3",
    ],
)
def test_another_place_is_left_alone(text: bytes) -> None:
    assert rewritten(text) == text


def test_several_addresses_in_one_text_are_all_rewritten_and_counted() -> None:
    text = b"https://api.polygon.io/a https://api.polygon.io/b wss://socket.polygon.io"
    changed, count = Origins(UPSTREAM, own=OWN).rewrite(text)
    assert changed == b"http://127.0.0.1:8421/a http://127.0.0.1:8421/b ws://127.0.0.1:8421"
    assert count == 3


def test_over_tls_a_socket_address_stays_a_secure_one() -> None:
    origins = Origins(UPSTREAM, own="https://localhost:8421/")
    assert origins.rewrite(b"wss://socket.polygon.io/stocks")[0] == b"wss://localhost:8421/stocks"


@given(st.binary(max_size=300))
def test_bytes_without_an_upstream_origin_come_back_as_they_were(text: bytes) -> None:
    assert rewritten(text) == text
    assert Origins((), own=OWN).rewrite(text + b"https://api.polygon.io") == (
        text + b"https://api.polygon.io",
        0,
    )


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                '{"next_url":"https://api.massive.com/v3?cursor=a"}',
                "https://api.massive.com",
                "https:\\/\\/api.massive.com\\/v3 ",
                "https\\u003a\\u002f\\u002fAPI.massive.com.:443\\/v3",
                "https://api.massive.com?cursor=" + "a" * LONGEST,
                "x" * (LONGEST - 5),
                "\\n",
                "//",
                "https://api.massive.com.evil/ ",
                " ",
                "\n",
                "12.5,",
            ]
        ),
        max_size=20,
    ),
    cuts=st.lists(st.integers(1, 60) | st.integers(LONGEST - 30, LONGEST + 30), min_size=1, max_size=9),
)
def test_a_text_in_pieces_is_rewritten_as_a_whole_one_is(pieces: list[str], cuts: list[int]) -> None:
    origins = Origins(["https://api.massive.com"], own="http://127.0.0.1:8421")
    text = "".join(pieces).encode()
    rewriter, given, at = origins.as_it_comes(), b"", 0
    for size in itertools.cycle(cuts):
        if at >= len(text):
            break
        given += rewriter.feed(text[at : at + size])
        at += size
    assert given + rewriter.finish() == origins.rewrite(text)[0]


def test_a_text_in_pieces_is_given_away_up_to_the_last_border() -> None:
    rewriter = Origins(["https://api.massive.com"], own="http://127.0.0.1:8421").as_it_comes()
    assert rewriter.feed(b'{"a":1}\n') == b'{"a":1}\n'
    assert rewriter.feed(b'{"next":"https://api.mass') == b'{"next":"'
    assert rewriter.feed(b'ive.com/v3"}') == b'http://127.0.0.1:8421/v3"}'
    assert rewriter.feed(b"9" * 10_000) == b"9" * (10_000 - LONGEST)
    assert rewriter.finish() == b"9" * LONGEST


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_address_longer_than_what_is_kept_back_is_found_in_pieces_of_any_size(size: int) -> None:
    text = b'{"next":"https://api.polygon.io/v3?cursor=' + b"a" * (2 * LONGEST) + b'"}'
    rewriter = Origins(UPSTREAM, own=OWN).as_it_comes()
    given = b"".join(rewriter.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert given + rewriter.finish() == rewritten(text) != text


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [
        b"://a",
        b"\\u003a\\u002f\\u002fa",
        b":",
        b"/",
        b"\\/",
        b"\\",
        b"\\u0061",
        b"a",
        b"!",
        b"0",
        b"a:",
        b"\\u0021",
        b".",
    ],
)
@pytest.mark.parametrize("start", [b"", b"https://api.polygon.io"])
def test_a_megabyte_that_is_made_to_be_hard_takes_no_longer_than_its_length(
    start: bytes, unit: bytes
) -> None:
    # What went over a part of it twice for each of its bytes would take hours.
    hostile = start + unit * (1_000_000 // len(unit))
    assert len(rewritten(hostile)) <= len(hostile)
    assert Origins(UPSTREAM, own=OWN).rewrite_fields(((b"Location", hostile),))[0][0][1][-9:] == hostile[-9:]
