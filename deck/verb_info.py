"""`tickdeck info`: what a cassette holds, at the cost of opening it."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.places import expand
from tickdeck.info_words import info_lines
from tickdeck.jsonlines import JsonLines
from tickdeck.output import show
from tickdeck.summary import summary_of


@click.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--channels",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many channels to list, busiest first.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line on stdout, with every channel.")
def command(files: tuple[Path, ...], channels: int, as_json: bool) -> None:
    """Say what FILE holds: source, span, tracks, channels, interactions, gaps, wording, redactions, size.

    Several files, or a pattern in quotes ('monday-*.cassette'), are told of as one tape.
    """
    with open_cassettes(files) as cassette:
        summary = summary_of(cassette, segments=[path.name for file in files for path in expand(file)])
    if as_json:
        JsonLines().tell(summary)
    else:
        show("\n".join(info_lines(summary, most_channels=channels)))
