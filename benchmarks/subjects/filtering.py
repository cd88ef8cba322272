"""A part of a mixed feed, beside the loop that everybody writes: parse, pick, write again.

Through the library: from the file on disk to bytes for a socket, nothing kept from before, beside
the same loop over payloads that are in memory already. By socket: from the acknowledgement to the
last byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from figures import Row, missing, rates, spread, times
from harness import MB, Bench, installed, peer, player
from listener import WrongBytesError, seconds_for
from peers import chooser, filtered
from tapes import MIXED, SYMBOLS, Tape, Wanted, payloads_of, wanted

from tickdeck.cassette.files import open_cassette
from tickdeck.mockserver import tape as playing
from tickdeck.mockserver.cutter import Cutter

TEN = ",".join(f"{topic}.{symbol}" for symbol in SYMBOLS[:10] for topic in "TQ")
SUBSCRIPTIONS = (("10 symbols of a mixed feed", TEN, 50.0), ("T.* of a mixed feed", "T.*", 6.0))


def measure(bench: Bench) -> Iterator[Row]:
    """Ten symbols out of two hundred, and one topic out of two."""
    if not installed("orjson"):
        yield missing("filtering a mixed feed", "orjson is not installed", goal="50x and 6x")
        return
    tape = bench.tape(MIXED, size=(24 if bench.quick else 64) * MB)
    payloads = payloads_of(tape.path)
    for what, params, goal in SUBSCRIPTIONS:
        expected = tape.cut(_keeper(params))
        _same(expected, wanted(filtered(payloads, chooser(params))), "the orjson loop")
        yield _library(bench, tape, payloads, what, params, expected, goal)
        yield _socket(bench, tape, what, params, expected, goal)


def _keeper(params: str) -> Callable[[bytes], bool]:
    """Whether an event is wanted, by its first bytes; written apart from both contenders."""
    starts = []
    for name in params.split(","):
        topic, _, symbol = name.partition(".")
        starts.append(f'"ev":"{topic}","sym":"' + ("" if symbol == "*" else f'{symbol}"'))
    prefixes = tuple(start.encode() for start in starts)
    return lambda event: event.removeprefix(b"{").startswith(prefixes)


def _same(expected: Wanted, got: Wanted, who: str) -> None:
    if got != expected:
        raise WrongBytesError(f"{who} made {got.frames} frames of {got.wire_bytes} bytes, not {expected}")


def _cut(tape: Tape, params: str) -> int:
    """All pieces of the tape, cut; their bytes."""
    names = frozenset(params.split(","))
    with open_cassette(tape.path) as cassette:
        market = playing.Tape(cassette, market="stocks")
        cutter = Cutter(market)
        return sum(len(cutter.cut(number, names).wire) for number in range(market.pieces))


def _library(
    bench: Bench, tape: Tape, payloads: list[bytes], what: str, params: str, expected: Wanted, goal: float
) -> Row:
    samples: dict[str, list[float]] = {"tickdeck": [], "orjson": []}
    for _ in range(bench.rounds):
        begun = time.perf_counter()
        size = _cut(tape, params)
        samples["tickdeck"].append(time.perf_counter() - begun)
        if size != expected.wire_bytes:
            raise WrongBytesError(f"the cutter made {size} bytes, not {expected.wire_bytes}")
        begun = time.perf_counter()
        for _payload in filtered(payloads, chooser(params)):
            pass
        samples["orjson"].append(time.perf_counter() - begun)
    return _row(f"{what}, through the library", "the orjson loop", tape, samples, goal)


def _socket(bench: Bench, tape: Tape, what: str, params: str, expected: Wanted, goal: float) -> Row:
    samples: dict[str, list[float]] = {"tickdeck": [], "orjson": []}
    with player(tape) as ours, peer("orjson", tape) as other:
        for server in (ours, other):
            seconds_for(server.port, expected, params=params, check=True)
        for _ in range(bench.rounds):
            for name, server in (("tickdeck", ours), ("orjson", other)):
                samples[name].append(seconds_for(server.port, expected, params=params))
    return _row(f"{what}, by socket", "the orjson loop and sendall", tape, samples, goal)


def _row(what: str, who: str, tape: Tape, seconds: dict[str, list[float]], goal: float) -> Row:
    samples = {name: rates(tape.payload_bytes, each) for name, each in seconds.items()}
    mine, theirs = spread(samples["tickdeck"]), spread(samples["orjson"])
    ratio = mine.median / theirs.median
    return Row(
        what,
        f"{mine.says('B/s')} of feed",
        f"{who} {theirs.says('B/s')}",
        times(ratio),
        times(goal),
        ratio >= goal,
        samples,
    )
