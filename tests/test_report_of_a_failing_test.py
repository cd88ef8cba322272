"""Every sentence of the report that a failing test prints, held against what the bot got."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tickdeck import tape
from tickdeck.cli import main
from tickdeck.mockserver.controls import WaitTimeoutError
from tickdeck.mockserver.handles import AwaitedMarket
from tickdeck.testing.runs import PlayRun
from tickdeck.testing.settings import settings_of
from tickdeck.testing.tapes import Tape

HALF_PAST_NINE_MS = 1_577_975_400_000
"""2020-01-02 09:30:00 in New York."""


def late_tape() -> Tape:
    """Frames of A and B, a second apart, that came on 3 March at eight and tell of 2 January; one request."""
    lines = tape(day="2020-03-03").at("20:00:00").rest("GET", "/v1/now", {"open": True})
    for second in range(5):
        one, two = ({"ev": "T", "sym": name, "t": HALF_PAST_NINE_MS + 1000 * second} for name in "AB")
        lines = lines.at(f"20:00:0{second}.120").send(one, two)
    return lines


class Failing:
    """A test's market, and the lines of the report that it would print now."""

    def __init__(self, run: PlayRun) -> None:
        assert isinstance(run.market, AwaitedMarket)
        self.market: AwaitedMarket = run.market
        self._run = run

    def report(self) -> list[str]:
        return self._run.story().splitlines()


@pytest.fixture
def failing(tmp_path: Path) -> Any:
    @contextmanager
    def started(*tapes: Tape | Path, **options: Any) -> Iterator[Failing]:
        settings = settings_of({}, {"speed": "max", **options})
        run = PlayRun(tapes or [late_tape()], settings, journal=tmp_path / "run.cassette", is_async=True)
        try:
            yield Failing(run)
        finally:
            run.stop(keep=True)

    return started


@asynccontextmanager
async def bot(market: AwaitedMarket, channels: str) -> AsyncIterator[ClientConnection]:
    async with connect(f"{market.ws_url}/stocks", close_timeout=0.5) as socket:
        await socket.send('{"action":"auth","params":"k"}')
        await socket.send(f'{{"action":"subscribe","params":"{channels}"}}')
        yield socket


def after(lines: list[str], head: str, count: int) -> list[str]:
    """So many lines behind one."""
    at = lines.index(head) + 1
    return lines[at : at + count]


async def data(socket: ClientConnection, count: int) -> list[str]:
    """Frames that are no statuses."""
    heard: list[str] = []
    while len(heard) < count:
        message = await socket.recv(decode=True)
        heard += [message] if '"status"' not in message else []
    return heard


async def test_sent_last_is_what_that_client_was_sent(failing: Any) -> None:
    with failing() as test:
        async with bot(test.market, "T.A") as one, bot(test.market, "T.*") as two:
            await test.market.wait_finished()
            heard = {1: await data(one, 5), 2: await data(two, 5)}
        await test.market.wait_left()
        lines = test.report()
        for number, frames in heard.items():
            sent = after(lines, f"client {number} was sent last:", 3)
            assert [line.partition("EST  ")[2] for line in sent] == frames[-3:]
        assert sent[-1].startswith("  20:00:04.120 EST  ")


async def test_a_frame_of_the_test_itself_was_sent_too(failing: Any) -> None:
    with failing() as test:
        async with bot(test.market, "T.A") as one:
            await test.market.wait_finished()
            assert test.market.send({"ev": "T", "sym": "A", "p": 9}) == 1
            frames = await data(one, 6)
            sent = after(test.report(), "client 1 was sent last:", 3)
            assert [line.partition("EST  ")[2] for line in sent] == frames[-3:]


async def test_what_was_sent_before_an_unsubscription_is_told(failing: Any) -> None:
    with failing(speed="step") as test:
        async with bot(test.market, "T.A") as one:
            await test.market.wait_started()
            test.market.step(frames=2)
            frames = await data(one, 2)
            await one.send('{"action":"unsubscribe","params":"T.A"}')
            await one.send('{"action":"subscribe","params":"T.B"}')
            await test.market.wait_subscribed("T.B")
            test.market.step()
            frames += await data(one, 1)
            lines = test.report()
        assert [line.partition("EST  ")[2] for line in after(lines, "client 1 was sent last:", 3)] == frames
        assert (
            "client 1 (stocks): 3 frames; T.A 2 of 5 events (1 after the unsubscription, 2 still to come), "
            "T.B 1 of 5 events (2 before the subscription, 2 still to come)"
        ) in lines


async def test_on_a_tape_that_was_moved_in_time_it_is_what_the_client_got(failing: Any) -> None:
    with failing(time_shift="+24h") as test:
        async with bot(test.market, "T.A") as one:
            await test.market.wait_finished()
            frames = await data(one, 5)
            lines = test.report()
        assert [line.partition("EST  ")[2] for line in after(lines, "client 1 was sent last:", 3)] == frames[
            -3:
        ]
        assert lines[0] == "tape-1.cassette: it has ended, at 2020-03-04 20:00:04.120 EST (+4 s)"


async def test_a_channel_that_nobody_held_is_named(failing: Any) -> None:
    with failing() as test:
        async with bot(test.market, "T.A"):
            await test.market.wait_finished()
        assert "on the tape, held by nobody: T.B 5 events" in test.report()
        async with bot(test.market, "T.B"):
            await test.market.wait_subscribed("T.B")
        assert not any("held by nobody" in line for line in test.report())


