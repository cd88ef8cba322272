"""A bounded memory, against a list of what was asked for last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.mockserver.recent import Recent


@given(st.integers(1, 5), st.lists(st.integers(0, 8), max_size=60))
def test_what_was_asked_for_last_is_not_made_again(room: int, keys: list[int]) -> None:
    recent: Recent[int, int] = Recent(room)
    lately: list[int] = []
    for key in keys:
        made: list[int] = []
        value = recent.get_or_make(key, lambda key=key, made=made: made.append(key) or key * 2)  # type: ignore[misc]
        assert value == key * 2
        assert bool(made) == (key not in lately)
        lately = [*(each for each in lately if each != key), key][-room:]


def test_what_could_not_be_made_is_not_kept() -> None:
    recent: Recent[str, int] = Recent(2)

    def fail() -> int:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        recent.get_or_make("key", fail)
    assert recent.get_or_make("key", lambda: 3) == 3
