"""Batches are what came at once; a reader that is not emptied stops reading."""

from __future__ import annotations

import asyncio

from tickdeck.cassette.records import TEXT
from tickdeck.recorder.capture import Message
from tickdeck.recorder.inflow import GOING_AWAY, HELD_LIMIT, LOST, MESSAGE_COST, End, Inflow, share_of


class Socket:
    """Gives what is in ``buffered`` without waiting, like a library that has read it already."""

    def __init__(self) -> None:
        self.buffered: list[Message | End] = []
        self.more = asyncio.Event()

    async def receive(self) -> Message | End:
        while not self.buffered:
            self.more.clear()
            await self.more.wait()
        return self.buffered.pop(0)

    def came(self, *what: Message | End) -> None:
        self.buffered += what
        self.more.set()


def message(payload: bytes) -> Message:
    return Message(0, TEXT, payload)


async def test_what_came_at_once_is_taken_at_once() -> None:
    socket = Socket()
    socket.came(message(b"1"), message(b"2"), message(b"3"))
    inflow = Inflow(socket.receive)
    reading = asyncio.create_task(inflow.read())
    assert await inflow.take() == ([message(b"1"), message(b"2"), message(b"3")], None)
    socket.came(message(b"4"), LOST)
    assert await inflow.take() == ([message(b"4")], LOST)
    await reading


async def test_a_socket_is_not_read_beyond_the_limit() -> None:
    socket = Socket()
    large = message(b"x" * (HELD_LIMIT - MESSAGE_COST))
    socket.came(large, message(b"y"), large, message(b"last"))
    inflow = Inflow(socket.receive)
    reading = asyncio.create_task(inflow.read())
    batch, _ = await inflow.take()
    assert batch == [large, message(b"y")]
    assert socket.buffered
    batch, _ = await inflow.take()
    assert batch == [large, message(b"last")]
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_what_was_not_taken_can_still_be_had() -> None:
    socket = Socket()
    socket.came(message(b"1"), LOST)
    inflow = Inflow(socket.receive)
    await inflow.read()
    assert inflow.held() == [message(b"1")]
    assert inflow.held() == []


async def test_once_stopped_what_is_held_can_be_taken_and_no_more_is_read() -> None:
    socket = Socket()
    socket.came(message(b"1"))
    inflow = Inflow(socket.receive)
    reading = asyncio.create_task(inflow.read())
    await inflow.take()
    inflow.stop()
    socket.came(message(b"2"), message(b"3"))
    await reading
    assert await inflow.take() == ([message(b"2")], End(GOING_AWAY))
    assert socket.buffered == [message(b"3")]


def test_many_sockets_hold_together_what_a_few_may() -> None:
    assert share_of(1) == HELD_LIMIT
    assert 200 * share_of(200) <= 2 * HELD_LIMIT
