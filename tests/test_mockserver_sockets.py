"""Clients that behave badly, on loopback; the server stays up, for them and for everybody else."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.reel import MOST
from tickdeck.mockserver.sockets import LONGEST_MESSAGE, MOST_UNSAID

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

GREETING = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
ACCEPTED = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FRAMES = 3000
LONG = 4000
"""A tape of 12 MB: more than the sockets of a machine hold on their way."""


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """A few megabytes of A, all at once, and twenty trades of B."""
    story.opens(0, 0)
    for number in range(FRAMES):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * LONG}"}}]')
        if number % (FRAMES // 20) == 0:
            story.trades(0, number, "B")
    return make(story.records)


class RawClient:
    """A WebSocket client that says exactly what it is told to, and reads only when asked."""

    def __init__(self, market: PlainMarket, *, early: bytes = b"") -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", market.port))
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            "GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        self.socket.sendall(request.encode() + early)
        self.file = self.socket.makefile("rb")
        assert self.file.readline().startswith(b"HTTP/1.1 101 ")
        while self.file.readline() != b"\r\n":
            pass

    def says(self, opcode: int, payload: bytes, *, final: bool = True) -> None:
        self.socket.sendall(masked(opcode, payload, final=final))

    def asks(self, action: str, params: str) -> None:
        self.says(TEXT, json.dumps({"action": action, "params": params}).encode())

    def hears(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload; opcode -1 at the end of the connection."""
        head = self.file.read(2)
        if len(head) < 2:
            return -1, b""
        length = head[1]
        if length >= 126:
            length = int.from_bytes(self.file.read(2 if length == 126 else 8), "big")
        return head[0] & 15, self.file.read(length)

    def everything(self) -> list[tuple[int, bytes]]:
        """All frames up to the end of the connection."""
        return list(iter(self.hears, (-1, b"")))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = b"\xfe" + struct.pack(">H", size) if size < 1 << 16 else b"\xff" + struct.pack(">Q", size)
    return bytes((0x80 * final | opcode,)) + length + bytes(4) + payload


@contextmanager
def raw(market: PlainMarket, *, key: str | None = "raw", early: bytes = b"") -> Iterator[RawClient]:
    client = RawClient(market, early=early)
    try:
        if key is not None:
            client.asks("auth", key)
            assert [client.hears() for _ in range(2)] == [(TEXT, GREETING), (TEXT, ACCEPTED)]
        yield client
    finally:
        client.close()


@contextmanager
def reader(market: PlainMarket, key: str = "reader") -> Iterator[ClientConnection]:
    with connect(market.ws_url + "/stocks", compression=None) as bot:
        bot.send(json.dumps({"action": "auth", "params": key}))
        assert [bot.recv(10, decode=False) for _ in range(2)] == [GREETING, ACCEPTED]
        yield bot


def hears_the_tape(market: PlainMarket) -> bool:
    """Whether a client that behaves is served from beginning to end."""
    with reader(market, "somebody else") as bot:
        bot.send('{"action":"subscribe","params":"T.B"}')
        return [json.loads(bot.recv(10))[0]["ev"] for _ in range(21)] == ["status", *["T"] * 20]


def left(market: PlainMarket) -> list[tuple[object, object]]:
    """How each client went, in order."""
    market.wait_left()
    return [(entry.parts["by"], entry.parts["code"]) for entry in market.journal if entry.kind == "left"]


def test_who_never_reads_costs_little_and_delays_nobody(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0) as market, raw(market) as deaf:
        deaf.asks("subscribe", "T.*")
        wait_until_full(market)
        assert hears_the_tape(market)
        with reader(market) as bot:
            bot.send('{"action":"subscribe","params":"T.*"}')
            heard = [bot.recv(10) for _ in range(FRAMES + 21)]
        assert len(heard) == FRAMES + 21
        assert max(unsent(market)) <= MOST + LONG
        deaf_row = market.report()["clients"][0]
        assert deaf_row["frames"] < FRAMES


def unsent(market: PlainMarket) -> list[int]:
    """Bytes that wait in this process, by client, for clients that do not read."""
    connections = list(market._player.stage.connections.values())
    sizes = [each._transport.get_write_buffer_size() for each in connections if each._transport]
    return [size for size in sizes if size]


def wait_until_full(market: PlainMarket, *, sockets: int = 1) -> None:
    """Until no more goes into the sockets of so many clients."""
    deadline = time.monotonic() + 20
    while len(unsent(market)) < sockets:
        assert time.monotonic() < deadline
        market.report()


