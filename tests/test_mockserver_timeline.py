"""When a playback starts, where it stands and what becomes of it when everybody has gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver.choices import AtEnd, Channels, Clients, Gaps, OnReturn, Start, StartOn
from tickdeck.mockserver.course import cursor_of
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.playhead import LOCKSTEP, MAX, REAL_TIME, STEP, Speed
from tickdeck.mockserver.reel import Reel
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timeline import NOT_STARTED, Timeline
from tickdeck.mockserver.timelines import Timelines

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

SETTLE = 50
FAR = 1 << 60
"""A cursor behind every frame of a first leg."""

END = 90
"""The position of the tape's last frame: ten trades of A and B, 10 ns apart, in stocks."""


@dataclass
class Client:
    """A session, as far as a timeline needs it."""

    reel: Reel
    market: str = "stocks"
    number: int = 1
    held: set[str] = field(default_factory=set)

    def holds(self, channel: str) -> bool:
        return channel in self.held

    def wants(self, *channels: str) -> None:
        self.held.update(channels)
        self.reel.change(channels, held=True, at=self.reel.cursor)
        self.reel.take(self.reel.cursor)

    @property
    def has_read(self) -> bool:
        return self.reel.ended


@pytest.fixture
def tapes(make: Make, story: Any) -> Tapes:
    story.opens(0, 0)
    story.opens(1, 0, market="crypto")
    for at in range(100, 200, 10):
        story.trades(0, at, "A", "B")
    return Tapes(make(story.records))


@pytest.fixture
def client(tapes: Tapes) -> Callable[..., Client]:
    return lambda market="stocks": Client(Reel(Cutter(tapes.of(market)), cursor=0), market)


def line(tapes: Tapes, **options: Any) -> Timeline:
    return Timeline(1, PlayOptions(**{"settle_ns": SETTLE, **options}), tapes)


def kinds(entries: Iterable[Entry]) -> list[str]:
    return [entry.kind for entry in entries]


NewClient: TypeAlias = Callable[..., Client]


@pytest.mark.parametrize(
    ("gate", "on_join", "position"),
    [
        (StartOn.CONNECT, ["started"], 30),
        (StartOn.AUTH, ["started"], 0),
        (StartOn.SUBSCRIBE, [], NOT_STARTED),
    ],
)
def test_a_gate_that_opens_at_connecting_counts_from_the_connection_and_one_at_auth_from_there(
    tapes: Tapes, client: NewClient, gate: Start, on_join: list[str], position: int
) -> None:
    timeline = line(tapes, start_on=gate)
    assert kinds(timeline.join(client(), 1030, connected_ns=1000)) == on_join
    assert timeline.position(1030) == position
    assert timeline.started == bool(on_join)


def test_a_start_by_subscription_waits_until_no_action_came_for_a_while(
    tapes: Tapes, client: NewClient
) -> None:
    timeline = line(tapes)
    timeline.join(client(), 0, connected_ns=0)
    timeline.acted(0)
    assert timeline.alarm_ns() is None
    timeline.subscribed(10)
    timeline.acted(10)
    assert timeline.alarm_ns() == 60
    timeline.acted(50)
    assert timeline.alarm_ns() == 100
    assert timeline.tick(99) == []
    assert kinds(timeline.tick(100)) == ["started"]
    assert (timeline.position(100), timeline.position(107)) == (0, 7)


def test_a_start_by_channels_is_exact_and_needs_all_of_them_over_all_sockets(
    tapes: Tapes, client: NewClient
) -> None:
    timeline = line(tapes, start_on=Channels(("T.A", "T.B")))
    one, two = client(), client("crypto")
    timeline.join(one, 0, connected_ns=0)
    timeline.join(two, 0, connected_ns=0)
    one.wants("T.A", "T.*")
    timeline.subscribed(10)
    assert timeline.alarm_ns() is None
    two.wants("T.B")
    timeline.subscribed(20)
    timeline.acted(30)
    assert timeline.alarm_ns() == 20
    assert kinds(timeline.tick(20)) == ["started"]


def test_nothing_on_the_tape_is_due_before_the_start(tapes: Tapes, client: NewClient) -> None:
    timeline = line(tapes)
    one = client()
    timeline.join(one, 0, connected_ns=0)
    assert timeline.position(10**9) == NOT_STARTED
    assert timeline.due(one, 10**9) == timeline.cursor(one, 10**9) == 0
    assert timeline.deadline(5) is None


