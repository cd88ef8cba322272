"""A connection that the server ends: what was written arrives, however slowly its client reads, whatever it says."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver import lingering, sockets, waits
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.secure import unencrypted

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

TEXT, CLOSE, PING = 1, 8, 9
FRAMES = 1000
SMALL_BUFFER = 4096


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """A thousand trades of some 300 bytes: the system holds them for one client, its small buffer does not."""
    story.opens(0, 0)
    for number in range(FRAMES):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * 256}"}}]')
    return make(story.records)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits hardly at all for an answer to its close frame."""
    monkeypatch.setattr(sockets, "CLOSE_GRACE_NS", 1)


class Client:
    """A WebSocket client with a small buffer, that reads and speaks only when told to."""

    def __init__(self, market: PlainMarket, *, tls: bool = False) -> None:
        tcp = socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        tcp.settimeout(20)
        tcp.connect(("127.0.0.1", market.port))
        self.socket = (
            market.ssl_context().wrap_socket(tcp, server_hostname="127.0.0.1", suppress_ragged_eofs=True)
            if tls
            else tcp
        )
        key = b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            "GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")
        while self.file.readline() != b"\r\n":
            pass

    def says(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack(">H", size)
        self.socket.sendall(bytes((0x80 | opcode,)) + length + bytes(4) + payload)

    def asks(self, action: str, params: str) -> None:
        self.says(TEXT, json.dumps({"action": action, "params": params}).encode())

    def hears(self) -> tuple[int, bytes]:
        """The next frame; opcode -1 at the end of the connection."""
        if len(head := self.file.read(2)) < 2:
            return -1, b""
        size = head[1]
        if size == 126:
            size = int.from_bytes(self.file.read(2), "big")
        return head[0] & 15, self.file.read(size)

    def everything(self) -> list[tuple[int, bytes]]:
        return list(iter(self.hears, (-1, b"")))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@contextmanager
def client_of(market: PlainMarket, *, tls: bool = False) -> Iterator[Client]:
    client = Client(market, tls=tls)
    try:
        client.asks("auth", "k")
        client.asks("subscribe", "T.A")
        yield client
    finally:
        client.close()


def trades(frames: list[tuple[int, bytes]]) -> list[int]:
    return [json.loads(payload)[0]["n"] for _, payload in frames if payload.startswith(b'[{"ev":"T"')]


@pytest.mark.parametrize("tls", [False, True])
def test_who_reads_late_and_still_speaks_gets_all_frames_and_the_close(
    tape: Cassette, impatient: None, tls: bool
) -> None:
    with (
        MockServer(tape, speed="max", settle=0, at_end="close", tls=tls) as market,
        client_of(market, tls=tls) as client,
    ):
        market.wait_left()
        client.says(PING, b"are you there?")
        client.says(PING, b"and now?")
        frames = client.everything()
    assert trades(frames) == list(range(FRAMES))
    assert frames[-1] == (CLOSE, (1000).to_bytes(2, "big"))


@pytest.fixture
def large_tape(make: Make, story: Any) -> Cassette:
    """Four megabytes: more than systems and encryption hold for one client."""
    story.opens(0, 0)
    for number in range(FRAMES):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * 4096}"}}]')
    return make(story.records)


@pytest.mark.parametrize("tls", [False, True])
def test_the_end_of_a_tape_is_noticed_once_a_silent_client_has_read_it(
    large_tape: Cassette, tls: bool
) -> None:
    with (
        ThreadPoolExecutor(1) as beside,
        MockServer(large_tape, speed="max", settle=0, tls=tls) as market,
        client_of(market, tls=tls) as client,
    ):
        reading = beside.submit(lambda: list(iter(client.hears, (PING, b"tickdeck wait 1"))))
        market.wait_finished(timeout=15)
        assert trades(reading.result()) == list(range(FRAMES))


async def test_a_connection_that_was_closed_twice_under_tls_has_nothing_left_to_send(tape: Cassette) -> None:
    with MockServer(tape, tls=True) as market:
        _, writer = await asyncio.open_connection("127.0.0.1", market.port, ssl=market.ssl_context())
        writer.close()
        await writer.wait_closed()
        writer.transport.close()
        assert unencrypted(writer.transport) == 0


def left(market: PlainMarket) -> list[int | None]:
    return [entry.client for entry in market.journal if entry.kind == "left"]


