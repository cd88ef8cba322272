"""Where clients, timelines and requests meet, with real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.moments import parse_moment
from tickdeck.mockserver.options import PlayOptions, options_of
from tickdeck.mockserver.stage import Stage

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

SECOND = 10**9


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """A second of A, a frame every 10 ms, from 14:30:01 UTC; crypto beside it, at its end."""
    story.opens(0, SECOND)
    story.opens(1, SECOND, market="crypto")
    for at in range(SECOND, 2 * SECOND, SECOND // 100):
        story.trades(0, at, "A")
    story.says(1, 2 * SECOND, '[{"ev":"XT","pair":"BTC-USD"}]')
    return make(story.records)


def stocks_alone(make: Make, story: Any) -> Cassette:
    story.opens(0, 0)
    story.trades(0, 0, "A")
    return make(story.records)


@contextmanager
def bot(
    market: PlainMarket, key: str | None = "key", path: str = "/stocks", subscribe: str = ""
) -> Iterator[ClientConnection]:
    with connect(market.ws_url + path, compression=None) as client:
        assert "connected" in client.recv(10)
        if key is not None:
            authenticate(client, key)
        if subscribe:
            client.send(json.dumps({"action": "subscribe", "params": subscribe}))
        yield client


def authenticate(client: ClientConnection, key: str) -> None:
    client.send(json.dumps({"action": "auth", "params": key}))
    assert "auth_success" in client.recv(10)


def last_words(client: ClientConnection) -> tuple[str, int | None]:
    """The last message before the end of the connection, and its close code."""
    said = ""
    try:
        while True:
            said = client.recv(10, decode=True)
    except ConnectionClosed:
        pass
    return json.loads(said)[-1].get("status", ""), client.close_code


def test_one_connection_too_many_evicts_the_eldest_with_the_vendors_words(tape: Cassette) -> None:
    with MockServer(tape, max_connections=1) as market, bot(market) as elder, bot(market) as newcomer:
        assert last_words(elder) == ("max_connections", 1008)
        newcomer.send('{"action":"subscribe","params":"T.A"}')
        assert "subscribed to: T.A" in newcomer.recv(10)
        assert [entry.client for entry in market.journal if entry.kind == "evicted"] == [1]


def test_who_came_in_last_stays_however_long_it_was_connected_before(tape: Cassette) -> None:
    with (
        MockServer(tape, max_connections=1) as market,
        bot(market, key=None) as hesitant,
        bot(market) as quick,
    ):
        authenticate(hesitant, "key")
        assert last_words(quick) == ("max_connections", 1008)
        hesitant.send('{"action":"subscribe","params":"T.A"}')
        assert "subscribed to: T.A" in hesitant.recv(10)


def test_connections_are_counted_by_key_and_market(tape: Cassette) -> None:
    with MockServer(tape, max_connections=2) as market, ExitStack() as clients:
        first = clients.enter_context(bot(market))
        for key, path in [("key", "/crypto"), ("another", "/stocks"), ("key", "/crypto"), ("key", "/stocks")]:
            clients.enter_context(bot(market, key, path))
        assert not [entry for entry in market.journal if entry.kind == "evicted"]
        clients.enter_context(bot(market))
        assert last_words(first) == ("max_connections", 1008)
        assert [entry.client for entry in market.journal if entry.kind == "evicted"] == [1]


def test_who_has_left_is_not_counted(tape: Cassette) -> None:
    with MockServer(tape, max_connections=1) as market:
        for _ in range(3):
            with bot(market):
                pass
            market.wait_left()
        assert not [entry for entry in market.journal if entry.kind == "evicted"]


@pytest.mark.parametrize(
    ("path", "name"), [("/", "stocks"), ("/stocks", "stocks"), ("/crypto", "crypto"), ("/forex", "forex")]
)
def test_a_path_names_a_market_and_none_the_usual_one(tape: Cassette, path: str, name: str) -> None:
    assert Stage(tape, PlayOptions()).market_of(path) == name


def test_without_a_path_the_only_market_that_was_recorded_is_meant(make: Make, story: Any) -> None:
    story.opens(0, 0, market="crypto")
    story.says(0, 0, '[{"ev":"XT","pair":"BTC-USD"}]')
    assert Stage(make(story.records), PlayOptions()).market_of("/") == "crypto"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("+250ms", SECOND // 4),
        ("09:30:01.5", SECOND // 2),
        ("2020-01-02T14:30:01.25Z", SECOND // 4),
        ("2020-01-02T14:30:00Z", -SECOND),
    ],
)
def test_a_place_is_found_on_the_tape_of_the_exchange(tape: Cassette, text: str, position: int) -> None:
    assert Stage(tape, PlayOptions()).place(parse_moment("from", text)) == position


def test_a_time_of_day_is_that_of_the_markets_own_exchange(tape: Cassette) -> None:
    stage = Stage(tape, PlayOptions())
    at_noon = parse_moment("seek", "14:30:01.5")
    assert stage.place(at_noon, market="crypto") != stage.place(at_noon, market="stocks")


@pytest.mark.parametrize(
    ("words", "begin_ns", "end_ns"),
    [
        ({}, 0, SECOND),
        ({"begin": "+0.5s"}, SECOND // 2, SECOND),
        ({"begin": "2019-01-01T00:00:00Z"}, 0, SECOND),
        ({"end": "+0.5s"}, 0, SECOND // 2),
        ({"begin": "09:30:01.1", "end": "09:30:01.2"}, SECOND // 10, SECOND // 5),
    ],
)
def test_a_window_is_cut_out_of_the_tape(tape: Cassette, words: Any, begin_ns: int, end_ns: int) -> None:
    tapes = Stage(tape, options_of(**words)).tapes
    assert (tapes.begin_ns, tapes.end_ns) == (begin_ns, end_ns)


def test_all_that_uses_a_shared_timeline_starts_and_stands_together(tape: Cassette) -> None:
    with (
        MockServer(tape, timeline="shared", start_on="clients:2", settle=0) as market,
        bot(market, "one", subscribe="T.A") as one,
        bot(market, "two", subscribe="T.A") as two,
    ):
        heard = [[client.recv(10) for _ in range(101)] for client in (one, two)]
        assert heard[0] == heard[1]
        started = [entry.timeline for entry in market.journal if entry.kind == "started"]
        assert started == [1]


def test_each_connection_can_have_a_timeline_of_its_own(tape: Cassette) -> None:
    with MockServer(tape, timeline="connection", settle=0, speed="max") as market:
        heard = []
        for _ in range(2):
            with bot(market, subscribe="T.A") as client:
                heard.append([client.recv(10) for _ in range(101)])
        assert heard[0] == heard[1]
        assert [entry.timeline for entry in market.journal if entry.kind == "started"] == [1, 2]


def test_on_a_tape_that_loops_no_frame_is_early_and_laps_are_told(tape: Cassette) -> None:
    with (
        MockServer(tape, at_end="loop", settle=0, speed=50) as market,
        bot(market, subscribe="T.A") as client,
    ):
        heard = [client.recv(10) for _ in range(1 + 3 * 100)]
        assert heard[1:101] == heard[101:201] == heard[201:]
        lateness: Any = market.report()["lateness"]
        assert lateness["early"] == 0
        assert [entry.parts["lap"] for entry in market.journal if entry.kind == "looped"][:2] == [2, 3]


def test_an_outage_can_cost_the_connection_and_who_returns_goes_on_behind_it(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for at in (0, 10, 20):
        story.trades(0, at * 10**6, "A")
    story.closes(0, 30 * 10**6)
    story.opens(1, 40 * 10**6)
    story.trades(1, SECOND, "A")
    with MockServer(make(story.records), gaps="disconnect", settle=0) as market:
        with bot(market, subscribe="T.A") as client:
            assert len([client.recv(10) for _ in range(4)]) == 4
            with pytest.raises(ConnectionClosed):
                client.recv(10)
            assert client.close_code == 1006
        with bot(market, subscribe="T.A") as client:
            assert "subscribed" in client.recv(10)
            assert json.loads(client.recv(10))[0]["t"] == SECOND
        assert [entry.kind for entry in market.journal if entry.kind in ("gap", "resumed")] == [
            "gap",
            "resumed",
        ]


def test_what_a_client_sees_of_a_tape_with_its_stretches_cut_short_is_the_same(
    make: Make, story: Any
) -> None:
    story.opens(0, 0)
    for at in (0, 3600, 7200):
        story.trades(0, at * SECOND, "A")
    with (
        MockServer(make(story.records), idle_cap=0.02, settle=0, at_end="close") as market,
        bot(market, subscribe="T.A") as client,
    ):
        assert [json.loads(client.recv(10))[0].get("t") for _ in range(4)] == [
            None,
            0,
            3600 * SECOND,
            7200 * SECOND,
        ]
        with pytest.raises(ConnectionClosed):
            client.recv(10)
        assert client.close_code == 1000
        lateness: Any = market.report()["lateness"]
        assert lateness["early"] == 0
        assert lateness["max_ns"] < 3600 * SECOND
