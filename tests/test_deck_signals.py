"""Signals: the command beside us gets each once, whoever sent it to whom; and what ends us is heard at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from tickdeck import MockServer, child
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.cli import main
from tickdeck.dialects.synth import glimpse
from tickdeck.signals import Signals
from tickdeck.witness import Witness

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such signals")

COUNTS = """
import signal, sys
got = []
def note(number, frame):
    got.append(number)
    print("got", number, flush=True)
def end(number, frame):
    print(*got, flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, note)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    signal.pause()
"""

IGNORES = """
import os, signal, urllib.request
def insist(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(os.getppid(), signal.SIGTERM)
signal.signal(signal.SIGTERM, insist)
urllib.request.urlopen(os.environ["TICKDECK_HTTP"] + "/v1/marketstatus/now?apiKey=any").read()
os.kill(os.getppid(), signal.SIGTERM)
while True:
    signal.pause()
"""

TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("signals") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


@pytest.fixture(params=["play", "record"])
def verb(request, tape, tmp_path):
    nowhere = ("--upstream-http", "http://127.0.0.1:9", "--upstream-ws", "ws://127.0.0.1:9")
    given = (
        (str(tape), "--port", "0")
        if request.param == "play"
        else ("-o", str(tmp_path / "x.cassette"), *nowhere)
    )
    return ["-m", "tickdeck", request.param, *given, "--", sys.executable, "-c", COUNTS]


def started(*words, **options):
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options
    )
    assert process.stdout.readline() == "ready\n"
    return process


def counted(process, send):
    """What the command heard when it was told to end, after SIGINT was sent in some way and reached it."""
    try:
        send()
        assert process.stdout.readline() == "got 2\n"
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 7
    return said.split()


def test_a_signal_to_the_whole_group_reaches_the_command_once(verb):
    process = started(*verb, stdin=subprocess.DEVNULL, start_new_session=True)
    assert counted(process, lambda: os.killpg(process.pid, signal.SIGINT)) == ["2"]


def test_a_signal_to_the_deck_alone_reaches_the_command_once(verb):
    process = started(*verb, stdin=subprocess.DEVNULL, start_new_session=True)
    assert counted(process, lambda: process.send_signal(signal.SIGINT)) == ["2"]


def test_one_to_the_deck_and_then_to_its_group_as_of_timeout_reaches_the_command_once(verb):
    process = started(*verb, stdin=subprocess.DEVNULL, start_new_session=True)
    ways = (lambda: process.send_signal(signal.SIGINT), lambda: os.killpg(process.pid, signal.SIGINT))
    assert counted(process, lambda: [send() for send in ways]) == ["2"]


@pytest.fixture
def terminal():
    import pty

    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(theirs)
    os.close(ours)


def test_what_is_typed_on_a_terminal_reaches_the_command_once(verb, terminal):
    ours, theirs = terminal
    process = started("-c", TERMINAL, *verb, stdin=theirs)
    assert counted(process, lambda: os.write(ours, b"\x03")) == ["2"]


def test_on_a_terminal_a_signal_to_the_deck_alone_reaches_the_command_once(verb, terminal):
    process = started("-c", TERMINAL, *verb, stdin=terminal[1])
    assert counted(process, lambda: process.send_signal(signal.SIGINT)) == ["2"]


async def test_the_witness_tells_a_signal_to_the_group_from_one_to_a_single_process():
    with Signals() as signals:
        async with Witness() as witness:
            os.kill(os.getpid(), signal.SIGTERM)
            assert await signals.first() == signal.SIGTERM
            assert await witness.group_signal() != signal.SIGTERM


GROUP = """
import asyncio, os, signal
from tickdeck.signals import Signals
from tickdeck.witness import Witness
from tickdeck.witness import Witness

async def run():
    with Signals() as signals:
        async with Witness() as witness:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                os.killpg(0, number)
                print(await signals.first() == await witness.group_signal() == number)

asyncio.run(run())
"""


def test_the_witness_recognises_every_signal_to_the_group():
    process = subprocess.run(
        [sys.executable, "-c", GROUP], capture_output=True, text=True, start_new_session=True, timeout=20
    )
    assert process.stdout.split() == ["True"] * 3


def test_a_second_signal_ends_the_recorder_though_the_command_ignores_it(tape, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(child, "END_WITHIN_S", 0.1)
    output = tmp_path / "x.cassette"
    with MockServer(tape, speed="max") as vendor:
        upstream = ("--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url)
        code = main(["record", "-o", str(output), *upstream, "--", sys.executable, "-c", IGNORES])
    assert code == 128 + signal.SIGKILL
    assert (
        "a second signal: this ends now, and the command is killed unless it ends" in capfd.readouterr().err
    )
    with open_cassette(output) as cassette:
        assert cassette.sealed
        assert len(list(cassette.interactions())) == 1


def test_a_second_signal_ends_the_player_though_the_command_ignores_it(tape, monkeypatch):
    monkeypatch.setattr(child, "END_WITHIN_S", 0.1)
    code = main(["play", str(tape), "--port", "0", "--", sys.executable, "-c", IGNORES])
    assert code == 128 + signal.SIGKILL


async def test_a_signal_is_heard_before_the_loop_goes_on():
    heard = []
    with Signals() as signals:
        signals.at_once(lambda: heard.append("at once"))
        asyncio.get_running_loop().call_soon(heard.append, "the loop")
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ["at once"]
        assert await signals.first() == signal.SIGTERM


async def test_under_nohup_a_terminal_that_closes_ends_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
