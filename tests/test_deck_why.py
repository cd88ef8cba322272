"""`tickdeck why` as a process: a run is kept by `play`, asked about, and the exit code says yes or no."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse
from tickdeck.mockserver.why import Reason

TICKDECK = (sys.executable, "-m", "tickdeck")

SUBSCRIBER = """
import asyncio, os, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.ws_connect(os.environ["POLYGON_WS_URL"]) as socket:
        await socket.send_json({"action": "auth", "params": "any"})
        await socket.send_json({"action": "subscribe", "params": "T.AAPL"})
        async for message in socket:
            pass
asyncio.run(main())
"""


def tickdeck(*arguments):
    return subprocess.run([*TICKDECK, *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A cassette, and a run of it."""
    folder = tmp_path_factory.mktemp("why")
    tape, run = folder / "glimpse.cassette", folder / "run.cassette"
    make_cassette(tape, *glimpse(7), replace=False)
    flags = ("--port", "0", "--speed", "max", "--at-end", "close", "--journal", run)
    done = tickdeck("play", tape, *flags, "--", sys.executable, "-c", SUBSCRIBER)
    assert done.returncode == 0, done.stderr
    return tape, run


def test_what_was_sent_is_said_and_the_exit_code_is_0(played):
    done = tickdeck("why", *played, "T.AAPL@09:30:54.297")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("client 1 was sent T.AAPL of 2020-01-02 09:30:54.297 EST ")


def test_what_was_not_sent_is_1_and_a_line_has_the_same_facts(played):
    done = tickdeck("why", *played, "T.MSFT@09:30:54", "--json")
    assert done.returncode == 1, done.stderr
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["kind"], line["v"], line["client"], line["sent"]) == ("why", 1, 1, False)
    assert line["reason"] == "not-subscribed"
    assert line["holds"] == ["T.AAPL"]
    assert line["sentence"].endswith("the client never subscribed to T.MSFT; it held T.AAPL")


def test_of_several_events_the_first_is_told_and_with_all_each(played):
    first = tickdeck("why", *played, "T.AAPL@09:30")
    each = tickdeck("why", *played, "T.AAPL@09:30", "--all")
    lines = each.stdout.splitlines()
    assert first.stdout.splitlines() == lines[:1]
    assert len(lines) > 2
    assert first.stderr == f"{len(lines) - 1} more of T.AAPL then; --all tells of each\n"
    assert each.stderr == ""


@pytest.mark.parametrize(
    ("question", "flags", "words"),
    [
        ("T.AAPL", (), "'T.AAPL' is no question; write a channel and a time, T.AAPL@09:31:05"),
        ("T.AAPL@09:30:55", ("--client", "9"), "there is no client 9 in run.cassette; there are 1"),
    ],
)
def test_a_question_that_makes_no_sense_is_2(played, question, flags, words):
    done = tickdeck("why", *played, question, *flags)
    assert (done.returncode, done.stderr) == (2, f"tickdeck: {words}\n")


def test_the_tape_must_be_the_one_that_was_played(played, tmp_path):
    other = tmp_path / "other.cassette"
    make_cassette(other, *glimpse(8), replace=False)
    done = tickdeck("why", other, played[1], "T.AAPL@09:30:55")
    assert done.returncode == 2
    assert "run.cassette is a run of glimpse.cassette (content " in done.stderr
    assert "not of other.cassette (content " in done.stderr


def test_a_cassette_that_is_no_run_is_2(played):
    done = tickdeck("why", played[0], played[0], "T.AAPL@09:30:55")
    assert done.returncode == 2
    assert "glimpse.cassette is no journal of a run; `tickdeck play --journal FILE` keeps one" in done.stderr


def test_a_run_without_a_client_is_1(played, tmp_path):
    run = tmp_path / "nobody.cassette"
    tickdeck("play", played[0], "--port", "0", "--journal", run, "--", sys.executable, "-c", "pass")
    done = tickdeck("why", played[0], run, "T.AAPL@09:30:55")
    assert (done.returncode, done.stderr) == (1, "tickdeck: no client connected in nobody.cassette\n")


