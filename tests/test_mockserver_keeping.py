"""The journal on a cassette: what stands on it, what must not, and what becomes of it when things go wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.errors import StorageError, UsageError
from tickdeck.cassette.files import open_cassette, verify_file
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Frame, Interaction, Record, Sender, TrackClosed, TrackOpened
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.minutes import DESK
from tickdeck.mockserver.rundown import Rundown

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

MILLISECOND = 1_000_000
LONG_KEY = "k3y-0f-s0me-l3ngth-and-a-secret"
SHORT_KEY = "tiny"


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """A hundred trades of A, a millisecond apart, and an answer."""
    story.opens(0, 0)
    for number in range(100):
        story.trades(0, number * MILLISECOND, "A")
    story.answers(5, "https://api.polygon.io/v2/a?limit=2", b"{}")
    return make(story.records)


@contextmanager
def client(market: PlainMarket, key: str = LONG_KEY) -> Iterator[ClientConnection]:
    with connect(market.ws_url + "/stocks", compression=None) as bot:
        bot.send(json.dumps({"action": "auth", "params": key}))
        bot.send('{"action":"subscribe","params":"T.A"}')
        yield bot


def until(bot: ClientConnection, words: str) -> None:
    while words not in str(bot.recv(10)):
        pass


def get(market: PlainMarket, path: str, **headers: str) -> int:
    try:
        with urlopen(Request(market.http_url + path, headers=headers), timeout=10) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def kept(path: Path) -> list[Record]:
    with open_cassette(path) as cassette:
        return list(cassette.records())


def desk(records: Iterable[Record]) -> list[dict[str, Any]]:
    """The lines of the desk's track."""
    return [json.loads(each.payload) for each in records if isinstance(each, Frame) and each.track == 0]


def test_a_client_is_a_track_with_what_both_sides_said_but_for_the_tape(
    tape: Cassette, tmp_path: Path
) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed="max", journal=path) as market:
        with client(market) as bot:
            until(bot, f'"t":{99 * MILLISECOND}')
        market.wait_left()
    records = kept(path)
    opened = [each for each in records if isinstance(each, TrackOpened)]
    assert [each.market for each in opened] == [DESK, "stocks"]
    assert any(name == b"Sec-WebSocket-Version" for name, _ in opened[1].request_headers)
    said = [each for each in records if isinstance(each, Frame) and each.track == 1]
    assert [each.payload for each in said if each.sender is Sender.CLIENT] == [
        b'{"action": "auth", "params": "REDACTED-1"}',
        b'{"action":"subscribe","params":"T.A"}',
    ]
    assert [each.payload for each in said if each.sender is Sender.SERVER] == [
        b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]',
        b'[{"ev":"status","status":"auth_success","message":"authenticated"}]',
        b'[{"ev":"status","status":"success","message":"subscribed to: T.A"}]',
    ]
    (closed,) = [each for each in records if isinstance(each, TrackClosed)]
    assert (closed.track, closed.by, closed.code) == (1, Sender.CLIENT, 1000)
    assert verify_file(path).findings == ()


def test_a_request_is_an_interaction_without_its_bodies(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, journal=path) as market:
        assert get(market, f"/v2/a?limit=2&apiKey={LONG_KEY}") == 200
        assert get(market, "/v2/nothing", Authorization=f"Bearer {LONG_KEY}") == 404
    asked = [each for each in kept(path) if isinstance(each, Interaction)]
    assert [(each.method, each.url.partition("/v2")[2], each.status) for each in asked] == [
        ("GET", "/a?limit=2&apiKey=REDACTED-1", 200),
        ("GET", "/nothing", 404),
    ]
    assert [each.body for each in asked] == [b"", b""]


@pytest.mark.parametrize("key", [LONG_KEY, SHORT_KEY])
def test_no_key_is_on_it(tape: Cassette, tmp_path: Path, key: str) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed="max", journal=path, reject_keys=["another-key-that-is-bad"]) as market:
        with client(market, key) as bot:
            until(bot, f'"t":{99 * MILLISECOND}')
        with client(market, "another-key-that-is-bad") as bot:
            until(bot, "auth_failed")
        get(market, f"/v2/a?limit=2&apiKey={key}")
        get(market, "/v2/b", Authorization=f"Bearer {key}")
        market.wait_left()
    everything = repr(kept(path))
    assert key not in everything
    assert "another-key-that-is-bad" not in everything
    assert everything.count("REDACTED-") >= 4


def test_its_first_line_says_what_was_played_and_how(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed="7.3", begin="+10ms", gaps="skip", journal=path):
        pass
    first, *_ = desk(kept(path))
    assert first["kind"] == "run"
    assert (first["tape"], first["digest"]) == (tape.name, tape.digest)
    assert len(tape.digest) == 64
    assert (first["speed"], first["begin_ns"], first["stop_ns"]) == ("73/10", 10 * MILLISECOND, None)
    assert first["gaps"] == "skip"
    with open_cassette(path) as cassette:
        assert cassette.header.note == f"a run of {tape.name}: what clients did, without the data of the tape"
        assert cassette.header.program == "tickdeck play"


def test_it_can_be_read_while_it_is_kept(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"
    with MockServer(tape, speed="max", journal=path) as market, client(market) as bot:
        until(bot, f'"t":{99 * MILLISECOND}')
        market.wait_finished()
        with open_cassette(path) as cassette:
            assert not cassette.sealed
            run = Rundown(cassette)
        assert run.clients[1].joined is not None
        assert [held.channel for held in run.clients[1].held] == ["T.A"]


def test_an_output_that_exists_is_not_replaced(tape: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "run.cassette"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"run\.cassette exists already"), MockServer(tape, journal=path):
        pass
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.glob("run*")) == [path]


def test_a_server_that_cannot_start_leaves_no_journal(tape: Cassette, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises((UsageError, OSError)),
            MockServer(tape, port=port, journal=tmp_path / "run.cassette"),
        ):
            pass
    assert list(tmp_path.glob("run*")) == []


def test_a_disk_that_refuses_is_the_runs_failure_and_the_clients_play_on(
    tape: Cassette, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Recording, records: Iterable[Record]) -> None:
        raise StorageError("run.cassette.part: no space left on device")

    with MockServer(tape, speed="max", journal=tmp_path / "run.cassette") as market:
        monkeypatch.setattr(Recording, "append", refuse)
        with client(market) as bot:
            until(bot, f'"t":{99 * MILLISECOND}')
        assert market.report()["error"] == "run.cassette.part: no space left on device"


def test_a_flood_of_frames_leaves_few_marks(make: Make, story: Any, tmp_path: Path) -> None:
    story.opens(0, 0)
    for number in range(20_000):
        story.trades(0, number, "A")
    path = tmp_path / "run.cassette"
    with MockServer(make(story.records), speed="max", journal=path) as market, client(market) as bot:
        until(bot, '"t":19999}')
    run_lines = desk(kept(path))
    assert 1 <= sum(line["kind"] == "sent" for line in run_lines) < 200
