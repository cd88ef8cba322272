"""Why a client saw an event or not: each case in a real run, which is kept and asked about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tickdeck import dialects
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import TEXT, Frame, Gap, Header, Record, Sender, TrackOpened
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.rerun import tapes_of
from tickdeck.mockserver.rundown import Rundown
from tickdeck.mockserver.server import Player
from tickdeck.mockserver.sighting import ask, look, market_of
from tickdeck.mockserver.why import Reason, Verdict, check_tape, nowhere, why
from tickdeck.why_words import WhyWords

SECOND = 1_000_000_000
NINE_THIRTY = 1_577_975_400 * SECOND
"""2020-01-02 09:30:00 in New York."""

NEW_YORK = ZoneInfo("America/New_York")
FILLING = "x" * 100_000


def records(filling: str = "") -> Iterator[Record]:
    """Half a minute of stocks, A and B each second but for a gap from 20 s to 25 s; one crypto trade."""
    seq = iter(range(1000))

    def frame(at_ns: int, payload: str, track: int = 0) -> Frame:
        return Frame(next(seq), at_ns, track, Sender.SERVER, TEXT, payload.encode())

    yield TrackOpened(next(seq), 0, 0, "stocks", "socket")
    yield TrackOpened(next(seq), 0, 1, "crypto", "socket")
    for second in (*range(20), *range(25, 30)):
        stamp = NINE_THIRTY // 1_000_000 + second * 1000
        for symbol in "AB":
            event = f'[{{"ev":"T","sym":"{symbol}","x":"{filling}","t":{stamp}}}]'
            yield frame(second * SECOND, event)
        if second == 19:
            yield Gap(next(seq), 20 * SECOND, 25 * SECOND, "stocks", "connection lost")
    yield frame(30 * SECOND, '[{"ev":"XT","pair":"BTC-USD","p":1}]', track=1)


def tape_at(path: Path, *, filling: str = "") -> Path:
    header = Header(NINE_THIRTY, origins=("https://api.polygon.io",))
    make_cassette(path, header, records(filling), replace=False)
    return path


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassette]:
    with open_cassette(tape_at(tmp_path_factory.mktemp("tape") / "half-minute.cassette")) as cassette:
        yield cassette


@asynccontextmanager
async def playing(tape: Cassette, path: Path, **options: Any) -> AsyncIterator[Player]:
    """A server whose tape moves by hand, from the moment somebody is known."""
    words = {"speed": "step", "start_on": "auth", "journal": path, **options}
    async with Player(tape, options_of(**words)) as player:
        yield player


@asynccontextmanager
async def client(
    player: Player, *channels: str, key: str = "any", market: str = "stocks"
) -> AsyncIterator[ClientConnection]:
    async with connect(
        f"{player.ws_url}/{market}", compression=None, max_size=None, close_timeout=0.1
    ) as bot:
        await say(bot, "auth", "any")
        await until(bot, "auth")
        if channels:
            await subscribe(bot, *channels)
        yield bot


async def say(bot: ClientConnection, action: str, params: str) -> None:
    await bot.send(json.dumps({"action": action, "params": params}))


async def subscribe(bot: ClientConnection, *channels: str, action: str = "subscribe") -> None:
    await say(bot, action, ",".join(channels))
    await until(bot, f"subscribed to: {channels[-1]}")


async def until(bot: ClientConnection, words: str) -> None:
    async with asyncio.timeout(10):
        while words not in str(await bot.recv()):
            pass


async def moved(player: Player, duration: str) -> None:
    player.controls.step(duration=duration)
    await player.controls.wait("delivered")


class Asked:
    """What is asked about one run."""

    def __init__(self, tape: Cassette, path: Path) -> None:
        self._tape = tape
        with open_cassette(path) as kept:
            self.run = Rundown(kept)
        self._tapes = tapes_of(tape, self.run)

    def about(self, text: str, number: int = 1) -> tuple[Verdict, str]:
        """Verdict and sentence on the first event that fits."""
        market = market_of(self._tapes, text.partition("@")[0], "stocks")
        question = ask(text, begin_wall_ns=NINE_THIRTY, end_wall_ns=NINE_THIRTY + 30 * SECOND, zone=NEW_YORK)

        def wall_ns(position_ns: int) -> int:
            return NINE_THIRTY + position_ns

        own_time = dialects.find("polygon").event_time_ns
        found = look(self._tapes, market, question, own_time=own_time, wall_ns=wall_ns)
        if found.fitting:
            verdict = why(self.run, self.run.clients[number], self._tapes, found.fitting[0])
        else:
            verdict = nowhere(found)
        return verdict, WhyWords(question, found, self.run, wall_ns=wall_ns).sentence(verdict)


@pytest.fixture(scope="module")
def asked(tape: Cassette, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Client 1 took A at once and B from 5.4 s to 12 s, left at 18 s; 2 came at 10 s; 3 was on crypto, 4 refused."""
    path = tmp_path_factory.mktemp("run") / "run.cassette"

    async def run() -> None:
        async with (
            playing(tape, path, reject_keys=["bad"], timeline="shared") as player,
            client(player, "T.A") as one,
        ):
            await moved(player, "5.4s")
            await subscribe(one, "T.B")
            await moved(player, "4.6s")
            async with client(player, "T.B"), client(player, "XT.*", market="crypto"):
                await moved(player, "2s")
                await subscribe(one, "T.B", action="unsubscribe")
                await moved(player, "6s")
                async with connect(f"{player.ws_url}/stocks", compression=None) as four:
                    await say(four, "auth", "bad")
                    await until(four, "auth_failed")
                await one.close()
                await moved(player, "8.5s")
                await player.stop()

    asyncio.run(run())
    return Asked(tape, path)


