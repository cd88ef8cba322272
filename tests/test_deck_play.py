"""`tickdeck play` as a process: what it prints, what ends it, and its exit code."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from tickdeck import cli
from tickdeck.dialects.synth import glimpse
from tickdeck.making import make_cassette

TICKDECK = (sys.executable, "-m", "tickdeck")

SUBSCRIBER = """
import asyncio, os, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.ws_connect(os.environ["POLYGON_WS_URL"]) as socket:
        await socket.send_json({"action": "auth", "params": "any"})
        await socket.send_json({"action": "subscribe", "params": "T.AAPL,T.NEVER"})
        async for message in socket:
            pass
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def cassette(tmp_path_factory):
    path = tmp_path_factory.mktemp("play") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


def play(cassette, *arguments):
    done = subprocess.run(
        [*TICKDECK, "play", cassette, "--port", "0", *arguments], capture_output=True, text=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"kind"')]
    return done, lines


def running(cassette, *arguments):
    return subprocess.Popen(
        [*TICKDECK, "play", cassette, "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_command_beside_it_sees_the_tape_and_each_happening_is_a_line(cassette):
    done, lines = play(
        cassette, "--speed", "max", "--at-end", "close", "--json", "--", sys.executable, "-c", SUBSCRIBER
    )
    assert done.returncode == 0, done.stderr
    kinds = [line["kind"] for line in lines]
    assert kinds[:4] == ["listening", "connected", "authenticated", "subscribed"]
    assert kinds[-1] == "report"
    assert {"started", "left"} <= set(kinds)
    assert all(line["v"] == 1 and line["time"].endswith("Z") for line in lines)
    subscribed = next(line for line in lines if line["kind"] == "subscribed")
    assert subscribed["unrecorded"] == ["T.NEVER"]
    (client,) = lines[-1]["clients"]
    assert client["channels"]["T.AAPL"]["sent"] == client["channels"]["T.AAPL"]["on_tape"] > 0


def test_in_words_it_says_where_to_go_and_what_happened(cassette):
    done, _ = play(cassette, "--speed", "max", "--at-end", "close", "--", sys.executable, "-c", SUBSCRIBER)
    assert done.returncode == 0
    assert done.stdout == ""
    for words in (
        "playing glimpse.cassette: synthetic",
        "from massive import WebSocketClient",
        "new WebSocket(",
        "curl -H 'Authorization: Bearer any'",
        "client 1 authenticated",
        "never recorded: T.NEVER",
        "timeline 1 started at 2020-01-02 09:30:54",
        "client 1 left: code 1000, by the server",
        "digest",
    ):
        assert words in done.stderr


def test_the_lines_to_paste_work_as_they_are(cassette, tmp_path):
    command = [*TICKDECK, "play", cassette, "--port", "0", "--speed", "max", "--at-end", "close"]
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        shown = list(
            iter(
                process.stderr.readline, "the tape starts with the first subscription; Ctrl-C ends the run\n"
            )
        )
        python, curl = (
            next(line for line in shown if line.startswith(f"    {name} ")) for name in ("python", "curl")
        )
        printed = [
            subprocess.run(
                ["bash", "-c", line], env=os.environ | {"PATH": path}, capture_output=True, timeout=30
            ).stdout
            for line in (python, curl)
        ]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert printed[0].startswith(b"[EquityQuote(")
    assert json.loads(printed[1])["market"] == "open"


def test_a_pattern_is_played_as_one_tape(cassette, tmp_path):
    for name in ("1.cassette", "2.cassette"):
        (tmp_path / name).write_bytes(cassette.read_bytes())
    flags = ("--speed", "max", "--at-end", "close", "--json", "--", sys.executable, "-c", SUBSCRIBER)
    _, (*_, once) = play(cassette, *flags)
    done, (*_, twice) = play(tmp_path / "*.cassette", *flags)
    assert done.returncode == 0, done.stderr
    sent = [report["clients"][0]["channels"]["T.AAPL"]["sent"] for report in (once, twice)]
    assert sent[1] == 2 * sent[0] > 0


def test_what_cannot_be_one_tape_is_one_sentence(cassette, tmp_path):
    done, _ = play(cassette, cassette, "--chain", "wall")
    assert done.returncode == 2
    assert done.stderr.startswith("tickdeck: glimpse.cassette begins ")
    done, _ = play(tmp_path / "*.cassette")
    assert done.stderr == f"tickdeck: no cassette matches {tmp_path}/*.cassette\n"


@pytest.mark.parametrize("code", [0, 7])
def test_the_commands_exit_code_is_ours(cassette, code):
    done, _ = play(cassette, "--", sys.executable, "-c", f"raise SystemExit({code})")
    assert done.returncode == code


def test_a_request_that_was_never_recorded_fails_the_run(cassette):
    done, lines = play(
        cassette, "--json", "--", "sh", "-c", 'curl -so /dev/null "$TICKDECK_HTTP/v3/nothing?apiKey=any"'
    )
    assert done.returncode == 5
    assert [line["kind"] for line in lines] == ["listening", "miss", "report"]
    assert "no recording of GET /v3/nothing" in lines[1]["sentence"]


def test_unless_that_is_allowed(cassette):
    request = 'curl -so /dev/null "$TICKDECK_HTTP/v3/nothing?apiKey=any"'
    done, _ = play(cassette, "--allow-unmatched", "--", "sh", "-c", request)
    assert done.returncode == 0


def test_a_command_that_cannot_be_started_is_one_sentence(cassette):
    done, _ = play(cassette, "--json", "--", "no-such-bot")
    assert done.returncode == 2
    assert done.stderr == "tickdeck: cannot start no-such-bot: no such file or directory\n"


def test_nobody_came(cassette):
    done, _ = play(cassette, "--json", "--once", "--wait", "50ms")
    assert done.returncode == 1
    assert done.stderr == "tickdeck: no client came within 50 ms\n"


@pytest.mark.parametrize("at_end", ["hold", "close"])
def test_once_ends_when_the_tape_was_read(cassette, at_end):
    with running(cassette, "--once", "--speed", "max", "--at-end", at_end) as process:
        listening = json.loads(process.stdout.readline())
        environment = os.environ | {"POLYGON_WS_URL": f"{listening['ws']}/stocks"}
        subprocess.run([sys.executable, "-c", SUBSCRIBER], env=environment, timeout=30, check=True)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert json.loads(rest.splitlines()[-1])["kind"] == "report"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_how_it_normally_ends(cassette, number):
    with running(cassette) as process:
        listening = json.loads(process.stdout.readline())
        url = f"{listening['http']}/v1/marketstatus/now?apiKey=any"
        assert json.load(urllib.request.urlopen(url, timeout=10))["market"] == "open"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert [json.loads(line)["kind"] for line in rest.splitlines()] == ["request", "report"]


def test_a_signal_is_passed_on_to_the_command(cassette):
    waiting = "import signal, sys; signal.signal(15, lambda *_: sys.exit(9)); print('up', flush=True); signal.pause()"
    with running(cassette, "--", sys.executable, "-c", waiting) as process:
        assert json.loads(process.stdout.readline())["kind"] == "listening"
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 9


def test_a_reader_of_lines_may_leave(cassette):
    with running(cassette) as process:
        listening = json.loads(process.stdout.readline())
        process.stdout.close()
        url = f"{listening['http']}/v1/marketstatus/now?apiKey=any"
        for _ in range(3):
            assert urllib.request.urlopen(url, timeout=10).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_taken_port_is_one_sentence(cassette, capsys):
    with running(cassette) as process:
        port = json.loads(process.stdout.readline())["http"].rpartition(":")[2]
        assert cli.main(["play", str(cassette), "--port", port, "--once", "--wait", "1s"]) == 2
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err
