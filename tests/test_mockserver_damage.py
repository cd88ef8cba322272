"""A chunk that cannot be read, wherever it lies and at whatever speed: clients and the exit code say so."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.reader import Cassette
from tickdeck.mockserver.harness import MockServer

Make = Callable[..., Cassette]
FRAMES = 1500


@pytest.fixture
def sound(make: Make, story: Any) -> Cassette:
    story.opens(0, 0)
    for number in range(FRAMES):
        story.says(0, number, f'[{{"ev":"T","sym":"A","n":{number},"pad":"{"x" * 500}"}}]')
    return make(story.records)


def flipped(cassette: Cassette, folder: Path, number: int) -> tuple[Path, int]:
    """A copy with one bit of a chunk flipped, and how many frames come before that chunk."""
    refs = cassette.chunk_refs()
    ref = refs[number]
    path = folder / "flipped.cassette"
    content = bytearray((folder / cassette.name).read_bytes())
    content[ref.position + ref.size // 2] ^= 1
    path.write_bytes(content)
    return path, max(ref.first_seq - 1, 0)  # the first record opens the track


async def listen(origin: str) -> tuple[list[int], int | None]:
    """All that a client is sent of the tape, and the close code."""
    numbers: list[int] = []
    async with connect(f"{origin}/stocks", max_size=None) as bot:
        await bot.send(json.dumps({"action": "auth", "params": "k"}))
        await bot.send(json.dumps({"action": "subscribe", "params": "T.*"}))
        try:
            async for message in bot:
                numbers += [event["n"] for event in json.loads(message) if event["ev"] == "T"]
        except ConnectionClosed:
            pass
        return numbers, bot.close_code


@pytest.mark.parametrize("speed", ["max", 1e9, "lockstep"])
@pytest.mark.parametrize("number", [0, 1, -1])
async def test_clients_get_what_lies_before_a_damaged_chunk_and_then_1011(
    sound: Cassette, tmp_path: Path, number: int, speed: Any
) -> None:
    path, before = flipped(sound, tmp_path, number)
    async with MockServer(path, speed=speed) as market:
        sent = await asyncio.gather(*(listen(market.ws_url) for _ in range(2)))
        with pytest.raises(FormatError, match="damaged at byte"):
            await market.wait_finished()
        report = market.report()
    assert sent == [(list(range(before)), 1011)] * 2
    assert "damaged at byte" in report["error"]


async def test_a_tape_that_is_stepped_to_a_damaged_chunk_says_so(sound: Cassette, tmp_path: Path) -> None:
    path, before = flipped(sound, tmp_path, -1)
    async with MockServer(path, speed="step") as market:
        listening = asyncio.create_task(listen(market.ws_url))
        await market.wait_started()
        market.step(seconds=3600)
        assert await listening == (list(range(before)), 1011)


CLIENT = """
import os
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
with connect(os.environ["POLYGON_WS_URL"], max_size=None) as bot:
    bot.send('{"action":"auth","params":"k"}')
    bot.send('{"action":"subscribe","params":"T.*"}')
    try:
        while True:
            bot.recv()
    except ConnectionClosed:
        pass
"""


@pytest.mark.parametrize(
    "flags", [["--speed", "max"], ["--speed", "1000000"], ["--speed", "10", "--idle-cap", "1ms"]]
)
@pytest.mark.parametrize("beside", [True, False])
def test_play_ends_with_3_and_one_sentence(
    sound: Cassette, tmp_path: Path, flags: list[str], beside: bool
) -> None:
    """Also where nothing but ``--once`` ends it."""
    path, _ = flipped(sound, tmp_path, -1)
    client = (sys.executable, "-c", CLIENT)
    command = [sys.executable, "-m", "tickdeck", "play", str(path), "--port", "0", "--json", *flags]
    command += ["--", *client] if beside else ["--once"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as playing:
        assert playing.stdout is not None
        origin = json.loads(playing.stdout.readline())["ws"]
        if not beside:
            subprocess.run(client, env={**os.environ, "POLYGON_WS_URL": f"{origin}/stocks"}, check=True)
        out, err = playing.communicate(timeout=60)
    assert playing.returncode == 3
    assert "Traceback" not in out + err
    assert err.count("damaged at byte") == 1
    assert [line["kind"] for line in map(json.loads, out.splitlines())].count("error") == 1
