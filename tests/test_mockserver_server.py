"""A whole server on loopback, against a WebSocket client that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import xxhash
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.controls import WaitTimeoutError
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.listening import is_hung_up
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

GREETING = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
ACCEPTED = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'
REFUSED = '[{"ev":"status","status":"auth_failed","message":"invalid API key"}]'
MILLISECOND = 1_000_000


def trade(symbol: str, at: int) -> str:
    return f'[{{"ev":"T","sym":"{symbol}","t":{at}}}]'


def ack(*channels: str, verb: str = "subscribed") -> str:
    said = (f'{{"ev":"status","status":"success","message":"{verb} to: {channel}"}}' for channel in channels)
    return f"[{','.join(said)}]"


@contextmanager
def client(market: PlainMarket, key: str = "test", path: str = "/stocks") -> Iterator[ClientConnection]:
    with connect(market.ws_url + path, compression=None) as bot:
        assert bot.recv(10) == GREETING
        bot.send(json.dumps({"action": "auth", "params": key}))
        assert bot.recv(10) == ACCEPTED
        yield bot


def ask(bot: ClientConnection, action: str, params: str) -> None:
    bot.send(json.dumps({"action": action, "params": params}))


def receive(bot: ClientConnection, count: int) -> list[str]:
    return [str(bot.recv(10)) for _ in range(count)]


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Twenty trades, a millisecond apart: ten of A, ten of B, with REST on the side."""
    story.opens(0, 0)
    story.acks(0, 1, "T.A", "T.B")
    for number in range(20):
        story.trades(0, 1 + number * MILLISECOND, "AB"[number % 2])
    story.answers(
        5, "https://api.polygon.io/v2/a?limit=2", b'{"next_url":"https://api.polygon.io/v2/b?cursor=x"}'
    )
    return make(story.records)


@pytest.mark.parametrize("speed", ["max", "1", "7.3"])
def test_a_client_gets_the_tape_to_the_byte_at_any_speed(tape: Cassette, speed: str) -> None:
    wanted = [trade("AB"[number % 2], 1 + number * MILLISECOND) for number in range(20)]
    with MockServer(tape, speed=speed) as market, client(market) as bot:
        ask(bot, "subscribe", "T.A,T.B")
        assert receive(bot, 21) == [ack("T.A", "T.B"), *wanted]
        market.wait_finished()
        (row,) = market.report()["clients"]
    digest = xxhash.xxh3_128(b"".join(bytes((0x81, len(each))) + each.encode() for each in wanted))
    assert row["digest"] == digest.hexdigest()
    assert row["channels"]["T.A"]["sent"] == row["channels"]["T.A"]["on_tape"] == 10


def test_only_what_was_asked_for_is_sent(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market) as bot:
        ask(bot, "subscribe", "T.B")
        assert receive(bot, 11)[1:] == [trade("B", 1 + number * MILLISECOND) for number in range(1, 20, 2)]
        market.wait_finished()
        assert market.report()["clients"][0]["channels"]["T.B"]["sent"] == 10


def test_symbols_subscribed_one_by_one_start_together(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market) as bot:
        ask(bot, "subscribe", "T.B")
        ask(bot, "subscribe", "T.A")
        assert receive(bot, 22)[:3] == [ack("T.B"), ack("T.A"), trade("A", 1)]


def test_a_start_gate_of_channels_waits_for_all_of_them(tape: Cassette) -> None:
    with MockServer(tape, speed="max", start_on=["T.A", "T.B"]) as market, client(market) as bot:
        ask(bot, "subscribe", "T.A")
        assert receive(bot, 1) == [ack("T.A")]
        with pytest.raises(WaitTimeoutError, match="it never started: 1 client, authenticated, subscribed"):
            market.wait_started(timeout=0.1)
        ask(bot, "subscribe", "T.B")
        assert receive(bot, 21)[1:3] == [trade("A", 1), trade("B", 1 + MILLISECOND)]


