"""`tickdeck why`: what became of an event in a run."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.cassette.files import open_cassette, open_cassettes
from tickdeck.cassette.placing import Chain


@click.command
@click.argument("tapes", nargs=-1, required=True, metavar="TAPE...", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("question", metavar="CHANNEL@TIME")
@click.option("--client", "number", type=click.IntRange(min=1), metavar="N", help="Of this client alone.")
@click.option("--all", "each", is_flag=True, help="Tell of every event that fits, not of the first alone.")
@click.option(
    "--chain",
    "order",
    type=click.Choice([each.value for each in Chain]),
    default="back-to-back",
    show_default=True,
    help="How several tapes followed each other.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout, one a client.")
def command(
    tapes: tuple[Path, ...],
    run: Path,
    question: str,
    number: int | None,
    each: bool,
    order: str,
    as_json: bool,
) -> int:
    """Say why the clients of RUN saw an event of TAPE, or did not: T.AAPL@09:31:05.

    RUN is what `tickdeck play TAPE --journal RUN` kept. The time is the event's own, to the digits that are
    written, in the zone of the exchange; or a full timestamp; or +90s, from the beginning of the tape. The exit
    code is 0 if every client (or the one of --client) was sent it, else 1.
    """
    from tickdeck.asking import answer

    with open_cassettes(tapes, order=order) as cassette, open_cassette(run) as kept:
        return answer(cassette, kept, question, number=number, each=each, as_json=as_json)
