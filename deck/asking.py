"""A question of `tickdeck why`: the tape and the run are looked through, and each verdict is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tickdeck.cassette.errors import ReplayError, UsageError
from tickdeck.cassette.readable import Readable
from tickdeck.dialects import find
from tickdeck.exits import Exit, Outcome
from tickdeck.jsonlines import JsonLines
from tickdeck.mockserver.rerun import tapes_of
from tickdeck.mockserver.rundown import ClientRun, Rundown
from tickdeck.mockserver.sighting import Sightings, ask, look, market_of, split
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.why import Verdict, check_tape, nowhere, why
from tickdeck.output import say, show
from tickdeck.watch.printable import one_line
from tickdeck.why_words import WhyWords
from tickdeck.words import zone_of


def answer(
    cassette: Readable, kept: Readable, text: str, *, number: int | None, each: bool, as_json: bool
) -> Outcome:
    """Tell what became of an event."""
    run = Rundown(kept)
    check_tape(cassette, run)
    clients = _clients(run, number)
    tapes, dialect = tapes_of(cassette, run), find(cassette.header.dialect)

    def wall_ns(position_ns: int) -> int:
        return cassette.wall_ns(tapes.zero_ns + position_ns)

    market = market_of(tapes, split(text)[0], dialect.default_market)
    end_wall_ns = wall_ns(max(tapes.recorded_end_ns, 0))
    question = ask(text, begin_wall_ns=wall_ns(0), end_wall_ns=end_wall_ns, zone=zone_of(market))
    found = look(
        tapes, market, question, own_time=dialect.event_time_ns, wall_ns=wall_ns, shift_ns=run.shift_ns
    )
    verdicts = list(_verdicts(run, clients, tapes, found, each=each))
    _tell(verdicts, WhyWords(question, found, run, wall_ns=wall_ns), as_json=as_json)
    if len(found.fitting) > 1 and not each:
        say(one_line(f"{len(found.fitting) - 1} more of {question.channel} then; --all tells of each"))
    if all(verdict.sent for verdict in verdicts):
        return Outcome()
    whom = "nobody" if not any(verdict.sent for verdict in verdicts) else "not every client"
    return Outcome(Exit.DIFFERENT, "not_sent", f"{whom} was sent it")


def _clients(run: Rundown, number: int | None) -> list[ClientRun]:
    if not run.clients:
        raise ReplayError(f"no client connected in {run.name}")
    if number is None:
        return [client for _, client in sorted(run.clients.items())]
    if number not in run.clients:
        there = ", ".join(map(str, sorted(run.clients)))
        raise UsageError(f"there is no client {number} in {run.name}; there are {there}")
    return [run.clients[number]]


def _verdicts(
    run: Rundown, clients: Iterable[ClientRun], tapes: Tapes, found: Sightings, *, each: bool
) -> Iterator[Verdict]:
    if not found.fitting:
        yield nowhere(found)
    for seen in found.fitting if each else found.fitting[:1]:
        for client in clients:
            yield why(run, client, tapes, seen)


def _tell(verdicts: Iterable[Verdict], words: WhyWords, *, as_json: bool) -> None:
    lines = JsonLines()
    for verdict in verdicts:
        if as_json:
            lines.tell(words.line(verdict))
        else:
            show(one_line(words.sentence(verdict)))
