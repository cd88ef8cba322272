"""`tickdeck cut`: a piece of a cassette, small enough for a repository."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import click

from tickdeck.cassette.cutting import ALWAYS, Kept, Piece, cut
from tickdeck.cassette.errors import StorageError, UsageError
from tickdeck.cassette.files import open_cassettes, verify_file
from tickdeck.cassette.readable import Readable
from tickdeck.exits import Exit
from tickdeck.jsonlines import JsonLines
from tickdeck.output import Account
from tickdeck.watch.printable import one_line
from tickdeck.words import count, size

ALL: Final = "all"
NONE: Final = "none"
DEFAULT_LEVEL: Final = 19
_REQUEST: Final = re.compile(r"[A-Za-z]+ /\S*")


@click.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The cassette to make.",
)
@click.option("--from", "begin", metavar="PLACE", help="From here on: +90s, 09:31:05 or a full timestamp.")
@click.option("--to", "end", metavar="PLACE", help="Up to here, which is not kept any more.")
@click.option(
    "--channel", "channels", multiple=True, metavar="T.AAPL", help="Only events of these: T.AAPL, T.*."
)
@click.option(
    "--track", "tracks", multiple=True, type=click.IntRange(0), metavar="N", help="Only these connections."
)
@click.option(
    "--interaction",
    "interactions",
    multiple=True,
    metavar="N|'GET /PATH'|all|none",
    help="These REST answers, by number or request, wherever they are; without it those of the stretch.",
)
@click.option(
    "--level",
    type=click.IntRange(0, 22),
    default=DEFAULT_LEVEL,
    show_default=True,
    metavar="N",
    help="Of compression with zstd; 0 is none.",
)
@click.option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line on stdout.")
def command(
    files: tuple[Path, ...],
    output: Path,
    begin: str | None,
    end: str | None,
    channels: tuple[str, ...],
    tracks: tuple[int, ...],
    interactions: tuple[str, ...],
    level: int,
    force: bool,
    as_json: bool,
) -> int:
    """Make a cassette of a piece of FILE: a stretch of time, some channels, connections or REST answers.

    Greeting, auth and acknowledgements stay, so that the piece plays; every byte that stays is as it was.
    """
    from tickdeck.cassette.making import make_cassette
    from tickdeck.dialects import find

    with open_cassettes(files) as cassette:
        piece = _window(cassette, begin, end)
        piece = replace(
            piece,
            channels=frozenset(_channels(channels, cassette)) or None,
            tracks=_tracks(tracks, cassette),
            interactions=_interactions(interactions, cassette, piece),
        )
        kept, indexer = Kept(), find(cassette.header.dialect).indexer
        header = replace(cassette.header, note=_note(cassette, begin, end, channels))
        make_cassette(
            output, header, cut(cassette.records(), piece, indexer, kept), replace=force, level=level
        )
        before = cassette.size
    if findings := verify_file(output).findings:
        raise StorageError(f"what was written does not read back: {findings[0]}")
    after = output.stat().st_size
    account = Account("the cassette is made")
    if as_json:
        told = {"kind": "cut", "output": str(output), "size": after, "of_size": before, **asdict(kept)}
        JsonLines(account.show_json).tell(told)
    else:
        what = f"{count(kept.frames, 'frame')}, {count(kept.events, 'event')}"
        answers = count(kept.interactions, "REST answer")
        account.show(one_line(f"{output}: {what}, {answers}, {size(after)} of {size(before)}"))
    return Exit.FINE


def _window(cassette: Readable, begin: str | None, end: str | None) -> Piece:
    """Places count from the tape's zero, as those of ``play --from``."""
    if begin is None and end is None:
        return Piece()
    from tickdeck.tape_places import offset_of

    piece = Piece(
        0 if begin is None else max(offset_of(cassette, "from", begin), 0),
        ALWAYS if end is None else offset_of(cassette, "to", end),
    )
    if piece.to_ns <= piece.from_ns:
        raise UsageError("the stretch is empty: --to comes before --from, or before the tape begins")
    return piece


def _channels(given: tuple[str, ...], cassette: Readable) -> list[str]:
    names = [name.strip() for each in given for name in each.split(",")]
    there = {name for track in cassette.survey.tracks.values() for name in track.channels}
    for name in names:
        topic, dot, symbol = name.partition(".")
        if not (topic and dot and symbol):
            raise UsageError(f"a channel is a topic and a symbol, as T.MSFT or AM.*, not {name!r}")
        if name not in there and not (symbol == "*" and any(each.startswith(f"{topic}.") for each in there)):
            raise UsageError(f"{name} is not on {cassette.name}; tickdeck info lists what is")
    return names


def _tracks(given: tuple[int, ...], cassette: Readable) -> frozenset[int] | None:
    for track in given:
        if track not in cassette.survey.tracks:
            there = ", ".join(map(str, sorted(cassette.survey.tracks))) or "none"
            raise UsageError(f"there is no track {track} on {cassette.name}; there are {there}")
    return frozenset(given) or None


def _interactions(given: tuple[str, ...], cassette: Readable, window: Piece) -> frozenset[int]:
    if NONE in given:
        return frozenset()
    if not given:
        began = ((each.interaction, each.offset_ns) for each in cassette.interactions())
        return frozenset(number for number, at_ns in began if window.from_ns <= at_ns < window.to_ns)
    chosen: set[int] = set()
    numbered = {each.interaction: f"{each.method} {_path(each.url)}" for each in cassette.interactions()}
    for each in given:
        if each == ALL:
            found = set(numbered)
        elif each.isdecimal():
            found = {int(each)} & set(numbered)
        elif _REQUEST.fullmatch(each):
            found = {number for number, asked in numbered.items() if _is(asked, each)}
        else:
            raise UsageError(
                "--interaction takes a number, a request such as 'GET /v3/trades/AAPL', all or none"
            )
        if not found and each != ALL:
            raise UsageError(f"no interaction of {cassette.name} is {each!r}")
        chosen |= found
    return frozenset(chosen)


def _path(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]


def _is(asked: str, wanted: str) -> bool:
    """The same request; one without a query is any query's."""
    method, _, path = wanted.partition(" ")
    return asked == f"{method.upper()} {path}" or asked.partition("?")[0] == f"{method.upper()} {path}"


def _note(cassette: Readable, begin: str | None, end: str | None, channels: tuple[str, ...]) -> str:
    """The one before, and what it is a piece of."""
    parts = [f"from {begin}" if begin else "", f"to {end}" if end else "", ", ".join(channels)]
    told = f"cut of {cassette.name}{': ' if any(parts) else ''}{' '.join(filter(None, parts))}"
    return "; ".join(filter(None, (cassette.header.note, told)))
