"""`tickdeck play`: flags in, `PlayOptions` out, and the run handed to `tickdeck.playing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.placing import Chain
from tickdeck.exits import Outcome
from tickdeck.mockserver.choices import AtEnd
from tickdeck.play_flags import play_flags, play_options
from tickdeck.values import TakesCommand


@click.command(cls=TakesCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--chain",
    type=click.Choice([each.value for each in Chain]),
    default="back-to-back",
    show_default=True,
    help="How several files follow each other; wall keeps the distances of their clocks.",
)
@play_flags
@click.pass_obj
def command(run: tuple[str, ...], /, files: tuple[Path, ...], **flags: Any) -> Outcome:
    """Serve FILE as the vendor would: REST and every market's socket, on one port.

    Several files, or a pattern in quotes ('monday-*.cassette'), are played as one tape, in the order given.

    With -- COMMAND the command is started once the server listens, with TICKDECK_HTTP, TICKDECK_WS,
    TICKDECK_FEED, POLYGON_WS_URL and DATA_PROXY_WS set; its end is the end of the run, its exit code ours.
    """
    options = play_options(flags)
    if flags["once"] and options.at_end is AtEnd.LOOP:
        raise UsageError("--once waits for the end of the tape, and a tape that loops has none")
    from tickdeck.cassette.files import open_cassettes
    from tickdeck.playing import Ends, play

    ends = Ends(
        once=flags["once"],
        wait_ns=flags["wait"],
        allow_unmatched=flags["allow_unmatched"],
        max_lateness_ns=flags["max_lateness"],
    )
    with open_cassettes(files, order=flags["chain"]) as cassette:
        return play(cassette, options, ends=ends, command=run, as_json=flags["as_json"])
