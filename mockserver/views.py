"""What a running server answers when it is asked where things stand: the shapes, and how they are made."""

from __future__ import annotations

from itertools import islice
from typing import TypedDict

from tickdeck.mockserver.course import leg_of, seq_of
from tickdeck.mockserver.sockets import Connection
from tickdeck.mockserver.stage import Stage
from tickdeck.mockserver.telling import Line
from tickdeck.mockserver.timeline import Timeline


class TimelineView(TypedDict):
    """One timeline. ``position_ns`` is -1, and ``market_time`` that of the tape's zero, before its start."""

    timeline: int
    run: int
    lap: int
    started: bool
    paused: bool
    finished: bool
    speed: str
    position_ns: int
    market_time: str
    clients: list[int]


class State(TypedDict):
    """Where everything stands."""

    clients: int
    speed: str
    profile: str
    markets: list[str]
    begin_ns: int
    end_ns: int
    timelines: list[TimelineView]
    error: str | None


class Moved(State):
    """The same after a step or burst, and how many frames there were to let go; for a stretch of tape that is open."""

    frames: int | None


class ClientView(TypedDict):
    """One connected client."""

    client: int
    timeline: int | None
    market: str
    authenticated: bool
    channels: list[str]
    frames: int
    bytes: int
    lap: int
    next_seq: int
    up_to_date: bool


class JournalView(TypedDict):
    """Entries as the lines of ``--json``. They are counted from 0; the first ``lost`` are not kept any more."""

    entries: list[Line]
    since: int
    next: int
    lost: int


def state_of(stage: Stage) -> State:
    """Where everything stands."""
    return {
        "clients": len(stage.connections),
        "speed": str(stage.options.speed),
        "profile": stage.wording.name,
        "markets": list(stage.tapes.recorded),
        "begin_ns": stage.tapes.begin_ns,
        "end_ns": stage.tapes.end_ns,
        "timelines": [_timeline(each, stage) for each in stage.timelines],
        "error": None if stage.failure is None else str(stage.failure),
    }


def clients_of(stage: Stage) -> list[ClientView]:
    """Who is connected, in the order of their coming."""
    now_ns = stage.clock.now_ns()
    return [_client(each, now_ns) for _, each in sorted(stage.connections.items())]


def journal_of(stage: Stage, *, since: int, limit: int) -> JournalView:
    """At most ``limit`` entries from the number ``since`` on."""
    journal = stage.teller.journal
    first = max(since - journal.lost, 0)
    entries = list(islice(journal.entries, first, first + limit))
    since = journal.lost + first
    return {
        "entries": [stage.teller.line_of(entry) for entry in entries],
        "since": since,
        "next": since + len(entries),
        "lost": journal.lost,
    }


def _timeline(timeline: Timeline, stage: Stage) -> TimelineView:
    position_ns = timeline.position(stage.clock.now_ns())
    return {
        "timeline": timeline.number,
        "run": timeline.run,
        "lap": timeline.course.leg + 1,
        "started": timeline.started,
        "paused": timeline.started and timeline.head.paused,
        "finished": timeline.finished,
        "speed": str(timeline.speed),
        "position_ns": position_ns,
        "market_time": stage.teller.market_time(position_ns),
        "clients": sorted(session.number for session in timeline.sessions),
    }


def _client(connection: Connection, now_ns: int) -> ClientView:
    session = connection.session
    return {
        "client": session.number,
        "timeline": None if session.timeline is None else session.timeline.number,
        "market": session.market,
        "authenticated": session.timeline is not None,
        "channels": list(session.conversation.subscriptions.channels),
        "frames": session.account.frames,
        "bytes": session.account.wire_bytes,
        "lap": leg_of(session.reel.cursor) + 1,
        "next_seq": seq_of(session.reel.cursor),
        "up_to_date": connection.is_up_to(now_ns),
    }
