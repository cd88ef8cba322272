"""Replay at max to one client: how much of what the machine can send, and of what other servers send.

Every contender has a process of its own, and they take turns, so that a busy minute hits all
of them. Before the rounds each is read once with a hash over the bytes; what the player says it
sent is compared with that at the end.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from figures import Row, missing, rates, spread, times
from harness import HERE, MB, Bench, Served, installed, peer, player, served
from listener import WrongBytesError, seconds_for
from tapes import LARGE, ONE, PLAIN, SMALL, Shape, Tape, Wanted, first, wire
from tickdeck.cassette.compression import restore, squeeze

GOALS = {ONE: 150.0, SMALL: 20.0, LARGE: 2.5}
"""Times as fast as a send per message with `websockets`."""

BEGINNINGS = {ONE: 8, SMALL: 2, LARGE: 1}
"""Which part of the tape is enough for them: always more than the buffers of two sockets take up."""

CHUNK = 256 << 10
LIBRARIES = {
    "websockets": "websockets send",
    "aiohttp": "aiohttp send_str",
    "picows": "picows send",
    "ws": "Node's ws send",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A server in the race: what it serves, and how long each round took."""

    server: Served
    wanted: Wanted
    seconds: list[float]

    def rates(self) -> list[float]:
        """Bytes a second, round by round."""
        return rates(self.wanted.wire_bytes, self.seconds)


def measure(bench: Bench) -> Iterator[Row]:
    """Frames of one event, of a kilobyte and of sixteen."""
    for shape in GOALS:
        yield from _race(bench, shape)


def _race(bench: Bench, shape: Shape) -> Iterator[Row]:
    size = (24 if bench.quick else 64) * MB
    plain, packed = bench.tape(shape, size=size, level=PLAIN), bench.tape(shape, size=size)
    loops = ["asyncio", *(["uvloop"] if installed("uvloop") else [])]
    with ExitStack() as running:
        ours = {
            (kind, loop): Contender(running.enter_context(player(tape, loop=loop)), _whole(tape), [])
            for kind, tape in (("plain chunks", plain), ("zstd", packed))
            for loop in loops
        }
        raw = Contender(running.enter_context(peer("sendall", plain)), _whole(plain), [])
        others, absent = _libraries(bench, plain, running)
        contenders = [*ours.values(), raw, *others.values()]
        for each in contenders:
            seconds_for(each.server.port, each.wanted, check=True)
        for _ in range(bench.rounds):
            for each in contenders:
                each.seconds.append(seconds_for(each.server.port, each.wanted))
        for each in ours.values():
            _same_digests(each)
    decompressed = _decompressing(packed, bench.rounds)
    what = f"replay at max, {shape.name} frames"
    for (kind, loop), each in ours.items():
        said = f"{what}, {kind}" + (", uvloop" if loop == "uvloop" else "")
        if kind == "zstd":
            yield _beside_slower(said, each, raw.rates(), decompressed)
        else:
            yield _beside_raw(said, each, raw.rates(), 0.75 if loop == "uvloop" else 0.6)
    if "uvloop" not in loops:
        yield missing(f"{what}, uvloop", "uvloop is not installed", goal="75 %")
    for name, other in others.items():
        yield _beside_library(f"{what}, plain chunks", ours["plain chunks", "asyncio"], name, other, shape)
    for name, why in absent.items():
        yield missing(f"{what}, against {LIBRARIES[name]}", why)


def _whole(tape: Tape) -> Wanted:
    return Wanted(tape.frames, tape.wire_bytes, tape.digest)


