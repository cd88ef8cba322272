"""`tickdeck play --tls -- COMMAND`: clients that nobody here wrote trust the server by the variables that it sets."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse

PLAY = (sys.executable, "-m", "tickdeck", "play")

CONVERSATION = """
talk = ['{"action":"auth","params":"any"}', '{"action":"subscribe","params":"T.AAPL"}']
"""

WEBSOCKETS = (
    CONVERSATION
    + """
import os
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect
with connect(os.environ["POLYGON_WS_URL"]) as socket:
    for words in talk: socket.send(words)
    print(sum('"ev":"T"' in message for message in socket))
"""
)

AIOHTTP = (
    CONVERSATION
    + """
import asyncio, os, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.ws_connect(os.environ["POLYGON_WS_URL"]) as socket:
        for words in talk: await socket.send_str(words)
        print(sum(['"ev":"T"' in message.data async for message in socket]))
asyncio.run(main())
"""
)

MASSIVE_SOCKET = """
import os
from massive import WebSocketClient
heard = []
client = WebSocketClient("any", feed=os.environ["TICKDECK_FEED"], subscriptions=["T.AAPL"], raw=True)
client.run(heard.append)
print(sum('"ev":"T"' in message for message in heard))
"""

MASSIVE_REST = """
import os
from massive import RESTClient
print(RESTClient("any", base=os.environ["TICKDECK_HTTP"]).get_market_status().market)
"""

REQUESTS = """
import os, requests
print(requests.get(os.environ["TICKDECK_HTTP"] + "/v1/marketstatus/now?apiKey=any").status_code)
"""

URLLIB3 = """
import os, urllib3
print(urllib3.request("GET", os.environ["TICKDECK_HTTP"] + "/v1/marketstatus/now?apiKey=any").status)
"""

NODE = """
fetch(process.env.TICKDECK_HTTP + "/v1/marketstatus/now?apiKey=any").then(answer => console.log(answer.status))
"""


@pytest.fixture(scope="module")
def cassette(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


def beside(cassette, *arguments, command, environment=None):
    flags = ("--port", "0", "--speed", "max", "--at-end", "close", "--allow-unmatched", *arguments)
    return subprocess.run(
        [*PLAY, cassette, *flags, "--", *command],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param(WEBSOCKETS, None, id="websockets"),
        pytest.param(AIOHTTP, None, id="aiohttp"),
        pytest.param(MASSIVE_SOCKET, None, id="massive-socket"),
        pytest.param(MASSIVE_REST, "open", id="massive-rest"),
        pytest.param(REQUESTS, "200", id="requests"),
        pytest.param(URLLIB3, "200", id="urllib3"),
    ],
)
def test_a_client_in_python_trusts_the_server_beside_it(cassette, program, said):
    done = beside(cassette, "--tls", command=[sys.executable, "-c", program])
    assert done.returncode == 0, done.stderr
    assert "misstep" not in done.stderr.replace("0 missteps", "")
    heard = done.stdout.strip()
    assert heard == said if said else int(heard) > 0


def test_node_trusts_the_server_beside_it(cassette):
    if shutil.which("node") is None:
        pytest.skip("node is not on PATH")
    done = beside(cassette, "--tls", command=["node", "-e", NODE])
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr


def test_it_says_where_the_ca_is_and_who_reads_which_variable(cassette):
    done = beside(
        cassette,
        "--tls",
        command=[sys.executable, "-c", "print(open(__import__('os').environ['SSL_CERT_FILE']).read())"],
    )
    assert done.stdout.startswith("-----BEGIN CERTIFICATE-----")
    for words in (
        "export SSL_CERT_FILE=",
        " REQUESTS_CA_BUNDLE=",
        " NODE_EXTRA_CA_CERTS=",
        "curl --cacert /",
        "https://127.0.0.1:",
        "wss://127.0.0.1:",
        "secure=True",
    ):
        assert words in done.stderr


def test_the_line_that_says_it_listens_names_the_ca(cassette):
    program = [sys.executable, "-c", ""]
    for arguments, has_one in (((), False), (("--tls",), True)):
        done = beside(cassette, "--json", *arguments, command=program)
        listening = json.loads(done.stdout.splitlines()[0])
        assert (listening["ca"] is not None) is has_one
        if has_one:
            assert not Path(listening["ca"]).exists()


def test_a_certificate_of_ones_own_is_trusted_as_one_has_arranged(cassette, tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    leaf = ca.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    flags = ("--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    trusting = {**os.environ, "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem")}
    done = beside(cassette, *flags, command=[sys.executable, "-c", REQUESTS], environment=trusting)
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr
    assert "export" not in done.stderr


def test_half_a_pair_is_a_usage_error_in_one_sentence(cassette, tmp_path):
    done = beside(cassette, "--tls-cert", tmp_path / "cert.pem", command=["true"])
    assert done.returncode == 2
    assert "--tls-cert without --tls-key" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_folder_is_left_behind_when_the_port_is_taken(cassette, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = beside(
            cassette,
            "--tls",
            "--port",
            port,
            command=["true"],
            environment={**os.environ, "TMPDIR": str(tmp_path)},
        )
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert list(tmp_path.iterdir()) == []
