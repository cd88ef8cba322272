"""The service that is recorded in the benchmarks: ``python service.py NAME ...``. It prints its port.

``flood CASSETTE`` sends the payloads of a tape as fast as they are taken, ``paced RATE FRAMES``
so many a second, each with the moment of its sending, and ``numbered FRAMES SEED`` numbers its
frames over all connections and loses a connection now and then (`soak.py`). The handshake is a
real one, unlike that of `peers.py`: the recorder's own client looks at it. ``rest`` answers every
request with the same ten kilobytes, on aiohttp, as such a service is written; ``forward PORT``
is the least proxy before it that aiohttp makes, which records nothing.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from peers import AUTH, GREETING, PIECE
from tapes import payloads_of, wire

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = re.compile(rb"sec-websocket-key: *(\S+)", re.I)
SUBSCRIBE = re.compile(rb'"action": ?"subscribe", ?"params": ?"([^"]*)"')
SHORTEST, LONGEST = 2_000, 60_000
"""Frames of a connection before `numbered` loses it."""

Talk = Callable[[socket.socket], None]


def _frames(sock: socket.socket) -> Iterator[bytes]:
    """What a client says, unmasked; each message is one short frame."""
    held = b""
    while True:
        while len(held) >= 6 and len(held) >= (size := _size(held)):
            length = size - (held[1] & 0x7F == 126) * 2 - 6
            mask, payload = held[size - length - 4 : size - length], held[size - length : size]
            yield bytes(each ^ mask[at % 4] for at, each in enumerate(payload))
            held = held[size:]
        got = sock.recv(65536)
        if not got:
            return
        held += got


def _size(held: bytes) -> int:
    length = held[1] & 0x7F
    return 8 + int.from_bytes(held[2:4]) if length == 126 else 6 + length


def _greet(sock: socket.socket) -> None:
    """The handshake, and the talk until the acknowledgement."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1) or b"\r\n\r\n"  # to the byte: what follows belongs to the frames
    found = KEY.search(head)
    if found is None:
        raise ConnectionError("no handshake")
    accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + wire(GREETING)
    )
    for said in _frames(sock):
        if (asked := SUBSCRIBE.search(said)) is not None:
            ack = [{"ev": "status", "status": "success", "message": f"subscribed to: {asked[1].decode()}"}]
            sock.sendall(wire(json.dumps(ack, separators=(",", ":")).encode()))
            return
        sock.sendall(wire(AUTH))


def _serve(talk: Talk) -> None:
    """One client at a time, each in turn, until standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock:
                try:
                    _greet(sock)
                    talk(sock)
                except ConnectionError:
                    continue

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


def flood(tape: str) -> None:
    """All of a tape, in pieces of 64 KiB."""
    whole = b"".join(map(wire, payloads_of(Path(tape))))
    pieces = [whole[at : at + PIECE] for at in range(0, len(whole), PIECE)]

    def talk(sock: socket.socket) -> None:
        for piece in pieces:
            sock.sendall(piece)
        while sock.recv(65536):
            pass

    _serve(talk)


def paced(rate: str, frames: str) -> None:
    """So many a second, by absolute deadlines; each frame says when it was sent, on the monotonic clock."""
    spacing_ns = 10**9 // int(rate)
    filler = "x" * 90

    def talk(sock: socket.socket) -> None:
        due_ns = time.monotonic_ns()
        for number in range(int(frames)):
            due_ns += spacing_ns
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                time.sleep(left_ns / 1e9)
            event = f'[{{"ev":"T","sym":"A","i":"{filler}","q":{number},"t":{time.monotonic_ns():020d}}}]'
            sock.sendall(wire(event.encode()))
        while sock.recv(65536):
            pass

    _serve(talk)


def numbered(frames: str, seed: str) -> None:
    """Frames that say their connection and their number; a line a connection on stdout once it is over."""
    dice, total = random.Random(int(seed)), int(frames)
    sent = connection = 0

    def talk(sock: socket.socket) -> None:
        nonlocal sent, connection
        connection += 1
        first, end = sent, min(sent + dice.randrange(SHORTEST, LONGEST), total)
        how = dice.choice(("close", "end", "reset"))
        try:
            while sent < end:
                some = range(sent, min(sent + 400, end))
                sent = some.stop
                sock.sendall(b"".join(map(wire, map(_numbered(connection), some))))
            _lose(sock, how)
        except ConnectionError:
            how = "client"
        finally:
            line = {"connection": connection, "first": first, "behind": sent, "how": how, "total": total}
            print(json.dumps(line), flush=True)

    _serve(talk)


def _numbered(connection: int) -> Callable[[int], bytes]:
    def payload(number: int) -> bytes:
        price = 10_000 + number * 2_654_435_761 % 5_000
        return (
            f'[{{"ev":"T","sym":"S{number % 200:03d}","x":{number % 20},"i":"{number}","z":3,"p":{price / 100},'
            f'"s":{1 + number % 400},"c":[14,41],"t":{1_577_975_400_000 + number},"k":{connection},"n":{number}}}]'
        ).encode()

    return payload


def _lose(sock: socket.socket, how: str) -> None:
    """With a close frame, without one, or so that what is on the way is lost, too."""
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        return
    if how == "close":
        sock.sendall(b"\x88\x02" + (1001).to_bytes(2))
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(30)
    while sock.recv(65536):
        pass


async def _rest() -> None:
    from aiohttp import web

    results = [{"c": 114.17, "h": 115, "l": 113.2, "o": 114, "t": 1_577_975_400_000 + n} for n in range(170)]
    body = json.dumps({"status": "OK", "results": results}, separators=(",", ":")).encode()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _forward(port: str) -> None:
    import aiohttp
    from aiohttp import web

    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def answer(request: web.Request) -> web.Response:
            url = f"http://127.0.0.1:{port}{request.raw_path}"
            async with session.request(request.method, url, headers=request.headers) as answered:
                body = await answered.read()
                return web.Response(status=answered.status, body=body, headers=answered.headers)

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Run the service of that name."""
    name, *words = sys.argv[1:]
    if name == "rest":
        asyncio.run(_rest())
    elif name == "forward":
        asyncio.run(_forward(*words))
    else:
        {each.__name__: each for each in (flood, paced, numbered)}[name](*words)


if __name__ == "__main__":
    main()
