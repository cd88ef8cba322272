"""What a timeline can be told to do while it plays: stand, go on, faster, elsewhere, one more frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.heads import DrivenHead, FreeHead, PacedHead
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.lockstep import Lockstep
from tickdeck.mockserver.outages import Loss
from tickdeck.mockserver.playhead import Mode, Speed
from tickdeck.mockserver.tape import Tape
from tickdeck.mockserver.timeline import Timeline


class NotNowError(UsageError):
    """It is right in itself, and cannot be done the way things stand."""


def pause(timeline: Timeline, now_ns: int) -> None:
    """Stand still here."""
    _need_start(timeline, "pause")
    timeline.moves += 1
    timeline.head.pause(now_ns)


def resume(timeline: Timeline, now_ns: int) -> list[Entry]:
    """Go on from where it stands; one that waits for its start starts."""
    if not timeline.started:
        return timeline.start(now_ns)
    timeline.moves += 1
    timeline.head.resume(now_ns)
    return timeline.tick(now_ns)


def set_speed(timeline: Timeline, speed: Speed, now_ns: int) -> None:
    """Go on from here at another speed; one that has not started, or starts anew, will start at it."""
    head = timeline.head
    position, paused = timeline.elapsed(now_ns), head.paused
    if timeline.started and not isinstance(head, FreeHead):
        for market in timeline.markets:  # at max, newcomers begin here
            due = timeline.reached[market] = timeline.due_on(timeline.tapes.of(market), now_ns)
            timeline.passed(market, Loss(due, position))
    timeline.speed = speed
    timeline.options = replace(timeline.options, speed=speed)
    timeline.moves += 1
    if not timeline.started:
        return
    if isinstance(head, PacedHead) and speed.paced:
        head.playhead.set_factor(speed.factor, now_ns)
    elif isinstance(head, DrivenHead) and speed.mode in (Mode.STEP, Mode.LOCKSTEP):
        timeline.lockstep = Lockstep()
    else:
        timeline.place_head(position, now_ns, sent=True)
        if paused:
            timeline.head.pause(now_ns)


def seek(timeline: Timeline, position_ns: int, now_ns: int) -> None:
    """Jump to a position of the tape (or to its end); what was due before is still sent."""
    _need_start(timeline, "seek")
    head, paused = timeline.head, timeline.head.paused
    playhead = head.playhead if isinstance(head, PacedHead) else None
    position_ns = max(min(position_ns, timeline.tapes.end_ns + 1), timeline.tapes.begin_ns)
    left_ns = -1 if isinstance(head, FreeHead) else timeline.elapsed(now_ns)
    timeline.course.turn(position_ns, end=_here(timeline, now_ns), left_ns=left_ns, playhead=playhead)
    timeline.reached = {}
    timeline.finished = False
    timeline.place_head(timeline.course.begin_ns, now_ns, sent=False)
    if paused:
        timeline.head.pause(now_ns)


def _here(timeline: Timeline, now_ns: int) -> Callable[[Tape], int]:
    """Where a leg ends that is left now: at what is due; at max each socket turns where it is."""
    head = timeline.head
    if isinstance(head, FreeHead):
        return lambda tape: 0
    if isinstance(head, DrivenHead):
        return lambda tape: head.due(tape, now_ns)
    here_ns = head.position(now_ns)
    return lambda tape: tape.seq_behind(here_ns)


def step(
    timeline: Timeline, now_ns: int, *, frames: int = 0, duration_ns: int = 0, stand: bool = True
) -> int:
    """Let the next frames, or a stretch of the tape, go at once; how many frames there were to let go.

    A frame here is one that at least one of the timeline's clients is sent. With
    ``stand`` a tape with a pace is paused first; its frames of one position go together.
    """
    head = need_hand(timeline, "step")
    if stand and isinstance(head, PacedHead):
        head.pause(now_ns)
    if duration_ns:
        timeline.moves += 1
        here_ns = head.position(now_ns)
        head.move_to(max(min(here_ns + duration_ns, timeline.tapes.end_ns), here_ns), now_ns)
    return next((done for done in range(frames) if not timeline.release_next(now_ns)), frames)


def need_hand(timeline: Timeline, verb: str) -> PacedHead | DrivenHead:
    """The head of a timeline that can be stepped; `NotNowError` if it cannot."""
    _need_start(timeline, verb)
    if isinstance(timeline.head, FreeHead):
        raise NotNowError("speed max cannot be stepped; set speed step, or a factor, first")
    return timeline.head


def _need_start(timeline: Timeline, verb: str) -> None:
    if not timeline.started:
        raise NotNowError(f"timeline {timeline.number} has not started: there is nothing to {verb} yet")
