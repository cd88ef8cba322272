"""The servers beside which tickdeck is measured: ``python peers.py NAME CASSETTE [NUMBER]``.

Each holds the payloads of the tape (or of its first frames) in memory, prints its port, talks to one
kind of client (`listener.py`) and ends when its standard input does. None of them is slowed down on
purpose: they are what one writes with the library at hand in a few lines.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tapes import payloads_of, wire

PIECE = 64 * 1024
PARAMS = re.compile(rb'"subscribe","params":"([^"]*)"')


def _status(status: str, message: str) -> bytes:
    return json.dumps(
        [{"ev": "status", "status": status, "message": message}], separators=(",", ":")
    ).encode()


GREETING = _status("connected", "Connected Successfully")
AUTH = _status("auth_success", "authenticated")


def _ack(params: str) -> bytes:
    return _status("success", f"subscribed to: {params.split(',')[-1]}")


def _serve(answer: Callable[[socket.socket, str], None], context: ssl.SSLContext | None = None) -> None:
    """A bare socket: greet, wait for the subscription, acknowledge, and let ``answer`` send."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(sock: socket.socket) -> None:
        asked = b""
        while not (found := PARAMS.search(asked)):
            asked += sock.recv(65536)
        params = found[1].decode()
        opening = b"".join(map(wire, (GREETING, AUTH, _ack(params))))
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + opening)
        answer(sock, params)
        sock.recv(1)

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock if context is None else context.wrap_socket(sock, server_side=True) as talking:
                talk(talking)

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


def sendall(tape: list[bytes], context: ssl.SSLContext | None = None) -> None:
    """The same bytes in 64 KiB pieces: what the machine can do."""
    whole = b"".join(map(wire, tape))
    pieces = [whole[at : at + PIECE] for at in range(0, len(whole), PIECE)]

    def send(sock: socket.socket, params: str) -> None:
        for piece in pieces:
            sock.sendall(piece)

    _serve(send, context)


def tls(tape: list[bytes]) -> None:
    """The same through TLS, with a certificate that was made just now."""
    import trustme

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    sendall(tape, context)


def filtered(payloads: Iterable[bytes], params: str) -> Iterator[bytes]:
    """The loop that everybody writes: parse, pick, write again. As quick as such a loop gets."""
    import orjson

    names = frozenset(params.split(","))
    topics = frozenset(name[:-2] for name in names if name.endswith(".*"))
    by_topic = len(topics) == len(names)
    for payload in payloads:
        if by_topic:
            events = [event for event in orjson.loads(payload) if event["ev"] in topics]
        else:
            events = [event for event in orjson.loads(payload) if f"{event['ev']}.{event['sym']}" in names]
        if events:
            yield orjson.dumps(events)


def orjson(tape: list[bytes]) -> None:
    """The filter loop behind a bare socket, in pieces of 64 KiB at least."""

    def send(sock: socket.socket, params: str) -> None:
        waiting, size = [], 0
        for payload in filtered(tape, params):
            waiting.append(wire(payload))
            size += len(payload)
            if size >= PIECE:
                sock.sendall(b"".join(waiting))
                waiting, size = [], 0
        sock.sendall(b"".join(waiting))

    _serve(send)


def sleeper(tape: list[bytes], spacing_ns: int) -> None:
    """The mistake that is measured: sleep from frame to frame. Tells on stdout when it began."""

    def send(sock: socket.socket, params: str) -> None:
        print(json.dumps({"started_ns": time.monotonic_ns()}), flush=True)
        asyncio.run(sending(sock))

    async def sending(sock: socket.socket) -> None:
        for payload in tape:
            sock.sendall(wire(payload))
            await asyncio.sleep(spacing_ns / 1e9)  # noqa: TID251 - this is the mistake

    _serve(send)


async def _stay() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def websockets(tape: list[bytes]) -> None:
    """On the `websockets` library: one ``send`` a message."""
    import websockets.asyncio.server as library

    texts = [payload.decode() for payload in tape]

    async def serve(connection: library.ServerConnection) -> None:
        await connection.send(GREETING.decode())
        await connection.recv()
        await connection.send(AUTH.decode())
        await connection.send(_ack(json.loads(await connection.recv())["params"]).decode())
        for text in texts:
            await connection.send(text)
        await connection.wait_closed()

    async with library.serve(serve, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await _stay()


async def aiohttp(tape: list[bytes]) -> None:
    """On aiohttp: one ``send_str`` a message."""
    from aiohttp import web

    texts = [payload.decode() for payload in tape]

    async def serve(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        await response.send_str(GREETING.decode())
        await response.receive()
        await response.send_str(AUTH.decode())
        await response.send_str(_ack((await response.receive_json())["params"]).decode())
        for text in texts:
            await response.send_str(text)
        await response.receive()
        return response

    application = web.Application()
    application.router.add_get("/{market}", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await _stay()


async def picows(tape: list[bytes]) -> None:
    """On picows: one ``send`` a message, held back while the transport is full."""
    import picows as library

    class Talk(library.WSListener):
        def on_ws_connected(self, transport: library.WSTransport) -> None:
            self.room = asyncio.Event()
            self.room.set()
            transport.send(library.WSMsgType.TEXT, GREETING)

        def on_ws_frame(self, transport: library.WSTransport, frame: library.WSFrame) -> None:
            if frame.msg_type != library.WSMsgType.TEXT:
                return
            said = json.loads(frame.get_payload_as_bytes())
            if said["action"] == "auth":
                transport.send(library.WSMsgType.TEXT, AUTH)
            else:
                transport.send(library.WSMsgType.TEXT, _ack(said["params"]))
                self.sending = asyncio.ensure_future(self.send_all(transport))

        def pause_writing(self) -> None:
            self.room.clear()

        def resume_writing(self) -> None:
            self.room.set()

        async def send_all(self, transport: library.WSTransport) -> None:
            for payload in tape:
                transport.send(library.WSMsgType.TEXT, payload)
                if not self.room.is_set():
                    await self.room.wait()

    server = await library.ws_create_server(lambda request: Talk(), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await _stay()


def main() -> None:
    """Run the server of that name."""
    name, path, *number = sys.argv[1:]
    if name == "sleeper":
        sleeper(payloads_of(Path(path)), int(number[0]))
        return
    tape = payloads_of(Path(path), int(number[0]) if number else None)
    serve = {each.__name__: each for each in (sendall, tls, orjson)}.get(name)
    if serve is not None:
        serve(tape)
    else:
        asyncio.run({each.__name__: each for each in (websockets, aiohttp, picows)}[name](tape))


if __name__ == "__main__":
    main()