def test_a_run_is_a_cassette_like_others(played):
    assert tickdeck("verify", played[1]).returncode == 0
    info = tickdeck("info", played[1])
    assert info.returncode == 0
    assert "a run of glimpse.cassette" in info.stdout
    lines = tickdeck("cat", played[1]).stdout.splitlines()
    assert any('"kind\\":\\"subscribed' in line or '"kind":"subscribed"' in line for line in lines)


def test_an_output_that_exists_is_2(played):
    done = tickdeck("play", played[0], "--port", "0", "--journal", played[1], "--", "true")
    assert done.returncode == 2
    assert "run.cassette exists already" in done.stderr


@pytest.mark.parametrize("question", ["T.MSFT@09:30:54", "T.AAPL@09:30:54.297", "T.AAPL@09:30:54.001"])
def test_its_line_is_documented_field_by_field(played, question):
    (line,) = map(json.loads, tickdeck("why", *played, question, "--json").stdout.splitlines())
    page = (Path(__file__).parents[1] / "docs" / "why.md").read_text(encoding="utf-8")
    documented = re.search(r"^\| `why` \| (.*) \|$", page, re.M)[1]
    assert line.keys() - {"kind", "v", "time"} == set(re.findall(r"`(\w+)`", documented))


def test_each_reason_is_documented():
    page = (Path(__file__).parents[1] / "docs" / "why.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", page.partition("**The reasons**")[2], re.M)
    documented = {word for row in rows for word in re.findall(r"`([a-z-]+)`", row)}
    assert documented - {"why", "why-request"} == {each.value for each in Reason} - {"sent"}


def test_a_run_of_several_cassettes_is_asked_with_all_of_them(tmp_path):
    tapes = [tmp_path / "one.cassette", tmp_path / "two.cassette"]
    for seed, tape in enumerate(tapes):
        make_cassette(tape, *glimpse(seed), replace=False)
    run = tmp_path / "run.cassette"
    flags = ("--port", "0", "--speed", "max", "--at-end", "close", "--journal", run)
    done = tickdeck("play", *tapes, *flags, "--", sys.executable, "-c", SUBSCRIBER)
    assert done.returncode == 0, done.stderr
    both = tickdeck("why", *tapes, run, "T.AAPL@09:30", "--all")
    alone = [tickdeck("cat", tape, "--events", "--channel", "T.AAPL").stdout for tape in tapes]
    assert both.returncode == 0, both.stderr
    assert len(both.stdout.splitlines()) == sum(map(trades_before_09_31, alone))
    for wrong in ([tapes[0]], tapes[::-1], [*tapes, "--chain", "wall"]):
        assert tickdeck("why", *wrong, run, "T.AAPL@09:30").returncode == 2


def trades_before_09_31(printed):
    events = (json.loads(line) for line in printed.splitlines())
    stamps = [json.loads(event["event"])["t"] for event in events if event["kind"] == "event"]
    return sum(stamp < 1_577_975_460_000 for stamp in stamps)


def test_a_run_whose_server_was_killed_is_asked_like_any_other(played, tmp_path):
    run = tmp_path / "killed.cassette"
    killer = SUBSCRIBER.replace("pass", "if '\"T\"' in message.data: os.kill(os.getppid(), 9)")
    done = tickdeck("play", played[0], "--port", "0", "--journal", run, "--", sys.executable, "-c", killer)
    assert done.returncode == -9
    assert not run.exists()
    assert run.with_name("killed.cassette.part").exists()
    asked = tickdeck("why", played[0], run, "T.AAPL@09:31:00", "--json")
    assert asked.returncode == 1, asked.stderr
    assert json.loads(asked.stdout)["reason"] == "not-kept"
    assert "the run is kept only up to " in asked.stdout
