"""What the recorder adds to the way of a frame, from the service's send to the client's read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from figures import Row, Spread, percentile, spread
from harness import Bench, recorder, service
from listener import WrongBytesError, connect, subscribe

RATE = 1_000
SENT = re.compile(rb'"t":(\d{20})\}\]')
GOAL_S = 0.5e-3


def measure(bench: Bench) -> Iterator[Row]:
    """A thousand frames a second, three seconds a round."""
    frames = RATE if bench.quick else 3 * RATE
    straight, through = [], []
    for number in range(bench.rounds):
        with service("paced", str(RATE), str(frames)) as paced:
            straight.append(_latencies(paced.port, frames))
        path = bench.folder / f"latency-{number}.cassette"
        with service("paced", str(RATE), str(frames)) as paced, recorder(path, paced.port) as proxy:
            through.append(_latencies(proxy.port, frames))
            proxy.ask("stop")
    direct, recorded = _spread(straight, 99), _spread(through, 99)
    added = spread(percentile(b, 99) - percentile(a, 99) for a, b in zip(straight, through, strict=True))
    yield Row(
        f"through the recorder, {RATE:,} frames/s, from send to read",
        f"p50 {_spread(through, 50).says('s')}, p99 {recorded.says('s')}",
        f"direct p50 {_spread(straight, 50).says('s')}, p99 {direct.says('s')}",
        f"p99 {added.says('s')} more",
        "p99 0.5 ms more",
        added.median <= GOAL_S,
        {
            "tickdeck": [percentile(each, 99) for each in through],
            "direct": [percentile(e, 99) for e in straight],
        },
    )


def _spread(rounds: list[list[float]], percent: float) -> Spread:
    return spread(percentile(each, percent) for each in rounds)


def _latencies(port: int, frames: int) -> list[float]:
    """Of each frame, in seconds, on the clock that both processes share."""
    found: list[float] = []
    with connect(port) as sock:
        held = subscribe(sock)
        while len(found) < frames:
            got = sock.recv(65536)
            now_ns = time.monotonic_ns()
            if not got:
                raise WrongBytesError(f"the service closed after {len(found)} frames")
            held += got
            end = 0
            for each in SENT.finditer(held):
                found.append((now_ns - int(each[1])) / 1e9)
                end = each.end()
            held = held[end:]
    return found
