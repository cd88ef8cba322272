"""How long until it can be used: a sealed cassette opened, `tickdeck play` listening, a server in a test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from websockets.sync.client import connect

from figures import Row, spread, times
from harness import HERE, MB, Bench
from tapes import PLAIN, SMALL, Tape
from tickdeck import MockServer, open_cassette

MS_PER_GB = 5.0
STARTING = 1.2
IN_A_TEST_MS = 20.0


def measure(bench: Bench) -> Iterator[Row]:
    """Three kinds of opening."""
    yield _cassette(bench)
    small = bench.tape(SMALL, frames=100)
    yield _command(bench, small)
    yield _server(bench, small, client=False)
    yield _server(bench, small, client=True)


def _cassette(bench: Bench) -> Row:
    size = 100 if bench.quick else 1000
    tape = bench.tape(SMALL, size=size * MB, level=PLAIN)
    gigabytes = tape.path.stat().st_size / 1e9
    samples = []
    for _ in range(4 * bench.rounds):
        begun = time.perf_counter()
        open_cassette(tape.path).close()
        samples.append((time.perf_counter() - begun) / gigabytes)
    median = spread(samples)
    return Row(
        f"opening a sealed cassette of {gigabytes:.1f} GB, a GB",
        median.says("s"),
        goal=f"{MS_PER_GB:g} ms",
        met=1e3 * median.median <= MS_PER_GB,
        samples={"tickdeck": samples},
    )


def _command(bench: Bench, tape: Tape) -> Row:
    play = [sys.executable, "-m", "tickdeck", "play", str(tape.path), "--json"]
    bare = [sys.executable, str(HERE / "bare_app.py")]
    for command in (play, bare):
        _until_listening(command)
    pairs = [(_until_listening(play), _until_listening(bare)) for _ in range(bench.rounds)]
    mine, theirs = (spread(each) for each in zip(*pairs, strict=True))
    ratio = mine.median / theirs.median
    return Row(
        "`tickdeck play`, from nothing to listening",
        mine.says("s"),
        f"a bare aiohttp app {theirs.says('s')}",
        times(ratio),
        f"at most {times(STARTING)}",
        ratio <= STARTING,
        {"tickdeck": [pair[0] for pair in pairs], "aiohttp": [pair[1] for pair in pairs]},
    )


def _until_listening(command: Sequence[str]) -> float:
    """Seconds from the start of a process to the line on which it says that it listens."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        seconds = time.perf_counter() - begun
        process.kill()
    if "listening" not in line:
        raise RuntimeError(f"{' '.join(command)} did not come to listen: {line!r}")
    return seconds


def _server(bench: Bench, tape: Tape, *, client: bool) -> Row:
    samples = []
    for _ in range(4 * bench.rounds):
        begun = time.perf_counter()
        with MockServer(tape.path, speed="max") as market:
            ready = time.perf_counter()
            held = connect(f"{market.ws_url}/stocks") if client else None
            stopping = time.perf_counter()
        samples.append(time.perf_counter() - stopping + ready - begun)
        if held is not None:
            held.close()
    median = spread(samples)
    return Row(
        "`MockServer` in a test, start and stop" + (", with an idle client" if client else ""),
        median.says("s"),
        goal=f"{IN_A_TEST_MS:g} ms",
        met=1e3 * median.median <= IN_A_TEST_MS,
        samples={"tickdeck": samples},
    )
