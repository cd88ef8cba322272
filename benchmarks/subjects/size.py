"""What a cassette weighs against its raw JSON, index included."""

from __future__ import annotations

from collections.abc import Iterator

from figures import Row
from harness import MB, Bench
from tapes import BATCHED, ONE, Shape

GOALS: dict[Shape, float] = {ONE: 3.8, BATCHED: 4.5}


def measure(bench: Bench) -> Iterator[Row]:
    """Frames of one event, and frames of forty."""
    for shape, goal in GOALS.items():
        tape = bench.tape(shape, size=(2 if bench.quick else 24) * MB)
        weight = tape.path.stat().st_size
        shrunk = tape.payload_bytes / weight
        yield Row(
            f"size, {shape.events} event{'s' if shape.events > 1 else ''} a frame",
            f"{weight / MB:.2f} MB",
            f"raw JSON {tape.payload_bytes / MB:.2f} MB",
            f"1/{shrunk:.2f}",
            f"1/{goal:g}",
            shrunk >= goal,
        )
