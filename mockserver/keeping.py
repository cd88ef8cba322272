"""The journal kept on a cassette while it is written, through the only door there is: redaction.

Records gather for the length of one turn of the event loop and then go to the
write-ahead segment in one write, so that a kill loses a turn at most. How far each
client has come is kept ten times a second while its tape runs, and the last time
before a silence; a flood of frames costs no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tickdeck.cassette.errors import TickdeckError
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import TEXT, HeaderPairs, Record, Sender
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.heads import PacedHead
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.minutes import Minutes, place
from tickdeck.mockserver.options import MILLISECOND
from tickdeck.mockserver.reel import Batch
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.timeline import Timeline

MARK_EVERY_NS: Final = 100 * MILLISECOND
"""How close together marks of one client's progress are kept at most."""

_TEXT_FRAME: Final = 0x80 | TEXT


class Keeper:
    """Keeps one run on a recording that was begun for it. ``on_failure`` is told, once, when the disk takes no more."""

    def __init__(
        self,
        recording: Recording,
        facts: Mapping[str, object],
        *,
        clock: Clock,
        on_failure: Callable[[TickdeckError], None],
    ) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._minutes = Minutes(opened_ns=clock.now_ns())
        self._recording = recording
        self._witnesses: dict[int, Witness] = {}
        self._legs: dict[tuple[int, int], int] = {}
        self._paces: dict[int, dict[str, object]] = {}
        self._waiting: list[Record] = []
        self._ended = False
        self._put(self._minutes.opening(facts, wall_ns=recording.header.epoch_ns))

    def witness(self, session: Session) -> Witness:
        """Who looks at one client for this keeper."""
        return Witness(self, self._minutes, session)

    def entry(self, entry: Entry) -> None:
        """Keep an entry of the journal."""
        witness = self._witnesses.get(entry.client or 0)
        if entry.kind == "authenticated" and witness is not None and witness.session.timeline is not None:
            self._put(self._minutes.entry(entry, run=witness.session.timeline.run))
            return
        if entry.kind != "left" or witness is None:
            self._put(self._minutes.entry(entry))
            return
        witness.flush()
        del self._witnesses[witness.session.number]
        turned = {str(leg): seq for leg, seq in witness.session.reel.turned.items()}
        self._put(self._minutes.entry(entry, **({"turned": turned} if turned else {})))

    def moved(self, timeline: Timeline, now_ns: int) -> None:
        """Something other than the clock moved a timeline: keep the line it is on now, and where it turned."""
        lines = [*self._turns(timeline), *self._pace(timeline, now_ns)]
        self._put([self._minutes.line(now_ns, line) for line in lines])

    def request(self, started_ns: int, *, method: str, url: str, status: int, headers: HeaderPairs) -> None:
        """A REST request was answered."""
        now_ns = self._clock.now_ns()
        made = self._minutes.request(
            started_ns, now_ns, method=method, url=url, status=status, headers=headers
        )
        self._put([made])

    def reset(self) -> None:
        """Clients and timelines are counted anew."""
        self._put([self._minutes.line(self._clock.now_ns(), {"kind": "reset"})])
        self._minutes.forget_clients()
        self._witnesses.clear()
        self._legs.clear()
        self._paces.clear()

    def stopping(self) -> None:
        """The server ends all connections now."""
        self._put([self._minutes.line(self._clock.now_ns(), {"kind": "stopping"})])

    def seal(self) -> None:
        """The run is over."""
        now_ns = self._clock.now_ns()
        self._put([self._minutes.anchor(now_ns, self._clock.wall_ns())])
        self._flush()
        if self._ended:
            return
        self._ended = True
        try:
            self._recording.seal()
        except TickdeckError as error:
            self._recording.abandon()
            self._on_failure(error)

    def discard(self) -> None:
        """There was no run: nothing is left of it."""
        self._ended = True
        self._recording.abandon()
        self._recording.part.unlink(missing_ok=True)

    def opened(self, witness: Witness) -> None:
        """A client came."""
        self._witnesses[witness.session.number] = witness

    def put(self, records: Iterable[Record]) -> None:
        """Keep these with the others of this turn."""
        self._put(records)

    def _turns(self, timeline: Timeline) -> Iterable[dict[str, object]]:
        """The legs that were ended since the last look, each with where it ended by market."""
        course, name = timeline.course, (timeline.number, timeline.run)
        for leg in range(self._legs.get(name, 0), course.leg):
            ends = {market: course.end(leg, timeline.tapes.of(market)) for market in timeline.markets}
            yield {
                "kind": "turn",
                "timeline": timeline.number,
                "run": timeline.run,
                "leg": leg,
                "ends": ends,
                "begin_ns": course.legs[leg + 1].begin_ns,
            }
        self._legs[name] = course.leg

    def _pace(self, timeline: Timeline, now_ns: int) -> Iterable[dict[str, object]]:
        """The line that the playhead is on; where no clock moves it, only what does."""
        pace: dict[str, object] = {
            "kind": "pace",
            "timeline": timeline.number,
            "run": timeline.run,
            "leg": timeline.course.leg,
            "speed": str(timeline.speed.factor) if timeline.speed.paced else str(timeline.speed),
            "paused": timeline.head.paused,
        }
        if isinstance(timeline.head, PacedHead):
            line = timeline.head.playhead.line
            at_ns = self._minutes.offset(line.now_ns)
            pace.update(at_ns=at_ns, position_ns=line.position_ns, from_ns=line.from_ns)
        if self._paces.get(timeline.number) != pace:
            self._paces[timeline.number] = pace
            yield pace

    def _put(self, records: Iterable[Record]) -> None:
        if not self._ended:
            if not self._waiting:
                self._clock.call_soon(self._flush)
            self._waiting.extend(records)

    def _flush(self) -> None:
        records, self._waiting = self._waiting, []
        if self._ended or not records:
            return
        try:
            self._recording.append(records)
        except TickdeckError as error:
            self._ended = True
            self._recording.abandon()
            self._on_failure(error)


