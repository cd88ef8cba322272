"""What a timeline can be told to do while it plays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeAlias

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver import steering
from tickdeck.mockserver.choices import StartOn
from tickdeck.mockserver.course import cursor_of
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.playhead import LOCKSTEP, MAX, REAL_TIME, STEP, Speed
from tickdeck.mockserver.reel import Reel
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timeline import NOT_STARTED, Timeline

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

DOUBLE = Speed(Fraction(2))


class Client:
    """A session, as far as a timeline needs it."""

    market = "stocks"
    has_read = False

    def __init__(self, tapes: Tapes, number: int = 1, *channels: str) -> None:
        self.number = number
        self.reel = Reel(Cutter(tapes.of("stocks")), cursor=0)
        self.reel.change(channels, held=True, at=0)
        self.reel.take(0)

    def holds(self, channel: str) -> bool:
        return channel in self.reel.channels

    def reads(self, timeline: Timeline, now_ns: int) -> int:
        """How many frames it is sent now."""
        frames = 0
        while (batch := self.reel.take(timeline.due(self, now_ns))) is not None:
            frames += batch.frames
        return frames


@pytest.fixture
def tapes(make: Make, story: Any) -> Tapes:
    """Ten frames of A, of which every other one is also of B, 10 ns apart; sequences 1 to 10."""
    story.opens(0, 0)
    for at in range(100, 200, 20):
        story.trades(0, at, "A", "B")
        story.trades(0, at + 10, "A")
    return Tapes(make(story.records))


def playing(tapes: Tapes, speed: Speed, *clients: Client) -> Timeline:
    """A timeline that started at 0."""
    timeline = Timeline(1, PlayOptions(speed=speed, start_on=StartOn.CONTROL), tapes)
    for client in clients:
        timeline.join(client, 0, connected_ns=0)
        client.reel.begin_at(0, timeline.course)
    steering.resume(timeline, 0)
    return timeline


def kinds(entries: Iterable[Entry]) -> list[str]:
    return [entry.kind for entry in entries]


@pytest.mark.parametrize(
    ("verb", "do"),
    [
        ("pause", lambda timeline: steering.pause(timeline, 0)),
        ("seek", lambda timeline: steering.seek(timeline, 0, 0)),
        ("step", lambda timeline: steering.step(timeline, 0, frames=1)),
    ],
)
def test_what_has_not_started_cannot_be_moved(
    tapes: Tapes, verb: str, do: Callable[[Timeline], None]
) -> None:
    with pytest.raises(UsageError) as refused:
        do(Timeline(3, PlayOptions(), tapes))
    assert str(refused.value) == f"timeline 3 has not started: there is nothing to {verb} yet"


def test_what_has_not_started_starts_when_it_is_told_to_go_on(tapes: Tapes) -> None:
    timeline = Timeline(1, PlayOptions(start_on=StartOn.CONTROL), tapes)
    assert timeline.join(Client(tapes, 1, "T.A"), 0, connected_ns=0) == []
    timeline.subscribed(0)
    assert timeline.tick(10**9) == []
    assert timeline.position(10**9) == NOT_STARTED
    assert kinds(steering.resume(timeline, 50)) == ["started"]
    assert timeline.position(57) == 7
    assert steering.resume(timeline, 60) == []


def test_a_tape_with_a_pace_stands_while_it_is_paused(tapes: Tapes) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, REAL_TIME, client)
    steering.pause(timeline, 25)
    assert timeline.position(1000) == 25
    assert timeline.alarm_ns() is None
    assert client.reads(timeline, 1000) == 3
    assert steering.resume(timeline, 1000) == []
    assert timeline.position(1005) == 30
    assert client.reads(timeline, 1005) == 1
    assert timeline.alarm_ns() == 1065


@pytest.mark.parametrize("speed", [MAX, LOCKSTEP])
def test_a_tape_without_a_clock_lets_nothing_go_while_it_is_paused(tapes: Tapes, speed: Speed) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, speed, client)
    client.reads(timeline, 0)
    steering.seek(timeline, 0, 0)
    steering.pause(timeline, 0)
    timeline.tick(0)
    assert client.reads(timeline, 1) == 0
    steering.resume(timeline, 2)
    assert client.reads(timeline, 2) == (10 if speed is MAX else 1)


def test_another_factor_goes_on_from_where_the_tape_is(tapes: Tapes) -> None:
    timeline = playing(tapes, REAL_TIME, Client(tapes, 1, "T.A"))
    steering.set_speed(timeline, DOUBLE, 20)
    assert [timeline.position(now) for now in (20, 25)] == [20, 30]
    assert str(timeline.speed) == "2"


def test_a_speed_that_is_set_before_the_start_is_that_of_the_start(tapes: Tapes) -> None:
    timeline = Timeline(1, PlayOptions(start_on=StartOn.CONTROL), tapes)
    steering.set_speed(timeline, DOUBLE, 0)
    assert timeline.position(10) == NOT_STARTED
    steering.resume(timeline, 10)
    assert timeline.position(15) == 10


def test_at_max_who_reads_goes_on_where_the_clock_was_and_a_newcomer_begins_there(tapes: Tapes) -> None:
    one, two = Client(tapes, 1, "T.A"), Client(tapes, 2, "T.A")
    timeline = playing(tapes, REAL_TIME, one)
    assert one.reads(timeline, 35) == 4
    steering.set_speed(timeline, MAX, 35)
    assert timeline.position(10**9) == 30
    timeline.join(two, 40, connected_ns=40)
    assert timeline.cursor(two, 40) == 5
    assert one.reads(timeline, 40) == 6


@pytest.mark.parametrize("speed", [REAL_TIME, STEP, LOCKSTEP])
def test_from_max_the_tape_goes_on_where_the_foremost_is(tapes: Tapes, speed: Speed) -> None:
    one, two = Client(tapes, 1, "T.A"), Client(tapes, 2, "T.A")
    timeline = playing(tapes, MAX, one, two)
    one.reel.take(5)
    steering.set_speed(timeline, speed, 1000)
    assert timeline.position(1000) == 30
    assert two.reads(timeline, 1000) == 4
    assert one.reads(timeline, 1000) == 0


@pytest.mark.parametrize(
    ("before", "after"), [(REAL_TIME, MAX), (REAL_TIME, STEP), (MAX, REAL_TIME), (LOCKSTEP, STEP)]
)
def test_who_stands_stands_at_the_new_speed_too(tapes: Tapes, before: Speed, after: Speed) -> None:
    timeline = playing(tapes, before, Client(tapes, 1, "T.A"))
    steering.pause(timeline, 10)
    position = timeline.position(10)
    steering.set_speed(timeline, after, 20)
    assert timeline.head.paused
    assert timeline.position(1000) == position


def test_between_step_and_lockstep_nothing_moves_and_nobody_is_waited_for(tapes: Tapes) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, LOCKSTEP, client)
    timeline.tick(0)
    assert timeline.lockstep.expects(1, 1 << 60)
    assert client.reads(timeline, 0) == 1
    steering.set_speed(timeline, STEP, 1)
    assert not timeline.lockstep.waiting
    assert client.reads(timeline, 10**9) == 0
    assert steering.step(timeline, 2, frames=1) == 1
    assert client.reads(timeline, 3) == 1


def test_an_outage_that_was_told_is_not_told_again_when_the_speed_changes_within_it(
    make: Make, story: Any
) -> None:
    story.opens(0, 0)
    story.trades(0, 0, "A")
    story.closes(0, 50)
    story.opens(1, 60)
    story.trades(1, 90, "A")
    tapes = Tapes(make(story.records))
    timeline = playing(tapes, REAL_TIME, Client(tapes, 1, "T.A"))
    assert kinds(timeline.tick(55)) == ["gap"]
    steering.set_speed(timeline, STEP, 60)
    assert timeline.tick(60) == []
    steering.set_speed(timeline, REAL_TIME, 70)
    assert kinds(timeline.tick(200)) == ["finished"]


@pytest.mark.parametrize(("speed", "frames"), [(REAL_TIME, 1), (STEP, 1), (LOCKSTEP, 1), (MAX, 3)])
def test_a_jump_begins_a_leg_with_the_frame_at_its_place(tapes: Tapes, speed: Speed, frames: int) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, speed, client)
    steering.seek(timeline, 70, 0)
    assert (timeline.course.leg, timeline.position(0)) == (1, 70)
    if speed is STEP:
        assert steering.step(timeline, 0, frames=1) == 1
    timeline.tick(0)
    assert client.reads(timeline, 0) == frames + speed.paced  # at a pace, the frame at the zero was due
    assert client.reel.cursor == cursor_of(1, 8 + frames)


def test_what_was_due_before_a_jump_is_still_sent(tapes: Tapes) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, REAL_TIME, client)
    steering.seek(timeline, 90, 25)
    assert client.reads(timeline, 25) == 3 + 1
    steering.seek(timeline, 0, 30)
    assert client.reads(timeline, 30) == 1
    assert client.reel.cursor == cursor_of(2, 2)


def test_frames_due_before_a_jump_were_due_when_they_were(tapes: Tapes) -> None:
    timeline = playing(tapes, REAL_TIME, Client(tapes, 1, "T.A"))
    steering.seek(timeline, 90, 25)
    steering.seek(timeline, 0, 30)
    assert [timeline.deadline(20, leg=leg) for leg in range(3)] == [20, -45, 50]
    assert timeline.deadline(90, leg=1) == 25


def test_before_the_beginning_is_at_the_beginning(tapes: Tapes) -> None:
    tapes.cut_to(20, None)
    timeline = playing(tapes, REAL_TIME, Client(tapes, 1, "T.A"))
    steering.seek(timeline, -5, 10)
    assert timeline.position(10) == 20


def test_a_tape_that_has_ended_plays_again_behind_a_jump(tapes: Tapes) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, REAL_TIME, client)
    assert kinds(timeline.tick(90)) == ["finished"]
    assert client.reads(timeline, 90) == 10
    steering.seek(timeline, 80, 100)
    assert not timeline.finished
    assert client.reads(timeline, 100) == 1
    assert kinds(timeline.tick(110)) == ["finished"]


@pytest.mark.parametrize("speed", [REAL_TIME, MAX, STEP])
def test_who_stands_stands_behind_a_jump_too(tapes: Tapes, speed: Speed) -> None:
    timeline = playing(tapes, speed, Client(tapes, 1, "T.A"))
    steering.pause(timeline, 10)
    steering.seek(timeline, 50, 20)
    assert timeline.head.paused
    assert timeline.position(1000) == 50


def test_a_step_lets_so_many_frames_go_that_somebody_is_sent(tapes: Tapes) -> None:
    of_b = Client(tapes, 1, "T.B")
    timeline = playing(tapes, STEP, of_b)
    assert of_b.reads(timeline, 10**9) == 0
    assert steering.step(timeline, 0, frames=2) == 2
    assert timeline.position(0) == 20
    assert of_b.reads(timeline, 0) == 2
    assert steering.step(timeline, 0, frames=10) == 3
    assert (timeline.position(0), timeline.end_ns) == (90, 90)
    assert of_b.reads(timeline, 0) == 3
    assert kinds(timeline.tick(0)) == ["finished"]
    assert steering.step(timeline, 0, frames=1) == 0


def test_a_step_of_several_clients_is_the_next_frame_of_any(tapes: Tapes) -> None:
    of_a, of_b = Client(tapes, 1, "T.A"), Client(tapes, 2, "T.B")
    timeline = playing(tapes, STEP, of_a, of_b)
    steering.step(timeline, 0, frames=3)
    assert (of_a.reads(timeline, 0), of_b.reads(timeline, 0)) == (3, 2)


def test_without_clients_a_step_is_the_next_frame_of_the_tape(tapes: Tapes) -> None:
    timeline = playing(tapes, STEP)
    assert steering.step(timeline, 0, frames=2) == 2
    assert timeline.position(0) == 10


@pytest.mark.parametrize("speed", [STEP, REAL_TIME])
def test_a_stretch_of_the_tape_goes_at_once(tapes: Tapes, speed: Speed) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, speed, client)
    assert steering.step(timeline, 0, duration_ns=35) == 0
    assert (timeline.position(10**9), client.reads(timeline, 10**9)) == (35, 4)


def test_a_step_at_a_pace_stands_and_a_burst_runs_on(tapes: Tapes) -> None:
    client = Client(tapes, 1, "T.A")
    timeline = playing(tapes, REAL_TIME, client)
    assert steering.step(timeline, 5, frames=2, stand=False) == 2
    assert timeline.position(5) == 20
    assert timeline.position(8) == 23
    assert steering.step(timeline, 8, frames=1) == 1
    assert timeline.position(1000) == 30
    assert client.reads(timeline, 1000) == 4


def test_max_cannot_be_stepped(tapes: Tapes) -> None:
    with pytest.raises(UsageError) as refused:
        steering.step(playing(tapes, MAX), 0, frames=1)
    assert str(refused.value) == "speed max cannot be stepped; set speed step, or a factor, first"


def test_whatever_moves_the_tape_is_counted_for_clients_to_be_looked_at(tapes: Tapes) -> None:
    timeline = playing(tapes, REAL_TIME, Client(tapes, 1, "T.A"))
    moves = [timeline.moves]
    for move in (
        lambda: steering.pause(timeline, 10),
        lambda: steering.resume(timeline, 11),
        lambda: steering.set_speed(timeline, DOUBLE, 12),
        lambda: steering.seek(timeline, 40, 13),
        lambda: steering.step(timeline, 14, frames=1),
        lambda: steering.step(timeline, 15, duration_ns=1),
    ):
        move()
        moves.append(timeline.moves)
    assert moves == sorted(set(moves))
