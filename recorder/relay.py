"""Two sockets and what passes between them: everything, and each thing recorded before it is passed on.

Pings, pongs and closes go end to end, and so does an abrupt loss: the recorder has no
opinion on whether a connection is alive.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from tickdeck.cassette.records import TEXT, Sender
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.inflow import GOING_AWAY, LOST, End
from tickdeck.recorder.line import Line
from tickdeck.recorder.sink import Intake

CLOSE_WITHIN_NS: Final = 5 * SECOND_NS
"""How long the other side of a close handshake is waited for."""

_OTHER: Final = {Sender.SERVER: Sender.CLIENT, Sender.CLIENT: Sender.SERVER}


@dataclass(slots=True, eq=False)
class Relay:
    """One track: the upstream's socket and the client's."""

    track: int
    upstream: Line
    client: Line
    intake: Intake
    clock: Clock
    last_words: bytes = b""
    """The last text that the service said."""
    ended_by: Sender | None = None
    """Which side ended it; ``None`` before the end, and where the recorder did."""
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
                if sender is Sender.SERVER:
                    said = (each.payload for each in reversed(batch) if each.opcode == TEXT)
                    self.last_words = next(said, self.last_words)
            await target.send(batch)
            if sender is Sender.SERVER:
                self.intake.passed_on(self.track, batch)
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
            self.ended_by = by
            self.intake.track_closed(self.track, by=by, code=end.code, reason=end.reason)


async def _drop(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
