"""How late frames are: as the player says, and as the client sees it on the same monotonic clock.

A frame's due time is the moment the timeline started plus its place on the tape. The client's
figure holds the way through the kernel and the client's own waking; the player's ends where
the frame is handed to the socket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from figures import Row, percentile, spread
from harness import Bench, Served, peer, player
from listener import START_ON, Reader, close, read_together, readers, start
from tapes import ONE, Tape

MILLISECOND = 1_000_000
Late = dict[str, float]
"""p50, p99, the highest and the lowest lateness, in seconds."""


def measure(bench: Bench) -> Iterator[Row]:
    """One client at a thousand frames a second, and twenty at ten thousand each."""
    slow = bench.tape(ONE, frames=2000 if bench.quick else 5000, spacing_ns=MILLISECOND)
    yield from _course(bench, slow, 1, "1 client, 1,000 frames/s", {"p50": 0.15e-3, "p99": 0.5e-3})
    yield _drift(bench, slow)
    fast = bench.tape(ONE, frames=10_000 if bench.quick else 30_000, spacing_ns=MILLISECOND // 10)
    yield from _course(bench, fast, 20, "20 clients, 10,000 frames/s each", {"p99": 1e-3})


def lateness(readers: Sequence[Reader], tape: Tape, started_ns: int) -> Late:
    """How long after it was due each frame was there, over all clients; negative is early."""
    late: list[int] = []
    ends = tape.ends()
    for reader in readers:
        arrivals = reader.arrivals or []
        totals = [total for _, total in arrivals]
        for number, end in enumerate(ends):
            arrived_ns = arrivals[bisect_left(totals, end)][0]
            late.append(arrived_ns - started_ns - number * tape.spacing_ns)
    return {
        "p50": percentile(late, 50) / 1e9,
        "p99": percentile(late, 99) / 1e9,
        "max": max(late) / 1e9,
        "min": min(late) / 1e9,
    }


def _course(bench: Bench, tape: Tape, number: int, words: str, goals: dict[str, float]) -> Iterator[Row]:
    said: list[Late] = []
    seen: list[Late] = []
    for _ in range(bench.rounds):
        with player(tape, speed="1", start_on=START_ON) as server:
            clients = readers(server.port, number, timed=True)
            starter = start(server.port)
            read_together(clients, tape.wire_bytes)
            seen.append(lateness(clients, tape, server.ask("usage")["started_ns"]))
            said.append(_said(server))
            close(clients)
            starter.close()
    yield _row(f"pacing, {words}, by the report", said, goals)
    yield _row(f"pacing, {words}, seen by the client", seen, {}, early=True)


def _said(server: Served) -> Late:
    report = server.ask("report")["lateness"]
    return {name: report[f"{name}_ns"] / 1e9 for name in ("p50", "p99", "max")}


def _row(what: str, rounds: list[Late], goals: dict[str, float], *, early: bool = False) -> Row:
    samples = {name: [each[name] for each in rounds] for name in rounds[0]}
    medians = {name: spread(each).median for name, each in samples.items()}
    figure = ", ".join(f"{name} {spread(samples[name]).says('s')}" for name in ("p50", "p99", "max"))
    goal = ", ".join(f"{name} {1e3 * value:g} ms" for name, value in goals.items())
    met = all(medians[name] <= value for name, value in goals.items()) if goals else None
    if early:
        earliest = min(samples["min"])
        goal, met = "never early", earliest >= 0
        figure += f", earliest {1e6 * earliest:.0f} µs after due"
    return Row(what, figure, goal=goal, met=met, samples=samples)


def _drift(bench: Bench, tape: Tape) -> Row:
    """A sender that sleeps from frame to frame: how late it is in the end."""
    behind = []
    for _ in range(bench.rounds):
        with peer("sleeper", tape, tape.spacing_ns) as server:
            clients = readers(server.port, 1, timed=True)
            started_ns = server.hear()["started_ns"]
            read_together(clients, tape.wire_bytes)
            behind.append(lateness(clients, tape, started_ns)["max"])
            close(clients)
    length = tape.frames * tape.spacing_ns / 1e9
    return Row(
        "pacing, a loop that sleeps from frame to frame",
        "",
        f"behind by {spread(behind).says('s')} after {length:g} s",
        f"+{spread(behind).median / length:.0%}",
        samples={"sleeper": behind},
    )
