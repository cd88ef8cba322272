"""Bots with the vendor's address written into them, recorded and played through the forward proxy.

None of these programs is told anything but by its environment, and all are written with libraries
that nobody here wrote. The vendor is a server of ours; its real hosts are never looked up.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tickdeck import MockServer
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse

TICKDECK = (sys.executable, "-m", "tickdeck")

TALK = """
import json
KEY = "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"
talk = [json.dumps({"action": "auth", "params": KEY}), json.dumps({"action": "subscribe", "params": "T.AAPL"})]
def told(messages):
    print(sum('"ev":"T"' in message for message in messages) > 0, messages[0])
"""

WEBSOCKETS = (
    TALK
    + """
from websockets.sync.client import connect
with connect("wss://socket.massive.com/stocks") as socket:
    for words in talk: socket.send(words)
    told(list(socket))
"""
)

WEBSOCKETS_ASYNC = (
    TALK
    + """
import asyncio
from websockets import connect
async def main():
    async with connect("wss://delayed.polygon.io/stocks") as socket:
        for words in talk: await socket.send(words)
        told([message async for message in socket])
asyncio.run(main())
"""
)

AIOHTTP = (
    TALK
    + """
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.get("https://api.polygon.io/v1/marketstatus/now", params={"apiKey": KEY}) as answer:
            print(answer.status, await answer.text())
        async with session.ws_connect("wss://socket.massive.com/stocks") as socket:
            for words in talk: await socket.send_str(words)
            told([message.data async for message in socket])
asyncio.run(main())
"""
)

MASSIVE_SOCKET = (
    TALK
    + """
from massive import WebSocketClient
heard = []
WebSocketClient(KEY, subscriptions=["T.AAPL"], raw=True).run(heard.append)
print(sum('"ev":"T"' in message for message in heard) > 0)
"""
)

MASSIVE_REST = """
import os
from massive import RESTClient
print(RESTClient("any", base=os.environ["TICKDECK_HTTP"]).get_market_status().market)
"""

REQUESTS = """
import requests
answer = requests.get("https://api.massive.com/v1/marketstatus/now?apiKey=any")
print(answer.status_code, answer.text)
again = requests.get("https://api.massive.com/v3/trades/AAPL", params={"apiKey": "any", "limit": 3})
print(again.status_code, again.text)
"""

CURL = ("curl", "-sS", "https://api.massive.com/v1/marketstatus/now?apiKey=any")


def python(program):
    return (sys.executable, "-c", program)


PROGRAMS = [
    pytest.param(python(WEBSOCKETS), id="websockets"),
    pytest.param(python(WEBSOCKETS_ASYNC), id="websockets-asyncio"),
    pytest.param(python(AIOHTTP), id="aiohttp"),
    pytest.param(python(MASSIVE_SOCKET), id="massive-socket"),
    pytest.param(python(MASSIVE_REST), id="massive-rest-by-base"),
    pytest.param(python(REQUESTS), id="requests"),
    pytest.param(CURL, id="curl"),
]


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    path = tmp_path_factory.mktemp("vendor") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    with MockServer(path, speed="max", at_end="close", start_on="T.AAPL") as server:
        yield server


def run(*words, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    return subprocess.run(
        [*TICKDECK, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        env=environment | variables,
    )


def record(vendor, output, *command, flags=(), **variables):
    upstream = ("--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url)
    return run("record", "-o", output, *upstream, *flags, "--", *command, **variables)


def play(path, *command, flags=(), **variables):
    playing = ("--port", "0", "--speed", "max", "--at-end", "close", "--allow-unmatched")
    return run("play", path, *playing, *flags, "--", *command, **variables)


@pytest.mark.parametrize("command", PROGRAMS)
def test_what_a_program_was_told_it_is_told_again(vendor, tmp_path, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on PATH")
    output = tmp_path / "x.cassette"
    recorded = record(vendor, output, *command)
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout.strip()
    played = play(output, *command)
    assert (played.returncode, played.stdout) == (0, recorded.stdout), played.stderr


def test_a_client_that_asks_by_name_is_given_what_the_vendor_says_to_the_letter(vendor, tmp_path):
    program = """
