"""How fast frames go onto a cassette: appended in batches as they come off a socket, then sealed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from figures import Row, short, spread, times
from harness import Bench
from tapes import EPOCH_NS, Shape, trade
from tickdeck import dialects
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import TEXT, Frame, Header, Sender, Source, TrackOpened
from tickdeck.cassette.redaction import Redactor

BATCH = 16
SHAPES = tuple(Shape("recorded", trade, events) for events in (1, 1, 7, 40, 140))
"""Frames in turn: small and large ones mixed, some 5 kB on average."""

GOAL = 15_000


@dataclass(frozen=True, slots=True)
class Run:
    """One recording, measured from its first append to its seal."""

    seconds: float
    cpu_seconds: float
    pauses: int


def measure(bench: Bench) -> Iterator[Row]:
    """Mixed frames through redaction, write-ahead, zstd and sealing."""
    frames = 3_000 if bench.quick else 30_000
    turns = cycle([shape.payloads() for shape in SHAPES])
    payloads = [next(turn) for turn in islice(turns, frames)]
    mean = sum(map(len, payloads)) / frames
    runs = [_record(bench.folder / f"recording-{each}.cassette", payloads) for each in range(bench.rounds)]
    rate = spread(frames / run.seconds for run in runs)
    busy = spread(run.cpu_seconds / frames for run in runs)
    pauses = max(run.pauses for run in runs)
    yield Row(
        f"recording, mixed frames of {mean / 1e3:.1f} kB on average",
        f"{short(rate.median)} frames/s ({short(rate.low)}-{short(rate.high)}), {pauses} pauses at most",
        f"{busy.says('s')} of processor time a frame",
        f"{times(rate.median / GOAL)} of the goal",
        f"{GOAL:,} frames/s, 0 pauses",
        rate.median >= GOAL and not pauses,
        {"tickdeck": [frames / run.seconds for run in runs]},
    )


def _record(path: Path, payloads: list[bytes]) -> Run:
    places = dialects.find("polygon").places
    redactor = Redactor(places, known=["a secret that never turns up"])
    begun, cpu_begun = time.perf_counter(), time.process_time()
    recording = Recording.create(path, Header(EPOCH_NS, source=Source.SYNTHETIC), redactor=redactor)
    recording.append([TrackOpened(0, 0, 0, "stocks", feed="socket")])
    records = (Frame(seq, seq * 1000, 0, Sender.SERVER, TEXT, each) for seq, each in enumerate(payloads, 1))
    while batch := list(islice(records, BATCH)):
        recording.append(batch)
    recording.seal()
    run = Run(time.perf_counter() - begun, time.process_time() - cpu_begun, recording.stats.pauses)
    path.unlink()
    return run
