"""One connection of the client mode: say what is due, keep everything, notice what does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tickdeck.cassette.records import PING, PONG, TEXT, Sender
from tickdeck.dialects.dialogue import (
    ChannelsRefused,
    ChannelsTaken,
    Complaint,
    Dialogue,
    Evicted,
    KeyRefused,
    KeyTaken,
    LetGo,
    Market,
    Say,
    Stage,
    Step,
)
from tickdeck.recorder.capture import Message
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.inflow import End
from tickdeck.recorder.line import Line
from tickdeck.recorder.notices import (
    Acknowledged,
    Authenticated,
    Dropped,
    Notify,
    Quiet,
    Refused,
    Trouble,
    Unacknowledged,
)
from tickdeck.recorder.sink import Intake


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the client mode waits for what, in nanoseconds."""

    answer_ns: int = 10 * SECOND_NS
    acknowledgement_ns: int = 5 * SECOND_NS
    last_words_ns: int = 2 * SECOND_NS
    quiet_ns: int = 10 * SECOND_NS
    quiet_again_ns: int = 60 * SECOND_NS
    silence_ns: int = 20 * SECOND_NS
    """Nothing at all: once, and the service is sent a ping; twice, and it is gone."""
    first_retry_ns: int = SECOND_NS // 2
    longest_retry_ns: int = 30 * SECOND_NS


@dataclass(slots=True)
class Standing:
    """What is known of the channels, over all connections of a market."""

    market: str
    events: int = 0
    ready: bool = False
    refused: dict[str, None] = field(default_factory=dict)
    unacknowledged: dict[str, None] = field(default_factory=dict)

    def taken(self, channels: Iterable[str]) -> None:
        """These were acknowledged, if late."""
        for channel in channels:
            self.refused.pop(channel, None)
            self.unacknowledged.pop(channel, None)

    def unanswered(self, dialogue: Dialogue) -> None:
        """What has no answer is not acknowledged; where something was refused, it may be any of it."""
        group = self.refused if dialogue.refusals else self.unacknowledged
        group.update(dict.fromkeys(dialogue.open))


