"""Measures tickdeck beside its peers, in one run, and prints each figure with its ratio.

    python benchmarks/run.py [--rounds 5] [--quick] [--json FILE]

Nothing here fails: it tells. What must hold is counted in the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import recording
import tapes
from listener import seconds_for
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, the figure, the peer's, their ratio, the goal."""

    what: str
    figure: str
    peer: str
    ratio: str
    goal: str


@contextmanager
def server(name: str, tape: Path, *words: str) -> Iterator[int]:
    """A server in a process of its own; its port."""
    command = [sys.executable, str(HERE / "servers.py"), name, str(tape), *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def replay(folder: Path, *, count: int, events: int, rounds: int) -> list[Row]:
    """Replay at max, beside a bare sendall and a send per message."""
    tape = folder / f"replay-{events}.cassette"
    payload_bytes = tapes.make(tape, count=count, events=events)
    wire_bytes = tapes.wire_bytes(tape)
    medians: dict[str, float] = {}
    for name in ("sendall", "websockets", "player"):
        with server(name, tape) as port:
            seconds_for(port, wire_bytes)
            medians[name] = statistics.median(seconds_for(port, wire_bytes) for _ in range(rounds))
    size = payload_bytes // count
    rate = wire_bytes / medians["player"]
    return [
        Row(
            f"replay at max, {size} B frames",
            f"{rate / 1e6:.0f} MB/s, {count / medians['player'] / 1e3:.0f}k frames/s",
            f"bare sendall {wire_bytes / medians['sendall'] / 1e6:.0f} MB/s",
            f"{medians['sendall'] / medians['player']:.1%}",
            "60 % from plain chunks",
        ),
        Row(
            f"replay at max, {size} B frames",
            f"{rate / 1e6:.0f} MB/s",
            f"websockets send {wire_bytes / medians['websockets'] / 1e6:.0f} MB/s",
            f"{medians['websockets'] / medians['player']:.1f}x",
            {1: "150x", 7: "20x", 110: "2.5x"}.get(events, ""),
        ),
    ]


def pacing(folder: Path, *, seconds: int, rounds: int) -> list[Row]:
    """Lateness at 1,000 frames a second, beside a sender that sleeps from frame to frame."""
    tape = folder / "pacing.cassette"
    tapes.make(tape, count=1000 * seconds, events=1, spacing_ns=1_000_000)
    wire_bytes = tapes.wire_bytes(tape)
    runs = []
    for _ in range(rounds):
        command = [sys.executable, str(HERE / "servers.py"), "player", str(tape), "1"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin
        assert process.stdout
        seconds_for(int(process.stdout.readline()), wire_bytes)
        process.stdin.close()
        runs.append(json.loads(process.stdout.readline()))
        process.wait(30)
        process.stdout.close()
    p50, p99, worst = (
        statistics.median(run[name] for run in runs) / 1e6 for name in ("p50_ns", "p99_ns", "max_ns")
    )
    drift = asyncio.run(sleeping_from_frame_to_frame(seconds))
    return [
        Row(
            "pacing, 1 x 1,000 frames/s",
            f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {worst:.2f} ms",
            f"sleep(delta) is {drift * 1e3:.0f} ms behind after {seconds} s",
            "",
            "p50 0.15 ms, p99 0.5 ms",
        )
    ]


async def sleeping_from_frame_to_frame(seconds: int) -> float:
    """How far a loop that sleeps a millisecond between frames is behind at the end."""
    start = time.perf_counter()
    for _ in range(1000 * seconds):
        await asyncio.sleep(0.001)  # noqa: TID251 - the mistake that is being measured
    return time.perf_counter() - start - seconds


def size(folder: Path, *, count: int) -> list[Row]:
    """What a recording weighs against its raw JSON, index included."""
    rows = []
    for events, goal in ((1, "1/3.8"), (40, "1/4.5")):
        tape = folder / f"size-{events}.cassette"
        raw = tapes.make(tape, count=count // events, events=events)
        weight = tape.stat().st_size
        rows.append(
            Row(
                f"size, {events} event{'s' if events > 1 else ''} a frame",
                f"{weight / 1e6:.2f} MB",
                f"raw JSON {raw / 1e6:.2f} MB",
                f"1/{raw / weight:.2f}",
                goal,
            )
        )
    return rows


def recording_rows(folder: Path, *, frames: int, rounds: int) -> list[Row]:
    """How fast frames go onto a cassette, write-ahead and zstd included."""
    runs = [recording.record(folder / f"recording-{each}.cassette", frames=frames) for each in range(rounds)]
    rate = statistics.median(run.frames / run.seconds for run in runs)
    busy = statistics.median(run.cpu_seconds / run.frames for run in runs)
    mean = runs[0].payload_bytes / runs[0].frames
    return [
        Row(
            f"recording, mixed frames of {mean / 1e3:.1f} kB on average",
            f"{rate / 1e3:.1f}k frames/s, {rate * mean / 1e6:.0f} MB/s, {runs[0].pauses} pauses",
            f"{1e6 * busy:.0f} µs of CPU a frame",
            f"{rate / 15_000:.2f}x of goal",
            "15k frames/s, 0 pauses",
        )
    ]


def machine() -> str:
    """Where this was measured."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {os.cpu_count()} x {model}, {platform.system()}"


def main() -> None:
    """Run all of it and print the table."""
    parser = argparse.ArgumentParser(description="Measure tickdeck beside its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="measurements behind each median")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    wish = parser.parse_args()
    scale = 10 if wish.quick else 1
    rounds = wish.rounds
    with tempfile.TemporaryDirectory(prefix="tickdeck-bench-") as name:
        folder = Path(name)
        rows = [
            *replay(folder, count=400_000 // scale, events=1, rounds=rounds),
            *replay(folder, count=60_000 // scale, events=7, rounds=rounds),
            *replay(folder, count=4_000 // scale, events=110, rounds=rounds),
            *pacing(folder, seconds=5 // min(scale, 5), rounds=rounds),
            *recording_rows(folder, frames=30_000 // scale, rounds=rounds),
            *size(folder, count=400_000 // scale),
        ]
    table = Table(title=machine())
    for heading in ("what", "tickdeck", "peer", "ratio", "goal"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row.what, row.figure, row.peer, row.ratio, row.goal)
    Console(width=160).print(table)
    if wish.json:
        wish.json.write_text(
            json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1)
        )


if __name__ == "__main__":
    main()