@pytest.mark.parametrize(
    ("question", "number", "reason", "sentence"),
    [
        (
            "T.B@09:30:05",
            1,
            Reason.BEFORE_SUBSCRIBE,
            "client 1 was not sent T.B of 2020-01-02 09:30:05.000 EST: it came 400 ms before the subscription",
        ),
        (
            "T.B@+13s",
            1,
            Reason.AFTER_UNSUBSCRIBE,
            "client 1 was not sent T.B of 2020-01-02 09:30:13.000 EST: it came 1.0 s after the unsubscription",
        ),
        (
            "T.A@09:30:19",
            1,
            Reason.AFTER_LEAVE,
            "client 1 was not sent T.A of 2020-01-02 09:30:19.000 EST: the client had left, 1.0 s before it came",
        ),
        (
            "T.B@09:30:09",
            2,
            Reason.BEFORE_START,
            "client 2 was not sent T.B of 2020-01-02 09:30:09.000 EST: it came 1.0 s before the client joined the tape",
        ),
        (
            "T.B@2020-01-02T14:30:29Z",
            2,
            Reason.AHEAD,
            "client 2 was not sent T.B of 2020-01-02 09:30:29.000 EST: the run had ended, 2.5 s before it came",
        ),
        (
            "T.A@09:30:11",
            2,
            Reason.NOT_SUBSCRIBED,
            (
                "client 2 was not sent T.A of 2020-01-02 09:30:11.000 EST: "
                "the client never subscribed to T.A; it held T.B"
            ),
        ),
        (
            "T.A@09:30:11",
            3,
            Reason.OTHER_MARKET,
            (
                "client 3 was not sent T.A of 2020-01-02 09:30:11.000 EST: "
                "the client was on crypto, and this is stocks"
            ),
        ),
        (
            "T.A@09:30:11",
            4,
            Reason.NOT_AUTHENTICATED,
            "client 4 was not sent T.A of 2020-01-02 09:30:11.000 EST: the client never authenticated",
        ),
        (
            "T.A@09:30:21",
            1,
            Reason.GAP,
            (
                "nobody was sent T.A@09:30:21: the recording has a gap there, from 2020-01-02 09:30:20.000 EST "
                "to 2020-01-02 09:30:25.000 EST: connection lost"
            ),
        ),
        (
            "T.A@+5.5s",
            1,
            Reason.NOT_ON_TAPE,
            (
                "nobody was sent T.A@+5.5s: it is not on the tape; "
                "the nearest are 2020-01-02 09:30:05.000 EST (before) and 2020-01-02 09:30:06.000 EST (after)"
            ),
        ),
        (
            "T.NEVER@09:30:05",
            1,
            Reason.UNRECORDED,
            "nobody was sent T.NEVER@09:30:05: T.NEVER was never recorded",
        ),
    ],
)
def test_each_reason_is_found_and_said_in_one_sentence(
    asked: Asked, question: str, number: int, reason: Reason, sentence: str
) -> None:
    verdict, said = asked.about(question, number)
    assert verdict.reason is reason
    assert said == sentence


@pytest.mark.parametrize(
    ("question", "number"), [("T.A@09:30:00", 1), ("T.B@09:30:06", 1), ("T.A@+18s", 1), ("T.B@09:30:11", 2)]
)
def test_what_was_sent_is_said_with_the_time_of_the_run(asked: Asked, question: str, number: int) -> None:
    verdict, said = asked.about(question, number)
    assert verdict.sent
    assert verdict.times == 1
    assert verdict.sent_from_ns is not None
    assert verdict.sent_by_ns is not None
    assert asked.run.epoch_ns <= verdict.sent_from_ns <= verdict.sent_by_ns
    assert said.startswith(f"client {number} was sent ")
    assert said.endswith("of the run")


