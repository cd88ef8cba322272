"""What a recording comes to in numbers, before anybody has asked for them."""

from __future__ import annotations

from dataclasses import replace

from tickdeck.cassette.recording import Stats
from tickdeck.cassette.records import TEXT
from tickdeck.recorder.capture import Counts, Exchange, Message
from tickdeck.recorder.meters import PLACEHOLDERS, Flow, Meters, flow_of, metrics_of
from tickdeck.watch.exposition import exposition

ASKED = Exchange(1_000_000, 3_000_000, 9_000_000, "GET", "https://api.massive.com/v1/x", 200)


def test_a_message_is_held_from_its_reading_to_its_passing_on() -> None:
    meters = Meters()
    meters.opened(0, "stocks")
    meters.passed_on(0, 5_000_000, [Message(1_000_000, TEXT, b""), Message(4_000_000, TEXT, b"")])
    flow = flow_of(Stats(), meters)
    assert 1_000_000 <= flow.delay_p50_ns <= 1_062_500
    assert flow.delay_p99_ns == 4_000_000


def test_tracks_of_a_market_share_their_delays_so_that_coming_back_costs_nothing() -> None:
    meters = Meters()
    for track in range(50):
        meters.opened(track, "stocks")
        meters.passed_on(track, 10, [Message(0, TEXT, b"")])
        meters.closed(track)
    meters.passed_on(49, 10, [Message(0, TEXT, b"")])
    assert list(meters.delays) == ["stocks"]
    assert meters.delay.count == 50


def test_the_first_byte_counts_from_the_request() -> None:
    meters = Meters()
    meters.answered(ASKED)
    meters.answered(replace(ASKED, first_byte_ns=500_000))
    assert (meters.first_bytes.count, meters.first_bytes.sum_ns) == (2, 2_000_000)


def test_a_ratio_waits_for_the_first_chunk() -> None:
    assert flow_of(Stats(open_rows=3, open_bytes=90), Meters()) == Flow(journal_rows=3, journal_bytes=90)
    assert flow_of(Stats(raw_bytes=500, written_bytes=100), Meters()).compression == 5


def test_secrets_are_numbers_and_only_so_many_have_a_line_of_their_own() -> None:
    redactions = {f"REDACTED-{number}": {"query": 1, "header": 2} for number in range(PLACEHOLDERS + 2)}
    text = exposition(metrics_of(Counts(), Stats(), Meters(), redactions))
    lines = [line for line in text.splitlines() if line.startswith("tickdeck_recorder_redactions_total{")]
    assert len(lines) == PLACEHOLDERS + 1
    assert lines[0] == 'tickdeck_recorder_redactions_total{placeholder="REDACTED-0"} 3'
    assert lines[-1] == 'tickdeck_recorder_redactions_total{placeholder="others"} 6'
