"""A recording in which nothing came is no success, and leaves no cassette."""

from __future__ import annotations

import json
import sys
from threading import Thread

import pytest
from websockets.sync.server import serve

from tickdeck import MockServer
from tickdeck.cassette.making import make_cassette
from tickdeck.cli import main
from tickdeck.dialects.synth import glimpse
from tickdeck.exits import Exit

NOWHERE = ("--upstream-http", "http://127.0.0.1:9", "--upstream-ws", "ws://127.0.0.1:9")
UNREACHED = "tickdeck: could not reach http://127.0.0.1:9: "
NOTHING = "tickdeck: nothing was recorded: no frame and no answer came"

ASKS = """
import contextlib, os, urllib.error, urllib.request
with contextlib.suppress(urllib.error.HTTPError):
    urllib.request.urlopen(os.environ["TICKDECK_HTTP"] + "/v1/marketstatus/now?apiKey=any").read()
"""

CONNECTS = """
import os
from websockets.sync.client import connect
with connect(os.environ["TICKDECK_WS"] + "/stocks") as socket:
    assert socket.response.status_code == 101
"""


@pytest.fixture
def record(tmp_path, capfd):
    """Runs `tickdeck record`: its exit code, the last line on stderr, the report, and the files that are there then."""

    def run(*words):
        code = main(["record", "-o", str(tmp_path / "x.cassette"), "--json", *words])
        said = capfd.readouterr()
        report = json.loads(said.out.splitlines()[-1])
        there = sorted(path.name for path in tmp_path.iterdir())
        return code, said.err.splitlines()[-1:], report, there

    return run


def bot(text):
    return "--", sys.executable, "-c", text


@pytest.mark.parametrize("flags", [(), ("-f",), ("--rotate", "1h"), ("--ring", "5m")])
def test_that_nobody_asked_a_proxy_is_code_1(record, flags):
    code, (last,), report, there = record(*NOWHERE, "--listen", "127.0.0.1:0", "--for", "1ms", *flags)
    assert (code, report["failed_because"], there) == (Exit.DIFFERENT, "nothing", [])
    assert last.startswith(NOTHING)
    assert (report["sealed"], report["segments"]) == (False, [])


def test_that_a_command_could_not_reach_the_upstream_is_code_4(record):
    code, (last,), report, there = record(*NOWHERE, *bot(ASKS))
    assert (code, report["failed_because"], there) == (Exit.UPSTREAM, "upstream", [])
    assert last.startswith(UNREACHED)


def test_that_a_command_failed_for_it_is_the_code_of_the_command(record):
    code, (last,), report, there = record(*NOWHERE, *bot(f"{ASKS}raise SystemExit(7)"))
    assert (code, report["failed_because"], there) == (7, "command", [])
    assert last.startswith("tickdeck: the command ended with 7, and could not reach")


@pytest.mark.parametrize(
    "wanted", [("--get", "/v1/marketstatus/now"), ("--subscribe", "T.A", "--take-connection")]
)
def test_that_a_client_could_not_reach_the_upstream_is_code_4(record, monkeypatch, wanted):
    monkeypatch.setenv("MASSIVE_API_KEY", "any")
    code, (last,), report, there = record(*NOWHERE, *wanted)
    assert (code, report["failed_because"], there) == (Exit.UPSTREAM, "upstream", [])
    assert last.startswith("tickdeck: could not reach ")


def test_that_a_connection_was_made_and_nothing_came_is_code_1(record):
    with serve(list, "127.0.0.1", 0) as silent:
        serving = Thread(target=silent.serve_forever)
        serving.start()
        upstream = f"ws://127.0.0.1:{silent.socket.getsockname()[1]}"
        code, (last,), report, there = record("--upstream-ws", upstream, *NOWHERE[:2], *bot(CONNECTS))
        silent.shutdown()
        serving.join()
    assert (report["tracks"], report["frames"]) == (1, 0)
    assert (code, report["failed_because"], there) == (Exit.DIFFERENT, "nothing", [])
    assert last.startswith(NOTHING)


def test_what_was_recorded_before_stays(record, tmp_path):
    source = tmp_path.parent / f"{tmp_path.name}-vendor.cassette"
    make_cassette(source, *glimpse(7), replace=False)
    with MockServer(source, speed="max") as vendor:
        upstream = ("--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url)
        assert record(*upstream, *bot(ASKS))[0] == Exit.FINE
    before = (tmp_path / "x.cassette").read_bytes()
    for flag in ("--append", "-f"):
        code, _, _, there = record(*NOWHERE, flag, *bot(ASKS))
        assert (code, there) == (Exit.UPSTREAM, ["x.cassette"])
    assert (tmp_path / "x.cassette").read_bytes() == before
