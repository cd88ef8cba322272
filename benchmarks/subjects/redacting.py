"""What known secrets cost a recorder: frames through redaction, with one key known, and with eighty cookies besides."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from figures import Row, spread, times
from harness import Bench
from tapes import Shape, trade
from tickdeck import dialects
from tickdeck.cassette.records import TEXT, Frame, Interaction, Sender
from tickdeck.cassette.redaction import Redactor

COOKIES = 80
GOAL = 1.1
KEY = "an_Api_Key_of_32_characters_0000"
SHAPES = (Shape("small", trade, 1), Shape("large", trade, 45))


def measure(bench: Bench) -> Iterator[Row]:
    """A row for small frames and one for large ones; the two redactors take turns."""
    quiet, busy = _redactor(0), _redactor(COOKIES)
    for shape in SHAPES:
        payloads = list(islice(shape.payloads(), 500 if bench.quick else 5_000))
        frames = [Frame(seq, seq, 0, Sender.SERVER, TEXT, each) for seq, each in enumerate(payloads)]
        rounds = [(_seconds(quiet, frames), _seconds(busy, frames)) for _ in range(bench.rounds)]
        alone, besides = (
            spread(seconds / len(frames) for seconds in each) for each in zip(*rounds, strict=True)
        )
        ratio = spread(many / one for one, many in rounds).median
        size = sum(map(len, payloads)) / len(payloads)
        yield Row(
            f"redaction of a frame of {size:.0f} B, a key and {COOKIES} cookies known",
            besides.says("s"),
            f"one key known {alone.says('s')}",
            times(ratio),
            f"at most {GOAL}x",
            ratio <= GOAL,
            {"cookies": [each[1] for each in rounds], "one key": [each[0] for each in rounds]},
        )


def _redactor(cookies: int) -> Redactor:
    """It knows a key, and has seen a service set another cookie with each of so many answers."""
    chance, redactor = random.Random(1), Redactor(dialects.find("polygon").places, known=[KEY])
    for _ in range(cookies):
        cookie = "".join(chance.choices(string.ascii_letters + string.digits, k=chance.randint(43, 86)))
        headers = ((b"Set-Cookie", f"session={cookie}; Path=/".encode()),)
        redactor.clean(Interaction(0, 0, 0, 0, 0, "GET", "https://x.test/", 200, response_headers=headers))
    return redactor


def _seconds(redactor: Redactor, frames: Sequence[Frame]) -> float:
    """Of the processor: what else the machine does is not counted."""
    begun = time.process_time()
    for frame in frames:
        redactor.clean(frame)
    return time.process_time() - begun
