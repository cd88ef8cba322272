"""What the demo shows: a line a step, then the table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from tickdeck import output
from tickdeck.cassette.files import open_cassette
from tickdeck.demo import Take, same
from tickdeck.watch.printable import one_line
from tickdeck.words import duration, size


def step(sentence: str) -> None:
    """One thing begins."""
    output.say(sentence)


def show(takes: list[Take], recording: Path) -> None:
    """The takes beside each other, whether they are the same, and what the recording weighs."""
    table = Table(title="what the bot saw")
    for heading in ("", "speed", "took", "bars", "frames", "events", "tape digest"):
        table.add_column(
            heading, justify="right" if heading in ("took", "bars", "frames", "events") else "left"
        )
    for take in takes:
        seen = take.seen
        counts = (seen.bars, seen.frames, seen.events)
        table.add_row(take.title, take.speed, duration(take.took_ns), *map(str, counts), take.digest[:16])
    console = Console(highlight=False)
    with console.capture() as drawn:
        console.print(table)
    output.show_drawn(drawn.get().rstrip("\n"))
    output.show(_verdict(takes))
    output.show(one_line(_weight(recording)))


def _verdict(takes: list[Take]) -> str:
    if same(takes):
        return f"the same tape {len(takes)} times: every byte, in order"
    return "the bot did not see the same each time"


def _weight(recording: Path) -> str:
    with open_cassette(recording) as cassette:
        raw, packed = cassette.survey.raw_bytes, cassette.size
    return f"the recording weighs {size(packed)}, 1/{raw / packed:.1f} of {size(raw)} raw: {recording}"
