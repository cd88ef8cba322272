"""The demo: the bundled cassette plays the vendor, a bot is recorded on the way to it, then sees the tape again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.demo_bot import Seen, trade
from tickdeck.mockserver.choices import AtEnd
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.playhead import parse_speed
from tickdeck.mockserver.server import Player
from tickdeck.recorder.notices import Listening, Notice
from tickdeck.recorder.run import Options, Recorder
from tickdeck.watch.realtime import REAL

SAMPLE: Final = "minute-turns.cassette"
SPEEDS: Final = ("1", "10", "max")


@dataclass(frozen=True, slots=True)
class Take:
    """The bot's run against one server: how long it took, what the bot saw, and the server's own tape digest."""

    title: str
    speed: str
    took_ns: int
    seen: Seen
    digest: str


def perform(recording: Path, say: Callable[[str], None]) -> list[Take]:
    """Record the bot onto ``recording``, then play that back to it at each speed; the takes, the recorded one first."""
    with ExitStack() as held:
        sample = held.enter_context(resources.as_file(resources.files("tickdeck") / "samples" / SAMPLE))
        bundled = held.enter_context(open_cassette(sample))
        return asyncio.run(_perform(bundled, recording, say))


def same(takes: list[Take]) -> bool:
    """Whether the bot saw the same each time, and each server says that it sent the same."""
    return len({(take.seen, take.digest) for take in takes}) == 1


async def _perform(bundled: Cassette, recording: Path, say: Callable[[str], None]) -> list[Take]:
    say(f"the bundled cassette plays the vendor, the bot is recorded onto {recording.name}")
    takes = [await _record(bundled, recording)]
    for speed in SPEEDS:
        say(f"the recording plays at speed {speed}")
        with open_cassette(recording) as cassette:
            takes.append(await _play(cassette, speed))
    return takes


async def _record(bundled: Cassette, recording: Path) -> Take:
    async with Player(bundled, PlayOptions(at_end=AtEnd.CLOSE)) as vendor:
        ready: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()

        def hear(notice: Notice) -> None:
            if isinstance(notice, Listening):
                ready.set_result(notice)

        options = Options(
            output=recording,
            upstream_http=vendor.http_url,
            upstream_ws=vendor.ws_url,
            listen_port=0,
            program="tickdeck demo",
        )
        recorder = Recorder(options, notify=hear)
        running = asyncio.ensure_future(recorder.run())
        await asyncio.wait((ready, running), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        proxy = ready.result()
        took_ns, seen = await _timed(proxy.http, proxy.ws)
        recorder.request_stop()
        await running
    return Take("recorded", "1", took_ns, seen, _digest(vendor))


async def _play(cassette: Cassette, speed: str) -> Take:
    options = PlayOptions(speed=parse_speed(speed), at_end=AtEnd.CLOSE)
    async with Player(cassette, options) as player:
        took_ns, seen = await _timed(player.http_url, player.ws_url)
    return Take("played", speed, took_ns, seen, _digest(player))


async def _timed(http_url: str, ws_url: str) -> tuple[int, Seen]:
    before = REAL.monotonic_ns()
    seen = await trade(http_url, ws_url)
    return REAL.monotonic_ns() - before, seen


def _digest(player: Player) -> str:
    """What the server says it sent to its only client."""
    clients = player.report()["clients"]
    assert isinstance(clients, list)
    return str(clients[0]["digest"])
