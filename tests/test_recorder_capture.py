"""From what happened to records: numbers, offsets, and what is learned on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.records import (
    BINARY,
    PING,
    TEXT,
    Anchor,
    Frame,
    Gap,
    Interaction,
    Profile,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.recorder.capture import ANCHOR_EVERY_NS, Capture, Exchange, Message, Opening

START = 1_000


class Parrot:
    """Learns the first text it hears."""

    def __init__(self) -> None:
        self._heard = False

    def feed(self, sender: Sender, payload: bytes) -> Mapping[str, str] | None:
        if self._heard:
            return None
        self._heard = True
        return {"greeting": payload.decode()}


def random_bytes(size: int) -> bytes:
    """Bytes that no coding makes smaller, always the same."""
    return hashlib.shake_128(b"tickdeck").digest(size)


def capture() -> Capture:
    return Capture(start_ns=START, learner=Parrot)


def exchange(body: bytes = b"{}") -> Exchange:
    return Exchange(
        started_ns=START + 5,
        first_byte_ns=START + 7,
        end_ns=START + 9,
        method="GET",
        url="https://api.massive.com/v3",
        status=200,
        reason="OK",
        request_headers=((b"Accept", b"*/*"),),
        request_body=b"?",
        response_headers=((b"A", b"1"), (b"A", b"2")),
        body=body,
    )


def test_a_track_from_its_opening_to_its_end() -> None:
    taking = capture()
    opened = taking.track_opened(
        START + 1, Opening("stocks", "socket", "wss://x/stocks", ((b"a", b"b"),), ())
    )
    frames = taking.frames(
        opened.track, Sender.SERVER, [Message(START + 2, BINARY, b"\x00"), Message(START + 3, PING, b"")]
    )
    closed = taking.track_closed(START + 4, opened.track, by=Sender.SERVER, code=1008, reason="r")
    assert opened == TrackOpened(0, 1, 0, "stocks", "socket", "wss://x/stocks", ((b"a", b"b"),), ())
    assert frames == [
        Frame(1, 2, 0, Sender.SERVER, BINARY, b"\x00"),
        Frame(2, 3, 0, Sender.SERVER, PING, b""),
    ]
    assert closed == TrackClosed(3, 4, 0, Sender.SERVER, 1008, "r")


def test_one_sequence_runs_through_everything() -> None:
    taking = capture()
    records = [
        *taking.anchors(START, wall_ns=10**18),
        taking.track_opened(START, Opening("stocks")),
        taking.interaction(exchange()),
        *taking.frames(0, Sender.CLIENT, [Message(START, BINARY, b"")]),
        taking.gap(START, START, market="stocks", reason=""),
        taking.track_opened(START, Opening("crypto")),
    ]
    assert [record.seq for record in records] == list(range(6))


def test_tracks_and_interactions_are_numbered_apart() -> None:
    taking = capture()
    assert [taking.track_opened(START, Opening("stocks")).track for _ in range(2)] == [0, 1]
    numbers = [taking.interaction(exchange()) for _ in range(2)]
    assert [each.interaction for each in numbers if isinstance(each, Interaction)] == [0, 1]


def test_an_interaction_carries_three_times_and_every_field() -> None:
    record = capture().interaction(exchange())
    assert record == Interaction(
        seq=0,
        offset_ns=5,
        first_byte_ns=7,
        end_ns=9,
        interaction=0,
        method="GET",
        url="https://api.massive.com/v3",
        status=200,
        reason="OK",
        request_headers=((b"Accept", b"*/*"),),
        request_body=b"?",
        response_headers=((b"A", b"1"), (b"A", b"2")),
        body=b"{}",
    )


def test_a_gap_has_both_its_ends() -> None:
    assert capture().gap(START + 1, START + 8, market="stocks", reason="lost") == Gap(
        0, 1, 8, "stocks", "lost"
    )


def test_the_wall_clock_is_noted_at_the_start_and_once_a_minute() -> None:
    taking = capture()
    assert taking.anchors(START, wall_ns=7) == [Anchor(0, 0, 7)]
    assert taking.anchors(START + ANCHOR_EVERY_NS - 1, wall_ns=8) == []
    assert taking.anchors(START + ANCHOR_EVERY_NS, wall_ns=9) == [Anchor(1, ANCHOR_EVERY_NS, 9)]


def test_what_a_text_frame_teaches_follows_it_and_is_said_once() -> None:
    taking = capture()
    for _ in range(2):
        taking.track_opened(START, Opening("stocks"))
    first = taking.frames(
        0, Sender.SERVER, [Message(START, BINARY, b"x"), Message(START + 1, TEXT, b"hello")]
    )
    assert first[1:] == [
        Frame(3, 1, 0, Sender.SERVER, TEXT, b"hello"),
        Profile(4, 1, {"greeting": "hello"}),
    ]
    assert len(taking.frames(1, Sender.SERVER, [Message(START, TEXT, b"hello")])) == 1


def test_another_wording_on_a_later_track_is_learned_anew() -> None:
    taking = capture()
    for track, word in enumerate((b"hello", b"hi")):
        taking.track_opened(START, Opening("stocks"))
        records = taking.frames(track, Sender.SERVER, [Message(START, TEXT, word)])
        assert records[-1] == Profile(records[-1].seq, 0, {"greeting": word.decode()})


def test_after_its_end_a_track_teaches_nothing() -> None:
    taking = capture()
    taking.track_opened(START, Opening("stocks"))
    taking.track_closed(START, 0, by=None, code=1001)
    assert len(taking.frames(0, Sender.SERVER, [Message(START, TEXT, b"hello")])) == 1


def test_the_counts_say_what_was_kept() -> None:
    taking = capture()
    taking.count(
        [taking.track_opened(START, Opening("stocks")), taking.track_opened(START, Opening("stocks"))]
    )
    said = taking.frames(0, Sender.SERVER, [Message(START, TEXT, b"12345"), Message(START, PING, b"1")])
    taking.count(said)
    taking.count([taking.interaction(exchange(b"123"))])
    taking.count([taking.track_closed(START, 0, by=None, code=None)])
    taking.count([taking.gap(START, START, market="stocks", reason="")])
    taking.frames(0, Sender.SERVER, [Message(START, TEXT, b"on no cassette")])
    counts = taking.counts
    assert (counts.frames, counts.bytes, counts.interactions) == (2, 9, 1)
    assert (counts.tracks, counts.tracks_open, counts.gaps) == (2, 1, 1)


def test_a_clock_before_the_start_gives_offset_zero() -> None:
    assert capture().gap(START - 1, START, market="", reason="").offset_ns == 0


@given(st.lists(st.lists(st.integers(0, 10**12), max_size=5), max_size=8))
def test_sequences_rise_by_one_whatever_the_clock_says(batches: list[list[int]]) -> None:
    taking = capture()
    taking.track_opened(START, Opening("stocks"))
    sequence = [
        record.seq
        for batch in batches
        for record in taking.frames(0, Sender.SERVER, [Message(at_ns, BINARY, b"") for at_ns in batch])
    ]
    assert sequence == list(range(1, len(sequence) + 1))
