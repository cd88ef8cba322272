"""One cassette at every speed, to one and to twenty clients, in processes of different hash seeds: the same bytes.

Run as a program, this file is such a process: it plays a cassette in every way there
is, and says of each client the digest of what it received and the one that the report
gives. The test compares them with digests taken straight from the cassette's records.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import pytest
import xxhash
from websockets.asyncio.client import ClientConnection, connect

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import TEXT, Frame, Record, Sender, TrackClosed, TrackOpened
from tickdeck.dialects import synth
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

SPEEDS: Final = ("1", "7.3", "1000", "max", "step", "lockstep")
CROWDS: Final = (1, 20)
TIMELINES: Final = ("key", "shared")
HASH_SEEDS: Final = ("0", "1", "424242")

MIXES: Final = (
    ("stocks", "T.AAPL,Q.*"),
    ("crypto", "XT.*"),
    ("stocks", "T.*,Q.*,A.*,AM.*"),
    ("crypto", "XT.BTC-USD,XQ.ETH-USD"),
    ("stocks", "A.MSFT,AM.*,T.MSFT,T.AAPL"),
)
"""What clients want, one after the other; each key of a crowd has all of them."""

CRYPTO: Final = 9
SUBSCRIBED_NS: Final = 70_000_000
"""The generator's subscriptions stand by then."""


# -- the cassette, and what is to come of it


def market() -> Iterator[Record]:
    """Some 1.2 s of two markets: stocks from the generator, and crypto with frames of all sizes between them."""
    chance = Random(7)
    yield TrackOpened(0, 0, CRYPTO, "crypto")
    for record in synth.market(3, symbols=3, seconds=1, rate=90):
        if not isinstance(record, TrackClosed):
            yield record
        if isinstance(record, Frame) and record.offset_ns > SUBSCRIBED_NS:
            many = 1_000 if record.seq == 40 else chance.choice((1, 1, 1, 2, 3, 25))
            text = ", ".join(coin(chance) for _ in range(many))
            yield Frame(0, record.offset_ns, CRYPTO, Sender.SERVER, TEXT, f"[ {text}]".encode())


def coin(chance: Random) -> str:
    kind, pair = chance.choice(("XT", "XT", "XQ")), chance.choice(("BTC-USD", "ETH-USD"))
    return f'{{"ev":"{kind}","pair":"{pair}", "p":{chance.randrange(10**6)}.{chance.randrange(100):02}0}}'


def expected_digest(cassette: Cassette, market: str, wanted: str) -> str:
    """That of a client of ``wanted``: every frame decoded, filtered and put together again."""
    tracks = {record.track: record.market for record in cassette.records() if isinstance(record, TrackOpened)}
    digest, channels = xxhash.xxh3_128(), wanted.split(",")
    for record in cassette.records():
        if (
            not isinstance(record, Frame)
            or record.sender is not Sender.SERVER
            or tracks[record.track] != market
        ):
            continue
        events = list(events_of(record.payload.decode()))
        mine = [text for text, *names in events if not set(names).isdisjoint(channels)]
        if mine:
            digest.update(
                wire(record.payload.decode() if len(mine) == len(events) else f"[{','.join(mine)}]")
            )
    return digest.hexdigest()


def events_of(payload: str) -> Iterator[tuple[str, str, str]]:
    """The events of an array as they are spelled there, each with the two channels that it is on."""
    at = payload.find("{")
    while at >= 0:
        event, behind = json.JSONDecoder().raw_decode(payload, at)
        yield payload[at:behind], f"{event['ev']}.{event.get('sym', event.get('pair'))}", f"{event['ev']}.*"
        at = payload.find("{", behind)


def wire(text: str) -> bytes:
    """A text frame as a server sends it (RFC 6455 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
def test_tape_digests_are_equal_at_every_speed_for_any_number_of_clients_in_every_process(
    make: Make, tmp_path: Path, hash_seed: str
) -> None:
    records = [replace(record, seq=seq) for seq, record in enumerate(market())]
    cassette = make(records)
    expected = {" ".join(mix): expected_digest(cassette, *mix) for mix in MIXES}
    assert len(set(expected.values())) == len(MIXES)
    rows = played(tmp_path / "0.cassette", hash_seed)
    assert len(rows) == len(SPEEDS) * len(TIMELINES) * sum(CROWDS)
    for row in rows:
        assert row["received"] == row["reported"] == expected[row["mix"]], row


def played(cassette: Path, hash_seed: str) -> list[dict[str, Any]]:
    """What a process of its own says of each client."""
    done = subprocess.run(
        [sys.executable, __file__, cassette],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


# -- the process that plays


async def play_in_every_way(path: str) -> list[dict[str, object]]:
    """All ways of one speed side by side, one speed after the other."""
    rows: list[dict[str, object]] = []
    for speed in SPEEDS:
        with open_cassette(path) as cassette:
            ways = [play(cassette, speed, crowd, of) for crowd, of in product(CROWDS, TIMELINES)]
            rows += [row for part in await asyncio.gather(*ways) for row in part]
    return rows


async def play(cassette: Cassette, speed: str, crowd: int, timeline: str) -> list[dict[str, object]]:
    """One playback; its tape starts once every client holds what it wants."""
    start_on = "control" if timeline == "key" else f"clients:{crowd}"
    options = options_of(speed=speed, timeline=timeline, start_on=start_on, settle=0.01, at_end="close")
    async with Player(cassette, options) as player:
        clients = [await subscriber(player, number) for number in range(crowd)]
        if timeline == "key":
            player.controls.resume()
        await player.controls.wait("started")
        reading = asyncio.gather(*map(digest_of, clients))
        while speed == "step" and not reading.done():
            if not all(each.finished for each in player.stage.timelines):
                player.controls.step(frames=3)
            await player.controls.wait("delivered")
            await player.stage.clock.breathe()
        received = await reading
        report = player.report()
    reported = [row["digest"] for row in report["clients"]]
    mixes = [" ".join(MIXES[number % len(MIXES)]) for number in range(crowd)]
    way = {"speed": speed, "crowd": crowd, "timeline": timeline}
    return [
        {"mix": mix, "received": mine, "reported": told, **way}
        for mix, mine, told in zip(mixes, received, reported, strict=True)
    ]


async def subscriber(player: Player, number: int) -> ClientConnection:
    """A client that has authenticated, and holds its channels."""
    market, channels = MIXES[number % len(MIXES)]
    client = await connect(f"{player.ws_url}/{market}", compression=None, ping_interval=None)
    await client.send(json.dumps({"action": "auth", "params": f"key {number // len(MIXES)}"}))
    await client.send(json.dumps({"action": "subscribe", "params": channels}))
    acknowledged = 0
    while acknowledged < len(channels.split(",")):
        acknowledged += (await client.recv(decode=False)).count(b"subscribed to:")
    return client


async def digest_of(client: ClientConnection) -> str:
    """Of all that a client receives until the server closes."""
    digest = xxhash.xxh3_128()
    async for message in client:
        assert isinstance(message, str)
        digest.update(wire(message))
    return digest.hexdigest()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(play_in_every_way(sys.argv[1]))))
