"""`tickdeck play`: flags in, `PlayOptions` out, and the run handed to `tickdeck.playing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tickdeck.play_flags import play_flags, play_options
from tickdeck.values import TakesCommand


@click.command(cls=TakesCommand)
@click.argument("file", type=click.Path(path_type=Path))
@play_flags
@click.pass_obj
def command(run: tuple[str, ...], /, file: Path, **flags: Any) -> int:
    """Serve FILE as the vendor would: REST and every market's socket, on one port.

    With -- COMMAND the command is started once the server listens, with TICKDECK_HTTP, TICKDECK_WS,
    TICKDECK_FEED, POLYGON_WS_URL and DATA_PROXY_WS set; its end is the end of the run, its exit code ours.
    """
    options = play_options(flags)
    from tickdeck.cassette.files import open_cassette
    from tickdeck.playing import Ends, play

    ends = Ends(
        once=flags["once"],
        wait_ns=flags["wait"],
        allow_unmatched=flags["allow_unmatched"],
        max_lateness_ns=flags["max_lateness"],
    )
    with open_cassette(file) as cassette:
        return play(cassette, options, ends=ends, command=run, as_json=flags["as_json"])
