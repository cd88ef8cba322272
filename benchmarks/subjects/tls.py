"""Replay at max through TLS, beside a bare `sendall` through TLS."""

from __future__ import annotations

from collections.abc import Iterator

from figures import Row, missing, rates, spread
from harness import MB, Bench, installed, peer, player
from listener import seconds_for
from tapes import LARGE, ONE, PLAIN, SMALL, Wanted

GOAL = 0.85


def measure(bench: Bench) -> Iterator[Row]:
    """Three sizes of frames."""
    if not installed("tickdeck.gateway.identity"):
        yield missing("replay at max over TLS", "this release has no TLS", goal=f"{GOAL:.0%}")
        return
    if not installed("trustme"):
        yield missing("replay at max over TLS", "trustme is not installed", goal=f"{GOAL:.0%}")
        return
    for shape in (ONE, SMALL, LARGE):
        tape = bench.tape(shape, size=(24 if bench.quick else 64) * MB, level=PLAIN)
        wanted = Wanted(tape.frames, tape.wire_bytes, tape.digest)
        seconds: dict[str, list[float]] = {"tickdeck": [], "sendall": []}
        with player(tape, tls=True) as ours, peer("tls", tape) as raw:
            for server in (ours, raw):
                seconds_for(server.port, wanted, check=True, over_tls=True)
            for _ in range(bench.rounds):
                for name, server in (("tickdeck", ours), ("sendall", raw)):
                    seconds[name].append(seconds_for(server.port, wanted, over_tls=True))
        samples = {name: rates(tape.wire_bytes, each) for name, each in seconds.items()}
        mine, theirs = spread(samples["tickdeck"]), spread(samples["sendall"])
        ratio = mine.median / theirs.median
        yield Row(
            f"replay at max over TLS, {shape.name} frames, plain chunks",
            mine.says("B/s"),
            f"bare sendall over TLS {theirs.says('B/s')}",
            f"{ratio:.0%}",
            f"{GOAL:.0%}",
            ratio >= GOAL,
            samples,
        )
