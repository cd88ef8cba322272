import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.blocks import (
    HEAD_SIZE,
    OPENING_SIZE,
    SYNC,
    Block,
    Bytes,
    Damage,
    Kind,
    check_opening,
    pack_block,
    pack_ending,
    pack_opening,
    read_block,
    read_ending,
    scan,
    whole_block,
)
from tickdeck.cassette.errors import FormatError


def test_an_opening_is_the_magic_the_version_and_its_complement() -> None:
    assert pack_opening() == b"\x89TDK\r\n\x1a\n\x00\x00\xff\xff"


def test_a_block_is_sync_type_flags_length_checksum_and_payload() -> None:
    head = bytes.fromhex("f1c79da3 0700 0000 03000000")
    assert pack_block(Kind.ROW, b"abc") == head + struct.pack("<I", crc32(head + b"abc")) + b"abc"


def test_an_ending_is_the_footers_position_a_checksum_and_the_end_magic() -> None:
    ending = pack_ending(0x1234)
    assert ending[:8] == b"\x34\x12\0\0\0\0\0\0"
    assert ending[12:] == b"\x89TDKEND\n"
    assert read_ending(Bytes(bytes(0x1234) + b"x" + ending)) == 0x1234


@pytest.mark.parametrize(
    ("data", "at", "words"),
    [
        (b"", 0, "the file is empty"),
        (b"PK\x03\x04 and more of it", 0, "not a cassette"),
        (b"\x89TD", 0, "not a cassette"),
        (b"\x89TDK\r\n\x1a\n\x00\x00", 10, "cut short at byte 10"),
        (b"\x89TDK\n\x1a\n\x00\x00\xff\xff\x00", 0, "not a cassette"),
        (
            b"\x89TDK\r\n\x1a\n\x03\x00\xff\xff",
            8,
            "damaged at byte 8: the version number contradicts its complement",
        ),
        (b"\x89TDK\r\n\x1a\n\x03\x00\xfc\xff", 8, "format version 3 is newer than this release reads (0)"),
    ],
)
def test_what_is_no_cassette_of_ours_is_said_in_one_sentence(data: bytes, at: int, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_opening(Bytes(data))
    assert (str(caught.value), caught.value.at) == (words, at)


def test_an_ending_is_none_where_there_is_none() -> None:
    body = bytes(100)
    assert read_ending(Bytes(pack_ending(0)[:5])) is None
    assert read_ending(Bytes(body)) is None
    assert read_ending(Bytes(body + pack_ending(100))) is None, "a footer cannot lie behind its own mark"
    assert read_ending(Bytes(body + pack_ending(3))) is None, "nor in the opening"


def test_a_file_that_shrinks_while_it_is_read_has_no_ending() -> None:
    class Shrinking(Bytes):
        size = 500  # type: ignore[assignment]  # as it was when it was opened

    assert read_ending(Shrinking(bytes(490))) is None
    with pytest.raises(FormatError, match="checksum"):
        read_block(Shrinking(pack_block(1, bytes(100))[:90]), 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"nothing of ours here", "no block begins here"),
        (pack_block(1, b"abc")[:9], "a block is cut off within its head"),
        (pack_block(1, b"abc")[:-1], "a block of 3 bytes is cut off"),
        (
            SYNC + struct.pack("<HHII", 1, 0, 0xFFFFFFFF, 0),
            "a block claims 4294967295 bytes, of ",
        ),
        (pack_block(1, b"abc")[:-1] + b"d", "the checksum of a block of 3 bytes does not match"),
    ],
)
def test_a_block_that_is_not_sound_is_located(data: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        read_block(Bytes(b"12345" + data), 5)
    assert caught.value.at == 5
    assert str(caught.value).startswith("damaged at byte 5: ")


def test_scanning_goes_on_behind_damage() -> None:
    good = [pack_block(kind, bytes([kind]) * 40) for kind in (1, 2, 3)]
    spoilt = good[1][:-1] + b"!"
    found = list(scan(Bytes(good[0] + spoilt + good[2]), 0))
    size = HEAD_SIZE + 40
    assert found == [
        Block(0, 1, bytes([1]) * 40),
        Damage(size, 2 * size, "the checksum of a block of 40 bytes does not match", False),
        Block(2 * size, 3, bytes([3]) * 40),
    ]


def test_scanning_skips_a_sync_mark_in_the_midst_of_damage() -> None:
    lure = SYNC + b"\0" * 30
    found = list(scan(Bytes(b"x" + lure + pack_block(9, b"end")), 0))
    assert [type(one) for one in found] == [Damage, Block]
    assert found[0].end == found[1].position == 1 + len(lure)


def test_scanning_tells_a_torn_end_from_damage() -> None:
    torn = list(scan(Bytes(pack_block(1, b"a") + pack_block(2, b"bcd")[:-2]), 0))[-1]
    assert torn == Damage(17, 34, "a block of 3 bytes is cut off", True)
    misled = next(scan(Bytes(pack_block(1, b"bcd")[:-2] + pack_block(2, b"whole")), 0))
    assert isinstance(misled, Damage)
    assert not misled.torn, "a sound block follows, so the file did not end there"


def test_a_mark_that_lies_across_two_reads_is_found() -> None:
    gap = b"." * ((1 << 20) - 2 + 1)
    damage, block = scan(Bytes(gap + pack_block(4, b"here")), 0)
    assert damage.end == block.position == len(gap)


def test_a_swarm_of_false_marks_costs_a_bounded_effort() -> None:
    class Counting(Bytes):
        taken = 0

        def read_at(self, position: int, size: int) -> bytes:
            data = super().read_at(position, size)
            Counting.taken += len(data)
            return data

    lie = SYNC + struct.pack("<HHII", 2, 0, 100_000, 0)
    data = lie * 20_000
    found = list(scan(Counting(data), 0))
    assert [type(one) for one in found] == [Damage]
    assert Counting.taken < 200 * len(data)


@given(payloads=st.lists(st.binary(max_size=60), min_size=1, max_size=6), cut=st.integers(0, 400))
def test_any_truncation_leaves_the_blocks_before_it(payloads: list[bytes], cut: int) -> None:
    data = b"".join(pack_block(2, payload) for payload in payloads)[:cut]
    found = list(scan(Bytes(data), 0))
    whole = [one.payload for one in found if isinstance(one, Block)]
    assert whole == payloads[: len(whole)]
    assert sum(HEAD_SIZE + len(payload) for payload in whole) + sum(
        one.end - one.position for one in found if isinstance(one, Damage)
    ) == len(data)


def test_an_opening_is_twelve_bytes() -> None:
    assert len(pack_opening()) == OPENING_SIZE == 12


def test_a_block_of_known_size_is_read_at_once_or_not_at_all() -> None:
    data = b"before" + pack_block(Kind.CHUNK, b"payload") + b"behind"
    size = len(data) - 12
    assert whole_block(Bytes(data), 6, size) == (Kind.CHUNK, b"payload")
    assert whole_block(Bytes(data), 6, size - 1) is None
    assert whole_block(Bytes(data), 6, size + 1) is None
    assert whole_block(Bytes(data), 5, size) is None
    assert whole_block(Bytes(data), 6, 3) is None


@given(st.integers(min_value=0))
def test_a_block_of_known_size_with_a_flipped_byte_is_not_read(place: int) -> None:
    data = bytearray(pack_block(Kind.CHUNK, b"payload"))
    data[place % len(data)] ^= 0x10
    kind_and_payload = whole_block(Bytes(bytes(data)), 0, len(data))
    assert kind_and_payload is None
