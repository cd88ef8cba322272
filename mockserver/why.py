"""Why a client saw an event of the tape, or did not.

Each answer follows from cursors that the run's journal holds: where the client came
to the tape, where channels came and went, where it left, where the tape was cut or
jumped. An event whose cursor lies within all of them was sent; which of them it lies
beyond is the reason why it was not.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.readable import Readable
from tickdeck.dialects.channels import wildcard_of
from tickdeck.mockserver.course import cursor_of, leg_of, seq_of
from tickdeck.mockserver.playhead import MAX
from tickdeck.mockserver.rundown import ClientRun, Held, PlaybackRun, Rundown
from tickdeck.mockserver.sighting import Sighting, Sightings
from tickdeck.mockserver.tape import Tape, Tapes


class Reason(enum.StrEnum):
    """What became of an event, for one client or (the first three) for all."""

    UNRECORDED = "unrecorded"
    GAP = "gap"
    NOT_ON_TAPE = "not-on-tape"
    SENT = "sent"
    OTHER_MARKET = "other-market"
    NOT_AUTHENTICATED = "not-authenticated"
    NOT_SUBSCRIBED = "not-subscribed"
    SKIPPED = "skipped"
    BEFORE_START = "before-start"
    BEFORE_SUBSCRIBE = "before-subscribe"
    AFTER_UNSUBSCRIBE = "after-unsubscribe"
    AFTER_LEAVE = "after-leave"
    BEHIND = "behind"
    AHEAD = "ahead"
    NOT_KEPT = "not-kept"
    """The run goes on, or was killed: its journal ends before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one event for one client (``None``: for everybody).

    ``by_ns`` is the distance on the tape to what decided it. ``sent_by_ns`` is when the
    frame had left at the latest, ``sent_from_ns`` the earliest, ``due_ns`` when it was
    due: nanoseconds since 1970 of the run. ``times`` counts the laps on which it was
    sent; ``holds`` what the client held, if not this.
    """

    reason: Reason
    client: int | None = None
    seen: Sighting | None = None
    by_ns: int | None = None
    sent_from_ns: int | None = None
    sent_by_ns: int | None = None
    due_ns: int | None = None
    times: int = 0
    holds: tuple[str, ...] = ()
    market: str = ""
    slow: bool = False

    @property
    def sent(self) -> bool:
        """Whether the client was sent it."""
        return self.reason is Reason.SENT

    @property
    def late_ns(self) -> int | None:
        """How late it left at most, if that is known."""
        if self.due_ns is None or self.sent_by_ns is None:
            return None
        return max(self.sent_by_ns - self.due_ns, 0)


def check_tape(cassette: Readable, run: Rundown) -> None:
    """UsageError if a run was of another tape than this."""
    ours, theirs = cassette.digest, run.facts.text("digest")
    if ours and theirs and ours != theirs:
        raise UsageError(
            f"{run.name} is a run of {run.facts.text('tape')} (content {theirs[:12]}), "
            f"not of {cassette.name} (content {ours[:12]}); give the tape that was played"
        )


def nowhere(found: Sightings) -> Verdict:
    """Why nobody can have seen what is not on the tape."""
    if not found.recorded:
        return Verdict(Reason.UNRECORDED, market=found.market)
    return Verdict(Reason.NOT_ON_TAPE if found.gap is None else Reason.GAP, market=found.market)


def why(run: Rundown, client: ClientRun, tapes: Tapes, seen: Sighting) -> Verdict:
    """What became of an event for one client of a run."""
    number = client.number
    if client.market != seen.market:
        return Verdict(Reason.OTHER_MARKET, number, seen, market=client.market)
    if client.joined is None or client.playback is None:
        return Verdict(Reason.NOT_AUTHENTICATED, number, seen)
    wanted = [held for held in client.held if held.channel in (seen.channel, wildcard_of(seen.channel))]
    if not wanted:
        holds = tuple(dict.fromkeys(held.channel for held in client.held))
        return Verdict(Reason.NOT_SUBSCRIBED, number, seen, holds=holds)
    playback = run.playbacks[client.playback]
    passes = list(_passes(playback, client, tapes.of(seen.market), seen.seq))
    sent = [cursor for cursor in passes if cursor < client.reached and _is_wanted(wanted, cursor)]
    if sent:
        return _sent(run, client, playback, seen, sent)
    if not passes:
        return Verdict(Reason.SKIPPED, number, seen)
    # Of several laps the first that the client was there for tells most.
    cursor = next((each for each in passes if each >= client.joined.cursor), passes[-1])
    return _unsent(client, playback, tapes.of(seen.market), seen, wanted, cursor)


def _passes(playback: PlaybackRun, client: ClientRun, tape: Tape, seq: int) -> Iterator[int]:
    """The cursors at which a frame lay on the way of a client: one a leg that goes over it."""
    course = playback.course(client.turned)
    for leg in range(course.leg + 1):
        if course.begin(leg, tape) <= seq < course.end(leg, tape):
            yield cursor_of(leg, seq)


def _is_wanted(wanted: list[Held], cursor: int) -> bool:
    return any(
        held.since.cursor <= cursor and (held.until is None or cursor < held.until.cursor) for held in wanted
    )


def _sent(
    run: Rundown, client: ClientRun, playback: PlaybackRun, seen: Sighting, cursors: list[int]
) -> Verdict:
    before_ns, by_ns = client.marks.around(cursors[0])
    due_ns = playback.due_ns(leg_of(cursors[0]), seen.position_ns)
    if by_ns is None:
        by_ns = run.end_ns if client.left is None else client.left.at_ns
    from_ns = max(client.connected.at_ns if before_ns is None else before_ns, due_ns or 0)
    return Verdict(
        Reason.SENT,
        client.number,
        seen,
        sent_from_ns=run.epoch_ns + min(from_ns, by_ns),
        sent_by_ns=run.epoch_ns + by_ns,
        due_ns=None if due_ns is None else run.epoch_ns + due_ns,
        times=len(cursors),
    )


def _unsent(
    client: ClientRun, playback: PlaybackRun, tape: Tape, seen: Sighting, wanted: list[Held], cursor: int
) -> Verdict:
    def verdict(reason: Reason, by_ns: int | None) -> Verdict:
        return Verdict(
            reason, client.number, seen, by_ns=None if by_ns is None else max(by_ns, 0), slow=client.slow
        )

    def until(place_ns: int | None) -> int | None:
        return None if place_ns is None else place_ns - seen.position_ns

    def since(place_ns: int | None) -> int | None:
        return None if place_ns is None else seen.position_ns - place_ns

    joined = client.joined
    if joined is not None and cursor < joined.cursor:
        return verdict(Reason.BEFORE_START, until(joined.position_ns))
    begun = [held for held in wanted if held.since.cursor <= cursor]
    if not begun:
        return verdict(Reason.BEFORE_SUBSCRIBE, until(wanted[0].since.position_ns))
    if not _is_wanted(begun, cursor):
        ends = [held.until for held in begun if held.until is not None]
        return verdict(Reason.AFTER_UNSUBSCRIBE, since(max(end.position_ns or 0 for end in ends)))
    left_ns = None if client.left is None or playback.speed == str(MAX) else client.left.position_ns
    if left_ns is None:  # at max everybody has a place of his own
        left_ns = tape.position_behind(seq_of(client.reached))
    elif left_ns >= seen.position_ns:
        return verdict(Reason.BEHIND, until(left_ns))
    reason = Reason.AHEAD if client.stopped else Reason.AFTER_LEAVE
    return verdict(Reason.NOT_KEPT if client.left is None else reason, since(max(left_ns, 0)))
