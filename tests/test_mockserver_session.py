"""One live client's conversation: by hand, and as a machine of several clients against a small model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from tickdeck.cassette.blocks import Bytes
from tickdeck.cassette.chunkcodec import build_chunk
from tickdeck.cassette.chunks import ref_of
from tickdeck.cassette.reader import Cassette, Contents
from tickdeck.cassette.records import TEXT, Frame, Header, Record, Sender, TrackOpened
from tickdeck.cassette.survey import SurveyTaker
from tickdeck.dialects.conversation import Conversation, Keys
from tickdeck.dialects.effects import Hang
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver import steering
from tickdeck.mockserver.choices import AtEnd, Gaps, OnReturn, SlowClient, StartOn
from tickdeck.mockserver.course import cursor_of
from tickdeck.mockserver.cutter import Cutter, wants
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.playhead import LOCKSTEP, MAX, STEP, Speed
from tickdeck.mockserver.reel import Ending
from tickdeck.mockserver.report import channel_counts
from tickdeck.mockserver.session import SLOW_BYTES, Session
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timelines import Timelines

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]

GREETING = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
ACCEPTED = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'
REFUSED = b'[{"ev":"status","status":"auth_failed","message":"invalid API key"}]'
TIMED_OUT = b'[{"ev":"status","status":"auth_timeout","message":"No authentication request received."}]'
EVICTED = (
    b'[{"ev":"status","status":"max_connections",'
    b'"message":"Maximum number of websocket connections exceeded. "}]'
)
SETTLE = 5


def ack(channels: Iterable[str], verb: str = "subscribed") -> bytes:
    said = (f'{{"ev":"status","status":"success","message":"{verb} to: {channel}"}}' for channel in channels)
    return f"[{','.join(said)}]".encode()


def trade(symbol: str, at: int) -> bytes:
    return f'[{{"ev":"T","sym":"{symbol}","t":{at}}}]'.encode()


def action(name: str, params: str) -> bytes:
    return json.dumps({"action": name, "params": params}).encode()


def split(wire: bytes) -> list[bytes]:
    """The payloads of unmasked text frames below 64 KiB."""
    payloads = []
    while wire:
        start, length = (4, int.from_bytes(wire[2:4], "big")) if wire[1] == 126 else (2, wire[1])
        payloads.append(wire[start : start + length])
        wire = wire[start + length :]
    return payloads


class Stage:
    """A cassette's sessions under one clock that only tests move."""

    def __init__(self, cassette: Cassette, **options: Any) -> None:
        self.options = PlayOptions(**{"settle_ns": SETTLE, **options})
        self.tapes = Tapes(cassette)
        self.timelines = Timelines(self.options, self.tapes)
        self.cutters = {market: Cutter(self.tapes.of(market)) for market in ("stocks", "crypto")}
        self.now_ns = 1000
        self.clients = 0

    def session(self, market: str = "stocks") -> Session:
        self.clients += 1
        keys = Keys(good=self.options.good_keys, bad=self.options.bad_keys)
        conversation = Conversation(POLYGON.wording(None, {}), market=market, keys=keys)
        cutter = self.cutters[market]
        session = Session(self.clients, conversation, market=market, cutter=cutter, timelines=self.timelines)
        session.open(self.now_ns)
        return session

    def authenticated(self, key: str = "key", market: str = "stocks") -> Session:
        session = self.session(market)
        self.says(session, "auth", key)
        assert self.heard(session) == [GREETING, ACCEPTED]
        return session

    def says(self, session: Session, name: str, params: str) -> list[str]:
        return [entry.kind for entry in session.receive(action(name, params), self.now_ns)]

    def advance(self, by_ns: int) -> None:
        self.now_ns += by_ns
        for timeline in self.timelines:
            timeline.tick(self.now_ns)

    def heard(self, session: Session, *, limit: int = 1 << 16) -> list[bytes]:
        """All that is due now; nothing behind an ending."""
        wire = b""
        while (batch := session.take(self.now_ns, limit=limit)) is not None:
            if batch.ending is not None:
                break
            wire += batch.wire
        return split(wire)


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Ten frames of A and B, 10 ns apart, then one of C alone."""
    story.opens(0, 0)
    for at in range(100, 200, 10):
        story.trades(0, at, "A", "B")
    story.trades(0, 200, "C")
    return make(story.records)


def test_nothing_moves_before_auth(tape: Cassette) -> None:
    stage = Stage(tape, start_on=StartOn.CONNECT)
    session = stage.session()
    assert stage.says(session, "subscribe", "T.A") == ["misstep"]
    stage.advance(10**9)
    assert stage.heard(session) == [GREETING]
    assert session.wake_ns() is None
    assert session.timeline is None
    assert session.account.missteps == [("before-auth", "subscribe before auth")]


def test_a_refused_key_is_told_and_dropped(tape: Cassette) -> None:
    stage = Stage(tape, bad_keys=frozenset({"bad"}))
    session = stage.session()
    assert stage.says(session, "auth", "bad") == ["refused"]
    assert stage.heard(session) == [GREETING, REFUSED]
    assert session.ending == Ending(None)
    assert len(stage.timelines) == 0


def test_who_does_not_authenticate_in_time_is_told_and_dropped_and_who_did_is_not(tape: Cassette) -> None:
    stage = Stage(tape)
    late, early = stage.session(), stage.authenticated()
    assert late.auth_timed_out(stage.now_ns) == early.auth_timed_out(stage.now_ns) == []
    assert stage.heard(late) == [GREETING, TIMED_OUT]
    assert (late.ending, early.ending) == (Ending(None), None)


def test_missteps_are_noted_and_silent(tape: Cassette) -> None:
    stage = Stage(tape)
    session = stage.authenticated()
    session.receive(b"{not json", stage.now_ns)
    (entry,) = session.receive_binary(b"\x01", stage.now_ns)
    assert (entry.kind, entry.parts["misstep"]) == ("misstep", "binary")
    stage.says(session, "auth", "again")
    assert stage.heard(session) == []
    assert [kind for kind, _ in session.account.missteps] == ["malformed", "binary", "second-auth"]


def test_an_ack_comes_behind_the_data_that_was_due_and_ahead_of_what_it_lets_through(tape: Cassette) -> None:
    stage = Stage(tape)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    stage.advance(15)
    stage.says(session, "subscribe", "T.B")
    stage.advance(10)
    stage.says(session, "unsubscribe", "T.A,T.B")
    stage.advance(1000)
    assert stage.heard(session) == [
        ack(["T.A"]),
        trade("A", 100),
        trade("A", 110),
        ack(["T.B"]),
        b'[{"ev":"T","sym":"A","t":120},{"ev":"T","sym":"B","t":120}]',
        ack(["T.A", "T.B"], "unsubscribed"),
    ]


def test_the_journal_says_where_on_the_tape_something_took_effect_however_far_the_client_lags(
    tape: Cassette,
) -> None:
    stage = Stage(tape)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    stage.advance(25)
    (late,) = session.receive(action("subscribe", "T.B"), stage.now_ns)
    assert (late.position_ns, late.cursor) == (25, stage.tapes.of("stocks").seq_behind(25))
    (gone,) = session.receive(action("unsubscribe", "T.A"), stage.now_ns)
    assert gone.cursor == late.cursor
    assert [interval.from_cursor for interval in session.account.intervals] == [0, late.cursor]
    assert session.account.intervals[0].to_cursor == gone.cursor


@pytest.mark.parametrize(
    ("speed", "wanted"), [(MAX, "T.*"), (Speed(Fraction(1)), "T.*"), (Speed(Fraction(1)), "T.A")]
)
def test_the_end_of_the_tape_can_close_and_does_so_once(tape: Cassette, speed: Speed, wanted: str) -> None:
    stage = Stage(tape, speed=speed, at_end=AtEnd.CLOSE)
    session = stage.authenticated()
    stage.says(session, "subscribe", wanted)
    stage.advance(SETTLE)
    assert session.ending is None
    stage.advance(100)
    assert len(stage.heard(session)) == 1 + (11 if wanted == "T.*" else 10)
    assert session.ending == Ending(1000)
    assert session.take(stage.now_ns, limit=1) is None


@pytest.mark.parametrize("at_end", list(AtEnd))
def test_who_wants_nothing_more_is_woken_at_the_end_of_the_tape_and_never_again(
    tape: Cassette, at_end: AtEnd
) -> None:
    stage = Stage(tape, at_end=at_end)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    start = stage.now_ns
    woken = []
    stage.heard(session)
    while (wake := session.wake_ns()) is not None:
        woken.append(wake - start)
        stage.advance(wake - stage.now_ns)
        assert stage.heard(session) or wake - start == 100
    assert woken == [*range(10, 100, 10), 100]
    assert session.has_read
    assert (session.ending is not None) == (at_end is AtEnd.CLOSE)


def test_who_never_subscribed_is_not_closed_at_the_end(tape: Cassette) -> None:
    stage = Stage(tape, start_on=StartOn.AUTH, at_end=AtEnd.CLOSE)
    session = stage.authenticated()
    stage.advance(1000)
    assert stage.heard(session) == []
    assert session.ending is None


def test_what_a_subscriber_that_left_at_once_was_not_sent_adds_up(tape: Cassette) -> None:
    stage = Stage(tape)
    first = stage.authenticated()
    stage.says(first, "subscribe", "T.A")
    stage.advance(SETTLE)
    stage.advance(50)
    hasty = stage.session()
    stage.says(hasty, "auth", "key")
    stage.says(hasty, "subscribe", "T.A")
    hasty.left(stage.now_ns, by="client", code=1000)
    counts = channel_counts(hasty)["T.A"]
    assert counts["on_tape"] == 10
    assert (counts["before_start"], counts["after_leave"]) == (6, 4)


def test_a_drop_comes_behind_what_is_due(tape: Cassette) -> None:
    stage = Stage(tape)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    stage.advance(12)
    session.drop(Ending(1001, "bye"), stage.now_ns)
    stage.advance(100)
    assert stage.heard(session) == [ack(["T.A"]), trade("A", 100), trade("A", 110)]
    assert session.ending == Ending(1001, "bye")
    kinds = [entry.kind for entry in session.left(stage.now_ns, by="server", code=1001)]
    assert kinds[0] == "left"


def test_a_dialect_can_hang_up_with_a_code(tape: Cassette, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tape)
    session = stage.authenticated()
    monkeypatch.setattr(session.conversation, "receive", lambda payload: [Hang(1008, "too slow")])
    stage.says(session, "subscribe", "T.A")
    assert stage.heard(session) == []
    assert session.ending == Ending(1008, "too slow")


def test_a_stranger_can_be_dropped_too(tape: Cassette) -> None:
    stage = Stage(tape)
    session = stage.session()
    session.drop(Ending(None), stage.now_ns)
    assert stage.heard(session) == [GREETING]
    assert [entry.kind for entry in session.left(stage.now_ns, by="server", code=None)] == ["left"]


def test_at_max_a_socket_that_wants_nothing_stands_still(tape: Cassette) -> None:
    stage = Stage(tape, speed=MAX)
    reader, idle = stage.authenticated(), stage.authenticated()
    stage.says(reader, "subscribe", "T.*")
    stage.advance(SETTLE)
    assert len(stage.heard(reader)) == 12
    assert stage.heard(idle) == []
    assert reader.has_read
    stage.says(idle, "subscribe", "T.C")
    assert stage.heard(idle) == [ack(["T.C"]), trade("C", 200)]


def subscribed(stage: Stage, channels: str = "T.*") -> Session:
    """A client that has heard all up to the start, which is now."""
    session = stage.authenticated()
    stage.says(session, "subscribe", channels)
    stage.advance(SETTLE)
    stage.heard(session)
    return session


def test_who_is_evicted_is_told_at_once_ahead_of_what_it_has_not_read(tape: Cassette) -> None:
    stage = Stage(tape)
    session = subscribed(stage)
    stage.advance(50)
    stage.says(session, "unsubscribe", "T.B")
    (entry,) = session.evict(stage.now_ns)
    assert entry.kind == "evicted"
    assert stage.heard(session) == [EVICTED]
    assert session.ending == Ending(1008)
    assert session.turned_out == Ending(1008)


def test_who_is_evicted_says_nothing_any_more(tape: Cassette) -> None:
    stage = Stage(tape)
    session = subscribed(stage)
    session.evict(stage.now_ns)
    stage.says(session, "subscribe", "Q.A")
    assert stage.heard(session) == [EVICTED]


def long_tape(story: Any, make: Make) -> Cassette:
    """Three megabytes of A, 10 ns apart."""
    story.opens(0, 0)
    for at in range(0, 3000, 10):
        story.says(0, at, f'[{{"ev":"T","sym":"A","n":{at},"pad":"{"x" * 10_000}"}}]')
    return make(story.records)


def test_a_client_is_slow_once_a_megabyte_is_due_and_unread(make: Make, story: Any) -> None:
    stage = Stage(long_tape(story, make), slow_client=SlowClient.DISCONNECT)
    session = subscribed(stage)
    stage.advance(1000)
    assert session.slow(stage.now_ns) == []
    stage.advance(60)
    (entry,) = session.slow(stage.now_ns)
    assert entry.kind == "slow"
    assert session.account.slow
    assert session.slow(stage.now_ns) == []
    (told,) = stage.heard(session)
    assert b'"status":"slow_consumer"' in told or b"slow" in told.lower()
    assert session.ending == Ending(1008)
    assert 1000 * 1000 < SLOW_BYTES < 1060 * 1000


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"slow_client": SlowClient.DISCONNECT, "speed": MAX},
        {"slow_client": SlowClient.DISCONNECT, "speed": STEP},
    ],
)
def test_nobody_is_slow_where_that_is_allowed_or_where_there_is_no_pace(
    make: Make, story: Any, options: dict[str, Any]
) -> None:
    stage = Stage(long_tape(story, make), **options)
    session = subscribed(stage, "T.NONE")
    stage.says(session, "subscribe", "T.*")
    stage.advance(10**6)
    assert session.slow(stage.now_ns) == []


def test_a_stranger_and_one_that_has_ended_are_not_slow(make: Make, story: Any) -> None:
    stage = Stage(long_tape(story, make), slow_client=SlowClient.DISCONNECT)
    assert stage.session().slow(stage.now_ns) == []
    session = subscribed(stage)
    session.drop(Ending(1001), stage.now_ns)
    stage.heard(session)
    stage.advance(10**6)
    assert session.slow(stage.now_ns) == []


def test_a_frame_from_outside_comes_where_the_playhead_is(tape: Cassette) -> None:
    stage = Stage(tape)
    session = subscribed(stage, "T.A")
    stage.advance(15)
    session.send(b"\x81\x02[]", stage.now_ns)
    stage.advance(10)
    assert stage.heard(session) == [trade("A", 110), b"[]", trade("A", 120)]
    assert session.account.frames == 3


def test_in_lockstep_a_ping_follows_each_frame_and_its_pong_lets_the_next_go(tape: Cassette) -> None:
    stage = Stage(tape, speed=LOCKSTEP)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    assert raw(stage, session) == [ack(["T.A"]), trade("A", 100), b"\x89\x0atickdeck 1"]
    assert not session.ponged(b"of its own")
    stage.advance(1)
    assert raw(stage, session) == []
    assert session.ponged(b"tickdeck 1")
    assert not session.ponged(b"tickdeck 1")
    stage.advance(1)
    assert raw(stage, session) == [trade("A", 110), b"\x89\x0atickdeck 2"]
    assert session.account.frames == 2


def raw(stage: Stage, session: Session) -> list[bytes]:
    """The payloads of text frames, and other frames as they cross the wire."""
    wires = []
    while session.ending is None and (batch := session.take(stage.now_ns, limit=1)) is not None:
        wires.append(bytes(batch.wire))
    return [wire if wire[0] == 0x89 else split(wire)[0] for wire in wires if wire]


def test_a_frame_whose_ping_is_unsaid_is_not_delivered(tape: Cassette) -> None:
    stage = Stage(tape, speed=LOCKSTEP)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    seen = []
    while session.take(stage.now_ns, limit=1) is not None:
        seen.append(session.is_up_to(stage.now_ns))
    assert seen == [False, False, True]


def test_a_client_holds_what_it_subscribed_to_and_no_more(tape: Cassette) -> None:
    stage = Stage(tape)
    session = subscribed(stage, "T.*")
    assert (session.holds("T.*"), session.holds("T.A")) == (True, False)


def test_a_stranger_answers_no_ping_of_ours(tape: Cassette) -> None:
    assert not Stage(tape).session().ponged(b"")


@pytest.fixture
def with_gap(make: Make, story: Any) -> Cassette:
    """Frames at 0, 10 and 20, an outage from 30 to 60, frames at 60, 70 and 80; sequences 1 to 3, 6 to 8."""
    story.opens(0, 100)
    for at in (100, 110, 120):
        story.trades(0, at, "A")
    story.closes(0, 130)
    story.opens(1, 150)
    for at in (160, 170, 180):
        story.trades(1, at, "A")
    return make(story.records)


def test_a_client_loses_its_line_where_the_outage_begins_and_who_returns_keeps_it(with_gap: Cassette) -> None:
    stage = Stage(with_gap, gaps=Gaps.DISCONNECT)
    session = subscribed(stage)
    stage.advance(29)
    assert stage.heard(session) == [trade("A", 110), trade("A", 120)]
    assert session.ending is None
    assert session.wake_ns() == stage.now_ns + 1
    stage.advance(1)
    assert stage.heard(session) == []
    assert session.ending == Ending(None)
    session.left(stage.now_ns, by="server", code=None)
    again = stage.authenticated()
    stage.says(again, "subscribe", "T.A")
    stage.advance(100)
    assert stage.heard(again) == [ack(["T.A"]), trade("A", 160), trade("A", 170), trade("A", 180)]
    assert again.ending is None


@pytest.mark.parametrize("speed", [MAX, STEP, LOCKSTEP])
def test_a_line_is_lost_behind_the_same_frame_without_a_clock(with_gap: Cassette, speed: Speed) -> None:
    stage = Stage(with_gap, speed=speed, gaps=Gaps.DISCONNECT)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    heard = []
    while session.ending is None:
        heard += [payload for payload in raw(stage, session) if payload[:1] == b"["]
        session.ponged(session._ping_payload)
        if speed is STEP and session.timeline is not None:
            steering.step(session.timeline, stage.now_ns, frames=1)
        stage.advance(1)
    assert heard == [ack(["T.A"]), trade("A", 100), trade("A", 110), trade("A", 120)]


def test_who_jumps_over_an_outage_keeps_its_line_and_is_sent_nothing_from_before(with_gap: Cassette) -> None:
    stage = Stage(with_gap, gaps=Gaps.DISCONNECT)
    session = subscribed(stage)
    assert session.timeline is not None
    steering.seek(session.timeline, 65, stage.now_ns)
    stage.advance(100)
    assert stage.heard(session) == [trade("A", 170), trade("A", 180)]
    assert session.ending is None


def test_who_jumps_away_between_the_last_frame_and_an_outage_keeps_its_line(with_gap: Cassette) -> None:
    stage = Stage(with_gap, gaps=Gaps.DISCONNECT)
    session = subscribed(stage)
    stage.advance(25)
    assert session.timeline is not None
    steering.seek(session.timeline, 70, stage.now_ns)
    assert stage.heard(session) == [trade("A", 110), trade("A", 120), trade("A", 170)]
    assert session.ending is None


def test_a_stretch_that_ends_ahead_of_an_outage_does_not_come_to_it(with_gap: Cassette) -> None:
    stage = Stage(with_gap, speed=STEP, gaps=Gaps.DISCONNECT)
    session = subscribed(stage)
    assert session.timeline is not None
    steering.step(session.timeline, stage.now_ns, duration_ns=25)
    assert len(stage.heard(session)) == 3
    assert session.ending is None
    steering.step(session.timeline, stage.now_ns, duration_ns=5)
    assert stage.heard(session) == []
    assert session.ending == Ending(None)


def test_who_jumps_back_before_an_outage_loses_its_line_there_again(with_gap: Cassette) -> None:
    stage = Stage(with_gap, gaps=Gaps.DISCONNECT)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.A")
    stage.advance(SETTLE)
    assert session.timeline is not None
    steering.seek(session.timeline, 70, stage.now_ns)
    stage.heard(session)
    steering.seek(session.timeline, 20, stage.now_ns)
    assert stage.heard(session) == [trade("A", 120)]
    stage.advance(9)
    assert session.ending is None
    stage.advance(1)
    assert stage.heard(session) == []
    assert session.ending == Ending(None)


def test_each_lap_has_its_outages(with_gap: Cassette) -> None:
    stage = Stage(with_gap, gaps=Gaps.DISCONNECT, at_end=AtEnd.LOOP)
    session = subscribed(stage)
    stage.advance(65)
    stage.heard(session)
    session.left(stage.now_ns, by="server", code=None)
    again = stage.authenticated()
    stage.says(again, "subscribe", "T.A")
    stage.advance(10**6 - 65)
    assert stage.heard(again) == [ack(["T.A"]), trade("A", 170), trade("A", 180), trade("A", 100)]
    stage.advance(30)
    assert stage.heard(again) == [trade("A", 110), trade("A", 120)]
    assert again.ending == Ending(None)
    assert again.reel.cursor == cursor_of(1, 6)


def test_who_lags_behind_a_jump_still_loses_its_line_where_that_was_due(with_gap: Cassette) -> None:
    stage = Stage(with_gap, gaps=Gaps.DISCONNECT)
    session = subscribed(stage)
    stage.advance(75)
    assert session.timeline is not None
    steering.seek(session.timeline, 0, stage.now_ns)
    stage.advance(5)
    assert stage.heard(session) == [trade("A", 110), trade("A", 120)]
    assert session.ending == Ending(None)


@pytest.mark.parametrize("speed", [MAX, STEP])
def test_without_a_clock_the_tape_loops_when_the_foremost_is_through(tape: Cassette, speed: Speed) -> None:
    stage = Stage(tape, speed=speed, at_end=AtEnd.LOOP)
    session = stage.authenticated()
    stage.says(session, "subscribe", "T.C")
    stage.advance(SETTLE)
    heard = []
    while len(heard) < 4:
        if speed is STEP and session.timeline is not None:
            steering.step(session.timeline, stage.now_ns, frames=1)
        batch = session.take(stage.now_ns, limit=1)
        heard += split(bytes(batch.wire)) if batch is not None else []
    assert heard == [ack(["T.C"]), trade("C", 200), trade("C", 200), trade("C", 200)]


def test_a_tape_without_anything_for_a_client_does_not_loop(tape: Cassette) -> None:
    stage = Stage(tape, speed=MAX, at_end=AtEnd.LOOP)
    session = subscribed(stage, "T.NONE")
    assert stage.heard(session) == []
    assert session.timeline is not None
    assert session.timeline.course.leg == 0


def test_frames_are_due_on_the_lap_that_they_are_sent_of(tape: Cassette) -> None:
    stage = Stage(tape, at_end=AtEnd.LOOP)
    session = subscribed(stage, "T.C")
    start = stage.now_ns
    stage.advance(10**6 + 50)
    batch = session.take(stage.now_ns, limit=1 << 16)
    assert batch is not None
    assert (batch.frames, session.deadline(batch)) == (1, start + 100)


def test_a_stranger_is_sent_nothing_that_could_be_late(tape: Cassette) -> None:
    stage = Stage(tape)
    session = stage.session()
    batch = session.take(stage.now_ns, limit=1)
    assert batch is not None
    assert session.deadline(batch) is None


# The machine: several clients of two keys, against a model that knows nothing but positions.

APART = 10
FRAMES: list[tuple[int, list[tuple[str, bytes]]]] = [
    (
        at * APART,
        [
            (channel, f'{{"ev":"{channel[0]}","sym":"{channel[2:]}","n":{at}}}'.encode())
            for place, channel in enumerate(("T.A", "T.B", "Q.A", "Q.B"))
            if (at * 7 + at // 5) >> place & 1
        ],
    )
    for at in range(60)
    if at * 7 + at // 5 & 15
]
CHANNELS = ("T.A", "T.B", "T.*", "Q.A", "Q.*", "Q.NONE")


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


def the_tape() -> Cassette:
    records: list[Record] = [TrackOpened(0, 0, 0, "stocks")]
    for at, events in FRAMES:
        payload = b"[" + b",".join(text for _, text in events) + b"]"
        records.append(Frame(len(records), at, 0, Sender.SERVER, TEXT, payload))
    return cut_up(records, 7)


@dataclass
class ModelLine:
    """A timeline, as far as a client can see it."""

    start_ns: int | None = None
    settle_ns: int | None = None
    over: bool = False
    members: int = 0


@dataclass
class Client:
    """A session, what it said at which position, and what it heard."""

    session: Session
    line: ModelLine | None = None
    joined: int = -1
    marks: list[tuple[int, bytes | tuple[str, bool]]] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    ever_held: set[str] = field(default_factory=set)
    heard: list[bytes] = field(default_factory=list)
    left: bool = False


class Clients(RuleBasedStateMachine):
    """Whatever clients do and in whichever order: each is sent what the model says, and the counts add up."""

    clients = Bundle("clients")
    strangers = Bundle("strangers")

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(the_tape(), speed=Speed(Fraction(3, 2)), on_return=self.on_return)
        self.zero_ns = FRAMES[0][0]
        self.lines: dict[str, ModelLine] = {}
        self.all: list[Client] = []

    on_return = OnReturn.AUTO

    def position(self, line: ModelLine | None) -> int:
        if line is None or line.start_ns is None:
            return -1
        return min((self.stage.now_ns - line.start_ns) * 3 // 2, FRAMES[-1][0] - self.zero_ns)

    @rule(target=strangers)
    def connect(self) -> Client:
        client = Client(self.stage.session(), marks=[(-1, GREETING)])
        self.all.append(client)
        return client

    @rule(target=clients, client=consumes(strangers), key=st.sampled_from(["one", "two"]))
    def auth(self, client: Client, key: str) -> Client:
        line = self.lines.setdefault(key, ModelLine())
        if line.over:
            line = self.lines[key] = ModelLine()
        line.members += 1
        self.says(client, "auth", key)
        client.line, client.joined = line, self.position(line)
        client.marks.append((-1, ACCEPTED))
        self.acted(client)
        return client

    def says(self, client: Client, name: str, params: str) -> None:
        client.session.receive(action(name, params), self.stage.now_ns)

    def acted(self, client: Client, *, subscribed: bool = False) -> None:
        line = client.line
        assert line is not None
        if line.start_ns is None and (subscribed or line.settle_ns is not None):
            line.settle_ns = self.stage.now_ns + SETTLE

    @rule(client=clients, channels=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3))
    def subscribe(self, client: Client, channels: list[str]) -> None:
        new = [channel for channel in dict.fromkeys(channels) if channel not in client.held]
        if not client.left:
            self.says(client, "subscribe", ",".join(channels))
            self.takes_effect(client, new, held=True)
            client.held.update(new)
            client.ever_held.update(new)
            self.acted(client, subscribed=bool(new))

    @rule(client=clients, channels=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3))
    def unsubscribe(self, client: Client, channels: list[str]) -> None:
        gone = [channel for channel in dict.fromkeys(channels) if channel in client.held]
        if not client.left:
            self.says(client, "unsubscribe", ",".join(channels))
            self.takes_effect(client, gone, held=False)
            client.held.difference_update(gone)
            self.acted(client)

    def takes_effect(self, client: Client, channels: list[str], *, held: bool) -> None:
        if channels:
            here = self.position(client.line)
            client.marks.append((here, ack(channels, "subscribed" if held else "unsubscribed")))
            client.marks += [(here, (channel, held)) for channel in channels]

    @rule(by_ns=st.integers(0, 150))
    def advance(self, by_ns: int) -> None:
        self.stage.advance(by_ns)
        for line in self.lines.values():
            if line.settle_ns is not None and line.settle_ns <= self.stage.now_ns:
                line.start_ns, line.settle_ns = self.stage.now_ns, None

    @rule(client=clients, limit=st.integers(1, 400))
    def take_all(self, client: Client, limit: int) -> None:
        if not client.left:
            client.heard += self.stage.heard(client.session, limit=limit)
            expected = [payload for payload, _ in self.expected(client)]
            assert client.heard == expected

    @rule(client=clients, limit=st.integers(1, 400))
    def take_some(self, client: Client, limit: int) -> None:
        batch = None if client.left else client.session.take(self.stage.now_ns, limit=limit)
        if batch is not None:
            client.heard += split(batch.wire)

    @rule(client=consumes(clients), by=st.sampled_from(["client", "server"]))
    def leave(self, client: Client, by: str) -> None:
        line = client.line
        assert line is not None
        client.session.left(self.stage.now_ns, by=by, code=None)
        client.left = True
        line.members -= 1
        if not line.members:
            line.over, line.settle_ns = by == "client", None

    def expected(self, client: Client) -> list[tuple[bytes, list[str]]]:
        """What the client is to have heard by now, and the channels of what was data."""
        out: list[tuple[bytes, list[str]]] = []
        wanted: frozenset[str] = frozenset()
        marks = list(client.marks)
        for at, events in [*FRAMES, (1 << 40, [])]:
            while marks and marks[0][0] < at - self.zero_ns:
                mark = marks.pop(0)[1]
                if isinstance(mark, bytes):
                    out.append((mark, []))
                else:
                    wanted = wanted | {mark[0]} if mark[1] else wanted - {mark[0]}
            mine = [(channel, text) for channel, text in events if wants(wanted, channel)]
            if mine and client.joined < at - self.zero_ns <= self.position(client.line):
                held = [
                    name
                    for channel, _ in mine
                    for name in sorted(wanted)
                    if wants(frozenset({name}), channel)
                ]
                out.append((b"[" + b",".join(text for _, text in mine) + b"]", held))
        return out

    @invariant()
    def nobody_heard_anything_out_of_place_or_twice(self) -> None:
        for client in self.all:
            if not client.left:
                expected = [payload for payload, _ in self.expected(client)]
                assert client.heard == expected[: len(client.heard)]

    @invariant()
    def positions_agree(self) -> None:
        for client in self.all:
            if client.line is not None and not client.left and client.session.timeline is not None:
                assert client.session.timeline.position(self.stage.now_ns) == self.position(client.line)

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def count(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.all))
        session = client.session
        counts = channel_counts(session)
        assert counts.keys() == client.ever_held
        heard = self.expected(client)[: len(client.heard)]
        for channel, row in counts.items():
            on_tape = sum(wants(frozenset({channel}), name) for _, events in FRAMES for name, _ in events)
            assert row["on_tape"] == on_tape
            assert row["unrecorded"] == (channel == "Q.NONE")
            assert row["sent"] == sum(names.count(channel) for _, names in heard)
            reasons = ("before_start", "before_subscribe", "after_unsubscribe", "after_leave", "ahead")
            assert on_tape == row["sent"] + sum(row[reason] for reason in reasons)
            assert all(row[reason] >= 0 for reason in reasons)


TestClients = Clients.TestCase
TestClients.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
