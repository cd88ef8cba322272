"""Tapes made by hand: what is on them, and what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tickdeck import MockServer, open_cassette, tape
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import Frame, Gap, Interaction, Source, TrackClosed, TrackOpened

BELL_NS = 1_577_975_400 * 10**9
"""2020-01-02 09:30:00 in New York."""


def trade(price: float) -> dict[str, object]:
    return {"ev": "T", "sym": "AAPL", "p": price}


def test_a_tape_is_a_cassette_of_what_was_said_in_order(tmp_path: Path) -> None:
    made = (
        tape()
        .at("09:30:00")
        .send(trade(1))
        .at("09:30:00.250")
        .send(trade(2), trade(3))
        .at("+1.5s")
        .lose("cable")
        .at("09:30:05")
        .rest("get", "/v1/now?limit=1", {"ok": True})
        .send('[{"ev":"T","sym":"AAPL","p":4.50}]')
    )
    path = made.write(tmp_path / "x.cassette")
    with open_cassette(path) as cassette:
        assert cassette.header.epoch_ns == BELL_NS
        assert cassette.header.source is Source.SYNTHETIC
        records = list(cassette.records())
    frames = [(each.offset_ns, each.payload) for each in records if isinstance(each, Frame)]
    assert frames == [
        (0, b'[{"ev":"T","sym":"AAPL","p":1}]'),
        (250_000_000, b'[{"ev":"T","sym":"AAPL","p":2},{"ev":"T","sym":"AAPL","p":3}]'),
        (5_000_000_000, b'[{"ev":"T","sym":"AAPL","p":4.50}]'),
    ]
    assert [type(each) for each in records if not isinstance(each, Frame)] == [
        *(TrackOpened, TrackClosed, Interaction, Gap, TrackOpened, TrackClosed)
    ]
    [gap] = [each for each in records if isinstance(each, Gap)]
    assert (gap.offset_ns, gap.end_ns, gap.market, gap.reason) == (
        1_750_000_000,
        5_000_000_000,
        "stocks",
        "cable",
    )
    [asked] = [each for each in records if isinstance(each, Interaction)]
    assert (asked.method, asked.url, asked.body) == (
        "GET",
        "https://api.massive.com/v1/now?limit=1",
        b'{"ok":true}',
    )
    assert [each.code for each in records if isinstance(each, TrackClosed)] == [None, 1000]


def test_it_plays_with_its_gap_as_a_disconnect() -> None:
    made = tape().at("09:30:00").send(trade(1)).at("09:30:01").lose().at("09:30:05").send(trade(2))
    with (
        MockServer(made.in_a_file(), speed="max", gaps="disconnect") as market,
        connect(f"{market.ws_url}/stocks") as socket,
    ):
        socket.send('{"action":"auth","params":"k"}')
        socket.send('{"action":"subscribe","params":"T.AAPL"}')
        said: list[str] = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                said.append(str(socket.recv(timeout=20)))
    assert '"p":1' in "".join(said)
    assert '"p":2' not in "".join(said)


def test_a_day_in_summer_is_one_in_summer(tmp_path: Path) -> None:
    path = tape(day="2026-07-01").at("09:30:00").send(trade(1)).write(tmp_path / "x.cassette")
    with open_cassette(path) as cassette:
        assert cassette.header.epoch_ns == 1_782_912_600 * 10**9


def test_another_market_has_its_own_clock(tmp_path: Path) -> None:
    path = tape("crypto").at("09:30:00").send({"ev": "XT", "pair": "BTC-USD"}).write(tmp_path / "x.cassette")
    with open_cassette(path) as cassette:
        assert {each.market for each in cassette.survey.tracks.values()} == {"crypto"}


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda: tape("stock"), "there is no market 'stock'"),
        (lambda: tape(day="today"), "a day is spelled 2020-01-02"),
        (lambda: tape().at("25:00:00"), "a time is spelled"),
        (lambda: tape().at("half past nine"), "a time is spelled"),
        (lambda: tape().at("09:31:00").at("09:30:00"), "comes before what is on the tape"),
        (lambda: tape().send(), "at least one event"),
        (lambda: tape().send("[]", {"ev": "T"}), "a text is a whole frame"),
        (lambda: tape().send({"ev": object()}), "does not become JSON"),
        (lambda: tape().rest("GET", "v1/now"), "is no path"),
    ],
)
def test_a_mistake_is_told_where_it_is_made(mistake: object, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        mistake()  # type: ignore[operator]


def test_an_existing_file_is_not_replaced_unless_told(tmp_path: Path) -> None:
    made = tape().at("09:30:00").send(trade(1))
    path = made.write(tmp_path / "x.cassette")
    with pytest.raises(UsageError, match="exists already"):
        made.write(path)
    made.write(path, replace=True)
    assert json.dumps([each.name for each in tmp_path.iterdir()]) == '["x.cassette"]'