def test_at_a_pace_it_is_said_how_late_an_event_left_at_most(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"

    async def run() -> None:
        async with playing(tape, path, speed=100) as player, client(player, "T.A"):
            await player.controls.wait("finished")

    asyncio.run(run())
    verdict, said = Asked(tape, path).about("T.A@09:30:12")
    assert verdict.due_ns is not None
    assert verdict.sent_by_ns is not None
    assert verdict.due_ns <= verdict.sent_by_ns
    assert verdict.late_ns == verdict.sent_by_ns - verdict.due_ns
    assert said.endswith(" late")


def test_a_stretch_that_was_skipped_does_not_make_what_follows_late(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"

    async def run() -> None:
        async with (
            playing(tape, path, speed=100, idle_cap=1, begin="+15s") as player,
            client(player, "T.A"),
        ):
            await player.controls.wait("finished")

    asyncio.run(run())
    asked = Asked(tape, path)
    before, after = (asked.about(f"T.A@09:30:{second}")[0].due_ns for second in (19, 25))
    assert before is not None
    assert after is not None
    assert after - before == SECOND // 100


def test_a_pause_does_not_make_what_follows_late(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"

    async def run() -> None:
        async with playing(tape, path, speed=100) as player, client(player) as bot:
            player.controls.pause()
            await subscribe(bot, "T.A")
            player.controls.seek("+9.5s")
            player.controls.speed(50)
            player.controls.resume()
            await player.controls.wait("finished")

    asyncio.run(run())
    asked = Asked(tape, path)
    with open_cassette(path) as kept:
        resumed = [
            frame for frame in kept.records() if isinstance(frame, Frame) and b'"resume"' in frame.payload
        ]
    first, second = (asked.about(f"T.A@09:30:{number}")[0].due_ns for number in (10, 11))
    assert first is not None
    assert second is not None
    assert second - first == SECOND // 50
    assert first >= asked.run.epoch_ns + resumed[0].offset_ns


def test_a_server_that_was_reset_forgets_whom_it_had(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"

    async def run() -> None:
        async with playing(tape, path) as player:
            async with client(player, "T.A"):
                await moved(player, "5s")
                await player.controls.reset()
            async with client(player, "T.B"):
                await moved(player, "3s")

    asyncio.run(run())
    asked = Asked(tape, path)
    assert list(asked.run.clients) == [1]
    assert asked.about("T.B@09:30:02")[0].sent
    assert asked.about("T.A@09:30:02")[0].reason is Reason.NOT_SUBSCRIBED


def test_whose_socket_was_behind_when_it_left_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"
    big = tape_at(tmp_path / "big.cassette", filling=FILLING * 10)

    async def run(tape: Cassette) -> None:
        async with playing(tape, path) as player, client(player, "T.*") as bot:
            player.controls.step(duration="30s")
            bot.transport.abort()
            await player.controls.wait("left")

    with open_cassette(big) as tape:
        asyncio.run(run(tape))
        verdict, said = Asked(tape, path).about("T.B@09:30:28")
    assert verdict.reason is Reason.BEHIND
    assert said.endswith("its socket was behind: the event had been due 2.0 s when it left")


@pytest.mark.parametrize(
    ("question", "ending"),
    [
        ("T.A@09:30:09", "the run began behind it (--from), at 2020-01-02 09:30:10.000 EST"),
        ("T.A@09:30:18", "the run ended before it (--to), at 2020-01-02 09:30:18.000 EST"),
        ("T.A@09:30:14", "a seek left it out"),
    ],
)
def test_what_the_run_did_not_play_is_told_apart(
    tape: Cassette, tmp_path: Path, question: str, ending: str
) -> None:
    path = tmp_path / "run.cassette"

    async def run() -> None:
        async with playing(tape, path, begin="+10s", end="+18s") as player, client(player, "T.A"):
            await moved(player, "2s")
            player.controls.seek("+16s")
            await moved(player, "1s")

    asyncio.run(run())
    asked = Asked(tape, path)
    verdict, said = asked.about(question)
    assert verdict.reason is Reason.SKIPPED
    assert said.endswith(f": {ending}")
    assert asked.about("T.A@09:30:11")[0].sent
    assert asked.about("T.A@09:30:17")[0].sent


def test_on_a_tape_that_loops_every_lap_counts(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"

    async def run() -> None:
        async with playing(tape, path) as player, client(player, "T.A"):
            await moved(player, "5s")
            player.controls.seek("+0s")
            await moved(player, "2s")

    asyncio.run(run())
    asked = Asked(tape, path)
    assert asked.about("T.A@09:30:01")[0].times == 2
    assert asked.about("T.A@09:30:01")[1].endswith("of the run, and again on 1 lap")
    assert asked.about("T.A@09:30:04")[0].times == 1


def test_a_run_of_another_tape_is_refused(tape: Cassette, asked: Asked, tmp_path: Path) -> None:
    check_tape(tape, asked.run)
    with (
        open_cassette(tape_at(tmp_path / "other.cassette", filling="y")) as other,
        pytest.raises(UsageError, match=r"is a run of half-minute\.cassette \(content .*not of other"),
    ):
        check_tape(other, asked.run)


def test_a_cassette_that_is_no_run_says_so(tape: Cassette) -> None:
    with pytest.raises(UsageError, match=r"half-minute\.cassette is no journal of a run"):
        Rundown(tape)