async def test_the_printed_question_is_answered(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with failing() as test:
        async with bot(test.market, "T.A"):
            await test.market.wait_finished()
        line = test.report()[-1]
    verb, *arguments = shlex.split(line)[1:]
    assert arguments[-1] == "T.A@2020-01-02T09:30:04.000-05:00"
    assert main([verb, *arguments]) == 0
    assert capsys.readouterr().out.startswith("client 1 was sent T.A of 2020-01-02 09:30:04.000 EST ")


async def test_a_printed_question_about_several_tapes_is_answered_too(failing: Any, tmp_path: Path) -> None:
    untimed = tape(day="2020-03-04").at("09:30:00").send({"ev": "T", "sym": "A"}).at("+1.5s")
    second = untimed.send({"ev": "T", "sym": "A"}).write(tmp_path / "the second.cassette")
    with failing(late_tape(), second) as test:
        async with bot(test.market, "T.A"):
            await test.market.wait_finished()
        line = test.report()[-1]
    arguments = shlex.split(line)[1:]
    assert str(second) in arguments
    assert arguments[-1].startswith("T.A@+")
    assert main(arguments) == 0


async def test_a_drop_stands_at_the_playhead(failing: Any) -> None:
    with failing(speed="step") as test:
        async with bot(test.market, "T.A"):
            await test.market.wait_started()
            test.market.step(frames=3)
            test.market.drop(code=1012)
            test.market.stub("GET /v1/now", {})
        lines = test.report()
        assert "  20:00:02.120 EST  control drop code=1012" in lines
        assert "  20:00:02.120 EST  control stub request=GET /v1/now laid=True" in lines


async def test_the_playhead_stands_at_the_end_of_the_tape(failing: Any) -> None:
    with failing(speed=10**9) as test:
        async with bot(test.market, "T.A"):
            await test.market.wait_finished()
        await test.market.wait_left()
        (timeline,) = test.market.state()["timelines"]
        assert timeline["position_ns"] == test.market.state()["end_ns"]
        assert all((each.position_ns or 0) <= timeline["position_ns"] for each in test.market.journal)
        assert test.report()[0] == "tape-1.cassette: it has ended, at 2020-03-03 20:00:04.120 EST (+4 s)"


async def test_behind_the_end_of_the_tape_requests_are_answered_as_they_were_recorded_then(
    failing: Any,
) -> None:
    lines = late_tape().at("+10s").rest("GET", "/v1/now", {"open": False})
    with failing(lines, speed=10**9) as test:
        async with bot(test.market, "T.A"), aiohttp.ClientSession() as session:
            await test.market.wait_finished()
            async with session.get(f"{test.market.http_url}/v1/now?apiKey=k") as answer:
                assert await answer.json() == {"open": False}
        asked = test.market.journal.requests[0]
        assert asked.position_ns == test.market.state()["end_ns"]


async def test_the_miss_that_a_program_stumbled_over_is_in_the_first_line_of_a_timeout(failing: Any) -> None:
    with failing() as test:
        async with aiohttp.ClientSession() as session:
            await session.get(f"{test.market.http_url}/v2/aggs?apiKey=k")
            with pytest.raises(WaitTimeoutError) as one:
                await test.market.wait_started(timeout=0)
            await session.get(f"{test.market.http_url}/v3/trades?apiKey=k")
            with pytest.raises(WaitTimeoutError) as two:
                await test.market.wait_until(lambda: False, timeout=0)
        assert str(one.value).startswith(
            "waited 0 s for the start of the tape; a request was not on the cassette: no recording of GET /v2/aggs"
        )
        assert (
            "2 requests, of which this is the last, were not on the cassette: no recording of GET /v3/tr"
            in str(two.value)
        )


LAG = "what your program did with it may lag: wait for that with wait_until(lambda: ...)"


async def test_a_report_says_that_wait_until_is_the_wait_for_a_program(failing: Any) -> None:
    with failing() as test:
        async with bot(test.market, "T.A"):
            await test.market.wait_started()
            assert not any(LAG in line for line in test.report())
            await test.market.wait_finished()
            assert f"wait_finished is the wait for what clients were sent; {LAG}" in test.report()
            await test.market.wait_delivered()
            assert f"wait_delivered is the wait for what clients were sent; {LAG}" in test.report()
            await test.market.wait_until(lambda: True)
            assert not any(LAG in line for line in test.report())


async def test_who_was_no_longer_waited_for_is_named(failing: Any) -> None:
    with failing() as test:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{test.market.ws_url}/stocks", autoping=False) as socket,
        ):
            await socket.send_str('{"action":"auth","params":"k"}')
            await socket.send_str('{"action":"subscribe","params":"T.A"}')
            with pytest.raises(WaitTimeoutError, match=r"client 1 has not answered a ping; it has ended, at"):
                await test.market.wait_finished(timeout=0.5)
            await test.market.wait_finished()
            assert "client 1 was no longer waited for: it had not answered a ping within 1 s" in test.report()


def test_what_was_made_for_a_test_is_gone_where_it_passed(tmp_path: Path) -> None:
    run = PlayRun(
        [late_tape(), late_tape()], settings_of({}, {}), journal=tmp_path / "run.cassette", is_async=False
    )
    assert len(list(tmp_path.iterdir())) > 1
    run.stop(keep=False)
    assert list(tmp_path.iterdir()) == []
