"""`tickdeck cat`: a cassette as JSON lines."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.text import KINDS, Choice, lines_of
from tickdeck.dialects import find
from tickdeck.output import show_json
from tickdeck.values import Moment, moment
from tickdeck.watch.printable import json_text


@click.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="CHANNEL",
    help="Frames with an event on it (T.AAPL, T.*, *.AAPL). Repeatable.",
)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(sorted(KINDS)), help="Records of it. Repeatable."
)
@click.option("--from", "since", type=moment, help="From there on: 90s, or 2020-01-02T14:30:05Z.")
@click.option("--to", "until", type=moment, help="Up to there.")
@click.option("--events", is_flag=True, help="One line an event, not one a record.")
def command(
    files: tuple[Path, ...],
    channels: tuple[str, ...],
    kinds: tuple[str, ...],
    since: Moment | None,
    until: Moment | None,
    events: bool,
) -> None:
    """Print FILE as JSON lines, one a record, after a first line with header and wording.

    `tickdeck pack` makes the same cassette of them again. Several files, or a pattern in quotes
    ('monday-*.cassette'), are printed as one.
    """
    with open_cassettes(files) as cassette:
        epoch_ns = cassette.header.epoch_ns
        choice = Choice(
            channels=tuple(name.strip() for given in channels for name in given.split(",")),
            kinds=frozenset(kinds),
            since_ns=None if since is None else since.offset_ns(epoch_ns),
            until_ns=None if until is None else until.offset_ns(epoch_ns),
        )
        lines = lines_of(
            cassette.header,
            cassette.survey.profile,
            cassette.records(),
            indexer=find(cassette.header.dialect).indexer,
            choice=choice,
            events=events,
        )
        for line in lines:
            show_json(json_text(line))
