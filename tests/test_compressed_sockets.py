"""permessage-deflate with clients that nobody here wrote: declined unless it is offered, and the payloads the same."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import aiohttp
import pytest
from massive import WebSocketClient
from websockets.exceptions import ConnectionClosedError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

FRAMES = 500


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Frames of every length of header, compressible and not."""
    story.opens(0, 0)
    for number in range(FRAMES):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * (number % 300)}"}}]')
    noise = os.urandom(40_000).hex()
    story.says(0, FRAMES, f'[{{"ev":"T","sym":"A","pad":"{noise}"}}]')
    story.says(0, FRAMES, f'[{{"ev":"T","sym":"A","pad":"{"é" * 100_000}"}}]')
    return make(story.records)


def hears(bot: ClientConnection, key: str = "k") -> list[str]:
    bot.send(json.dumps({"action": "auth", "params": key}))
    bot.send(json.dumps({"action": "subscribe", "params": "T.A" + ",T.OTHER" * 100}))
    return [str(bot.recv(10)) for _ in range(3 + FRAMES + 2)]


def end_of(bot: ClientConnection) -> None:
    """Read to the end, which is no good one."""
    with pytest.raises(ConnectionClosedError):
        list(iter(bot.recv, None))


def digests(market: PlainMarket) -> set[object]:
    market.wait_left()
    return {row["digest"] for row in market.report()["clients"]}


def test_an_offer_is_declined_and_the_tape_is_plain(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, connect(market.ws_url + "/stocks") as bot:
        assert "permessage-deflate" in bot.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in bot.response.headers
        assert len(hears(bot)) == FRAMES + 5


def test_the_official_client_offers_it_and_gets_none(tape: Cassette) -> None:
    seen = []
    with MockServer(tape, speed="max", at_end="close") as market:
        client = WebSocketClient("k", feed=market.feed, secure=False, raw=True, subscriptions=["T.A"])
        client.run(lambda message: seen.append((message, client.websocket.protocol.extensions)))
    assert len(seen) >= FRAMES
    assert all(extensions == [] for _, extensions in seen)


def test_the_official_client_reads_the_same_where_it_is_offered(tape: Cassette) -> None:
    heard: dict[bool, list[str]] = {False: [], True: []}
    agreed = []
    for deflate, messages in heard.items():
        with MockServer(tape, speed="max", at_end="close", deflate=deflate) as market:
            client = WebSocketClient("k", feed=market.feed, secure=False, raw=True, subscriptions=["T.A"])

            def note(message: str, messages: list[str] = messages, client: Any = client) -> None:
                messages.append(message)
                agreed.append(bool(client.websocket.protocol.extensions))

            client.run(note)
    assert heard[True] == heard[False]
    assert set(agreed) == {False, True}


def without_tickets(context: ssl.SSLContext) -> ssl.SSLContext:
    """TLS 1.2, whose server says nothing behind the handshake.

    A client of threads reads what TLS 1.3 has there while it writes its request, on one object of OpenSSL that
    CPython 3.11 does not lock: one request in a thousand never leaves it on a busy machine.
    """
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_read_and_its_digest_are_those_of_a_plain_socket(tape: Cassette, tls: bool) -> None:
    with MockServer(tape, speed="max", deflate=True, tls=tls) as market:
        options = {"ssl": without_tickets(market.ssl_context())} if tls else {}
        with connect(market.ws_url + "/stocks", compression=None, **options) as plain:
            said = hears(plain, "one")
        with connect(market.ws_url + "/stocks", **options) as bot:
            assert "permessage-deflate" in bot.response.headers["Sec-WebSocket-Extensions"]
            assert hears(bot, "another") == said
        assert len(digests(market)) == 1


def assert_all_is_read(tape: Cassette, offer: ClientPerMessageDeflateFactory) -> None:
    with (
        MockServer(tape, speed="max", deflate=True) as market,
        connect(market.ws_url + "/stocks", compression=None, extensions=[offer]) as bot,
    ):
        assert bot.protocol.extensions != []
        assert len(hears(bot)) == FRAMES + 5


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_a_client_with_a_small_window_is_heeded(tape: Cassette, bits: int) -> None:
    offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=bits)
    assert_all_is_read(tape, offer)


