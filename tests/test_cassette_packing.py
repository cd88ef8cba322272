import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette import packing
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.packing import Fields, pack, unpack


def test_text_that_is_no_utf_8_comes_back() -> None:
    assert unpack(pack("caf\udce9")) == "caf\udce9"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x01\x02",
        b"\xd6\xff\0\0\0\0\0",
        b"\xc7\x04\x2aabcd",
        b"\xdd\xff\xff\xff\xff",
        b"\x81\x01\x02",
        b"\x81\x90\x02",
        b"\x91" * 100_000,
    ],
)
def test_hostile_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Fields(data, "it").integer("x")


def test_an_extension_is_never_made_into_an_object() -> None:
    with pytest.raises(FormatError, match="extension type 42"):
        unpack(b"\xd4\x2a\0")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        unpack(data)
    except FormatError:
        pass


VALUES = {
    "n": 5,
    "t": "text",
    "b": b"bytes",
    "l": ["a", "b"],
    "i": [1, 2],
    "m": {"k": "v"},
    "z": None,
    "f": True,
}


def test_fields_are_read_by_name_and_type_and_unknown_ones_ignored() -> None:
    fields = Fields(pack(VALUES), "it")
    assert (fields.integer("n"), fields.text("t"), fields.binary("b")) == (5, "text", b"bytes")
    assert (fields.texts("l"), fields.integers("i"), fields.mapping("m")) == (("a", "b"), (1, 2), {"k": "v"})
    assert (fields.optional("z"), fields.optional("n"), fields.optional("absent")) == (None, 5, None)
    assert (fields.integer("absent", default=3), fields.text("absent", default="d")) == (3, "d")
    assert (fields.items("absent"), fields.mapping("absent"), list(fields)) == ([], {}, list(VALUES))
    assert fields.inner("m").text("k") == "v"


@pytest.mark.parametrize(
    "ask",
    [
        lambda fields: fields.integer("absent"),
        lambda fields: fields.integer("t"),
        lambda fields: fields.integer("f"),
        lambda fields: fields.integer("n", low=6),
        lambda fields: fields.integer("n", high=4),
        lambda fields: fields.text("n"),
        lambda fields: fields.binary("t"),
        lambda fields: fields.items("n"),
        lambda fields: fields.texts("i"),
        lambda fields: fields.integers("l"),
        lambda fields: fields.mapping("l"),
        lambda fields: fields.inner("n"),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(ask) -> None:
    with pytest.raises(FormatError, match="it: "):
        ask(Fields(VALUES, "it"))


def test_nested_promises_of_a_small_message_take_little_memory() -> None:
    tracemalloc.start()
    with pytest.raises(FormatError):
        unpack(b"\xdd\x00\x3f\xff\xff" * 400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_elements_are_counted_over_all_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_ELEMENTS", 10_000)
    many = [bytes(1 << 20)] + [[b""] * 512] * 20
    with pytest.raises(FormatError, match="a value of more than 10000 elements has no place"):
        unpack(pack(many))


def test_a_large_value_of_few_elements_reads() -> None:
    value = {"data": bytes(2 << 20), "list": list(range(1000))}
    assert unpack(pack(value)) == value
