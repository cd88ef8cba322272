"""Where the shells put what happened, before anyone else is told.

`Intake.frames` and its siblings return when the records are in the operating
system's hands: only then may a shell pass the bytes on. A disk that refuses stops
the recording at that point, so nobody is ever given what is not on the cassette.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from tickdeck.cassette.errors import StorageError
from tickdeck.cassette.records import Record, Sender
from tickdeck.dialects.base import Learner
from tickdeck.recorder.capture import Capture, Counts, Exchange, Message, Numbers, Opening
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.keeping import Keeping, Secrets
from tickdeck.recorder.meters import Meters
from tickdeck.recorder.only import Only
from tickdeck.recorder.rotation import Rotation


class Sink(Protocol):
    """What takes records and keeps them: a `tickdeck.cassette.recording.Recording`, or a list in a test."""

    def append(self, records: Iterable[Record]) -> None:
        """Keep these before returning; StorageError when the disk refuses."""
        ...


class Intake:
    """Stamps what happened and puts it on the cassette."""

    def __init__(
        self,
        sink: Sink,
        clock: Clock,
        *,
        start_ns: int,
        learner: Callable[[], Learner],
        secrets: Secrets,
        meters: Meters | None = None,
        on_failure: Callable[[StorageError], None] = lambda error: None,
        rotation: Rotation | None = None,
        only: Only | None = None,
        after: Numbers = Numbers(),  # noqa: B008 - it is frozen
    ) -> None:
        """``rotation`` is the sink itself, where it is one in segments; ``only`` leaves frames out."""
        self._only = only
        self._rotation = rotation
        self._sink = sink
        self._clock = clock
        self._capture = Capture(start_ns=start_ns, learner=learner, after=after)
        self._secrets = secrets
        self._turn_awaited = False
        self._on_failure = on_failure
        self.failure: StorageError | None = None
        self.meters = meters or Meters()
        self.anchor()

    @property
    def counts(self) -> Counts:
        """What is on the cassette so far."""
        return self._capture.counts

    def turn(self) -> None:
        """Go on in another segment, though this one is not full; all parts of a body lie in one."""
        now_ns = self._clock.now_ns()
        self._turn_awaited = self._capture.bodies_open > 0
        if (rotation := self._rotation) is not None and not self._turn_awaited:
            self._attempt(lambda: rotation.turn(self._capture.opened_again(now_ns), now_ns))

    def anchor(self, *, at_once: bool = False) -> None:
        """Note the wall clock, if a minute has passed; and see whether it is time for another segment."""
        now_ns, wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        records = self._capture.anchors(now_ns, wall_ns=wall_ns, at_once=at_once)
        if records:
            self._keep(records)
        else:
            self._turn_if_full()

    def track_opened(self, opening: Opening) -> int:
        """A connection was made; returns the track's number."""
        record = self._capture.track_opened(self._clock.now_ns(), opening)
        self._keep([record])
        self.meters.opened(record.track, opening.market)
        return record.track

    def frames(self, track: int, sender: Sender, messages: Sequence[Message]) -> None:
        """What one side of a track said."""
        kept = messages if self._only is None else self._only.kept(sender, messages)
        self._keep(self._capture.frames(track, sender, kept))

    def passed_on(self, track: int, messages: Sequence[Message]) -> None:
        """What the service said on a track has been handed to whom it is for."""
        self.meters.passed_on(track, self._clock.now_ns(), messages)

    def track_closed(self, track: int, *, by: Sender | None, code: int | None, reason: str = "") -> None:
        """A connection ended."""
        now_ns = self._clock.now_ns()
        self.meters.closed(track)
        self._keep([self._capture.track_closed(now_ns, track, by=by, code=code, reason=reason)])

    def answer(self, head: Exchange) -> Keeping:
        """A REST request is being answered: what the body goes through on its way to the cassette."""
        return Keeping(head, self._secrets, self)

    def interaction(self, exchange: Exchange) -> None:
        """A REST request was answered, by what is here."""
        keeping = self.answer(replace(exchange, body=b""))
        keeping.take(exchange.body)
        keeping.end(exchange.end_ns, complete=exchange.complete)

    def keep_whole(self, exchange: Exchange) -> None:
        """See `tickdeck.recorder.keeping.Shelf`."""
        self.meters.answered(exchange)
        self._keep([self._capture.interaction(exchange)])

    def begin_parts(self) -> int:
        """See `tickdeck.recorder.keeping.Shelf`."""
        return self._capture.body_begun()

    def keep_part(self, interaction: int, data: bytes) -> None:
        """See `tickdeck.recorder.keeping.Shelf`."""
        self._keep([self._capture.body_part(self._clock.now_ns(), interaction, data)])

    def end_parts(self, exchange: Exchange, interaction: int, *, parts: int, decoded: bool) -> None:
        """See `tickdeck.recorder.keeping.Shelf`."""
        self.meters.answered(exchange)
        self._keep([self._capture.body_ended(exchange, interaction, parts=parts, decoded=decoded)])

    def gap(self, since_ns: int, until_ns: int, *, market: str, reason: str) -> None:
        """Nobody listened to a market for a while."""
        self._keep([self._capture.gap(since_ns, until_ns, market=market, reason=reason)])

    def _keep(self, records: Sequence[Record]) -> None:
        self._attempt(lambda: self._append(records))
        self._turn_if_full()

    def _append(self, records: Sequence[Record]) -> None:
        try:
            self._sink.append(records)
        except StorageError as error:
            self._capture.count(records[: error.kept])
            raise
        self._capture.count(records)

    def _turn_if_full(self) -> None:
        if (
            self._rotation is not None
            and self.failure is None
            and not self._capture.bodies_open
            and (self._turn_awaited or self._rotation.is_full(self._clock.now_ns()))
        ):
            self.turn()

    def _attempt(self, step: Callable[[], None]) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            step()
        except StorageError as error:
            self.failure = error
            self._on_failure(error)
            raise
