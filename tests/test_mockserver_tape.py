from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.blocks import Bytes
from tickdeck.cassette.chunkcodec import build_chunk
from tickdeck.cassette.chunks import ref_of
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.hearing import zero_of
from tickdeck.cassette.reader import Cassette, Contents
from tickdeck.cassette.records import TEXT, Frame, Gap, Header, Record, Sender, TrackOpened
from tickdeck.cassette.survey import SurveyTaker
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.tape import Tape, TapeGap, Tapes

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]


def payloads(tape: Tape, *wanted: str) -> list[str]:
    """What a listener of the channels is sent, frame by frame."""
    cutter = Cutter(tape)
    cuts = [cutter.cut(number, frozenset(wanted)) for number in range(tape.pieces)]
    return [
        bytes(cut.wire[start:end])[2:].decode()
        for cut in cuts
        for start, end in zip(cut.starts, cut.starts[1:], strict=False)
    ]


def test_the_zero_is_the_earliest_data_or_subscription_over_all_markets(make: Make, story: Any) -> None:
    story.opens(0, 5)
    story.opens(1, 6, market="options")
    story.acks(1, 70, "T.*")
    story.trades(0, 100, "A")
    cassette = make(story.records)
    assert zero_of(cassette.survey) == 70
    assert Tape(cassette, market="stocks").end_ns == 30


def test_a_cassette_without_sockets_has_an_empty_tape(make: Make) -> None:
    tapes = Tapes(make([]))
    assert tapes.recorded == ()
    assert tapes.end_ns == -1
    assert tapes.of("stocks").seq_behind(10**9) == 0


def test_where_tracks_overlap_a_channel_comes_from_the_elder_and_no_trade_twice(
    make: Make, story: Any
) -> None:
    story.opens(0, 0)
    story.acks(0, 1, "T.A")
    story.opens(1, 2)
    story.acks(1, 3, "T.A", "T.B")
    story.trades(0, 10, "A")
    story.trades(1, 10, "A", "B")
    story.closes(0, 20)
    story.trades(1, 30, "A")
    tape = Tape(make(story.records), market="stocks")
    assert payloads(tape, "T.*") == [
        '[{"ev":"T","sym":"A","t":10}]',
        '[{"ev":"T","sym":"B","t":10}]',
        '[{"ev":"T","sym":"A","t":30}]',
    ]