class Talk:
    """One connection, from the greeting to its end."""

    def __init__(
        self,
        line: Line,
        track: int,
        dialogue: Dialogue,
        *,
        intake: Intake,
        clock: Clock,
        notify: Notify,
        patience: Patience,
        standing: Standing,
        listening: Callable[[], None],
    ) -> None:
        self._line = line
        self._track = track
        self._dialogue = dialogue
        self._intake = intake
        self._clock = clock
        self._notify = notify
        self._patience = patience
        self._standing = standing
        self._listening = listening
        self.refusal = ""
        """Why the service will not have us, or will no longer."""
        self.late = ""
        """What never came, if that is why we left."""
        self._acknowledgement_due_ns: int | None = None
        self._quiet_since_ns = self._heard_ns = clock.now_ns()
        self._pinged = False
        self._due_ns = self._quiet_since_ns + patience.answer_ns
        """When to look at the clock next, whatever comes until then."""

    async def run(self) -> End | None:
        """Listen until the connection ends; ``None`` when it is ours to end."""
        reading = asyncio.create_task(self._line.inflow.read())
        try:
            while True:
                batch, end = await self._next()
                self._keep(batch)
                for message in batch:
                    await self._understand(message)
                if end is not None or await self._is_over():
                    return end
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if self._intake.failure is None:
                self._keep(self._line.inflow.held())
            if self._dialogue.stage is Stage.READY and not self.refusal:
                self._standing.unanswered(self._dialogue)

    async def _next(self) -> tuple[list[Message], End | None]:
        try:
            left_ns = max(self._due_ns - self._clock.now_ns(), 0)
            return await self._clock.within(left_ns, self._line.inflow.take())
        except TimeoutError:
            return [], None

    def _keep(self, batch: Sequence[Message]) -> None:
        if batch:
            self._intake.frames(self._track, Sender.SERVER, batch)
            self._intake.passed_on(self._track, batch)
            self._heard_ns = self._clock.now_ns()
            self._pinged = False

    async def _understand(self, message: Message) -> None:
        if message.opcode == TEXT:
            for step in self._dialogue.receive(message.payload):
                await self._take(step)
        elif message.opcode == PING:
            await self._say(message.payload, opcode=PONG)

    async def _take(self, step: Step) -> None:
        match step:
            case Market():
                self._standing.events += 1
                self._quiet_since_ns = self._clock.now_ns()
                self._listening()
            case Say(payload):
                await self._say(payload)
            case KeyTaken():
                self._key_taken()
            case ChannelsTaken(channels):
                self._standing.taken(channels)
                self._listening()
                self._notify(Acknowledged(channels))
            case ChannelsRefused(channels, words):
                self._standing.refused.update(dict.fromkeys(channels))
                self._notify(Refused(channels, words))
            case KeyRefused(words):
                self._end_with(f"the service refused the key: {words}")
            case LetGo(words, advice):
                self._notify(Dropped(self._track, self._standing.market, words, advice))
            case Evicted(words, advice):
                self._notify(Dropped(self._track, self._standing.market, words, advice))
                self._end_with(f"another connection of this key took over {self._standing.market}: {words}")
            case Complaint(words):
                self._notify(Trouble(f"the service says: {words}"))

    async def _say(self, payload: bytes, *, opcode: int = TEXT) -> None:
        said = [Message(self._clock.now_ns(), opcode, payload)]
        self._intake.frames(self._track, Sender.CLIENT, said)
        await self._line.send(said)

    def _key_taken(self) -> None:
        now_ns = self._clock.now_ns()
        self._standing.ready = True
        self._quiet_since_ns = now_ns
        if self._dialogue.open:
            self._acknowledgement_due_ns = now_ns + self._patience.acknowledgement_ns
        else:
            self._listening()
        self._due_ns = now_ns
        self._notify(Authenticated(self._standing.market))

    def _end_with(self, sentence: str) -> None:
        """After such words the service ends the connection, which is part of the track: wait for it."""
        if not self.refusal:
            self.refusal = sentence
            self._due_ns = self._clock.now_ns() + self._patience.last_words_ns

    async def _is_over(self) -> bool:
        """Look at the clock, where something is due: whether there is nothing more to wait for."""
        now_ns = self._clock.now_ns()
        if now_ns < self._due_ns:
            return False
        if self.refusal:
            return True
        if self._dialogue.stage is not Stage.READY:
            seconds = self._patience.answer_ns / SECOND_NS
            self.late = f"no {self._dialogue.stage.value} came within {seconds:g} s"
            return True
        self._due_ns = min(
            self._name_the_unacknowledged(now_ns),
            self._mention_quiet(now_ns),
            await self._ask_for_life(now_ns),
        )
        return bool(self.late)

    def _name_the_unacknowledged(self, now_ns: int) -> int:
        """Say which channels have no answer, once that is due; returns when to look again."""
        due_ns = self._acknowledgement_due_ns
        if due_ns is None or now_ns < due_ns:
            return due_ns or now_ns + self._patience.quiet_ns
        self._acknowledgement_due_ns = None
        self._standing.unanswered(self._dialogue)
        channels = self._dialogue.open
        if channels and self._dialogue.refusals:
            words = f"{self._dialogue.words} ({self._dialogue.refusals} of these)"
            self._notify(Refused(channels, words))
        elif channels:
            self._notify(Unacknowledged(channels, self._patience.acknowledgement_ns / SECOND_NS))
        return now_ns + self._patience.quiet_ns

    async def _ask_for_life(self, now_ns: int) -> int:
        """A line that died without a word would be listened to for ever; returns when to look again."""
        silence_ns = self._patience.silence_ns
        if now_ns - self._heard_ns >= 2 * silence_ns:
            self.late = f"no sign of life came for {2 * silence_ns / SECOND_NS:g} s"
        elif now_ns - self._heard_ns >= silence_ns and not self._pinged:
            self._pinged = True
            await self._say(b"", opcode=PING)
        return self._heard_ns + (2 if self._pinged else 1) * silence_ns

    def _mention_quiet(self, now_ns: int) -> int:
        quiet_ns = now_ns - self._quiet_since_ns
        if quiet_ns < self._patience.quiet_ns:
            return self._quiet_since_ns + self._patience.quiet_ns
        self._notify(Quiet(self._standing.market, quiet_ns / SECOND_NS))
        return now_ns + self._patience.quiet_again_ns
