"""Each verb of the control, seen by a WebSocket client that nobody here wrote."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.harness import MockServer, PlainMarket, WaitTimeoutError
from tickdeck.mockserver.steering import NotNowError

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

MILLISECOND = 1_000_000
EVERY = 10
"""Milliseconds between two trades."""
TRADES = 200


def trade(number: int) -> str:
    return f'[{{"ev":"T","sym":"{"AB"[number % 2]}","t":{number * EVERY * MILLISECOND}}}]'


NUMBER = {trade(number): number for number in range(TRADES)}


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Trades 0 to 199, 10 ms apart: the even ones of A, the odd ones of B; one REST answer."""
    story.opens(0, 0)
    story.acks(0, 0, "T.A", "T.B")
    for number in range(TRADES):
        story.trades(0, number * EVERY * MILLISECOND, "AB"[number % 2])
    story.answers(5, "https://api.polygon.io/v2/a", b'{"recorded":true}')
    return make(story.records)


@contextmanager
def client(market: PlainMarket, *channels: str, key: str = "key") -> Iterator[ClientConnection]:
    """A client that holds channels, past all acknowledgements."""
    with connect(f"{market.ws_url}/stocks", compression=None) as bot:
        bot.recv(10)
        bot.send(json.dumps({"action": "auth", "params": key}))
        bot.recv(10)
        if channels:
            bot.send(json.dumps({"action": "subscribe", "params": ",".join(channels)}))
            bot.recv(10)
        yield bot


def receive(bot: ClientConnection, count: int) -> list[int]:
    return [NUMBER[str(bot.recv(10))] for _ in range(count)]


def silent(bot: ClientConnection, market: PlainMarket) -> bool:
    """Whether nothing more was sent: a frame of our own is the next thing that comes."""
    market.send('[{"ev":"T","sym":"A","mark":1}]')
    return bot.recv(10) == '[{"ev":"T","sym":"A","mark":1}]'