@pytest.mark.parametrize("speed", [REAL_TIME, MAX])
def test_a_subscriber_that_leaves_before_the_start_takes_the_start_with_it(
    tapes: Tapes, client: NewClient, speed: Speed
) -> None:
    timeline = line(tapes, speed=speed)
    one = client()
    timeline.join(one, 0, connected_ns=0)
    timeline.subscribed(0)
    assert timeline.leave(one, 10, by_server=True) == []
    assert timeline.alarm_ns() is None
    assert timeline.tick(10**9) == []


def started(tapes: Tapes, one: Client, **options: Any) -> Timeline:
    """A timeline that ``one`` started at 0 by its subscription of everything."""
    timeline = line(tapes, start_on=StartOn.AUTH, **options)
    timeline.join(one, 0, connected_ns=0)
    one.wants("T.*")
    return timeline


@pytest.mark.parametrize("speed", [REAL_TIME, MAX])
@pytest.mark.parametrize(
    ("policy", "by_server", "anew"),
    [
        (OnReturn.AUTO, False, True),
        (OnReturn.AUTO, True, False),
        (OnReturn.RESUME, False, False),
        (OnReturn.RESUME, True, False),
        (OnReturn.REWIND, False, True),
        (OnReturn.REWIND, True, True),
    ],
)
def test_who_returns_finds_what_the_policy_says(
    tapes: Tapes, client: NewClient, speed: Speed, policy: OnReturn, by_server: bool, anew: bool
) -> None:
    one, two = client(), client()
    timeline = started(tapes, one, speed=speed, on_return=policy)
    one.reel.take(6, limit=1 << 20)
    timeline.leave(one, 35, by_server=by_server)
    assert timeline.over == anew
    assert kinds(timeline.join(two, 40, connected_ns=39)) == [("resumed", "started")[anew]]
    assert timeline.run == 1 + anew
    if speed is MAX:
        assert timeline.cursor(two, 40) == (0 if anew else one.reel.cursor)
    else:
        assert timeline.position(40) == (0 if anew else 40)


def test_only_the_last_socket_to_leave_decides(tapes: Tapes, client: NewClient) -> None:
    one, two, three = client(), client(), client()
    timeline = started(tapes, one)
    assert timeline.join(two, 1, connected_ns=1) == []
    timeline.leave(one, 2, by_server=False)
    assert not timeline.over
    timeline.leave(two, 3, by_server=True)
    assert kinds(timeline.join(three, 5, connected_ns=4)) == ["resumed"]
    assert list(timeline.sessions) == [three]


def test_the_playhead_runs_on_at_a_factor_while_nobody_is_connected(tapes: Tapes, client: NewClient) -> None:
    one = client()
    timeline = started(tapes, one, speed=Speed(Fraction(2)), on_return=OnReturn.RESUME)
    timeline.leave(one, 10, by_server=False)
    assert timeline.position(20) == 40
    assert timeline.alarm_ns() == 45
    assert kinds(timeline.tick(45)) == ["finished"]
    assert timeline.alarm_ns() is None


def test_the_tape_waits_at_max_while_nobody_reads(tapes: Tapes, client: NewClient) -> None:
    one, two = client(), client()
    timeline = started(tapes, one, speed=MAX, on_return=OnReturn.RESUME)
    one.reel.take(5, limit=1 << 20)
    before = timeline.position(1)
    assert before == 20
    timeline.leave(one, 10, by_server=False)
    assert timeline.position(10**9) == before
    assert timeline.alarm_ns() is None
    timeline.join(two, 10**9, connected_ns=0)
    assert timeline.due(two, 10**9) == two.reel.cursor
    two.wants("T.A")
    assert timeline.due(two, 10**9) == tapes.of("stocks").last_seq + 1


def test_a_timeline_at_max_stands_at_the_zero_when_it_has_started_and_nobody_has_read(
    tapes: Tapes, client: NewClient
) -> None:
    timeline = line(tapes, speed=MAX, start_on=StartOn.AUTH)
    (entry,) = timeline.join(client(), 5, connected_ns=0)
    assert (entry.kind, entry.position_ns) == ("started", 0)


def test_the_tape_has_ended_at_max_when_all_that_want_something_have_it(
    tapes: Tapes, client: NewClient
) -> None:
    one, idle = client(), client()
    timeline = started(tapes, one, speed=MAX)
    timeline.join(idle, 0, connected_ns=0)
    assert timeline.tick(1) == []
    one.reel.take(tapes.of("stocks").last_seq, limit=1 << 20)
    assert timeline.tick(2) == []
    one.reel.take(1 << 40)
    one.reel.take(1 << 40)
    assert kinds(timeline.tick(3)) == ["finished"]
    assert timeline.tick(4) == []
    assert timeline.finished


