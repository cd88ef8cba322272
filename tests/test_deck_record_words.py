"""What the terminal says of a recording that goes on, and of one that is over."""

from __future__ import annotations

from tickdeck.record_words import _progress, _report
from tickdeck.recorder.meters import Flow
from tickdeck.recorder.notices import Progress, Report

BUSY = Flow(
    paused_seconds=1.26, journal_chunks=3, compression=4.81, delay_p50_ns=120_000, delay_p99_ns=480_000
)


def test_how_it_keeps_up_is_in_the_line_that_stays() -> None:
    progress = Progress(1500, 4_500_000, 2, 3, 1, pauses=2, flow=BUSY)
    assert _progress(progress) == (
        "1,500 frames, 4.5 MB (1/4.8 on disk), 2 REST answers, 1 socket open, delay p50 0.12 ms, p99 0.48 ms, "
        "3 chunks behind, 2 pauses of 1.3 s for the disk; Ctrl-C seals"
    )


def test_at_the_beginning_there_is_nothing_to_say_of_it() -> None:
    assert (
        _progress(Progress(0, 0, 0, 0, 0, 0)) == "0 frames, 0 B, 0 REST answers, 0 sockets open; Ctrl-C seals"
    )


def test_the_last_line_says_how_long_the_disk_was_waited_for() -> None:
    report = Report("x.cassette", True, 9, 900, 0, 1, 0, pauses=2, flow=BUSY)
    assert _report(report) == (
        "x.cassette: sealed, 9 frames, 0 REST answers, 1 socket, 900 B of payload (1/4.8 on disk), "
        "passed on within p50 0.12 ms, p99 0.48 ms, 2 pauses of 1.3 s for the disk"
    )
