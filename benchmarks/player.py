"""tickdeck's player as a server that is measured: ``python player.py CASSETTE [--speed ...]``.

It prints its port, and then a JSON object for each word on its standard input:
``usage`` is what the process has cost so far, ``report`` what the player says of itself,
``profile`` (with ``--profile``) where its time went.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import sys
from collections.abc import Callable

from tickdeck.cassette.files import open_cassette
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player
from usage import usage


def _new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name == "asyncio":
        return None
    import uvloop

    return uvloop.new_event_loop


def _answer(player: Player, word: str, profile: cProfile.Profile) -> dict[str, object]:
    if word == "profile":
        profile.disable()
        return {"functions": functions(profile)}
    if word == "usage":
        started = [entry.now_ns for entry in player.journal.entries if entry.kind == "started"]
        return {**usage(), "started_ns": started[-1] if started else None}
    report = player.report()
    return {name: report[name] for name in ("clients", "lateness")}


def functions(profile: cProfile.Profile) -> list[list[object]]:
    """Where the time went: place, function, calls and seconds of its own, the longest first."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined] # typeshed does not know its one field
    rows = [[*place, calls, own] for place, (_, calls, own, _, _) in stats.items()]
    return sorted(rows, key=lambda row: -row[-1])


async def _play(wish: argparse.Namespace) -> None:
    options = options_of(speed=wish.speed, settle=0, start_on=wish.start_on, tls=wish.tls)
    with open_cassette(wish.cassette) as cassette:
        async with Player(cassette, options) as player:
            profile = cProfile.Profile()
            if wish.profile:
                profile.enable()
            print(player.port, flush=True)
            read = asyncio.get_running_loop().run_in_executor
            while word := (await read(None, sys.stdin.readline)).strip():
                print(json.dumps(_answer(player, word, profile)), flush=True)


def main() -> None:
    """Serve one cassette until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cassette")
    parser.add_argument("--speed", default="max")
    parser.add_argument("--start-on", default="subscribe")
    parser.add_argument("--loop", default="asyncio", choices=("asyncio", "uvloop"))
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--profile", action="store_true")
    wish = parser.parse_args()
    with asyncio.Runner(loop_factory=_new_loop(wish.loop)) as runner:
        runner.run(_play(wish))


if __name__ == "__main__":
    main()
