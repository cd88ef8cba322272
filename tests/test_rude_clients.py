"""Clients that break the rules, flood, or say nothing: by RFC 6455, within bounds, and nobody else notices."""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.sockets import LONGEST_MESSAGE, MOST_UNSAID

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SYMBOLS = 10_000
SOCKETS = 1_000
FLOOD = 4_000
"""Rounds of a flood, 40 KB of answers each."""

LONGEST_FRAME = 1_000_000
SOME_MEMORY = 24 * 1024 * 1024
"""What a flood may cost; the floods here would be several times as much."""


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Twenty trades of B, all at once."""
    story.opens(0, 0)
    for _ in range(20):
        story.trades(0, 0, "B")
    return make(story.records)


class Rude:
    """A WebSocket client that says exactly what it is told to, and reads only when asked."""

    def __init__(self, port: int, *, behind: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(handshake() + behind)
        assert self.file.readline().startswith(b"HTTP/1.1 101 ")
        while self.file.readline() != b"\r\n":
            pass

    def says(self, opcode: int, payload: bytes, *, final: bool = True) -> None:
        self.socket.sendall(masked(opcode, payload, final=final))

    def hears(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload; opcode -1 at the end of the connection."""
        head = self.file.read(2)
        if len(head) < 2:
            return -1, b""
        length = head[1]
        if length >= 126:
            length = int.from_bytes(self.file.read(2 if length == 126 else 8), "big")
        return head[0] & 15, self.file.read(length)

    def everything(self) -> list[tuple[int, bytes]]:
        return list(iter(self.hears, (-1, b"")))

    def statuses(self, count: int) -> list[bytes]:
        """So many acknowledgements, in whatever frames they come; none of these is too long for a client."""
        found: list[bytes] = []
        while len(found) < count:
            opcode, payload = self.hears()
            assert opcode == TEXT
            assert len(payload) <= LONGEST_FRAME
            found += [each["message"] for each in json.loads(payload) if each["ev"] == "status"]
        return found

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def handshake(**changes: str | None) -> bytes:
    """A request for a socket; a header of ``None`` is left out."""
    headers: dict[str, str | None] = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(["GET /stocks HTTP/1.1", *lines, "", ""]).encode()


