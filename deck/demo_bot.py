"""A small bot, as a user might have written it: history by REST, then the market by socket.

It knows nothing of tickdeck but two base URLs, and says afterwards what it saw. Its
digests are its own (SHA-256 over what it received), not the server's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import aiohttp

HISTORY: Final = "/v2/aggs/ticker/AAPL/range/1/minute/2019-12-31/2019-12-31?adjusted=true&sort=asc&limit=50"
CHANNELS: Final = ("T.AAPL", "T.MSFT", "T.BRK.B", "Q.AAPL", "A.*", "AM.*", "LULD.*")
KEY: Final = "the-demo-bots-own-key-0001"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the bot saw: pages and bars of history, frames and events of the market, and a digest of each."""

    pages: int
    bars: int
    bars_digest: str
    frames: int
    events: int
    tape_digest: str


async def trade(http_url: str, ws_url: str) -> Seen:
    """Read the history, follow the market until it ends, and say what was seen."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        pages, bars, bars_digest = await _history(session, http_url)
        frames, events, tape_digest = await _market(session, f"{ws_url}/stocks")
    return Seen(pages, bars, bars_digest, frames, events, tape_digest)


async def _history(session: aiohttp.ClientSession, http_url: str) -> tuple[int, int, str]:
    """Follow ``next_url`` as the vendor gives it, to the letter."""
    pages, bars, digest = 0, 0, hashlib.sha256()
    url: str | None = http_url + HISTORY
    while url is not None:
        async with session.get(url) as response:
            response.raise_for_status()
            page = await response.json()
        pages += 1
        bars += len(page["results"])
        digest.update(json.dumps(page["results"]).encode())
        url = page.get("next_url")
    return pages, bars, digest.hexdigest()


async def _market(session: aiohttp.ClientSession, url: str) -> tuple[int, int, str]:
    """Authenticate, subscribe, and take in every frame until the server closes."""
    frames, events, digest = 0, 0, hashlib.sha256()
    async with session.ws_connect(url) as socket:
        await socket.receive()
        await socket.send_json({"action": "auth", "params": KEY})
        await socket.send_json({"action": "subscribe", "params": ",".join(CHANNELS)})
        async for message in socket:
            payload = message.data.encode()
            market = [event for event in json.loads(payload) if event["ev"] != "status"]
            if market:
                frames += 1
                events += len(market)
                digest.update(len(payload).to_bytes(8) + payload)
    return frames, events, digest.hexdigest()