def test_a_reader_that_leaves_with_the_whole_tape_has_finished_it(tapes: Tapes, client: NewClient) -> None:
    one = client()
    timeline = started(tapes, one, speed=MAX)
    while one.reel.take(1 << 40) is not None:
        pass
    assert kinds(timeline.leave(one, 3, by_server=False)) == ["finished"]
    assert timeline.finished


def test_a_reader_that_leaves_half_way_has_not_finished_it(tapes: Tapes, client: NewClient) -> None:
    one = client()
    timeline = started(tapes, one, speed=MAX)
    one.reel.take(4)
    assert timeline.leave(one, 3, by_server=False) == []
    assert not timeline.finished


def test_a_market_that_was_not_recorded_ends_as_it_starts(tapes: Tapes, client: NewClient) -> None:
    timeline = line(tapes)
    timeline.join(client("options"), 0, connected_ns=0)
    timeline.subscribed(0)
    assert timeline.alarm_ns() == SETTLE
    assert kinds(timeline.tick(SETTLE)) == ["started", "finished"]


@pytest.fixture
def with_gaps(make: Make, story: Any) -> Tapes:
    """Outages at 0 (before the zero, too), 50 and 80; the last frame at 100."""
    story.opens(0, 0)
    story.closes(0, 5)
    story.opens(1, 8)
    story.trades(1, 10, "A")
    story.closes(1, 60)
    story.opens(2, 70)
    story.trades(2, 75, "A")
    story.closes(2, 90)
    story.opens(3, 100)
    story.trades(3, 110, "A")
    return Tapes(make(story.records))


def test_each_gap_is_said_once_at_its_start(with_gaps: Tapes) -> None:
    one = Client(Reel(Cutter(with_gaps.of("stocks")), cursor=0))
    timeline = line(with_gaps, start_on=StartOn.AUTH)
    timeline.join(one, 0, connected_ns=0)
    said = []
    alarms = []
    while (alarm := timeline.alarm_ns()) is not None:
        alarms.append(alarm)
        said += timeline.tick(alarm)
    assert alarms == sorted(set(alarms))
    assert [(entry.kind, entry.now_ns, entry.position_ns) for entry in said] == [
        ("gap", 0, 0),
        ("gap", 50, 50),
        ("gap", 80, 80),
        ("finished", 100, 100),
    ]
    assert said[1].parts["length_ns"] == 15


def test_a_gap_that_is_noticed_late_is_said_with_the_place_where_it_is(with_gaps: Tapes) -> None:
    one = Client(Reel(Cutter(with_gaps.of("stocks")), cursor=0))
    timeline = line(with_gaps, start_on=StartOn.AUTH, speed=MAX)
    timeline.join(one, 0, connected_ns=0)
    assert [entry.position_ns for entry in timeline.tick(0)] == [0]
    one.wants("T.A")
    while one.reel.take(1 << 40) is not None:
        pass
    assert [(entry.kind, entry.position_ns) for entry in timeline.tick(7)] == [
        ("gap", 50),
        ("gap", 80),
        ("finished", 100),
    ]
    assert timeline.tick(8) == []


@pytest.mark.parametrize("factor", [Fraction(1, 3), Fraction(1), Fraction(73, 10), Fraction(10**9)])
@pytest.mark.parametrize("now_ns", [0, 12_345])
def test_whoever_heeds_the_alarms_comes_to_the_end(with_gaps: Tapes, factor: Fraction, now_ns: int) -> None:
    one = Client(Reel(Cutter(with_gaps.of("stocks")), cursor=0))
    timeline = line(with_gaps, speed=Speed(factor))
    timeline.join(one, now_ns, connected_ns=now_ns)
    timeline.subscribed(now_ns)
    happened: list[str] = []
    while (alarm := timeline.alarm_ns()) is not None:
        now_ns = max(now_ns, alarm)
        news = kinds(timeline.tick(now_ns))
        assert news
        happened += news
    assert happened == ["started", "gap", "gap", "gap", "finished"]


def test_a_tape_that_starts_anew_says_its_gaps_anew(with_gaps: Tapes) -> None:
    one = Client(Reel(Cutter(with_gaps.of("stocks")), cursor=0))
    timeline = line(with_gaps, start_on=StartOn.AUTH)
    timeline.join(one, 0, connected_ns=0)
    assert kinds(timeline.tick(60)) == ["gap", "gap"]
    timeline.leave(one, 61, by_server=False)
    timeline.join(one, 100, connected_ns=100)
    assert kinds(timeline.tick(155)) == ["gap", "gap"]
    assert timeline.run == 2


