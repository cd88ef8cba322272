from __future__ import annotations

import gzip
import random
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.compression import zstd  # the library itself, from wherever this Python has it
from tickdeck.cassette.unpacking import DamagedError, Unpacker

PLAIN = random.Random(4).randbytes(70_000) + b"quiet " * 40_000


def raw_deflate(plain: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(plain) + stream.flush()


PACKED = {
    "gzip": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    "br": brotli.compress(PLAIN, quality=3),
    "zstd": zstd.compress(PLAIN),
}


def unpacked(codings: list[str], packed: bytes, size: int) -> tuple[bytes, Unpacker]:
    unpacker = Unpacker(codings)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    return b"".join(opened for piece in pieces for opened in unpacker.feed(piece)), unpacker


@pytest.mark.parametrize("coding", PACKED)
@given(size=st.integers(1, 200_000))
def test_however_a_body_is_cut_it_opens_to_the_same(coding: str, size: int) -> None:
    size = max(size, len(PACKED[coding]) // 500)
    plain, unpacker = unpacked([coding], PACKED[coding], size)
    assert plain == PLAIN
    assert unpacker.is_whole


def test_a_bare_deflate_stream_opens() -> None:
    assert unpacked(["deflate"], raw_deflate(PLAIN), 1000)[0] == PLAIN


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_streams_that_follow_each_other_are_one_body(coding: str) -> None:
    assert unpacked([coding], PACKED[coding] * 2, 4096)[0] == PLAIN * 2


def test_several_codings_come_off_last_first() -> None:
    assert unpacked(["zstd", "gzip"], gzip.compress(PACKED["zstd"]), 4096)[0] == PLAIN


def test_no_coding_changes_nothing() -> None:
    assert unpacked([], PLAIN, 4096)[0] == PLAIN


@pytest.mark.parametrize("coding", PACKED)
def test_a_body_that_breaks_off_opens_as_far_as_it_goes_and_is_not_whole(coding: str) -> None:
    plain, unpacker = unpacked([coding], PACKED[coding][:-9], 4096)
    assert PLAIN.startswith(plain)
    assert not unpacker.is_whole


@pytest.mark.parametrize("coding", PACKED)
def test_bytes_that_are_something_else_are_damage(coding: str) -> None:
    with pytest.raises(DamagedError):
        unpacked([coding], b"this is no such stream, but plain words" * 9, 4096)


@pytest.mark.parametrize("coding", PACKED)
def test_a_bomb_comes_out_in_small_pieces(coding: str) -> None:
    makers = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstd.compress,
    }
    bomb = makers[coding](bytes(64 << 20))
    sizes = [len(piece) for piece in Unpacker([coding]).feed(bomb)]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= 1 << 18


def test_a_coding_that_nobody_knows_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="snappy"):
        Unpacker(["snappy"])
