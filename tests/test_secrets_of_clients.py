"""A key that a client shows to a player is in nothing that is printed, returned or kept."""

import contextlib
import gzip
import json
import socket
import struct

import aiohttp
import pytest

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse
from tickdeck.mockserver.controls import WaitTimeoutError
from tickdeck.mockserver.harness import MockServer
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player

KEY = "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("secrets") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


async def get(url, **fields):
    async with aiohttp.ClientSession() as session, session.get(url, headers=fields) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    "target",
    [
        f"/v3/{KEY}/trades",
        f"/v3/trades?token={KEY}",
        f"/v3/trades?cursor={KEY}&limit=1",
        f"/v3/x%41{KEY[1:]}",
    ],
)
async def test_a_bearer_token_is_hidden_wherever_else_the_request_has_it(target, tape, caplog):
    async with MockServer(tape) as market:
        status, body = await get(market.http_url + target, Authorization=f"Bearer {KEY}")
        assert status == 404
        told = [market.misses(), market.report(), list(market.journal), market.state(), body]
        with pytest.raises(AssertionError) as claim:
            market.assert_requested("GET /never")
        told.append(str(claim.value))
        routes = ("journal", "misses", "report", KEY)
        told += [await get(f"{market.http_url}/__tickdeck/{route}") for route in routes]
    assert len(told[0]) == 1
    assert [each for each in told if KEY in str(each)] == []
    assert KEY not in caplog.text.partition("tickdeck")[2]


async def test_a_secret_in_a_compressed_body_is_hidden_wherever_else_the_request_has_it(tape):
    body = gzip.compress(json.dumps({"apiKey": KEY}).encode())
    fields = {"Authorization": "Bearer other", "Content-Encoding": "gzip"}
    async with MockServer(tape) as market, aiohttp.ClientSession() as session:
        url = f"{market.http_url}/v3/{KEY}/trades"
        async with session.post(url, data=body, headers=fields) as answer:
            assert answer.status == 404
            told = [market.misses(), market.report(), list(market.journal), await answer.text()]
    assert [each for each in told if KEY in str(each)] == []


async def test_what_is_told_line_by_line_and_kept_on_disk_has_no_key(tape, tmp_path):
    run, lines = tmp_path / "run.cassette", []
    with open_cassette(tape) as cassette:
        async with Player(cassette, options_of(journal=run), tell=lines.append) as player:
            await get(f"{player.http_url}/v3/{KEY}", Authorization=f"Bearer {KEY}")
            url = f"{player.ws_url}/stocks"
            async with aiohttp.ClientSession() as session, session.ws_connect(url) as client:
                await client.send_json({"action": "auth", "params": KEY})
                await client.send_json({"action": "subscribe", "params": f"T.{KEY}"})
                await player.waits.subscribed(f"T.{KEY}")
                await client.send_json({"action": KEY})
                await client.close(code=4000, message=KEY.encode())
            await player.waits.left()
            lines.append(player.report())
    assert KEY not in json.dumps(lines)
    assert {"miss", "subscribed", "left"} <= {line["kind"] for line in lines}
    assert KEY.encode() not in run.read_bytes()
    with open_cassette(run) as kept:
        assert KEY not in str([*kept.records(), *kept.interactions()])


async def test_a_wait_in_vain_names_no_key(tape):
    async with MockServer(tape) as market:
        await get(f"{market.http_url}/v3/x", Authorization=f"Bearer {KEY}")
        with pytest.raises(WaitTimeoutError) as waited:
            await market.wait_subscribed(f"T.{KEY}", timeout=0.01)
    assert KEY not in str(waited.value)


HANDSHAKE = (
    "GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Protocol: bearer.{KEY}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()

RUDE = {
    "this port speaks plain http: use --tls or http://": bytes.fromhex("16030100c8010000c40303")
    + b"\x11" * 190,
    "refused a request: bad status line": f"GET /?apiKey={KEY} HTTP/9.x\r\nHost: x\r\n\r\n".encode(),
    "refused a request: invalid header token": f"GET / HTTP/1.1\r\nHost: x\r\nBad {KEY}: y\r\n\r\n".encode(),
    "refused a request: invalid method encountered": f"{KEY}\r\n\r\n".encode(),
}


def send(port, data):
    """Send it, and wait for the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(65536):
                pass


@pytest.mark.parametrize("sentence", RUDE)
def test_what_is_no_request_is_one_sentence_and_counted(sentence, tape, caplog, capfd):
    with MockServer(tape) as market:
        for _ in range(3):
            send(int(market.feed.rpartition(":")[2]), RUDE[sentence])
        assert market.report()["rejected"] == {sentence: 3}
    assert [line.getMessage() for line in caplog.records if line.name == "tickdeck.mockserver"] == [sentence]
    assert "Traceback" not in caplog.text
    assert KEY not in caplog.text
    assert capfd.readouterr().err == ""


def test_clients_that_leave_in_the_middle_of_a_handshake_are_no_traceback(tape, caplog):
    with MockServer(tape) as market:
        port = int(market.feed.rpartition(":")[2])
        for _ in range(50):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            client.sendall(HANDSHAKE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        market.wait_left()
    assert "Traceback" not in caplog.text
    assert KEY not in caplog.text


async def test_a_subprotocol_with_a_key_reaches_no_log(tape, caplog):
    async with MockServer(tape) as market, aiohttp.ClientSession() as session:
        url = f"{market.ws_url}/stocks"
        async with session.ws_connect(url, protocols=[f"bearer.{KEY}"]) as client:
            assert client.protocol is None
            await client.receive()
    assert [line for line in caplog.messages if KEY in line and "overlap server-known" in line] == []
