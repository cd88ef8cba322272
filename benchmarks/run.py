"""Measures tickdeck beside its peers, in one run, and prints each figure with its ratio.

    python benchmarks/run.py [--only NAME ...] [--rounds 5] [--quick] [--json FILE] [--docs]

Nothing here fails: it tells. What must hold is counted in the tests.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from figures import Point, Row, missing
from harness import HERE, Bench, machine
from plot import drawing
from tables import as_json, markdown, placed, table

DOCS = HERE.parent / "docs"
SUBJECTS = (
    "replay",
    "tls",
    "clients",
    "stalled",
    "filtering",
    "pacing",
    "memory",
    "opening",
    "recording",
    "redacting",
    "relaying",
    "latency",
    "requests",
    "size",
)


def measured(names: Sequence[str], bench: Bench) -> Iterator[Row | Point]:
    """Subject by subject; one that breaks is told, and the others go on."""
    for name in names:
        begun = time.perf_counter()
        try:
            yield from importlib.import_module(f"subjects.{name}").measure(bench)
        except Exception as error:  # whatever it is: it must not cost the figures of the other subjects
            traceback.print_exc()
            yield missing(name, f"it broke: {error}")
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


def _wish() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure tickdeck beside its peers.")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS, help="these subjects")
    parser.add_argument("--rounds", type=int, default=5, help="measurements behind each median")
    parser.add_argument("--quick", action="store_true", help="less data: a look, not a result")
    parser.add_argument("--json", type=Path, help="write rows, samples and curves there")
    parser.add_argument("--docs", action="store_true", help="put table and plot into docs/performance")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for and print the table."""
    wish = _wish()
    rows: list[Row] = []
    points: list[Point] = []
    with tempfile.TemporaryDirectory(prefix="tickdeck-bench-") as folder:
        bench = Bench(Path(folder), rounds=max(wish.rounds, 1), quick=wish.quick)
        for each in measured(wish.only, bench):
            if isinstance(each, Row):
                rows.append(each)
            else:
                points.append(each)
    console = Console()
    console.width = max(console.width, 160)
    console.print(table(machine(), rows))
    facts = {"rounds": bench.rounds, "quick": bench.quick}
    if wish.json:
        wish.json.write_text(as_json(machine(), rows, points, facts), encoding="utf-8")
    if wish.docs:
        page = DOCS / "performance.md"
        figures = markdown(_title(bench), rows)
        page.write_text(placed(page.read_text(encoding="utf-8"), figures), encoding="utf-8")
        (DOCS / "performance.svg").write_text(drawing(points), encoding="utf-8")


def _title(bench: Bench) -> str:
    day = datetime.datetime.now(datetime.UTC).date()  # noqa: TID251 - the day of the measurement
    quick = ", less data (`--quick`)" if bench.quick else ""
    return f"{machine()}; median (lowest-highest) of {bench.rounds} rounds{quick}; {day}."


if __name__ == "__main__":
    main()
