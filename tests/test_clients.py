"""One small bot a client, each its own process: all are given the same events, the same refusal, the same end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tickdeck import MockServer, open_cassette
from tickdeck.cassette.bodies import coding_of
from tickdeck.cassette.codings import opened
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.records import Frame, Sender
from tickdeck.dialects.synth import sample

CLIENTS = Path(__file__).parent.parent / "examples" / "clients"
PEERS = Path(__file__).parent.parent / ".peers" / "node_modules"
SOCKETS = sorted(path.name for path in CLIENTS.iterdir() if "_rest" not in path.name and path.suffix != ".md")
REST = sorted(path.name for path in CLIENTS.iterdir() if "_rest" in path.name)
CHANNELS = "T.AAPL,Q.MSFT,AM.*"
NEEDS = {"ws_bot.cjs": "ws", "vendor_npm_bot.mjs": "@polygon.io/client-js"}


@pytest.fixture(scope="module")
def cassette(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clients") / "sample.cassette"
    make_cassette(path, *sample(7), replace=False)
    return path


def run(bot: str, market: Any, key: str, wanted: str) -> list[str]:
    """The lines that a bot says."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, str(CLIENTS / bot)]
        if bot in NEEDS:
            if shutil.which("node") is None or not (PEERS / NEEDS[bot]).exists():
                pytest.skip(f"node and {NEEDS[bot]} are not here (make peers)")
            # Node looks for packages beside the file that wants them.
            os.symlink(PEERS, Path(home) / "node_modules")
            command = ["node", shutil.copy(CLIENTS / bot, home)]
        return said([*command, market.http_url, market.ws_url, key, wanted])


def said(command: list[str]) -> list[str]:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def digest(lines: list[str]) -> str:
    """Over parsed events: languages spell numbers and spaces in their own ways."""
    parsed = [json.dumps(json.loads(line), sort_keys=True) for line in lines]
    return hashlib.sha256("\n".join(parsed).encode()).hexdigest()


def on_the_tape(cassette: Path) -> list[str]:
    """What a client of these channels is to be given."""
    lines = []
    with open_cassette(cassette) as tape:
        for record in tape.records():
            if isinstance(record, Frame) and record.sender is Sender.SERVER and record.opcode == 1:
                for event in json.loads(record.payload):
                    channel = f"{event['ev']}.{event.get('sym')}"
                    if channel in CHANNELS.split(",") or event["ev"] == "AM":
                        lines.append(json.dumps(event))
    return lines


@pytest.mark.parametrize("bot", SOCKETS)
def test_every_client_is_given_the_same_events_and_the_end_of_the_tape(bot: str, cassette: Path) -> None:
    with MockServer(cassette, speed="max", at_end="close") as market:
        *events, end = run(bot, market, "key", CHANNELS)
    assert end == "end 1000"
    assert len(events) > 300
    assert digest(events) == digest(on_the_tape(cassette))


@pytest.mark.parametrize("bot", SOCKETS)
def test_every_client_is_told_that_its_key_is_refused(bot: str, cassette: Path) -> None:
    with MockServer(cassette, keys=["another"]) as market:
        lines = run(bot, market, "key", CHANNELS)
    assert lines == ["refused invalid API key", "end lost"]


@pytest.mark.parametrize("bot", SOCKETS)
def test_every_client_sees_an_abrupt_loss_as_one(bot: str, cassette: Path) -> None:
    with MockServer(cassette, speed="max", gaps="disconnect") as market:
        *events, end = run(bot, market, "key", CHANNELS)
    assert end == "end lost"
    assert digest(events) == digest(on_the_tape(cassette)[: len(events)])
    # The vendor's npm client throws away what it has read but not looked at when its connection is lost.
    assert (1 if bot == "vendor_npm_bot.mjs" else 100) <= len(events) < len(on_the_tape(cassette))


@pytest.mark.parametrize("bot", REST)
def test_rest_clients_are_given_the_same_rows_and_refusal(bot: str, cassette: Path) -> None:
    with open_cassette(cassette) as tape:
        found = (
            (each.url, opened(each.body, coding_of(each.response_headers, each.body)))
            for each in tape.interactions()
        )
        url, body = next((url, body) for url, body in found if body and b'"next_url"' in body)
        first = "/" + url.split("/", 3)[3]
        rows = [json.dumps(row) for row in json.loads(body)["results"]]
    with MockServer(cassette, keys=["key"]) as market:
        *given, end = run(bot, market, "key", first)
        refused = run(bot, market, "wrong", first)
    assert end == "end 200"
    assert digest(given[: len(rows)]) == digest(rows)
    assert len(given) > len(rows)
    assert refused == ["refused Unknown API Key", "end 401"]  # the words of the refusal on the cassette
