"""Sockets whose connections have ended: how long they stay open, by a clock that is set by hand."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tickdeck.mockserver import lingering
from tickdeck.mockserver.lingering import Delivery, Lingering
from tickdeck.mockserver.options import SECOND

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux says what the other side has taken"
)

MUCH = bytes(100_000)
"""More than a small buffer takes."""


class HandClock:
    """A clock that goes when it is told to, and rings what is due."""

    def __init__(self) -> None:
        self.ns = 0
        self._alarms: list[tuple[int, Callable[[], object]]] = []

    def now_ns(self) -> int:
        return self.ns

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> None:
        self._alarms.append((when_ns, callback))

    def goes_on(self, ns: int) -> None:
        self.ns += ns
        due = [callback for when_ns, callback in self._alarms if when_ns <= self.ns]
        self._alarms = [alarm for alarm in self._alarms if alarm[0] > self.ns]
        for callback in due:
            callback()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client with a small buffer, and the server's side of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(listener.getsockname())
        with listener.accept()[0] as ours:
            yield client, ours


def transport(ours: socket.socket) -> Any:
    return SimpleNamespace(get_extra_info=lambda name: ours)


async def until(true: Callable[[], object]) -> None:
    """Until the loop has brought it about."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - of what the loop does nobody here is told
            await asyncio.sleep(0)  # noqa: TID251 - no duration: a turn of the loop


def lingers(
    pair: tuple[socket.socket, socket.socket], *, talks: bool = False, last_words: bytes = b""
) -> tuple[HandClock, Lingering, Delivery]:
    clock, delivery = HandClock(), Delivery()
    ours = pair[1]
    if last_words:
        ours.sendall(last_words)
    sockets = Lingering(clock)  # type: ignore[arg-type]  # of a clock it asks for these two things alone
    sockets.keep(transport(ours), talks=talks, delivery=delivery)
    ours.close()
    return clock, sockets, delivery


async def test_a_client_that_closes_is_waited_for_no_longer(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    _, sockets, delivery = lingers(pair, last_words=b"bye")
    assert len(sockets) == 1
    assert pair[0].makefile("rb").read() == b"bye"
    pair[0].close()
    await until(lambda: not sockets)
    assert delivery.untaken == 0


async def test_one_that_had_closed_before_is_not_waited_for_at_all(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].shutdown(socket.SHUT_WR)
    _, sockets, delivery = lingers(pair)
    assert (len(sockets), delivery.untaken) == (0, 0)
    assert pair[0].recv(1) == b""


@pytest.mark.parametrize(
    ("talks", "last_words", "ns"),
    [
        (False, b"", lingering.SILENT_NS),
        (True, b"", lingering.TALKER_SILENT_NS),
        (False, MUCH, lingering.STALLED_NS),
    ],
)
async def test_who_is_silent_or_takes_nothing_is_waited_for_so_long(
    pair: tuple[socket.socket, socket.socket], talks: bool, last_words: bytes, ns: int
) -> None:
    clock, sockets, delivery = lingers(pair, talks=talks, last_words=last_words)
    clock.goes_on(ns - 1)
    assert len(sockets) == 1
    clock.goes_on(lingering.LOOK_NS)
    assert len(sockets) == 0
    assert bool(delivery.untaken) == bool(last_words)


async def test_who_takes_some_is_waited_for_anew(pair: tuple[socket.socket, socket.socket]) -> None:
    clock, sockets, delivery = lingers(pair, last_words=MUCH)
    heard = 0
    while heard < len(MUCH):
        heard += len(pair[0].recv(5_000))
        clock.goes_on(lingering.STALLED_NS // 20)
        assert len(sockets) == 1
    assert clock.ns > lingering.STALLED_NS
    assert pair[0].recv(1) == b""
    pair[0].close()
    await until(lambda: not sockets)
    assert delivery.untaken == 0


async def test_who_goes_on_talking_is_heard_and_waited_for_but_not_for_ever(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    clock, sockets, _ = lingers(pair, talks=True)
    (kept,) = sockets._sockets.values()
    while clock.ns < lingering.LONGEST_NS - SECOND:
        clock.goes_on(SECOND)
        pair[0].sendall(b"ping")
        await until(lambda: kept.heard_ns == clock.ns)
    assert len(sockets) == 1
    clock.goes_on(SECOND)
    assert len(sockets) == 0


async def test_who_resets_it_leaves_nobody_who_knows(pair: tuple[socket.socket, socket.socket]) -> None:
    _, sockets, delivery = lingers(pair, last_words=MUCH)
    assert delivery.untaken
    pair[0].close()  # with much that it has not read
    await until(lambda: not sockets)
    assert delivery.untaken is None


async def test_a_server_that_stops_waits_for_no_silent_client_and_hardly_for_one_that_may_talk(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    clock, sockets, _ = lingers(pair, talks=True)
    clock.goes_on(lingering.SILENT_NS)
    sockets.stopping()
    over = asyncio.ensure_future(sockets.over())
    clock.goes_on(lingering.STOP_SILENT_NS - 1)
    assert len(sockets) == 1
    clock.goes_on(lingering.LOOK_NS)
    await over


async def test_a_server_that_stops_waits_for_who_takes_its_last_words_within_bounds(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    clock, sockets, delivery = lingers(pair, last_words=MUCH)
    sockets.stopping()
    over = asyncio.ensure_future(sockets.over())
    while clock.ns < lingering.STOP_LONGEST_NS - SECOND // 2:
        assert pair[0].recv(6000)
        clock.goes_on(SECOND // 2)
        assert len(sockets) == 1
    clock.goes_on(SECOND // 2)
    await over
    assert delivery.untaken