def test_a_server_stops_at_once_though_clients_do_not_read(tape: Cassette) -> None:
    with ExitStack() as clients:
        with MockServer(tape, speed="max", settle=0) as market:
            for number in range(5):
                deaf = clients.enter_context(raw(market, key=f"key {number}"))
                deaf.asks("subscribe", "T.*")
            wait_until_full(market, sockets=5)
            clients.enter_context(raw(market, key=None))
            silent = clients.enter_context(socket.create_connection(("127.0.0.1", market.port), 10))
            begun = time.monotonic()
        assert time.monotonic() - begun < 3
        assert silent.recv(1) == b""


def test_who_connected_just_before_the_server_stopped_does_not_hang(tape: Cassette) -> None:
    for _ in range(10):
        with ExitStack() as clients:
            with MockServer(tape) as market:
                late = clients.enter_context(socket.create_connection(("127.0.0.1", market.port), 10))
            with suppress(ConnectionResetError):
                assert late.recv(1) == b""


def test_a_reader_is_told_1001_when_the_server_stops(tape: Cassette) -> None:
    with ExitStack() as clients:
        with MockServer(tape) as market:
            bot = clients.enter_context(reader(market))
            begun = time.monotonic()
        assert time.monotonic() - begun < 1
        with pytest.raises(ConnectionClosed):
            bot.recv(10)
        assert bot.close_code == 1001


def test_a_flood_of_pings_is_answered_in_order(tape: Cassette) -> None:
    with MockServer(tape) as market, raw(market) as client:
        for number in range(20):
            client.says(PING, b"%d" % number)
        assert [client.hears() for _ in range(20)] == [(PONG, b"%d" % number) for number in range(20)]


def test_a_flood_of_pings_from_who_does_not_read_is_answered_in_bounds(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0) as market, raw(market) as client:
        client.asks("subscribe", "T.A")
        wait_until_full(market)
        for number in range(5000):
            client.says(PING, b"%04d" % number)
        assert hears_the_tape(market)
        assert max(unsent(market)) <= MOST + LONG
        client.says(CLOSE, b"\x03\xe8")
        frames = client.everything()
        pongs = [int(payload) for opcode, payload in frames if opcode == PONG]
    assert pongs == sorted(set(pongs))
    assert frames[-1] == (CLOSE, b"\x03\xe8")


def test_a_message_in_fragments_with_a_ping_between_them_is_one_message(tape: Cassette) -> None:
    with MockServer(tape) as market, raw(market) as client:
        client.says(TEXT, b'{"action":"subs', final=False)
        client.says(PING, b"?")
        client.says(CONTINUATION, b'cribe","params":', final=False)
        client.says(CONTINUATION, b'"T.B"}')
        assert client.hears() == (PONG, b"?")
        assert b"subscribed to: T.B" in client.hears()[1]


@pytest.mark.parametrize(
    ("opcode", "payload", "code"),
    [
        (TEXT, b"\xff\xfe", 1007),
        (TEXT, b" " * (LONGEST_MESSAGE + 1), 1009),
        (BINARY, b" " * (LONGEST_MESSAGE + 1), 1009),
        (3, b"no such opcode", 1002),
        (CONTINUATION, b"of nothing", 1002),
        (PING, b"x" * 126, 1002),
    ],
)
def test_what_breaks_the_protocol_is_closed_with_its_code(
    tape: Cassette, opcode: int, payload: bytes, code: int
) -> None:
    with MockServer(tape, speed="max") as market:
        with raw(market) as client:
            client.says(opcode, payload)
            assert client.everything() == [(CLOSE, code.to_bytes(2, "big"))]
        assert left(market) == [("server", code)]
        assert hears_the_tape(market)


def test_nothing_follows_the_close_frame_that_answers_a_broken_protocol(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0) as market, raw(market) as client:
        client.asks("subscribe", "T.A")
        wait_until_full(market)
        client.says(TEXT, b"\xff")
        frames = client.everything()
    opcodes = [opcode for opcode, _ in frames]
    assert opcodes.count(CLOSE) == 1
    assert frames[-1] == (CLOSE, (1007).to_bytes(2, "big"))
    assert set(opcodes[:-1]) == {TEXT}


def test_who_breaks_the_protocol_and_hangs_on_is_let_go_after_a_while(tape: Cassette) -> None:
    with MockServer(tape) as market, raw(market) as client:
        begun = time.monotonic()
        client.says(TEXT, b"\xff")
        assert client.everything() == [(CLOSE, (1007).to_bytes(2, "big"))]
        assert time.monotonic() - begun < 5
        assert left(market) == [("server", 1007)]


