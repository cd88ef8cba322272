"""One live client's conversation with the mock server.

The dialect decides what is answered (`Conversation`), the timeline where the tape
stands (`Timeline`), the reel what goes out and in which order (`Reel`). A session
binds the three: what a client says takes effect at the playhead's position when it
arrives, and that position goes into the journal. Given the same positions and the
same messages, a session sends the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
from tickdeck.mockserver.choices import AtEnd
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.reel import Batch, Ending, Reel
from tickdeck.mockserver.tape import BEGINNING
from tickdeck.mockserver.timeline import Timeline, Timelines

NORMAL_CLOSURE = 1000


@dataclass(slots=True)
class Interval:
    """A channel was wanted from one cursor up to another (``None``: until the session ended)."""

    channel: str
    from_seq: int
    to_seq: int | None = None


@dataclass(slots=True)
class Account:
    """What a report needs to say who was sent what."""

    joined_seq: int = BEGINNING
    intervals: list[Interval] = field(default_factory=list)
    missteps: list[tuple[str, str]] = field(default_factory=list)
    frames: int = 0
    wire_bytes: int = 0
    cursor: int = BEGINNING
    left: bool = False


class Session:
    """One socket. ``number`` counts the clients of a server from 1."""

    def __init__(
        self, number: int, conversation: Conversation, *, market: str, cutter: Cutter, timelines: Timelines
    ) -> None:
        self.number = number
        self.market = market
        self.conversation = conversation
        self.cutter = cutter
        self.reel = Reel(cutter, cursor=BEGINNING)
        self.timeline: Timeline | None = None
        self.account = Account()
        self.ending: Ending | None = None
        self._timelines = timelines
        self._connected_ns = 0
        self._end_said = False

    def open(self, now_ns: int) -> list[Entry]:
        """The client is connected: the greeting."""
        self._connected_ns = now_ns
        return [self._entry("connected", now_ns), *self._carry_out(self.conversation.open(), now_ns)]

    def receive(self, payload: bytes, now_ns: int) -> list[Entry]:
        """A text message arrived."""
        entries = self._carry_out(self.conversation.receive(payload), now_ns)
        if self.timeline is not None:
            self.timeline.acted(now_ns)
        return entries

    def receive_binary(self, payload: bytes, now_ns: int) -> list[Entry]:
        """A binary message arrived, which no service here understands."""
        return self._carry_out(self.conversation.receive_binary(payload), now_ns)

    def auth_timed_out(self, now_ns: int) -> list[Entry]:
        """The time to authenticate is up."""
        return self._carry_out(self.conversation.auth_timeout(), now_ns)

    def drop(self, ending: Ending, now_ns: int) -> None:
        """The server ends this connection, behind all that is due."""
        self.reel.end(ending, at=self._cursor(now_ns))

    def left(self, now_ns: int, *, by: str, code: int | None, reason: str = "") -> list[Entry]:
        """The socket is gone; ``by`` is ``client`` or ``server``."""
        self.account.left = True
        entry = self._entry("left", now_ns, cursor=self.reel.cursor, by=by, code=code, reason=reason)
        if self.timeline is None:
            return [entry]
        return [entry, *self.timeline.leave(self, now_ns, by_server=by == "server")]

    def take(self, now_ns: int, *, limit: int) -> Batch | None:
        """The next bytes for the socket, if anything is due."""
        batch = self.reel.take(self._due_seq(now_ns), limit=limit)
        if batch is None and self._close_at_end():
            return self.take(now_ns, limit=limit)
        if batch is not None:
            self.account.frames += batch.frames
            self.account.wire_bytes += len(batch.wire)
            self.ending = batch.ending or self.ending
        self.account.cursor = self.reel.cursor
        return batch

    def wake_ns(self) -> int | None:
        """The clock reading at which something will be due; ``None`` if nothing is foreseen."""
        if self.timeline is None:
            return None
        due_ns = self.reel.due_ns()
        if due_ns is None and not self.reel.ended:
            due_ns = (
                self.cutter.tape.end_ns
            )  # nothing more for this client, but the tape is to end for it too
        return self.timeline.deadline(due_ns)

    def holds(self, channel: str) -> bool:
        """Whether the client holds exactly this channel now."""
        return channel in self.conversation.subscriptions

    @property
    def has_read(self) -> bool:
        """Whether all that the tape has for it was taken."""
        return self.reel.ended or self.reel.idle

    def _due_seq(self, now_ns: int) -> int:
        if self.timeline is None:
            return self.reel.cursor
        return self.timeline.due_seq(self, now_ns)

    def _cursor(self, now_ns: int) -> int:
        return self.reel.cursor if self.timeline is None else self.timeline.cursor(self, now_ns)

    def _close_at_end(self) -> bool:
        timeline = self.timeline
        if self._end_said or timeline is None or timeline.options.at_end is not AtEnd.CLOSE:
            return False
        if not (timeline.started and self.reel.ended and self.account.intervals):
            return False
        self._end_said = True
        self.reel.end(Ending(NORMAL_CLOSURE), at=self.reel.cursor)
        return True

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
                yield from self._unsubscribed(channels, at, now_ns)
            case Misstep(kind, detail):
                self.account.missteps.append((kind, detail))
                yield self._entry("misstep", now_ns, misstep=kind, detail=detail)

    def _join(self, key: str, now_ns: int) -> Iterator[Entry]:
        timeline = self._timelines.of(key)
        self.timeline = timeline
        happened = timeline.join(self, now_ns, connected_ns=self._connected_ns)
        self.account.joined_seq = timeline.cursor(self, now_ns)
        self.account.cursor = self.account.joined_seq
        self.reel.begin_at(self.account.joined_seq)
        yield self._entry("authenticated", now_ns)
        yield from happened

    def _subscribed(self, channels: tuple[str, ...], at: int, now_ns: int) -> Iterator[Entry]:
        self.reel.change(channels, held=True, at=at)
        self.account.intervals.extend(Interval(channel, at) for channel in channels)
        if self.timeline is not None:
            self.timeline.subscribed(now_ns)
        unrecorded = self.cutter.tape.unrecorded(channels)
        yield self._entry("subscribed", now_ns, channels=list(channels), unrecorded=unrecorded)

    def _unsubscribed(self, channels: tuple[str, ...], at: int, now_ns: int) -> Iterator[Entry]:
        self.reel.change(channels, held=False, at=at)
        gone = set(channels)
        for interval in self.account.intervals:
            if interval.to_seq is None and interval.channel in gone:
                interval.to_seq = at
        yield self._entry("unsubscribed", now_ns, channels=list(channels))

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