def test_a_start_by_clients_waits_for_so_many_that_want_something(tapes: Tapes, client: NewClient) -> None:
    timeline = line(tapes, start_on=Clients(2))
    one, two, idle = client(), client(), client()
    for each in (one, two, idle):
        timeline.join(each, 0, connected_ns=0)
    one.wants("T.A")
    timeline.subscribed(10)
    timeline.acted(10)
    assert timeline.alarm_ns() is None
    two.wants("T.B")
    timeline.subscribed(20)
    timeline.acted(30)
    assert timeline.alarm_ns() == 80
    assert kinds(timeline.tick(80)) == ["started"]


def test_a_start_by_clients_is_off_when_one_of_them_leaves_before_it(tapes: Tapes, client: NewClient) -> None:
    timeline = line(tapes, start_on=Clients(2))
    one, two, three = client(), client(), client()
    for each in (one, two, three):
        timeline.join(each, 0, connected_ns=0)
        each.wants("T.A")
        timeline.subscribed(10)
    timeline.leave(one, 20, by_server=False)
    assert timeline.alarm_ns() == 60
    timeline.leave(two, 30, by_server=False)
    assert timeline.alarm_ns() is None
    assert timeline.tick(10**9) == []


def test_the_control_alone_starts_what_waits_for_it(tapes: Tapes, client: NewClient) -> None:
    timeline = line(tapes, start_on=StartOn.CONTROL)
    one, two = client(), client()
    assert timeline.join(one, 0, connected_ns=0) == []
    one.wants("T.A")
    timeline.subscribed(0)
    assert timeline.alarm_ns() is None
    timeline.arm()
    assert kinds(timeline.join(two, 5, connected_ns=5)) == ["started"]
    assert timeline.start(6) == []


def test_a_loop_begins_anew_at_the_very_moment_of_its_end(tapes: Tapes, client: NewClient) -> None:
    one = client()
    timeline = started(tapes, one, at_end=AtEnd.LOOP)
    tapes.cut_to(0, None)
    assert timeline.alarm_ns() == 10**6
    (entry,) = timeline.tick(10**6 + 25)
    assert (entry.kind, entry.parts["lap"], entry.position_ns) == ("looped", 2, 25)
    assert timeline.course.leg == 1
    assert timeline.due(one, 10**6 + 25) == cursor_of(1, tapes.of("stocks").seq_behind(25))
    assert timeline.alarm_ns() == 2 * 10**6
    assert kinds(timeline.tick(4 * 10**6)) == ["looped", "looped", "looped"]
    assert not timeline.finished


def test_frames_of_a_lap_that_is_over_were_due_on_that_lap(tapes: Tapes, client: NewClient) -> None:
    one = client()
    timeline = started(tapes, one, at_end=AtEnd.LOOP)
    timeline.tick(3 * 10**6)
    assert timeline.course.leg == 3
    assert [timeline.deadline(90, leg=leg) for leg in range(4)] == [
        90,
        10**6 + 90,
        2 * 10**6 + 90,
        3 * 10**6 + 90,
    ]
    assert timeline.deadline(90) == 3 * 10**6 + 90


@pytest.mark.parametrize("speed", [MAX, STEP])
def test_without_a_clock_the_foremost_laps(tapes: Tapes, client: NewClient, speed: Speed) -> None:
    one = client()
    timeline = started(tapes, one, speed=speed, at_end=AtEnd.LOOP)
    one.reel.begin_at(0, timeline.course)
    while one.reel.take(1 << 40) is not None:
        pass
    assert timeline.tick(5) == []
    assert timeline.is_through(one)
    timeline.lap(6)
    assert not timeline.is_through(one)
    assert kinds(timeline.tick(7)) == ["looped"]
    assert (timeline.position(7), timeline.deadline(0)) == (0, None)
    assert not timeline.finished


def test_a_stretch_without_a_frame_is_cut_short(make: Make, story: Any) -> None:
    story.opens(0, 0)
    for at in (0, 10, 500, 510):
        story.trades(0, at, "A")
    tapes = Tapes(make(story.records))
    one = Client(Reel(Cutter(tapes.of("stocks")), cursor=0))
    timeline = started(tapes, one, idle_cap_ns=50)
    assert timeline.alarm_ns() == 60
    moves = timeline.moves
    assert timeline.tick(60) == []
    assert timeline.moves > moves
    assert [timeline.position(now) for now in (60, 65)] == [500, 505]
    assert [timeline.deadline(position) for position in (10, 500, 510)] == [10, 60, 70]
    assert kinds(timeline.tick(70)) == ["finished"]