def masked(opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = b"\xfe" + struct.pack(">H", size) if size < 1 << 16 else b"\xff" + struct.pack(">Q", size)
    return bytes((0x80 * final | reserved | opcode,)) + length + bytes(4) + payload


def asking(action: str, params: str) -> bytes:
    return masked(TEXT, json.dumps({"action": action, "params": params}).encode())


@contextmanager
def rude(market: PlainMarket | int, key: str = "rude", *, behind: bytes = b"") -> Iterator[Rude]:
    """A client that is let in, and then is rude."""
    client = Rude(market if isinstance(market, int) else market.port, behind=asking("auth", key) + behind)
    try:
        assert [b"connected" in client.hears()[1], b"authenticated" in client.hears()[1]] == [True, True]
        yield client
    finally:
        client.close()


def is_served(market: PlainMarket) -> bool:
    """Whether a client that behaves is served from beginning to end."""
    with rude(market, "well behaved", behind=asking("subscribe", "T.B")) as client:
        return [json.loads(client.hears()[1])[0]["ev"] for _ in range(21)] == ["status", *["T"] * 20]


def floods(client: Rude, names: str) -> int:
    """Ask for names and let go of them, again and again, until no more is heard; how often it was."""
    client.socket.settimeout(1)
    sent = 0
    with suppress(TimeoutError):
        while sent < FLOOD:
            client.socket.sendall(asking("subscribe", names) + asking("unsubscribe", names))
            sent += 1
    client.socket.settimeout(30)
    return sent


def answer_to(market: PlainMarket, words: bytes) -> bytes:
    """The head of what is answered to a request that is none, or is not one for a socket of ours."""
    with socket.create_connection(("127.0.0.1", market.port), 30) as client, client.makefile("rb") as file:
        with suppress(ConnectionError):  # who is refused in the middle of a sentence may hear it end abruptly
            client.sendall(words)
        return b"".join(iter(file.readline, b"\r\n"))


def closing(code: int) -> list[tuple[int, bytes]]:
    return [(CLOSE, code.to_bytes(2, "big"))]


BREACHES = {
    "a reserved bit": (masked(TEXT, b"{}", reserved=0x20), 1002),
    "compression that was not agreed on": (masked(TEXT, b"{}", reserved=0x40), 1002),
    "no mask": (b"\x81\x02{}", 1002),
    "no mask, in pieces": (b"\x81", 1002),
    "an opcode that is none": (masked(11, b""), 1002),
    "a message within a message": (masked(TEXT, b"", final=False) + masked(TEXT, b"{}"), 1002),
    "a fragment of nothing": (masked(CONTINUATION, b"{}"), 1002),
    "a control frame in fragments": (masked(PING, b"", final=False), 1002),
    "a control frame too long": (masked(PING, b"x" * 126), 1002),
    "a close of one byte": (masked(CLOSE, b"\x03"), 1002),
    "a close with a code below 1000": (masked(CLOSE, b"\x00\x01"), 1002),
    "a close with 1005": (masked(CLOSE, b"\x03\xed"), 1002),
    "a close with 1006": (masked(CLOSE, b"\x03\xee"), 1002),
    "a close with 5000": (masked(CLOSE, b"\x13\x88"), 1002),
    "a close with a reason that is no UTF-8": (masked(CLOSE, b"\x03\xe8\xff"), 1007),
    "a text that is no UTF-8": (masked(TEXT, b"{\xc3\x28}"), 1007),
    "a text that ends within a character": (masked(TEXT, b"{\xe2\x82"), 1007),
    "a text in fragments that is no UTF-8": (
        masked(TEXT, b"\xe2\x82", final=False) + masked(CONTINUATION, b"\x28"),
        1007,
    ),
    "a message that is announced too long": (
        b"\x81\xff" + (LONGEST_MESSAGE + 1).to_bytes(8, "big") + bytes(4),
        1009,
    ),
    "a message longer than any": (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1009),
    "fragments that add up to too much": (
        masked(BINARY, b" " * (LONGEST_MESSAGE // 2), final=False)
        + masked(CONTINUATION, b" " * (LONGEST_MESSAGE // 2)),
        1009,
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_what_breaks_the_protocol_is_closed_with_its_code_and_nothing_else_is(
    tape: Cassette, breach: str
) -> None:
    wire, code = BREACHES[breach]
    with MockServer(tape, speed="max") as market:
        with rude(market) as client:
            client.socket.sendall(wire)
            if breach.endswith("in pieces"):
                client.socket.sendall(b"\x02{}")
            assert client.everything() == closing(code)
        market.wait_left()
        (left,) = [entry for entry in market.journal if entry.kind == "left"]
        assert (left.parts["by"], left.parts["code"]) == ("server", code)
        assert is_served(market)


def test_what_came_before_a_breach_in_one_piece_is_heard_and_what_follows_it_is_not(tape: Cassette) -> None:
    words = asking("subscribe", "T.X") + b"\x81\x00" + asking("subscribe", "T.Y")
    with MockServer(tape, speed="max") as market, rude(market) as client:
        client.socket.sendall(words)
        frames = client.everything()
        assert frames[-1:] == closing(1002)
        said = [entry.parts["channels"] for entry in market.journal if entry.kind == "subscribed"]
        assert said == [["T.X"]]
        assert [entry.parts["reason"] for entry in market.journal if entry.kind == "left"] == [
            "a frame that is not masked"
        ]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", b""),
        (b"\x03\xe8", b"\x03\xe8"),
        (b"\x0f\xa0bye", b"\x0f\xa0"),
        (b"\x03\xf6" + b"x" * 123, b"\x03\xf6"),
    ],
)
def test_a_close_is_answered_with_its_code(tape: Cassette, body: bytes, answer: bytes) -> None:
    with MockServer(tape) as market:
        with rude(market) as client:
            client.says(CLOSE, body)
            assert client.everything() == [(CLOSE, answer)]
        assert is_served(market)


def test_a_message_in_a_thousand_fragments_with_pings_between_them_is_one_message(tape: Cassette) -> None:
    words = b'{"action":"subscribe","params":"T.X"' + b" " * 1000 + b"}"
    with MockServer(tape) as market:
        with rude(market) as client:
            client.says(TEXT, words[:1], final=False)
            for at in range(1, len(words) - 1):
                client.says(CONTINUATION, words[at : at + 1], final=False)
                if at % 100 == 0:
                    client.says(PING, b"%d" % at)
            client.says(CONTINUATION, words[-1:])
            heard = [client.hears() for _ in range(11)]
            assert heard[:10] == [(PONG, b"%d" % at) for at in range(100, 1001, 100)]
            assert b"subscribed to: T.X" in heard[10][1]
        assert is_served(market)


def test_a_binary_message_is_met_with_silence_and_counted(tape: Cassette) -> None:
    with MockServer(tape) as market:
        with rude(market) as client:
            client.says(BINARY, b"\x00\xff" * 1000)
            client.says(PING, b"?")
            assert client.hears() == (PONG, b"?")
        assert is_served(market)
        assert market.report()["clients"][0]["missteps"][0]["misstep"] == "binary"


def test_a_pong_that_nobody_asked_for_is_let_be(tape: Cassette) -> None:
    with MockServer(tape) as market, rude(market) as client:
        client.says(PONG, b"unasked")
        client.says(PING, b"?")
        assert client.hears() == (PONG, b"?")


def test_who_talks_behind_its_handshake_in_one_piece_is_heard_in_order(tape: Cassette) -> None:
    behind = asking("subscribe", "T.X") + asking("unsubscribe", "T.X") + masked(PING, b"?")
    with MockServer(tape) as market:
        client = Rude(market.port, behind=asking("auth", "k") + behind)
        heard = [client.hears() for _ in range(5)]
        client.close()
        words = [payload for opcode, payload in heard if opcode == TEXT]
        assert sorted(opcode for opcode, _ in heard) == [*[TEXT] * 4, PONG]
        marks = (b"connected", b"authenticated", b'"subscribed', b'"unsubscribed')
        assert all(mark in said for mark, said in zip(marks, words, strict=True))
        assert is_served(market)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (b"\x00\xff\x00\xff\r\n\r\n", b"400"),
        (b"GET /stocks HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000, b"400"),
        (b"GET /stocks HTTP/1.1\r\n" + b"X: a\r\n" * 1000, b"400"),
        (b"GET /" + b"a" * 100_000, b"400"),
        (handshake(Sec_WebSocket_Key=None), b"400"),
        (handshake(Sec_WebSocket_Key="c2hvcnQ="), b"400"),
        (handshake(Sec_WebSocket_Version=None), b"400"),
        (handshake(Sec_WebSocket_Version="12"), b"426"),
        (handshake(Sec_WebSocket_Version="8"), b"426"),
        (handshake(Sec_WebSocket_Version="nonsense"), b"426"),
        (handshake(Connection="keep-alive"), b"400"),
        (handshake(Upgrade="h2c"), b"401"),
        (handshake().replace(b"GET", b"POST"), b"400"),
        (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), b"400"),
        (
            b"POST /v3/trades?apiKey=k HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
            + b"x" * 3_000_000,
            b"413",
        ),
    ],
)
def test_a_handshake_that_is_none_is_refused_with_the_status_that_says_why(
    tape: Cassette, words: bytes, status: bytes
) -> None:
    with MockServer(tape, speed="max") as market:
        head = answer_to(market, words)
        assert head.split()[1] == status
        assert (status == b"426") == (b"sec-websocket-version: 13" in head.lower())
        assert is_served(market)


def test_half_a_handshake_and_silence_hold_up_nobody_and_no_stop(tape: Cassette) -> None:
    with ExitStack() as clients:
        with MockServer(tape, speed="max") as market:
            for words in (b"", b"GET", handshake()[:-2], handshake(Content_Length="1000")[:-2]):
                half = clients.enter_context(socket.create_connection(("127.0.0.1", market.port), 30))
                half.sendall(words)
            assert is_served(market)
        assert half.recv(1) == b""


def test_who_says_nothing_is_told_so_and_let_go_when_its_time_is_up(tape: Cassette) -> None:
    with MockServer(tape, auth_timeout=0.05) as market:
        silent = Rude(market.port)
        frames = silent.everything()
        silent.close()
        assert [opcode for opcode, _ in frames] == [TEXT, TEXT]
        assert b"auth_timeout" in frames[1][1]


def test_ten_thousand_symbols_in_one_subscribe_are_acknowledged_in_frames_that_can_be_read(
    tape: Cassette,
) -> None:
    names = [f"T.S{number:05}{'X' * 60}" for number in range(SYMBOLS)]
    with MockServer(tape, speed="max") as market:
        with rude(market) as client:
            client.socket.sendall(asking("subscribe", ",".join(names)))
            assert client.statuses(SYMBOLS) == [f"subscribed to: {name}" for name in names]
        assert is_served(market)


def test_ten_thousand_subscribes_one_by_one_are_all_acknowledged_to_who_reads_at_the_end(
    tape: Cassette,
) -> None:
    with MockServer(tape, speed="max") as market:
        with rude(market) as client:
            client.socket.sendall(b"".join(asking("subscribe", f"T.S{number}") for number in range(SYMBOLS)))
            said = client.statuses(SYMBOLS)
        assert said == [f"subscribed to: T.S{number}" for number in range(SYMBOLS)]
        assert is_served(market)


def test_who_never_reads_is_not_heard_further_than_its_answers_have_room(tape: Cassette) -> None:
    names = ",".join(f"T.{number:04}{'X' * 90}" for number in range(100))
    with MockServer(tape, speed="max") as market:
        with rude(market) as client:
            sent = floods(client, names)
            assert sent < FLOOD
            (connection,) = market._player.stage.connections.values()
            answer = 100 * 200
            assert connection.session.reel.said_bytes <= MOST_UNSAID + answer
            assert is_served(market)
            assert len(client.statuses(200 * sent)) >= 200 * sent > 0
        assert is_served(market)


def test_a_flood_of_pings_keeps_no_more_pongs_than_it_must(tape: Cassette) -> None:
    ping = masked(PING, b"x" * 125)
    with MockServer(tape, speed="max") as market, rude(market) as client:
        tracemalloc.start()
        try:
            for _ in range(200):
                client.socket.sendall(ping * 200)
            assert is_served(market)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < SOME_MEMORY


def test_a_thousand_sockets_at_once_are_all_let_in_and_all_leave(tape: Cassette) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 3 * SOCKETS  # theirs, the server's, and what makefile and the rest keep
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this machine lets a process open {hard} files, {needed} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        with MockServer(tape, speed="max", auth_timeout=100) as market:
            with ExitStack() as crowd:
                clients = [Rude(market.port) for _ in range(SOCKETS)]
                for client in clients:
                    crowd.callback(client.close)
                assert all(b"connected" in client.hears()[1] for client in clients)
                assert is_served(market)
                for number, client in enumerate(clients):
                    client.socket.sendall(asking("auth", f"key {number % 10}"))
                assert all(b"authenticated" in client.hears()[1] for client in clients)
            market.wait_left(60)
            assert is_served(market)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_the_memory_of_a_server_stays_where_it_is_under_a_flood(tape: Cassette, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tickdeck",
        "play",
        str(tmp_path / "0.cassette"),
        "--port",
        "0",
        "--json",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(json.loads(server.stdout.readline())["feed"].rpartition(":")[2])
        server.stdout.close()
        names = ",".join(f"T.{number:04}{'X' * 90}" for number in range(100))
        with rude(port) as client:
            before = resident(server.pid)
            floods(client, names)
            with rude(port, "another") as other:
                other.socket.sendall(asking("subscribe", "T.X"))
                assert other.statuses(1) == ["subscribed to: T.X"]
            assert resident(server.pid) - before < SOME_MEMORY
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith("VmRSS")]
    return int(found) * 1024
