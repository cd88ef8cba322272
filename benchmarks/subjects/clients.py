"""What a further client costs: processor time a delivered frame, and memory.

All clients hold the same channels on one timeline and start together. The processor time is the
server's own, kernel included; how long the readers take does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from figures import Point, Row, spread, times
from harness import MB, Bench, player
from listener import START_ON, WrongBytesError, close, read_together, readers, start
from tapes import SMALL, Tape

NUMBERS = (1, 10, 100)
MOST = 1.2
MEMORY_KIB = 64
MILLISECOND = 1_000_000


@dataclass(slots=True)
class Costs:
    """Round by round: seconds of processor time a delivered frame, and KiB of memory at the end."""

    frame_s: list[float] = field(default_factory=list)
    memory_kib: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Iterator[Row | Point]:
    """One, ten and a hundred clients, at max and at a pace."""
    fast = bench.tape(SMALL, size=(24 if bench.quick else 64) * MB)
    paced = bench.tape(SMALL, frames=1000 if bench.quick else 3000, spacing_ns=MILLISECOND)
    yield from _course(bench, fast, "max", "at max")
    yield from _course(bench, paced, "1", "at 1,000 frames a second")


def _course(bench: Bench, tape: Tape, speed: str, words: str) -> Iterator[Row | Point]:
    costs = {number: Costs() for number in NUMBERS}
    for _ in range(bench.rounds):
        for number in NUMBERS:
            _play(tape, speed, number, costs[number])
    for number in NUMBERS:
        yield Point("clients", words, number, 1e6 * spread(costs[number].frame_s).median)
    alone, together = spread(costs[1].frame_s), spread(costs[100].frame_s)
    ratio = together.median / alone.median
    yield Row(
        f"100 clients {words}, processor time a delivered frame",
        together.says("s"),
        f"one client {alone.says('s')}",
        times(ratio),
        f"at most {times(MOST)}",
        ratio <= MOST,
        {str(number): each.frame_s for number, each in costs.items()},
    )
    one = spread(costs[1].memory_kib).median
    further = spread((each - one) / 99 for each in costs[100].memory_kib)
    yield Row(
        f"100 clients {words}, memory a further client",
        f"{further.median:.0f} KiB ({further.low:.0f}-{further.high:.0f})",
        goal=f"at most {MEMORY_KIB} KiB",
        met=further.median <= MEMORY_KIB,
        samples={str(number): each.memory_kib for number, each in costs.items()},
    )


def _play(tape: Tape, speed: str, number: int, costs: Costs) -> None:
    """One server, one course, so many clients; each gets exactly the tape."""
    with player(tape, speed=speed, start_on=START_ON) as server:
        clients = readers(server.port, number, check=True)
        before = server.ask("usage")
        starter = start(server.port)
        read_together(clients, tape.wire_bytes)
        after = server.ask("usage")
        if {each.digest.hexdigest() for each in clients if each.digest is not None} != {tape.digest}:
            raise WrongBytesError(f"{number} clients were not all sent the tape")
        close(clients)
        starter.close()
    costs.frame_s.append((after["cpu_s"] - before["cpu_s"]) / (number * tape.frames))
    costs.memory_kib.append(after["memory_kib"])
