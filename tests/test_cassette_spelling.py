import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickdeck.cassette.spelling import Spelling

KEY = "abcDEF_ghiJKL012"
ODD = 'a+b/c="d\\e f%g&é§☃𝄞'
SECRETS = st.text(st.characters(codec="utf-8"), min_size=16, max_size=40)


def spellings_of(secret: str) -> dict[str, bytes]:
    raw = secret.encode()
    return {
        "raw": raw,
        "percent": quote(secret, safe="").encode(),
        "percent, small letters": quote(secret, safe="").lower().encode() if secret.islower() else raw,
        "percent twice": quote(quote(secret, safe=""), safe="").encode(),
        "every byte percent": b"".join(b"%%%02x" % byte for byte in raw),
        "form": quote_plus(secret).encode(),
        "json": json.dumps(secret)[1:-1].encode(),
        "json in json": json.dumps(json.dumps(secret)[1:-1])[1:-1].encode(),
        "json in letters": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "json with escaped slashes": json.dumps(secret)[1:-1].replace("/", "\\/").encode(),
        "every unit escaped": b"".join(
            b"\\u" + raw.hex().encode()
            for raw in (secret.encode("utf-16-be")[at : at + 2] for at in range(0, len(secret.encode("utf-16-be")), 2))
        ),
        **{f"base64 {n}": base64.b64encode(b"x" * n + raw + b"tail") for n in range(3)},
        **{f"urlsafe base64 {n}": base64.urlsafe_b64encode(b"\xff" * n + raw + b"\xff") for n in range(3)},
        "base64 unpadded": base64.b64encode(raw).rstrip(b"="),
        "base64 percent": quote(base64.b64encode(raw), safe="").encode(),
        "base64 of percent": base64.b64encode(b"apiKey=" + quote(secret, safe="").encode()),
        "base64 of json": base64.b64encode(json.dumps({"params": secret}).encode()),
    }  # fmt: skip


@pytest.mark.parametrize(
    "secret", [KEY, ODD, "/" * 16, "???>>>???>>>???>>>", "\xff" * 16, "\\n\\n\\n\\n\\n\\n\\n\\n"]
)
def test_every_spelling_is_found(secret: str) -> None:
    for name, spelled in spellings_of(secret).items():
        assert Spelling(secret).spans(b'{"x":"' + spelled + b'"}'), name


@settings(max_examples=25, deadline=None)
@given(SECRETS)
@example("+" * 16)
def test_any_secret_is_found_in_any_spelling(secret: str) -> None:
    spelling = Spelling(secret)
    for name, spelled in spellings_of(secret).items():
        assert spelling.spans(b'..."' + spelled + b'"...'), name


@settings(max_examples=25, deadline=None)
@given(SECRETS)
@example("Ã" * 16)
def test_a_raw_secret_is_found_exactly_where_it_stands(secret: str) -> None:
    raw = f"z{secret}z".encode()
    assert (1, len(raw) - 1) in Spelling(secret).spans(raw)


@given(st.binary(max_size=200))
def test_other_bytes_hold_no_secret(data: bytes) -> None:
    assert Spelling("never-to-be-drawn-0123").spans(data) == []


def test_text_without_an_escape_is_searched_for_literals_only() -> None:
    spelling = Spelling(KEY)
    assert spelling.spans(b'[{"ev":"T","sym":"MSFT","p":114.170}]') == []
    assert "_patterns" not in spelling.__dict__


def test_a_mixture_of_escapes_is_the_secret_too() -> None:
    assert Spelling(KEY).spans(rb'"\u0061b%63DEF\u005fghi%254AKL012"') == [(1, 33)]


def test_the_neighbours_of_base64_stay() -> None:
    coded = base64.b64encode(b"user:" + KEY.encode() + b":more")
    [(start, end)] = Spelling(KEY).spans(coded)
    assert base64.b64decode(coded[:start] + b"=" * (-start % 4)).startswith(b"user:")
    assert end - start >= 20


def test_two_places_are_two_spans() -> None:
    assert Spelling(KEY).spans(f"{KEY} {KEY}".encode()) == [(0, 16), (17, 33)]
