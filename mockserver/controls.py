"""What a running server can be told and asked, as methods: the verbs of the control.

The HTTP routes under ``/__tickdeck/`` and the handles of `MockServer` are thin shells
of these. Where a verb takes a ``timeline`` (a number from 1), it is for that one alone;
without it, for all. Places on the tape are spelled as for ``--from``: ``+90s``,
``09:31:05``, or a full timestamp.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from tickdeck.cassette.errors import ReplayError, UsageError
from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver import steering
from tickdeck.mockserver.choices import StartOn
from tickdeck.mockserver.course import leg_of, seq_of
from tickdeck.mockserver.cutter import wants
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.moments import parse_duration, parse_moment
from tickdeck.mockserver.playhead import REAL_TIME, parse_speed
from tickdeck.mockserver.reel import Ending
from tickdeck.mockserver.rest import RestDesk
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.sockets import GOING_AWAY
from tickdeck.mockserver.stage import Stage
from tickdeck.mockserver.stubs import Stub
from tickdeck.mockserver.telling import Line
from tickdeck.mockserver.timeline import Timeline
from tickdeck.mockserver.timeshift import Target
from tickdeck.mockserver.waits import Waits

MOST_FRAMES: Final = 1_000_000
"""Frames in one step or burst."""


class WaitTimeoutError(ReplayError, TimeoutError):
    """What was waited for did not come; the text says where things stood."""


class Controls:
    """The verbs, in the loop of the server. Each that changes something is an entry ``control`` of the journal."""

    def __init__(self, stage: Stage, desk: RestDesk, waits: Waits) -> None:
        self._stage = stage
        self._desk = desk
        self._waits = waits

    # -- what it is told

    def pause(self, *, timeline: int | None = None) -> Line:
        """Stand still."""
        for each in self._started(timeline):
            steering.pause(each, self._now)
            self._did(each, "pause")
        return self.state()

    def resume(self, *, timeline: int | None = None) -> Line:
        """Go on; with ``start_on=control`` this is the start, also for clients that come later."""
        if timeline is None and self._stage.options.start_on is StartOn.CONTROL:
            self._stage.timelines.arm()
        for each in self._chosen(timeline):
            if each.joined or each.started:
                self._note(steering.resume(each, self._now))
                self._did(each, "resume")
        return self.state()

    def speed(self, speed: str | float | Fraction, *, timeline: int | None = None) -> Line:
        """Go on at another speed: a factor, ``max``, ``step`` or ``lockstep``."""
        wanted = parse_speed(speed)
        shift = self._stage.options.time_shift
        if shift is not None and shift.to is Target.NOW and wanted != REAL_TIME:
            raise UsageError("the tape is moved to now, which needs speed 1")
        for each in self._chosen(timeline):
            steering.set_speed(each, wanted, self._now)
            self._did(each, "speed", speed=str(wanted))
        return self.state()

    def seek(self, to: str, *, timeline: int | None = None) -> Line:
        """Jump to a place on the tape."""
        moment = parse_moment("seek", to)
        for each in self._started(timeline):
            market = next(iter(sorted(each.markets)), None)
            steering.seek(each, self._stage.place(moment, market=market), self._now)
            self._did(each, "seek", to=to)
        return self.state()

    def step(
        self, *, frames: int | None = None, duration: str | None = None, timeline: int | None = None
    ) -> Line:
        """Let the next frames (one, if nothing is said) or a stretch of the tape go, and stand."""
        return self._go(frames, duration, timeline, verb="step")

    def burst(
        self, *, frames: int | None = None, duration: str | None = None, timeline: int | None = None
    ) -> Line:
        """Let frames, or a stretch of the tape, go at once, and go on from there at the speed there was."""
        return self._go(frames, duration, timeline, verb="burst")

    def drop(self, *, code: int | None = None, reason: str = "", client: int | None = None) -> Line:
        """Lose every socket, or one client's: with a close frame of ``code``, or (``None``) abruptly."""
        for number, connection in list(self._stage.connections.items()):
            if client in (None, number):
                connection.end(Ending(code, reason))
        return self.state()

    def stub(
        self,
        request: str,
        body: object = None,
        *,
        status: int = 200,
        content_type: str = "application/json",
        clear: bool = False,
    ) -> Line:
        """Answer a request (``GET /v1/marketstatus/now``) with a body: bytes, text, or what becomes JSON."""
        kind = content_type.encode("latin-1", "replace")
        stub = None if clear else Stub(_body(body), status, ((b"Content-Type", kind),))
        self._desk.stubs.lay(request, stub)
        return {"stub": request, "laid": not clear}

    def refuse_keys(self, keys: Iterable[str] | None = None, *, refuse: bool = True) -> Line:
        """Refuse these keys from now on (all, if none is named), or take them again. Who is in stays in."""
        self._stage.keys.refuse(None if keys is None else frozenset(keys), refuse)
        return {"refusing": refuse}

    def send(self, payload: bytes | str, *, market: str | None = None) -> Line:
        """A frame of one's own, a JSON array of events, to each client that holds one of its channels."""
        raw = payload.encode() if isinstance(payload, str) else payload
        events = self._stage.dialect.indexer.events(raw)
        if not events:
            raise UsageError("a frame to send must be a JSON array of events, each with its ev")
        sent = 0
        for connection in list(self._stage.connections.values()):
            session = connection.session
            if session.timeline is None or market not in (None, session.market):
                continue
            mine = [raw[event.start : event.end] for event in events if _wants(session, event.channel)]
            if mine:
                whole = raw if len(mine) == len(events) else b"[" + b",".join(mine) + b"]"
                session.send(frame_header(TEXT, len(whole)) + whole, self._now)
                connection.wake()
                sent += 1
        return {"sent": sent}

    async def reset(self) -> Line:
        """As if the server had just started: clients are closed with 1001, everything counted is forgotten."""
        self._stage.end_all(Ending(GOING_AWAY))
        try:
            await asyncio.wait_for(self._waits.left(), 1.0)
        except TimeoutError:
            for connection in list(self._stage.connections.values()):
                connection.cut_off()
            await self._waits.left()
        self._stage.reset()
        self._desk.reset()
        return self.state()

    async def wait(self, what: str = "finished", *, timeout: float = 30) -> Line:
        """Until the tape has ``started``, ``finished``, or everything due was ``delivered``, or everybody ``left``."""
        waits = {
            "started": (self._waits.started, "the start of the tape"),
            "finished": (self._waits.finished, "the end of the tape"),
            "delivered": (self._waits.delivered, "all that is due to be delivered"),
            "left": (self._waits.left, "the last client to leave"),
        }
        if what not in waits:
            raise UsageError(f"there is no waiting for {what!r}; wait for {', '.join(waits)}")
        wait, words = waits[what]
        try:
            async with asyncio.timeout(timeout):
                await wait()
        except TimeoutError:
            raise WaitTimeoutError(f"waited {timeout:g} s for {words}; {self._waits.situation()}") from None
        return self.state()

    # -- what it is asked

    def state(self) -> Line:
        """Where everything stands."""
        stage = self._stage
        return {
            "clients": len(stage.connections),
            "speed": str(stage.options.speed),
            "profile": stage.wording.name,
            "markets": list(stage.tapes.recorded),
            "begin_ns": stage.tapes.begin_ns,
            "end_ns": stage.tapes.end_ns,
            "timelines": [self._timeline(each) for each in stage.timelines],
            "error": None if stage.failure is None else str(stage.failure),
        }

    def clients(self) -> list[Line]:
        """Who is connected: what it holds, where it is, how it lags."""
        return [
            {
                "client": number,
                "timeline": None if (timeline := connection.session.timeline) is None else timeline.number,
                "market": connection.session.market,
                "authenticated": timeline is not None,
                "channels": list(connection.session.conversation.subscriptions.channels),
                "frames": connection.session.account.frames,
                "bytes": connection.session.account.wire_bytes,
                "lap": leg_of(connection.session.reel.cursor) + 1,
                "next_seq": seq_of(connection.session.reel.cursor),
                "up_to_date": connection.is_up_to(self._now),
            }
            for number, connection in sorted(self._stage.connections.items())
        ]

    def misses(self) -> list[dict[str, object]]:
        """Requests that were not on the cassette, each with the nearest recording."""
        return list(self._desk.misses)

    def journal(self) -> list[Line]:
        """What happened so far, as the lines of ``--json``."""
        return [self._stage.teller.line_of(entry) for entry in self._stage.teller.journal.entries]

    def report(self) -> Line:
        """What the run has come to so far; its parts are described in docs/playing.md."""
        rows = self._stage.rows()
        stage = self._stage
        return {
            "kind": "report",
            "clients": rows,
            "missteps": sum(made for row in rows if isinstance(made := row["missteps_made"], int)),
            **self._desk.report(),
            "error": None if stage.failure is None else str(stage.failure),
            "lateness": stage.lateness().summary(),
            "profile": stage.wording.name,
            "speed": str(stage.options.speed),
        }

    # -- how it is done

    def _go(self, frames: int | None, duration: str | None, timeline: int | None, *, verb: str) -> Line:
        duration_ns = None if duration is None else parse_duration(duration.removeprefix("+"))
        if duration is not None and duration_ns is None:
            raise UsageError(f"{verb} takes a duration such as 500ms, not {duration!r}")
        if frames is not None and duration_ns is not None:
            raise UsageError(f"{verb} takes frames or a duration, not both")
        if frames is not None and not 0 < frames <= MOST_FRAMES:
            raise UsageError(f"{verb} takes 1 to {MOST_FRAMES} frames, not {frames}")
        wanted = frames if frames is not None else 1 if duration_ns is None else 0
        gone = 0
        for each in self._started(timeline):
            done = steering.step(
                each, self._now, frames=wanted, duration_ns=duration_ns or 0, stand=verb == "step"
            )
            self._did(each, verb, frames=done, duration_ns=duration_ns)
            gone += done
        return {"frames": gone, **self.state()}

    @property
    def _now(self) -> int:
        return self._stage.clock.now_ns()

    def _chosen(self, number: int | None) -> list[Timeline]:
        if number is None:
            return list(self._stage.timelines)
        found = self._stage.timelines.numbered(number)
        if found is None:
            raise UsageError(f"there is no timeline {number}; there are {len(self._stage.timelines)}")
        return [found]

    def _started(self, number: int | None) -> list[Timeline]:
        """Those that have started; a `UsageError` where there are none, for then nothing would happen."""
        chosen = [each for each in self._chosen(number) if number is not None or each.started]
        if not chosen:
            raise UsageError(f"no timeline has started; {self._waits.situation()}")
        return chosen

    def _did(self, timeline: Timeline, verb: str, **parts: object) -> None:
        """Note it, and let the timeline and its clients see to the consequences."""
        self._note([timeline.entry("control", self._now, verb=verb, **parts)])
        self._stage.look(timeline)

    def _note(self, entries: Iterable[Entry]) -> None:
        self._stage.note(entries)

    def _timeline(self, timeline: Timeline) -> Line:
        position_ns = timeline.position(self._now)
        return {
            "timeline": timeline.number,
            "run": timeline.run,
            "lap": timeline.course.leg + 1,
            "started": timeline.started,
            "paused": timeline.started and timeline.head.paused,
            "finished": timeline.finished,
            "speed": str(timeline.speed),
            "position_ns": position_ns,
            "market_time": self._stage.teller.market_time(position_ns),
            "clients": sorted(session.number for session in timeline.sessions),
        }


def _wants(session: Session, channel: str) -> bool:
    return wants(frozenset(session.conversation.subscriptions.channels), channel)


def _body(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode()
