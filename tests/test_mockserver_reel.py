"""One listener's cut of the tape, against a straight loop over all records."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.blocks import Bytes
from tickdeck.cassette.chunkcodec import build_chunk
from tickdeck.cassette.chunks import ref_of
from tickdeck.cassette.reader import Cassette, Contents
from tickdeck.cassette.records import TEXT, Frame, Header, Record, Sender, TrackClosed, TrackOpened
from tickdeck.cassette.survey import SurveyTaker
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.channels import wildcard_of
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.course import Course, cursor_of
from tickdeck.mockserver.cutter import Cutter, wants
from tickdeck.mockserver.reel import PIECES_AT_ONCE, Batch, Change, Ending, Reel
from tickdeck.mockserver.report import TapeDigest
from tickdeck.mockserver.tape import Tape

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

MARKETS = ("stocks", "stocks", "stocks", "crypto")
SYMBOLS = ("A", "BRK.B")
CHANNELS = ("T.A", "T.BRK.B", "T.*", "Q.A", "Q.BRK.B", "Q.*", "AM.*")
FOREVER = 1 << 40


def cut_up(records: Iterable[Record], size: int) -> Cassette:
    """A cassette in memory, ``size`` records a chunk."""
    records = list(records)
    pieces = [records[at : at + size] for at in range(0, len(records), size)]
    chunks = {number: build_chunk(number, piece, POLYGON.indexer) for number, piece in enumerate(pieces)}
    taker = SurveyTaker(POLYGON.indexer)
    for chunk in chunks.values():
        taker.add_chunk(chunk)
    refs = [ref_of(number, piece) for number, piece in enumerate(pieces)]
    contents = Contents(Header(0), False, 0, 1, refs, chunks, lambda _: taker.survey)
    return Cassette("memory", Bytes(b""), contents)


@dataclass
class Teller:
    """Records in the making, and beside them what they mean: a row ``(seq, events, payload)`` a data frame."""

    records: list[Record] = field(default_factory=list)
    frames: list[tuple[int, int, list[tuple[str, bytes]], bytes]] = field(default_factory=list)
    holdings: list[tuple[int, int, str, bool]] = field(default_factory=list)
    opened: dict[int, int] = field(default_factory=dict)
    closed: dict[int, int] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        return len(self.records)

    def opens(self, track: int) -> None:
        self.opened[track] = self.seq
        self.records.append(TrackOpened(self.seq, self.seq, track, MARKETS[track]))

    def closes(self, track: int) -> None:
        self.closed[track] = self.seq
        self.records.append(TrackClosed(self.seq, self.seq, track, Sender.SERVER, None))

    def says(self, track: int, events: Sequence[tuple[str, bytes]]) -> None:
        payload = b"[ " + b" , ".join(text for _, text in events) + b"]"
        self.frames.append((self.seq, track, list(events), payload))
        self.records.append(Frame(self.seq, self.seq, track, Sender.SERVER, TEXT, payload))

    def acks(self, track: int, channel: str, held: bool) -> None:
        self.holdings.append((self.seq, track, channel, held))
        verb = "subscribed" if held else "unsubscribed"
        self.says(
            track, [("", f'{{"ev":"status","status":"success","message":"{verb} to: {channel}"}}'.encode())]
        )

    def elder_holds(self, track: int, channel: str, seq: int) -> bool:
        return any(
            opened < self.opened[track]
            and self.closed.get(elder, FOREVER) > seq
            and self.holds(elder, name, seq)
            for elder, opened in self.opened.items()
            if MARKETS[elder] == MARKETS[track]
            for name in (channel, wildcard_of(channel))
        )

    def holds(self, track: int, channel: str, seq: int) -> bool:
        said = [(at, name, held) for at, who, name, held in self.holdings if who == track]
        if not any(name in (channel, wildcard_of(channel)) for _, name, held in said if held):
            return any(
                who == track and at <= seq and channel in dict(events) for at, who, events, _ in self.frames
            )
        changes = [held for at, name, held in said if at <= seq and name == channel]
        return bool(changes) and changes[-1]


def model(teller: Teller, marks: Sequence[tuple[int, bytes | Change]]) -> list[bytes]:
    """What a listener of stocks is sent: a straight loop over all data frames."""
    out: list[bytes] = []
    wanted: frozenset[str] = frozenset()
    waiting = list(marks)
    for seq, track, events, payload in [*teller.frames, (FOREVER, 0, [], b"")]:
        while waiting and waiting[0][0] <= seq:
            thing = waiting.pop(0)[1]
            if isinstance(thing, bytes):
                out.append(thing)
            else:
                wanted = wanted | set(thing.channels) if thing.held else wanted - set(thing.channels)
        mine = [
            text
            for channel, text in events
            if wants(wanted, channel)
            and MARKETS[track] == "stocks"
            and not teller.elder_holds(track, channel, seq)
        ]
        if mine:
            out.append(payload if len(mine) == len(events) else b"[" + b",".join(mine) + b"]")
    return out


@st.composite
def tellers(draw: st.DrawFn) -> Teller:
    teller = Teller()
    for track in draw(st.permutations(range(4))):
        teller.opens(track)
        for _ in range(draw(st.integers(0, 8))):
            open_tracks = sorted(teller.opened.keys() - teller.closed.keys())
            if not open_tracks:
                break
            _happening(draw, teller, draw(st.sampled_from(open_tracks)))
    return teller


def _happening(draw: st.DrawFn, teller: Teller, track: int) -> None:
    match draw(st.sampled_from(["says", "says", "says", "says", "acks", "lets go", "closes"])):
        case "says":
            teller.says(track, draw(st.lists(events(), min_size=1, max_size=4)))
        case "acks":
            teller.acks(track, draw(st.sampled_from(CHANNELS)), True)
        case "lets go":
            teller.acks(track, draw(st.sampled_from(CHANNELS)), False)
        case _:
            teller.closes(track)


def events() -> st.SearchStrategy[tuple[str, bytes]]:
    status = st.just(("", b'{"ev":"status","status":"connected","message":"x"}'))
    data = st.builds(
        lambda kind, symbol, price: (
            f"{kind}.{symbol}",
            f'{{"ev":"{kind}", "sym":"{symbol}","p":{price}0}}'.encode(),
        ),
        st.sampled_from(["T", "T", "Q", "AM"]),
        st.sampled_from(SYMBOLS),
        st.floats(1, 99).map(lambda price: round(price, 3)),
    )
    return st.one_of(data, data, data, status)


Schedule = list[tuple[str, int, tuple[str, ...]]]

SCHEDULES: st.SearchStrategy[Schedule] = st.lists(
    st.tuples(
        st.sampled_from(["say", "hold", "hold", "let go", "take", "take"]),
        st.integers(0, 50),
        st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3, unique=True).map(tuple),
    ),
    max_size=15,
)


def split(wire: bytes) -> list[bytes]:
    """The payloads of unmasked server frames below 64 KiB."""
    payloads = []
    while wire:
        long = wire[1] == 126
        start = 4 if long else 2
        length = int.from_bytes(wire[2:4], "big") if long else wire[1]
        assert wire[:start] == frame_header(TEXT, length)
        payloads.append(wire[start : start + length])
        wire = wire[start + length :]
    return payloads


def drain(reel: Reel, until_seq: int, limit: int) -> Iterator[Batch]:
    while (batch := reel.take(until_seq, limit=limit)) is not None:
        assert batch.frames <= 1 or len(batch.wire) <= limit
        yield batch


def play(tape: Tape, schedule: Schedule, limit: int) -> tuple[bytes, list[tuple[int, bytes | Change]]]:
    """What comes out under a schedule, and at which cursor each mark took effect."""
    reel = Reel(Cutter(tape), cursor=0)
    wire, marks, last = b"", [], 0
    for what, at, channels in schedule:
        if what == "take":
            wire += b"".join(batch.wire for batch in drain(reel, max(at, reel.cursor), limit))
            continue
        last = max(at, reel.cursor, last)
        if what == "say":
            reel.say(b"said %d" % at, at=at)
            marks.append((last, b"said %d" % at))
        else:
            reel.change(channels, held=what == "hold", at=at)
            marks.append((last, Change(channels, what == "hold")))
    return wire + b"".join(batch.wire for batch in drain(reel, FOREVER, limit)), marks


@given(tellers(), SCHEDULES, st.integers(1, 300), st.integers(1, 12))
def test_what_comes_out_is_what_a_straight_loop_over_all_records_gives(
    teller: Teller, schedule: Schedule, limit: int, size: int
) -> None:
    wire, marks = play(Tape(cut_up(teller.records, size), market="stocks"), schedule, limit)
    assert split(wire) == model(teller, marks)


@given(tellers(), SCHEDULES, st.integers(1, 300), st.integers(1, 12))
def test_how_often_and_how_much_is_taken_does_not_change_what_comes(
    teller: Teller, schedule: Schedule, limit: int, size: int
) -> None:
    marks = [step for step in schedule if step[0] != "take"]
    marks.sort(key=lambda step: step[1])
    at_once, _ = play(Tape(cut_up(teller.records, 100), market="stocks"), marks, FOREVER)
    taken = [step for mark in marks for step in (("take", mark[1], ()), mark)]
    assert play(Tape(cut_up(teller.records, size), market="stocks"), taken, limit)[0] == at_once


@given(tellers(), st.permutations(["T.A", "T.BRK.B", "Q.*"]), st.integers(1, 12))
def test_the_order_of_subscriptions_and_the_cut_into_pieces_leave_no_trace_in_the_digest(
    teller: Teller, channels: list[str], size: int
) -> None:
    assert digest(teller, channels, size) == digest(teller, ["Q.*", "T.A", "T.BRK.B"], 100)


def digest(teller: Teller, channels: Sequence[str], size: int) -> str:
    reel = Reel(Cutter(Tape(cut_up(teller.records, size), market="stocks")), cursor=0)
    for channel in channels:
        reel.change([channel], held=True, at=0)
    running = TapeDigest()
    for batch in drain(reel, FOREVER, 64):
        running.update(batch.wire)
    return running.hexdigest()


@pytest.fixture
def busy() -> Teller:
    """A hundred trades of A, one of BRK.B at the end."""
    teller = Teller()
    teller.opens(0)
    for _ in range(100):
        teller.says(0, [("T.A", b'{"ev":"T","sym":"A"}')])
    teller.says(0, [("T.BRK.B", b'{"ev":"T","sym":"BRK.B"}')])
    return teller


def test_a_rare_channel_gives_empty_batches_and_not_a_stall(busy: Teller) -> None:
    reel = Reel(Cutter(Tape(cut_up(busy.records, 2), market="stocks")), cursor=0)
    reel.change(["T.BRK.B"], held=True, at=0)
    batches = list(drain(reel, FOREVER, 100))
    assert [batch.frames for batch in batches] == [0] * (51 // PIECES_AT_ONCE) + [1]
    assert reel.ended


def test_each_batch_says_when_its_first_frame_was_due(busy: Teller) -> None:
    reel = Reel(Cutter(Tape(cut_up(busy.records, 7), market="stocks")), cursor=0)
    reel.change(["T.*"], held=True, at=0)
    batches = list(drain(reel, FOREVER, 1))
    assert [batch.position_ns for batch in batches] == list(range(101))


def test_the_next_due_position_is_known_ahead_of_each_frame(busy: Teller) -> None:
    reel = Reel(Cutter(Tape(cut_up(busy.records, 10), market="stocks")), cursor=0)
    assert reel.due_ns() is None
    reel.change(["T.BRK.B"], held=True, at=0)
    seen = []
    until = 0
    while not list(drain(reel, until, 100)) or not reel.ended:
        due = reel.due_ns()
        assert due is not None
        seen.append(due)
        until = due + 2
    assert seen == sorted(set(seen))
    assert seen[-1] == 100
    assert reel.due_ns() is None


@pytest.mark.parametrize(
    ("ending", "wire"),
    [
        (Ending(None), b""),
        (Ending(1000), b"\x88\x02\x03\xe8"),
        (Ending(1008, "bye"), b"\x88\x05\x03\xf0bye"),
        (Ending(1011, "x" * 200), b"\x88\x7d\x03\xf3" + b"x" * 123),
        (Ending(1011, "ä" * 62), b"\x88\x7c\x03\xf3" + "ä".encode() * 61),
    ],
)
def test_an_ending_is_a_close_frame_of_at_most_125_bytes_or_nothing(ending: Ending, wire: bytes) -> None:
    reel = Reel(Cutter(Tape(cut_up([], 1), market="stocks")), cursor=0)
    reel.end(ending, at=0)
    batch = reel.take(0)
    assert batch == Batch(wire, 0, -1, ending)


def test_the_end_comes_at_its_place_behind_all_that_was_said_before(busy: Teller) -> None:
    reel = Reel(Cutter(Tape(cut_up(busy.records, 7), market="stocks")), cursor=0)
    reel.change(["T.*"], held=True, at=0)
    reel.say(b"later", at=3)
    reel.end(Ending(1000), at=2)
    assert not reel.ended
    batches = list(drain(reel, FOREVER, FOREVER))[:3]
    assert [batch.frames for batch in batches] == [2, 0, 0]
    assert batches[1].wire == b"\x81\x05later"
    assert batches[2].ending == Ending(1000)


def test_a_listener_that_wants_nothing_is_idle_until_it_says_something() -> None:
    reel = Reel(Cutter(Tape(cut_up([], 1), market="stocks")), cursor=0)
    assert reel.idle
    assert reel.ended
    reel.change(["T.A"], held=True, at=0)
    assert not reel.idle
    assert reel.take(0) is None
    assert reel.channels == ("T.A",)
    assert not reel.idle


def test_who_begins_in_the_middle_is_sent_nothing_from_before(busy: Teller) -> None:
    reel = Reel(Cutter(Tape(cut_up(busy.records, 7), market="stocks")), cursor=0)
    reel.say(b"hello", at=0)
    reel.begin_at(99)
    reel.change(["T.*"], held=True, at=0)
    assert [batch.frames for batch in drain(reel, FOREVER, FOREVER)] == [0, 3]


HASHING = """
import sys
from tickdeck.cassette.files import open_cassette
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.reel import Reel
from tickdeck.mockserver.report import TapeDigest
from tickdeck.mockserver.tape import Tape
digest = TapeDigest()
with open_cassette(sys.argv[1]) as cassette:
    reel = Reel(Cutter(Tape(cassette, market="stocks")), cursor=0)
    reel.change({"T.*", "Q.*", "AM.A"}, held=True, at=0)
    while (batch := reel.take(1 << 40)) is not None:
        digest.update(batch.wire)
