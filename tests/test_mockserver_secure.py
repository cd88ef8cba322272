"""Over TLS a socket does what it does without: it drops, closes, waits, notices; with clients that behave badly too."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeAlias

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver import secure
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.reel import AT_ONCE, MOST

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

TEXT, CLOSE = 1, 8
FRAMES = 3000
LONG = 4000


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """A few megabytes of A, all at once, and twenty trades of B; and one REST answer that names the vendor."""
    story.opens(0, 0)
    for number in range(FRAMES):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * LONG}"}}]')
        if number % (FRAMES // 20) == 0:
            story.trades(0, number, "B")
    story.answers(FRAMES, "/v3/trades", b'{"next_url":"https://api.polygon.io/v3/trades?cursor=2"}')
    return make(story.records)


class SecureClient:
    """A WebSocket client over TLS that says exactly what it is told to, and reads only when asked."""

    def __init__(self, market: PlainMarket, *, together: bool = False) -> None:
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.tcp.settimeout(20)
        self.tcp.connect(("127.0.0.1", market.port))
        context = market.ssl_context()
        self.socket = context.wrap_socket(
            self.tcp, server_hostname="127.0.0.1", suppress_ragged_eofs=False, do_handshake_on_connect=True
        )
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            "GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._heard = b""
        assert self._until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")

    def says(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xff" + struct.pack(">Q", size)
        self.socket.sendall(bytes((0x80 | opcode,)) + length + bytes(4) + payload)

    def asks(self, action: str, params: str) -> None:
        self.says(TEXT, json.dumps({"action": action, "params": params}).encode())

    def hears(self) -> tuple[int, bytes]:
        head = self._take(2)
        length = head[1]
        if length >= 126:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        return head[0] & 15, self._take(length)

    def more(self) -> bytes:
        """What comes next, or was read already; nothing at the end of the connection."""
        heard, self._heard = self._heard, b""
        try:
            return heard or self.socket.recv(1 << 16)
        except ssl.SSLEOFError:
            return b""

    def end(self) -> str:
        """How the connection ended: ``alert`` (TLS said so first), ``eof`` (it did not), ``reset``."""
        try:
            assert self.socket.recv(1) == b""
        except ssl.SSLEOFError:
            return "eof"
        except ConnectionResetError:
            return "reset"
        return "alert"

    def close(self) -> None:
        self.socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._heard) < size:
            more = self.socket.recv(1 << 16)
            assert more, "the connection has ended"
            self._heard += more
        taken, self._heard = self._heard[:size], self._heard[size:]
        return taken

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._heard:
            self._heard += self.socket.recv(1 << 16)
        return self._take(self._heard.index(mark) + len(mark))


def payloads(wire: bytes) -> Iterator[bytes]:
    """The payloads of frames of 126 to 65,535 bytes, an acknowledgement among them; none is cut short."""
    while wire:
        size = wire[1]
        at = 2
        if size == 126:
            size, at = int.from_bytes(wire[2:4], "big"), 4
        assert len(wire) >= at + size
        if b'"status"' not in wire[at : at + size]:
            yield wire[at : at + size]
        wire = wire[at + size :]


@contextmanager
def raw(market: PlainMarket, *, key: str = "raw") -> Iterator[SecureClient]:
    with closing(SecureClient(market)) as client:
        client.asks("auth", key)
        assert [b"connected" in client.hears()[1], b"authenticated" in client.hears()[1]] == [True, True]
        yield client


@contextmanager
def reader(market: PlainMarket, key: str = "reader") -> Iterator[ClientConnection]:
    context = market.ssl_context()
    # A client of threads can lose its request beside what TLS 1.3 has behind the handshake: `test_compressed_sockets`.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(market.ws_url + "/stocks", compression=None, ssl=context) as bot:
        bot.send(json.dumps({"action": "auth", "params": key}))
        assert [b"status" in bot.recv(10, decode=False) for _ in range(2)] == [True, True]
        yield bot


def hears_the_tape(market: PlainMarket) -> bool:
    with reader(market, "somebody else") as bot:
        bot.send('{"action":"subscribe","params":"T.B"}')
        return [json.loads(bot.recv(10))[0]["ev"] for _ in range(21)] == ["status", *["T"] * 20]


def left(market: PlainMarket) -> list[tuple[object, object]]:
    market.wait_left()
    return [(entry.parts["by"], entry.parts["code"]) for entry in market.journal if entry.kind == "left"]


def unsent(market: PlainMarket) -> list[int]:
    """Bytes that wait in this process, by client, above the encryption and below it."""

    def sizes() -> list[int]:
        connections = market._player.stage.connections.values()
        pairs = [(each._transport, each._below) for each in connections if each._transport]
        return [secure.unencrypted(over) + under.get_write_buffer_size() for over, under in pairs]

    return [size for size in market._in_loop(sizes) if size]  # between two turns of the loop, not in one


def wait_until_full(market: PlainMarket) -> None:
    deadline = time.monotonic() + 20
    while not unsent(market):
        assert time.monotonic() < deadline


def test_addresses_are_those_of_tls_and_what_is_served_names_them(tape: Cassette) -> None:
    async def ask(market: PlainMarket) -> tuple[str, str]:
        async with aiohttp.ClientSession() as session:
            url = f"{market.http_url}/v3/trades?apiKey=k"
            async with session.get(url, ssl=market.ssl_context()) as answer:
                return str(answer.url.scheme), (await answer.json())["next_url"]

    with MockServer(tape, tls=True) as market:
        assert (market.http_url, market.ws_url) == (
            f"https://127.0.0.1:{market.port}",
            f"wss://127.0.0.1:{market.port}",
        )
        assert asyncio.run(ask(market)) == (
            "https",
            f"https://127.0.0.1:{market.port}/v3/trades?cursor=2",
        )
        assert hears_the_tape(market)


def test_the_ca_file_is_there_while_the_server_runs_and_no_longer(tape: Cassette) -> None:
    with MockServer(tape, tls=True) as market:
        assert market.ca_file is not None
        assert market.ca_file.exists()
    assert not market.ca_file.parent.exists()


def test_a_server_without_a_throw_away_ca_has_nothing_to_trust(tape: Cassette) -> None:
    with MockServer(tape) as market:
        assert market.ca_file is None
        with pytest.raises(UsageError, match="no throw-away CA"):
            market.ssl_context()


def test_the_same_tape_is_the_same_over_tls(tape: Cassette) -> None:
    digests = set()
    for tls in (False, True):
        with MockServer(tape, speed="max", tls=tls) as market:
            options = {"ssl": market.ssl_context()} if tls else {}
            with connect(market.ws_url + "/stocks", **options) as bot:
                bot.send('{"action":"auth","params":"k"}')
                bot.send('{"action":"subscribe","params":"T.*"}')
                heard = [bot.recv(10) for _ in range(FRAMES + 20 + 3)]
            assert len(heard) == FRAMES + 23
            digests.add(market.report()["clients"][0]["digest"])
    assert len(digests) == 1


def test_a_loss_over_tls_comes_behind_the_data_and_without_a_word_of_tls(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, tls=True) as market, raw(market) as client:
        client.asks("subscribe", "T.B")
        heard = [client.hears()[1] for _ in range(21)]
        market.drop()
        assert client.end() == "eof"
        assert left(market) == [("server", None)]
    assert len(heard) == 21


def test_a_loss_over_tls_cuts_no_frame_short_of_who_reads_slowly(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, tls=True) as market, raw(market) as client:
        client.asks("subscribe", "T.A")
        wait_until_full(market)
        market.drop()
        wire = b"".join(iter(client.more, b""))
        assert left(market) == [("server", None)]
    sizes = [len(payload) for payload in payloads(wire)]
    assert len(sizes) > AT_ONCE // LONG
    assert set(sizes) <= set(range(LONG + 30, LONG + 40))


def test_a_close_over_tls_is_a_frame_with_its_code(tape: Cassette) -> None:
    with MockServer(tape, tls=True) as market, reader(market) as bot:
        market.drop(code=1008, reason="too slow")
        with pytest.raises(ConnectionClosedError):
            bot.recv(10)
        assert (bot.close_code, bot.close_reason) == (1008, "too slow")
        assert left(market) == [("server", 1008)]


def test_a_client_that_closes_over_tls_has_left(tape: Cassette) -> None:
    with MockServer(tape, tls=True) as market:
        with reader(market):
            pass
        assert left(market) == [("client", 1000)]


def test_who_vanishes_over_tls_is_missed(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, tls=True) as market:
        with raw(market) as client:
            client.asks("subscribe", "T.A")
            market.wait_started()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert [by for by, _ in left(market)] == ["client"]
        assert hears_the_tape(market)


def test_who_hung_up_over_tls_has_left_before_a_newcomer_is_heard(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, tls=True) as market:
        with raw(market, key="k") as client:
            client.asks("subscribe", "T.B")
            assert len([client.hears() for _ in range(21)]) == 21
        with raw(market, key="k") as client:
            client.asks("subscribe", "T.B")
            assert len([client.hears() for _ in range(21)]) == 21
        runs = [entry.parts["run"] for entry in market.journal if entry.kind == "started"]
    assert runs == [1, 2]


# One write waits below the encryption, the next one in it; each record adds a little.
def test_who_never_reads_over_tls_costs_little_and_delays_nobody(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, tls=True) as market, raw(market) as deaf:
        deaf.asks("subscribe", "T.*")
        wait_until_full(market)
        assert hears_the_tape(market)
        assert max(unsent(market), default=0) <= 2 * (MOST + LONG) * 101 // 100
        assert market.report()["clients"][0]["frames"] < FRAMES


def test_what_is_unsent_below_the_encryption_is_unread(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, tls=True) as market, raw(market) as deaf:
        deaf.asks("subscribe", "T.A")
        wait_until_full(market)
        (connection,) = market._player.stage.connections.values()
        assert connection.pump is not None
        assert not connection.pump.flushed
        assert not connection.has_read


@pytest.mark.parametrize(("payload", "code"), [(b"\xff", 1007), (b" " * (4 * 1024 * 1024 + 1), 1009)])
def test_who_breaks_the_protocol_over_tls_reads_the_code_though_still_talking(
    tape: Cassette, payload: bytes, code: int
) -> None:
    with MockServer(tape, speed="max", tls=True) as market:
        with raw(market) as client:
            client.says(TEXT, payload)
            assert client.hears() == (CLOSE, code.to_bytes(2, "big"))
            assert client.end() == "eof"
        assert left(market) == [("server", code)]
        assert hears_the_tape(market)


def test_who_breaks_the_protocol_over_tls_and_never_reads_is_told_behind_the_data(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, tls=True) as market, raw(market) as client:
        client.asks("subscribe", "T.A")
        wait_until_full(market)
        client.says(TEXT, b"\xff")
        frames = [client.hears()]
        while frames[-1][0] != CLOSE:
            frames.append(client.hears())
        assert frames[-1] == (CLOSE, (1007).to_bytes(2, "big"))
        assert client.end() == "eof"


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 600])
def test_who_speaks_no_tls_is_let_go_and_nobody_else_notices(tape: Cassette, words: bytes) -> None:
    with MockServer(tape, speed="max", tls=True) as market:
        with socket.create_connection(("127.0.0.1", market.port), 10) as client:
            client.sendall(words)
            heard = b""
            while more := client.recv(100):
                heard += more
            assert not heard.startswith(b"HTTP")
        assert hears_the_tape(market)


def test_who_does_not_shake_hands_in_time_is_let_go(tape: Cassette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secure, "HANDSHAKE_S", 0.05)
    with MockServer(tape, speed="max", tls=True) as market:
        with socket.create_connection(("127.0.0.1", market.port), 10) as client:
            assert client.recv(1) == b""
        assert hears_the_tape(market)


def test_who_does_not_trust_the_ca_is_not_served_and_the_server_stays_up(tape: Cassette) -> None:
    with MockServer(tape, speed="max", tls=True) as market:
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(market.ws_url + "/stocks", ssl=ssl.create_default_context())
        assert hears_the_tape(market)


def test_a_server_stops_at_once_though_hands_are_not_shaken_and_nobody_reads(tape: Cassette) -> None:
    with ExitStack() as clients:
        with MockServer(tape, speed="max", settle=0, tls=True) as market:
            silent = clients.enter_context(socket.create_connection(("127.0.0.1", market.port), 10))
            deaf = clients.enter_context(raw(market))
            deaf.asks("subscribe", "T.*")
            wait_until_full(market)
            half = clients.enter_context(socket.create_connection(("127.0.0.1", market.port), 10))
            half.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
            begun = time.monotonic()
        assert time.monotonic() - begun < 3
        assert silent.recv(1) == b""


def test_a_reader_over_tls_is_told_1001_when_the_server_stops(tape: Cassette) -> None:
    with ExitStack() as clients:
        with MockServer(tape, tls=True) as market:
            bot = clients.enter_context(reader(market))
        with pytest.raises(ConnectionClosed):
            bot.recv(10)
        assert bot.close_code == 1001


def test_a_request_that_comes_together_with_the_end_of_the_handshake_is_answered(tape: Cassette) -> None:
    with MockServer(tape, tls=True) as market:
        to_us, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = market.ssl_context().wrap_bio(to_us, to_server, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", market.port), 10) as tcp:
            shaken = False
            while not shaken:
                try:
                    side.do_handshake()
                    shaken = True
                    side.write(b"GET /v3/trades?apiKey=k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                except ssl.SSLWantReadError:
                    pass
                tcp.sendall(to_server.read())
                if not shaken:
                    to_us.write(tcp.recv(1 << 16))
            answer = b""
            while not answer:
                to_us.write(tcp.recv(1 << 16))
                try:
                    answer = side.read()
                except ssl.SSLWantReadError:
                    pass
        assert answer.startswith(b"HTTP/1.1 200 ")
