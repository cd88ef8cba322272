"""The words a person uses, and the values they become."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.choices import AtEnd, Channels, OnReturn, StartOn
from tickdeck.mockserver.options import PlayOptions, options_of
from tickdeck.mockserver.playhead import MAX, Speed
from tickdeck.mockserver.shelf import Repeats


def test_without_a_word_everything_is_at_its_default() -> None:
    assert options_of() == PlayOptions()


@pytest.mark.parametrize(
    ("word", "start"),
    [
        ("auth", StartOn.AUTH),
        ("T.AAPL", Channels(("T.AAPL",))),
        ("T.AAPL, Q.BRK.B", Channels(("T.AAPL", "Q.BRK.B"))),
        (["T.*", "C.EUR/USD"], Channels(("T.*", "C.EUR/USD"))),
    ],
)
def test_a_start_is_a_word_or_channels(word: Any, start: object) -> None:
    assert options_of(start_on=word).start_on == start


@pytest.mark.parametrize("word", ["", "T.A,", "T.A,nonsense", [], "AUTH", ["auth"]])
def test_a_start_that_is_neither_is_named(word: Any) -> None:
    with pytest.raises(UsageError, match="start on is none of connect, auth, subscribe"):
        options_of(start_on=word)


def test_every_word_arrives() -> None:
    options = options_of(
        speed="1/3",
        settle=0.25,
        on_return="rewind",
        at_end="close",
        repeats="cycle",
        profile="alpaca-2019",
        keys=["a", "b"],
        reject_keys=["c"],
        not_entitled=["Q.*"],
        feed="delayed",
        host="0.0.0.0",
        port=8420,
        auth_timeout=1.5,
    )
    assert options == PlayOptions(
        speed=Speed(Fraction(1, 3)),
        settle_ns=250_000_000,
        on_return=OnReturn.REWIND,
        at_end=AtEnd.CLOSE,
        repeats=Repeats.CYCLE,
        profile="alpaca-2019",
        good_keys=frozenset({"a", "b"}),
        bad_keys=frozenset({"c"}),
        not_entitled=("Q.*",),
        feed="delayed",
        host="0.0.0.0",
        port=8420,
        auth_timeout_ns=1_500_000_000,
    )


@pytest.mark.parametrize(
    ("options", "repeats"),
    [
        (PlayOptions(), Repeats.BY_TIME),
        (PlayOptions(speed=MAX), Repeats.IN_ORDER),
        (PlayOptions(speed=MAX, repeats=Repeats.BY_TIME), Repeats.BY_TIME),
    ],
)
def test_what_is_asked_again_is_answered_by_time_while_there_is_time(
    options: PlayOptions, repeats: Repeats
) -> None:
    assert options.effective_repeats is repeats


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf"), 1e9])
def test_a_time_that_is_none_is_named(seconds: float) -> None:
    with pytest.raises(UsageError, match="auth timeout must be seconds from 0 up"):
        options_of(auth_timeout=seconds)
