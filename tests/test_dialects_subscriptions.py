"""The channels somebody holds, and how they are spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.dialects.channels import topic_of
from tickdeck.dialects.subscriptions import Subscriptions, normalise


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("C.EUR-USD", "C.EUR/USD"),
        ("CA.EUR-USD", "CA.EUR/USD"),
        ("CAS.EUR/USD", "CAS.EUR/USD"),
        ("C.*", "C.*"),
        ("XT.BTC-USD", "XT.BTC-USD"),
        ("T.BRK-B", "T.BRK-B"),
        ("C", "C"),
        ("", ""),
    ],
)
def test_a_forex_pair_goes_by_its_slash_and_all_else_by_what_it_came_as(asked: str, name: str) -> None:
    assert normalise(asked) == name


def test_a_ticker_with_a_dot_is_split_at_the_first() -> None:
    assert topic_of("T.BRK.B") == "T"


def test_a_channel_is_new_once() -> None:
    held = Subscriptions()
    assert [held.add("C.EUR-USD"), held.add("C.EUR/USD")] == [True, False]
    assert [held.discard("C.EUR-USD"), held.discard("C.EUR/USD")] == [True, False]


def test_a_wildcard_wants_its_topic_and_holds_none_of_it() -> None:
    held = Subscriptions(["T.*"])
    assert held.wants("T.BRK.B")
    assert "T.BRK.B" not in held
    assert not held.wants("AM.BRK.B")


def test_a_channel_wants_itself_alone() -> None:
    held = Subscriptions(["T.BRK.B"])
    assert held.wants("T.BRK.B")
    assert not held.wants("T.BRK")
    assert not held.wants("T.*")


def test_nobody_wants_a_status() -> None:
    assert not Subscriptions([".*", "T.*"]).wants("")


def test_a_forex_pair_is_wanted_in_either_spelling() -> None:
    assert Subscriptions(["C.EUR-USD"]).wants("C.EUR/USD")
    assert Subscriptions(["C.EUR/USD"]).wants("C.EUR-USD")


CHANNELS = st.sampled_from(["T.A", "T.*", "Q.A", "C.A-B", "C.A/B", "T.BRK.B"])


@given(st.lists(st.tuples(st.booleans(), CHANNELS)))
def test_what_is_held_is_a_set_in_order_of_name(changes: list[tuple[bool, str]]) -> None:
    held, model = Subscriptions(), set[str]()
    for add, channel in changes:
        if add:
            assert held.add(channel) == (normalise(channel) not in model)
            model.add(normalise(channel))
        else:
            assert held.discard(channel) == (normalise(channel) in model)
            model.discard(normalise(channel))
    assert held.channels == tuple(sorted(model))
    assert len(held) == len(model)
