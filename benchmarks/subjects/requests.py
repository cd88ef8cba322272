"""REST through the recorder and straight to the service: clients that keep their connections."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator

from figures import Row, short, spread
from harness import Bench, recorder, service
from listener import PATIENCE_S, WrongBytesError

REQUEST = b"GET /v2/aggs/ticker/A/range/1/minute/2020-01-02/2020-01-02 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
GOAL = 0.5


def measure(bench: Bench) -> Iterator[Row]:
    """One connection, then eight."""
    for connections in (1, 8):
        asked = 200 if bench.quick else 1_500
        straight, through, bare = [], [], []
        for number in range(bench.rounds):
            path = bench.folder / f"requests-{connections}-{number}.cassette"
            with (
                service("rest") as rest,
                recorder(path, rest.port) as proxy,
                service("forward", str(rest.port)) as forward,
            ):
                straight.append(asked / seconds_for(rest.port, asked, connections))
                through.append(asked / seconds_for(proxy.port, asked, connections))
                bare.append(asked / seconds_for(forward.port, asked, connections))
                report = proxy.ask("stop")
            if report["interactions"] != asked:
                raise WrongBytesError(f"{report['interactions']} of {asked} answers are on the cassette")
            path.unlink()
        rate, direct, least = spread(through), spread(straight), spread(bare)
        share = rate.median / direct.median
        yield Row(
            f"REST through the recorder, 10 kB, {connections} connection{'s' if connections > 1 else ''}",
            f"{short(rate.median)} requests/s ({short(rate.low)}-{short(rate.high)})",
            f"direct, on aiohttp {short(direct.median)} requests/s ({short(direct.low)}-{short(direct.high)}); "
            f"through a bare aiohttp proxy {short(least.median)}",
            f"{share:.0%}",
            f"{GOAL:.0%}",
            share >= GOAL,
            {"tickdeck": through, "direct": straight, "bare proxy": bare},
        )


def seconds_for(port: int, asked: int, connections: int) -> float:
    """How long so many requests took; each connection asks again once it was answered."""
    with selectors.DefaultSelector() as waiting:
        left, begun = asked, time.perf_counter()
        for _ in range(connections):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting.register(sock, selectors.EVENT_READ, bytearray())
            sock.sendall(REQUEST)
            left -= 1
        while waiting.get_map():
            ready = waiting.select(PATIENCE_S)
            if not ready:
                raise WrongBytesError(f"no answer came for {PATIENCE_S} s")
            for key, _ in ready:
                sock, held = key.fileobj, key.data
                assert isinstance(sock, socket.socket)
                got = sock.recv(1 << 20)
                if not got:
                    raise WrongBytesError("the connection was closed before its answer")
                held += got
                if not _whole(held):
                    continue
                held.clear()
                if left:
                    left -= 1
                    sock.sendall(REQUEST)
                else:
                    waiting.unregister(sock)
                    sock.close()
    return time.perf_counter() - begun


def _whole(held: bytearray) -> bool:
    head, mark, body = held.partition(b"\r\n\r\n")
    if not mark:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        raise WrongBytesError(f"not answered: {bytes(head[:60])!r}")
    found = LENGTH.search(head)
    if found is None:
        raise WrongBytesError("an answer without a length")
    return len(body) >= int(found[1])
