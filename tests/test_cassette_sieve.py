"""The quick question must be answered yes wherever the long one would be: the fast path against the slow one."""

from __future__ import annotations

import base64
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.cassette.sieve import Sieve
from tickdeck.cassette.spelling import Spelling, spelled_as

LETTERS = "abcXYZ0123456789_-+/=.'u25x4"
SIMPLE = st.text(LETTERS, min_size=16, max_size=60)
HEX = st.text("0123456789abcdef", min_size=16, max_size=40)
DIGITS = st.text("25", min_size=16, max_size=24)
PUNCTUATED = st.text('aZ9"% \\:,é[]{}&~', min_size=16, max_size=30).filter(lambda text: text == text.strip())
SECRETS = st.one_of(SIMPLE, HEX, DIGITS, PUNCTUATED)
CONTEXT = st.text("%\\25ux0aZ'\": ,=[]{}\n", max_size=24).map(str.encode)


def escaped(letter: str, how: int) -> bytes:
    code = ord(letter)
    if code > 127:
        return letter.encode()
    match how % 8:
        case 0 | 1 | 2:
            return letter.encode()
        case 3:
            return b"%%%02x" % code
        case 4:
            return b"%" + b"25" * (how % 3) + b"%02X" % code
        case 5:
            return b"\\" * (1 + how % 8) + b"u%04x" % code
        case 6:
            return b"\\" * (1 + how % 8) + b"x%02X" % code
        case _:
            return b"\\" * (1 + how % 8) + letter.encode() if letter in "/'\"" else letter.encode()


@st.composite
def written(draw: st.DrawFn, secret: str) -> bytes:
    raw = secret.encode()
    match draw(st.integers(0, 6)):
        case 0:
            return raw
        case 1:
            return raw.hex().encode()
        case 2:
            return raw.hex().upper().encode()
        case 3:
            return base64.b64encode(b"u" * draw(st.integers(0, 3)) + raw + b"t")
        case 4:
            return base64.urlsafe_b64encode(b"u" * draw(st.integers(0, 3)) + raw + b"t").replace(b"-", b"%2D")
        case _:
            hows = draw(st.lists(st.integers(0, 47), min_size=len(secret), max_size=len(secret)))
            return b"".join(map(escaped, secret, hows))


@st.composite
def texts(draw: st.DrawFn, secrets: list[str]) -> bytes:
    pieces = [draw(CONTEXT)]
    for secret in draw(st.lists(st.sampled_from(secrets), max_size=3)):
        pieces += [draw(written(secret)), draw(CONTEXT)]
    if draw(st.booleans()):
        pieces.insert(0, b"%2b" * draw(st.integers(1300, 1500)))  # a run longer than a slice
    return b"".join(pieces)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(SECRETS, min_size=1, max_size=5, unique=True))
def test_no_secret_that_the_long_way_finds_is_missed(data: st.DataObject, secrets: list[str]) -> None:
    sieve = Sieve()
    spellings = {secret: Spelling(secret) for secret in secrets}
    for secret, spelling in spellings.items():
        sieve.add(secret, spelling.wanted)
    text = data.draw(texts(secrets))
    windows = sieve.windows(text)
    for secret, spelling in spellings.items():
        everywhere = spelling.spans(text, [(0, len(text))])
        assert spelling.spans(text, windows.get(secret, [])) == everywhere, secret
        assert set(spelling.spans(text)) <= set(everywhere)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.one_of(SIMPLE, HEX, DIGITS))
def test_a_simple_secret_is_read_as_its_pattern_reads_it(data: st.DataObject, secret: str) -> None:
    text = data.draw(texts([secret]))
    spans = Spelling(secret).spans(text, [(0, len(text))])
    for hit in re.finditer(spelled_as(secret), text, re.DOTALL):
        assert any(start <= hit.start() and hit.end() <= end for start, end in spans)


def test_what_was_removed_is_not_looked_for_and_the_others_still_are() -> None:
    sieve = Sieve()
    names = [f"a-cookie-with-the-number-{number:05d}" for number in range(80)]
    for name in names:
        sieve.add(name, Spelling(name).wanted)
    for name in names[:-1]:
        sieve.remove(name)
    assert sieve.windows(" ".join(names[:-1]).encode()).keys() <= {names[-1]}
    assert Spelling(names[-1]).spans(names[-1].encode(), sieve.windows(names[-1].encode())[names[-1]]) == [
        (0, len(names[-1]))
    ]


def test_market_data_is_not_looked_at_twice() -> None:
    sieve = Sieve()
    sieve.add("key", Spelling("an_Api_Key_of_32_characters_0000").wanted)
    assert sieve.windows(b'[{"ev":"T","sym":"MSFT","p":114.170,"t":1577975400000000000}]' * 99) == {}
