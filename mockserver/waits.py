"""Waiting for what is to come: a start, an end, everybody's leaving."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.zones import zone_to_show
from tickdeck.mockserver.lingering import STOP_LONGEST_NS, STOP_SILENT_NS
from tickdeck.mockserver.listening import Listening
from tickdeck.mockserver.options import MILLISECOND, SECOND
from tickdeck.mockserver.receipts import QUIET_NS, QUIET_WITHIN_NS, Receipt
from tickdeck.mockserver.reel import Ending
from tickdeck.mockserver.report import sent_of
from tickdeck.mockserver.rest import RestDesk
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.sockets import GOING_AWAY, Connection
from tickdeck.mockserver.stage import Stage
from tickdeck.mockserver.telling import exchange_time
from tickdeck.mockserver.timeline import Timeline
from tickdeck.mockserver.waker import Alarm

LOOK_EVERY_NS: Final = 10 * MILLISECOND
MOST_TOLD: Final = 3

STOPPED: Final = "the server was stopped meanwhile"
LEAVING_NS: Final = SECOND
"""How long clients may take to leave once they were told that the server goes away."""

ALONE_NS: Final = SECOND
"""How long nothing must be connected before everybody counts as having left."""


class Waits:
    """Each returns once its condition holds, and raises what made that impossible."""

    def __init__(self, stage: Stage, desk: RestDesk) -> None:
        self.server: Listening | None = None
        self._stage = stage
        self._desk = desk

    async def started(self) -> None:
        """Until a timeline has started."""
        await self._until(lambda: any(timeline.started for timeline in self._stage.timelines))

    async def finished(self) -> None:
        """Until a timeline has come to its end and its clients have taken in all of it."""
        await self._until(self._has_finished)
        connections = self._stage.connections.values()
        await self._taken_in(
            each
            for each in connections
            if each.session.timeline is not None and each.session.timeline.finished
        )
        self._raise_failure()

    async def delivered(self) -> None:
        """Until every client has taken in everything that is due by now."""
        await self._until(self._has_delivered)
        await self._taken_in(self._stage.connections.values())
        self._raise_failure()

    async def subscribed(self, channel: str) -> None:
        """Until a client holds a channel, by its name or its topic's wildcard."""
        await self._until(
            lambda: any(
                each.session.conversation.subscriptions.wants(channel)
                for each in self._stage.connections.values()
            )
        )

    async def events(self, channel: str, count: int) -> None:
        """Until clients that are connected were sent so many events of a channel.

        Counting looks at the tape: it is done at most every hundredth of a second, and
        takes no more than a fifth of the time.
        """
        clock, due_ns = self._stage.clock, 0

        def enough() -> bool:
            nonlocal due_ns
            if (begun_ns := clock.now_ns()) < due_ns:
                return False
            if self.sent(channel) >= count:
                return True
            due_ns = clock.now_ns() + max(LOOK_EVERY_NS, 4 * (clock.now_ns() - begun_ns))
            clock.call_at(due_ns, self._stage.changed.set)
            return False

        await self._until(enough)

    def sent(self, channel: str) -> int:
        """How many events of a channel the clients that are connected were sent so far."""
        return sum(sent_of(each.session, channel) for each in self._stage.connections.values())

    async def left(self) -> None:
        """Until no socket is connected, whatever else has happened."""
        while self._stage.connections:
            self._stage.changed.clear()
            await self._stage.changed.wait()

    async def all_gone(self) -> None:
        """Close every socket with 1001, until all have left; who takes nothing of what was written is cut off."""
        self._stage.end_all(Ending(GOING_AWAY))
        with contextlib.suppress(TimeoutError):
            async with self._stage.clock.within(LEAVING_NS):
                await self.left()
        told = [each for each in self._stage.connections.values() if each.session.ending is not None]
        with contextlib.suppress(TimeoutError):
            async with self._stage.clock.within(STOP_LONGEST_NS):
                await asyncio.gather(*(each.taken(STOP_SILENT_NS) for each in told))
        for connection in list(self._stage.connections.values()):
            connection.cut_off()
        await self.left()

    async def client(self) -> None:
        """Until anybody came, by socket or by request."""
        await self._until(lambda: bool(self._stage.clients or self._desk.asked))

    async def done(self) -> None:
        """Until the tape has ended and every client has read it or left (what ``--once`` waits for)."""
        await self._until(self._is_done)
        self._raise_failure()

    def in_vain(self) -> str:
        """What may be why a wait was in vain, and where the clients stand."""
        return self.missed() + self.situation()

    def missed(self) -> str:
        """The last request that was not on the cassette: a program that got no answer may wait no less in vain."""
        if not self._desk.misses:
            return ""
        missed = self._desk.counts["missed"]
        which = "a request was" if missed == 1 else f"{missed} requests, of which this is the last, were"
        return f"{which} not on the cassette: {self._desk.misses[-1]['sentence']}; "

    def unanswered(self) -> str:
        """Who does not read, or has yet to answer a ping, in words."""
        late = []
        for number, each in self._stage.connections.items():
            if each.pump is not None and each.pump.stuck:
                late.append(f"client {number} does not read; ")
            elif not each.recipient.has_answered:
                late.append(f"client {number} has not answered a ping; ")
        return "".join(late[:MOST_TOLD])

    def situation(self) -> str:
        """Where the clients stand, in words: ``it never started: 1 client, authenticated, no subscription``."""
        sessions = [connection.session for connection in self._stage.connections.values()]
        return situation(sessions, self._stage.timelines) + self._places()

    def _places(self) -> str:
        """Where the timelines that have started are: ``, at 2026-11-23 09:31:05.120 EST (+65.12 s)``."""
        started = [each for each in self._stage.timelines if each.started]
        now_ns = self._stage.clock.now_ns()
        places = []
        for timeline in started[:MOST_TOLD]:
            position_ns = timeline.position(now_ns)
            name = f"timeline {timeline.number} " if len(started) > 1 else ""
            paused = ", paused" if timeline.head.paused else ""
            at = exchange_time(
                self._stage.market_ns(max(position_ns, 0)), zone_to_show(self._stage.zone_name)
            )
            places.append(f"{name}at {at} (+{max(position_ns, 0) / SECOND:g} s{paused})")
        return f", {', '.join(places)}" if places else ""

    async def _until(self, true: Callable[[], bool]) -> None:
        stage = self._stage
        stage.waiting += 1
        try:
            while not true():
                if stage.failure is not None:
                    raise stage.failure
                if stage.closed:
                    raise UsageError(STOPPED)
                stage.changed.clear()
                await stage.changed.wait()
        finally:
            stage.waiting -= 1

    def _raise_failure(self) -> None:
        """A tape that could not be read was not played to its end, though the playhead came there."""
        if self._stage.failure is not None:
            raise self._stage.failure

    async def _taken_in(self, connections: Iterable[Connection]) -> None:
        """Until each of these has answered a ping and been quiet, or is not waited for any longer."""
        stage, clock = self._stage, self._stage.clock
        begun_ns = clock.now_ns()
        receipts = [Receipt(each.recipient, begun_ns) for each in connections if each.pump is not None]
        alarm: Alarm | None = None

        def all_have() -> bool:
            nonlocal alarm
            now_ns = clock.now_ns()
            times = [each.again_ns(now_ns) for each in receipts]
            if now_ns < (quiet_ns := min(stage.left_ns + QUIET_NS, begun_ns + QUIET_WITHIN_NS)):
                times.append(quiet_ns)  # who has left may still read what came last
            again_ns = min((each for each in times if each is not None), default=None)
            if alarm is not None:
                alarm.cancel()
            alarm = None if again_ns is None else clock.call_at(again_ns, stage.changed.set)
            return again_ns is None

        await self._until(all_have)

    def _has_finished(self) -> bool:
        return any(timeline.finished and self._all_read(timeline) for timeline in self._stage.timelines)

    def _has_delivered(self) -> bool:
        now_ns = self._stage.clock.now_ns()
        return all(each.is_up_to(now_ns) for each in self._stage.connections.values())

    def _all_read(self, timeline: Timeline) -> bool:
        connections = self._stage.connections.values()
        return all(each.has_read for each in connections if each.session.timeline is timeline)

    def _is_done(self) -> bool:
        if self._stage.tapes.end_ns < 0:
            return bool(self._stage.clients or self._desk.asked) and self._everybody_left()
        timelines = [timeline for timeline in self._stage.timelines if timeline.joined]
        return bool(timelines) and all(
            timeline.over or (timeline.finished and self._all_read(timeline)) for timeline in timelines
        )

    def _everybody_left(self) -> bool:
        """Nothing is connected, and was not for a moment: a REST client may open a connection a request."""
        if self.server is None or self.server.connected:
            return False
        alone_at_ns = self.server.alone_since_ns + ALONE_NS
        clock = self._stage.clock
        if (now_ns := clock.now_ns()) < alone_at_ns:
            clock.call_at(alone_at_ns, self._stage.changed.set)
        return now_ns >= alone_at_ns


def situation(sessions: Sequence[Session], timelines: Iterable[Timeline]) -> str:
    """Where the clients stand, in words, for an error about a wait that was in vain."""
    timelines = list(timelines)
    if any(timeline.started for timeline in timelines):
        return "it is playing" if not all(timeline.finished for timeline in timelines) else "it has ended"
    if not sessions:
        return "it never started: no client"
    clients = f"{len(sessions)} client{'s' if len(sessions) > 1 else ''}"
    known = [session for session in sessions if session.timeline is not None]
    auth = "authenticated" if len(known) == len(sessions) else f"{len(known)} authenticated"
    held = any(session.account.intervals for session in sessions)
    return f"it never started: {clients}, {auth}, {'subscribed' if held else 'no subscription'}"
