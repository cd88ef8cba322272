"""Whether a long tape costs more than a short one: memory at its highest, and processor time a frame.

The tapes of the first row are stored plain, so that a cassette of a gigabyte is a gigabyte of file.
"""

from __future__ import annotations

from collections.abc import Iterator

from figures import Point, Row, spread
from harness import MB, Bench, player
from listener import START_ON, close, read_together, readers, start
from tapes import PLAIN, SMALL, ZSTD

MORE_MIB = 5
KINDS = {"plain chunks": PLAIN, "zstd": ZSTD}


def measure(bench: Bench) -> Iterator[Row | Point]:
    """From ten megabytes to a gigabyte (quick: a hundred megabytes)."""
    sizes = (10, 30, 100) if bench.quick else (10, 100, 300, 1000)
    for kind, level in KINDS.items():
        highest: dict[int, list[float]] = {}
        for size in sizes:
            highest[size], frame_s = _plays(bench, size, level)
            yield Point("size", kind, size, 1e6 * spread(frame_s).median)
        least, most = spread(highest[sizes[0]]), spread(highest[sizes[-1]])
        more_kib = most.median - least.median
        yield Row(
            f"memory, a {sizes[-1]:,} MB tape to one client, {kind}",
            _mib(most.median),
            f"a {sizes[0]} MB tape {_mib(least.median)}",
            f"{more_kib / 1024:+.1f} MiB",
            f"at most +{MORE_MIB} MiB",
            more_kib <= MORE_MIB * 1024,
            {str(size): each for size, each in highest.items()},
        )


def _mib(kib: float) -> str:
    return f"{kib / 1024:.1f} MiB"


def _plays(bench: Bench, size: int, level: int) -> tuple[list[float], list[float]]:
    """Round by round: the highest memory in KiB, and seconds of processor time a frame."""
    tape = bench.tape(SMALL, size=size * MB, level=level)
    highest, frame_s = [], []
    for _ in range(bench.rounds):
        with player(tape, start_on=START_ON) as server:
            clients = readers(server.port, 1)
            before = server.ask("usage")
            starter = start(server.port)
            read_together(clients, tape.wire_bytes)
            after = server.ask("usage")
            close(clients)
            starter.close()
        highest.append(after["highest_kib"])
        frame_s.append((after["cpu_s"] - before["cpu_s"]) / tape.frames)
    return highest, frame_s
