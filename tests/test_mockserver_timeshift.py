from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.chunks import Chunk, Lane, frames_of, in_full
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.lanes import ChannelIds, LaneBuilder
from tickdeck.cassette.records import TEXT, Frame, Sender
from tickdeck.dialects.moments import Shift
from tickdeck.dialects.polygon import POLYGON
from tickdeck.dialects.polygon_events import events
from tickdeck.mockserver.playhead import MAX, Speed
from tickdeck.mockserver.shiftedlane import as_recorded
from tickdeck.mockserver.timeshift import (
    MOST_MS,
    Shifter,
    Target,
    TimeShift,
    describe,
    moved_lane,
    parse_time_shift,
)

NEW_YORK = ZoneInfo("America/New_York")
FIXTURES = Path(__file__).parent.parent / "fixtures"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def wall(text: str, zone: tzinfo = UTC) -> int:
    """Nanoseconds since 1970 of a wall clock in a zone."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", Target.NOW),
        ("today", Target.TODAY),
        ("1d", DAY_MS),
        ("+1d", DAY_MS),
        ("-90m", -90 * 60_000),
        ("2h", 2 * HOUR_MS),
        ("1d2h3m4s5ms", DAY_MS + 2 * HOUR_MS + 3 * 60_000 + 4005),
        ("0.5d", DAY_MS // 2),
        ("0s", 0),
    ],
)
def test_a_time_shift_is_a_place_in_time_or_a_distance(text: str, meant: Target | int) -> None:
    assert parse_time_shift(text) == TimeShift(meant)


@pytest.mark.parametrize("text", ["", "yesterday", "1", "1w", "--1d", "1d-2h", "Now", " 1d", "1ns"])
def test_other_words_are_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="neither now, nor today, nor a duration like 1d or -90m: "):
        parse_time_shift(text)


def test_a_distance_is_whole_milliseconds_and_a_century_at_most() -> None:
    with pytest.raises(UsageError, match=r"must be whole milliseconds, not '0\.0001s'"):
        parse_time_shift("0.0001s")
    with pytest.raises(UsageError, match="must be a hundred years at most, not '36601d'"):
        parse_time_shift(f"{MOST_MS // DAY_MS + 1}d")


@pytest.mark.parametrize(
    ("speed", "when"),
    [
        (MAX, "max events would come from the future"),
        (Speed(Fraction(1, 2)), "0.5 events would come from the past"),
    ],
)
def test_now_needs_speed_1(speed: Speed, when: str) -> None:
    with pytest.raises(
        UsageError, match=f"^time shift now needs speed 1: at speed {when}; use today or a duration$"
    ):
        parse_time_shift("now", speed=speed)
    assert parse_time_shift("today", speed=speed) == TimeShift(Target.TODAY)


def test_now_puts_the_start_of_the_tape_at_the_wall_clock_and_nothing_into_the_future() -> None:
    shift = TimeShift(Target.NOW).at_start(
        tape_wall_ns=1_000_000_001, now_wall_ns=9_002_999_999, zone=NEW_YORK
    )
    assert shift == Shift(8002, None, NEW_YORK, calendar_days=0)


@pytest.mark.parametrize(
    ("tape", "now", "days", "hours"),
    [
        ("2024-01-10 09:31:00", "2024-01-10 23:59:59", 0, 0),
        ("2024-01-10 09:31:00", "2024-01-12 00:00:00", 2, 48),
        ("2024-01-10 09:31:00", "2024-03-11 03:00:00", 61, 61 * 24 - 1),
        ("2024-07-10 09:31:00", "2024-12-10 08:00:00", 153, 153 * 24 + 1),
        ("2024-12-10 09:31:00", "2024-07-10 08:00:00", -153, -153 * 24 - 1),
    ],
)
def test_today_moves_by_whole_days_of_the_exchange(tape: str, now: str, days: int, hours: int) -> None:
    shift = TimeShift(Target.TODAY).at_start(
        tape_wall_ns=wall(tape, NEW_YORK), now_wall_ns=wall(now, NEW_YORK), zone=NEW_YORK
    )
    assert shift == Shift(hours * HOUR_MS, days, NEW_YORK)


def test_today_is_the_exchanges_today() -> None:
    late_in_new_york = wall("2024-01-11 03:00:00")
    shift = TimeShift(Target.TODAY).at_start(
        tape_wall_ns=wall("2024-01-10 14:30:00"), now_wall_ns=late_in_new_york, zone=NEW_YORK
    )
    assert shift.days == 0
    at_utc = TimeShift(Target.TODAY).at_start(
        tape_wall_ns=wall("2024-01-10 14:30:00"), now_wall_ns=late_in_new_york, zone=UTC
    )
    assert at_utc.days == 1


MOMENTS = st.integers(10**18, 2 * 10**18)


@given(MOMENTS, MOMENTS, st.sampled_from([NEW_YORK, ZoneInfo("America/Chicago"), UTC]))
def test_moved_to_today_it_is_the_same_time_of_that_day(tape: int, now: int, zone: tzinfo) -> None:
    shift = TimeShift(Target.TODAY).at_start(tape_wall_ns=tape, now_wall_ns=now, zone=zone)
    then, moved, today = (_clock(wall_ns, zone) for wall_ns in (tape, tape + shift.ns, now))
    assert moved.date() == today.date()
    # An hour later where the clocks skip that hour on that very day.
    assert moved.time() in (then.time(), then.replace(hour=(then.hour + 1) % 24).time())
    assert shift.ms % HOUR_MS == 0


def _clock(wall_ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(wall_ns // 10**9, zone)


@pytest.mark.parametrize(
    ("distance_ms", "days", "date_days"),
    [
        (3 * DAY_MS, 3, 3),
        (-DAY_MS, -1, -1),
        (DAY_MS + 1, None, 1),
        (5 * DAY_MS // 24, None, 1),
        (5 * DAY_MS // 24 - 1, None, 0),
        (-DAY_MS + 1, None, -1),
        (0, 0, 0),
    ],
)
def test_a_distance_moves_dates_by_its_days_or_by_those_of_the_exchanges_calendar(
    distance_ms: int, days: int | None, date_days: int
) -> None:
    shift = TimeShift(distance_ms).at_start(tape_wall_ns=5, now_wall_ns=10**18, zone=NEW_YORK)  # 19:00 there
    assert (shift.ms, shift.days, shift.date_days) == (distance_ms, days, date_days)
    assert shift.back.back == shift
    assert (shift.back.ms, shift.back.date_days) == (-distance_ms, -date_days)


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (Shift(DAY_MS, 1), "+1 day"),
        (Shift(-2 * DAY_MS, -2), "-2 days"),
        (Shift(61 * DAY_MS - HOUR_MS, 61), "+61 days (and -1:00:00 of UTC)"),
        (Shift(-5_400_250, None), "-1:30:00.250"),
        (Shift(0, 0), "+0 days"),
    ],
)
def test_a_shift_is_printed_in_days_where_it_is_days(shift: Shift, words: str) -> None:
    assert describe(shift) == words


def lane_of(*payloads: bytes) -> tuple[Lane, tuple[str, ...]]:
    """Frames of one track as a chunk keeps them, and its channels."""
    builder, ids = LaneBuilder(3), ChannelIds()
    for seq, payload in enumerate(payloads):
        builder.add(Frame(seq, 10 * seq, 3, Sender.SERVER, TEXT, payload), events(payload) or (), ids)
    return builder.lane(), tuple(ids)


def rows_of(lane: Lane) -> Sequence[object]:
    """All that a lane says, with its posting lists read."""
    return (in_full(lane), lane.frames, list(lane.event_rows), list(lane.channel_ids))


TRADE = b'{"ev":"T","sym":"A","p":114.170,"s":1,"t":%d}'
BAR = b'{"ev":"A","sym":"A","s":%d,"e":%d}'
MIXED = (
    b"[" + TRADE % 1577413831740 + b"," + BAR % (1577413831000, 1577413832000) + b"]",
    b'[{"ev":"status","status":"success","message":"x"},' + TRADE % 1577413831741 + b"]",
)
MOVED = (
    b"[" + TRADE % 1577417431740 + b"," + BAR % (1577417431000, 1577417432000) + b"]",
    b'[{"ev":"status","status":"success","message":"x"},' + TRADE % 1577417431741 + b"]",
)


def test_a_lane_moves_as_a_whole_and_keeps_its_columns() -> None:
    lane, channels = lane_of(*MIXED)
    moved = moved_lane(lane, channels, POLYGON.mover(Shift(HOUR_MS, None)))
    assert rows_of(moved) == rows_of(lane_of(*MOVED)[0])
    assert moved.starts is lane.starts
    assert moved.event_starts is lane.event_starts


def test_where_moments_get_more_digits_the_columns_follow() -> None:
    before = (
        b" [ " + TRADE % 999999999999 + b" , " + TRADE % 5 + b" ] ",
        b"[" + BAR % (9999999999999, 7) + b"]",
    )
    after = (
        b" [ " + TRADE % 1000003599999 + b" , " + TRADE % 5 + b" ] ",
        b"[" + BAR % (10000003599999, 7) + b"]",
    )
    lane, channels = lane_of(*before)
    moved = moved_lane(lane, channels, POLYGON.mover(Shift(HOUR_MS, None)))
    assert rows_of(moved) == rows_of(lane_of(*after)[0])
    assert as_recorded(moved) is lane


@pytest.mark.parametrize("room", [126, 1 << 16])
def test_a_frame_that_outgrows_its_header_gets_a_longer_one(room: int) -> None:
    payload = b'[{"ev":"T","sym":"A","t":999999999999,"x":"%b"}]'
    padding = b"x" * (room - 1 - len(payload % b""))
    lane, channels = lane_of(payload % padding, payload % padding)
    moved = moved_lane(lane, channels, POLYGON.mover(Shift(HOUR_MS, None)))
    longer = (payload % padding).replace(b"999999999999", b"1000003599999")
    assert rows_of(moved) == rows_of(lane_of(longer, longer)[0])


def shifter(text: str) -> Shifter:
    return Shifter(parse_time_shift(text), POLYGON, zone=NEW_YORK)


def test_of_a_chunk_only_the_lanes_move() -> None:
    lane, channels = lane_of(*MIXED)
    said = Frame(9, 90, 3, Sender.CLIENT, TEXT, b'{"t":1577413831740}')
    chunk = Chunk(4, channels, (lane,), (said,))
    an_hour = shifter("1h")
    an_hour.start(tape_wall_ns=0, now_wall_ns=0)
    moved = an_hour.chunk(chunk)
    assert (moved.number, moved.channels, moved.side) == (4, channels, (said,))
    assert [frame.payload for frame in frames_of(moved.lanes[0])] == list(MOVED)


def test_nothing_moves_before_the_first_start_and_by_one_constant_from_then_on() -> None:
    lane, channels = lane_of(*MIXED)
    chunk = Chunk(4, channels, (lane,), ())
    now = shifter("now")
    assert now.mover is None
    assert now.chunk(chunk) is chunk
    assert now.start(tape_wall_ns=0, now_wall_ns=HOUR_MS * 10**6).ms == HOUR_MS
    assert now.start(tape_wall_ns=0, now_wall_ns=2 * HOUR_MS * 10**6).ms == HOUR_MS
    assert [frame.payload for frame in frames_of(now.chunk(chunk).lanes[0])] == list(MOVED)
    assert now.mover is not None
    assert now.mover.body(b'{"t":1577413831740}') == b'{"t":1577417431740}'


def test_a_shift_of_nothing_leaves_a_chunk_as_it_is() -> None:
    chunk = Chunk(4, ("",), (), ())
    nowhere = shifter("0s")
    nowhere.start(tape_wall_ns=0, now_wall_ns=0)
    assert nowhere.chunk(chunk) is chunk


FRAMES = st.lists(
    st.lists(
        st.one_of(
            st.integers(10**11, 10**14).map(lambda t: TRADE % t),
            st.integers(1_400_000_000_000, 1_600_000_000_000).map(lambda t: BAR % (t, t + 1000)),
            st.just(b'{"ev":"T","sym":"\\"","t":1577413831740}'),
        ),
        min_size=1,
        max_size=4,
    ).map(lambda sent: b"[" + b",".join(sent) + b"]"),
    min_size=1,
    max_size=5,
)


@given(FRAMES, st.integers(-HOUR_MS, HOUR_MS))
def test_a_moved_lane_is_that_of_frames_moved_one_by_one(payloads: list[bytes], ms: int) -> None:
    mover = POLYGON.mover(Shift(ms, None))
    lane, channels = lane_of(*payloads)
    one_by_one = [_moved_payload(payload, ms) for payload in payloads]
    assert rows_of(moved_lane(lane, channels, mover)) == rows_of(lane_of(*one_by_one)[0])


def _moved_payload(payload: bytes, ms: int) -> bytes:
    mover = POLYGON.mover(Shift(ms, None))
    found = events(payload) or ()
    return b"[" + b",".join(mover.event(payload[event.start : event.end]) for event in found) + b"]"


def test_a_recorded_day_moves_frame_by_frame_as_it_does_in_lanes() -> None:
    ms = 1000 * DAY_MS - HOUR_MS
    days = shifter(f"{ms}ms")
    days.start(tape_wall_ns=0, now_wall_ns=0)
    with open_cassette(FIXTURES / "first-minute.cassette") as cassette:
        chunks = [cassette.chunk(ref.number) for ref in cassette.chunk_refs()]
    lanes = [
        (lane, moved)
        for chunk in chunks
        for lane, moved in zip(chunk.lanes, days.chunk(chunk).lanes, strict=True)
    ]
    assert lanes
    for lane, moved in lanes:
        one_by_one = [_moved_payload(frame.payload, ms) for frame in frames_of(lane)]
        assert [frame.payload for frame in frames_of(moved)] == one_by_one
        assert moved.wire != lane.wire
