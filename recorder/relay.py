"""Two sockets and what passes between them: everything, and each thing recorded before it is passed on.

Pings, pongs and closes go end to end, and so does an abrupt loss: the recorder has no
opinion on whether a connection is alive.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiohttp import ClientError, WSMsgType

from tickdeck.cassette.records import Sender
from tickdeck.cassette.wire import frame_header
from tickdeck.recorder.capture import Message
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.inflow import GOING_AWAY, LOST, NO_CODE, End, Inflow
from tickdeck.recorder.sink import Intake

CLOSE_WITHIN_NS: Final = 5 * SECOND_NS
"""How long the other side of a close handshake is waited for."""

_OTHER: Final = {Sender.SERVER: Sender.CLIENT, Sender.CLIENT: Sender.SERVER}
_OPCODES: Final = frozenset((WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG))


class Socket(Protocol):
    """What aiohttp's two kinds of WebSocket have in common."""

    async def receive(self) -> Any: ...

    async def send_frame(self, message: bytes, opcode: WSMsgType, compress: int | None = None) -> None: ...


class Line:
    """One of the two sockets: what came on it, and what goes out."""

    def __init__(
        self, socket: Socket, transport: asyncio.Transport | None, clock: Clock, *, masks: bool
    ) -> None:
        self._masks = masks
        self.inflow = Inflow(self._receive)
        self._socket = socket
        self._transport = transport
        self._clock = clock

    async def _receive(self) -> Message | End:
        message = await self._socket.receive()
        if message.type in _OPCODES:
            return Message(self._clock.now_ns(), int(message.type), bytes(message.data))
        if message.type is WSMsgType.CLOSE:
            return End(message.data or NO_CODE, message.extra or "")
        return LOST

    async def send(self, batch: Sequence[Message]) -> None:
        """Pass these on; if the socket is gone its own reader will say so."""
        try:
            for _, opcode, payload in self._written_at_once(batch):
                await self._socket.send_frame(payload, WSMsgType(opcode))
        except (ClientError, ConnectionError):
            pass

    def _written_at_once(self, batch: Sequence[Message]) -> Sequence[Message]:
        """To a client, which is sent no masks, all but the last go by one write; the last one heeds the brakes."""
        if self._masks or len(batch) < 2 or self._transport is None or self._transport.is_closing():
            return batch
        wire: list[bytes] = []
        for _, opcode, payload in batch[:-1]:
            wire += (frame_header(opcode, len(payload)), payload)
        self._transport.write(b"".join(wire))
        return batch[-1:]

    async def close(self, end: End) -> None:
        """End this side as the other one ended."""
        if end.code is None:
            self.hang_up()
            return
        payload = b"" if end.code == NO_CODE else struct.pack("!H", end.code) + end.reason.encode()
        try:
            await self._socket.send_frame(payload, WSMsgType.CLOSE)
        except (ClientError, ConnectionError):
            pass

    def hang_up(self) -> None:
        """No close frame; but what was written before still goes out."""
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """At once, whatever is still to be written."""
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True, eq=False)
class Relay:
    """One track: the upstream's socket and the client's."""

    track: int
    upstream: Line
    client: Line
    intake: Intake
    clock: Clock
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False

    def stop(self) -> None:
        """The recorder goes away: both sides are told so."""
        self._stopping.set()

    async def run(self) -> End:
        """Pass everything on until the track has ended; returns how. StorageError if it could not be kept."""
        readers = [asyncio.create_task(line.inflow.read()) for line in (self.upstream, self.client)]
        carriers = {
            Sender.SERVER: asyncio.create_task(self._carry(self.upstream, self.client, Sender.SERVER)),
            Sender.CLIENT: asyncio.create_task(self._carry(self.client, self.upstream, Sender.CLIENT)),
        }
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((*carriers.values(), stop), return_when=asyncio.FIRST_COMPLETED)
            for sender, carrier in carriers.items():
                if carrier.done():
                    return await self._ended(sender, carrier.result(), carriers[_OTHER[sender]])
            return await self._gone_away(list(carriers.values()))
        finally:
            await _drop([*readers, *carriers.values(), stop])
            self.upstream.hang_up()
            self.client.hang_up()

    async def _carry(self, source: Line, target: Line, sender: Sender) -> End:
        while True:
            batch, end = await source.inflow.take()
            if batch and not self._closed:
                self.intake.frames(self.track, sender, batch)
            await target.send(batch)
            if end is not None:
                return end

    async def _ended(self, sender: Sender, end: End, other: asyncio.Task[End]) -> End:
        """One side ended: tell the other, and see its answer through."""
        lines = {Sender.SERVER: self.upstream, Sender.CLIENT: self.client}
        # A server that closed says no more. After a client's close there may still be frames on the way.
        if sender is Sender.SERVER or end.code is None:
            self._note(sender, end)
        await lines[_OTHER[sender]].close(end)
        if end.code is not None:
            answer = await self._answer(other)
            self._note(sender, end)
            await lines[sender].close(answer)
        return end

    async def _answer(self, other: asyncio.Task[End]) -> End:
        try:
            return await self.clock.within(CLOSE_WITHIN_NS, asyncio.shield(other))
        except TimeoutError:
            return LOST

    async def _gone_away(self, carriers: list[asyncio.Task[End]]) -> End:
        end = End(GOING_AWAY)
        self._note(None, end)
        await asyncio.gather(self.upstream.close(end), self.client.close(end))
        await asyncio.wait(carriers, timeout=1)
        return end

    def _note(self, by: Sender | None, end: End) -> None:
        if not self._closed:
            self._closed = True
            self.intake.track_closed(self.track, by=by, code=end.code, reason=end.reason)


async def _drop(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
