"""A listener that only reads: what it costs is the same for every server."""

from __future__ import annotations

import socket
import time

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACK = b'"message":"subscribed to: T.*"}]'


def _masked(text: str) -> bytes:
    payload = text.encode()
    assert len(payload) < 126
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def connect(port: int) -> socket.socket:
    """A socket that is authenticated and has asked for every trade."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(
        f"GET /stocks HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    sock.sendall(_masked('{"action":"auth","params":"benchmark"}'))
    sock.sendall(_masked('{"action":"subscribe","params":"T.*"}'))
    return sock


def seconds_for(port: int, wire_bytes: int) -> float:
    """How long ``wire_bytes`` of tape took from the acknowledgement to the last byte."""
    with connect(port) as sock:
        head = b""
        while ACK not in head:
            head += sock.recv(65536)
        start = time.perf_counter()
        got = len(head) - head.index(ACK) - len(ACK)
        room = bytearray(1 << 20)
        while got < wire_bytes:
            read = sock.recv_into(room)
            if not read:
                raise ConnectionError(f"the server closed after {got} of {wire_bytes} bytes")
            got += read
        return time.perf_counter() - start
