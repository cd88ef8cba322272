"""Two sockets and what passes between them: everything, and each thing recorded before it is passed on.

Pings, pongs and closes go end to end, and so does an abrupt loss: the recorder has no
opinion on whether a connection is alive. Whatever ends the track, nothing is passed on
that is not kept: once its end is on the cassette, what still comes is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from tickdeck.cassette.records import TEXT, Sender
from tickdeck.recorder.capture import Message
from tickdeck.recorder.inflow import GOING_AWAY, LOST, End, share_of
from tickdeck.recorder.line import Line
from tickdeck.recorder.sink import Intake

_T = TypeVar("_T")

CLOSE_WITHIN_S: Final = 5.0
"""How long the other side of a close handshake is waited for."""

LAST_BATCH_WITHIN_S: Final = 0.5
"""How long a side may take to be given what was read before the recorder goes away."""

_NAMES: Final = {Sender.SERVER: "the service", Sender.CLIENT: "the client"}
_OTHER: Final = {Sender.SERVER: Sender.CLIENT, Sender.CLIENT: Sender.SERVER}


@dataclass(slots=True, eq=False)
class Relay:
    """One track: the upstream's socket and the client's."""

    track: int
    upstream: Line
    client: Line
    intake: Intake
    last_words: bytes = b""
    """The last text that the service said."""
    ended_by: Sender | None = None
    """Which side ended it; ``None`` before the end, and where the recorder did."""
    breach: str = ""
    """Why the recorder had to give up a side, with which side it was."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _closed: bool = False

    def stop(self) -> None:
        """The recorder goes away: no more is read, and both sides are told so. A signal handler may call it."""
        self._stopping.set()
        self.upstream.inflow.stop()
        self.client.inflow.stop()

    async def run(self) -> End:
        """Pass everything on until the track has ended; returns how. StorageError if it could not be kept."""
        readers = [self._begin(line.inflow.read()) for line in (self.upstream, self.client)]
        carriers = {
            Sender.SERVER: self._begin(self._carry(self.upstream, self.client, Sender.SERVER)),
            Sender.CLIENT: self._begin(self._carry(self.client, self.upstream, Sender.CLIENT)),
        }
        stop = self._begin(self._stopping.wait())
        try:
            await asyncio.wait((*carriers.values(), stop), return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return await self._gone_away(readers, list(carriers.values()))
            sender = next(sender for sender, carrier in carriers.items() if carrier.done())
            other = carriers[_OTHER[sender]]
            return await self._ended(sender, carriers[sender].result(), until=(other, stop))
        finally:
            await _drop(self._tasks)
            self.upstream.hang_up()
            self.client.hang_up()

    def _begin(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def _carry(self, source: Line, target: Line, sender: Sender) -> End:
        while True:
            batch, end = await source.inflow.take()
            source.inflow.limit = share_of(self.intake.counts.tracks_open)
            if batch and not self._closed:
                await self._pass_on(batch, target, sender)
            if end is not None:
                return end

    async def _pass_on(self, batch: list[Message], target: Line, sender: Sender) -> None:
        self.intake.frames(self.track, sender, batch)
        if sender is Sender.SERVER:
            said = (each.payload for each in reversed(batch) if each.opcode == TEXT)
            self.last_words = next(said, self.last_words)
        await target.send(batch)
        if sender is Sender.SERVER:
            self.intake.passed_on(self.track, batch)

    async def _ended(
        self, sender: Sender, end: End, *, until: tuple[asyncio.Task[End], asyncio.Task[Any]]
    ) -> End:
        """One side ended: tell the other, and see its answer through."""
        lines = {Sender.SERVER: self.upstream, Sender.CLIENT: self.client}
        # A server that closed says no more. After a client's close there may still be frames on the way.
        if sender is Sender.SERVER or end.code is None:
            self._note(sender, end)
        await lines[_OTHER[sender]].close(end)
        if end.code is not None:
            await asyncio.wait(until, timeout=CLOSE_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            answer = until[0].result() if until[0].done() else LOST
            self._note(sender, end)
            await lines[sender].close(answer)
        return end

    async def _gone_away(self, readers: list[asyncio.Task[None]], carriers: list[asyncio.Task[End]]) -> End:
        """What was read is kept and passed on, then both sides are told; what comes now is for nobody."""
        end = End(GOING_AWAY)
        await _drop(readers)
        done, slow = await asyncio.wait(carriers, timeout=LAST_BATCH_WITHIN_S)
        for carrier in done:
            carrier.result()
        await _drop(slow)
        self._note(None, end)
        await asyncio.gather(self.upstream.leave(end), self.client.leave(end))
        return end

    def _note(self, by: Sender | None, end: End) -> None:
        if not self._closed:
            self._closed = True
            self.ended_by = by
            if by is not None and end.code is None and end.reason:
                self.breach = f"{_NAMES[by]} was given up: {end.reason}"
            reason = self._reason(by, end)
            self.intake.track_closed(self.track, by=by, code=end.code, reason=reason)

    def _reason(self, by: Sender | None, end: End) -> str:
        """That of the close frame; where nobody gave one, what there is to know about the end."""
        if by is not None and end.code is not None:
            return end.reason
        lines = {Sender.SERVER: self.upstream, Sender.CLIENT: self.client}
        parts = ((sender, line.unfinished) for sender, line in lines.items())
        left = [f"a message of {_NAMES[sender]} is not finished: {part}" for sender, part in parts if part]
        return "; ".join(filter(None, (end.reason, *left)))


async def _drop(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
