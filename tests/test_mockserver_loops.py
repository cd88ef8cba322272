"""Which event loop serves, and that a server is the same on either."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest
from websockets.sync.client import connect

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.choices import EventLoop
from tickdeck.mockserver.harness import MockServer
from tickdeck.mockserver.loops import RealTimeLoop, new_loop_of, queues_writes
from tickdeck.mockserver.options import options_of

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

BOTH = [
    EventLoop.ASYNCIO,
    pytest.param(
        EventLoop.UVLOOP,
        marks=pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist for Windows"),
    ),
]


@pytest.mark.parametrize("choice", BOTH)
def test_the_loop_is_the_one_that_was_asked_for(choice: EventLoop) -> None:
    loop = new_loop_of(choice)()
    try:
        assert queues_writes(loop) == (choice is EventLoop.UVLOOP)
    finally:
        loop.close()


def test_without_uvloop_auto_is_asyncio_and_uvloop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert new_loop_of(EventLoop.AUTO) is RealTimeLoop
    with pytest.raises(
        UsageError, match=r"uvloop is not installed; pip install 'tickdeck\[fast\]' brings it"
    ):
        new_loop_of(EventLoop.UVLOOP)


@pytest.mark.parametrize("choice", BOTH)
def test_a_tape_is_the_same_on_either_loop(make: Make, story: Any, choice: EventLoop) -> None:
    story.opens(0, 0)
    for at in range(20_000):
        story.trades(0, at, "A", "B")
    with (
        MockServer(make(story.records), speed="max", at_end="close", event_loop=str(choice)) as market,
        connect(f"{market.ws_url}/stocks") as bot,
    ):
        bot.recv(10)
        bot.send('{"action":"auth","params":"key"}')
        bot.recv(10)
        bot.send('{"action":"subscribe","params":"T.A"}')
        bot.recv(10)
        frames = [str(frame) for frame in bot]
    assert frames == [f'[{{"ev":"T","sym":"A","t":{at}}}]' for at in range(20_000)]


def test_tls_is_served_on_asyncio_whatever_is_installed() -> None:
    assert options_of(tls=True).effective_loop is EventLoop.ASYNCIO
    assert options_of(event_loop="uvloop").effective_loop is EventLoop.UVLOOP
    with pytest.raises(UsageError, match="tls is served on asyncio's event loop alone"):
        options_of(tls=True, event_loop="uvloop")
