"""How fast frames go onto a cassette: append in batches as they come off a socket, then seal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import tapes

from tickdeck import dialects
from tickdeck.cassette.files import Recording
from tickdeck.cassette.records import TEXT, Frame, Header, Sender, Source, TrackOpened
from tickdeck.cassette.redaction import Redactor

BATCH = 16
SHAPES = (1, 1, 7, 40, 140)
"""Events a frame, in turn: small and large ones mixed, some 5.7 kB on average."""


@dataclass(frozen=True, slots=True)
class Run:
    """One recording, measured from its first append to its seal."""

    frames: int
    payload_bytes: int
    seconds: float
    cpu_seconds: float
    pauses: int


def payloads(count: int) -> list[bytes]:
    """Mixed frames, made beforehand."""
    made = [iter(tapes.frames(count, events)) for events in SHAPES]
    return [next(made[number % len(made)]) for number in range(count)]


def record(path: Path, *, frames: int) -> Run:
    """Record ``frames`` frames through redaction, write-ahead, zstd and sealing."""
    said = payloads(frames)
    places = dialects.find("polygon").places
    redactor = Redactor(places, known=["a secret that never turns up"])
    header = Header(tapes.EPOCH_NS, source=Source.SYNTHETIC)
    begun, cpu_begun = time.perf_counter(), time.process_time()
    recording = Recording.create(path, header, redactor=redactor)
    recording.append([TrackOpened(0, 0, 0, "stocks", feed="socket")])
    records = (Frame(seq, seq * 1000, 0, Sender.SERVER, TEXT, each) for seq, each in enumerate(said, 1))
    while batch := list(islice(records, BATCH)):
        recording.append(batch)
    recording.seal()
    return Run(
        frames=frames,
        payload_bytes=sum(map(len, said)),
        seconds=time.perf_counter() - begun,
        cpu_seconds=time.process_time() - cpu_begun,
        pauses=recording.stats.pauses,
    )
