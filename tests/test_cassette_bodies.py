import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.bodies import coding_of, for_changed_body
from tickdeck.cassette.codings import closed, readable

PLAIN = b'{"results":[' + b'{"p":114.170},' * 9000 + b"]}"
CODINGS = ("gzip", "deflate", "zstd", "br")


@pytest.mark.parametrize("coding", CODINGS)
def test_what_was_closed_opens_again(coding: str) -> None:
    body = closed(PLAIN, (coding,))
    assert len(body) < len(PLAIN)
    assert readable(body, (coding,)) == PLAIN
    assert closed(PLAIN, (coding,)) == body


@given(st.binary(max_size=300), st.lists(st.sampled_from(CODINGS), max_size=3).map(tuple))
def test_codings_lie_over_each_other(plain: bytes, codings: tuple[str, ...]) -> None:
    assert readable(closed(plain, codings), codings) == plain


def test_the_same_body_gives_the_same_gzip_on_any_day_and_system() -> None:
    assert closed(b"x", ("gzip",))[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert gzip.decompress(closed(PLAIN, ("gzip",))) == PLAIN


def test_a_bare_deflate_stream_is_read_as_well() -> None:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    assert readable(stream.compress(PLAIN) + stream.flush(), ("deflate",)) == PLAIN


@pytest.mark.parametrize("coding", CODINGS)
def test_what_breaks_off_is_opened_as_far_as_it_goes(coding: str) -> None:
    begun = readable(closed(PLAIN, (coding,))[:-6], (coding,))
    assert begun is not None
    assert PLAIN.startswith(begun)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_streams_may_follow_each_other_and_rubbish_may_follow_them(coding: str) -> None:
    body = closed(PLAIN, (coding,)) * 2
    assert readable(body, (coding,)) == PLAIN * 2
    assert readable(body + b"rubbish", (coding,)) == PLAIN * 2


@pytest.mark.parametrize("coding", [*CODINGS, "compress"])
def test_what_is_not_of_the_coding_cannot_be_readable(coding: str) -> None:
    assert readable(b"\xffno such thing", (coding,)) is None
    assert readable(b"\xffno such thing", (coding, "gzip")) is None


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_not_opened_and_takes_no_memory(coding: str) -> None:
    bomb = closed(bytes(64 << 20), (coding,))
    tracemalloc.start()
    assert readable(bomb, (coding,), limit=1 << 20) is None
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_codings_are_those_that_are_said_else_those_that_show() -> None:
    assert coding_of(((b"Content-Encoding", b"X-Gzip, identity, BR"),), b"") == ("gzip", "br")
    assert coding_of(((b"Content-Type", b"application/gzip"),), gzip.compress(b"x")) == ("gzip",)
    assert coding_of(((b"content-encoding", b"identity"),), b'{"a":1}') == ()


def test_a_changed_body_has_its_own_length_and_no_digest_of_another() -> None:
    headers = ((b"ETag", b"1"), (b"content-length", b"9"), (b"Content-MD5", b"Q2hlY2s="))
    assert for_changed_body(headers, 12) == ((b"ETag", b"1"), (b"content-length", b"12"))
