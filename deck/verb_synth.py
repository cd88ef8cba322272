"""`tickdeck synth`: a market nobody recorded, from a seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.synth_limits import MOST_RATE, MOST_SECONDS, MOST_SYMBOLS
from tickdeck.output import say
from tickdeck.values import duration
from tickdeck.watch.printable import one_line
from tickdeck.words import count, size

_SECOND: Final = 10**9


@click.command
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The cassette to make.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--symbols",
    type=click.IntRange(1, MOST_SYMBOLS),
    default=500,
    show_default=True,
    help="How many stocks.",
)
@click.option(
    "--for",
    "length_ns",
    type=duration,
    default="60s",
    show_default=True,
    help="How long, in whole seconds; at most 24h.",
)
@click.option(
    "--rate", type=click.IntRange(1, MOST_RATE), default=5_000, show_default=True, help="Events a second."
)
@click.option("-f", "--force", is_flag=True, help="Replace FILE if it exists.")
def command(output: Path, seed: int, symbols: int, length_ns: int, rate: int, force: bool) -> None:
    """Generate a cassette of plausible stock trades, quotes and aggregates, sealed as synthetic.

    No vendor's data is in it, so that it may be shared. Memory stays flat, however long it is. It has at
    most 1,000,000,000 events, some 32 GB.
    """
    if not _SECOND <= length_ns <= MOST_SECONDS * _SECOND or length_ns % _SECOND:
        raise UsageError("--for should be whole seconds, at least 1s and at most 24h")
    from tickdeck import __version__
    from tickdeck.cassette.making import make_cassette
    from tickdeck.dialects.synth import market, market_header

    header = replace(market_header(seed), tool=f"tickdeck {__version__}")
    records = market(seed, symbols=symbols, seconds=length_ns // _SECOND, rate=rate)
    survey = make_cassette(output, header, records, replace=force)
    events = sum(track.events for track in survey.tracks.values())
    say(one_line(f"{output}: {count(events, 'event')}, {size(output.stat().st_size)}, synthetic"))
