"""An hour of recording in minutes: ``python benchmarks/soak.py [--minutes 5] [--frames 3600000]``.

`tickdeck record` stands between a service that numbers its frames and a client that comes back whenever
the line is lost; both lose it on purpose, at places that a seed chooses. The frames of an hour at
1,000 a second go through as fast as the recorder takes them. Then every number is looked for: what the client
got must be on the cassette, in order and once, and where the service ended the connection in order,
nothing it sent may be missing on either side. Memory and descriptors of the recorder are watched all
the while. The exit code is 1 if a frame is unaccounted for.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import HERE
from listener import WrongBytesError, connect, subscribe
from tickdeck.cassette.files import open_cassettes

NUMBERED = re.compile(rb'"k":(\d+),"n":(\d+)\}\]')
EVERY_S = 0.25
"""Between two looks at the recorder's memory."""
ROTATE = "64MiB"
PATIENCE_S = 60
IN_ORDER = ("close", "end")
"""Ends behind which nothing is lost on the way."""


@dataclass(slots=True)
class Stretch:
    """Numbers without a hole, from ``first`` up to, not including, ``behind``."""

    first: int | None = None
    behind: int = 0
    left: bool = False
    """Whether the client ended it, and need not have seen the end."""

    def add(self, numbers: list[int]) -> None:
        """The next ones. WrongBytesError where they do not go on."""
        if not numbers:
            return
        begin = numbers[0] if self.first is None else self.behind
        if numbers != list(range(begin, begin + len(numbers))):
            raise WrongBytesError(f"frames behind {self.behind} are missing, or came twice")
        if self.first is None:
            self.first = begin
        self.behind = begin + len(numbers)

    @property
    def count(self) -> int:
        return 0 if self.first is None else self.behind - self.first


@dataclass(slots=True)
class Watch:
    """A process that is looked at now and then: its memory in KiB, its open descriptors."""

    pid: int
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until `stop`."""
        process = Path(f"/proc/{self.pid}")
        while not self._over.wait(EVERY_S):
            try:
                rows = (process / "status").read_text().splitlines()
                self.descriptors.append(len(list((process / "fd").iterdir())))
            except OSError:
                return  # it has ended
            self.memory += [int(row.split()[1]) for row in rows if row.startswith("VmRSS:")]

    def stop(self) -> None:
        self._over.set()


def quarters(samples: list[int]) -> list[float]:
    """The median of each quarter of the time."""
    size = max(len(samples) // 4, 1)
    return [statistics.median(samples[at * size : (at + 1) * size] or samples[-1:]) for at in range(4)]


@contextmanager
def lines_of(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], queue.Queue[Any]]]:
    """A process, and the lines that it says, as JSON; ended at the latest with the block."""
    said: queue.Queue[Any] = queue.Queue()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    stream = process.stdout

    def hear() -> None:
        for line in stream:
            said.put(json.loads(line))

    ear = threading.Thread(target=hear, daemon=True)
    ear.start()
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()
        ear.join()
        assert process.stdin
        process.stdin.close()
        stream.close()


def read(port: int, dice: random.Random, deadline: float) -> Stretch:
    """One connection of the client's: read until it is lost, or lose it."""
    got = Stretch()
    patience = dice.randrange(1_000, 120_000)
    with connect(port) as sock:
        held = subscribe(sock)
        while True:
            end = 0
            numbers = []
            for each in NUMBERED.finditer(held):
                numbers.append(int(each[2]))
                end = each.end()
            got.add(numbers)
            held = held[end:]
            if held[:1] == b"\x88":
                sock.sendall(b"\x88\x80" + bytes(4))
            if got.count > patience or time.monotonic() > deadline:
                _leave(sock, dice)
                got.left = True
                return got
            try:
                came = sock.recv(1 << 18)
            except ConnectionError:
                return got
            if not came:
                return got
            held += came


def _leave(sock: socket.socket, dice: random.Random) -> None:
    """Half of the time so that what is on the way is lost, too."""
    if dice.random() < 0.5:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def kept(folder: Path) -> dict[int, Stretch]:
    """By connection what is on the cassette, or on its segments. WrongBytesError for a hole, or a frame twice."""
    found: dict[int, Stretch] = {}
    tracks: dict[int, int] = {}
    with open_cassettes([folder / "*.cassette"]) as tape:
        for chunk in tape.chunks():
            for lane in chunk.lanes:
                numbers = [(int(k), int(n)) for k, n in NUMBERED.findall(bytes(lane.wire))]
                if numbers:
                    connection = tracks.setdefault(lane.track, numbers[0][0])
                    if {k for k, _ in numbers} != {connection}:
                        raise WrongBytesError(f"track {lane.track} has frames of several connections")
                    found.setdefault(connection, Stretch()).add([n for _, n in numbers])
    return found


