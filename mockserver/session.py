"""One live client's conversation with the mock server.

The dialect decides what is answered (`Conversation`), the timeline where the tape
stands (`Timeline`), the reel what goes out and in which order (`Reel`). A session
binds the three: what a client says takes effect at the playhead's position when it
arrives, and that position goes into the journal. Given the same positions and the
same messages, a session sends the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from tickdeck.cassette.records import PING
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.conversation import Conversation
from tickdeck.dialects.effects import (
    Authenticated,
    Drop,
    Effect,
    Hang,
    Misstep,
    Refused,
    Say,
    Subscribed,
    Unsubscribed,
)
from tickdeck.mockserver.account import Account
from tickdeck.mockserver.choices import AtEnd, Gaps, SlowClient
from tickdeck.mockserver.course import leg_of
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.playhead import Mode
from tickdeck.mockserver.reel import Batch, Ending, Reel
from tickdeck.mockserver.timeline import Timeline
from tickdeck.mockserver.timelines import Timelines

PINGS_KEPT: Final = 1000
"""Of a client's pings, so many are in the journal."""

NORMAL_CLOSURE: Final = 1000
POLICY_VIOLATION: Final = 1008
"""What the vendor closes with when it will not have a client any longer (PROTOCOL 1.4)."""

SLOW_BYTES: Final = 1 << 20
"""Bytes of data that are due and unread at which a client counts as slow."""


