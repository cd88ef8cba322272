"""The plugin, as a suite uses it: real pytest runs, in processes of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tickdeck.gateway.variables import PROXIES
from tickdeck.mockserver.harness import MockServer
from tickdeck.testing.runs import PlayRun
from tickdeck.testing.settings import settings_of
from tickdeck.testing.tapes import Tape, tape

pytest_plugins = ["pytester"]

BOT = '''
import json, threading, urllib.request
from websockets.sync.client import connect

class Bot:
    """Buys whenever a trade is below the close of yesterday; swallows whatever goes wrong, as bots do."""
    def __init__(self, rest, stream, key, close=115):
        self.rest, self.stream, self.key, self.close, self.orders = rest, stream, key, close, []
    def run(self, *says):
        try:
            with connect(f"{self.stream}/stocks", max_queue=None) as socket:
                auth, subscribe = (("auth", self.key), ("subscribe", "T.MSFT"))
                for each in says or [{"action": name, "params": params} for name, params in (auth, subscribe)]:
                    socket.send(each if isinstance(each, str) else json.dumps(each))
                for frame in socket:
                    self.orders += [each for each in json.loads(frame) if each["ev"] == "T" and each["p"] < self.close]
        except Exception:
            pass
    def running(self, *says):
        threading.Thread(target=self.run, args=says, daemon=True).start()
    def ask(self, path):
        try:
            with urllib.request.urlopen(f"{self.rest}{path}?apiKey={self.key}", timeout=20) as answer:
                return json.load(answer)
        except Exception:
            return None
'''


def dip() -> Tape:
    """Five trades, three of them below 115, and an answer."""
    made = tape().at("09:30:00").rest("GET", "/v1/marketstatus/now", {"market": "open"})
    for number, price in enumerate((116, 114, 113.5, 117, 114.17)):
        made.at(f"09:30:0{number}").send({"ev": "T", "sym": "MSFT", "p": price, "s": 100, "t": number})
    return made


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Writes a test file beside a bot and a cassette, and runs it."""
    (pytester.path / "cassettes").mkdir()
    dip().write(pytester.path / "cassettes" / "dip.cassette")
    (pytester.path / "bot.py").write_text(BOT)

    def run(source: str, *arguments: str, env: dict[str, str] | None = None) -> pytest.RunResult:
        path = pytester.path / "test_it.py"
        path.write_text(f"import pytest\nfrom bot import Bot\n{source}")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(pytester.path)
            patch.setenv("PYTHONPATH", str(pytester.path))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:recording", *arguments)

    return run


PASSES = """
@pytest.mark.cassette("dip.cassette")
def test_bot_buys_the_dip(market):
    bot = Bot(rest=market.http_url, stream=market.ws_url, key=market.key)
    bot.running()
    market.wait_until(lambda: len(bot.orders) == 3)
    assert bot.orders[0]["sym"] == "MSFT"
"""


def test_a_bot_that_does_well_passes(suite: Callable[..., pytest.RunResult]) -> None:
    result = suite(PASSES, "-W", "error", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


def test_without_a_path_the_cassette_is_called_as_the_test(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    for name in ("test_plain", "test_each", "test_each[b]"):
        dip().write(pytester.path / "cassettes" / f"{name}.cassette")  # type: ignore[attr-defined]
    result = suite(
        """
def test_plain(market):
    assert market.state()["markets"] == ["stocks"]

@pytest.mark.parametrize("x", ["a", "b"])
def test_each(market, x):
    assert ("test_each[b]" in market._player.stage.cassette.name) == (x == "b")
"""
    )
    result.assert_outcomes(passed=3)


def test_a_missing_cassette_is_an_error_with_the_command_that_makes_it(
    suite: Callable[..., pytest.RunResult],
) -> None:
    result = suite("def test_new(market): pass")
    result.assert_outcomes(errors=1)
    said = result.stdout.str()
    assert "UsageError: there is no cassette" in said
    assert "cassettes/test_new.cassette; with a key in MASSIVE_API_KEY this records it: " in said
    assert "pytest 'test_it.py::test_new' --tickdeck=record-missing" in said


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "bot.ask('/v3/trades/AAPL')",
            "a request was not on the cassette: no recording of GET /v3/trades/AAPL*",
        ),
        (
            "bot.running('nonsense'); market.wait_until(lambda: market.journal.missteps)",
            "client 1 made a misstep (malformed): a message of 8 bytes that is no JSON",
        ),
    ],
    ids=["miss", "misstep"],
)
def test_what_the_bot_swallows_fails_the_test_all_the_same(
    suite: Callable[..., pytest.RunResult], body: str, sentence: str
) -> None:
    source = f"""
@pytest.mark.cassette("dip.cassette"OPTIONS)
def test_it(market):
    bot = Bot(rest=market.http_url, stream=market.ws_url, key=market.key)
    {body}
"""
    result = suite(source.replace("OPTIONS", ""))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([sentence])
    suite(source.replace("OPTIONS", ", strict=False")).assert_outcomes(passed=1)


