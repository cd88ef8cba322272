"""The words a person uses, and the values they become."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.choices import (
    AtEnd,
    Channels,
    Clients,
    Gaps,
    OnReturn,
    SlowClient,
    StartOn,
    TimelineOf,
)
from tickdeck.mockserver.moments import Instant, Offset, TimeOfDay
from tickdeck.mockserver.options import PlayOptions, options_of
from tickdeck.mockserver.playhead import Speed
from tickdeck.mockserver.repeats import Repeats
from tickdeck.mockserver.timeshift import Target, TimeShift


def test_without_a_word_everything_is_at_its_default() -> None:
    assert options_of() == PlayOptions()


@pytest.mark.parametrize(
    ("word", "start"),
    [
        ("connect", StartOn.CONNECT),
        ("auth", StartOn.AUTH),
        ("control", StartOn.CONTROL),
        ("clients:1", Clients(1)),
        ("clients:20", Clients(20)),
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


@pytest.mark.parametrize("count", ["", "0", "-1", "two", "1.5", "²"])
def test_a_number_of_clients_that_is_none_is_named(count: str) -> None:
    with pytest.raises(UsageError) as refused:
        options_of(start_on=f"clients:{count}")
    assert str(refused.value) == f"start on clients:N wants a number of clients from 1 up, not {count!r}"


def test_clients_that_share_no_timeline_cannot_start_one_together() -> None:
    with pytest.raises(UsageError, match="start on clients:2 never comes about with timeline connection"):
        options_of(start_on="clients:2", timeline="connection")
    assert options_of(start_on="clients:1", timeline="connection").start_on == Clients(1)


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
        timeline="shared",
        begin="+90s",
        end="09:31:05",
        idle_cap=2,
        gaps="skip",
        time_shift="today",
        stubs={"GET /v1/marketstatus/now": b"{}"},
        max_connections=1,
        slow_client="disconnect",
        tls=True,
        tls_cert="cert.pem",
        tls_key="key.pem",
        deflate=True,
        token="t0ken",
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
        timeline=TimelineOf.SHARED,
        begin=Offset(90_000_000_000),
        end=TimeOfDay(34_265_000_000_000),
        idle_cap_ns=2_000_000_000,
        gaps=Gaps.SKIP,
        time_shift=TimeShift(Target.TODAY),
        stubs={"GET /v1/marketstatus/now": b"{}"},
        max_connections=1,
        slow_client=SlowClient.DISCONNECT,
        tls=True,
        tls_cert="cert.pem",
        tls_key="key.pem",
        deflate=True,
        token="t0ken",
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"timeline": "mine"}, "timeline is none of key, shared, connection: 'mine'"),
        ({"on_return": "never"}, "on return is none of auto, resume, rewind: 'never'"),
        ({"at_end": "repeat"}, "at end is none of hold, close, loop: 'repeat'"),
        ({"gaps": ""}, "gaps is none of silence, disconnect, skip: ''"),
        ({"repeats": "never"}, "repeats is none of by-time, in-order, cycle, error: 'never'"),
        ({"slow_client": "kill"}, "slow client is none of wait, disconnect: 'kill'"),
        ({"max_connections": 0}, "max connections must be 1 or more, not 0"),
        ({"idle_cap": 0}, "idle cap must be above zero; speed max waits for nothing"),
        ({"idle_cap": -1}, "idle cap must be seconds from 0 up, not -1"),
        ({"settle": -1}, "settle must be seconds from 0 up, not -1"),
        ({"port": 65536}, "port must be 0 (a free one) to 65535, not 65536"),
        ({"port": -1}, "port must be 0 (a free one) to 65535, not -1"),
        (
            {"begin": "soon"},
            "from: 'soon' is no place on a tape; write +90s, 09:31:05 or 2020-01-02T14:30:05Z",
        ),
        (
            {"end": "2020-01-02T14:30:05"},
            "to: '2020-01-02T14:30:05' names no zone; end it with Z or an offset such as -05:00",
        ),
    ],
)
def test_a_word_that_makes_no_sense_is_one_sentence(words: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        options_of(**words)
    assert str(refused.value) == sentence


def test_words_for_nothing_are_nothing() -> None:
    nothing = options_of(begin=None, end=None, idle_cap=None, repeats=None, keys=None, max_connections=None)
    assert nothing == PlayOptions()
    assert options_of(begin="1970-01-01T00:00:01Z").begin == Instant(10**9)


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf"), 1e9])
def test_a_time_that_is_none_is_named(seconds: float) -> None:
    with pytest.raises(UsageError, match="auth timeout must be seconds from 0 up"):
        options_of(auth_timeout=seconds)


def test_an_option_that_there_is_not_is_named() -> None:
    with pytest.raises(UsageError, match="there is no option sped; there are at_end, auth_timeout, "):
        options_of(sped="max")  # type: ignore[call-arg]


def test_one_text_is_one_name_and_not_its_letters() -> None:
    options = options_of(keys="KEY", reject_keys="bad", not_entitled="Q.*")
    assert (options.good_keys, options.bad_keys) == (frozenset({"KEY"}), frozenset({"bad"}))
    assert options.not_entitled == ("Q.*",)
    with pytest.raises(UsageError, match="keys must be texts"):
        options_of(keys=[1])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"host": ""}, "host must be a name or an address"),
        ({"time_shift": "now", "idle_cap": 1}, "time shift now needs the tape as long as it was"),
        ({"time_shift": "now", "gaps": "skip"}, "time shift now needs the tape as long as it was"),
        ({"event_loop": "uvloop", "tls_cert": "a", "tls_key": "b"}, "tls is served on asyncio's event loop"),
    ],
)
def test_what_makes_no_sense_together_is_refused(words: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        options_of(**words)
