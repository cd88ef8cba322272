from __future__ import annotations

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.playhead import LOCKSTEP, MAX, REAL_TIME, STEP, Speed, parse_speed
from tickdeck.mockserver.restlatency import (
    AT_ONCE,
    Latency,
    RestLatency,
    Waits,
    latency_at,
    parse_latency,
    waits_of,
)

RECORDED = RestLatency.RECORDED
SLOW = Interaction(0, 1_000, 1_900, 2_200, 0, "GET", "/t", 200)


@pytest.mark.parametrize(
    ("speed", "waits"),
    [("1", Waits(900, 1200)), ("10", Waits(90, 120)), ("0.5", Waits(1800, 2400)), ("7", Waits(129, 172))],
)
def test_the_head_waits_for_the_first_byte_and_the_body_for_the_end(speed: str, waits: Waits) -> None:
    assert waits_of(SLOW, RECORDED, speed=parse_speed(speed), cap_ns=None) == waits


@pytest.mark.parametrize(
    ("cap_ns", "waits"), [(500, Waits(500, 800)), (100, Waits(100, 200)), (5_000, Waits(900, 1200))]
)
def test_no_longer_stretch_is_waited_out_than_the_idle_cap(cap_ns: int, waits: Waits) -> None:
    assert waits_of(SLOW, RECORDED, speed=REAL_TIME, cap_ns=cap_ns) == waits


def test_a_fixed_latency_is_wall_time_at_every_speed() -> None:
    assert waits_of(SLOW, 7, speed=parse_speed(10), cap_ns=3) == Waits(7, 7)


@pytest.mark.parametrize("speed", [REAL_TIME, MAX])
def test_none_is_at_once(speed: Speed) -> None:
    assert waits_of(SLOW, RestLatency.NONE, speed=speed, cap_ns=None) == AT_ONCE


@pytest.mark.parametrize("speed", [MAX, STEP, LOCKSTEP])
def test_where_the_tape_has_no_pace_a_recorded_latency_that_is_asked_for_is_in_real_time(
    speed: Speed,
) -> None:
    assert waits_of(SLOW, RECORDED, speed=speed, cap_ns=None) == Waits(900, 1200)


def test_a_clock_that_stood_makes_no_wait() -> None:
    assert (
        waits_of(Interaction(0, 9, 8, 7, 0, "GET", "/", 200), RECORDED, speed=REAL_TIME, cap_ns=None)
        == AT_ONCE
    )


@pytest.mark.parametrize(
    ("speed", "wanted", "latency"),
    [
        (REAL_TIME, None, RECORDED),
        (parse_speed(100), None, RECORDED),
        (MAX, None, RestLatency.NONE),
        (STEP, None, RestLatency.NONE),
        (LOCKSTEP, None, RestLatency.NONE),
        (MAX, RECORDED, RECORDED),
        (REAL_TIME, RestLatency.NONE, RestLatency.NONE),
        (REAL_TIME, 5, 5),
    ],
)
def test_answers_take_their_time_while_the_tape_has_a_pace(
    speed: Speed, wanted: Latency | None, latency: Latency
) -> None:
    assert latency_at(speed, wanted) == latency


@pytest.mark.parametrize(
    ("given", "latency"),
    [
        ("recorded", RECORDED),
        ("none", RestLatency.NONE),
        ("200ms", 200_000_000),
        ("2", 2 * 10**9),
        (0.25, 250_000_000),
        (0, 0),
    ],
)
def test_a_latency_is_a_word_a_duration_or_seconds(given: str | float, latency: Latency) -> None:
    assert parse_latency(given) == latency


@pytest.mark.parametrize("given", ["slow", "-1s", "", -1, float("nan"), float("inf")])
def test_what_is_none_is_refused_in_a_sentence(given: str | float) -> None:
    with pytest.raises(
        UsageError, match=r"^rest latency is none of recorded, none, nor a duration like 200ms: "
    ):
        parse_latency(given)
