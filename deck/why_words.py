"""`tickdeck why` in words: one sentence a verdict; and as a JSON line, with the same facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tickdeck.mockserver.rundown import Rundown
from tickdeck.mockserver.sighting import Question, Sighting, Sightings, WallClock
from tickdeck.mockserver.why import Reason, Verdict
from tickdeck.words import count, duration, market_time, utc

EXACT_NS: Final = 1_000_000
"""A moment that is known to this is told as one; else the two that it lies between."""

MOST_CHANNELS: Final = 6


class WhyWords:
    """Says verdicts about one question, in the time of the exchange."""

    def __init__(self, question: Question, found: Sightings, run: Rundown, *, wall_ns: WallClock) -> None:
        self._question = question
        self._found = found
        self._run = run
        self._wall_ns = wall_ns
        self._say: Mapping[Reason, Callable[[Verdict], str]] = {
            Reason.SENT: self._sent,
            Reason.OTHER_MARKET: lambda v: f"the client was on {v.market}, and this is {found.market}",
            Reason.NOT_AUTHENTICATED: lambda v: "the client never authenticated",
            Reason.NOT_SUBSCRIBED: lambda v: (
                f"the client never subscribed to {question.channel}; it held {_some(v.holds)}"
            ),
            Reason.SKIPPED: self._skipped,
            Reason.BEFORE_START: lambda v: f"it came {_by(v)}before the client joined the tape",
            Reason.BEFORE_SUBSCRIBE: lambda v: f"it came {_by(v)}before the subscription",
            Reason.AFTER_UNSUBSCRIBE: lambda v: f"it came {_by(v)}after the unsubscription",
            Reason.AFTER_LEAVE: lambda v: f"the client had left, {_by(v)}before it came",
            Reason.BEHIND: _behind,
            Reason.NOT_KEPT: lambda v: f"the run is kept only up to {_by(v)}before it came",
            Reason.AHEAD: lambda v: f"the run had ended, {_by(v)}before it came",
        }

    def sentence(self, verdict: Verdict) -> str:
        """The verdict in one sentence."""
        if verdict.seen is None:
            return self._nowhere(verdict)
        event = f"{self._question.channel} of {self._when(verdict.seen)}{self._came(verdict.seen)}"
        if verdict.sent:
            return f"client {verdict.client} was sent {event} {self._sent(verdict)}"
        return f"client {verdict.client} was not sent {event}: {self._say[verdict.reason](verdict)}"

    def line(self, verdict: Verdict) -> dict[str, object]:
        """The verdict as a JSON line."""
        seen, found = verdict.seen, self._found
        gap = found.gap
        return {
            "kind": "why",
            "client": verdict.client,
            "asked": self._question.text,
            "market": found.market,
            "channel": self._question.channel,
            "sent": verdict.sent,
            "reason": verdict.reason.value,
            "sentence": self.sentence(verdict),
            "event_time": None if seen is None else utc(seen.at_ns),
            "came": None if seen is None else utc(seen.came_ns),
            "position_ns": None if seen is None else seen.position_ns,
            "seq": None if seen is None else seen.seq,
            "by_ns": verdict.by_ns,
            "sent_from": _utc(verdict.sent_from_ns),
            "sent_by": _utc(verdict.sent_by_ns),
            "due": _utc(verdict.due_ns),
            "late_ns": verdict.late_ns,
            "times": verdict.times,
            "holds": list(verdict.holds),
            "before": None if found.before is None else utc(found.before.at_ns),
            "after": None if found.after is None else utc(found.after.at_ns),
            "gap": None if gap is None else [gap.start_ns, gap.end_ns],
        }

    def _sent(self, verdict: Verdict) -> str:
        first, last = verdict.sent_from_ns or 0, verdict.sent_by_ns or 0
        again = f", and again on {count(verdict.times - 1, 'lap')}" if verdict.times > 1 else ""
        if last - first <= EXACT_NS:
            late = "" if verdict.late_ns is None else f", {duration(verdict.late_ns)} late"
            return f"at {_clock(last)} of the run{late}{again}"
        late = "" if verdict.late_ns is None else f", at most {duration(verdict.late_ns)} late"
        return f"between {_clock(first).removesuffix(' UTC')} and {_clock(last)} of the run{late}{again}"

    def _skipped(self, verdict: Verdict) -> str:
        position_ns = 0 if verdict.seen is None else verdict.seen.position_ns
        stop_ns = self._run.facts.maybe("stop_ns")
        if position_ns < self._run.begin_ns:
            return f"the run began behind it (--from), at {self._at(self._run.begin_ns)}"
        if stop_ns is not None and position_ns >= stop_ns:
            return f"the run ended before it (--to), at {self._at(stop_ns)}"
        return "a seek left it out"

    def _nowhere(self, verdict: Verdict) -> str:
        asked, channel = self._question.text, self._question.channel
        gap, found = self._found.gap, self._found
        if verdict.reason is Reason.UNRECORDED:
            return f"nobody was sent {asked}: {channel} was never recorded"
        if gap is not None:
            return (
                f"nobody was sent {asked}: the recording has a gap there, from {self._at(gap.start_ns)} "
                f"to {self._at(gap.end_ns)}: {gap.reason}"
            )
        near = [
            f"{self._when(seen)} ({word})"
            for seen, word in ((found.before, "before"), (found.after, "after"))
            if seen is not None
        ]
        nearest = (
            f"the nearest are {' and '.join(near)}" if len(near) > 1 else f"the nearest is {' '.join(near)}"
        )
        return f"nobody was sent {asked}: it is not on the tape; " + (
            nearest if near else f"{channel} was held, and nothing came on it"
        )

    def _at(self, position_ns: int) -> str:
        return market_time(self._wall_ns(position_ns), self._found.market)

    def _came(self, seen: Sighting) -> str:
        """How it was found, where that is not by what it says."""
        how_ns = self._found.how_ns
        return "" if how_ns is None else f" ({self._found.how} {market_time(how_ns(seen), seen.market)})"

    def _when(self, seen: Sighting) -> str:
        return market_time(seen.at_ns, self._found.market)


def _behind(verdict: Verdict) -> str:
    end = "it was dropped as too slow" if verdict.slow else "it left"
    return f"its socket was behind: the event had been due {_by(verdict)}when {end}"


def _by(verdict: Verdict) -> str:
    return "" if verdict.by_ns is None else f"{duration(verdict.by_ns)} "


def _some(channels: tuple[str, ...]) -> str:
    rest = len(channels) - MOST_CHANNELS
    return (", ".join(channels[:MOST_CHANNELS]) or "nothing") + (f" and {rest} more" if rest > 0 else "")


def _clock(wall_ns: int) -> str:
    return utc(wall_ns)[11:23] + " UTC"


def _utc(wall_ns: int | None) -> str | None:
    return None if wall_ns is None else utc(wall_ns)
