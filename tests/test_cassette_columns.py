import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette import columns
from tickdeck.cassette.columns import (
    constant_of,
    extremes,
    has_negative,
    pack_column,
    starts_of,
    taker,
    unpack_column,
)
from tickdeck.cassette.errors import FormatError

INTEGERS = st.one_of(
    st.integers(-(1 << 62), (1 << 62) - 1), st.integers(-300, 300), st.sampled_from([127, 128, -128, -129])
)


@given(values=st.lists(INTEGERS, max_size=50), rising=st.booleans())
def test_a_column_comes_back_as_it_was(values: list[int], rising: bool) -> None:
    assert list(unpack_column(pack_column(values, rising=rising))) == values


@pytest.mark.parametrize(
    ("values", "rising", "packed"),
    [
        ([], False, "00 00000000 0000000000000000"),
        ([], True, "10 00000000 0000000000000000"),
        ([7, 7, 7], False, "00 03000000 0700000000000000"),
        ([5, 6, 7], True, "10 03000000 0500000000000000 0100000000000000"),
        ([5], True, "10 01000000 0500000000000000 0000000000000000"),
        ([1, -1, 2], False, "01 03000000 0000000000000000 01ff02"),
        ([1, 258], False, "02 02000000 0000000000000000 0102 0001"),
        ([10, 11, 13], True, "11 03000000 0a00000000000000 0102"),
        ([0, 1 << 16, 0], True, "14 03000000 0000000000000000 0000 0000 01ff 00ff"),
    ],
)
def test_columns_byte_for_byte(values: list[int], rising: bool, packed: str) -> None:
    assert pack_column(values, rising=rising).hex() == packed.replace(" ", "")
    assert list(unpack_column(bytes.fromhex(packed))) == values


@pytest.mark.parametrize(
    "packed",
    [
        "00 0000",
        "03 01000000 0000000000000000 000000",
        "21 01000000 0000000000000000 00",
        "01 02000000 0000000000000000 00",
        "10 02000000 0000000000000000",
        "00 02000000 0000000000000000 00",
        "00 ffffffff 0000000000000000",
        "00 01000001 0000000000000000",
    ],
)
def test_what_is_no_column_is_refused(packed: str) -> None:
    with pytest.raises(FormatError):
        unpack_column(bytes.fromhex(packed))


def test_a_column_is_never_longer_than_asked_for() -> None:
    with pytest.raises(FormatError, match="4 rows"):
        unpack_column(pack_column([1, 1, 1, 1]), most=3)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_column_or_refused(data: bytes) -> None:
    try:
        values = unpack_column(data, most=1000)
    except FormatError:
        return  # refused, in the one way that is allowed
    assert len(values) <= 1000


def test_starts_are_the_running_sum() -> None:
    assert starts_of([3, 0, 4]) == [0, 3, 3, 7]
    assert starts_of([]) == [0]


def test_a_big_endian_machine_swaps_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns.sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    values = [1, 1000, -70000]
    assert unpack_column(pack_column(values)) == values


@given(values=st.lists(INTEGERS, min_size=1, max_size=50), rising=st.booleans())
def test_the_extremes_of_a_column_are_those_of_its_values(values: list[int], rising: bool) -> None:
    packed = pack_column(values, rising=rising)
    assert extremes(unpack_column(packed)) == (min(values), max(values))


def test_a_column_of_equal_steps_is_a_range() -> None:
    assert unpack_column(pack_column([5, 7, 9], rising=True)) == range(5, 11, 2)
    assert extremes(unpack_column(pack_column([9, 7, 5], rising=True))) == (5, 9)


@given(values=st.lists(INTEGERS | st.just(7), min_size=1, max_size=50))
def test_a_column_of_values_says_whether_one_is_below_zero_and_whether_all_are_one(values: list[int]) -> None:
    packed = pack_column(values)
    assert has_negative(packed) == (min(values) < 0)
    assert constant_of(packed) == (values[0] if len(set(values)) == 1 else None)
    assert constant_of(pack_column(values, rising=True)) is None


@given(st.lists(st.integers(0, 9), max_size=12))
def test_rows_are_taken_from_any_column(rows: list[int]) -> None:
    assert list(taker(rows)(range(20, 30))) == [20 + row for row in rows]
