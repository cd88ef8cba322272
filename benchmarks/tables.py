"""Rows as a table for the terminal, as Markdown for docs/performance.md, and as JSON for the plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from figures import Point, Row

HEADINGS = ("what", "tickdeck", "peer", "ratio", "goal", "met")
BEGIN, END = "<!-- figures: written by benchmarks/run.py -->", "<!-- end of figures -->"


def cells(row: Row) -> tuple[str, ...]:
    """A row as words."""
    met = {True: "yes", False: "no", None: ""}[row.met]
    return (row.what, row.figure, row.peer, row.ratio, row.goal, met)


def table(title: str, rows: Sequence[Row]) -> Table:
    """For the terminal."""
    drawn = Table(title=title)
    for heading in HEADINGS:
        drawn.add_column(heading)
    for row in rows:
        drawn.add_row(*cells(row))
    return drawn


def markdown(title: str, rows: Sequence[Row]) -> str:
    """For a page."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *map(cells, rows)]
    drawn = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    judged = [row for row in rows if row.met is not None]
    missed = "".join(
        f"\n- {row.what}: {row.ratio or row.figure}, goal {row.goal}" for row in judged if not row.met
    )
    heading = f"Goals reached: {sum(bool(row.met) for row in judged)} of {len(judged)}."
    return f"{title}\n\n{drawn}\n\n{heading}" + (f" Missed:\n{missed}" if missed else "")


def placed(page: str, figures: str) -> str:
    """The page with the figures between its two marks. ValueError when it has no such marks."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for figures: {BEGIN} ... {END}")
    return f"{head}{BEGIN}\n\n{figures}\n\n{END}{tail}"


def as_json(title: str, rows: Sequence[Row], points: Sequence[Point], facts: Mapping[str, Any]) -> str:
    """All of it, samples included."""
    content = {
        "title": title,
        **facts,
        "rows": [asdict(row) for row in rows],
        "points": [asdict(point) for point in points],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
