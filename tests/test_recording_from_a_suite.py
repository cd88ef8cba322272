"""Cassettes recorded from the suite that plays them: from a service that nobody has to pay for, the deck itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tickdeck import MockServer, tape
from tickdeck.cassette.files import open_cassette
from tickdeck.testing.tapes import Tape

pytest_plugins = ["pytester"]

HOUR_NS = 3600 * 10**9
KEY = "a_key_of_the_environment_12345"

SUITE = """
import json, threading, urllib.request
import pytest
from websockets.sync.client import connect

@pytest.fixture(scope="session")
def market_options():
    return {{"upstream_http": "{http}", "upstream_ws": "{ws}"}}

class Bot:
    def __init__(self, market):
        self.market, self.events, self.status = market, [], None
    def run(self):
        with urllib.request.urlopen(self.market.http_url + "/v1/marketstatus/now?apiKey=" + self.market.key) as answer:
            self.status = json.load(answer)["market"]
        with connect(self.market.ws_url + "/stocks", max_queue=None) as socket:
            socket.send(json.dumps({{"action": "auth", "params": self.market.key}}))
            socket.send(json.dumps({{"action": "subscribe", "params": "T.MSFT,T.AAPL"}}))
            for frame in socket:
                self.events += [each for each in json.loads(frame) if each["ev"] == "T"]

@pytest.mark.cassette("bot.cassette", record_for="20s")
def test_bot(market):
    bot = Bot(market)
    threading.Thread(target=bot.run, daemon=True).start()
    market.wait_until(lambda: len(bot.events) >= {events})
    assert bot.status == "open"
    assert market.key == ("{key}" if getattr(market, "is_recording", False) else "test")
    {more}
"""


def service(*symbols: str, status: str = "open") -> Tape:
    """What is to be recorded: a trade a symbol, and an answer."""
    made = tape().rest("GET", "/v1/marketstatus/now", {"market": status}).at("09:30:00")
    for symbol in symbols:
        made.send({"ev": "T", "sym": symbol, "p": 1})
    return made


Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs the suite against this service, or (``None``) with none."""

    def running(
        given: Tape | None, *arguments: str, more: str = "", events: int = 2, key: str = KEY
    ) -> pytest.RunResult:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MASSIVE_API_KEY", key)

            def against(http: str, ws: str) -> pytest.RunResult:
                source = SUITE.format(http=http, ws=ws, key=key, more=more, events=events)
                (pytester.path / "test_it.py").write_text(source)
                return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:recording", *arguments)

            if given is None:
                return against("http://127.0.0.1:9", "ws://127.0.0.1:9")
            path = given.in_a_file()
            with MockServer(path, speed="max", keys=[key]) as market:
                return against(market.http_url, market.ws_url)

    return running


def channels(path: Path) -> dict[str, int]:
    with open_cassette(path) as cassette:
        return {
            name: each.events
            for track in cassette.survey.tracks.values()
            for name, each in track.channels.items()
        }


@pytest.fixture
def home(pytester: pytest.Pytester) -> Path:
    return pytester.path / "cassettes" / "bot.cassette"


def test_what_is_missing_is_recorded_and_then_played_with_no_service(run: Run, home: Path) -> None:
    result = run(service("MSFT", "AAPL"), "--tickdeck=record-missing")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*= tickdeck =*", "test_it.py::test_bot: recorded *cassettes/bot.cassette"])
    assert channels(home) == {"T.MSFT": 1, "T.AAPL": 1}
    assert KEY.encode() not in home.read_bytes()
    assert [each.name for each in home.parent.iterdir()] == ["bot.cassette"]
    run(None).assert_outcomes(passed=1)
    run(None, "--tickdeck=record-missing").assert_outcomes(passed=1)


def test_recording_again_replaces_the_old_one(run: Run, home: Path) -> None:
    service("MSFT", "AAPL").write(_made(home))
    run(service("AAPL", "MSFT", "AAPL"), "--tickdeck=record", events=3).assert_outcomes(passed=1)
    assert channels(home) == {"T.MSFT": 1, "T.AAPL": 2}


