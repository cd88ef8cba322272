"""`tickdeck why` of a request in words: one sentence a verdict; and as a JSON line, with the same facts."""

from __future__ import annotations

from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.requestwhy import GOOD, Outcome, RequestVerdict
from tickdeck.mockserver.rundown import RequestRun, Rundown
from tickdeck.words import market_time, size, utc


class RequestWords:
    """Says verdicts about requests, in the time of the exchange."""

    def __init__(self, cassette: Readable, run: Rundown | None, *, market: str) -> None:
        self._cassette = cassette
        self._run = run
        self._market = market

    def sentence(self, verdict: RequestVerdict) -> str:
        """The verdict in one sentence."""
        request, made = verdict.request, verdict.run
        if verdict.outcome is Outcome.NOT_RECORDED:
            return verdict.fact
        if made is None:
            return self._of_the_tape(verdict)
        when = f"{request} at {self._clock(made)} of the run"
        match verdict.outcome:
            case Outcome.MISSED:
                return f"{when} was not answered: {verdict.fact}"
            case Outcome.STUBBED:
                return f"{when} was answered by a stub: {made.status}"
            case Outcome.REFUSED:
                return f"{when} was refused for its key: {made.status}"
        variant = f"; it was a variant, {verdict.fact}" if verdict.fact else ""
        return f"{when} was answered by {self._recording(verdict.interaction)}{variant}"

    def _of_the_tape(self, verdict: RequestVerdict) -> str:
        recording = self._recording(verdict.interaction)
        if verdict.outcome is Outcome.RECORDED:
            made = f", made {verdict.fact}" if verdict.fact else ""
            return f"{verdict.request} is answered by {recording}{made}"
        name = "" if self._run is None else self._run.name
        asked = f"; asked of this path were {', '.join(verdict.instead)}" if verdict.instead else ""
        would = verdict.fact or f"it would have been answered by {recording}"
        return f"nobody asked {verdict.request} in {name}{asked}; {would}"

    def line(self, verdict: RequestVerdict, question: str) -> dict[str, object]:
        """The verdict as a JSON line; where nothing answers, ``interaction`` is the nearest.

        ``question`` is what was asked, without its secrets.
        """
        found, made = verdict.interaction, verdict.run
        return {
            "kind": "why-request",
            "asked": question,
            "request": verdict.request,
            "answered": verdict.outcome in GOOD,
            "outcome": verdict.outcome.value,
            "sentence": self.sentence(verdict),
            "interaction": None if found is None else found.interaction,
            "seq": None if found is None else found.seq,
            "recorded_at": None if found is None else utc(self._wall_ns(found)),
            "status": made.status if made is not None else None if found is None else found.status,
            "asked_at": None if made is None or self._run is None else utc(self._run.epoch_ns + made.at_ns),
            "position_ns": None if made is None else made.position_ns,
            "fact": verdict.fact,
            "ignore": list(verdict.ignore),
            "instead": list(verdict.instead),
        }

    def _recording(self, found: Interaction | None) -> str:
        if found is None:
            return "a recording that is not on this tape"
        when = market_time(self._wall_ns(found), self._market)
        return f"interaction {found.interaction} of {when}: {found.status}, {size(len(found.body))}"

    def _wall_ns(self, found: Interaction) -> int:
        return self._cassette.wall_ns(found.offset_ns)

    def _clock(self, made: RequestRun) -> str:
        epoch_ns = 0 if self._run is None else self._run.epoch_ns
        return utc(epoch_ns + made.at_ns)[11:23] + " UTC"
