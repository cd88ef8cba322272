"""Waiting for a market, driving it, claiming what a client did: on both handles, with errors that explain."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import ClientConnection, connect

from tickdeck import MockServer
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.controls import WaitTimeoutError
from tickdeck.mockserver.handles import PlainMarket


@pytest.fixture
def tape(make: Callable[[Iterable[Record]], Cassette], story: Any) -> Cassette:
    """Twenty trades, of A and B in turn, in a fifth of a second, and an answer."""
    story.opens(0, 0)
    for at in range(20):
        story.trades(0, at * 10**7, "AB"[at % 2])
    story.answers(0, "/v1/now?limit=5&sort=asc", b"{}")
    return make(story.records)


@contextmanager
def bot(market: PlainMarket, *channels: str) -> Iterator[ClientConnection]:
    with connect(f"{market.ws_url}/stocks", compression=None, max_queue=None) as socket:
        socket.send(json.dumps({"action": "auth", "params": "key"}))
        if channels:
            socket.send(json.dumps({"action": "subscribe", "params": ",".join(channels)}))
        yield socket


def ask(market: PlainMarket, target: str) -> None:
    with urllib.request.urlopen(f"{market.http_url}{target}", timeout=20) as answer:
        answer.read()


def test_a_subscription_is_waited_for_by_name_or_by_its_wildcard(tape: Cassette) -> None:
    with MockServer(tape) as market:
        with bot(market, "T.A"):
            market.wait_subscribed("T.A")
            with pytest.raises(WaitTimeoutError) as caught:
                market.wait_subscribed("T.A", "T.B", timeout=0.05)
        assert "a subscription to T.B; held is T.A; it is playing, at 20" in str(caught.value)
        with bot(market, "T.*"):
            market.wait_subscribed("T.A", "T.B", "T.*")
    with pytest.raises(UsageError):
        market.wait_subscribed()


@pytest.mark.parametrize(
    ("held", "asked", "events"),
    [
        (("T.A",), "T.A", 10),
        (("T.*",), "T.A", 10),
        (("T.*",), "T.*", 20),
        (("T.A", "T.B"), "T.*", 20),
        (("T.A", "T.*"), "T.A", 10),
    ],
)
def test_events_are_counted_once_whatever_they_were_subscribed_as(
    tape: Cassette, held: tuple[str, ...], asked: str, events: int
) -> None:
    with MockServer(tape, speed="max") as market, bot(market, *held):
        market.wait_for(asked, n=events)
        market.wait_finished()
        with pytest.raises(WaitTimeoutError) as caught:
            market.wait_for(asked, n=events + 1, timeout=0.1)
    assert f"for {events + 1} events of {asked}; {events} were sent; it has ended, at 20" in str(caught.value)


def test_events_are_waited_for_in_time_with_the_tape(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, bot(market, "T.*"):
        market.wait_started()
        market.step(frames=6)
        market.wait_for("T.A", n=3)
        with pytest.raises(WaitTimeoutError, match=r"4 events of T\.A; 3 were sent"):
            market.wait_for("T.A", n=4, timeout=0.1)
        market.step(seconds=0.02)
        market.wait_for("T.A", n=4)


def test_a_predicate_is_waited_for_and_blamed_by_name(tape: Cassette) -> None:
    seen: list[str] = []

    def has_seen_something() -> bool:
        return bool(seen)

    with MockServer(tape) as market:
        threading.Timer(0.05, lambda: seen.append("x")).start()
        market.wait_until(has_seen_something)
        seen.clear()
        with pytest.raises(WaitTimeoutError, match=r"has_seen_something\(\); it never started: no client"):
            market.wait_until(has_seen_something, timeout=0.02)
        with pytest.raises(WaitTimeoutError, match="for what was asked for; it never"):
            market.wait_until(lambda: seen, timeout=0.02)


async def test_the_waits_of_an_async_handle_are_awaited(tape: Cassette) -> None:
    async with MockServer(tape, speed="max") as market:
        async with connect_async(f"{market.ws_url}/stocks", compression=None) as socket:
            await socket.send('{"action":"auth","params":"key"}')
            await socket.send('{"action":"subscribe","params":"T.A"}')
            await market.wait_subscribed("T.A")
            await market.wait_for("T.A", n=10)
            count = 0

            async def heard_all() -> bool:
                nonlocal count
                count += (await socket.recv(decode=True)).count('"ev":"T"')
                return count == 10

            await market.wait_until(heard_all)
            with pytest.raises(WaitTimeoutError):
                await market.wait_until(lambda: False, timeout=0.02)
        await market.wait_left()


def test_one_event_of_ones_own_is_a_mapping(tape: Cassette) -> None:
    with MockServer(tape, start_on="control") as market, bot(market, "T.A", "T.B") as socket:
        market.wait_subscribed("T.B")
        assert market.send({"ev": "T", "sym": "A", "p": 1.5}) == 1
        assert market.send([{"ev": "T", "sym": "B"}, {"ev": "T", "sym": "C"}]) == 1
        said: list[str] = []
        while len(said) < 2:
            frame = str(socket.recv(timeout=20))
            said += [frame] if '"ev":"T"' in frame else []
    assert said == ['[{"ev":"T","sym":"A","p":1.5}]', '[{"ev":"T","sym":"B"}]']


def test_a_drop_is_abrupt_or_has_a_code(tape: Cassette) -> None:
    with MockServer(tape) as market:
        with bot(market):
            market.drop(abrupt=True)
            market.wait_left()
        with bot(market):
            market.drop(code=1012, abrupt=False)
            market.wait_left()
        for wrong in ({"code": 1012, "abrupt": True}, {"abrupt": False}):
            with pytest.raises(UsageError, match="abrupt or has a code"):
                market.drop(**wrong)
    assert [each.parts["code"] for each in market.journal.closes] == [None, 1012]


def test_seconds_and_a_duration_are_not_both_a_step(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, pytest.raises(UsageError, match="not both"):
        market.step(seconds=1, duration="1s")


def test_the_journal_is_filtered(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market:
        with bot(market, "T.A", "T.B") as socket:
            market.wait_finished()
            socket.ping().wait(20)
            socket.send('{"action":"unsubscribe","params":"T.A"}')
            socket.send("what is this")
            market.wait_until(lambda: market.journal.missteps)
        with bot(market, "T.*"):
            market.wait_subscribed("T.*")
        ask(market, "/v1/now?limit=5&sort=asc&apiKey=key")
        market.wait_left()
    journal = market.journal
    assert [each.kind for each in journal.subscriptions] == ["subscribed", "unsubscribed", "subscribed"]
    assert [each.client for each in journal.subscriptions.channel("T.A")] == [1, 1, 2]
    assert [each.client for each in journal.subscriptions.channel("T.B")] == [1, 2]
    assert [each.kind for each in journal.of(client=2)] == [
        "connected",
        "authenticated",
        "subscribed",
        "left",
    ]
    assert len(journal.pings) == 1
    assert [each.parts["code"] for each in journal.closes] == [1000, 1000]
    assert [each.parts["url"] for each in journal.requests] == ["/v1/now?limit=5&sort=asc"]
    assert {each.kind for each in journal.actions} == {
        "authenticated",
        "subscribed",
        "unsubscribed",
        "misstep",
    }
    assert journal.between(0, 1) == [each for each in journal if each.position_ns == 0]
    assert journal.of("started", timeline=1).between(0, 10**9)
    assert not journal.of(timeline=9)


def test_claims_hold_or_say_what_there_was(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market:
        with pytest.raises(AssertionError, match=r"to T\.A; nobody authenticated; subscribed were: nothing"):
            market.assert_subscribed("T.A")
        with bot(market, "T.*") as socket:
            market.wait_subscribed("T.A")
            market.assert_subscribed("T.A", "T.*")
            with pytest.raises(
                AssertionError, match=r"^no client subscribed to Q\.A; subscribed were: T\.\*$"
            ):
                market.assert_subscribed("Q.A", "T.B")
            market.assert_no_missteps()
            socket.send("nonsense")
            market.wait_until(lambda: market.journal.missteps)
            with pytest.raises(AssertionError, match=r"^1 misstep: client 1: "):
                market.assert_no_missteps()
        for _ in range(2):
            ask(market, "/v1/now?sort=asc&limit=5&apiKey=key")
        market.assert_requested("GET /v1/now")
        market.assert_requested("GET /v1/now?limit=5", times=2)
        with pytest.raises(AssertionError) as caught:
            market.assert_requested("GET /v1/now", times=1)
        assert str(caught.value) == (
            "GET /v1/now was not asked 1 times, but 2; asked were: GET /v1/now?sort=asc&limit=5 (2 times)"
        )
        with pytest.raises(AssertionError, match=r"GET /v1/now\?limit=6 was not asked; asked were"):
            market.assert_requested("GET /v1/now?limit=6")


def test_a_refused_key_explains_a_missing_subscription(tape: Cassette) -> None:
    with MockServer(tape, reject_keys=["key"]) as market:
        with bot(market, "T.A"):
            market.wait_until(lambda: market.journal.of("refused"))
        with pytest.raises(AssertionError, match=r"T\.A; a key was refused; subscribed were: nothing"):
            market.assert_subscribed("T.A")


def test_waiting_for_events_of_a_large_tape_costs_little(make: Any, story: Any) -> None:
    """The wait looks at the tape now and then, not at each frame: the rest of the server goes on."""
    story.opens(0, 0)
    for at in range(20_000):
        story.trades(0, at * 10**4, "A")
    with MockServer(make(story.records), speed="100") as market, bot(market, "T.A"):
        begun = time.monotonic()
        market.wait_for("T.A", n=20_000)
        assert time.monotonic() - begun < 20