def test_an_outage_that_is_skipped_takes_no_time_however_late_that_is_noticed(with_gaps: Tapes) -> None:
    one = Client(Reel(Cutter(with_gaps.of("stocks")), cursor=0))
    timeline = started(with_gaps, one, gaps=Gaps.SKIP)
    assert [(entry.kind, entry.position_ns) for entry in timeline.tick(55)] == [("gap", 0), ("gap", 50)]
    assert timeline.position(55) == 70
    assert timeline.deadline(50) == timeline.deadline(65) == 50
    assert kinds(timeline.tick(66)) == ["gap", "finished"]


def test_a_window_is_played_from_its_beginning_to_its_end(tapes: Tapes, client: NewClient) -> None:
    tapes.cut_to(25, 60)
    one = client()
    timeline = started(tapes, one)
    assert timeline.cursor(one, 0) == 5
    assert timeline.position(0) == 25
    assert timeline.due(one, 10**9) == 8
    assert timeline.end_ns == 60
    assert timeline.alarm_ns() == 35
    (entry,) = timeline.tick(35)
    assert (entry.kind, entry.position_ns) == ("finished", 60)


@pytest.mark.parametrize("speed", [MAX, STEP, LOCKSTEP])
def test_a_window_begins_and_ends_at_the_same_frames_without_a_clock(
    tapes: Tapes, client: NewClient, speed: Speed
) -> None:
    tapes.cut_to(25, 60)
    timeline = line(tapes, start_on=StartOn.AUTH, speed=speed)
    one = client()
    timeline.join(one, 0, connected_ns=0)
    one.reel.begin_at(timeline.cursor(one, 0), timeline.course)
    one.wants("T.*")
    frames = 0
    for now_ns in range(10):
        timeline.tick(now_ns)
        timeline.ponged(1, FAR)
        if speed is STEP:
            timeline.release_next(now_ns)
        while (batch := one.reel.take(timeline.due(one, now_ns))) is not None:
            frames += batch.frames
    assert frames == 3
    timeline.tick(10)
    assert timeline.finished


def test_lockstep_goes_on_when_all_that_were_sent_the_frame_have_answered(
    tapes: Tapes, client: NewClient
) -> None:
    one, two, idle = client(), client(), client()
    for number, each in enumerate((one, two, idle), 1):
        each.number = number
    timeline = started(tapes, one, speed=LOCKSTEP)
    timeline.join(two, 0, connected_ns=0)
    timeline.join(idle, 0, connected_ns=0)
    two.wants("T.B")
    timeline.tick(0)
    stocks = tapes.of("stocks")
    assert timeline.due(one, 0) == stocks.seq_behind(0)
    timeline.ponged(1, FAR)
    timeline.tick(1)
    assert timeline.due(one, 1) == stocks.seq_behind(0)
    timeline.ponged(2, FAR)
    timeline.tick(2)
    assert (timeline.due(one, 2), timeline.position(2)) == (stocks.seq_behind(10), 10)


def test_who_does_not_answer_in_lockstep_has_made_a_misstep_and_is_waited_for_no_more(
    tapes: Tapes, client: NewClient
) -> None:
    one = client()
    timeline = started(tapes, one, speed=LOCKSTEP)
    timeline.tick(0)
    assert timeline.alarm_ns() == 10**10
    assert timeline.tick(10**10 - 1) == []
    (entry,) = timeline.tick(10**10)
    assert (entry.kind, entry.client, entry.parts["misstep"]) == ("misstep", 1, "no-pong")
    assert timeline.position(10**10) == 10


def test_who_leaves_lockstep_is_waited_for_no_more(tapes: Tapes, client: NewClient) -> None:
    one, two = client(), client()
    two.number = 2
    timeline = started(tapes, one, speed=LOCKSTEP)
    timeline.join(two, 0, connected_ns=0)
    two.wants("T.A")
    timeline.tick(0)
    timeline.ponged(1, FAR)
    timeline.leave(two, 1, by_server=False)
    assert timeline.position(1) == 10


def test_each_key_has_a_timeline_of_its_own_made_at_its_first_use(tapes: Tapes) -> None:
    timelines = Timelines(PlayOptions(), tapes)
    assert timelines.of("one") is timelines.of("one")
    assert timelines.of("two").number == 2
    assert [timeline.number for timeline in timelines] == [1, 2]
    assert len(timelines) == 2
    assert timelines.of("one").speed.paced
