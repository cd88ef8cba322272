"""`tickdeck why` on a recording that was made on another day than its events, and with a lag."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tickdeck import MockServer, tape
from tickdeck.cli import main

HALF_PAST_NINE_MS = 1_577_975_400_000
"""2020-01-02 09:30:00 in New York."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return play(tmp_path_factory.mktemp("days"))


def play(folder: Path, **options: str) -> tuple[str, str]:
    """Trades of 2 January, one a second, replayed on 3 March at eight in the evening and 120 ms late; and a run."""
    lines = tape(day="2020-03-03")
    for second in range(10):
        event = {"ev": "T", "sym": "MSFT", "t": HALF_PAST_NINE_MS + 1000 * second}
        lines = lines.at(f"20:00:0{second}.120").send(event)
    cassette, run = lines.write(folder / "late.cassette"), folder / "run.cassette"

    async def plays() -> None:
        async with (
            MockServer(cassette, speed="max", journal=run, **options) as market,
            connect(f"{market.ws_url}/stocks") as bot,
        ):
            await bot.send('{"action":"auth","params":"k"}')
            await bot.send('{"action":"subscribe","params":"T.MSFT"}')
            await market.wait_finished()

    asyncio.run(plays())
    return str(cassette), str(run)


@pytest.mark.parametrize(
    "time", ["09:30:05", "2020-01-02T09:30:05-05:00", "20:00:05.120", "2020-03-03T20:00:05.120-05:00"]
)
def test_an_event_is_found_by_its_own_day_and_by_the_time_when_it_came(
    played: tuple[str, str], time: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *played, f"T.MSFT@{time}"]) == 0
    said, came = capsys.readouterr().out, "(it came at 2020-03-03 20:00:05.120 EST) "
    named = came if "20:00" in time else ""
    assert said.startswith(f"client 1 was sent T.MSFT of 2020-01-02 09:30:05.000 EST {named}")


def test_a_line_says_when_it_was_and_when_it_came(
    played: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *played, "T.MSFT@09:30:05", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["event_time"] == "2020-01-02T14:30:05.000000Z"
    assert line["came"] == "2020-03-04T01:00:05.120000Z"


def test_what_nearly_fits_is_looked_for_on_the_events_own_day_too(
    played: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *played, "T.MSFT@09:30:05.5"]) == 1
    said = capsys.readouterr().out
    assert (
        "the nearest are 2020-01-02 09:30:05.000 EST (before) and 2020-01-02 09:30:06.000 EST (after)" in said
    )


@pytest.mark.parametrize(
    ("time", "how"),
    [
        ("09:30:05", ""),
        ("11:00:05", "(played as 2020-01-02 11:00:05.000 EST) "),
        ("20:00:05.1", "(it came at 2020-03-03 20:00:05.120 EST) "),
        ("21:30:05.1", "(it came, as played, at 2020-03-03 21:30:05.120 EST) "),
    ],
)
def test_an_event_of_a_tape_that_was_moved_in_time_is_found_as_it_was_played_too(
    tmp_path: Path, time: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *play(tmp_path, time_shift="90m"), f"T.MSFT@{time}"]) == 0
    assert capsys.readouterr().out.startswith(
        f"client 1 was sent T.MSFT of 2020-01-02 09:30:05.000 EST {how}"
    )
