"""The recorder as a client of its own: one market, connected again after every loss, each gap noted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.errors import RecordingError
from tickdeck.cassette.records import Sender
from tickdeck.dialects.dialogue import Dialogue
from tickdeck.recorder.capture import Opening
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.inflow import GOING_AWAY, End
from tickdeck.recorder.line import Line
from tickdeck.recorder.notices import Lost, Notify, Outage, TrackEnded, TrackStarted, Trouble
from tickdeck.recorder.rest_client import words_of
from tickdeck.recorder.route import advice
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.talk import Patience, Standing, Talk
from tickdeck.recorder.unfinished import Unfinished
from tickdeck.recorder.upstream import UpgradeRefused
from tickdeck.recorder.websocket_client import Dialled, dial

_SPREAD: Final = (0.5, 1.5)
_HEADERS: Final = ((b"User-Agent", b"tickdeck"),)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to record, and where from."""

    origin: str
    market: str
    feed: str
    dialogue: Callable[[], Dialogue]
    """Begins a conversation, once for each connection."""
    seed: int = 0
    trust_env: bool = False


class SocketClient:
    """Records one market until it is cancelled."""

    def __init__(
        self,
        wanted: Wanted,
        intake: Intake,
        clock: Clock,
        *,
        notify: Notify,
        patience: Patience,
    ) -> None:
        self.standing = Standing(wanted.market)
        self._wanted = wanted
        self._url = f"{wanted.origin}/{wanted.market}"
        self._intake = intake
        self._clock = clock
        self._notify = notify
        self._patience = patience
        self._random = random.Random(wanted.seed)
        self._lost: tuple[int, str] | None = None

    async def run(self) -> None:
        """Connect again and again. RecordingError where that is no use: never reached, refused, evicted."""
        retries = self._retries()
        try:
            while True:
                since_ns = self._clock.now_ns()
                loss = await self._attempt()
                if not self.standing.ready:
                    raise RecordingError(loss)
                if self._lost is None:
                    self._lost = (self._clock.now_ns(), loss)
                if self._clock.now_ns() - since_ns > self._patience.longest_retry_ns:
                    retries = self._retries()
                retry_ns = next(retries)
                self._notify(Lost(self._wanted.market, loss, retry_ns / SECOND_NS))
                await self._clock.wait_until(self._clock.now_ns() + retry_ns)
        finally:
            if self._intake.failure is None:
                self._listening()

    async def _attempt(self) -> str:
        """One connection; how it was lost, in words."""
        try:
            dialled = await self._clock.within(
                self._patience.answer_ns,
                dial(self._url, headers=_HEADERS, clock=self._clock, trust_env=self._wanted.trust_env),
            )
        except UpgradeRefused as refusal:
            words = words_of(refusal.response)
            return f"{self._url} refused the connection with {refusal.response.status} {words}"
        except RecordingError as error:
            return str(error)
        except TimeoutError:
            unused = advice(self._wanted.origin, trust_env=self._wanted.trust_env)
            return f"could not reach {self._wanted.origin}: no answer in time{unused}"
        try:
            return await self._over(dialled)
        finally:
            await dialled.release()

    async def _over(self, dialled: Dialled) -> str:
        """What is said over a connection; how it was lost, in words."""
        track = self._intake.track_opened(self._opening(dialled))
        self._notify(TrackStarted(track, self._wanted.market))
        line = dialled.line(self._clock)
        talk = self._talk(line, track)
        end: End | None = None
        try:
            end = await talk.run()
        finally:
            self._track_ended(track, end, line.unfinished)
            await (line.close(end) if end is not None else line.leave(End(GOING_AWAY)))
        if talk.refusal:
            raise RecordingError(talk.refusal)
        return talk.late if end is None else _loss(self._url, end)

    def _retries(self) -> Iterator[int]:
        delay_ns = self._patience.first_retry_ns
        while True:
            yield int(min(delay_ns * self._random.uniform(*_SPREAD), self._patience.longest_retry_ns))
            delay_ns = min(delay_ns * 2, self._patience.longest_retry_ns)

    def _listening(self) -> None:
        """The market is heard (again): a gap, if there was one, is over."""
        if self._lost is not None:
            (since_ns, reason), self._lost = self._lost, None
            until_ns = self._clock.now_ns()
            self._intake.gap(since_ns, until_ns, market=self._wanted.market, reason=reason)
            self._notify(Outage(self._wanted.market, (until_ns - since_ns) / SECOND_NS, reason))

    def _opening(self, dialled: Dialled) -> Opening:
        return Opening(
            market=self._wanted.market,
            feed=self._wanted.feed,
            url=self._url,
            request_headers=dialled.request_headers,
            response_headers=dialled.response_headers,
        )

    def _talk(self, line: Line, track: int) -> Talk:
        return Talk(
            line,
            track,
            self._wanted.dialogue(),
            intake=self._intake,
            clock=self._clock,
            notify=self._notify,
            patience=self._patience,
            standing=self.standing,
            listening=self._listening,
        )

    def _track_ended(self, track: int, end: End | None, part: Unfinished | None) -> None:
        by = None if end is None else Sender.SERVER
        end = end or End(GOING_AWAY)
        if by is not None and end.code is None and end.reason:
            self._notify(
                Trouble(f"socket {track} ({self._wanted.market}): the service was given up: {end.reason}")
            )
        if part is not None and (by is None or end.code is None):
            left = f"a message of the service is not finished: {part}"
            end = End(end.code, "; ".join(filter(None, (end.reason, left))))
        if self._intake.failure is None:
            self._intake.track_closed(track, by=by, code=end.code, reason=end.reason)
        self._notify(TrackEnded(track, self._wanted.market, end.code, end.reason))


def _loss(url: str, end: End) -> str:
    if end.code is None:
        return f"{url} was lost without a close{': ' + end.reason if end.reason else ''}"
    return f"{url} was closed with {end.code}{' ' + end.reason if end.reason else ''}"
