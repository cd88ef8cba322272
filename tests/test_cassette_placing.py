from __future__ import annotations

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.placing import Chain, chain_of


def test_a_chain_is_named_by_its_word() -> None:
    assert [chain_of(word) for word in ("back-to-back", "wall")] == list(Chain)
    with pytest.raises(UsageError, match="chain is none of back-to-back, wall: 'tight'"):
        chain_of("tight")
