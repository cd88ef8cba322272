"""`tickdeck why`: what became of an event, or of a request, in a run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassette, open_cassettes
from tickdeck.cassette.placing import Chain
from tickdeck.config import added_up
from tickdeck.exits import Outcome


@click.command
@click.argument("files", nargs=-1, required=True, metavar="TAPE... [RUN]", type=click.Path(path_type=Path))
@click.argument("question", metavar="QUESTION")
@click.option("--client", "number", type=click.IntRange(min=1), metavar="N", help="Of this client alone.")
@click.option("--all", "each", is_flag=True, help="Tell of every event that fits, not of the first alone.")
@click.option(
    "--ignore",
    multiple=True,
    callback=added_up,
    metavar="KIND:NAME",
    help="Of a request: as `tickdeck play` has it. Repeatable.",
)
@click.option(
    "--match",
    multiple=True,
    callback=added_up,
    metavar="header:NAME",
    help="Of a request: as `tickdeck play` has it. Repeatable.",
)
@click.option(
    "--chain",
    "order",
    type=click.Choice([each.value for each in Chain]),
    default="back-to-back",
    show_default=True,
    help="How several tapes followed each other.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout, one a client or a request.")
def command(
    files: tuple[Path, ...],
    question: str,
    number: int | None,
    each: bool,
    ignore: tuple[str, ...],
    match: tuple[str, ...],
    order: str,
    as_json: bool,
) -> Outcome:
    """Say why the clients of RUN saw an event of TAPE, or did not: T.AAPL@09:31:05.

    RUN is what `tickdeck play TAPE --journal RUN` kept. The time is the event's own, to the digits that are
    written, in the zone of the exchange; or a full timestamp; or +90s, from the beginning of the tape. The exit
    code is 0 if every client (or the one of --client) was sent it, else 1.

    Or say which recording answered a request, or what it lacked: 'GET /v3/trades/AAPL?limit=10'. Without RUN:
    which ones would answer it.
    """
    from tickdeck import asking, asking_requests
    from tickdeck.mockserver.requestwhy import is_request
    from tickdeck.mockserver.rundown import is_run

    with ExitStack() as held:
        if not is_request(question):
            if len(files) == 1:
                raise UsageError(
                    f"what became of {question!r} is asked of a run: tickdeck why TAPE RUN {question}"
                )
            cassette = held.enter_context(open_cassettes(files[:-1], order=order))
            kept = held.enter_context(open_cassette(files[-1]))
            return asking.answer(cassette, kept, question, number=number, each=each, as_json=as_json)
        if number is not None or each:
            raise UsageError(
                "--client and --all are about events; a request is told of each time it was made"
            )
        last = held.enter_context(open_cassette(files[-1])) if len(files) > 1 else None
        run = last if last is not None and is_run(last) else None
        tapes = files if run is None else files[:-1]
        cassette = held.enter_context(open_cassettes(tapes, order=order))
        return asking_requests.answer(cassette, run, question, ignore=ignore, match=match, as_json=as_json)
