"""The servers that are measured, each run as ``python servers.py NAME CASSETTE`` in a process of its own.

Each prints its port, answers one kind of client (`listener.py`) and ends when its
standard input does.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading

import websockets.asyncio.server

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import Frame
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player

GREETING = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
AUTH = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'
ACK = b'[{"ev":"status","status":"success","message":"subscribed to: T.*"}]'
PIECE = 64 * 1024


def payloads(path: str) -> list[bytes]:
    """The tape's payloads, in memory."""
    with open_cassette(path) as cassette:
        return [record.payload for record in cassette.records() if isinstance(record, Frame)]


def _wire(payload: bytes) -> bytes:
    return frame_header(1, len(payload)) + payload


def _until_told() -> None:
    sys.stdin.read()


async def _stay() -> None:
    await asyncio.get_running_loop().run_in_executor(None, _until_told)


async def player(path: str, speed: str = "max") -> None:
    """tickdeck itself."""
    with open_cassette(path) as cassette:
        options = options_of(speed=speed, settle=0)
        async with Player(cassette, options) as server:
            print(server.port, flush=True)
            await _stay()
            print(json.dumps(server.report()["lateness"]), flush=True)


def sendall(path: str) -> None:
    """The same bytes in 64 KiB pieces through a bare socket: what the machine can do."""
    tape = b"".join(map(_wire, payloads(path)))
    pieces = [tape[at : at + PIECE] for at in range(0, len(tape), PIECE)]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asked = b""
                while asked.count(b"T.*") < 1:
                    asked += sock.recv(65536)
                sock.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(map(_wire, (GREETING, AUTH, ACK)))
                )
                for piece in pieces:
                    sock.sendall(piece)
                sock.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    _until_told()
    listener.close()


async def per_message(path: str) -> None:
    """A hand-written server on the `websockets` library: one ``send`` a message."""
    tape = [payload.decode() for payload in payloads(path)]

    async def serve(connection: websockets.asyncio.server.ServerConnection) -> None:
        await connection.send(GREETING.decode())
        await connection.recv()
        await connection.send(AUTH.decode())
        await connection.recv()
        await connection.send(ACK.decode())
        for payload in tape:
            await connection.send(payload)
        await connection.wait_closed()

    async with websockets.asyncio.server.serve(serve, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await _stay()


if __name__ == "__main__":
    name, cassette_path, *rest = sys.argv[1:]
    if name == "sendall":
        sendall(cassette_path)
    elif name == "websockets":
        asyncio.run(per_message(cassette_path))
    else:
        asyncio.run(player(cassette_path, *rest))