def test_the_report_says_how_much_never_reached_who_did_not_read(
    tape: Cassette, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "STOP_SILENT_NS", 1)
    options = {"speed": "max", "settle": 0, "at_end": "close", "on_return": "rewind"}
    with ExitStack() as still_there, MockServer(tape, **options) as market:
        with client_of(market) as reader:
            assert reader.everything()[-1][0] == CLOSE
        with client_of(market) as rude:
            rude.hears()
            rude.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        market.wait_until(lambda: 2 in left(market))
        still_there.enter_context(client_of(market))
        market.wait_until(lambda: 3 in left(market))
        assert market.report()["clients"][2]["frames"] == FRAMES
    read, reset, unread = (row["untaken"] for row in market.report()["clients"])
    assert (read, reset) == (0, None)
    assert unread > FRAMES


Ends: TypeAlias = Callable[[PlainMarket], object]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("ends", "code"), [(PlainMarket.drop, None), (lambda market: market.drop(code=1008), 1008)]
)
def test_who_is_dropped_gets_what_was_sent_before_and_is_not_reset(
    tape: Cassette, impatient: None, ends: Ends, code: int | None, tls: bool
) -> None:
    with MockServer(tape, speed="max", settle=0, tls=tls) as market, client_of(market, tls=tls) as client:
        market.wait_finished()
        ends(market)
        market.wait_left()
        client.says(PING, b"")
        client.says(PING, b"")
        frames = client.everything()
    assert trades(frames) == list(range(FRAMES))
    assert [payload for opcode, payload in frames if opcode == CLOSE] == (
        [code.to_bytes(2, "big")] if code else []
    )


def test_who_is_evicted_gets_what_was_sent_before_and_the_word_of_it(tape: Cassette, impatient: None) -> None:
    with MockServer(tape, speed="max", settle=0, max_connections=1) as market, client_of(market) as client:
        market.wait_finished()
        with client_of(market) as newcomer:
            assert newcomer.hears()[0] == TEXT
            market.wait_until(lambda: "evicted" in [entry.kind for entry in market.journal])
            client.says(PING, b"")
            market.wait_until(lambda: "left" in [entry.kind for entry in market.journal])
            client.says(PING, b"")
            frames = client.everything()
    assert trades(frames) == list(range(FRAMES))
    assert b"max_connections" in frames[-2][1]
    assert frames[-1][0] == CLOSE


def test_who_is_refused_reads_why_and_the_end_though_it_goes_on_talking(
    tape: Cassette, impatient: None
) -> None:
    with MockServer(tape, reject_keys=["k"]) as market, client_of(market) as client:
        market.wait_left()
        client.says(PING, b"")
        client.says(PING, b"")
        assert b"auth_failed" in client.everything()[1][1]


@pytest.mark.parametrize("end", ["reset", "stop"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_is_reset_or_stops_waits_for_who_reads_and_still_speaks(
    tape: Cassette, monkeypatch: pytest.MonkeyPatch, end: str, tls: bool
) -> None:
    monkeypatch.setattr(waits, "LEAVING_NS", 0)
    frames: list[tuple[int, bytes]] = []
    with ThreadPoolExecutor(1) as beside, ExitStack() as server:
        market = server.enter_context(MockServer(tape, speed="max", settle=0, tls=tls))
        with client_of(market, tls=tls) as client:
            market.wait_finished()
            ended = beside.submit(server.close if end == "stop" else market.reset)
            while not frames or frames[-1][0] not in (CLOSE, -1):
                client.says(PING, b"")
                frames.append(client.hears())
            assert client.hears()[0] == -1
        ended.result()
    assert trades(frames) == list(range(FRAMES))
    assert frames[-1] == (CLOSE, (1001).to_bytes(2, "big"))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /v3/nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", b"413"),
        (b"POST /%%zz HTTP/1.1 no\r\nHost: x\r\nContent-Length: %d\r\n\r\n", b"400"),
    ],
)
def test_an_answer_is_read_by_who_still_sends_a_body_that_nobody_wanted(
    tape: Cassette, head: bytes, status: bytes
) -> None:
    body = bytes(9 << 20)
    with MockServer(tape) as market, socket.create_connection(("127.0.0.1", market.port), 20) as client:
        client.sendall(head % len(body))
        with client.makefile("rb") as file:
            client.sendall(body)
            answer, rest = file.readline(), file.read()
    assert answer.split()[1] == status
    assert b"\r\n\r\n" in rest