def test_an_elder_that_holds_the_wildcard_has_every_symbol(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.acks(0, 1, "T.*")
    story.opens(1, 2)
    story.acks(1, 3, "T.A")
    story.trades(1, 10, "A")
    story.acks(0, 20, "T.*", verb="unsubscribed")
    story.trades(1, 30, "A")
    tape = Tape(make(story.records), market="stocks")
    assert payloads(tape, "T.A") == ['[{"ev":"T","sym":"A","t":30}]']


def test_statuses_are_never_on_the_tape_and_a_mixed_frame_is_sent_as_its_events(
    make: Make, story: Any
) -> None:
    story.opens(0, 0)
    story.says(0, 1, '[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
    ack = '{"ev":"status","status":"success","message":"subscribed to: T.A"}'
    story.says(0, 2, f'[{ack},{{"ev":"T","sym":"A","p":114.170}}]')
    tape = Tape(make(story.records), market="stocks")
    assert payloads(tape, "T.*") == ['[{"ev":"T","sym":"A","p":114.170}]']


def test_a_frame_wanted_in_part_is_cut_from_the_recorded_bytes(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.says(
        0, 2, '[{"ev":"T", "sym":"A","p":114.170},{"ev":"Q","sym":"A","bp":1.0},{"ev":"T","sym":"B","p":2e0}]'
    )
    tape = Tape(make(story.records), market="stocks")
    assert payloads(tape, "T.A", "T.B") == [
        '[{"ev":"T", "sym":"A","p":114.170},{"ev":"T","sym":"B","p":2e0}]'
    ]
    assert payloads(tape, "Q.*") == ['[{"ev":"Q","sym":"A","bp":1.0}]']
    assert payloads(tape, "AM.*") == []


def test_positions_never_step_back_even_where_offsets_do(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for at in (100, 50, 120):
        story.trades(0, at, "A")
    tape = Tape(make(story.records), market="stocks")
    assert list(tape.view(0).positions) == [0, 0, 20]


def test_cursor_and_position_are_each_others_inverse(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for at in (100, 200, 200, 300):
        story.trades(0, at, "A")
    tape = Tape(make(story.records), market="stocks")
    assert [tape.seq_behind(position) for position in (-1, 0, 99, 100, 200)] == [0, 2, 2, 4, 5]
    assert [tape.position_behind(seq) for seq in (0, 1, 2, 4, 5, 99)] == [-1, -1, 0, 100, 200, 200]


def test_two_feeds_of_a_market_need_a_choice(make: Make, story: Any) -> None:
    story.opens(0, 0, feed="socket")
    story.opens(1, 0, feed="delayed")
    story.trades(0, 10, "A")
    story.trades(1, 20, "B")
    cassette = make(story.records)
    with pytest.raises(UsageError, match="2 feeds: delayed, socket; choose one with --feed"):
        Tapes(cassette)
    assert payloads(Tapes(cassette, feed="delayed").of("stocks"), "T.*") == ['[{"ev":"T","sym":"B","t":20}]']
    with pytest.raises(UsageError, match="recorded: delayed, socket"):
        Tapes(cassette, feed="nasdaqfeed")


def test_a_lost_track_with_a_successor_is_a_gap(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 100, "A")
    story.closes(0, 150)
    story.opens(1, 300)
    story.acks(1, 400, "T.A")
    tape = Tape(make(story.records), market="stocks")
    assert tape.gaps == [TapeGap(50, 300, "connection lost")]


def test_a_gap_that_was_written_down_is_taken_as_it_is(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 100, "A")
    story.records.append(Gap(story.seq, 150, 350, "stocks", "closed with 1008"))
    tape = Tape(make(story.records), market="stocks")
    assert tape.gaps == [TapeGap(50, 250, "closed with 1008")]


def test_a_channel_that_nobody_recorded_is_known_to_be_so(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.acks(0, 1, "T.A", "Q.*")
    tape = Tape(make(story.records), market="stocks")
    assert tape.unrecorded(["T.A", "T.B", "Q.B", "T.*", "AM.*"]) == ["T.B", "AM.*"]


@given(
    st.lists(
        st.tuples(st.integers(-3, 5), st.sampled_from(["data", "data", "opaque", "other"])), max_size=30
    ),
    st.integers(1, 8),
    st.lists(st.integers(-2, 60), max_size=8),
)
def test_a_cursor_lies_behind_what_is_due_and_ahead_of_what_is_not(
    steps: list[tuple[int, str]], size: int, asked: list[int]
) -> None:
    tape = Tape(cut_up(recorded(steps), size), market="stocks")
    rows = [(seq, at) for view in tape.views() for seq, at in zip(view.seqs, view.positions, strict=True)]
    assert [at for _, at in rows] == sorted(at for _, at in rows)
    assert tape.end_ns == max((at for _, at in rows), default=-1)
    for position in asked:
        cursor = tape.seq_behind(position)
        assert [seq < cursor for seq, _ in rows] == [at <= position for _, at in rows]
    for seq in range(len(steps) + 2):
        assert tape.position_behind(seq) == max((at for row, at in rows if row < seq), default=-1)


@given(
    st.lists(
        st.tuples(st.integers(-3, 5), st.sampled_from(["data", "data", "opaque", "other"])), max_size=30
    ),
    st.integers(1, 8),
)
def test_no_frame_of_a_piece_comes_before_its_start(steps: list[tuple[int, str]], size: int) -> None:
    tape = Tape(cut_up(recorded(steps), size), market="stocks")
    for number in range(tape.pieces):
        assert all(position >= tape.starts_at(number) for position in tape.view(number).positions)


def recorded(steps: Iterable[tuple[int, str]]) -> list[Record]:
    """Two markets whose offsets step forward and back."""
    records: list[Record] = [TrackOpened(0, 0, 0, "stocks"), TrackOpened(1, 0, 1, "crypto")]
    at = 5
    for step, what in steps:
        at += step
        payload = b"no array" if what == "opaque" else b'[{"ev":"T","sym":"A"}]'
        records.append(Frame(len(records), at, int(what == "other"), Sender.SERVER, TEXT, payload))
    return records


def cut_up(records: list[Record], size: int) -> Cassette:
    """A cassette in memory, ``size`` records a chunk."""
    pieces = [records[at : at + size] for at in range(0, len(records), size)]
    chunks = {number: build_chunk(number, piece, POLYGON.indexer) for number, piece in enumerate(pieces)}
    taker = SurveyTaker(POLYGON.indexer)
    for chunk in chunks.values():
        taker.add_chunk(chunk)
    refs = [ref_of(number, piece) for number, piece in enumerate(pieces)]
    contents = Contents(Header(0), False, 0, 1, refs, chunks, lambda _: taker.survey)
    return Cassette("memory", Bytes(b""), contents)


def test_a_track_that_was_closed_in_order_or_replaced_in_time_leaves_no_gap(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 100, "A")
    story.opens(1, 120)
    story.closes(0, 150)
    story.trades(1, 200, "A")
    story.closes(1, 250, code=1000)
    story.opens(2, 300)
    story.trades(2, 400, "A")
    assert Tape(make(story.records), market="stocks").gaps == []


def test_a_gap_lasts_until_the_market_is_heard_again(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.trades(0, 100, "A")
    story.closes(0, 150, code=1008)
    story.opens(1, 200)
    story.closes(1, 300)
    story.opens(2, 350)
    story.trades(2, 400, "A")
    first, second = Tape(make(story.records), market="stocks").gaps
    assert first == TapeGap(50, 100, "closed with 1008")
    assert second == TapeGap(200, 300, "connection lost")


def test_a_market_knows_what_was_recorded_of_it(make: Make, story: Any) -> None:
    story.opens(0, 0)
    story.opens(1, 0, market="crypto")
    story.trades(0, 1, "A", "A")
    story.says(1, 2, '[{"ev":"XT","pair":"BTC-USD"}]')
    tapes = Tapes(make(story.records))
    assert tapes.recorded == ("stocks", "crypto")
    assert tapes.of("stocks").channels == {"T.A": 2}
    assert tapes.of("crypto").channels == {"XT.BTC-USD": 1}
    assert tapes.end_ns == 1
    assert tapes.of("options").pieces == 0


def test_a_window_leaves_the_end_of_the_recording_where_it_is(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for at in (0, 10, 20, 30):
        story.trades(0, at, "A")
    tapes = Tapes(make(story.records))
    tapes.cut_to(5, 25)
    tape = tapes.of("stocks")
    assert (tape.end_ns, tape.last_seq) == (25, 3)
    assert (tape.recorded_end_ns, tape.recorded_last_seq) == (30, 4)
    assert tapes.recorded_end_ns == 30