def test_what_comes_after_the_test_is_an_error_of_its_end(suite: Callable[..., pytest.RunResult]) -> None:
    result = suite(
        """
@pytest.fixture
def bot(market):
    bot = Bot(rest=market.http_url, stream=market.ws_url, key=market.key)
    yield bot
    bot.ask("/late")

@pytest.mark.cassette("dip.cassette")
def test_it(bot):
    pass
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["after the test: a request was not on the cassette: no recording of GET /late*"]
    )


def test_what_was_told_is_not_told_again_and_what_comes_later_is(
    suite: Callable[..., pytest.RunResult],
) -> None:
    result = suite(
        """
@pytest.mark.cassette("dip.cassette")
def test_it(market, request):
    bot = Bot(rest=market.http_url, stream=market.ws_url, key=market.key)
    bot.running("nonsense")
    market.wait_until(lambda: market.journal.missteps)
    run = next(value for value in request.node.stash._storage.values() if hasattr(value, "findings"))
    assert ["malformed" in each for each in run.findings()] == [True]
    bot.ask("/late")
    assert ["GET /late" in each for each in run.findings()] == [True]
    assert run.findings() == []
"""
    )
    result.assert_outcomes(passed=1)


def test_a_damaged_cassette_fails_the_test(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    path = pytester.path / "cassettes" / "dip.cassette"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 1
    path.write_bytes(raw)
    result = suite(PASSES)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*dip.cassette: damaged at byte*"])


@pytest.mark.parametrize(
    ("policy", "outcome"), [("fail", "failed"), ("warn", "passed"), ("ignore", "passed")]
)
def test_answers_that_nobody_asked_for_are_what_the_policy_says(
    suite: Callable[..., pytest.RunResult], policy: str, outcome: str
) -> None:
    result = suite(
        f"""
@pytest.mark.cassette("dip.cassette", on_unplayed="{policy}")
def test_it(market):
    pass

@pytest.mark.cassette("dip.cassette", on_unplayed="{policy}")
def test_that_asks(market):
    assert Bot(rest=market.http_url, stream="", key="k").ask("/v1/marketstatus/now")["market"] == "open"
"""
    )
    result.assert_outcomes(passed=1 + (outcome == "passed"), failed=outcome == "failed")  # type: ignore[arg-type]
    told = "recorded, and never asked for: GET /v1/marketstatus/now"
    assert (told in result.stdout.str()) == (policy != "ignore")


def test_a_failing_test_says_what_happened_at_its_market(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    result = suite(PASSES + "    assert bot.orders == []\n", "--basetemp=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- tickdeck -*",
            "*dip.cassette: it has ended, at 2020-01-02 09:30:0* EST (+*",
            "client 1 (stocks): 5 frames; T.MSFT 5 of 5 events",
            "done last:",
            "  before the start  client 1 authenticated",
            "  before the start  client 1 subscribed channels=T.MSFT",
            "  09:30:04.000 EST  finished",
            "client 1 was sent last:",
            '  09:30:03.000 EST  [[]{"ev":"T","sym":"MSFT","p":117,*',
            '  09:30:04.000 EST  [[]{"ev":"T","sym":"MSFT","p":114.17,*',
            "the run is kept: *run.cassette",
        ]
    )
    assert list(pytester.path.glob("kept/**/run.cassette"))
    [command] = [line.split() for line in result.outlines if line.startswith("  tickdeck why ")]
    assert command[-1] == "T.MSFT@+4.000s"
    why = pytester.run(sys.executable, "-m", *command)
    assert why.ret == 0
    why.stdout.fnmatch_lines(["*sent*"])


def test_of_a_passing_test_no_run_is_kept(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    suite(PASSES, "--basetemp=kept").assert_outcomes(passed=1)
    assert not [path for path in pytester.path.glob("kept/*") if not path.is_symlink()]


FULL = """
@pytest.fixture(autouse=True)
def full_disk(monkeypatch):
    import errno
    from tickdeck.cassette.disk import Disk
    def write(self, descriptor, data):
        WRITES.append(len(data))
        if len(WRITES) > ALLOWED:
            raise OSError(errno.ENOSPC, "no space")
        return os.write(descriptor, data)
    monkeypatch.setattr(Disk, "write", write)

import os
WRITES = []
"""


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_a_disk_that_is_full_fails_no_test_and_is_said(
    suite: Callable[..., pytest.RunResult], allowed: int
) -> None:
    result = suite(f"{FULL}\nALLOWED = {allowed}\n{PASSES}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*the run could not be kept: cannot write run.cassette*: the disk is full"])


def test_without_a_temporary_folder_tests_run_all_the_same(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    (pytester.path / "file").write_text("")
    result = suite(PASSES + "    assert market is None\n", "--basetemp=file/below")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the run could not be kept: there is no temporary folder"])


def test_the_run_of_a_test_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    cassette = dip().write(tmp_path / "dip.cassette")
    synced.clear()
    run = PlayRun([cassette], settings_of({}, {}), journal=tmp_path / "run.cassette", is_async=False)
    assert run.stop(keep=True) == ""
    assert (tmp_path / "run.cassette").exists()
    assert synced == []
    with MockServer(cassette, journal=tmp_path / "of-a-user.cassette"):
        pass
    assert synced


ASYNC = """
import asyncio, json
from websockets.asyncio.client import connect

MARK
@pytest.mark.cassette("dip.cassette")
async def test_it(market):
    orders = []
    async def bot():
        async with connect(f"{market.ws_url}/stocks") as socket:
            await socket.send(json.dumps({"action": "auth", "params": market.key}))
            await socket.send(json.dumps({"action": "subscribe", "params": "T.MSFT"}))
            async for frame in socket:
                orders.extend(each for each in json.loads(frame) if each["ev"] == "T")
    running = asyncio.ensure_future(bot())
    await market.wait_subscribed("T.MSFT")
    await market.wait_for("T.MSFT", n=5)
    await market.wait_until(lambda: len(orders) == 5)
    await market.wait_finished()
    market.assert_subscribed("T.MSFT")
    running.cancel()
"""


@pytest.mark.parametrize(
    ("mark", "plugins"),
    [
        ("@pytest.mark.asyncio", ("-p", "no:anyio")),
        ("@pytest.mark.anyio", ("-p", "no:asyncio")),
        ("", ("-p", "no:anyio", "-o", "asyncio_mode=auto")),
    ],
    ids=["pytest-asyncio", "anyio", "asyncio auto"],
)
def test_in_an_async_test_the_waits_are_awaited(
    suite: Callable[..., pytest.RunResult], mark: str, plugins: tuple[str, ...]
) -> None:
    fixture = "\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n" if "anyio" in mark else ""
    suite(fixture + ASYNC.replace("MARK", mark), *plugins).assert_outcomes(passed=1)


def test_beside_other_plugins_in_random_order_and_in_several_processes(pytester: pytest.Pytester) -> None:
    (pytester.path / "cassettes").mkdir()
    dip().write(pytester.path / "cassettes" / "dip.cassette")  # type: ignore[attr-defined]
    (pytester.path / "bot.py").write_text(BOT)
    source = "import pytest\nfrom bot import Bot\n" + PASSES
    for number in range(6):
        source += PASSES.replace("buys_the_dip", f"buys_{number}")
    source += """
@pytest.mark.vcr
@pytest.mark.cassette("dip.cassette")
def test_with_vcr(market):
    assert Bot(rest=market.http_url, stream="", key="k").ask("/v1/marketstatus/now") is not None
"""
    (pytester.path / "test_it.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(pytester.path))
        result = pytester.runpytest_subprocess(
            "-n", "2", "-p", "randomly", "--record-mode=none", "--allow-hosts=127.0.0.1,::1", "-q"
        )
    # vcrpy has no cassette for what goes to the market, and lets nothing through: the test says so itself.
    result.assert_outcomes(passed=7, failed=1)


def test_options_of_a_wider_scope_and_those_of_the_marker(suite: Callable[..., pytest.RunResult]) -> None:
    suite(
        """
@pytest.fixture(scope="module")
def market_options():
    return {"speed": 100, "keys": ["mine"]}

@pytest.mark.cassette("dip.cassette")
def test_wide(market):
    assert (market.state()["speed"], market.key) == ("100", "mine")

@pytest.mark.cassette("dip.cassette", speed="step")
def test_narrow(market):
    assert market.state()["speed"] == "step"
    with pytest.raises(Exception, match="no timeline has started"):
        market.step()
"""
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        ('"dip.cassette", sped=1', "there is no option sped"),
        ('"dip.cassette", on_unplayed="maybe"', "on_unplayed is none of ignore, warn, fail: 'maybe'"),
        ('"dip.cassette", record_for="soon"', "record_for is a duration such as 60s, not 'soon'"),
        ('"dip.cassette", strict="no"', "strict must be True or False, not 'no'"),
        ("7", "the marker cassette takes paths and tapes, not 7"),
    ],
)
def test_a_marker_that_makes_no_sense_says_why(
    suite: Callable[..., pytest.RunResult], marker: str, sentence: str
) -> None:
    result = suite(f"@pytest.mark.cassette({marker})\ndef test_it(market): pass")
    result.assert_outcomes(errors=1)
    assert sentence in result.stdout.str()


def test_a_tape_made_by_hand_and_lines_are_markets_too(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    (pytester.path / "cassettes" / "lines.jsonl").write_text(
        '{"payload":[{"ev":"T","sym":"MSFT","p":1.50}]}\n'
    )
    suite(
        """
from tickdeck import tape

@pytest.mark.cassette(tape().at("09:30:00").send({"ev": "T", "sym": "MSFT", "p": 1}))
def test_tape(market):
    bot = Bot(rest=market.http_url, stream=market.ws_url, key=market.key)
    bot.running()
    market.wait_until(lambda: bot.orders == [{"ev": "T", "sym": "MSFT", "p": 1}])

@pytest.mark.cassette("lines.jsonl")
def test_lines(market):
    bot = Bot(rest=market.http_url, stream=market.ws_url, key=market.key)
    bot.running()
    market.wait_until(lambda: bot.orders == [{"ev": "T", "sym": "MSFT", "p": 1.5}])

@pytest.mark.cassette("dip.cassette", "lines.jsonl")
def test_both(market):
    bot = Bot(rest=market.http_url, stream=market.ws_url, key=market.key)
    bot.running()
    market.wait_until(lambda: len(bot.orders) == 4)
"""
    ).assert_outcomes(passed=3)


def test_the_environment_names_the_market(suite: Callable[..., pytest.RunResult]) -> None:
    suite(
        """
import os

@pytest.mark.cassette("dip.cassette")
def test_it(market, market_env):
    assert os.environ["TICKDECK_HTTP"] == market.http_url == market_env["TICKDECK_HTTP"]
    assert os.environ["POLYGON_WS_URL"] == f"{market.ws_url}/stocks"
    assert os.environ["MASSIVE_API_KEY"] == os.environ["POLYGON_API_KEY"] == "test"

def test_after():
    assert "TICKDECK_HTTP" not in os.environ
"""
    ).assert_outcomes(passed=2)


def test_a_proxy_of_the_surroundings_gets_nothing_that_a_bot_says(
    suite: Callable[..., pytest.RunResult],
) -> None:
    proxies = {spelled: "http://127.0.0.1:9" for name in PROXIES for spelled in (name, name.lower())}
    suite(
        """
import os

import requests
from websockets.sync.client import connect

@pytest.mark.cassette("dip.cassette")
def test_it(market, market_env):
    headers = {"Authorization": f"Bearer {market.key}"}
    url = f"{os.environ['TICKDECK_HTTP']}/v1/marketstatus/now"
    assert requests.get(url, headers=headers, timeout=10).json() == {"market": "open"}
    with connect(os.environ["POLYGON_WS_URL"]) as socket:
        assert "Connected" in socket.recv(10)
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "db.internal,127.0.0.1,localhost,::1"

def test_after():
    assert os.environ["NO_PROXY"] == "db.internal"
    assert "no_proxy" not in os.environ
""",
        env={**proxies, "NO_PROXY": "db.internal"},
    ).assert_outcomes(passed=2)


def test_market_time_is_that_of_the_tape(suite: Callable[..., pytest.RunResult]) -> None:
    suite(
        """
import time
from datetime import datetime, timezone

@pytest.mark.cassette("dip.cassette", speed="step")
def test_step(market):
    real, monotonic = time.time(), time.monotonic()
    Bot(rest=market.http_url, stream=market.ws_url, key=market.key).running()
    market.wait_started()
    with market.use_market_time():
        market.step(frames=3)
        assert datetime.now(timezone.utc) == datetime(2020, 1, 2, 14, 30, 2, tzinfo=timezone.utc)
        market.step(seconds=1.5)
        assert time.time() == datetime(2020, 1, 2, 14, 30, 3, 500000, tzinfo=timezone.utc).timestamp()
        assert time.monotonic() - monotonic < 60
    assert time.time() >= real

@pytest.mark.cassette("dip.cassette", speed=1)
def test_real_time(market):
    Bot(rest=market.http_url, stream=market.ws_url, key=market.key).running()
    market.wait_started()
    with market.use_market_time():
        first = time.time()
        assert datetime(2020, 1, 2, 14, 30, tzinfo=timezone.utc).timestamp() <= first < 1577975460
        market.wait_for("T.MSFT", n=2)
        assert time.time() > first
"""
    ).assert_outcomes(passed=2)


def test_no_server_outlives_its_test(suite: Callable[..., pytest.RunResult]) -> None:
    suite(
        """
import gc, weakref
SERVERS = []

@pytest.mark.cassette("dip.cassette")
@pytest.mark.parametrize("number", range(5))
def test_each(market, number):
    SERVERS.append(weakref.ref(market._player))
    gc.collect()
    assert [each() for each in SERVERS[:-1]] == [None] * number
"""
    ).assert_outcomes(passed=5)


def test_an_unused_plugin_imports_nothing_of_ours_but_the_clocks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            ours = {name for name in sys.modules if name.startswith("tickdeck")}
            assert ours == {"tickdeck", "tickdeck.pytest_plugin", "tickdeck.watch", "tickdeck.watch.realtime"}
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=1)


def test_a_miss_by_a_surplus_parameter_prints_the_marker_that_leaves_it_aside(
    suite: Callable[..., pytest.RunResult],
) -> None:
    source = """
from urllib.request import urlopen
{marker}
def test_it(market):
    urlopen(market.http_url + "/v1/marketstatus/now?apiKey=k&cursor=AbC123").close()
"""
    result = suite(source.format(marker='@pytest.mark.cassette("dip.cassette", speed=2)'))
    result.assert_outcomes(failed=1)
    (marker,) = {
        line.partition("to leave it aside: ")[2]
        for line in result.stdout.lines
        if "to leave it aside: @" in line
    }
    assert marker == '@pytest.mark.cassette("dip.cassette", speed=2, ignore="query:cursor")'
    suite(source.format(marker=marker)).assert_outcomes(passed=1)