class Session:
    """One socket. ``number`` counts the clients of a server from 1."""

    def __init__(
        self, number: int, conversation: Conversation, *, market: str, cutter: Cutter, timelines: Timelines
    ) -> None:
        self.number = number
        self.market = market
        self.conversation = conversation
        self.cutter = cutter
        self.reel = Reel(cutter, cursor=0)
        self.timeline: Timeline | None = None
        self.account = Account()
        self.ending: Ending | None = None
        self.joined_ns = 0
        """The clock when it authenticated."""
        self.handshake: Misstep | None = None
        """What the client did wrong before its first message."""
        self._timelines = timelines
        self._connected_ns = 0
        self._end_said = False
        self.turned_out: Ending | None = None
        """The end it was told to come to, as one connection too many or for not keeping up; read or not."""
        self._lost = False
        self._pings = 0
        self._ping_due = False
        self._ping_payload = b""
        self._pings_heard = 0
        self._pinged_at = 0

    def open(self, now_ns: int) -> list[Entry]:
        """The client is connected: the greeting."""
        self._connected_ns = now_ns
        wrong = () if self.handshake is None else (self.handshake,)
        effects = [*wrong, *self.conversation.open()]
        return [self._entry("connected", now_ns), *self._carry_out(effects, now_ns)]

    def receive(self, payload: bytes, now_ns: int) -> list[Entry]:
        """A text message arrived."""
        entries = self._carry_out(self.conversation.receive(payload), now_ns)
        if self.timeline is not None:
            self.timeline.acted(now_ns)
        return entries

    def receive_binary(self, payload: bytes, now_ns: int) -> list[Entry]:
        """A binary message arrived, which no service here understands."""
        return self._carry_out(self.conversation.receive_binary(payload), now_ns)

    def pinged(self, now_ns: int) -> list[Entry]:
        """A ping came, and is answered; the first of them are noted, for a flood would push out all else."""
        self._pings_heard += 1
        return [self._entry("ping", now_ns)] if self._pings_heard <= PINGS_KEPT else []

    def ponged(self, payload: bytes) -> bool:
        """A pong arrived; whether it is the one that lockstep waits for."""
        if self.timeline is None or not self._ping_payload or payload != self._ping_payload:
            return False
        self._ping_payload = b""
        self.timeline.ponged(self.number, self._pinged_at)
        return True

    def auth_timed_out(self, now_ns: int) -> list[Entry]:
        """The time to authenticate is up."""
        return self._carry_out(self.conversation.auth_timeout(), now_ns)

    def drop(self, ending: Ending, now_ns: int) -> None:
        """The server ends this connection, behind all that is due."""
        self.reel.end(ending, at=self._cursor(now_ns))

    def evict(self, now_ns: int) -> list[Entry]:
        """Too many connections: this one has to go, as the vendor does it."""
        return self._turn_out(self.conversation.evicted(), now_ns, "evicted")

    def send(self, wire: bytes, now_ns: int) -> None:
        """A frame from outside the tape, at the place where the playhead is."""
        at, timeline = self._cursor(now_ns), self.timeline
        self.reel.say_wire(wire, at=at)
        self.account.by_hand.append((at, -1 if timeline is None else timeline.position(now_ns), wire))

    def left(self, now_ns: int, *, by: str, code: int | None, reason: str = "") -> list[Entry]:
        """The socket is gone; ``by`` is ``client`` or ``server``."""
        self.account.left = True
        self.account.cursor = self.reel.cursor
        entry = self._entry("left", now_ns, cursor=self.reel.cursor, by=by, code=code, reason=reason)
        if self.timeline is None:
            return [entry]
        return [entry, *self.timeline.leave(self, now_ns, by_server=by == "server")]

    def take(self, now_ns: int, *, limit: int) -> Batch | None:
        """The next bytes for the socket, if anything is due."""
        if self._ping_due:
            return self._ping()
        batch = self.reel.take(self._due(now_ns), limit=limit)
        if batch is None and self._at_a_turn(now_ns):
            return self.take(now_ns, limit=limit)
        if batch is not None:
            self.account.frames += batch.frames
            self.account.wire_bytes += len(batch.wire)
            self.ending = batch.ending or self.ending
            self._ping_due = batch.frames > 0 and self._is_in_lockstep()
        return batch

    @property
    def caught_up(self) -> bool:
        """Whether to take more at this moment would surely be in vain."""
        timeline = self.timeline
        may_lose = timeline is not None and timeline.options.gaps is Gaps.DISCONNECT
        return not self._ping_due and not may_lose and self.reel.caught_up

    def wake_ns(self) -> int | None:
        """The clock reading at which something will be due; ``None`` if nothing is foreseen."""
        timeline = self.timeline
        if timeline is None or not timeline.speed.paced:
            return None
        due_ns = self.reel.due_ns()
        if due_ns is None and not self.reel.ended:
            due_ns = self.cutter.tape.end_ns  # nothing more for this client, but the tape ends for it too
        if (loss := timeline.loss_of(self)) is not None and not self._lost:
            due_ns = loss.position_ns if due_ns is None else min(due_ns, loss.position_ns)
        return timeline.deadline(due_ns)

    def deadline(self, batch: Batch) -> int | None:
        """The clock reading at which the batch that was taken last was due; ``None`` where there is no clock."""
        if self.timeline is None:
            return None
        return self.timeline.deadline(batch.position_ns, leg=leg_of(self.reel.cursor))

    def slow(self, now_ns: int) -> list[Entry]:
        """The socket takes nothing more: see whether the client is too far behind, and end it then."""
        timeline = self.timeline
        if timeline is None or self.ending is not None or self.account.slow:
            return []
        if timeline.options.slow_client is not SlowClient.DISCONNECT or timeline.speed.mode is not Mode.PACED:
            return []
        if self.reel.backlog(self._due(now_ns), most=SLOW_BYTES) <= SLOW_BYTES:
            return []
        self.account.slow = True
        return self._turn_out(self.conversation.too_slow(), now_ns, "slow")

    def cursor_at(self, now_ns: int) -> int:
        """The cursor at which something that the client does now takes effect."""
        return self._cursor(now_ns)

    def holds(self, channel: str) -> bool:
        """Whether the client holds exactly this channel now."""
        return channel in self.conversation.subscriptions

    @property
    def in_lockstep(self) -> bool:
        """Whether each frame is answered before the next one goes."""
        speed = self._timelines.options.speed if self.timeline is None else self.timeline.speed
        return speed.mode is Mode.LOCKSTEP

    @property
    def has_read(self) -> bool:
        """Whether all that the tape has for it was taken."""
        return self.reel.idle or (
            self.reel.ended if self.timeline is None else self.timeline.is_through(self)
        )

    def is_up_to(self, now_ns: int) -> bool:
        """Whether nothing that is due by now is left to take."""
        return not self._ping_due and not self.reel.said_bytes and self.reel.cursor >= self._due(now_ns)

    @property
    def never_up_to_date(self) -> bool:
        """Whether there is always more that is due: a tape that loops without a clock."""
        return self.timeline is not None and self.timeline.loops_freely

    def _turn_out(self, effects: Sequence[Effect], now_ns: int, kind: str) -> list[Entry]:
        """Say why at once, ahead of what was not sent, and end it."""
        entry = self._entry(kind, now_ns)
        said = [effect.payload for effect in effects if isinstance(effect, Say)]
        self.turned_out = next(Ending(each.code, each.reason) for each in effects if isinstance(each, Hang))
        self.reel.end_here(self.turned_out, said=said)
        return [entry]

    def _is_in_lockstep(self) -> bool:
        return self.timeline is not None and self.timeline.lockstep.expects(self.number, self.reel.cursor)

    def _ping(self) -> Batch:
        """A ping behind the frame that was just taken."""
        self._ping_due = False
        self._pings += 1
        self._pinged_at = self.reel.cursor
        self._ping_payload = b"tickdeck %d" % self._pings
        return Batch(frame_header(PING, len(self._ping_payload)) + self._ping_payload, 0, -1)

    def _due(self, now_ns: int) -> int:
        if self.timeline is None:
            return self.reel.cursor
        due = self.timeline.due(self, now_ns)
        loss = self.timeline.loss_of(self)
        return due if loss is None else min(due, loss.cursor)

    def _cursor(self, now_ns: int) -> int:
        return self.reel.cursor if self.timeline is None else self.timeline.cursor(self, now_ns)

    def _at_a_turn(self, now_ns: int) -> bool:
        """Whether the reel, which has nothing to give, is where something happens to this connection."""
        timeline = self.timeline
        if timeline is None or not timeline.started:
            return False
        return self._loses_its_line(timeline, now_ns) or self._comes_to_the_end(timeline, now_ns)

    def _loses_its_line(self, timeline: Timeline, now_ns: int) -> bool:
        loss = timeline.loss_of(self)
        if self._lost or loss is None or not timeline.has_lost(self, now_ns):
            return False
        timeline.passed(self.market, loss)
        self._lost = True
        self.reel.end_here(Ending(None))
        return True

    def _comes_to_the_end(self, timeline: Timeline, now_ns: int) -> bool:
        if self._end_said or not (timeline.is_through(self) and self.account.intervals):
            return False
        if timeline.options.at_end is AtEnd.CLOSE:
            self._end_said = True
            self.reel.end(Ending(NORMAL_CLOSURE), at=self.reel.cursor)
            return True
        if timeline.options.at_end is AtEnd.LOOP and timeline.may_lap(self, now_ns):
            timeline.lap(now_ns)
            return True
        return False

    def _carry_out(self, effects: Sequence[Effect], now_ns: int) -> list[Entry]:
        return [entry for effect in effects for entry in self._effect(effect, now_ns)]

    def _effect(self, effect: Effect, now_ns: int) -> Iterator[Entry]:
        at = self._cursor(now_ns)
        match effect:
            case Say(payload):
                self.reel.say(payload, at=at)
            case Drop():
                self.reel.end(Ending(None), at=at)
            case Hang(code, reason):
                self.reel.end(Ending(code, reason), at=at)
            case Authenticated(key):
                yield from self._join(key, now_ns)
            case Refused():
                yield self._entry("refused", now_ns)
            case Subscribed(channels):
                yield from self._subscribed(channels, at, now_ns)
            case Unsubscribed(channels):
                self.reel.change(channels, held=False, at=at)
                self.account.unsubscribed(channels, at)
                yield self._entry("unsubscribed", now_ns, channels=list(channels))
            case Misstep(kind, detail):
                self.account.misstep(kind, detail)
                yield self._entry("misstep", now_ns, misstep=kind, detail=detail)
            case _:
                assert_never(effect)

    def _join(self, key: str, now_ns: int) -> Iterator[Entry]:
        timeline = self._timelines.of(key, client=self.number)
        self.timeline, self.joined_ns = timeline, now_ns
        happened = timeline.join(self, now_ns, connected_ns=self._connected_ns)
        self.account.joined = self.account.cursor = timeline.joins_at(self, now_ns)
        self.reel.begin_at(self.account.joined, timeline.course)
        timeline.arrived(self, self.account.joined, now_ns)
        yield self._entry("authenticated", now_ns)
        yield from happened

    def _subscribed(self, channels: tuple[str, ...], at: int, now_ns: int) -> Iterator[Entry]:
        self.reel.change(channels, held=True, at=at)
        self.account.subscribed(channels, at)
        assert self.timeline is not None  # the dialect lets nobody subscribe before
        self.timeline.subscribed(now_ns)
        unrecorded = self.cutter.tape.unrecorded(channels)
        yield self._entry("subscribed", now_ns, channels=list(channels), unrecorded=unrecorded)

    def _entry(self, kind: str, now_ns: int, *, cursor: int | None = None, **parts: object) -> Entry:
        timeline = self.timeline
        return Entry(
            kind=kind,
            now_ns=now_ns,
            position_ns=None if timeline is None else timeline.position(now_ns),
            cursor=self._cursor(now_ns) if cursor is None else cursor,
            client=self.number,
            timeline=None if timeline is None else timeline.number,
            parts={"market": self.market, **parts},
        )