def test_who_talks_before_the_greeting_is_heard_in_order(tape: Cassette) -> None:
    early = masked(TEXT, b'{"action":"auth","params":"k"}') + masked(
        TEXT, b'{"action":"subscribe","params":"T.B"}'
    )
    with MockServer(tape, speed="max") as market, raw(market, key=None, early=early) as client:
        heard = [client.hears()[1] for _ in range(4)]
    assert heard[:2] == [GREETING, ACCEPTED]
    assert b"subscribed to: T.B" in heard[2]
    assert b'"sym":"B"' in heard[3]


def test_who_connects_and_says_nothing_is_let_be_until_its_time_to_authenticate_is_up(tape: Cassette) -> None:
    with (
        MockServer(tape, auth_timeout=0.05) as market,
        socket.create_connection(("127.0.0.1", market.port), 10),
        raw(market, key=None) as client,
    ):
        frames = client.everything()
        assert [opcode for opcode, _ in frames] == [TEXT, TEXT]
        assert b"auth_timeout" in frames[1][1]
        assert left(market) == [("server", None)]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_a_handshake_that_is_none_is_refused_and_the_server_stays_up(
    tape: Cassette, request_bytes: bytes
) -> None:
    with MockServer(tape, speed="max") as market:
        with socket.create_connection(("127.0.0.1", market.port), 10) as client:
            client.sendall(request_bytes)
            with client.makefile("rb") as answer:
                assert answer.readline().split()[1] == b"400"
        assert hears_the_tape(market)