@pytest.mark.parametrize("keeps_context", [False, True])
def test_a_client_may_keep_its_contexts_or_not(tape: Cassette, keeps_context: bool) -> None:
    offer = ClientPerMessageDeflateFactory(
        server_no_context_takeover=not keeps_context, client_no_context_takeover=not keeps_context
    )
    assert_all_is_read(tape, offer)


async def test_aiohttp_reads_it(tape: Cassette) -> None:
    async with (
        MockServer(tape, speed="max", deflate=True) as market,
        aiohttp.ClientSession() as session,
        session.ws_connect(market.ws_url + "/stocks", compress=15) as socket,
    ):
        assert socket.compress == 15
        await socket.send_str('{"action":"auth","params":"k"}')
        await socket.send_str('{"action":"subscribe","params":"T.A"}')
        heard = [await socket.receive_str() for _ in range(3 + FRAMES + 2)]
    assert json.loads(heard[-1])[0]["pad"] == "é" * 100_000


NODE = """
const socket = new WebSocket(process.argv[1]);
let events = 0;
socket.onopen = () => [["auth", "k"], ["subscribe", "T.A"]]
  .forEach(([action, params]) => socket.send(JSON.stringify({action, params})));
socket.onmessage = message => { events += JSON.parse(message.data).filter(each => each.ev === "T").length; };
socket.onclose = () => { console.log(`${socket.extensions.split(";")[0]} ${events}`); };
"""


@pytest.mark.parametrize("deflate", [False, True])
def test_node_reads_the_same(tape: Cassette, deflate: bool) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not on PATH")
    command = ["node", "--experimental-websocket", "--no-warnings", "-e", NODE]
    if subprocess.run([*command[:3], "-e", ""], capture_output=True, check=False).returncode:
        pytest.skip("this node has no WebSocket")
    with MockServer(tape, speed="max", at_end="close", deflate=deflate) as market:
        done = subprocess.run(
            [*command, market.ws_url + "/stocks"], capture_output=True, text=True, timeout=30, check=True
        )
    extension, events = done.stdout.rstrip("\n").split(" ")
    assert int(events) == FRAMES + 2
    assert extension in ("", "permessage-deflate" if deflate else "")


def test_a_bomb_is_closed_with_1009(tape: Cassette) -> None:
    with MockServer(tape, speed="max", deflate=True) as market:
        with connect(market.ws_url + "/stocks") as bot:
            bot.send("[" + " " * 8_000_000)
            end_of(bot)
            assert bot.close_code == 1009
        with connect(market.ws_url + "/stocks") as bot:
            assert len(hears(bot)) == FRAMES + 5


def test_garbage_for_a_compressed_message_closes_that_socket_alone(tape: Cassette) -> None:
    with MockServer(tape, speed="max", deflate=True) as market:
        with connect(market.ws_url + "/stocks") as bot:
            payload = b"\xff" * 40
            bot.socket.sendall(struct.pack("BB", 0xC1, 0x80 | len(payload)) + bytes(4) + payload)
            end_of(bot)
        with connect(market.ws_url + "/stocks") as bot:
            assert len(hears(bot)) == FRAMES + 5


def test_a_compressed_message_that_was_not_agreed_on_is_1002(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, connect(market.ws_url + "/stocks") as bot:
        payload = zlib.compress(b"{}")[2:]
        bot.socket.sendall(struct.pack("BB", 0xC1, 0x80 | len(payload)) + bytes(4) + payload)
        end_of(bot)
        assert bot.close_code == 1002
