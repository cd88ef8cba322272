"""A bounded memory, against a list of what was used last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.mockserver.recent import LEAST, Recent, Room


@given(st.integers(0, 30), st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=60))
def test_what_was_used_last_is_kept_as_far_as_there_is_room(size: int, uses: list[tuple[bool, int]]) -> None:
    room = Room(size)
    memories = [Recent[int, str](room, len), Recent[int, str](room, len)]
    lately: list[tuple[bool, int]] = []
    for which, key in uses:
        memory = memories[which]
        assert (key in memory) == ((which, key) in lately)
        value = memory.get(key)
        if (which, key) in lately:
            assert value == "x" * key
        else:
            assert value is None
            assert memory.keep(key, "x" * key) == "x" * key
        lately = [*(use for use in lately if use != (which, key)), (which, key)]
        while sum(key for _, key in lately) > size and len(lately) > LEAST:
            del lately[0]
        assert room.taken == sum(key for _, key in lately)


def test_one_thing_heavier_than_the_room_is_kept_until_others_come() -> None:
    memory = Recent[int, str](Room(10), len)
    memory.keep(0, "x" * 100)
    assert memory.get(0) == "x" * 100
    for key in range(1, 1 + LEAST):
        memory.keep(key, "x")
    assert memory.get(0) is None
