"""Batches are what came at once; a reader that is not emptied stops reading."""

from __future__ import annotations

import asyncio

from tickdeck.cassette.records import TEXT
from tickdeck.recorder.capture import Message
from tickdeck.recorder.inflow import HELD_LIMIT, LOST, End, Inflow


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
    large = message(b"x" * HELD_LIMIT)
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
