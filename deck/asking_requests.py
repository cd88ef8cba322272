"""A question of `tickdeck why` about a request: the shelf and the run are looked through, and each verdict is told."""

from __future__ import annotations

from collections.abc import Sequence

from tickdeck.cassette.readable import Readable
from tickdeck.cassette.redaction import Redactor
from tickdeck.dialects import find
from tickdeck.exits import Exit, Outcome
from tickdeck.jsonlines import JsonLines
from tickdeck.mockserver.asked import Rules
from tickdeck.mockserver.ignoring import parse_ignored, parse_matched
from tickdeck.mockserver.requestwhy import GOOD, asked_of, texts_of, who_answered, who_answers
from tickdeck.mockserver.rundown import Rundown
from tickdeck.mockserver.why import check_tape
from tickdeck.output import show
from tickdeck.request_words import RequestWords
from tickdeck.watch.printable import one_line


def answer(
    cassette: Readable,
    kept: Readable | None,
    question: str,
    *,
    ignore: Sequence[str],
    match: Sequence[str],
    as_json: bool,
) -> Outcome:
    """Tell which recording answers a request, or answered it in a run."""
    run, dialect = None if kept is None else Rundown(kept), find(cassette.header.dialect)
    rules = Rules.of(
        dialect,
        ignored=parse_ignored(texts_of(run, "ignore", ignore)),
        bound=parse_matched(texts_of(run, "match", match)),
    )
    asked = asked_of(question)
    if run is None:
        verdicts = who_answers(cassette, rules, asked)
    else:
        check_tape(cassette, run)
        verdicts = who_answered(cassette, run, rules, asked)
    redactor = Redactor(dialect.places)
    question = redactor.clean_text(question)
    words, lines = RequestWords(cassette, run, market=dialect.default_market), JsonLines()
    for verdict in verdicts:
        if as_json:
            line = words.line(verdict, question)
            lines.tell({name: _clean(redactor, value) for name, value in line.items()})
        else:
            show(redactor.clean_text(one_line(words.sentence(verdict))))
    if all(verdict.outcome in GOOD for verdict in verdicts):
        return Outcome()
    return Outcome(Exit.DIFFERENT, "unmatched", "no recording answered it, or not each time")


def _clean(redactor: Redactor, value: object) -> object:
    return redactor.clean_text(value) if isinstance(value, str) else value