def test_steps_let_frames_and_stretches_go_and_stand(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        assert market.step()["frames"] == 1
        assert receive(bot, 1) == [0]
        assert market.step(frames=3)["frames"] == 3
        assert receive(bot, 3) == [1, 2, 3]
        assert market.step(duration="30ms")["frames"] is None
        assert receive(bot, 3) == [4, 5, 6]
        assert silent(bot, market)


def test_a_frame_to_step_is_one_that_somebody_is_sent(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.B") as bot:
        market.wait_started()
        market.step(frames=2)
        assert receive(bot, 2) == [1, 3]


def test_steps_beyond_the_end_say_how_many_frames_there_were(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        market.seek("+1990ms")
        assert market.step(frames=5)["frames"] == 1
        assert receive(bot, 1) == [199]
        market.wait_finished()


def test_stepping_a_tape_with_a_pace_pauses_it(tape: Cassette) -> None:
    with MockServer(tape, speed="1/1000") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        assert receive(bot, 1) == [0]
        assert market.step(frames=2)["timelines"][0]["paused"]
        assert receive(bot, 2) == [1, 2]
        market.resume()
        market.speed(10)
        assert receive(bot, 197) == list(range(3, 200))


def test_a_burst_goes_on_at_the_speed_there_was(tape: Cassette) -> None:
    with MockServer(tape, speed="1/1000") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        state = market.burst(frames=100)
        assert receive(bot, 101) == list(range(101))
        assert not state["timelines"][0]["paused"]
        assert state["timelines"][0]["speed"] == "0.001"
        market.burst(duration="500ms")
        assert receive(bot, 50) == list(range(101, 151))


def test_a_pause_holds_the_tape_and_nothing_is_lost_at_its_end(tape: Cassette) -> None:
    with MockServer(tape, speed=1) as market, client(market, "T.A", "T.B") as bot:
        first = receive(bot, 10)
        assert market.pause()["timelines"][0]["paused"]
        market.wait_delivered()
        before = market.state()["timelines"][0]["position_ns"]
        while not first or first[-1] < before // MILLISECOND // EVERY:
            first += receive(bot, 1)
        assert silent(bot, market)
        assert market.state()["timelines"][0]["position_ns"] == before
        market.resume()
        market.speed(100)
        assert first + receive(bot, TRADES - len(first)) == list(range(TRADES))


def test_the_tape_is_sought_back_and_forth(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        for place, wanted in (("+1s", 100), ("0", 0), ("09:30:01.5", 150), ("2020-01-02T14:30:00.5Z", 50)):
            market.seek(place)
            market.step(frames=2)
            assert receive(bot, 2) == [wanted, wanted + 1]


@pytest.mark.parametrize("place", ["+10d", "2199-01-01T00:00:00Z"])
def test_a_place_behind_the_tape_is_its_end(tape: Cassette, place: str) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        market.seek(place)
        assert market.step(duration="400d")["timelines"][0]["position_ns"] == 1_990 * MILLISECOND + 1
        assert silent(bot, market)


def test_a_place_before_the_tape_is_its_beginning(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        market.seek("1999-01-01T00:00:00Z")
        market.step()
        assert receive(bot, 1) == [0]


def test_a_finished_tape_plays_on_after_a_seek(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market, "T.A", "T.B") as bot:
        receive(bot, TRADES)
        market.wait_finished()
        market.seek("+1900ms")
        assert receive(bot, 10) == list(range(190, 200))
        market.wait_finished()


def test_a_seek_while_paused_stays_paused_there(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market, "T.A", "T.B") as bot:
        receive(bot, TRADES)
        market.pause()
        assert market.seek("+1900ms")["timelines"][0]["paused"]
        assert silent(bot, market)
        market.resume()
        assert receive(bot, 10) == list(range(190, 200))


def test_who_stands_short_of_what_was_sought_is_answered_and_dropped_all_the_same(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market, "T.A", "T.B") as bot:
        receive(bot, TRADES)
        market.pause()
        market.seek("+1s")
        bot.send('{"action":"unsubscribe","params":"T.B"}')
        assert "unsubscribed to: T.B" in str(bot.recv(10))
        market.drop(code=1012)
        with pytest.raises(ConnectionClosedError, match="1012"):
            bot.recv(10)


def test_speeds_change_in_mid_tape_without_a_seam(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        got: list[int] = []
        for speed, more in (("step", 20), (10, 20), ("step", 20), ("lockstep", 20), (1, 5), ("max", 0)):
            market.speed(speed)
            if speed == "step":
                market.step(frames=more)
            got += receive(bot, more)
        got += receive(bot, TRADES - len(got))
        assert got == list(range(TRADES))
        assert silent(bot, market)


def test_a_speed_that_is_set_is_that_of_timelines_to_come_too(tape: Cassette) -> None:
    with MockServer(tape, speed="1/1000") as market:
        assert market.speed("max")["speed"] == "max"
        with client(market, "T.A", "T.B") as bot:
            assert receive(bot, TRADES) == list(range(TRADES))
        market.wait_left()
        with client(market, "T.A", "T.B") as bot:  # the tape starts anew, as fast
            assert receive(bot, TRADES) == list(range(TRADES))


def test_a_timeline_is_driven_alone(tape: Cassette) -> None:
    with (
        MockServer(tape, speed="step") as market,
        client(market, "T.A", key="one") as one,
        client(market, "T.A", key="two") as two,
    ):
        while not all(each["started"] for each in market.state()["timelines"]):
            market.wait_delivered()
        market.step(frames=2, timeline=2)
        assert receive(two, 2) == [0, 2]
        market.speed("max", timeline=1)
        assert receive(one, 100) == list(range(0, 200, 2))
        speeds = [each["speed"] for each in market.state()["timelines"]]
        assert (speeds, market.state()["speed"]) == (["max", "step"], "step")
        with pytest.raises(NotNowError, match="there is no timeline 3; there are 2"):
            market.step(timeline=3)


def test_a_tape_that_loops_can_be_sought_and_stepped_over_its_end(tape: Cassette) -> None:
    with MockServer(tape, speed="step", at_end="loop") as market, client(market, "T.A", "T.B") as bot:
        market.wait_started()
        market.seek("+1980ms")
        for _ in range(4):
            market.step()
            market.wait_delivered()
        assert receive(bot, 4) == [198, 199, 0, 1]


def test_what_has_not_started_cannot_be_driven(tape: Cassette) -> None:
    with MockServer(tape) as market, client(market):
        told: list[Callable[[], object]] = [
            market.pause,
            market.step,
            market.burst,
            lambda: market.seek("0"),
            lambda: market.pause(timeline=1),
        ]
        for each in told:
            with pytest.raises(NotNowError, match="started"):
                each()


def test_speed_max_cannot_be_stepped(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market, "T.A", "T.B") as bot:
        receive(bot, TRADES)
        for verb in (market.step, market.burst):
            with pytest.raises(NotNowError, match="speed max cannot be stepped; set speed step, or a factor"):
                verb()


def test_of_several_timelines_all_are_stepped_or_none(tape: Cassette) -> None:
    with (
        MockServer(tape, speed="step") as market,
        client(market, "T.A", key="one") as one,
        client(market, "T.A", key="two") as two,
    ):
        while not all(each["started"] for each in market.state()["timelines"]):
            market.wait_delivered()
        market.speed("max", timeline=2)
        receive(two, 100)
        with pytest.raises(NotNowError, match="cannot be stepped"):
            market.step()
        assert silent(one, market)


def test_a_speed_set_while_paused_leaves_it_paused(tape: Cassette) -> None:
    with MockServer(tape, speed="1/1000") as market, client(market, "T.A", "T.B") as bot:
        assert receive(bot, 1) == [0]
        market.pause()
        for speed in ("max", "10", "lockstep"):
            assert market.speed(speed)["timelines"][0]["paused"]
        assert silent(bot, market)
        market.resume()
        market.speed("max")
        assert receive(bot, 199) == list(range(1, 200))


def test_who_waits_for_the_first_subscription_can_be_started_by_hand(tape: Cassette) -> None:
    with MockServer(tape, speed="max") as market, client(market) as bot:
        assert market.resume()["timelines"][0]["started"]
        bot.send('{"action":"subscribe","params":"T.A"}')
        bot.recv(10)
        assert receive(bot, 100) == list(range(0, 200, 2))


def test_at_control_the_tape_starts_when_it_is_told_to(tape: Cassette) -> None:
    with MockServer(tape, speed="max", start_on="control") as market:
        with client(market, "T.A", "T.B") as bot:
            with pytest.raises(WaitTimeoutError):
                market.wait_started(timeout=0.1)
            market.resume()
            assert receive(bot, TRADES) == list(range(TRADES))
        market.wait_left()
        with client(market, "T.A", key="later") as bot:
            assert receive(bot, 100) == list(range(0, 200, 2))


# -- what is not of the tape


def test_a_stub_answers_until_it_is_lifted(tape: Cassette) -> None:
    with MockServer(tape) as market:

        def get(path: str) -> tuple[bytes, str]:
            with urlopen(f"{market.http_url}{path}?apiKey=key", timeout=10) as answer:
                return answer.read(), answer.headers["Content-Type"]

        market.stub("GET /v2/a", {"stubbed": 1.5})
        assert get("/v2/a") == (b'{"stubbed":1.5}', "application/json")
        market.stub("GET /v9/new", "<p>", content_type="text/html", status=203)
        assert get("/v9/new") == (b"<p>", "text/html")
        market.stub("GET /v2/a", status=202)
        assert get("/v2/a") == (b"", "application/json")
        market.stub("GET /v2/a", None)
        assert get("/v2/a") == (b"null", "application/json")
        market.stub("GET /v2/a", clear=True)
        assert get("/v2/a")[0] == b'{"recorded":true}'
        assert market.report()["requests"] == {
            "served": 1,
            "variant": 0,
            "stubbed": 4,
            "refused": 0,
            "missed": 0,
        }


@pytest.mark.parametrize("body", [{"a": {1}}, {"a": float("nan")}, object(), "\ud800", {"a": "\ud800"}])
def test_a_stub_that_is_no_json_is_refused(tape: Cassette, body: object) -> None:
    with MockServer(tape) as market, pytest.raises(UsageError):
        market.stub("GET /v2/a", body)


def test_keys_are_refused_and_taken_again(tape: Cassette) -> None:
    def is_taken(key: str) -> bool:
        with connect(f"{market.ws_url}/stocks", compression=None) as bot:
            bot.recv(10)
            bot.send(json.dumps({"action": "auth", "params": key}))
            return "auth_success" in str(bot.recv(10))

    with MockServer(tape) as market, client(market) as inside:
        market.refuse_keys("stolen")
        assert (is_taken("stolen"), is_taken("good")) == (False, True)
        market.refuse_keys(["stolen"], refuse=False)
        assert is_taken("stolen")
        market.refuse_keys()
        assert not is_taken("good")
        assert inside.ping().wait(10)
        market.refuse_keys(refuse=False)
        assert is_taken("good")
        assert "stolen" not in repr(market.journal)


def test_a_frame_of_one_s_own_reaches_those_that_hold_its_channels_to_the_byte(tape: Cassette) -> None:
    frame = '[{"ev":"T","sym":"A","p":114.170},{"ev":"T", "sym":"B"},{"ev":"status","message":"x"}]'
    with (
        MockServer(tape, speed="step") as market,
        client(market, "T.A") as a,
        client(market, "T.*") as all_trades,
        client(market, "Q.*"),
        client(market),
    ):
        assert market.send(frame) == 2
        assert a.recv(10) == '[{"ev":"T","sym":"A","p":114.170}]'
        assert all_trades.recv(10) == '[{"ev":"T","sym":"A","p":114.170},{"ev":"T", "sym":"B"}]'
        assert market.send('[{"ev":"T","sym":"A"}]', market="crypto") == 0


def test_a_frame_of_one_s_own_is_not_counted_as_the_tape_s(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A") as bot:
        before = market.report()["clients"][0]["digest"]
        assert silent(bot, market)
        row = market.report()["clients"][0]
        assert (row["digest"], row["frames"]) == (before, 0)


def test_one_client_is_dropped_with_a_code_or_all_without(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A") as one, client(market, "T.A") as two:
        market.drop(code=1013, reason="try again later", client=1)
        with pytest.raises(ConnectionClosedError) as caught:
            one.recv(10)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1013, "try again later")
        assert silent(two, market)
        market.drop()
        with pytest.raises(ConnectionClosedError, match="no close frame received"):
            two.recv(10)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 5000, 70000])
def test_a_code_that_no_close_frame_has_is_refused(tape: Cassette, code: int) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A") as bot:
        with pytest.raises(UsageError, match=f"a close frame has no code {code}"):
            market.drop(code=code)
        assert silent(bot, market)


def test_after_a_reset_it_is_as_if_the_server_had_just_started(tape: Cassette) -> None:
    with MockServer(tape, speed="step", stubs={"GET /v1/own": b"{}"}) as market:
        fresh = market.report()
        with client(market, "T.A") as bot:
            market.wait_started()
            market.stub("GET /v1/more", {})
            market.stub("GET /v1/own", clear=True)
            market.refuse_keys()
            market.speed("max")
            receive(bot, 100)
            state = market.reset()
            with pytest.raises(ConnectionClosed) as caught:
                bot.recv(10)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1001
        assert (state["clients"], state["timelines"], state["speed"]) == (0, [], "step")
        assert (market.report(), market.journal, market.misses()) == (fresh, [], [])
        with urlopen(f"{market.http_url}/v1/own?apiKey=key", timeout=10) as answer:
            assert answer.read() == b"{}"
        with client(market, "T.A") as bot:
            market.wait_started()
            assert market.clients()[0]["client"] == 1
            market.step()
            assert receive(bot, 1) == [0]


def test_a_reset_is_not_held_up_by_clients_that_come_back_at_once(tape: Cassette) -> None:
    def comes_back(market: PlainMarket) -> None:
        """Until there is no server any more."""
        while True:
            try:
                with client(market, "T.A") as bot:
                    bot.recv()
            except ConnectionClosed:
                continue
            except (OSError, InvalidHandshake):
                return

    with MockServer(tape, speed="step") as market:
        bots = [threading.Thread(target=comes_back, args=(market,)) for _ in range(4)]
        for bot in bots:
            bot.start()
        for _ in range(5):
            market.wait_started()
            assert market.reset()["timelines"] == []
    for bot in bots:
        bot.join(10)
        assert not bot.is_alive()


def test_what_was_told_is_in_the_journal(tape: Cassette) -> None:
    with MockServer(tape, speed="step") as market, client(market, "T.A"):
        market.wait_started()
        market.step(frames=2)
        market.stub("GET /v1/x", {})
        market.refuse_keys(["secret-key"])
        market.speed(2)
        market.drop(code=1012, client=1)
        told = [entry.parts for entry in market.journal if entry.kind == "control"]
    assert [parts["verb"] for parts in told] == ["step", "stub", "refuse-keys", "speed", "drop"]
    assert "secret-key" not in repr(told)


# -- any sequence of verbs


def tell_at_random(market: PlainMarket, dice: random.Random, sought: list[int]) -> None:
    """One verb; a seek is noted."""
    match dice.choice(["pause", "resume", "speed", "seek", "step", "burst", "stretch", "deliver"]):
        case "pause":
            market.pause()
        case "resume":
            market.resume()
        case "speed":
            market.speed(dice.choice(["1", "10", "100", "max", "step", "lockstep"]))
        case "seek":
            sought.append(dice.randrange(TRADES))
            market.seek(f"+{sought[-1] * EVERY}ms")
        case "step" if market.state()["timelines"][0]["speed"] != "max":
            market.step(frames=dice.randrange(1, 9))
        case "burst" if market.state()["timelines"][0]["speed"] != "max":
            market.burst(frames=dice.randrange(1, 9))
        case "stretch" if market.state()["timelines"][0]["speed"] != "max":
            market.burst(duration=f"{dice.randrange(1, 200)}ms")
        case "deliver":
            market.wait_delivered()


def is_continuous(got: Sequence[int], sought: Iterable[int], *, step: int, loop: bool) -> bool:
    """Whether each frame follows the one before, but at the places that were sought, in their order."""
    places = iter(sought)
    first = TRADES % step + step - 1
    follows = [first, *(number + step for number in got[:-1])]
    for number, expected in zip(got, follows, strict=True):
        if number == expected or (loop and expected >= TRADES and number == first):
            continue
        if not any(place + (place % step != first) * (step > 1) == number for place in places):
            return False
    return True


@pytest.mark.parametrize("at_end", ["hold", "loop"])
@pytest.mark.parametrize("speed", ["1", "max", "step", "lockstep"])
@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_verbs_leaves_the_tape_continuous_between_seeks(
    tape: Cassette, seed: int, speed: str, at_end: str
) -> None:
    dice = random.Random(seed)
    sought: list[int] = []
    heard: list[list[int]] = [[], []]

    def listen(bot: ClientConnection, got: list[int]) -> None:
        got.extend(NUMBER[str(frame)] for frame in bot)

    with (
        MockServer(tape, speed=speed, at_end=at_end, start_on="clients:2") as market,
        client(market, "T.A", "T.B") as all_trades,
        client(market, "T.B") as some,
    ):
        ears = [
            threading.Thread(target=listen, args=pair) for pair in zip((all_trades, some), heard, strict=True)
        ]
        for ear in ears:
            ear.start()
        market.wait_started()
        for _ in range(15):
            tell_at_random(market, dice, sought)
        market.pause()
        market.wait_delivered()
        market.drop(code=1000)
        for ear in ears:
            ear.join(10)
    assert is_continuous(heard[0], sought, step=1, loop=at_end == "loop")
    assert is_continuous(heard[1], sought, step=2, loop=at_end == "loop")