import requests
print(requests.get("https://api.massive.com/v3/trades/AAPL?apiKey=any&limit=3").json()["next_url"])
"""
    body = {"status": "OK", "next_url": "https://api.massive.com/v3/trades/AAPL?cursor=abc"}
    vendor.stub("GET /v3/trades/AAPL", body)
    try:
        done = record(vendor, tmp_path / "x.cassette", *python(program))
        assert done.stdout.strip() == body["next_url"], done.stderr
        played = play(tmp_path / "x.cassette", *python(program))
        assert played.stdout.strip() == body["next_url"], played.stderr
    finally:
        vendor.stub("GET /v3/trades/AAPL", clear=True)


def test_the_authority_is_gone_afterwards_and_nobody_else_was_told_to_trust_it(vendor, tmp_path):
    script = "import os; print(os.environ['SSL_CERT_FILE'], os.environ['NODE_EXTRA_CA_CERTS'])"
    done = record(vendor, tmp_path / "x.cassette", *python(script))
    for name in done.stdout.split():
        assert not Path(name).parent.exists()


OTHER = """
import requests, sys
answer = requests.get(sys.argv[1])
print(answer.status_code, answer.text.strip())
"""


@pytest.fixture
def other():
    """A server that is not the vendor's, at another address of this machine than those that go past a proxy."""
    cassette = Path(__file__).parent.parent / "fixtures" / "minute-turns.cassette"
    with MockServer(cassette, host="127.0.0.2") as server:
        yield f"http://127.0.0.2:{server.port}/v1/marketstatus/now?apiKey=any"


def test_while_playing_every_other_host_is_refused_and_named(vendor, tmp_path):
    assert record(vendor, tmp_path / "x.cassette", *CURL).returncode == 0
    for address in ("http://example.invalid/", "https://example.invalid/"):
        done = play(
            tmp_path / "x.cassette", "curl", "-s", "-o", "-", "-w", "%{http_connect} %{http_code}", address
        )
        assert "403" in done.stdout
        assert "example.invalid is no host of the vendor: refused" in done.stderr
    done = play(tmp_path / "x.cassette", "curl", "-s", "http://example.invalid/", flags=["--json"])
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert {"host": "example.invalid", "passed": False}.items() <= next(
        line for line in lines if line["kind"] == "other_host"
    ).items()


def test_while_recording_another_host_is_let_through_unless_that_is_forbidden(vendor, other, tmp_path):
    flags = ["--json"]
    done = record(vendor, tmp_path / "x.cassette", *python(OTHER), other, flags=flags)
    assert '200 {"afterHours"' in done.stdout, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"kind')]
    assert [line["passed"] for line in lines if line["kind"] == "other_host"] == [True]
    assert done.returncode == 1  # it never reached the recorder itself
    strict = record(vendor, tmp_path / "y.cassette", *python(OTHER), other, flags=["--strict-hosts"])
    assert "403 tickdeck lets nobody through to" in strict.stdout
    assert "refused" in strict.stderr


def test_what_a_tunnelled_host_says_is_not_on_the_cassette(vendor, other, tmp_path):
    done = record(vendor, tmp_path / "x.cassette", *python(OTHER), other)
    assert "x.cassette: nothing was recorded" in done.stderr
    assert not (tmp_path / "x.cassette").exists()


def test_a_client_that_trusts_a_list_of_its_own_is_named(vendor, tmp_path):
    nobody = tmp_path / "nobody.pem"
    nobody.write_bytes(trustme.CA().cert_pem.bytes())
    done = record(vendor, tmp_path / "x.cassette", *CURL, "--cacert", str(nobody))
    assert done.returncode == 60  # curl's code for a certificate that it does not trust
    assert "a client asked for api.massive.com and did not take our certificate" in done.stderr


def test_hosts_that_go_past_a_proxy_still_do(vendor, tmp_path):
    script = "import os; print(os.environ['NO_PROXY'], os.environ['no_proxy'])"
    done = record(vendor, tmp_path / "x.cassette", *python(script), NO_PROXY="db.internal")
    assert done.stdout.split() == ["db.internal,127.0.0.1,localhost,::1"] * 2


def test_without_the_extra_a_command_runs_and_it_is_said_what_is_not_caught(vendor, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'trustme' else find(name, package)\n"
    )
    script = (
        "import os; print('HTTPS_PROXY' in os.environ, 'TICKDECK_HTTP' in os.environ, os.environ['NO_PROXY'])"
    )
    done = record(vendor, tmp_path / "x.cassette", *python(script), PYTHONPATH=str(hidden))
    assert done.stdout.split() == ["False", "True", "127.0.0.1,localhost,::1"]
    assert "pip install 'tickdeck[tls]'" in done.stderr
