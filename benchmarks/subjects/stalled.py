"""A client that never reads beside one that does: how much it delays the other, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator

from figures import Row, spread, times
from harness import MB, Bench, player
from listener import START_ON, close, connect, read_together, readers, start, subscribe
from tapes import SMALL, Tape

MEMORY_KIB = 1024
DELAY = 1.1
"""Nobody is to be delayed; so much is the noise of a run."""


def measure(bench: Bench) -> Iterator[Row]:
    """With the same key, hence on one timeline, and with keys of their own."""
    tape = bench.tape(SMALL, size=(24 if bench.quick else 64) * MB)
    alone = [_play(tape, None) for _ in range(bench.rounds)]
    for words, key in (("on the same timeline", "benchmark"), ("on its own timeline", "another")):
        beside = [_play(tape, key) for _ in range(bench.rounds)]
        mine, before = spread(each[0] for each in beside), spread(each[0] for each in alone)
        ratio = mine.median / before.median
        more_kib = spread(each[1] for each in beside).median - spread(each[1] for each in alone).median
        yield Row(
            f"at max beside a client that never reads, {words}",
            f"{mine.says('s')}, {more_kib:+.0f} KiB",
            f"alone {before.says('s')}",
            times(ratio),
            f"at most {times(DELAY)}, +{MEMORY_KIB:,} KiB",
            ratio <= DELAY and more_kib <= MEMORY_KIB,
            {"beside": [each[0] for each in beside], "alone": [each[0] for each in alone]},
        )


def _play(tape: Tape, stalled_key: str | None) -> tuple[float, float]:
    """Seconds until the client that reads has all of the tape, and the server's memory in KiB then."""
    with player(tape, start_on=START_ON) as server:
        others = []
        if stalled_key is not None:
            others.append(connect(server.port, key=stalled_key))
            subscribe(others[0])
        clients = readers(server.port, 1)
        if stalled_key not in (None, "benchmark"):
            others.append(start(server.port, key=stalled_key or ""))
        others.append(start(server.port))
        seconds = read_together(clients, tape.wire_bytes)
        memory = server.ask("usage")["memory_kib"]
        close(clients)
        for each in others:
            each.close()
    return seconds, memory