def test_two_hundred_sockets_at_once_are_all_served(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, ExitStack() as clients:
        crowd = [clients.enter_context(raw(market, key=None)) for _ in range(200)]
        for number, client in enumerate(crowd):
            client.asks("auth", f"key {number}")
            client.asks("subscribe", "T.B")
        for client in crowd:
            heard = [client.hears()[1] for _ in range(23)]
            assert heard[:2] == [GREETING, ACCEPTED]
            assert sum(b'"sym":"B"' in payload for payload in heard) == 20
        digests = {row["digest"] for row in market.report()["clients"]}
        assert len(market.report()["clients"]) == 200
        assert len(digests) == 1


def test_who_vanishes_in_the_middle_of_the_data_has_left(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0) as market:
        with raw(market) as client:
            client.asks("subscribe", "T.A")
            market.wait_started()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert [by for by, _ in left(market)] == ["client"]
        assert hears_the_tape(market)


def test_who_does_not_answer_the_servers_close_is_let_go_after_a_while(tape: Cassette) -> None:
    with MockServer(tape) as market, raw(market) as client:
        begun = time.monotonic()
        market.drop(code=1008, reason="too slow")
        assert client.everything() == [(CLOSE, (1008).to_bytes(2, "big") + b"too slow")]
        assert time.monotonic() - begun < 5
        assert left(market) == [("server", 1008)]


def test_a_loss_without_a_close_frame_is_just_that(tape: Cassette) -> None:
    with MockServer(tape) as market, reader(market) as bot:
        market.drop()
        with pytest.raises(ConnectionClosedError):
            bot.recv(10)
        assert bot.close_code == 1006
        assert left(market) == [("server", None)]


def test_who_asks_to_close_and_does_not_read_is_let_go_after_a_while(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0) as market, raw(market) as client:
        client.asks("subscribe", "T.*")
        wait_until_full(market)
        client.says(CLOSE, b"")
        assert left(market) == [("client", 1005)]
        assert unsent(market) == []


def test_a_server_that_stops_leaves_no_socket_behind(tape: Cassette) -> None:
    with ExitStack() as clients:
        with MockServer(tape, speed="max", settle=0) as market:
            for number, last_words in enumerate([(CLOSE, b""), (TEXT, b"\xff"), (PING, b"")]):
                client = clients.enter_context(raw(market, key=str(number)))
                client.asks("subscribe", "T.*")
                wait_until_full(market, sockets=number + 1)
                client.says(*last_words)
            begun = time.monotonic()
        assert time.monotonic() - begun < 3


def test_a_client_of_a_damaged_tape_has_left_too(make: Make, story: Any, tmp_path: Path) -> None:
    story.opens(0, 0)
    for number in range(600):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * 1000}"}}]')
    ref = make(story.records).chunk_refs()[1]
    path = tmp_path / "0.cassette"
    content = bytearray(path.read_bytes())
    content[ref.position + ref.size // 2] ^= 1
    path.write_bytes(content)
    with MockServer(path, speed="max") as market, raw(market) as client:
        client.asks("subscribe", "T.*")
        frames = client.everything()
        assert frames[-1] == (CLOSE, (1011).to_bytes(2, "big"))
        assert left(market) == [("server", 1011)]
        assert "damaged" in str(market.report()["error"])


def test_a_server_that_ends_it_while_the_client_breaks_the_protocol_says_so_once(tape: Cassette) -> None:
    with MockServer(tape) as market, raw(market) as client:
        market.drop(code=1008)
        client.says(TEXT, b"\xff")
        assert client.everything() == [(CLOSE, (1008).to_bytes(2, "big"))]
        assert left(market) == [("server", 1008)]


def test_who_does_not_keep_up_is_told_and_dropped_and_the_others_are_not_disturbed(tape: Cassette) -> None:
    with (
        MockServer(
            tape,
            speed="1/1000000",
            settle=0,
            slow_client="disconnect",
            timeline="shared",
            start_on="clients:2",
        ) as market,
        raw(market) as deaf,
        reader(market) as bot,
    ):
        deaf.asks("subscribe", "T.*")
        bot.send('{"action":"subscribe","params":"T.*"}')
        with ThreadPoolExecutor(1) as beside:
            heard = beside.submit(lambda: [bot.recv(10) for _ in range(FRAMES + 21)])
            wait_until_told(market, "slow", 1)
            told = deaf.everything()
            assert len(heard.result()) == FRAMES + 21
        assert told[-1] == (CLOSE, (1008).to_bytes(2, "big"))
        assert json.loads(told[-2][1])[0]["status"] == "slow_consumer"
        report: Any = market.report()
        assert [row["slow"] for row in report["clients"]] == [True, False]
        assert report["clients"][0]["frames"] == sum(b'"ev":"T"' in payload for _, payload in told)
        assert [entry.client for entry in market.journal if entry.kind == "slow"] == [1]


def test_who_is_told_to_go_and_does_not_read_is_cut_off_after_a_while(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=0, max_connections=1) as market, raw(market, key="one") as deaf:
        deaf.asks("subscribe", "T.*")
        wait_until_full(market)
        with reader(market, "one"), reader(market, "one"):
            wait_until_told(market, "left", 1)
        assert left(market)[0] == ("server", 1008)
        assert [entry.client for entry in market.journal if entry.kind == "evicted"] == [1, 2]


def wait_until_told(market: PlainMarket, kind: str, client: int) -> None:
    """Until the journal has it of a client."""
    deadline = time.monotonic() + 20
    while not any(entry.kind == kind and entry.client == client for entry in market.journal):
        assert time.monotonic() < deadline
        market.report()


def test_a_client_that_pings_through_large_frames_is_answered_between_them(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for number in range(12):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * 1_000_000}"}}]')
    with MockServer(make(story.records), speed="max", settle=0) as market, raw(market) as client:
        client.asks("subscribe", "T.A")
        frames = [client.hears()]
        for number in range(100):
            client.says(PING, b"%d" % number)
        while [opcode for opcode, _ in frames].count(TEXT) < 13:
            frames.append(client.hears())
            if frames[-1][0] == TEXT:
                client.says(PING, b"%d" % (100 + len(frames)))
    opcodes = [opcode for opcode, _ in frames]
    first = opcodes.index(PONG)
    assert opcodes[first:].count(TEXT) > 6
    pongs = [int(payload) for opcode, payload in frames if opcode == PONG]
    assert pongs == sorted(set(pongs))
    assert [json.loads(payload)[0]["n"] for opcode, payload in frames[1:] if opcode == TEXT] == [*range(12)]


def test_a_flood_of_requests_from_who_does_not_read_is_heard_no_further_than_answers_may_wait(
    tape: Cassette,
) -> None:
    """Each asks for ten thousand channels more; the answers to two fill what may wait."""
    with MockServer(tape, speed="max", settle=0) as market, raw(market) as client:
        client.asks("subscribe", "T.A")
        wait_until_full(market)
        client.socket.settimeout(1)
        asked = 0
        with suppress(TimeoutError):
            for number in range(200):
                client.asks("subscribe", ",".join(f"Q.S{number}X{symbol}" for symbol in range(10_000)))
                asked += 1
        assert asked < 200
        (connection,) = market._player.stage.connections.values()
        most = MOST_UNSAID + 10_000 * 100
        assert MOST_UNSAID < connection.session.reel.said_bytes < most
        assert hears_the_tape(market)
        client.close()
        assert [by for by, _ in left(market)][-1] == "client"
