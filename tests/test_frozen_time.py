"""A bot under a clock that its test has frozen, moved or replaced: the market goes on by the machine's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
import time_machine
from freezegun import freeze_time
from websockets.sync.client import connect

from tickdeck.mockserver.handles import AwaitedMarket
from tickdeck.mockserver.harness import AsyncMarket, MockServer, PlainMarket, WaitTimeoutError
from tickdeck.testing.tapes import tape
from tickdeck.watch.realtime import REAL

pytest_plugins = ["pytester"]

DAY = "2020-01-02"
FRAMES = 3
ENOUGH_S = 20
AT_ONCE_S = 0.02

Form: TypeAlias = Callable[[], AbstractContextManager[object]]


@contextmanager
def replaced(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, name, lambda *_: 0)
        yield


@contextmanager
def replaced_sleep() -> Iterator[None]:
    async def at_once(*_: object) -> None:
        """What many put in its place: it lets nobody else run."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", at_once)
        yield


FORMS = [
    pytest.param(lambda: freeze_time(DAY), id="frozen"),
    pytest.param(lambda: freeze_time(DAY, tick=True), id="ticking"),
    pytest.param(lambda: freeze_time(DAY, auto_tick_seconds=15), id="leaping"),
    pytest.param(lambda: freeze_time(DAY, real_asyncio=True), id="real-asyncio"),
    pytest.param(lambda: freeze_time("1969-12-31"), id="before-1970"),
    pytest.param(lambda: time_machine.travel(DAY, tick=False), id="time-machine"),
    *(
        pytest.param(lambda name=name: replaced(name), id=name)
        for name in ("monotonic", "monotonic_ns", "time", "time_ns", "sleep")
    ),
    pytest.param(replaced_sleep, id="asyncio-sleep"),
]


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    """Three events, ten milliseconds apart."""
    made = tape().at("09:30:00")
    for number in range(FRAMES):
        made.at("+10ms").send({"ev": "T", "sym": "MSFT", "p": number})
    return made.write(tmp_path / "three.cassette")


class Bot:
    """Listens in a thread; its library's own timeouts are off, for the test's clock is what they go by."""

    def __init__(self, ws_url: str) -> None:
        self.heard: list[str | bytes] = []
        self._ws_url = ws_url
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with connect(
            f"{self._ws_url}/stocks", open_timeout=None, ping_interval=None, close_timeout=None
        ) as socket:
            for said in (
                '{"action":"auth","params":"test"}',
                '{"action":"subscribe","params":"T.MSFT"}',
            ):
                socket.recv()
                socket.send(said)
            self.heard.extend(socket)

    def join(self) -> list[str | bytes]:
        """What it heard after its auth, once it was sent away."""
        self._thread.join()
        return self.heard


def look_and_play(market: PlainMarket) -> None:
    with pytest.raises(WaitTimeoutError, match=r"waited 0\.02 s for the start of the tape"):
        market.wait_started(timeout=AT_ONCE_S)
    with pytest.raises(WaitTimeoutError, match=r"waited 0\.02 s"):
        market.wait_until(lambda: False, timeout=AT_ONCE_S)
    bot = Bot(market.ws_url)
    market.wait_finished(timeout=ENOUGH_S)
    market.wait_left(timeout=ENOUGH_S)
    assert len(bot.join()[-FRAMES:]) == FRAMES


async def look_and_play_awaited(market: AsyncMarket) -> None:
    with pytest.raises(WaitTimeoutError, match=r"waited 0\.02 s for the start of the tape"):
        await market.wait_started(timeout=AT_ONCE_S)
    with pytest.raises(WaitTimeoutError, match=r"waited 0\.02 s"):
        await market.wait_until(lambda: False, timeout=AT_ONCE_S)
    bot = Bot(market.ws_url)
    await market.wait_finished(timeout=ENOUGH_S)
    await market.wait_left(timeout=ENOUGH_S)
    assert len(bot.join()[-FRAMES:]) == FRAMES