def test_the_settle_time_counts_from_the_last_action(tape: Cassette) -> None:
    with MockServer(tape, speed="max", settle=5) as market, client(market) as bot:
        ask(bot, "subscribe", "T.A")
        assert receive(bot, 1) == [ack("T.A")]
        with pytest.raises(WaitTimeoutError, match="for the start of the tape"):
            market.wait_started(timeout=0.1)


def test_a_wait_that_fails_says_where_things_stand(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market:
        with pytest.raises(
            WaitTimeoutError, match=r"waited 0\.05 s for the end of the tape; it never started: no client"
        ):
            market.wait_finished(timeout=0.05)
        with (
            client(market),
            pytest.raises(
                WaitTimeoutError, match="it never started: 1 client, authenticated, no subscription"
            ),
        ):
            market.wait_finished(timeout=0.05)


def test_a_refused_key_hears_the_words_and_is_dropped_without_a_close_frame(tape: Cassette) -> None:
    with (
        MockServer(tape, reject_keys=["bad"]) as market,
        connect(market.ws_url + "/stocks", compression=None) as bot,
    ):
        ask(bot, "auth", "bad")
        assert receive(bot, 2) == [GREETING, REFUSED]
        with pytest.raises(ConnectionClosedError):
            bot.recv(10)
        assert bot.close_code == 1006


def test_who_does_not_authenticate_is_told_and_dropped(tape: Cassette) -> None:
    with MockServer(tape, auth_timeout=0.05) as market, connect(market.ws_url, compression=None) as bot:
        said = '[{"ev":"status","status":"auth_timeout","message":"No authentication request received."}]'
        assert receive(bot, 2) == [GREETING, said]
        with pytest.raises(ConnectionClosedError):
            bot.recv(10)


def test_the_end_can_close_with_1000(tape: Cassette) -> None:
    with MockServer(tape, speed="max", at_end="close") as market, client(market) as bot:
        ask(bot, "subscribe", "T.*")
        receive(bot, 21)
        with pytest.raises(ConnectionClosedOK):
            bot.recv(10)
        assert bot.close_code == 1000


def test_after_leaving_by_itself_a_client_finds_the_tape_anew(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market:
        for _ in range(2):
            with client(market) as bot:
                ask(bot, "subscribe", "T.A")
                assert receive(bot, 2)[1] == trade("A", 1)
        first, second = market.report()["clients"]
        assert (first["timeline"], second["timeline"]) == (1, 1)


def test_after_a_loss_that_the_server_caused_a_client_resumes(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for number in range(4):
        story.trades(0, number * 200 * MILLISECOND, "A")
    with MockServer(make(story.records), speed="1") as market:
        with client(market) as bot:
            ask(bot, "subscribe", "T.A")
            assert receive(bot, 2)[1] == trade("A", 0)
            market.drop()
            with pytest.raises(ConnectionClosedError):
                bot.recv(10)
        with client(market) as bot:
            ask(bot, "subscribe", "T.A")
            assert receive(bot, 2)[1] == trade("A", 200 * MILLISECOND)
        kinds = [entry.kind for entry in market.journal]
        assert kinds.count("started") == 1
        assert kinds.count("resumed") == 1


def test_keys_have_timelines_of_their_own_and_share_one_among_their_sockets(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.opens(1, 0, market="crypto")
    story.trades(0, 1, "A")
    story.says(1, 2, '[{"ev":"XT","pair":"BTC-USD","p":1.0}]')
    with MockServer(make(story.records), speed="max") as market:
        with client(market, "one") as stocks, client(market, "one", "/crypto") as crypto:
            ask(crypto, "subscribe", "XT.*")
            assert receive(crypto, 2)[1] == '[{"ev":"XT","pair":"BTC-USD","p":1.0}]'
            ask(stocks, "subscribe", "T.*")
            assert receive(stocks, 2)[1] == trade("A", 1)
            with client(market, "two") as other:
                ask(other, "subscribe", "T.*")
                assert receive(other, 2)[1] == trade("A", 1)
        rows = market.report()["clients"]
        assert [row["timeline"] for row in rows] == [1, 1, 2]


def test_a_late_subscription_and_an_unsubscription_take_effect_where_the_tape_stands(
    make: Make, story: Any
) -> None:
    story.opens(0, 0)
    for number in range(3):
        story.trades(0, number * 300 * MILLISECOND, "A", "B")
    with MockServer(make(story.records), speed="1") as market, client(market) as bot:
        ask(bot, "subscribe", "T.A")
        assert receive(bot, 2)[1] == trade("A", 0)
        ask(bot, "subscribe", "T.B")
        ask(bot, "unsubscribe", "T.A")
        assert receive(bot, 3) == [
            ack("T.B"),
            ack("T.A", verb="unsubscribed"),
            trade("B", 300 * MILLISECOND),
        ]
        market.wait_finished()
        channels = market.report()["clients"][0]["channels"]
    assert channels["T.A"] == _counts(on_tape=3, sent=1, after_unsubscribe=2)
    assert channels["T.B"] == _counts(on_tape=3, sent=2, before_subscribe=1)


def _counts(**some: int) -> dict[str, int | bool]:
    reasons = ("sent", "before_start", "before_subscribe", "after_unsubscribe", "after_leave", "ahead")
    return {**dict.fromkeys(("on_tape", *reasons), 0), "unrecorded": False, **some}


def test_many_clients_with_different_subscriptions_each_get_their_own(tape: Cassette) -> None:
    got: dict[int, list[str]] = {}

    def listen(number: int, market: PlainMarket) -> None:
        with client(market, f"key-{number}") as bot:
            ask(bot, "subscribe", ("T.A", "T.B", "T.*")[number % 3])
            got[number] = receive(bot, 1 + (10, 10, 20)[number % 3])

    with MockServer(tape, speed="max") as market:
        threads = [threading.Thread(target=listen, args=(number, market)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        digests = {row["digest"] for row in market.report()["clients"]}
    assert len(got) == 12
    assert got[0] == got[9]
    assert len(digests) == 3


def test_a_channel_the_recording_never_held_is_acknowledged_silent_and_reported(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market) as bot:
        ask(bot, "subscribe", "T.ZZZ,T.A")
        assert receive(bot, 2) == [ack("T.ZZZ", "T.A"), trade("A", 1)]
        (subscribed,) = (entry for entry in market.journal if entry.kind == "subscribed")
        assert subscribed.parts["unrecorded"] == ["T.ZZZ"]
        market.wait_finished()
        assert market.report()["clients"][0]["channels"]["T.ZZZ"]["unrecorded"] is True


def test_missteps_are_silent_on_the_wire_and_counted(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market) as bot:
        bot.send("{not json")
        bot.send(b"\x01")
        ask(bot, "dance", "now")
        ask(bot, "subscribe", "ZZ.A")
        ask(bot, "subscribe", "T.A")
        assert receive(bot, 1) == [ack("T.A")]
        market.wait_finished()
        report = market.report()
    assert [each["misstep"] for each in report["clients"][0]["missteps"]] == [
        "malformed",
        "binary",
        "unknown-action",
        "unknown-topic",
    ]


def test_pings_are_answered_and_the_clients_close_is_echoed(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market) as bot:
        assert bot.ping(b"are you there").wait(10)
        bot.close(4000, "enough")
        assert bot.close_code == 4000
        market.wait_left()
        (left,) = (entry for entry in market.journal if entry.kind == "left")
        assert (left.parts["by"], left.parts["code"], left.parts["reason"]) == ("client", 4000, "enough")


def test_a_client_that_vanishes_without_a_word_has_left(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market:
        with client(market) as bot:
            bot.socket.shutdown(socket.SHUT_RDWR)
            market.wait_left()
        (left,) = (entry for entry in market.journal if entry.kind == "left")
        assert (left.parts["by"], left.parts["code"]) == ("client", None)


def fetch(url: str, **headers: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_rest_is_answered_with_the_next_page_on_this_server(tape: Cassette) -> None:
    with MockServer(tape) as market:
        status, body = fetch(market.http_url + "/v2/a?limit=2&apiKey=k")
        assert (status, body) == (200, {"next_url": market.http_url + "/v2/b?cursor=x"})
        assert fetch(market.http_url + "/v2/a?limit=2", Authorization="Bearer k")[0] == 200
        assert market.report()["requests"] == {
            "served": 2,
            "variant": 0,
            "stubbed": 0,
            "refused": 0,
            "missed": 0,
        }


def test_rest_turns_bad_keys_away_in_the_services_words(tape: Cassette) -> None:
    with MockServer(tape, reject_keys=["bad"]) as market:
        status, body = fetch(market.http_url + "/v2/a?limit=2&apiKey=bad")
        assert (status, body["status"], body["error"]) == (401, "ERROR", "invalid API key")
        status, body = fetch(market.http_url + "/v2/a?limit=2")
        assert (status, body["error"]) == (401, "API Key was not provided")


def test_a_miss_names_the_nearest_recording_and_never_the_key(tape: Cassette) -> None:
    with MockServer(tape) as market:
        status, body = fetch(market.http_url + "/v2/a?limit=50&apiKey=sesame")
        report = market.report()
    sentence = "no recording of GET /v2/a?limit=50; nearest: the same path with limit=2"
    assert (status, body["status"], body["message"]) == (404, "NOT_FOUND", sentence)
    assert report["misses"] == [{"asked": "GET /v2/a?limit=50", "sentence": sentence}]
    assert report["unplayed"] == ["GET /v2/a?limit=2"]
    assert "sesame" not in json.dumps(report)


def test_a_taken_port_is_one_clear_sentence(tape: Cassette) -> None:
    with (
        MockServer(tape) as market,
        pytest.raises(UsageError, match=f"port {market.port} of 127.0.0.1 is taken"),
    ):
        MockServer(tape, port=market.port).__enter__()


def test_a_server_that_cannot_start_leaves_no_thread(tape: Cassette, tmp_path: Path) -> None:
    (tmp_path / "run.cassette").write_bytes(b"dear to somebody")
    before = set(threading.enumerate())
    with MockServer(tape) as market:
        within = set(threading.enumerate())
        for options in ({"port": market.port}, {"journal": tmp_path / "run.cassette"}):
            with pytest.raises(UsageError):
                MockServer(tape, **options).__enter__()
        assert set(threading.enumerate()) <= within
    assert set(threading.enumerate()) <= before


def test_both_loopback_addresses_are_served_where_the_machine_has_them(tape: Cassette) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    with MockServer(tape) as market:
        assert fetch(f"http://[::1]:{market.port}/v2/a?limit=2&apiKey=k")[0] == 200


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_stand_in_brackets(host: str, tape: Cassette) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    with MockServer(tape, host=host) as market:
        assert market.http_url == f"http://[::1]:{market.port}"
        assert market.feed == f"[::1]:{market.port}"
        assert fetch(f"{market.http_url}/v2/a?limit=2&apiKey=k")[0] == 200
        with client(market):
            pass
        with urlopen(f"{market.http_url}/__tickdeck/state", timeout=10) as state:
            assert state.status == 200


async def test_the_async_handle_is_awaited(tape: Cassette) -> None:
    async with MockServer(tape, speed="max", start_on="connect") as market:
        with pytest.raises(WaitTimeoutError, match="no client"):
            await market.wait_started(timeout=0.01)
        assert market.report()["clients"] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"speed": "fast"}, "speed is neither a factor nor max"),
        (
            {"start_on": "whenever"},
            "start on is none of connect, .*, nor clients:N, nor channels",
        ),
        ({"on_return": "never"}, "on return is none of auto, resume, rewind"),
        ({"at_end": "explode"}, "at end is none of hold, close"),
        ({"repeats": "maybe"}, "repeats is none of by-time, in-order, cycle, error"),
        ({"settle": -1}, "settle must be seconds from 0 up"),
    ],
)
def test_an_option_that_means_nothing_is_named(
    tape: Cassette, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        MockServer(tape, **options)


def test_a_tape_that_cannot_be_read_on_closes_with_1011_and_whoever_waits_hears_why(
    make: Make, story: Any, tmp_path: Path
) -> None:
    story.opens(0, 0)
    for number in range(3000):
        story.trades(0, number, *"ABCDEFGHIJ")
    sound = make(story.records)
    refs = sound.chunk_refs()
    path = tmp_path / sound.name
    content = bytearray(path.read_bytes())
    content[refs[1].position + refs[1].size // 2] ^= 1
    path.write_bytes(content)
    with MockServer(path, speed="max") as market, client(market) as bot:
        ask(bot, "subscribe", "T.*")
        with pytest.raises(ConnectionClosedError):
            deque(bot, maxlen=0)
        assert bot.close_code == 1011
        with pytest.raises(FormatError, match="damaged at byte"):
            market.wait_finished()
        market.wait_left()
        report = market.report()
    assert "damaged at byte" in report["error"]
    assert len(report["clients"]) == 1


async def test_with_nothing_on_the_tape_a_run_is_done_when_everybody_has_left(make: Make, story: Any) -> None:
    story.answers(5, "https://api.polygon.io/v2/a", b"{}")
    async with Player(make(story.records)) as player:
        done = asyncio.create_task(player.waits.done())
        for _ in range(2):
            assert (await asyncio.to_thread(fetch, player.http_url + "/v2/a?apiKey=k"))[0] == 200
            assert not done.done()
        await asyncio.wait_for(done, 10)


async def test_a_key_used_for_rest_alone_does_not_keep_a_run_from_being_done(tape: Cassette) -> None:
    def listen(player: Player) -> None:
        fetch(player.http_url + "/v2/a?limit=2&apiKey=another")
        with connect(player.ws_url, compression=None) as bot:
            ask(bot, "auth", "test")
            ask(bot, "subscribe", "T.*")
            receive(bot, 23)

    async with Player(tape, options_of(speed="max")) as player:
        await asyncio.to_thread(listen, player)
        await asyncio.wait_for(player.waits.done(), 10)
        assert player.report()["requests"] == {
            "served": 1,
            "variant": 0,
            "stubbed": 0,
            "refused": 0,
            "missed": 0,
        }


def test_a_client_that_comes_the_moment_another_hung_up_finds_the_tape_anew(tape: Cassette) -> None:
    last = trade("B", 1 + 19 * MILLISECOND).encode()
    with MockServer(tape, speed="max", settle=0) as market:
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", market.port), timeout=10) as bot:
                bot.sendall(HANDSHAKE + masked("auth", "test") + masked("subscribe", "T.*"))
                heard = b""
                while last not in heard:
                    piece = bot.recv(65536)
                    assert piece
                    heard += piece
        market.wait_left()
        assert [row["frames"] for row in market.report()["clients"]] == [20] * 30


HANDSHAKE = (
    b"GET /stocks HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(action: str, params: str) -> bytes:
    """A client's message as it stands on the wire, under a mask of zeros."""
    payload = json.dumps({"action": action, "params": params}).encode()
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def test_a_socket_whose_other_side_closed_is_known_before_it_is_read() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert not is_hung_up(here.fileno())
        there.shutdown(socket.SHUT_RDWR)
        assert is_hung_up(here.fileno()) is hasattr(select, "POLLRDHUP")
    assert not is_hung_up(-1)
