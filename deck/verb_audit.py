"""`tickdeck audit`: look for what should not be on a cassette."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from tickdeck.cassette.audit import Finding, audit
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.places import expand, find, segments_of
from tickdeck.dialects import find as find_dialect
from tickdeck.environment import known_secrets
from tickdeck.exits import FINDINGS, Exit, Outcome
from tickdeck.jsonlines import JsonLines
from tickdeck.output import show
from tickdeck.watch.printable import one_line
from tickdeck.words import count

PIECE: Final = 1 << 20


@click.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--secret-env",
    "secret_names",
    multiple=True,
    metavar="NAME",
    help="A variable whose value to look for. Repeatable.",
)
@click.option("--for-sharing", is_flag=True, help="Refuse vendor data, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout.")
def command(
    files: tuple[Path, ...], secret_names: tuple[str, ...], for_sharing: bool, as_json: bool
) -> Outcome:
    """Look through FILE for secrets: known ones, values where a secret stands, tokens shaped like a key.

    Known are the values that --secret-env names and those of MASSIVE_API_KEY, POLYGON_API_KEY, APCA_API_KEY_ID
    and APCA_API_SECRET_KEY. A finding shows four characters at most; any finding is exit code 1. Several files,
    or a pattern in quotes ('monday-*.cassette'), are looked through one after the other.
    """
    known = known_secrets(secret_names)
    paths = [path for file in files for path in expand(file)]
    found = sum([_look_through(path, known, for_sharing=for_sharing, as_json=as_json) for path in paths])
    return Outcome(Exit.DIFFERENT, FINDINGS, count(found, "finding")) if found else Outcome()


def _look_through(file: Path, known: Sequence[str], *, for_sharing: bool, as_json: bool) -> int:
    """Tell of each finding in a file, and how many there were; returns that."""
    with open_cassette(file) as cassette:
        findings = audit(
            cassette.header,
            cassette.records(),
            places=find_dialect(cassette.header.dialect).places,
            known=known,
            for_sharing=for_sharing,
            raw=_bytes_of(file),
        )
        found = _tell(findings, as_json=as_json)
    verdict = f"{cassette.name}: {count(found, 'finding')}; {count(len(known), 'known secret')} looked for"
    if as_json:
        JsonLines().tell(
            {
                "kind": "audit",
                "name": cassette.name,
                "findings": found,
                "known": len(known),
                "failed_because": FINDINGS if found else None,
            }
        )
    else:
        show(one_line(verdict))
    return found


def _tell(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Each finding as it is found; how many there were."""
    lines, found = JsonLines(), 0
    for finding in findings:
        found += 1
        if as_json:
            values = asdict(finding)
            lines.tell({"kind": "finding", "record": values.pop("kind"), **values})
        else:
            show(one_line(str(finding)))
    return found


def _bytes_of(path: Path) -> Iterator[bytes]:
    """What is on disk, whatever of it decodes: the file, and the rows beside a recording that was not sealed."""
    file = find(path)
    for each in (file, *segments_of(file)):
        with each.open("rb") as stream:
            while piece := stream.read(PIECE):
                yield piece