@pytest.mark.parametrize("form", FORMS)
def test_a_tape_at_a_pace_its_waits_and_its_end_go_by_the_machine(form: Form, cassette: Path) -> None:
    with form(), MockServer(cassette, speed=1, at_end="close") as market:
        look_and_play(market)


@pytest.mark.parametrize("form", FORMS)
async def test_so_they_do_in_the_loop_of_the_bot(form: Form, cassette: Path) -> None:
    with form():
        async with MockServer(cassette, speed=1, at_end="close") as market:
            await look_and_play_awaited(market)


@pytest.mark.parametrize("form", FORMS)
async def test_so_they_do_in_a_thread_beside_the_loop_of_the_bot(form: Form, cassette: Path) -> None:
    with form(), MockServer(cassette, speed=1, at_end="close") as plain:
        await look_and_play_awaited(AwaitedMarket.beside(plain))


def test_so_they_do_over_tls_and_on_uvloop(cassette: Path) -> None:
    with freeze_time(DAY):
        with MockServer(cassette, speed=1, at_end="close", event_loop="uvloop") as market:
            look_and_play(market)
        with MockServer(cassette, tls=True) as market:
            assert market.ssl_context().cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("form", FORMS)
def test_what_is_kept_is_dated_by_the_machine(form: Form) -> None:
    before_ns = REAL.wall_ns()
    with form():
        assert 0 <= REAL.wall_ns() - before_ns < 3600 * 10**9


def test_today_is_the_day_that_the_bot_sees(cassette: Path) -> None:
    with freeze_time("2021-03-04 15:00:00"), MockServer(cassette, time_shift="now") as market:
        bot = Bot(market.ws_url)
        market.wait_started(timeout=ENOUGH_S)
        assert market.zero_wall_ns // 10**9 == 1614870000
        market.drop(code=1000)
        bot.join()


def test_a_certificate_that_was_first_made_inside_a_freeze_leaves_the_next_ones_as_they_are() -> None:
    program = (
        "from freezegun import freeze_time\n"
        "from tickdeck.gateway.identity import identity_of\n"
        "with freeze_time('2021-03-04'):\n"
        "    identity_of(True, None, None, hosts=['localhost']).close()\n"
        "identity_of(True, None, None, hosts=['localhost']).close()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_clocks_first_read_inside_a_freeze_are_the_ones_that_freezegun_put_aside() -> None:
    program = (
        "import time; real = time.monotonic, time.monotonic_ns\n"
        "from freezegun import freeze_time\n"
        "with freeze_time('2020-01-02'):\n"
        "    from tickdeck.watch.realtime import REAL\n"
        "    assert time.monotonic is not real[0]\n"
        "    assert (REAL.monotonic, REAL.monotonic_ns) == real\n"
        "    assert REAL.wall_ns() > 1.7e18\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


FREEZER = """
import pytest
from tickdeck import tape
from websockets.sync.client import connect

pytestmark = pytest.mark.cassette(
    tape().at("09:30:00").send({"ev": "T", "sym": "A", "p": 1}).at("+10ms").send({"ev": "T", "sym": "A", "p": 2}),
    speed=1,
)

def bot(market):
    socket = connect(f"{market.ws_url}/stocks", open_timeout=None, ping_interval=None)
    for said in ('{"action":"auth","params":"test"}', '{"action":"subscribe","params":"T.A"}'):
        socket.recv()
        socket.send(said)
    return socket

def test_plain(freezer, market):
    with bot(market):
        market.wait_finished(timeout=20)
        freezer.tick(3600)
    market.wait_left(timeout=20)

async def test_awaited(market, freezer):
    with bot(market):
        await market.wait_finished(timeout=20)
    await market.wait_left(timeout=20)
"""


def test_with_pytest_freezer_the_first_import_of_a_market_may_lie_in_the_freeze(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(FREEZER)
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:recording", "--asyncio-mode=auto")
    result.assert_outcomes(passed=2)
