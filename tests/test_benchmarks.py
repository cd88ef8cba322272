"""The parts of the benchmarks that compute, and one subject that is quick; nothing here is timed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tickdeck.cassette.files import open_cassette, verify_file

ROOT = Path(__file__).resolve().parents[1]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """A module of benchmarks/ by name; afterwards none of them is loaded."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def test_a_spread_is_the_median_between_the_lowest_and_the_highest(part):
    figures = part("figures")
    assert figures.spread([3.0, 1.0, 2.0, 10.0]) == figures.Spread(2.5, 1.0, 10.0)
    assert figures.spread([1.61e9, 1.75e9, 1.7e9]).says("B/s") == "1.70 GB/s (1.61-1.75)"
    assert figures.spread([0.000152]).says("s") == "152 µs"
    assert figures.spread([0.0]).says("s") == "0 s"


@pytest.mark.parametrize(("percent", "found"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_the_sample_that_so_many_do_not_exceed(part, percent, found):
    assert part("figures").percentile(range(100, 0, -1), percent) == found


@pytest.mark.parametrize(
    ("value", "words"), [(0.0814, "0.0814"), (1.5, "1.50"), (15.23, "15.2"), (1520, "1,520"), (-2.5, "-2.50")]
)
def test_a_number_has_three_digits_that_count(part, value, words):
    assert part("figures").short(value) == words


def test_the_page_gets_the_table_between_its_marks_and_names_what_was_missed(part):
    tables, row = part("tables"), part("figures").Row
    rows = [
        row("fast", "2 GB/s", "1 GB/s", "2x", "1x", True),
        row("slow", "1 | 2", "", "0.5x", "1x", False),
        row("told only", "3"),
    ]
    page = f"before\n{tables.BEGIN}\nfigures of last year\n{tables.END}\nafter\n"
    written = tables.placed(page, tables.markdown("a machine", rows))
    assert written.startswith(f"before\n{tables.BEGIN}\n\na machine\n\n| what |")
    assert written.endswith(f"- slow: 0.5x, goal 1x\n\n{tables.END}\nafter\n")
    assert "| slow | 1 \\| 2 |  | 0.5x | 1x | no |" in written
    assert "Goals reached: 1 of 2. Missed:" in written
    assert "last year" not in written
    assert tables.placed(written, tables.markdown("a machine", rows)) == written


def test_a_page_without_marks_is_not_written_over(part):
    with pytest.raises(ValueError, match="no place for figures"):
        part("tables").placed("a page of somebody's", "figures")


def test_the_page_in_the_docs_has_its_place_for_figures(part):
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert "figures of now" in part("tables").placed(page, "figures of now")


def test_a_plot_has_a_panel_a_chart_with_every_point_inside_it(part):
    plot, point = part("plot"), part("figures").Point
    points = [
        point("clients", line, x, y) for line in ("at max", "paced") for x, y in ((1, 11.0), (100, 1.6))
    ]
    points += [point("size", "<plain>", x, 2.0) for x in (10, 100, 1000)]
    drawn = ElementTree.fromstring(plot.drawing(points))
    dots = drawn.findall(f".//{SVG}circle")
    assert len(drawn.findall(f"{SVG}g")) == 2
    assert len(dots) == len(points)
    assert all(plot.LEFT <= float(dot.get("cx", "")) <= plot.WIDTH - plot.RIGHT for dot in dots)
    assert all(plot.TOP <= float(dot.get("cy", "")) <= plot.HEIGHT - plot.BOTTOM for dot in dots)
    assert {"<plain>", "at max", "paced", "11.0", "1.60"} <= {text.text for text in drawn.iter(f"{SVG}text")}


def test_a_plot_of_nothing_is_still_a_picture(part):
    assert ElementTree.fromstring(part("plot").drawing([])).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (1.0, 10.0, [1, 2, 5, 10]),
        (0.1, 10.0, [0.1, 0.2, 0.5, 1, 2, 5, 10]),
        (1.0, 1000.0, [1, 10, 100, 1000]),
    ],
)
def test_an_axis_is_marked_at_round_numbers(part, low, high, marks):
    assert part("plot").ticks(low, high) == pytest.approx(marks)


def test_an_axis_of_equal_values_has_a_length(part):
    assert part("plot").decades([1.0, 1.0]) == (1.0, 10.0)
    assert part("plot").decades([1.6, 164.0]) == (1.0, 1000.0)


