"""Clients that only read: what they cost is the same for every server, and they know what they must get."""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import xxhash

from tapes import Wanted

HELLO = (
    "GET /stocks HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ROOM = 1 << 20
PATIENCE_S = 120


class WrongBytesError(Exception):
    """A server sent other bytes than the tape has."""


def masked(text: str) -> bytes:
    """A client's text frame, masked with zeros."""
    payload = text.encode()
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + payload


def connect(port: int, *, key: str = "benchmark", over_tls: bool = False) -> socket.socket:
    """A socket that has said who it is. A read that takes too long fails in the kernel, not in Python."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE_S, 0))
    if over_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sock = context.wrap_socket(sock)
    sock.sendall(HELLO.format(port=port).encode())
    sock.sendall(masked(f'{{"action":"auth","params":"{key}"}}'))
    return sock


def subscribe(sock: socket.socket, params: str = "T.*") -> bytes:
    """Ask for channels and wait for the acknowledgement; what came behind it."""
    sock.sendall(masked(f'{{"action":"subscribe","params":"{params}"}}'))
    ack = f'subscribed to: {params.split(",")[-1]}"}}]'.encode()
    head = b""
    while ack not in head:
        got = sock.recv(65536)
        if not got:
            raise WrongBytesError(f"the server closed before it acknowledged {params}: {head[-200:]!r}")
        head += got
    return head[head.index(ack) + len(ack) :]


def seconds_for(
    port: int, wanted: Wanted, *, params: str = "T.*", check: bool = False, over_tls: bool = False
) -> float:
    """How long all that is wanted took, from the acknowledgement to the last byte.

    Bytes are always counted; with ``check`` they are hashed, too. WrongBytesError when they are others.
    """
    with connect(port, over_tls=over_tls) as sock:
        rest = subscribe(sock, params)
        begun = time.perf_counter()
        digest = xxhash.xxh3_128(rest) if check else None
        read_all(sock, wanted.wire_bytes - len(rest), digest, flags=0 if over_tls else socket.MSG_WAITALL)
        seconds = time.perf_counter() - begun
    if digest is not None and digest.hexdigest() != wanted.digest:
        raise WrongBytesError(f"{wanted.wire_bytes} bytes came, but other ones than on the tape")
    return seconds


def read_all(sock: socket.socket, size: int, digest: xxhash.xxh3_128 | None, *, flags: int) -> None:
    """Read so many bytes, a megabyte a call."""
    room = memoryview(bytearray(ROOM))
    while size > 0:
        window = room[: min(size, ROOM)]
        got = sock.recv_into(window, 0, flags)
        if not got:
            raise WrongBytesError(f"the server closed {size} bytes early")
        size -= got
        if digest is not None:
            digest.update(window[:got])


@dataclass(slots=True)
class Reader:
    """One of many clients: what came, and, where asked, when."""

    sock: socket.socket
    got: int = 0
    digest: xxhash.xxh3_128 | None = None
    arrivals: list[tuple[int, int]] | None = field(default=None)

    def take(self, data: memoryview | bytes, now_ns: int) -> None:
        """Count these bytes."""
        self.got += len(data)
        if self.digest is not None:
            self.digest.update(data)
        if self.arrivals is not None:
            self.arrivals.append((now_ns, self.got))


def readers(
    port: int, number: int, *, params: str = "T.*", check: bool = False, timed: bool = False
) -> list[Reader]:
    """Clients that hold their channels and wait for `start`."""
    made = []
    for _ in range(number):
        reader = Reader(connect(port))
        reader.digest = xxhash.xxh3_128() if check else None
        reader.arrivals = [] if timed else None
        reader.take(subscribe(reader.sock, params), time.monotonic_ns())
        made.append(reader)
    return made


START_ON = "Q.START"
"""What `start` asks for; the recording never held it."""


def start(port: int, *, key: str = "benchmark") -> socket.socket:
    """Let the tape start for everybody at once: a client that holds the channel for a moment, and then nothing."""
    sock = connect(port, key=key)
    sock.sendall(masked(f'{{"action":"subscribe","params":"{START_ON}"}}'))
    sock.sendall(masked(f'{{"action":"unsubscribe","params":"{START_ON}"}}'))
    return sock


def read_together(all_of_them: Sequence[Reader], size: int) -> float:
    """Read until each has ``size`` bytes; how long that took."""
    begun = time.perf_counter()
    room = memoryview(bytearray(ROOM))
    with selectors.DefaultSelector() as waiting:
        for reader in all_of_them:
            if reader.got < size:
                waiting.register(reader.sock, selectors.EVENT_READ, reader)
        while waiting.get_map():
            ready = waiting.select(PATIENCE_S)
            if not ready:
                raise WrongBytesError(f"nothing came for {PATIENCE_S} s")
            for key, _ in ready:
                reader = key.data
                got = reader.sock.recv_into(room)
                if not got:
                    raise WrongBytesError(f"the server closed {size - reader.got} bytes early")
                reader.take(room[:got], time.monotonic_ns())
                if reader.got >= size:
                    waiting.unregister(reader.sock)
    return time.perf_counter() - begun


def close(all_of_them: Sequence[Reader]) -> None:
    """Hang up."""
    for reader in all_of_them:
        reader.sock.close()
