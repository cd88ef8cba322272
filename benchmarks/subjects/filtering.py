"""A part of a mixed feed, beside the loop that everybody writes: parse, pick, write again.

In memory: from chunks that were decoded before to bytes for a socket, beside the loop over payloads; a short
tape, of which the player keeps every chunk. By socket: from the acknowledgement to the last byte of a long one,
read from disk; the loop has its payloads in memory there, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import xxhash

from figures import Row, missing, rates, spread, times
from harness import MB, Bench, installed, peer, player
from listener import WrongBytesError, seconds_for
from peers import filtered
from tapes import MIXED, PLAIN, SYMBOLS, Tape, Wanted, payloads_of, wanted
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
    short = bench.tape(MIXED, size=2 * MB)
    size = (24 if bench.quick else 64) * MB
    long = {"plain chunks": bench.tape(MIXED, size=size, level=PLAIN), "zstd": bench.tape(MIXED, size=size)}
    for what, params, goal in SUBSCRIPTIONS:
        yield _in_memory(bench, short, what, params, goal)
        for kind, tape in long.items():
            yield _socket(bench, tape, f"{what}, by socket, {kind}", params, goal)


def expected(tape: Tape, params: str) -> Wanted:
    """What a client of these channels is to get."""
    return tape.cut(_keeper(params))


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


def _in_memory(bench: Bench, tape: Tape, what: str, params: str, goal: float) -> Row:
    right, payloads, names = expected(tape, params), payloads_of(tape.path), frozenset(params.split(","))
    _same(right, wanted(filtered(payloads, params)), "the orjson loop")
    samples: dict[str, list[float]] = {"tickdeck": [], "orjson": []}
    with open_cassette(tape.path) as cassette:
        market = playing.Tape(cassette, market="stocks")
        digest = xxhash.xxh3_128(b"".join(_cuts(market, names))).hexdigest()
        if digest != right.digest:
            raise WrongBytesError(f"the cutter made other bytes than {right}")
        for _ in range(4 * bench.rounds):
            begun = time.perf_counter()
            _cuts(market, names)
            samples["tickdeck"].append(time.perf_counter() - begun)
            begun = time.perf_counter()
            for _payload in filtered(payloads, params):
                pass
            samples["orjson"].append(time.perf_counter() - begun)
    return _row(f"{what}, in memory", "the orjson loop", tape, samples, goal)


def _cuts(market: playing.Tape, names: frozenset[str]) -> list[bytes]:
    """Every piece of the tape, cut anew."""
    cutter = Cutter(market)
    return [cutter.cut(number, names).wire for number in range(market.pieces)]


def _socket(bench: Bench, tape: Tape, what: str, params: str, goal: float) -> Row:
    samples: dict[str, list[float]] = {"tickdeck": [], "orjson": []}
    right = expected(tape, params)
    with player(tape) as ours, peer("orjson", tape) as other:
        for server in (ours, other):
            seconds_for(server.port, right, params=params, check=True)
        for _ in range(bench.rounds):
            for name, server in (("tickdeck", ours), ("orjson", other)):
                samples[name].append(seconds_for(server.port, right, params=params))
    return _row(what, "the orjson loop and sendall", tape, samples, goal)


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