def unaccounted(sent: dict[int, Any], got: dict[int, Stretch], on_tape: dict[int, Stretch]) -> list[str]:
    """What does not fit together, in words."""
    wrong = []
    for connection, line in sent.items():
        client, tape = got.get(connection, Stretch()), on_tape.get(connection, Stretch())
        sent_frames = line["behind"] - line["first"]
        told = f"connection {connection} ({line['how']}): sent {line['first']} to {line['behind']}"
        if client.count and (tape.first != client.first or tape.behind < client.behind):
            wrong.append(f"{told}; the client got up to {client.behind}, kept is up to {tape.behind}")
        if tape.behind > line["behind"] or (tape.count and tape.first != line["first"]):
            wrong.append(f"{told}; kept is {tape.first} to {tape.behind}")
        if line["how"] in IN_ORDER and not client.left and sent_frames:
            if tape.behind != line["behind"]:
                wrong.append(f"{told}; kept is only up to {tape.behind}")
            if client.behind != line["behind"]:
                wrong.append(f"{told}; the client got only up to {client.behind}")
    return wrong


def soak(folder: Path, *, frames: int, seconds: float, seed: int) -> int:
    """All of it; the exit code."""
    service = [sys.executable, str(HERE / "service.py"), "numbered", str(frames), str(seed)]
    with lines_of(service) as (_, served):
        port = served.get(timeout=PATIENCE_S)
        command = [sys.executable, "-m", "tickdeck", "record", "-o", str(folder / "soak.cassette"), "--json"]
        command += ["--listen", "127.0.0.1:0"]
        command += [f"--upstream-{kind}={kind}://127.0.0.1:{port}" for kind in ("http", "ws")]
        rotates = (
            "--rotate" in subprocess.run([*command[:4], "--help"], capture_output=True, text=True).stdout
        )
        with lines_of(command + (["--rotate", ROTATE] if rotates else [])) as (recorder, told):
            return _soak(folder, served, recorder, told, frames=frames, seconds=seconds, seed=seed)


def _soak(
    folder: Path,
    served: queue.Queue[Any],
    recorder: subprocess.Popen[str],
    told: queue.Queue[Any],
    *,
    frames: int,
    seconds: float,
    seed: int,
) -> int:
    listening = told.get(timeout=PATIENCE_S)
    port = int(listening["feed"].rpartition(":")[2])
    watch = Watch(recorder.pid)
    watching = threading.Thread(target=watch.run)
    watching.start()
    dice, begun = random.Random(seed), time.monotonic()
    sent: dict[int, Any] = {}
    got: dict[int, Stretch] = {}
    behind = 0
    while behind < frames and time.monotonic() < begun + seconds:
        stretch = read(port, dice, begun + seconds)
        line = served.get(timeout=PATIENCE_S)
        behind = line["behind"]
        sent[line["connection"]], got[line["connection"]] = line, stretch
    took = time.monotonic() - begun
    watch.stop()
    watching.join()
    recorder.send_signal(signal.SIGINT)
    report = _last(told)
    on_tape = kept(folder)
    wrong = unaccounted(sent, got, on_tape)
    _say(sent, got, on_tape, report, watch, took=took, segments=len(list(folder.glob("*.cassette"))))
    print("\n".join(wrong) or "every frame is accounted for")
    return 1 if wrong else 0


def _last(told: queue.Queue[Any]) -> dict[str, Any]:
    while True:
        line: dict[str, Any] = told.get(timeout=PATIENCE_S)
        if line["kind"] == "report":
            return line


def _say(
    sent: dict[int, Any],
    got: dict[int, Stretch],
    on_tape: dict[int, Stretch],
    report: dict[str, Any],
    watch: Watch,
    *,
    took: float,
    segments: int,
) -> None:
    kept_frames = sum(each.count for each in on_tape.values())
    how = [line["how"] for line in sent.values()]
    ends = ", ".join(f"{how.count(each)} by {word}" for each, word in WORDS.items())
    memory = " ".join(f"{each / 1024:.1f}" for each in quarters(watch.memory))
    descriptors = " ".join(f"{each:.0f}" for each in quarters(watch.descriptors))
    total = sum(line["behind"] - line["first"] for line in sent.values())
    taken = sum(each.count for each in got.values())
    print(f"{total:,} frames sent, {taken:,} got, {kept_frames:,} kept, in {took:.0f} s")
    print(f"{kept_frames / took:,.0f} frames/s; {len(sent)} connections, lost {ends}; {segments} cassettes")
    print(f"memory by quarter, MiB: {memory}; at most {max(watch.memory) / 1024:.1f}")
    print(f"descriptors by quarter: {descriptors}; at most {max(watch.descriptors)}")
    print(
        f"pauses {report['pauses']} ({report['paused_seconds']} s), write-ahead at most "
        f"{report['journal_most_chunks']} chunks, compression {report['compression']}, "
        f"delay p50 {report['delay_p50_ns'] / 1e6:.2f} ms, p99 {report['delay_p99_ns'] / 1e6:.2f} ms"
    )


WORDS = {
    "close": "a close frame",
    "end": "the end of the stream",
    "reset": "a reset",
    "client": "the client",
}


def main() -> int:
    """Soak, and tell."""
    parser = argparse.ArgumentParser(description="An hour of recording in minutes.")
    parser.add_argument("--minutes", type=float, default=5, help="stop after so long at the latest")
    parser.add_argument("--frames", type=int, default=3_600_000, help="an hour at 1,000 a second")
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tickdeck-soak-") as folder:
        return soak(Path(folder), frames=wish.frames, seconds=60 * wish.minutes, seed=wish.seed)


if __name__ == "__main__":
    sys.exit(main())
