"""The variables that a program beside us finds."""

from __future__ import annotations

import pytest

from tickdeck.gateway.variables import unproxied


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({}, "127.0.0.1,localhost,::1,10.0.0.5"),
        ({"NO_PROXY": "a, b", "no_proxy": "b,c"}, "a,b,c,127.0.0.1,localhost,::1,10.0.0.5"),
        ({"no_proxy": "localhost,10.0.0.5"}, "localhost,10.0.0.5,127.0.0.1,::1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_no_proxy_has_what_it_had_and_the_deck(before: dict[str, str], expected: str) -> None:
    assert unproxied(before, "10.0.0.5") == {"NO_PROXY": expected, "no_proxy": expected}
