"""What a running server can be told and asked, as methods: the verbs of the control.

The HTTP routes under ``/__tickdeck/`` and the handles of `MockServer` are thin shells
of these. Where a verb takes a ``timeline`` (a number from 1), it is for that one alone;
without it, for all. Places on the tape are spelled as for ``--from``: ``+90s``,
``09:31:05``, or a full timestamp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from fractions import Fraction
from typing import Final

from tickdeck.cassette.errors import ReplayError, UsageError
from tickdeck.cassette.records import TEXT
from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver import steering
from tickdeck.mockserver.choices import StartOn
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.lastsent import Sent, last_sent
from tickdeck.mockserver.meters import metrics_of
from tickdeck.mockserver.moments import parse_duration, parse_moment
from tickdeck.mockserver.options import SECOND
from tickdeck.mockserver.playhead import REAL_TIME, parse_speed
from tickdeck.mockserver.reel import Ending
from tickdeck.mockserver.rest import RestDesk
from tickdeck.mockserver.stage import Stage
from tickdeck.mockserver.steering import NotNowError
from tickdeck.mockserver.stubbing import StubWords, stub_of, utf8
from tickdeck.mockserver.telling import Line
from tickdeck.mockserver.timeline import Timeline
from tickdeck.mockserver.timeshift import Target
from tickdeck.mockserver.views import ClientView, JournalView, Moved, State, clients_of, journal_of, state_of
from tickdeck.mockserver.waits import Waits
from tickdeck.watch.exposition import exposition

MOST_FRAMES: Final = 10_000
"""Frames in one step or burst: each is looked for on its own, and the server does nothing else meanwhile."""

MOST_NAMED: Final = 20
"""Channels that an error names."""

LONGEST_S: Final = 1e9
"""A wait that is said to be longer, or endless, is as long as this: thirty years."""

NEVER_SENT: Final = frozenset({1004, 1005, 1006, 1015})
"""Close codes that stand for something, and are never in a close frame (RFC 6455 7.4.1)."""


class WaitTimeoutError(ReplayError, TimeoutError):
    """What was waited for did not come; the text says where things stood."""


class Controls:
    """The verbs, in the loop of the server. Each that changes something is an entry ``control`` of the journal."""

    def __init__(self, stage: Stage, desk: RestDesk, waits: Waits) -> None:
        self._stage = stage
        self._desk = desk
        self._waits = waits
        self._open = asyncio.Event()
        self._open.set()
        self.last_wait = ""
        """What was waited for last, if nothing but the server has been since: a word of `wait`."""

    async def admitted(self) -> None:
        """Until a newcomer may come in: not while everything is being reset."""
        await self._open.wait()

    # -- what it is told

    def pause(self, *, timeline: int | None = None) -> State:
        """Stand still."""
        for each in self._started(timeline):
            steering.pause(each, self._now)
            self._did(each, "pause")
        return self.state()

    def resume(self, *, timeline: int | None = None) -> State:
        """Go on; with ``start_on=control`` this is the start, also for clients that come later."""
        if timeline is None and self._stage.options.start_on is StartOn.CONTROL:
            self._stage.timelines.arm()
        for each in self._chosen(timeline):
            if each.joined or each.started:
                self._note(steering.resume(each, self._now))
                self._did(each, "resume")
        return self.state()

    def speed(self, speed: str | float | Fraction, *, timeline: int | None = None) -> State:
        """Go on at another speed: a factor, ``max``, ``step`` or ``lockstep``; timelines to come start at it too."""
        wanted = parse_speed(speed)
        if wanted != REAL_TIME:
            self._leaves_now("speed")
        if timeline is None:
            self._stage.set_speed(wanted)
        for each in self._chosen(timeline):
            steering.set_speed(each, wanted, self._now)
            self._did(each, "speed", speed=str(wanted))
        return self.state()

    def seek(self, to: str, *, timeline: int | None = None) -> State:
        """Jump to a place on the tape."""
        moment = parse_moment("seek", to)
        self._leaves_now("seek")
        for each in self._started(timeline):
            market = next(iter(sorted(each.markets)), None)
            steering.seek(each, self._stage.place(moment, market=market), self._now)
            self._did(each, "seek", to=to)
        return self.state()

    def step(
        self, *, frames: int | None = None, duration: str | None = None, timeline: int | None = None
    ) -> Moved:
        """Let the next frames (one, if nothing is said) or a stretch of the tape go, and stand."""
        return self._go(frames, duration, timeline, verb="step")

    def burst(
        self, *, frames: int | None = None, duration: str | None = None, timeline: int | None = None
    ) -> Moved:
        """Let frames, or a stretch of the tape, go at once, and go on from there at the speed there was."""
        return self._go(frames, duration, timeline, verb="burst")

    def drop(self, *, code: int | None = None, reason: str = "", client: int | None = None) -> State:
        """Lose every socket, or one client's: with a close frame of ``code``, or (``None``) abruptly."""
        if code is not None and (not 1000 <= code < 5000 or code in NEVER_SENT):
            raise UsageError(
                f"a close frame has no code {code}; 1000 to 4999 are allowed, but 1004 to 1006 and 1015"
            )
        utf8(reason)
        if client is not None and client not in self._stage.connections:
            raise NotNowError(f"client {client} is not connected")
        dropped = [each for number, each in self._stage.connections.items() if client in (None, number)]
        about = {each.session.timeline: None for each in dropped if each.session.timeline is not None}
        for connection in dropped:
            connection.end(Ending(code, reason))
        self._noted("drop", about, code=code, reason=reason, only=client)
        return self.state()

    def stub(
        self,
        request: str,
        body: object = "",
        *,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str | int] | None = None,
        times: int | None = None,
        clear: bool = False,
    ) -> Line:
        """Answer a request (``GET /v1/marketstatus/now``) with a body: bytes, text, or what becomes JSON."""
        words: StubWords = {"body": body, "status": status, "headers": headers or {}, "times": times}
        if content_type is not None:
            words["content_type"] = content_type
        stub = None if clear else stub_of(**words)
        self._desk.stubs.lay(request, stub)
        self._noted("stub", request=request, laid=not clear)
        return {"request": request, "laid": not clear}

    def refuse_keys(self, keys: Iterable[str] | None = None, *, refuse: bool = True) -> Line:
        """Refuse these keys from now on (all, if none is named), or take them again. Who is in stays in."""
        named = None if keys is None else frozenset([keys] if isinstance(keys, str) else keys)
        self._stage.keys.refuse(named, refuse)
        told: Line = {"refuse": refuse, "keys": None if named is None else len(named)}  # a key is a secret
        self._noted("refuse-keys", (), **told)
        return told

    def send(self, payload: bytes | str, *, market: str | None = None) -> int:
        """A frame of one's own, a JSON array of events, to each client that holds one of its channels; to how many."""
        raw = utf8(payload) if isinstance(payload, str) else payload
        events = self._stage.dialect.indexer.events(raw)
        if not events or not any(event.channel for event in events):
            raise UsageError("a frame to send must be a JSON array of events, each with its ev")
        sent, about = 0, dict[Timeline, None]()
        for connection in list(self._stage.connections.values()):
            session = connection.session
            if session.timeline is None or session.ending or market not in (None, session.market):
                continue
            held = session.conversation.subscriptions
            mine = [raw[event.start : event.end] for event in events if held.wants(event.channel)]
            if mine:
                whole = raw if len(mine) == len(events) else b"[" + b",".join(mine) + b"]"
                session.send(frame_header(TEXT, len(whole)) + whole, self._now)
                connection.wake()
                sent, about = sent + 1, {**about, session.timeline: None}
        self._noted("send", about, length=len(raw), sent=sent)
        return sent

    async def reset(self) -> State:
        """As if the server had just started: clients are closed with 1001, everything told and counted is forgotten.

        Who comes meanwhile is let in afterwards.
        """
        await self.admitted()
        self._open.clear()
        try:
            await self._waits.all_gone()
            self._stage.reset()
            self._desk.reset()
            self.last_wait = ""
        finally:
            self._open.set()
        return self.state()

    async def wait(
        self, what: str = "finished", *, channel: str | None = None, n: int = 1, timeout: float = 30
    ) -> State:
        """Until the tape has ``started``, ``finished``, or everything due was ``delivered``, or everybody ``left``.

        Or until a client is ``subscribed`` to ``channel``, or those connected were sent ``n`` of its ``events``.
        """
        waits = self._waits
        kinds: dict[str, tuple[Callable[[], Awaitable[None]], str]] = {
            "started": (waits.started, "the start of the tape"),
            "finished": (waits.finished, "the end of the tape"),
            "delivered": (waits.delivered, "all that is due to be delivered"),
            "left": (waits.left, "the last client to leave"),
        }
        about = {
            "subscribed": (lambda: waits.subscribed(channel or ""), f"a subscription to {channel}"),
            "events": (lambda: waits.events(channel or "", n), f"{n} events of {channel}"),
        }
        if what not in (*kinds, *about):
            raise UsageError(f"there is no waiting for {what[:60]!r}; wait for {', '.join((*kinds, *about))}")
        if (what in about) != (channel is not None):
            raise UsageError(f"waiting for {what} takes {'a' if what in about else 'no'} channel")
        wait, words = {**kinds, **about}[what]
        self.last_wait = ""
        try:
            async with self._stage.clock.within(int(min(timeout, LONGEST_S) * SECOND)):
                await wait()
        except TimeoutError:
            sentence = f"waited {timeout:g} s for {words}; {self._missing(what, channel)}"
            raise WaitTimeoutError(self._stage.secrets.clean(sentence)) from None
        self.last_wait = what
        return self.state()

    def _missing(self, what: str, channel: str | None) -> str:
        """What there was instead, and where things stood."""
        found = ""
        if what == "events" and channel is not None:
            found = f"{self._waits.sent(channel)} were sent; "
        if what == "subscribed":
            held = sorted(
                {
                    name
                    for each in self._stage.connections.values()
                    for name in each.session.conversation.subscriptions.channels
                }
            )
            found = f"held is {', '.join(held[:MOST_NAMED]) or 'nothing'}; "
        if what in ("finished", "delivered"):
            found = self._waits.unanswered()
        return self._waits.missed() + found + self._waits.situation()

    # -- what it is asked

    def state(self) -> State:
        """Where everything stands."""
        return self._stage.secrets.clean(state_of(self._stage))

    def clients(self) -> list[ClientView]:
        """Who is connected: what it holds, where it is."""
        return self._stage.secrets.clean(clients_of(self._stage))

    def misses(self) -> list[dict[str, object]]:
        """Requests that were not on the cassette, each with the nearest recording."""
        return self._stage.secrets.clean(list(self._desk.misses))

    def redacted(self, answer: Line) -> Line:
        """An answer of the control, which may repeat what it was asked, without secrets."""
        return self._stage.secrets.clean(answer)

    def situation(self) -> str:
        """Where things stand, in words."""
        return self._waits.situation()

    def in_vain(self) -> str:
        """What may be why a wait was in vain, and where things stand."""
        return self._waits.in_vain()

    def last_sent(self, most: int = 3) -> dict[int, list[Sent]]:
        """By client, the last frames of data that it was sent; of those that left, the last few."""
        return {number: last_sent(trail, most) for number, trail in sorted(self._stage.trails().items())}

    def metrics(self) -> str:
        """The numbers of the run, as Prometheus reads them."""
        return exposition(metrics_of(self._stage, self._desk))

    def journal(self, *, since: int = 0, limit: int = 1000) -> JournalView:
        """What happened so far, as the lines of ``--json``: at most ``limit`` from the entry ``since`` on."""
        return journal_of(self._stage, since=since, limit=limit)

    def report(self) -> Line:
        """What the run has come to so far; its parts are described in docs/playing.md."""
        rows = self._stage.rows()
        stage = self._stage
        report = {
            "kind": "report",
            "clients": rows,
            "missteps": self._desk.missteps
            + sum(made for row in rows if isinstance(made := row["missteps_made"], int)),
            "held_by_nobody": stage.held_by_nobody(),
            **self._desk.report(),
            "error": None if stage.failure is None else str(stage.failure),
            "lateness": stage.lateness().summary(),
            "profile": stage.wording.name,
            "speed": str(stage.options.speed),
        }
        return self._stage.secrets.clean(report)

    # -- how it is done

    def _go(self, frames: int | None, duration: str | None, timeline: int | None, *, verb: str) -> Moved:
        duration_ns = None if duration is None else parse_duration(duration.removeprefix("+"))
        if duration is not None and duration_ns is None:
            raise UsageError(f"{verb} takes a duration such as 500ms, not {duration!r}")
        if frames is not None and duration_ns is not None:
            raise UsageError(f"{verb} takes frames or a duration, not both")
        if frames is not None and not 0 < frames <= MOST_FRAMES:
            raise UsageError(f"{verb} takes 1 to {MOST_FRAMES} frames, not {frames}; a duration has no limit")
        wanted = frames if frames is not None else 1 if duration_ns is None else 0
        gone = 0
        self._leaves_now(verb)
        chosen = self._started(timeline)
        for each in chosen:
            steering.need_hand(each, verb)
        for each in chosen:
            done = steering.step(
                each, self._now, frames=wanted, duration_ns=duration_ns or 0, stand=verb == "step"
            )
            self._did(each, verb, frames=done if wanted else None, duration_ns=duration_ns)
            gone += done
        return {**self.state(), "frames": None if frames is None and duration_ns is not None else gone}

    def _leaves_now(self, verb: str) -> None:
        """Refuse what would let events come from the future, where the tape was moved to now."""
        shift = self._stage.options.time_shift
        if shift is not None and shift.to is Target.NOW:
            raise NotNowError(f"the tape is moved to now, and runs at speed 1 as it was: there is no {verb}")

    @property
    def _now(self) -> int:
        return self._stage.clock.now_ns()

    def _chosen(self, number: int | None) -> list[Timeline]:
        if number is None:
            return list(self._stage.timelines)
        found = self._stage.timelines.numbered(number)
        if found is None:
            raise NotNowError(f"there is no timeline {number}; there are {len(self._stage.timelines)}")
        return [found]

    def _started(self, number: int | None) -> list[Timeline]:
        """Those that have started; `NotNowError` where there are none, for then nothing would happen."""
        chosen = [each for each in self._chosen(number) if number is not None or each.started]
        if not chosen:
            raise NotNowError(f"no timeline has started; {self._waits.situation()}")
        return chosen

    def _did(self, timeline: Timeline, verb: str, **parts: object) -> None:
        """Note it, and let the timeline and its clients see to the consequences."""
        self._note([timeline.entry("control", self._now, verb=verb, **parts)])
        self._stage.look(timeline)

    def _noted(self, verb: str, about: Iterable[Timeline] = (), **parts: object) -> None:
        """Note it at the playhead of each timeline that it is about; what is about none, where the tape stands."""
        told = [each.entry("control", self._now, verb=verb, **parts) for each in about]
        here_ns = self._stage.timelines.playhead(self._now)
        self._note(told or [Entry("control", self._now, here_ns, parts={"verb": verb, **parts})])

    def _note(self, entries: Iterable[Entry]) -> None:
        self._stage.note(entries)