def _made(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path


def test_a_test_that_fails_changes_nothing(run: Run, home: Path) -> None:
    service("MSFT").write(_made(home))
    before = home.read_bytes()
    result = run(service("MSFT", "AAPL"), "--tickdeck=record", more="assert not bot.events")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_bot: the test did not pass; kept the old bot.cassette"])
    assert home.read_bytes() == before
    assert len(list(home.parent.iterdir())) == 1


def test_a_channel_that_lost_all_its_events_keeps_the_old_one_unless_forced(run: Run, home: Path) -> None:
    service("MSFT", "AAPL", "AAPL").write(_made(home))
    result = run(service("MSFT", "MSFT"), "--tickdeck=record")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*T.AAPL had 2 events, now 0 (market closed?); kept the old bot.cassette (--tickdeck-force replaces it)"
        ]
    )
    assert channels(home) == {"T.MSFT": 1, "T.AAPL": 2}
    run(service("MSFT", "MSFT"), "--tickdeck=record", "--tickdeck-force").assert_outcomes(passed=1)
    assert channels(home) == {"T.MSFT": 2}


def test_rest_alone_is_recorded_beside_the_sockets_of_the_old_one(run: Run, home: Path) -> None:
    service("MSFT", "AAPL", status="closed").write(_made(home))
    run(service("GOOG"), "--tickdeck=record-rest").assert_outcomes(passed=1)
    assert channels(home) == {"T.MSFT": 1, "T.AAPL": 1}
    with open_cassette(home) as cassette:
        assert [each.body for each in cassette.interactions()] == [b'{"market":"open"}']
    run(None).assert_outcomes(passed=1)


def test_without_a_key_or_a_service_it_says_so(run: Run, home: Path) -> None:
    result = run(service("MSFT"), "--tickdeck=record", key="")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*recording needs an API key: set MASSIVE_API_KEY, POLYGON_API_KEY or APCA_API_*"]
    )
    result = run(None, "--tickdeck=record")
    result.assert_outcomes(failed=1)
    assert not home.exists()


def test_a_live_test_is_bounded(run: Run, home: Path, pytester: pytest.Pytester) -> None:
    result = run(
        service("MSFT"),
        "--tickdeck=record",
        events=1,
        more="market._ends_s = 0; market.wait_until(lambda: len(bot.events) > 1)",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*WaitTimeoutError: what was waited for did not come while it was recorded*"]
    )
    assert not home.exists()


def test_what_drives_a_tape_is_refused_while_recording(run: Run) -> None:
    result = run(service("MSFT", "AAPL"), "--tickdeck=record", more="market.seek('+1s')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*UsageError: a recording has no playhead*"])


FROZEN = """
import pytest, threading, urllib.request

@pytest.mark.cassette("frozen.cassette", record_for="300ms", upstream_http="{http}", upstream_ws="{ws}")
async def test_it(freezer, market):
    seen = []
    def ask():
        with urllib.request.urlopen(market.http_url + "/v1/marketstatus/now?apiKey=" + market.key) as answer:
            seen.append(answer.status)
    threading.Thread(target=ask, daemon=True).start()
    await market.wait_until(lambda: seen)
    await market.wait_finished()
"""


def test_a_suite_with_frozen_clocks_is_recorded_and_dated_by_the_machine(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASSIVE_API_KEY", KEY)
    with MockServer(service("MSFT").in_a_file(), keys=[KEY]) as market:
        pytester.makepyfile(FROZEN.format(http=market.http_url, ws=market.ws_url))
        result = pytester.runpytest_subprocess(
            "-p", "no:randomly", "-p", "no:recording", "--asyncio-mode=auto", "--tickdeck=record"
        )
    result.assert_outcomes(passed=1)
    with open_cassette(pytester.path / "cassettes" / "frozen.cassette") as cassette:
        assert cassette.header.epoch_ns > time.time_ns() - HOUR_NS
