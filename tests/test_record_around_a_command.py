"""`tickdeck record -- COMMAND`: the recorder lives as long as the command, and the command finds it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tickdeck import MockServer
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.records import Frame
from tickdeck.dialects.synth import glimpse
from tickdeck.recording import record_options

TICKDECK = (sys.executable, "-m", "tickdeck")

ASKS = """
import os, sys, urllib.request
with urllib.request.urlopen(os.environ["TICKDECK_HTTP"] + "/v1/marketstatus/now?apiKey=any") as answer:
    print(len(answer.read()) > 0)
sys.exit(int(sys.argv[1]))
"""

WAITS = """
import os, signal, sys, urllib.request
def end(number, frame):
    print("told", number, flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
urllib.request.urlopen(os.environ["TICKDECK_HTTP"] + "/v1/marketstatus/now?apiKey=any").read()
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("around") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


@pytest.fixture
def vendor(tape):
    with MockServer(tape, speed="max") as server:
        yield server


def words(vendor, output, *command, flags=()):
    upstream = ("--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url)
    return [*TICKDECK, "record", "-o", str(output), *upstream, *flags, "--", *command]


def record(vendor, output, *command, flags=()):
    return subprocess.run(
        words(vendor, output, *command, flags=flags),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def interactions(path):
    with open_cassette(path) as cassette:
        assert cassette.sealed
        return list(cassette.interactions())


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_is_recorded_and_its_exit_code_is_ours(vendor, tmp_path, code):
    output = tmp_path / "x.cassette"
    done = record(vendor, output, sys.executable, "-c", ASKS, str(code))
    assert (done.returncode, done.stdout) == (code, "True\n"), done.stderr
    assert "x.cassette: sealed" in done.stderr
    (interaction,) = interactions(output)
    assert interaction.url == f"{vendor.http_url}/v1/marketstatus/now?apiKey=REDACTED-1"


def test_every_address_is_in_the_environment_of_the_command(vendor, tmp_path):
    names = ("TICKDECK_HTTP", "TICKDECK_WS", "TICKDECK_FEED", "POLYGON_WS_URL", "DATA_PROXY_WS")
    script = f"import os; print(*map(os.environ.get, {names!r}))"
    done = record(vendor, tmp_path / "x.cassette", sys.executable, "-c", script)
    http, ws, feed, *sockets = done.stdout.split()
    assert (http, ws) == (f"http://{feed}", f"ws://{feed}")
    assert sockets == [f"{ws}/stocks"] * 2


def test_a_command_that_never_reached_the_recorder_is_exit_code_1(vendor, tmp_path):
    done = record(vendor, tmp_path / "x.cassette", sys.executable, "-c", "")
    assert done.returncode == 1
    assert "the command never reached the recorder" in done.stderr
    done = record(vendor, tmp_path / "y.cassette", sys.executable, "-c", "", flags=["--json"])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, lines[-1]["verdict"]) == (1, "no request")


def test_a_command_that_failed_keeps_its_code_though_it_never_reached_the_recorder(vendor, tmp_path):
    assert (
        record(vendor, tmp_path / "x.cassette", sys.executable, "-c", "import sys; sys.exit(9)").returncode
        == 9
    )


def test_a_command_that_cannot_be_started_leaves_nothing(vendor, tmp_path):
    done = record(vendor, tmp_path / "x.cassette", "no-such-command-anywhere")
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1]
        == "tickdeck: cannot start no-such-command-anywhere: no such file or directory"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_command_killed_by_a_signal_is_128_and_its_number(vendor, tmp_path):
    script = ASKS.replace("sys.exit(int(sys.argv[1]))", "import signal; os.kill(os.getpid(), signal.SIGKILL)")
    done = record(vendor, tmp_path / "x.cassette", sys.executable, "-c", script)
    assert done.returncode == 128 + signal.SIGKILL
    assert len(interactions(tmp_path / "x.cassette")) == 1


def test_a_signal_goes_on_to_the_command_and_its_end_seals(vendor, tmp_path):
    output = tmp_path / "x.cassette"
    with subprocess.Popen(
        words(vendor, output, sys.executable, "-c", WAITS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (7, f"told {int(signal.SIGTERM)}\n")
    assert len(interactions(output)) == 1


def test_a_recording_that_is_over_ends_the_command(vendor, tmp_path):
    output = tmp_path / "x.cassette"
    done = record(vendor, output, sys.executable, "-c", WAITS, flags=["--for", "2s"])
    assert (done.returncode, done.stdout) == (0, f"ready\ntold {int(signal.SIGTERM)}\n")
    assert len(interactions(output)) == 1


def test_a_command_and_a_client_are_one_too_many():
    flags = {
        "subscribe": ("T.A",),
        "gets": (),
        "listen": None,
        "market": None,
        "force": False,
        "append": False,
    }
    with pytest.raises(UsageError, match="a command is recorded through a proxy"):
        record_options(flags, command=("true",))


EVICTED = """
import json, os
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect
def bot():
    socket = connect(os.environ["POLYGON_WS_URL"])
    socket.send(json.dumps({"action": "auth", "params": "any"}))
    socket.recv(), socket.recv()
    return socket
first = bot()
second = bot()
try:
    for message in first: print(message)
except ConnectionClosedError as end:
    print(end.rcvd.code)
"""


def test_an_eviction_reaches_the_bot_as_it_came_and_is_told_plainly(tape, tmp_path):
    with MockServer(tape, speed="max", max_connections=1) as vendor:
        done = record(vendor, tmp_path / "x.cassette", sys.executable, "-c", EVICTED)
    message, code = done.stdout.splitlines()
    assert (json.loads(message)[0]["status"], code) == ("max_connections", "1008"), done.stderr
    assert "socket 0 (stocks) was dropped by the vendor (Maximum number of websocket" in done.stderr
    assert "another connection with this key was made to the market" in done.stderr


LISTENS = """
import json, os
from websockets.sync.client import connect
with connect(os.environ["POLYGON_WS_URL"]) as socket:
    for words in (("auth", "any"), ("subscribe", "T.*,Q.*")):
        socket.send(json.dumps(dict(zip(("action", "params"), words))))
    print(sum('"ev":"Q"' in message for message in socket))
"""


def test_only_some_channels_are_kept_and_the_bot_is_given_them_all(tape, tmp_path):
    with MockServer(tape, speed="max", at_end="close") as vendor:
        done = record(vendor, tmp_path / "x.cassette", sys.executable, "-c", LISTENS, flags=["--only", "T.*"])
    assert int(done.stdout) > 0, done.stderr
    assert "left out" in done.stderr
    with open_cassette(tmp_path / "x.cassette") as cassette:
        assert cassette.header.note == "only T.*: frames without an event on it were left out"
        (track,) = cassette.survey.tracks.values()
        kept = [record.payload for record in cassette.records() if isinstance(record, Frame)]
    assert [change.channel for change in track.holdings] == ["T.*", "Q.*"]
    assert all(b'"ev":"T"' in payload for payload in kept if b'"sym"' in payload)
