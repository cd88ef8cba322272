"""`tickdeck demo`: a table that shows the same tape four times."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tickdeck.exits import Exit, Outcome


@click.command
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Keep the recording here."
)
def command(output: Path | None) -> Outcome:
    """Record, play and compare, with the bundled cassette and a bundled bot, in under half a minute.

    The cassette plays the vendor; the bot is recorded through the proxy; the recording is played to the same bot
    at real speed, ten times faster and at full speed. Each time it must see the same: if not, exit code 1.
    """
    from tickdeck.demo import perform, same
    from tickdeck.demo_table import show, step

    recording = output or Path(tempfile.mkdtemp(prefix="tickdeck-demo-")) / "demo.cassette"
    takes = perform(recording, step)
    show(takes, recording)
    if same(takes):
        return Outcome()
    return Outcome(Exit.DIFFERENT, "difference", "the bot did not see the same each time")
