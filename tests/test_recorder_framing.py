import itertools

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.recorder.framing import Framing

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345", b"", 0),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345more", b"more", 4),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil it closes", b"", 0),
    (b"HTTP/1.1 204 No Content\r\n\r\nx", b"x", 1),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 1\n\n1", b"", 0),
    (b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n\x81\x02hi", b"", 0),
    (CHUNKED + b"5\r\n12345\r\na\r\n0123456789\r\n0\r\n\r\n", b"", 0),
    (CHUNKED + b"5\r\n12345\r\n0\r\n\r\nmore", b"more", 4),
    (b"no HTTP at all\r\n\r\nand so on", b"", 0),
    (b"HTTP/1.1 200 OK\r\nX: folded\r\n line\r\nContent-Length: 1\r\n\r\n12", b"", 0),
]


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 120), max_size=12))
def test_how_the_bytes_come_does_not_change_what_is_handed_on(
    answer: tuple[bytes, bytes, int], cuts: list[int]
) -> None:
    came, behind, surplus = answer
    framing = Framing()
    borders = [0, *sorted(cuts), len(came)]
    pieces = [came[start:end] for start, end in itertools.pairwise(borders)]
    handed = b"".join(part for piece in pieces for part in framing.feed(piece))
    assert handed.replace(b"\r\n", b"\n") == came.removesuffix(behind).replace(b"\r\n", b"\n")
    assert (framing.surplus, framing.is_broken) == (surplus, False)


@given(st.sampled_from([b"xyz\r\n", b"-1\r\n", b"3\r\n12345\r\n", b"\r\n", b"f" * 70_000]), st.integers(1, 9))
def test_a_chunk_that_is_none_ends_the_body_and_nothing_behind_it_is_handed_on(
    wrong: bytes, step: int
) -> None:
    framing = Framing()
    came = CHUNKED + b"2\r\nok\r\n" + wrong
    pieces = [came[at : at + step * 999] for at in range(0, len(came), step * 999)]
    handed = b"".join(part for piece in [*pieces, b"0\r\n\r\n"] for part in framing.feed(piece))
    assert framing.is_broken
    assert handed.startswith(CHUNKED + b"2\r\nok\r\n")
    assert not handed.endswith(b"0\r\n\r\n")


def test_a_head_that_never_ends_is_handed_on_for_the_library_to_refuse() -> None:
    framing = Framing()
    assert b"".join(framing.feed(b"X" * (1 << 20))) == b""
    assert b"".join(framing.feed(b"XX")) == b"X" * ((1 << 20) + 2)


def test_a_length_that_is_given_twice_is_handed_on_once() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 2, 2\r\nA: b\r\n\r\n"
    assert b"".join(Framing().feed(head + b"12")) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nA: b\r\n\r\n12"