print(digest.hexdigest())
"""


def test_the_digest_is_the_same_in_every_process(make: Make, story: Any, tmp_path: Path) -> None:
    story.opens(0, 0)
    for at in range(50):
        story.trades(0, at, *"AB")
    make(story.records).close()
    said = [
        subprocess.run(
            [sys.executable, "-c", HASHING, str(tmp_path / "0.cassette")],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(said[0].strip()) == 32


def reel_of(teller: Teller, *channels: str, size: int = 7, course: Course | None = None) -> Reel:
    """A listener at the beginning that wants these channels."""
    reel = Reel(Cutter(Tape(cut_up(teller.records, size), market="stocks")), cursor=0, course=course)
    reel.change(channels, held=True, at=0)
    reel.take(0)
    return reel


FRAME = 25
"""Bytes of one of the hundred."""


def frames(reel: Reel, until: int) -> int:
    return sum(batch.frames for batch in drain(reel, until, FOREVER))


def test_each_leg_is_walked_to_its_end_before_the_next(busy: Teller) -> None:
    course = Course()
    reel = reel_of(busy, "T.*", course=course)
    course.turn(90, end=lambda tape: 4, left_ns=0)
    course.turn(95, end=lambda tape: tape.last_seq + 1, left_ns=0)
    assert frames(reel, cursor_of(2, 98)) == 3 + 11 + 2
    assert reel.cursor == cursor_of(2, 98)
    assert reel.turned == {}


def test_who_is_beyond_the_end_of_a_leg_that_was_left_turns_where_it_is(busy: Teller) -> None:
    course = Course()
    reel = reel_of(busy, "T.*", course=course)
    assert frames(reel, 11) == 10
    course.turn(50, end=lambda tape: 0, left_ns=0)
    assert frames(reel, cursor_of(1, 52)) == 1
    assert reel.turned == {0: 11}


def test_what_is_said_on_a_later_leg_comes_behind_all_before_it(busy: Teller) -> None:
    course = Course()
    reel = reel_of(busy, "T.*", course=course)
    course.turn(99, end=lambda tape: 3, left_ns=0)
    reel.say(b"later", at=cursor_of(1, 101))
    batches = list(drain(reel, cursor_of(1, 1000), FOREVER))
    assert [batch.frames for batch in batches] == [2, 1, 0, 1]
    assert batches[2].wire == b"\x81\x05later"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_next_frame_for_a_listener_is_found_from_any_place(busy: Teller, size: int) -> None:
    reel = reel_of(busy, "T.BRK.B", size=size)
    assert reel.frame_at(0) == reel.frame_at(101) == (101, 100)
    assert reel.frame_at(102) is None
    assert reel_of(busy, "T.A", size=size).frame_at(17) == (17, 16)


def test_the_next_frame_heeds_what_was_asked_for_and_has_not_taken_effect(busy: Teller) -> None:
    reel = Reel(Cutter(Tape(cut_up(busy.records, 7), market="stocks")), cursor=0)
    assert reel.frame_at(0) is None
    reel.say(b"ack", at=50)
    reel.change(["T.A", "T.BRK.B"], held=True, at=50)
    reel.change(["T.A"], held=False, at=50)
    assert reel.frame_at(0) == (101, 100)
    assert reel.channels == ()


def test_no_frame_behind_the_end_of_a_window_is_the_next(busy: Teller) -> None:
    reel = reel_of(busy, "T.*")
    reel._cutter.tape.stop_ns = 10
    assert reel.frame_at(10) == (10, 9)
    assert reel.frame_at(11) is None


def test_the_backlog_is_what_is_due_and_was_not_taken(busy: Teller) -> None:
    reel = reel_of(busy, "T.*")
    assert reel.backlog(0, most=FOREVER) == 0
    assert reel.backlog(11, most=FOREVER) == 10 * FRAME
    assert frames(reel, 6) == 5
    assert reel.backlog(11, most=FOREVER) == 5 * FRAME
    assert reel.backlog(6, most=FOREVER) == reel.backlog(3, most=FOREVER) == 0


def test_the_backlog_is_counted_no_further_than_it_matters(busy: Teller) -> None:
    reel = reel_of(busy, "T.*", size=10)
    assert 15 * FRAME < reel.backlog(100, most=15 * FRAME) < 100 * FRAME
    assert reel.backlog(100, most=FOREVER) == (10 * PIECES_AT_ONCE - 1) * FRAME


def test_on_a_leg_that_was_left_all_of_it_is_due(busy: Teller) -> None:
    course = Course()
    reel = reel_of(busy, "T.*", size=1000, course=course)
    course.turn(0, end=lambda tape: tape.last_seq + 1, left_ns=0)
    assert (
        reel.backlog(cursor_of(1, 0), most=FOREVER) == reel.backlog(FOREVER, most=FOREVER) == 100 * FRAME + 29
    )


def test_who_wants_nothing_has_no_backlog(busy: Teller) -> None:
    assert reel_of(busy).backlog(FOREVER, most=FOREVER) == 0


def test_bytes_that_wait_to_be_said_are_counted_until_they_are_taken() -> None:
    reel = Reel(Cutter(Tape(cut_up([], 1), market="stocks")), cursor=0)
    reel.say(b"abc", at=0)
    reel.say_wire(b"\x8a\x00", at=0)
    assert reel.said_bytes == 7
    first, second = reel.take(0), reel.take(0)
    assert first is not None
    assert second is not None
    assert (bytes(first.wire), bytes(second.wire)) == (b"\x81\x03abc", b"\x8a\x00")
    assert reel.said_bytes == 0


def test_who_looks_again_goes_on_at_the_same_frame(busy: Teller) -> None:
    reel = reel_of(busy, "T.*")
    assert frames(reel, 6) == 5
    assert reel.due_ns() == 5
    reel.look_again()
    assert reel.due_ns() == 5
    assert frames(reel, FOREVER) == 96
