"""A server whose tape is moved in time: what its clients see, and what its report says of the tape all the same."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
from websockets.sync.client import connect

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

EPOCH_MS = 1_577_975_400_000
"""2020-01-02, 09:30 in New York: the epoch of every cassette that ``make`` makes."""

HOUR_MS = 3_600_000


@pytest.fixture
def morning(make: Make, story: Any) -> Cassette:
    """Two trades and a quote, a second apart, each stamped with its own time; and the last trade by REST."""
    story.opens(0, 0)
    for second in range(2):
        at = second * 10**9
        story.says(0, at, f'[{{"ev":"T","sym":"A","p":114.170,"t":{EPOCH_MS + 1000 * second}}}]')
    story.says(
        0, 2 * 10**9, f'[{{"ev":"Q","sym":"A","bp":1.0,"t":{EPOCH_MS + 2000}}},{{"ev":"T","sym":"B","t":7}}]'
    )
    body = json.dumps({"results": {"T": "A", "t": EPOCH_MS * 10**6}}, separators=(",", ":"))
    story.answers(2 * 10**9, "https://api.polygon.io/v2/last/trade/A", body.encode())
    return make(story.records)


def heard(market: PlainMarket, params: str = "T.*,Q.*") -> list[str]:
    """What a client is sent until the server closes."""
    with connect(f"{market.ws_url}/stocks") as bot:
        bot.recv(10)
        bot.send('{"action":"auth","params":"key"}')
        bot.recv(10)
        bot.send(json.dumps({"action": "subscribe", "params": params}))
        bot.recv(10)
        return [str(frame) for frame in bot]


def digest(market: PlainMarket) -> str:
    report: Any = market.report()
    return str(report["clients"][0]["digest"])


@pytest.mark.parametrize("params", ["T.*,Q.*", "T.*", "T.A,Q.A"])
def test_every_time_moves_by_one_constant_and_the_digest_is_that_of_the_recording(
    morning: Cassette, params: str
) -> None:
    with MockServer(morning, speed="max", at_end="close") as market:
        plain, as_recorded = heard(market, params), digest(market)
    with MockServer(morning, speed="max", at_end="close", time_shift="+1h") as market:
        moved = heard(market, params)
        assert digest(market) == as_recorded
    assert moved != plain
    for before, after in zip(plain, moved, strict=True):
        for one, other in zip(json.loads(before), json.loads(after), strict=True):
            assert other["t"] == (one["t"] if one["t"] == 7 else one["t"] + HOUR_MS)
            assert {**one, "t": 0} == {**other, "t": 0}
        assert len(before) == len(after)
    assert any('"p":114.170' in frame for frame in moved)


def test_an_answer_moves_by_the_same_constant(morning: Cassette) -> None:
    with MockServer(morning, speed="max", time_shift="+1h") as market:
        request = urllib.request.Request(
            f"{market.http_url}/v2/last/trade/A", headers={"Authorization": "Bearer key"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer)["results"]["t"] == (EPOCH_MS + HOUR_MS) * 10**6


def test_now_is_the_moment_of_the_start_and_nothing_comes_from_the_future(morning: Cassette) -> None:
    with MockServer(morning, speed=1, at_end="close", time_shift="now") as market:
        before_ms = datetime.now(UTC).timestamp() * 1000  # noqa: TID251 - the wall clock is what is tested
        frames = heard(market)
        after_ms = datetime.now(UTC).timestamp() * 1000  # noqa: TID251
    times = [json.loads(frame)[0]["t"] for frame in frames]
    assert before_ms <= times[0] <= after_ms
    assert [time - times[0] for time in times] == [0, 1000, 2000]
    assert times[-1] <= after_ms


def test_today_keeps_the_time_of_day(morning: Cassette) -> None:
    with MockServer(morning, speed="max", at_end="close", time_shift="today") as market:
        (first, *_) = (json.loads(frame)[0]["t"] for frame in heard(market))
    moved = datetime.fromtimestamp(first / 1000, UTC)
    assert (moved.minute, moved.second) == (30, 0)
    assert abs((datetime.now(UTC) - moved).total_seconds()) < 2 * 86_400  # noqa: TID251


def test_now_needs_speed_one_and_stays_there(morning: Cassette) -> None:
    with pytest.raises(UsageError, match="time shift now needs speed 1"):
        MockServer(morning, speed=10, time_shift="now")
