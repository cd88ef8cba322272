from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.lanes import store, stored
from tickdeck.cassette.packing import Fields, pack


@given(st.binary(max_size=300) | st.integers(0, 2000).map(bytes), st.integers(0, 1))
def test_what_a_map_keeps_comes_back(data: bytes, level: int) -> None:
    fields = Fields(pack({"it": store(data, level)}), "a map")
    assert stored(fields, "it") == data


def test_only_what_gets_shorter_is_compressed() -> None:
    assert store(bytes(63), 1) == bytes(63)
    assert store(bytes(1000), 0) == bytes(1000)
    size, frame = store(bytes(1000), 1)
    assert size == 1000
    assert len(frame) < 30
