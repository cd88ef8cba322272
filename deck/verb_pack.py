"""`tickdeck pack`: JSON lines as a cassette."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.text import records_from_lines
from tickdeck.output import say
from tickdeck.watch.printable import one_line
from tickdeck.words import count, size


@click.command
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The cassette to make.",
)
@click.option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
def command(file: BinaryIO, output: Path, force: bool) -> None:
    """Make a cassette of JSON lines, those of `tickdeck cat` or your own, from FILE or standard input.

    What a line leaves out has a default: a payload alone is enough. Secrets are redacted, as in a recording.
    """
    from tickdeck.cassette.making import make_cassette
    from tickdeck.dialects import find

    header, records = records_from_lines(_decoded(file))
    survey = make_cassette(output, header, records, replace=force, places=find(header.dialect).places)
    weight = size(output.stat().st_size)
    say(one_line(f"{output}: {count(survey.records, 'record')}, {weight}, {header.source}"))


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"line {number}: this is no UTF-8: {error.reason}") from error
