"""Frames through the recorder as a proxy: a service that floods, a client that only reads, each a process of its own.

What the client got is counted and hashed, and so is what is on the cassette: neither may miss a frame.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import xxhash

from figures import Row, short, spread, times
from harness import Bench, recorder, service
from listener import WrongBytesError, connect, read_all, subscribe
from subjects.recording import GOAL, SHAPES
from tapes import ONE, Wanted, make_of, wanted, wire
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import Frame, Sender

SMALL_GOAL = 100_000
MEMORY_MIB = 64
ANSWERS = 3
"""Greeting, authentication, acknowledgement: on the cassette before the tape."""


@dataclass(frozen=True, slots=True)
class Run:
    """One recording: how long the client read, and what the recorder says of itself."""

    seconds: float
    cpu_seconds: float
    pauses: int
    most_chunks: int
    highest_kib: float
    delay_p99_ns: int


def measure(bench: Bench) -> Iterator[Row]:
    """Mixed frames of 5 kB, and 132 bytes."""
    mixed, small = (3_000, 30_000) if bench.quick else (15_000, 200_000)
    yield from _measure(bench, "mixed frames of 5 kB", mixed_frames(mixed), GOAL)
    yield from _measure(bench, "132 B frames", small_frames(small), SMALL_GOAL)


def mixed_frames(number: int) -> list[bytes]:
    """Payloads of 1, 1, 7, 40 and 140 events in turn."""
    turns = cycle([shape.payloads() for shape in SHAPES])
    return [next(turn) for turn in islice(turns, number)]


def small_frames(number: int) -> list[bytes]:
    """Payloads of one event."""
    return list(islice(ONE.payloads(), number))


def _measure(bench: Bench, what: str, payloads: list[bytes], goal: int) -> Iterator[Row]:
    tape = bench.folder / f"relaying-{goal}.cassette"
    make_of(tape, payloads)
    asked = wanted(iter(payloads))
    direct, runs = [], []
    for number in range(bench.rounds):
        with service("flood", tape) as flood:
            direct.append(received(flood.port, asked))
        with service("flood", tape) as flood:
            runs.append(
                _record(bench.folder / f"relayed-{number}.cassette", flood.port, asked, len(payloads))
            )
    rate = spread(len(payloads) / run.seconds for run in runs)
    busy = spread(run.cpu_seconds / len(payloads) for run in runs)
    straight = spread(len(payloads) / seconds for seconds in direct)
    pauses = max(run.pauses for run in runs)
    memory = max(run.highest_kib for run in runs) / 1024
    yield Row(
        f"through the recorder, {what}",
        f"{short(rate.median)} frames/s ({short(rate.low)}-{short(rate.high)}), 0 lost, {pauses} pauses at most, "
        f"{busy.says('s')} of processor time a frame",
        f"direct {short(straight.median)} frames/s",
        f"{times(rate.median / goal)} of the goal",
        f"{goal:,} frames/s, 0 pauses",
        rate.median >= goal and not pauses,
        {"tickdeck": [len(payloads) / run.seconds for run in runs]},
    )
    yield Row(
        f"through the recorder, {what}, memory at its highest",
        f"{short(memory)} MiB",
        "",
        f"{short(memory / MEMORY_MIB)}x of the goal",
        f"{MEMORY_MIB} MiB",
        memory <= MEMORY_MIB,
        {"tickdeck": [run.highest_kib for run in runs]},
    )


def received(port: int, asked: Wanted) -> float:
    """A client that reads everything and hashes it; how long that took."""
    with connect(port) as sock:
        rest = subscribe(sock)
        begun = time.perf_counter()
        digest = xxhash.xxh3_128(rest)
        read_all(sock, asked.wire_bytes - len(rest), digest, flags=0)
        seconds = time.perf_counter() - begun
    if digest.hexdigest() != asked.digest:
        raise WrongBytesError("other bytes came than were sent")
    return seconds


def _record(path: Path, port: int, asked: Wanted, frames: int) -> Run:
    with recorder(path, port) as proxy:
        before = proxy.ask("usage")
        seconds = received(proxy.port, asked)
        cpu = proxy.ask("usage")["cpu_s"] - before["cpu_s"]
        report = proxy.ask("stop")
    _on_cassette(path, asked, frames)
    path.unlink()
    return Run(
        seconds,
        cpu,
        report["pauses"],
        report["journal_most_chunks"],
        report["highest_kib"],
        report["delay_p99_ns"],
    )


def _on_cassette(path: Path, asked: Wanted, frames: int) -> None:
    """What is kept is what was sent, frame by frame."""
    digest, kept = xxhash.xxh3_128(), 0
    with open_cassette(path) as cassette:
        said = (
            each for each in cassette.records() if isinstance(each, Frame) and each.sender is Sender.SERVER
        )
        answers = [json.loads(each.payload)[0]["status"] for each in islice(said, ANSWERS)]
        for each in said:
            digest.update(wire(each.payload))
            kept += 1
    if (len(answers), kept, digest.hexdigest()) != (ANSWERS, frames, asked.digest):
        raise WrongBytesError(f"{kept} of {frames} frames are on the cassette, or others")