def _libraries(bench: Bench, tape: Tape, running: ExitStack) -> tuple[dict[str, Contender], dict[str, str]]:
    """The servers that send message by message; and why some are absent.

    The slow ones send the beginning of the tape only: their rate does not depend on its length.
    """
    beginning = tape.beginning(tape.frames // BEGINNINGS[tape.shape])
    others, absent = {}, {}
    for name in ("websockets", "aiohttp", "picows"):
        if installed(name):
            server = running.enter_context(peer(name, tape, beginning.frames))
            others[name] = Contender(server, beginning, [])
        else:
            absent[name] = f"{name} is not installed"
    try:
        command = node(bench.folder, tape, beginning.frames)
        others["ws"] = Contender(running.enter_context(served(command)), beginning, [])
    except NoNodeError as error:
        absent["ws"] = str(error)
    return others, absent


class NoNodeError(Exception):
    """Node's `ws` cannot be had here; the text says why."""


def node(folder: Path, tape: Tape, frames: int) -> list[str | Path]:
    """The command of the server on Node's `ws`, which is fetched into the temporary folder."""
    found, fetcher = shutil.which("node"), shutil.which("npm")
    if found is None or fetcher is None:
        raise NoNodeError("node and npm are not on PATH")
    home = folder / "node"
    if not (home / "node_modules" / "ws").exists():
        home.mkdir(exist_ok=True)
        fetched = subprocess.run(
            [fetcher, "install", "--no-audit", "--no-fund", "--prefix", str(home), "ws"],
            cwd=home,
            capture_output=True,
            check=False,
        )
        if fetched.returncode:
            raise NoNodeError("npm could not fetch ws")
        shutil.copy(HERE / "ws_peer.mjs", home)
    messages = home / f"{tape.path.stem}.messages"
    with messages.open("wb") as file:
        file.writelines(len(payload).to_bytes(4, "little") + payload for payload in first(tape.shape, frames))
    return [found, home / "ws_peer.mjs", messages]


def _same_digests(contender: Contender) -> None:
    said = {client["digest"] for client in contender.server.ask("report")["clients"]}
    if said != {contender.wanted.digest}:
        raise WrongBytesError(f"the player says it sent {said}, the tape is {contender.wanted.digest}")


def _decompressing(tape: Tape, rounds: int) -> list[float]:
    """Bytes a second that zstd alone gives back, of the tape's bytes in pieces of a chunk's size."""
    whole = b"".join(map(wire, first(tape.shape, tape.frames)))
    pieces = [whole[at : at + CHUNK] for at in range(0, len(whole), CHUNK)]
    stored = [(*squeeze(piece), len(piece)) for piece in pieces]
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for method, data, size in stored:
            restore(method, data, size)
        seconds.append(time.perf_counter() - begun)
    return rates(len(whole), seconds)


def _beside_raw(what: str, ours: Contender, raw: list[float], goal: float) -> Row:
    mine, theirs = spread(ours.rates()), spread(raw)
    ratio = mine.median / theirs.median
    return Row(
        what,
        mine.says("B/s"),
        f"bare sendall {theirs.says('B/s')}",
        f"{ratio:.0%}",
        f"{goal:.0%}",
        ratio >= goal,
        {"tickdeck": ours.rates(), "sendall": raw},
    )


def _beside_slower(what: str, ours: Contender, raw: list[float], decompressed: list[float]) -> Row:
    mine, sending, unpacking = spread(ours.rates()), spread(raw), spread(decompressed)
    ratio = mine.median / min(sending.median, unpacking.median)
    slower = f"zstd alone {unpacking.says('B/s')}"
    if sending.median < unpacking.median:
        slower = f"bare sendall {sending.says('B/s')}"
    return Row(
        what,
        mine.says("B/s"),
        slower,
        f"{ratio:.0%}",
        "80% of the slower of sendall and zstd",
        ratio >= 0.8,
        {"tickdeck": ours.rates(), "sendall": raw, "zstd": decompressed},
    )


def _beside_library(what: str, ours: Contender, name: str, other: Contender, shape: Shape) -> Row:
    mine, theirs = spread(ours.rates()), spread(other.rates())
    ratio = mine.median / theirs.median
    goal = GOALS[shape] if name == "websockets" else None
    return Row(
        what,
        mine.says("B/s"),
        f"{LIBRARIES[name]} {theirs.says('B/s')}",
        times(ratio),
        "" if goal is None else times(goal),
        None if goal is None else ratio >= goal,
        {"tickdeck": ours.rates(), name: other.rates()},
    )
