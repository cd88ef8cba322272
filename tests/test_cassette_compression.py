import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette import compression
from tickdeck.cassette.compression import PLAIN, ZSTD, beginning, restore, squeeze
from tickdeck.cassette.errors import FormatError


@given(st.binary(max_size=300), st.integers(0, 3))
def test_what_is_stored_comes_back(data: bytes, level: int) -> None:
    method, stored = squeeze(data, level)
    assert restore(method, stored, len(data)) == data
    assert len(stored) <= len(data)


def test_level_0_and_what_does_not_shrink_are_stored_as_they_are() -> None:
    assert squeeze(b"a" * 1000, 0) == (PLAIN, b"a" * 1000)
    assert squeeze(b"abc", 1) == (PLAIN, b"abc")
    assert squeeze(b"a" * 1000, 1)[0] == ZSTD


def test_a_bomb_is_decompressed_no_further_than_it_promised() -> None:
    bomb = compression.zstd.compress(bytes(200 << 20), 19)
    assert len(bomb) < 20_000
    with pytest.raises(FormatError, match="holds other than the 1000 bytes it promises"):
        restore(ZSTD, bomb, 1000)


@pytest.mark.parametrize(
    ("method", "stored", "size", "words"),
    [
        (PLAIN, b"abc", 4, "a part of 4 bytes turned out to have 3"),
        (ZSTD, b"no zstd at all", 9, "a compressed part is damaged"),
        (ZSTD, compression.zstd.compress(b"a" * 100)[:-3], 100, "a compressed part"),
        (ZSTD, compression.zstd.compress(b"a" * 100), 99, "holds other than the 99 bytes"),
        (ZSTD, compression.zstd.compress(b"a" * 100), 101, "a part of 101 bytes turned out to have 100"),
        (ZSTD, compression.zstd.compress(b"a" * 100) + b"x", 100, "followed by bytes that belong to nothing"),
        (7, b"", 0, "compression method 7 is unknown to this release"),
    ],
)
def test_what_does_not_hold_its_promise_is_refused(method: int, stored: bytes, size: int, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        restore(method, stored, size)


def test_a_frame_that_asks_for_a_gigantic_window_is_refused() -> None:
    options = {int(compression.zstd.CompressionParameter.window_log): 30}
    compressor = compression.zstd.ZstdCompressor(options=options)
    frame = compressor.compress(b"a" * 1000) + compressor.flush()
    with pytest.raises(FormatError, match="damaged"):
        restore(ZSTD, frame, 1000)


@given(st.binary(max_size=300), st.integers(0, 3), st.integers(0, 400))
def test_the_beginning_of_what_is_stored_can_be_had_alone(data: bytes, level: int, size: int) -> None:
    method, stored = squeeze(data, level)
    assert beginning(method, stored, size) == data[:size]


def test_a_damaged_part_has_no_beginning() -> None:
    with pytest.raises(FormatError, match="a compressed part is damaged"):
        beginning(ZSTD, b"no zstd", 4)
