"""`tickdeck recover`: save what is sound, say what is lost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from tickdeck.cassette.files import RecoverReport, recover
from tickdeck.cassette.recovering import Loss
from tickdeck.exits import Exit, Outcome
from tickdeck.jsonlines import JsonLines
from tickdeck.output import Account
from tickdeck.watch.printable import one_line
from tickdeck.words import count, offset, size


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The cassette to make.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line on stdout.")
def command(file: Path, output: Path, as_json: bool) -> Outcome:
    """Write what is sound of FILE to a new, sealed cassette, and say what is lost.

    FILE may be a recording that was never sealed (x.cassette finds x.cassette.part), cut short or damaged; it
    is left as it is. When anything is lost the exit code is 3.
    """
    report = recover(file, output)
    account, outcome = Account("the cassette is made"), _outcome(report)
    if as_json:
        JsonLines(account.show_json).tell(
            {
                "kind": "recover",
                "lossless": report.lossless,
                "failed_because": outcome.because,
                **asdict(report),
            }
        )
    else:
        account.show("\n".join(map(one_line, _lines(report))))
    return outcome


def _outcome(report: RecoverReport) -> Outcome:
    if report.lossless:
        return Outcome()
    return Outcome(Exit.BAD_CASSETTE, "loss", "something is lost; what was saved is on the new cassette")


def _lines(report: RecoverReport) -> list[str]:
    saved = f"{report.output}: {count(report.records, 'record')} saved, sealed"
    if report.lossless:
        return [*report.damages, f"{saved}, nothing lost"]
    lost = f"{saved}; lost {count(report.lost_records, 'record')}, {size(report.lost_bytes)}"
    return [*report.damages, *map(_loss, report.losses), *_unknown(report), lost]


def _loss(loss: Loss) -> str:
    numbers = f"at most {count(loss.records, 'record')} ({loss.first_seq} to {loss.last_seq})"
    if loss.from_offset_ns is None or loss.to_offset_ns is None:
        return f"lost {numbers}"
    return f"lost {numbers} between {offset(loss.from_offset_ns)} and {offset(loss.to_offset_ns)}"


def _unknown(report: RecoverReport) -> list[str]:
    behind = ["the end is missing: how much lay behind it cannot be told"] if report.open_end else []
    header = (
        ["the header is lost: source, epoch and origins have to be told by hand"]
        if report.header_lost
        else []
    )
    return behind + header
