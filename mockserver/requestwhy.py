"""What became of a request: which recording answers it, or answered it in a run, or what it lacked."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import Interaction
from tickdeck.dialects import find
from tickdeck.mockserver.asked import Asked, Rules
from tickdeck.mockserver.misses import show
from tickdeck.mockserver.refusing import Refusals
from tickdeck.mockserver.rundown import RequestRun, Rundown
from tickdeck.mockserver.shelf import Shelf

_REQUEST: Final = re.compile(r"\s*([A-Za-z]+)\s+(/\S*|https?://\S+)\s*")
_MOST_NAMED: Final = 5


class Outcome(enum.StrEnum):
    """What became of it."""

    RECORDED = "recorded"
    """No run was asked about: this recording answers."""
    ANSWERED = "answered"
    VARIANT = "variant"
    STUBBED = "stubbed"
    REFUSED = "refused"
    MISSED = "missed"
    NOT_ASKED = "not-asked"
    NOT_RECORDED = "not-recorded"


GOOD: Final = frozenset((Outcome.RECORDED, Outcome.ANSWERED, Outcome.VARIANT, Outcome.STUBBED))


@dataclass(frozen=True, slots=True)
class RequestVerdict:
    """What became of one request. ``fact`` is a miss in words, or how a variant was made."""

    outcome: Outcome
    request: str
    interaction: Interaction | None = None
    run: RequestRun | None = None
    fact: str = ""
    ignore: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    """Requests of the run to the same path."""


def is_request(question: str) -> bool:
    """Whether a question is about a request: ``GET /v3/trades/AAPL?limit=10``."""
    return _REQUEST.fullmatch(question) is not None


def asked_of(question: str) -> Asked:
    """The request that a question names."""
    hit = _REQUEST.fullmatch(question)
    if hit is None:
        raise UsageError(f"{question!r} is no request; write 'GET /v3/trades/AAPL?limit=10'")
    return Asked.of(*hit.groups())


def who_answers(cassette: Readable, rules: Rules, asked: Asked) -> list[RequestVerdict]:
    """All recordings of a request, in order; or why there is none."""
    interactions = list(cassette.interactions())
    refusals = Refusals(interactions, find(cassette.header.dialect))
    shelf = Shelf(interactions, rules=rules, aside=refusals.numbers)
    request = show(rules.key(asked))
    found = [
        RequestVerdict(Outcome.RECORDED, request, entry, fact=made)
        for entry, made in sorted(shelf.recordings_of(asked), key=lambda pair: pair[0].seq)
    ]
    if found:
        return found
    miss = shelf.miss(asked)
    return [
        RequestVerdict(Outcome.NOT_RECORDED, request, miss.nearest, fact=miss.sentence, ignore=miss.surplus)
    ]


def who_answered(cassette: Readable, run: Rundown, rules: Rules, asked: Asked) -> list[RequestVerdict]:
    """What became of each time that a request was made in a run; or what was asked instead."""
    key = rules.key(asked)
    own = [(each, rules.key(Asked.of(each.method, each.url))) for each in run.requests]
    recorded = {each.seq: each for each in cassette.interactions()}
    found = [
        _of_the_run(each, show(key), recorded.get(-1 if each.recording is None else each.recording))
        for each, made in own
        if made.asks_at(key)
    ]
    if found:
        return found
    instead = dict.fromkeys(show(made) for _, made in own if made.path == key.path)
    would = who_answers(cassette, rules, asked)[0]
    fact = would.fact if would.outcome is Outcome.NOT_RECORDED else ""
    return [
        RequestVerdict(
            *(Outcome.NOT_ASKED, show(key), would.interaction),
            fact=fact,
            ignore=would.ignore,
            instead=tuple(instead)[:_MOST_NAMED],
        )
    ]


def _of_the_run(made: RequestRun, request: str, interaction: Interaction | None) -> RequestVerdict:
    if made.sentence:
        return RequestVerdict(Outcome.MISSED, request, run=made, fact=made.sentence, ignore=made.ignore)
    if made.stub:
        return RequestVerdict(Outcome.STUBBED, request, run=made)
    if made.recording is None:
        return RequestVerdict(Outcome.REFUSED, request, run=made)
    outcome = Outcome.VARIANT if made.variant else Outcome.ANSWERED
    return RequestVerdict(outcome, request, interaction, made, made.variant)


def texts_of(run: Rundown | None, name: str, given: Sequence[str]) -> tuple[str, ...]:
    """What is said now, with what a run was played with (``ignore`` or ``match``)."""
    return (*given, *(() if run is None else run.facts.texts(name)))
