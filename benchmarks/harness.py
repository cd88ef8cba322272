"""What every subject needs: servers in processes of their own, tapes that are made once, and rounds."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tapes
from tapes import Shape, Tape

HERE = Path(__file__).parent
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs: its port, and its standard streams."""

    port: int
    process: subprocess.Popen[str]

    def ask(self, word: str) -> dict[str, Any]:
        """What the server answers to a word (`player.py`)."""
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """The next thing that it says of itself."""
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def served(command: Sequence[str | Path]) -> Iterator[Served]:
    """A server in a process of its own, which first prints its port; ended without ceremony."""
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    try:
        first = process.stdout.readline()
        if not first.strip().isdigit():
            raise RuntimeError(f"{Path(str(command[1])).name} did not come up")
        yield Served(int(first), process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextmanager
def player(tape: Tape, **words: str | bool) -> Iterator[Served]:
    """tickdeck, playing a tape; the words are options of `player.py`."""
    options: list[str] = []
    for name, value in words.items():
        if value is not False:
            options += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    with served([sys.executable, HERE / "player.py", tape.path, *options]) as server:
        yield server


@contextmanager
def peer(name: str, tape: Tape, number: int | None = None) -> Iterator[Served]:
    """One of `peers.py`."""
    words = [] if number is None else [str(number)]
    with served([sys.executable, HERE / "peers.py", name, tape.path, *words]) as server:
        yield server


@contextmanager
def service(name: str, *words: str | Path) -> Iterator[Served]:
    """One of `service.py`."""
    with served([sys.executable, HERE / "service.py", name, *words]) as server:
        yield server


@contextmanager
def recorder(output: Path, port: int, *options: str) -> Iterator[Served]:
    """tickdeck, recording what passes to the service at a port."""
    with served([sys.executable, HERE / "recorder.py", output, str(port), *options]) as server:
        yield server


def installed(module: str) -> bool:
    """Whether a peer's library is there; the extra ``bench`` has them all."""
    return importlib.util.find_spec(module) is not None


@dataclass(slots=True)
class Bench:
    """One run of the benchmarks: how often, how large, and where the tapes lie."""

    folder: Path
    rounds: int = 5
    quick: bool = False
    _made: dict[tuple[object, ...], Tape] = field(default_factory=dict)

    def tape(
        self,
        shape: Shape,
        *,
        size: int = 0,
        frames: int = 0,
        level: int = tapes.ZSTD,
        spacing_ns: int = 1000,
    ) -> Tape:
        """A tape, made at its first use."""
        asked = (shape, size, frames, level, spacing_ns)
        if asked not in self._made:
            path = self.folder / f"{len(self._made)}.cassette"
            self._made[asked] = tapes.make(
                path, shape, size=size, frames=frames, level=level, spacing_ns=spacing_ns
            )
        return self._made[asked]


def machine() -> str:
    """Where this was measured."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), model)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {os.cpu_count()} x {model}, {platform.system()} {platform.release()}"
