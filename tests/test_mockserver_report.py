"""What a run came to, against plain arithmetic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.cassette.wire import frame_header
from tickdeck.dialects.conversation import Conversation
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.account import Account, Interval
from tickdeck.mockserver.course import Course, cursor_of
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.playhead import MAX
from tickdeck.mockserver.report import Lateness, TapeDigest, channel_counts, client_report
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timelines import Timelines

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

LATE = st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 50)), min_size=1, max_size=40)


@given(LATE, st.integers(1, 100))
def test_a_percentile_is_right_to_a_sixteenth_and_never_too_low(
    late: list[tuple[int, int]], percent: int
) -> None:
    lateness = Lateness()
    for late_ns, frames in late:
        lateness.add(late_ns, frames)
    each = sorted(late_ns for late_ns, frames in late for _ in range(frames))
    exact = each[-(-len(each) * percent // 100) - 1]
    assert exact <= lateness.percentile(percent) <= exact + exact // 16
    assert lateness.percentile(100) == lateness.max_ns == each[-1]
    assert lateness.frames == len(each)


@given(LATE, LATE)
def test_merging_is_adding_all_of_both(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    merged, other, whole = Lateness(), Lateness(), Lateness()
    for late_ns, frames in one:
        merged.add(late_ns, frames)
        whole.add(late_ns, frames)
    for late_ns, frames in two:
        other.add(late_ns, frames)
        whole.add(late_ns, frames)
    drifted = [each.drift_ns for each in (merged, other) if each.frames]
    merged.merge(other)
    # Drift is no sum: it is that of whichever drifted most, and who sent nothing has none.
    assert merged.summary() == whole.summary() | {"drift_ns": max(drifted, default=0)}
    assert merged.frames == whole.frames


def test_who_sent_nothing_does_not_hide_how_the_others_drifted() -> None:
    caught_up = Lateness()
    for late_ns in [900] * 32 + [100] * 32:
        caught_up.add(late_ns, 1)
    caught_up.merge(Lateness())
    assert caught_up.drift_ns == -800


def test_when_nothing_had_a_deadline_nothing_was_late() -> None:
    assert Lateness().summary() == {"p50_ns": 0, "p99_ns": 0, "max_ns": 0, "drift_ns": 0, "early": 0}


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 500))
def test_the_digest_spells_opcode_length_and_payload_of_each_frame(payloads: list[bytes], cut: int) -> None:
    wire = b"".join(frame_header(1, len(payload)) + payload for payload in payloads)
    digest = TapeDigest()
    for at in range(0, len(wire), cut):
        digest.update(wire[at : at + cut])
    said = b""
    for payload in payloads:
        size = len(payload)
        said += bytes([0x81]) + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) + payload
    assert digest.hexdigest() == xxhash.xxh3_128(said).hexdigest()


def session(cassette: Cassette) -> Session:
    tapes = Tapes(cassette)
    conversation = Conversation(POLYGON.wording(None, {}), market="stocks")
    timelines = Timelines(PlayOptions(speed=MAX), tapes)
    return Session(7, conversation, market="stocks", cutter=Cutter(tapes.of("stocks")), timelines=timelines)


def hundred(make: Make, story: Any) -> Session:
    """A client of a hundred trades of A at the sequences 1 to 100."""
    story.opens(0, 0)
    for at in range(100):
        story.trades(0, at, "A")
    return session(make(story.records))


def test_every_event_is_sent_or_not_sent_for_one_reason(make: Make, story: Any) -> None:
    client = hundred(make, story)
    client.account = Account(joined=11, left=True)
    client.account.intervals = [Interval("T.A", 21, 41), Interval("T.A", 51, 61), Interval("T.A", 66)]
    client.reel.begin_at(71)
    assert channel_counts(client) == {
        "T.A": {
            "on_tape": 100,
            "sent": 20 + 10 + 5,
            "before_start": 10,
            "before_subscribe": 10,
            "after_unsubscribe": 10 + 5,
            "after_leave": 30,
            "ahead": 0,
            "unrecorded": False,
        }
    }


def test_each_pass_of_a_tape_counts_and_what_a_seek_left_out_does_not(make: Make, story: Any) -> None:
    client = hundred(make, story)
    course = Course()
    course.turn(
        50, end=lambda tape: 41, left_ns=40
    )  # 40 frames, then on at the 51st, to the end, and once more from there
    course.turn(0, end=lambda tape: tape.last_seq + 1, left_ns=100)
    client.account.subscribed(["T.A"], 11)
    client.reel.begin_at(cursor_of(2, 31), course)
    counts = channel_counts(client)["T.A"]
    assert counts["on_tape"] == 40 + 50 + 100
    assert counts["sent"] == 30 + 50 + 30
    assert (counts["before_subscribe"], counts["ahead"]) == (10, 70)


def test_what_is_still_to_come_is_ahead_while_the_client_is_there(make: Make, story: Any) -> None:
    client = hundred(make, story)
    client.account.intervals = [Interval("T.*", 0), Interval("T.ZZZ", 31)]
    client.reel.begin_at(11)
    counts = channel_counts(client)
    assert (counts["T.*"]["sent"], counts["T.*"]["ahead"], counts["T.*"]["after_leave"]) == (10, 90, 0)
    assert (counts["T.ZZZ"]["on_tape"], counts["T.ZZZ"]["sent"]) == (0, 0)


def test_a_client_that_held_nothing_has_no_counts(make: Make, story: Any) -> None:
    assert channel_counts(hundred(make, story)) == {}


def test_a_stranger_has_a_row_too(make: Make, story: Any) -> None:
    story.opens(0, 0)
    stranger = session(make(story.records))
    stranger.open(0)
    stranger.receive(b"nonsense", 0)
    row = client_report(stranger, digest=TapeDigest(), lateness=Lateness())
    assert row == {
        "client": 7,
        "timeline": None,
        "market": "stocks",
        "frames": 0,
        "bytes": 0,
        "digest": xxhash.xxh3_128(b"").hexdigest(),
        "channels": {},
        "slow": False,
        "not_waited_for": None,
        "missteps_made": 1,
        "missteps": [{"misstep": "malformed", "detail": "a message of 8 bytes that is no JSON"}],
        "lateness": {"p50_ns": 0, "p99_ns": 0, "max_ns": 0, "drift_ns": 0, "early": 0},
    }
    assert json.loads(json.dumps(row)) == row


def test_where_the_tape_cannot_be_read_there_are_no_counts_and_no_second_error(
    make: Make, story: Any
) -> None:
    story.opens(0, 0)
    story.trades(0, 1, "A")
    story.trades(0, 2, "A")
    client = session(make(story.records))
    client.account.intervals.append(Interval("T.A", 0))
    client.reel.begin_at(2)

    def broken(number: int) -> Any:
        raise FormatError("damaged at byte 7")

    client.cutter.tape.view = broken  # type: ignore[method-assign]
    row = client_report(client, digest=TapeDigest(), lateness=Lateness())
    assert row["channels"] == {}