def test_a_tape_is_a_sound_cassette_that_holds_what_was_counted(part, tmp_path):
    tapes = part("tapes")
    tape = tapes.make(tmp_path / "t.cassette", tapes.MIXED, frames=120, level=tapes.PLAIN)
    payloads = tapes.payloads_of(tape.path)
    assert verify_file(tape.path).findings == ()
    assert len(payloads) == tape.frames == 120
    assert sum(map(len, payloads)) == tape.payload_bytes
    assert tapes.wanted(iter(payloads)) == tape.beginning(120)
    assert (tape.wire_bytes, tape.digest) == (tape.beginning(120).wire_bytes, tape.beginning(120).digest)
    assert tape.ends()[-1] == tape.wire_bytes
    with open_cassette(tape.path) as cassette:
        lanes = [lane for chunk in cassette.chunks() for lane in chunk.lanes]
        assert b"".join(lane.wire for lane in lanes) == b"".join(map(tapes.wire, payloads))


def test_what_is_wanted_of_a_tape_is_what_a_parser_finds(part, tmp_path):
    tapes = part("tapes")
    tape = tapes.make(tmp_path / "t.cassette", tapes.MIXED, frames=60)
    found = []
    for payload in tapes.payloads_of(tape.path):
        events = [event for event in json.loads(payload) if event["sym"] == "S001"]
        found.append(json.dumps(events, separators=(",", ":")).encode() if events else None)
    assert any(found)
    assert not all(found)
    assert tape.cut(lambda event: b'"sym":"S001"' in event) == tapes.wanted(iter(found))


def test_lateness_is_told_frame_by_frame_whatever_the_reads(part, tmp_path):
    pacing, listener, tapes = part("subjects.pacing"), part("listener"), part("tapes")
    tape = tapes.make(tmp_path / "t.cassette", tapes.ONE, frames=4, spacing_ns=1000)
    first, second, _, last = tape.ends()
    arrivals = [(5_010, first), (6_200, second + 1), (8_500, last)]
    reader = listener.Reader(sock=None, got=last, arrivals=arrivals)
    late = pacing.lateness([reader], tape, started_ns=5_000)
    assert late == pytest.approx({"p50": 200e-9, "p99": 1500e-9, "max": 1500e-9, "min": 10e-9})


def test_a_run_prints_its_table_and_writes_its_samples(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--quick", "--only", "size"]
    run = subprocess.run(
        [*command, "--rounds", "1", "--json", str(figures)], capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr
    assert "size, 1 event a frame" in run.stdout
    written = json.loads(figures.read_text(encoding="utf-8"))
    assert [row["met"] for row in written["rows"]] == [True, True]
    assert written["quick"] is True


SENT = {"first": 100, "behind": 200, "how": "close"}


@pytest.mark.parametrize(
    ("line", "got", "kept", "words"),
    [
        (SENT, (100, 200), (100, 200), None),
        (SENT, (100, 200), (100, 199), "the client got up to 200, kept is up to 199"),
        (SENT, (100, 199), (100, 200), "the client got only up to 199"),
        (SENT, (None, 0), (100, 199), "kept is only up to 199"),
        (SENT, (101, 200), (100, 200), "the client got up to 200"),
        (SENT, (100, 200), (101, 200), "kept is 101 to 200"),
        ({**SENT, "how": "reset"}, (100, 150), (100, 160), None),
        ({**SENT, "how": "reset"}, (100, 150), (100, 149), "the client got up to 150, kept is up to 149"),
        ({**SENT, "how": "client"}, (None, 0), (None, 0), None),
    ],
)
def test_a_soak_accounts_for_every_frame(part, line, got, kept, words):
    soak = part("soak")
    found = soak.unaccounted({1: line}, {1: soak.Stretch(*got)}, {1: soak.Stretch(*kept)})
    assert bool(found) is bool(words)
    assert words is None or words in " ".join(found)


def test_a_client_that_left_need_not_have_seen_the_end(part):
    soak = part("soak")
    assert (
        soak.unaccounted({1: SENT}, {1: soak.Stretch(100, 150, left=True)}, {1: soak.Stretch(100, 170)}) == []
    )


def test_a_stretch_has_no_hole_and_nothing_twice(part):
    soak = part("soak")
    stretch = soak.Stretch()
    for numbers in ([], [5, 6], [7]):
        stretch.add(numbers)
    assert (stretch.first, stretch.behind, stretch.count) == (5, 8, 3)
    for numbers in ([9], [7], [8, 10]):
        with pytest.raises(part("listener").WrongBytesError):
            stretch.add(numbers)


def test_a_small_soak_loses_its_lines_and_no_frame(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "soak.py"), "--frames", "60000", "--minutes", "0.5"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("every frame is accounted for\n")
