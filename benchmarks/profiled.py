"""Where the time of player and recorder goes: ``python benchmarks/profiled.py replay-zstd``, a table in Markdown.

The profile is that of the server's own thread while one client reads one tape; profiling makes each
call dearer, so the shares tell more than the seconds. Time in the kernel is that of the socket's ``send``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import MB, Bench, player, recorder, service
from listener import seconds_for
from subjects.filtering import TEN, expected
from subjects.relaying import mixed_frames, received, small_frames
from subjects.requests import seconds_for as request_seconds
from tapes import MIXED, ONE, PLAIN, SMALL, ZSTD, Shape, make_of, wanted

COURSES: dict[str, tuple[Shape, int, str, str]] = {
    "replay": (SMALL, PLAIN, "max", "T.*"),
    "replay-zstd": (SMALL, ZSTD, "max", "T.*"),
    "filter": (MIXED, ZSTD, "max", TEN),
    "filter-topic": (MIXED, ZSTD, "max", "T.*"),
    "pacing": (ONE, ZSTD, "1", "T.*"),
}
"""By name: the frames, the compression, the speed, what the client wants."""

RECORDED = {"record": mixed_frames, "record-small": small_frames}
"""Courses through the recorder, as a proxy: the profile is that of its thread."""

ANSWERED = "record-rest"

WAITING = ("poll", "select", "acquire")
MOST = 15


def lines(functions: Sequence[Sequence[object]]) -> Iterator[str]:
    """The table: what is not waiting, the dearest first."""
    busy = [row for row in functions if not any(word in str(row[2]) for word in WAITING)]
    total = sum(float(str(row[4])) for row in busy)
    yield "| share | ms | calls | function |"
    yield "|---|---|---|---|"
    for file, line, name, calls, own in busy[:MOST]:
        where = name if file == "~" else f"{'/'.join(Path(str(file)).parts[-2:])}:{line} {name}"
        yield f"| {float(str(own)) / total:.0%} | {1e3 * float(str(own)):.1f} | {calls:,} | `{where}` |"


def recorded(payloads: list[bytes]) -> Sequence[Sequence[object]]:
    """Where the recorder's time goes while a service floods it."""
    with tempfile.TemporaryDirectory(prefix="tickdeck-bench-") as name:
        folder = Path(name)
        make_of(folder / "tape.cassette", payloads)
        with (
            service("flood", folder / "tape.cassette") as flood,
            recorder(folder / "x.cassette", flood.port, "--profile") as proxy,
        ):
            received(proxy.port, wanted(iter(payloads)))
            functions: Sequence[Sequence[object]] = proxy.ask("stop")["functions"]
    return functions


def answered(requests: int) -> Sequence[Sequence[object]]:
    """Where the recorder's time goes with one REST request after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="tickdeck-bench-") as name,
        service("rest") as rest,
        recorder(Path(name) / "x.cassette", rest.port, "--profile") as proxy,
    ):
        request_seconds(proxy.port, requests, 1)
        functions: Sequence[Sequence[object]] = proxy.ask("stop")["functions"]
    return functions


def main() -> None:
    """Play one course and print where the time went."""
    parser = argparse.ArgumentParser(description="Where the player's time goes.")
    parser.add_argument("course", choices=[*COURSES, *RECORDED, ANSWERED])
    course = parser.parse_args().course
    if course in RECORDED:
        print("\n".join(lines(recorded(RECORDED[course](15_000)))))
        return
    if course == ANSWERED:
        print("\n".join(lines(answered(1_000))))
        return
    shape, level, speed, params = COURSES[course]
    with tempfile.TemporaryDirectory(prefix="tickdeck-bench-") as folder:
        bench = Bench(Path(folder))
        if speed == "max":
            tape = bench.tape(shape, size=32 * MB, level=level)
        else:
            tape = bench.tape(shape, frames=3000, level=level, spacing_ns=1_000_000)
        with player(tape, speed=speed, profile=True) as server:
            seconds_for(server.port, expected(tape, params), params=params)
            print("\n".join(lines(server.ask("profile")["functions"])))


if __name__ == "__main__":
    main()