class Witness:
    """Looks at one client for the keeper: what it says, what it is told, how far it has come."""

    def __init__(self, keeper: Keeper, minutes: Minutes, session: Session) -> None:
        self.session = session
        self._keeper = keeper
        self._minutes = minutes
        self._kept_ns = -MARK_EVERY_NS
        self._last: tuple[int, int] | None = None
        """Cursor and clock of what was sent last, while that is not kept."""

    def opened(self, headers: HeaderPairs, now_ns: int) -> None:
        """The handshake is done."""
        self._keeper.opened(self)
        self._keeper.put(
            self._minutes.opened(now_ns, self.session.number, self.session.market, tuple(headers))
        )

    def heard(self, opcode: int, data: str | bytes, now_ns: int) -> None:
        """The client said something, and it is about to take effect."""
        session = self.session
        payload = data.encode() if isinstance(data, str) else bytes(data)
        timeline = session.timeline
        line = {
            "kind": "heard",
            "client": session.number,
            "position_ns": None if timeline is None else timeline.position(now_ns),
            **place(session.cursor_at(now_ns)),
        }
        self._keeper.put(
            [
                *self._minutes.frame(now_ns, session.number, Sender.CLIENT, opcode, payload),
                self._minutes.line(now_ns, line),
            ]
        )

    def took(self, batch: Batch, now_ns: int) -> None:
        """Bytes were handed to the socket."""
        if batch.frames:
            self._came_to(self.session.reel.cursor, now_ns)
        elif batch.wire and batch.ending is None and batch.wire[0] == _TEXT_FRAME:
            said = _payload(bytes(batch.wire))
            self._keeper.put(self._minutes.frame(now_ns, self.session.number, Sender.SERVER, TEXT, said))

    def flush(self) -> None:
        """Keep how far it has come."""
        if self._last is None:
            return
        cursor, now_ns = self._last
        self._last, self._kept_ns = None, now_ns
        at_ns = self._minutes.offset(now_ns)
        line = {"kind": "sent", "client": self.session.number, "at_ns": at_ns, **place(cursor)}
        self._keeper.put([self._minutes.line(now_ns, line)])

    def _came_to(self, cursor: int, now_ns: int) -> None:
        if self._last is not None and now_ns - self._last[1] >= MARK_EVERY_NS:
            self.flush()
        self._last = cursor, now_ns
        if now_ns - self._kept_ns >= MARK_EVERY_NS:
            self.flush()


def _payload(wire: bytes) -> bytes:
    """The payload of one frame in unmasked wire form."""
    return wire[{126: 4, 127: 10}.get(wire[1], 2) :]
