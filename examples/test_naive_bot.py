"""Finds the bug of `naive_bot.py`: this test fails, and is here to fail.

pip install 'tickdeck[testing]' websockets
pytest examples/test_naive_bot.py

Hypothesis shrinks what it finds to two trades in one frame, and the tape is saved as a
cassette in .tickdeck/failing, to be looked at (`tickdeck cat`) or played to the bot.
"""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import Phase, given, settings
from naive_bot import VolumeBot

from tickdeck.cassette.records import Frame
from tickdeck.strategies import events, frames, played, tapes
from tickdeck.testing.tapes import Tape

TRADES = frames(events("T", symbols=["AAPL", "MSFT"], quirks=False), most=3, quirks=False)


@given(tapes(TRADES, most=2, quirks=False))
@settings(max_examples=25, deadline=None, phases=(Phase.generate, Phase.shrink))
def test_every_share_is_counted(tape: Tape) -> None:
    traded: Counter[str] = Counter()
    for record in tape.records():
        if isinstance(record, Frame):
            for event in json.loads(record.payload):
                traded[event["sym"]] += event["s"]
    with played(tape, at_end="close", settle=0) as market:
        bot = VolumeBot(market.ws_url, market.key)
        bot.run("AAPL", "MSFT")
        assert bot.volume == traded
