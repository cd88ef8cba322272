"""`tickdeck verify`: believe nothing, check everything."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from tickdeck.cassette.files import verify_file
from tickdeck.cassette.places import expand
from tickdeck.cassette.verify import VerifyReport
from tickdeck.exits import DAMAGE, Exit, Outcome
from tickdeck.jsonlines import JsonLines
from tickdeck.output import show
from tickdeck.watch.printable import one_line
from tickdeck.words import count, size


@click.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A JSON line on stdout for each file.")
def command(files: tuple[Path, ...], as_json: bool) -> Outcome:
    """Check FILE: every checksum, the order, the content digest, the index against the content.

    Each finding is a line; any finding is exit code 3. Of several files, or a pattern in quotes
    ('monday-*.cassette'), each is checked.
    """
    lines, unsound = JsonLines(), list[str]()
    for report in map(verify_file, (path for file in files for path in expand(file))):
        if as_json:
            because = None if report.ok else DAMAGE
            lines.tell({"kind": "verify", "ok": report.ok, "failed_because": because, **asdict(report)})
        else:
            show("\n".join(map(one_line, (*map(str, report.findings), _verdict(report)))))
        unsound += [] if report.ok else [report.name]
    if not unsound:
        return Outcome()
    return Outcome(Exit.BAD_CASSETTE, DAMAGE, f"not sound: {', '.join(unsound)}")


def _verdict(report: VerifyReport) -> str:
    state = "sealed" if report.sealed else "not sealed"
    checked = (
        f"{count(report.chunks, 'chunk')}, {count(report.records, 'record')}, {size(report.size)}, {state}"
    )
    unread = report.reindexed or not report.chunks
    index = "" if unread else "; made by another release, so that its event index was not compared"
    outcome = "sound" if report.ok else count(len(report.findings), "finding")
    return f"{report.name}: {outcome}: {checked}{index}"
