"""Speed, pause, seek, step, loop, gaps, loss, return and subscriptions in any order, against a model of a page.

The model knows rows, legs and where the playhead is, as exact fractions. A client is
to hear, leg by leg, each wanted frame once and in order, with what was said to it at
its place; never one ahead of the playhead, and all that is due once it reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import floor
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tickdeck.cassette.blocks import Bytes
from tickdeck.cassette.chunkcodec import build_chunk
from tickdeck.cassette.chunks import ref_of
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.reader import Cassette, Contents
from tickdeck.cassette.records import PING, TEXT, Frame, Gap, Header, Record, Sender, TrackClosed, TrackOpened
from tickdeck.cassette.survey import SurveyTaker
from tickdeck.dialects.conversation import Conversation, Keys
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver import steering
from tickdeck.mockserver.choices import AtEnd, Gaps, OnReturn, StartOn, TimelineOf
from tickdeck.mockserver.course import leg_of, seq_of
from tickdeck.mockserver.cutter import Cutter, wants
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.playhead import Mode, parse_speed
from tickdeck.mockserver.report import channel_counts
from tickdeck.mockserver.session import Session
from tickdeck.mockserver.tape import Tapes
from tickdeck.mockserver.timeline import Timeline
from tickdeck.mockserver.timelines import Timelines

GREETING: Final = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
ACCEPTED: Final = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'
MS: Final = 1_000_000
LONG: Final = 400
"""Takes after which a client that is fed for ever (a loop at max) has read enough."""

MARKETS: Final = {0: "stocks", 1: "stocks", 2: "crypto"}
TOLD: Final[list[tuple[int, int, str]]] = [
    (0, 0, "+T.A +T.B"), (0, 2, "+XT.C"),
    (10, 0, "T.A"), (10, 0, "T.A T.B"), (10, 2, "XT.C"), (15, 1, "+T.A +Q.A"),
    (20, 0, "T.B T.A"), (20, 1, "Q.A"), (18, 0, "T.A"), (30, 1, "T.A Q.A"), (30, 2, "XT.C"), (31, 1, "T.A"),
    (40, 2, "XT.C"), (40, 0, "T.A"), (40, 0, "T.B"), (60, 0, "closes"), (70, 1, "T.A Q.A"), (80, 1, "Q.A"),
    (90, 1, "is gone until 150"), (100, 2, "XT.C"), (100, 2, "XT.C"), (120, 2, "XT.C"),
    (150, 1, "T.A"), (155, 1, "Q.A T.A"), (160, 2, "is gone until 230"), (170, 1, "T.A"),
    (240, 2, "XT.C"), (250, 1, "Q.A"), (250, 1, "T.A"), (250, 2, "XT.C"), (260, 1, "is gone until 270"),
    (280, 2, "XT.C"), (280, 1, "T.A"), (280, 1, "Q.A"),
]  # fmt: skip
"""Milliseconds, track, and what came: while track 0 is open T.A is its, whatever track 1 says of it."""


class Row(NamedTuple):
    """A frame as the model knows it: ``events`` are those on the tape."""

    seq: int
    at: int
    events: list[tuple[str, bytes]]
    payload: bytes


ROWS: Final[dict[str, list[Row]]] = {"stocks": [], "crypto": []}
GAPS: Final[dict[str, list[tuple[int, int]]]] = {"stocks": [], "crypto": []}


def tell() -> Iterator[Record]:
    """The records, and beside them ROWS and GAPS."""
    for track, market in MARKETS.items():
        yield TrackOpened(track, MS, track, market)
    for seq, (ms, track, words) in enumerate(TOLD, 3):
        at, market = ms * MS, MARKETS[track]
        names = words.split()
        if words == "closes":
            yield TrackClosed(seq, at + MS, track, Sender.SERVER, 1001)
        elif names[0] == "is":
            GAPS[market].append((at, int(names[-1]) * MS))
            yield Gap(seq, at + MS, GAPS[market][-1][1] + MS, market, "lost")
        elif words[0] == "+":
            yield Frame(seq, at + MS, track, Sender.SERVER, TEXT, ack([name[1:] for name in names]))
        else:
            events = [
                (name, f'{{"ev":"{name.split(".")[0]}","sym":"{name[-1]}","n":{seq}}}') for name in names
            ]
            payload = f"[{', '.join(text for _, text in events)}]".encode()
            on_tape = [
                (name, text.encode())
                for name, text in events
                if not (track == 1 and name == "T.A" and ms < 60)
            ]
            before = ROWS[market][-1].at if ROWS[market] else 0
            ROWS[market].append(
                Row(seq, max(before, at), on_tape, payload if len(on_tape) == len(events) else b"")
            )
            yield Frame(seq, at + MS, track, Sender.SERVER, TEXT, payload)


def ack(channels: Iterable[str], verb: str = "subscribed") -> bytes:
    said = (f'{{"ev":"status","status":"success","message":"{verb} to: {channel}"}}' for channel in channels)
    return f"[{','.join(said)}]".encode()


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


CASSETTE: Final = cut_up(list(tell()), 7)


def test_the_model_and_the_tape_agree_on_the_rows() -> None:
    for market, rows in ROWS.items():
        tape = Tapes(CASSETTE).of(market)
        views = [tape.view(number) for number in range(tape.pieces)]
        assert [(seq, at) for view in views for seq, at in zip(view.seqs, view.positions, strict=True)] == [
            (row.seq, row.at) for row in rows
        ]
        assert [(gap.start_ns, gap.end_ns) for gap in tape.gaps] == GAPS[market]


# -- the model

Place: TypeAlias = tuple[int, int]
"""The number of a leg, and how many rows of the market lie before."""

Come: TypeAlias = tuple[int, Callable[[], None]]
"""A position, and what it brings."""

NEVER: Final = 1 << 60


class Heard(NamedTuple):
    """What a client is sent, the place behind it, and for data the channels that it came through."""

    payload: bytes
    place: Place
    holding: list[str]


@dataclass
class Leg:
    """From a position to where it was left; ``ends`` are the rows by market before that (``None``: its own)."""

    begin: int
    left: int = NEVER
    ends: dict[str, int] | None = None


class Line:
    """A timeline: where it is, and why."""

    def __init__(self, options: PlayOptions, window: tuple[int, int]) -> None:
        self.options, (self.begin, self.stop) = options, window
        self.mode, self.factor, self.paused = options.speed.mode, options.speed.factor, False
        self.legs = [Leg(self.begin)]
        self.markets: set[str] = set()
        self.passed: dict[str, tuple[int, int]] = {}
        """By market, leg and position of the last loss, or of the clock when it stopped: at max no row may tell."""
        self.members: list[Client] = []
        self.over = self.finished = False
        self.released: dict[str, int] = {}
        self.place(self.begin, sent=False)

    def rows(self, market: str, at: int | Fraction) -> int:
        """How many rows of a market are played at or before a position."""
        return sum(row.at <= at and row.at < self.stop for row in ROWS[market])

    def all_of(self, market: str) -> int:
        return self.rows(market, NEVER)

    @property
    def driven(self) -> bool:
        return self.mode in (Mode.STEP, Mode.LOCKSTEP)

    @property
    def end(self) -> int:
        return max((min(ROWS[market][-1].at, self.stop) for market in self.markets), default=-1)

    @property
    def tape_end(self) -> int:
        return max(min(rows[-1].at, self.stop) for rows in ROWS.values())

    def due(self, market: str) -> int:
        if self.mode is Mode.MAX:
            return self.all_of(market)
        return self.released[market] if self.driven else self.rows(market, self.pos)

    def place(self, at: int, *, sent: bool) -> None:
        """At a position, looking ahead anew."""
        self.pos, self.quiet, self.looks_from = Fraction(at), at, at
        self.awaiting: dict[int, tuple[int, int]] = {}
        if sent:  # at another speed nothing comes again
            come = self.to_come.items()
            self.to_come = {market: [gap for gap in gaps if gap[0] > at] for market, gaps in come}
        else:
            self.to_come = {market: [gap for gap in gaps if gap[1] > at] for market, gaps in GAPS.items()}
        self.released = {market: self.rows(market, at if sent else at - 1) for market in ROWS}

    def turn(self, begin: int, left: int, ends: dict[str, int] | None) -> None:
        self.legs[-1].left, self.legs[-1].ends = left, ends
        self.legs.append(Leg(begin))
        self.place(begin, sent=False)

    # -- with a pace

    def passes(self, left: Fraction) -> None:
        """A stretch of tape passes, with all that comes on it."""
        while not self.finished:
            at, act = min([*self.skips(), *self.ends()], key=lambda come: come[0])
            if at > self.pos + left:
                break
            if at > self.pos:
                left -= at - self.pos
                self.pos = Fraction(at)
            act()
        self.pos += left

    def frames(self, behind: int) -> list[int]:
        played = (row.at for market in self.markets for row in ROWS[market][: self.all_of(market)])
        return sorted(at for at in played if at > behind)

    def skips(self) -> Iterator[Come]:
        for market in sorted(self.markets):
            if gaps := self.to_come[market]:
                start = max(gaps[0][0], self.quiet)  # no moment is left out twice
                to = min([gaps[0][1], *self.frames(start)[:1]]) if self.options.gaps is Gaps.SKIP else start
                yield start, partial(self.skip, start, to, market)
        cap = self.options.idle_cap_ns
        for here, ahead in pairwise([self.quiet, *self.frames(self.quiet)]) if cap is not None else ():
            if ahead - here > cap:
                yield here + cap, partial(self.skip, here + cap, ahead, None)
                return

    def skip(self, start: int, to: int, market: str | None) -> None:
        if market is not None:
            del self.to_come[market][0]
        if to > start:
            self.pos += to - start
            self.quiet = max(self.quiet, to)

    def ends(self) -> Iterator[Come]:
        if self.options.at_end is AtEnd.LOOP:
            end = max(self.end, self.begin + MS)
            yield end, partial(self.lap, end)
        else:
            yield max(self.end, self.looks_from), partial(setattr, self, "finished", True)

    def lap(self, end: int) -> None:
        beyond = self.pos - end
        self.turn(self.begin, NEVER - 1, {market: self.all_of(market) for market in ROWS})
        self.pos += beyond

    # -- by hand, and by pongs

    def readers(self) -> list[Client]:
        """Who wants anything, and has not lost its line."""
        return [client for client in self.members if client.held and not client.is_lost()]

    def next_row(self) -> Row | None:
        """The next frame that anybody is sent; of the tape, where nobody wants anything."""
        if readers := self.readers():
            coming = [row for client in readers for row in client.coming()[:1]]
        else:
            markets = self.markets or set(ROWS)
            coming = [row for name in markets for row in ROWS[name][self.due(name) : self.all_of(name)][:1]]
        return min(coming, key=lambda row: row.seq, default=None)

    def release(self) -> Row | None:
        """The next frame goes, or, if an outage comes before it, nothing; without either, the rest of the tape."""
        row = self.next_row()
        losses = [loss for client in self.readers() if (loss := client.loss()) and row and loss[2] <= row.seq]
        if losses:
            self.go_to(min(losses, key=lambda loss: loss[2])[1])
            return None
        if row is not None:
            self.go_to(row.at, row)
        elif (
            self.pos < self.end
            or self.stop < NEVER
            or any(self.due(market) < self.all_of(market) for market in self.markets)
        ):
            self.go_to(self.end)
        return row

    def go_to(self, at: int, row: Row | None = None) -> None:
        """There at once: what is skipped on the way does not take it further."""
        self.pos = here = max(self.pos, Fraction(at))
        for market, rows in ROWS.items():
            before = self.rows(market, here) if row is None else sum(each.seq <= row.seq for each in rows)
            self.released[market] = max(self.released[market], min(before, self.all_of(market)))
        while (
            not self.driven
            and (come := min(self.skips(), key=itemgetter(0), default=None))
            and come[0] <= here
        ):
            come[1]()
            self.pos = here

    def tick(self, now_ns: int) -> None:
        """Lockstep: the next one when nobody is waited for."""
        if self.mode is not Mode.LOCKSTEP:
            return
        self.awaiting = {who: wait for who, wait in self.awaiting.items() if now_ns < wait[1]}
        if self.paused or self.awaiting or not (readers := self.readers()):
            return
        until = now_ns + 10_000 * MS
        first = {client.session.number: client.coming()[:1] for client in readers}
        if (row := self.release()) is not None:
            self.awaiting = {who: (row.seq, until) for who, coming in first.items() if coming == [row]}


@dataclass(eq=False, repr=False)
class Client:
    """A session, what was said to it where, and what it heard."""

    session: Session
    line: Line
    market: str
    joined: Place
    spared: int
    """Outages up to this position of its first leg are none of its business."""
    marks: list[tuple[Place, bytes | tuple[str, bool]]] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    ever_held: set[str] = field(default_factory=set)
    turned: dict[int, int] = field(default_factory=dict)
    heard: list[bytes] = field(default_factory=list)
    ping: tuple[bytes, Place] | None = None
    """Not answered yet: its payload, and leg and sequence of what was heard before."""
    left: bool = False
    reach: list[Heard] = field(default_factory=list)
    """What it had heard when it left."""

    def __repr__(self) -> str:
        return f"client {self.session.number} of {self.market}"

    def loss(self) -> tuple[Place, int, int] | None:
        """The first outage on its way: its place, its position, and the sequence behind it."""
        if self.line.options.gaps is Gaps.DISCONNECT:
            for number in range(self.joined[0], len(self.line.legs)):
                leg = self.line.legs[number]
                begin = self.spared if number == self.joined[0] else leg.begin
                for start, _ in GAPS[self.market]:
                    if begin < start < self.line.stop and (
                        start <= leg.left or number == len(self.line.legs) - 1
                    ):
                        behind = [row.seq for row in ROWS[self.market] if row.at > start]
                        return (number, self.line.rows(self.market, start)), start, min(behind, default=NEVER)
        return None

    def is_lost(self) -> bool:
        """Whether that has come; at max it comes when the client does."""
        loss = self.loss()
        if loss is None:
            return False
        return loss[0][0] < len(self.line.legs) - 1 or (
            self.line.mode is not Mode.MAX and loss[1] <= self.line.pos
        )

    def coming(self) -> list[Row]:
        """The rows that it is to be sent and that are not due yet."""
        held, line = frozenset(self.held), self.line
        ahead = ROWS[self.market][line.due(self.market) : line.all_of(self.market)]
        return [row for row in ahead if any(wants(held, name) for name, _ in row.events)]

    def expected(self, *, full: bool = False) -> list[Heard]:
        """All that is for it by now; with ``full``, to the end of the tape."""
        out: list[Heard] = []
        wanted: frozenset[str] = frozenset()
        marks = list(self.marks)
        loss = self.loss()
        for place, row in self._way(full=full):
            while marks and marks[0][0] <= place:
                at, mark = marks.pop(0)
                if isinstance(mark, bytes):
                    out.append(Heard(mark, at, []))
                else:
                    wanted = wanted | {mark[0]} if mark[1] else wanted - {mark[0]}
            if loss is not None and place >= loss[0]:
                break
            if row is not None and (mine := [event for event in row.events if wants(wanted, event[0])]):
                whole = row.payload if len(mine) == len(row.events) else b""
                cut = b"[" + b",".join(text for _, text in mine) + b"]"
                holding = [one for name, _ in mine for one in sorted(wanted) if wants(frozenset({one}), name)]
                out.append(Heard(whole or cut, (place[0], place[1] + 1), holding))
        return out

    def _way(self, *, full: bool) -> Iterator[tuple[Place, Row | None]]:
        for number in range(self.joined[0], len(self.line.legs)):
            leg, last = self.line.legs[number], number == len(self.line.legs) - 1
            start = self.joined[1] if number == self.joined[0] else self.line.rows(self.market, leg.begin - 1)
            if last:
                end = self.line.all_of(self.market) if full else self.line.due(self.market)
            else:
                end = self.turned.get(number, start) if leg.ends is None else leg.ends[self.market]
            yield from (((number, row), ROWS[self.market][row]) for row in range(start, end))
            yield (number, max(start, end)), None

    def came_to(self) -> Place:
        """Behind the last row that it heard, and behind all that is still to be said to it."""
        heard = [each.place for each in self.expected(full=True)[: len(self.heard)] if each.holding]
        return max([self.joined, *heard[-1:], *(place for place, _ in self.marks)])


# -- the machine

SPEEDS: Final = ("1", "3/2", "7.3", "1/3", "max", "step", "lockstep")
WANTS: Final = {"stocks": ("T.A", "T.B", "T.*", "Q.A", "Q.NONE"), "crypto": ("XT.C", "XT.*", "XT.NONE")}
WINDOWS: Final = ((0, NEVER), (0, NEVER), (0, NEVER), (25 * MS, 250 * MS), (95 * MS, NEVER))


class Playing(RuleBasedStateMachine):
    """Clients, and a hand at the deck."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[Timeline, Line] = {}
        self.clients: list[Client] = []
        self.gone: list[Client] = []

    @initialize(
        speed=st.sampled_from(SPEEDS),
        at_end=st.sampled_from([AtEnd.HOLD, AtEnd.LOOP]),
        gaps=st.sampled_from(Gaps),
        cap=st.sampled_from([None, None, 25 * MS]),
        on_return=st.sampled_from(OnReturn),
        of=st.sampled_from(TimelineOf),
        window=st.sampled_from(WINDOWS),
    )
    def opens(
        self,
        speed: str,
        at_end: AtEnd,
        gaps: Gaps,
        cap: int,
        on_return: OnReturn,
        of: TimelineOf,
        window: Any,
    ) -> None:
        self.options = PlayOptions(
            speed=parse_speed(speed), start_on=StartOn.AUTH, at_end=at_end, gaps=gaps, idle_cap_ns=cap,
            on_return=on_return, timeline=of,
        )  # fmt: skip
        self.tapes, self.window = Tapes(CASSETTE), window
        if window != (0, NEVER):
            self.tapes.cut_to(window[0], None if window[1] == NEVER else window[1])
        self.timelines = Timelines(self.options, self.tapes)
        self.cutters = {market: Cutter(self.tapes.of(market)) for market in ROWS}
        self.now_ns = 1_000
        self.number = 0

    # -- the clock

    @rule(ms=st.one_of(st.integers(0, 60), st.integers(0, 400)), odd=st.sampled_from([0, 0, 1, 333_333]))
    def time_passes(self, ms: int, odd: int) -> None:
        self._passes(ms * MS + odd)

    @rule()
    def patience_ends(self) -> None:
        laps = self.options.at_end is AtEnd.LOOP and any(
            line.mode is Mode.PACED for line in self.lines.values()
        )
        self._passes((300 if laps else 10_001) * MS)

    def _passes(self, by_ns: int) -> None:
        self.now_ns += by_ns
        for timeline, line in self.lines.items():
            if line.mode is Mode.PACED and not line.paused:
                line.passes(by_ns * line.factor)
            self._look(timeline)

    def _look(self, timeline: Timeline) -> None:
        timeline.tick(self.now_ns)
        self.lines[timeline].tick(self.now_ns)

    def _settle(self, line: Line) -> None:
        """What a pace comes to without time passing."""
        if line.mode is Mode.PACED:
            line.passes(Fraction(0))

    # -- clients

    @precondition(lambda self: len(self.clients) < 3)
    @rule(key=st.sampled_from(["one", "two"]), market=st.sampled_from(sorted(ROWS)))
    def comes(self, key: str, market: str) -> None:
        self.number += 1
        conversation = Conversation(POLYGON.wording(None, {}), market=market, keys=Keys())
        cutter = self.cutters[market]
        session = Session(self.number, conversation, market=market, cutter=cutter, timelines=self.timelines)
        session.open(self.now_ns)
        entries = session.receive(json.dumps({"action": "auth", "params": key}).encode(), self.now_ns)
        timeline = session.timeline
        assert timeline is not None
        line = self.lines.get(timeline)
        if line is None or line.over:
            options = self.options if line is None else line.options  # a speed that was set stays
            line = self.lines[timeline] = Line(options, self.window)
        line.markets.add(market)
        (cursor,) = [entry.cursor for entry in entries if entry.kind == "authenticated"]
        assert cursor is not None
        joined = self._place(line, market, cursor)
        client = Client(session, line, market, joined, self._spared(line, market, joined))
        client.marks = [(joined, GREETING), (joined, ACCEPTED)]
        line.members.append(client)
        self.clients.append(client)
        self._look_again(timeline, line)

    def _place(self, line: Line, market: str, cursor: int) -> Place:
        """Where something took effect: with a pace or by steps just at what is due; at max where the engine says."""
        rows = sum(row.seq < seq_of(cursor) for row in ROWS[market])
        place = (
            leg_of(cursor),
            min(max(rows, line.rows(market, line.legs[leg_of(cursor)].begin - 1)), line.all_of(market)),
        )
        if line.mode is not Mode.MAX:
            begins = line.rows(market, line.legs[-1].begin - 1)
            assert place == (len(line.legs) - 1, max(line.due(market), begins))
        return place

    def _spared(self, line: Line, market: str, joined: Place) -> int:
        if line.mode is not Mode.MAX:
            return floor(line.pos)
        leg, passed = line.passed.get(market, (-1, -1))
        here = ROWS[market][joined[1] - 1].at if joined[1] else -1
        return max(line.legs[joined[0]].begin, here, passed if leg == joined[0] else -1)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), held=st.sampled_from([True, True, False]))
    def asks(self, data: st.DataObject, held: bool) -> None:
        client = data.draw(st.sampled_from(self.clients))
        names = data.draw(
            st.lists(st.sampled_from(WANTS[client.market]), min_size=1, max_size=3, unique=True)
        )
        params = {"action": "subscribe" if held else "unsubscribe", "params": ",".join(names)}
        entries = client.session.receive(json.dumps(params).encode(), self.now_ns)
        changed = [name for name in names if (name in client.held) is not held]
        if changed:
            cursor = entries[-1].cursor
            assert cursor is not None
            place = self._place(client.line, client.market, cursor)
            client.marks.append((place, ack(changed, "subscribed" if held else "unsubscribed")))
            client.marks += [(place, (name, held)) for name in changed]
            client.held = client.held | set(changed) if held else client.held - set(changed)
            client.ever_held.update(client.held)
        self._look(self._timeline(client))

    def _timeline(self, client: Client) -> Timeline:
        assert client.session.timeline is not None
        return client.session.timeline

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), limit=st.sampled_from([60, 1_000]), answers=st.booleans())
    def reads_all(self, data: st.DataObject, limit: int, answers: bool) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self._reads(client, limit, answers=answers)

    def _reads(self, client: Client, limit: int, *, answers: bool) -> None:
        for_ever = client.line.mode is Mode.MAX and self.options.at_end is AtEnd.LOOP
        takes = 0
        while self._takes(client, limit):
            takes += 1
            if for_ever and takes == LONG:
                return
        if client.left:
            return
        self._has_read(client)
        if answers:
            self._answers(client)
        self._look(self._timeline(client))

    def _has_read(self, client: Client) -> None:
        line, free = client.line, client.line.mode is Mode.MAX
        if not (free and line.paused):
            assert client.heard == [each.payload for each in client.expected()]
        assert not client.is_lost()
        if free and client.held and not line.paused:
            assert client.loss() is None
        if client.session.number in line.awaiting and line.awaiting[client.session.number][
            0
        ] < self._heard_seq(client):
            assert client.ping is not None

    def _heard_seq(self, client: Client) -> int:
        """Behind the last row that it heard on this leg."""
        number, rows = client.came_to()
        heard = [row.seq for row in ROWS[client.market][:rows]] if number == len(client.line.legs) - 1 else []
        return heard[-1] + 1 if heard else 0

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), limit=st.sampled_from([1, 60]))
    def reads_a_little(self, data: st.DataObject, limit: int) -> None:
        self._takes(data.draw(st.sampled_from(self.clients)), limit)

    def _takes(self, client: Client, limit: int) -> bool:
        """One batch; whether there may be more."""
        session, line, timeline = client.session, client.line, self._timeline(client)
        heard, before = list(client.heard), client.expected(full=True)
        batch = session.take(self.now_ns, limit=limit)
        while len(line.legs) <= timeline.course.leg:
            self._lapped(client, heard == [each.payload for each in before])
        if batch is None:
            return False
        for opcode, payload in split(bytes(batch.wire)):
            if opcode == PING:
                client.ping = payload, (len(line.legs) - 1, self._heard_seq(client))
            else:
                client.heard.append(payload)
        if batch.ending is not None:
            self._lost(client)
        return not client.left

    def _lapped(self, client: Client, complete: bool) -> None:
        """Without a clock, the foremost client was through: it had heard all of the lap."""
        line = client.line
        assert self.options.at_end is AtEnd.LOOP
        assert complete
        if line.mode is not Mode.MAX:
            assert all(line.due(market) == line.all_of(market) for market in line.markets)
        line.turn(line.begin, NEVER - 1, {market: line.all_of(market) for market in ROWS})

    def _lost(self, client: Client) -> None:
        """An outage took its line, behind all that came before."""
        line, loss = client.line, client.loss()
        assert loss is not None
        assert client.is_lost() or line.mode is Mode.MAX
        line.passed[client.market] = max(line.passed.get(client.market, (0, -1)), (loss[0][0], loss[1]))
        due = client.expected(full=True)
        assert client.heard == [each.payload for each in due[: len(client.heard)]]
        assert not any(each.holding for each in due[len(client.heard) :])
        self._leaves(client, "server")

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def answers(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self._answers(client)
        self._look(self._timeline(client))

    def _answers(self, client: Client) -> None:
        if client.ping is not None:
            (payload, heard), client.ping = client.ping, None
            client.session.ponged(payload)
            awaited = client.line.awaiting.get(client.session.number)
            if awaited is not None and (len(client.line.legs) - 1, awaited[0]) < heard:
                del client.line.awaiting[client.session.number]

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), by=st.sampled_from(["client", "server"]))
    def leaves(self, data: st.DataObject, by: str) -> None:
        self._leaves(data.draw(st.sampled_from(self.clients)), by)

    def _leaves(self, client: Client, by: str) -> None:
        line, timeline = client.line, self._timeline(client)
        line.tick(self.now_ns)
        client.session.left(self.now_ns, by=by, code=None)
        client.left = True
        self.clients.remove(client)
        self.gone.append(client)
        client.reach = client.expected(full=True)[: len(client.heard)]
        line.members.remove(client)
        line.awaiting.pop(client.session.number, None)
        line.tick(self.now_ns)
        if not line.members:
            policy = self.options.on_return
            line.over = policy is OnReturn.REWIND or (policy is OnReturn.AUTO and by == "client")
        self._look(timeline)

    # -- the hand at the deck

    def _one(self, data: st.DataObject) -> tuple[Timeline, Line]:
        timeline = data.draw(st.sampled_from([*self.lines]))
        line = self.lines[timeline]
        if line.mode is Mode.PACED:
            line.pos = Fraction(floor(line.pos))  # what is done to a tape is done at a whole nanosecond
        return timeline, line

    @precondition(lambda self: self.lines)
    @rule(data=st.data(), stands=st.booleans())
    def pauses_or_goes_on(self, data: st.DataObject, stands: bool) -> None:
        timeline, line = self._one(data)
        (steering.pause if stands else steering.resume)(timeline, self.now_ns)
        line.paused = stands
        self._look(timeline)

    @precondition(lambda self: self.lines)
    @rule(data=st.data(), speed=st.sampled_from(SPEEDS))
    def another_speed(self, data: st.DataObject, speed: str) -> None:
        timeline, line = self._one(data)
        wanted, before = parse_speed(speed), line.mode
        if before is Mode.MAX:
            here = timeline.position(self.now_ns)
            assert all(self._at(client) <= here for client in line.members)
            assert line.begin <= here <= max(line.end, line.legs[-1].begin)
            line.pos = Fraction(here)
        was_driven, here = line.driven, floor(line.pos)
        for market in line.markets if before is not Mode.MAX else ():
            line.passed[market] = max(line.passed.get(market, (0, -1)), (len(line.legs) - 1, here))
        steering.set_speed(timeline, wanted, self.now_ns)
        line.mode, line.factor = wanted.mode, wanted.factor
        line.options = replace(line.options, speed=wanted)
        if was_driven and line.driven:
            line.awaiting = {}
        elif not before is line.mode is Mode.PACED:
            line.place(here, sent=True)
        self._look_again(timeline, line)

    def _at(self, client: Client) -> int:
        number, rows = client.came_to()
        reached = rows if number == len(client.line.legs) - 1 else 0
        return ROWS[client.market][reached - 1].at if reached else 0

    def _look_again(self, timeline: Timeline, line: Line) -> None:
        self._settle(line)
        self._look(timeline)

    @precondition(lambda self: self.lines)
    @rule(data=st.data(), ms=st.integers(0, 300))
    def seeks(self, data: st.DataObject, ms: int) -> None:
        timeline, line = self._one(data)
        free = line.mode is Mode.MAX
        for client in line.members if free else ():
            number, rows = client.came_to()
            if number == len(line.legs) - 1:
                client.turned[number] = rows
        ends = None if free else {market: line.due(market) for market in ROWS}
        steering.seek(timeline, ms * MS, self.now_ns)
        line.finished = False
        line.turn(max(min(ms * MS, line.tape_end + 1), line.begin), -1 if free else floor(line.pos), ends)
        self._look_again(timeline, line)

    @precondition(lambda self: self.lines)
    @rule(data=st.data(), frames=st.integers(1, 3), stand=st.booleans())
    def steps(self, data: st.DataObject, frames: int, stand: bool) -> None:
        timeline, line = self._one(data)
        if line.mode is Mode.MAX:
            with pytest.raises(UsageError, match="cannot be stepped"):
                steering.step(timeline, self.now_ns, frames=frames, stand=stand)
            return
        stand = (
            stand or line.pos >= line.end
        )  # where nothing is left to let go, only a pause sets a new anchor
        line.paused = line.paused or (stand and not line.driven)
        gone = 0
        while gone < frames and line.release() is not None:
            gone += 1
        assert steering.step(timeline, self.now_ns, frames=frames, stand=stand) == gone
        self._look_again(timeline, line)

    @precondition(lambda self: self.lines)
    @rule(data=st.data(), ms=st.integers(1, 80), stand=st.booleans())
    def bursts(self, data: st.DataObject, ms: int, stand: bool) -> None:
        timeline, line = self._one(data)
        if line.mode is Mode.MAX:
            return
        line.paused = line.paused or (stand and not line.driven)
        steering.step(timeline, self.now_ns, duration_ns=ms * MS, stand=stand)
        here = floor(line.pos)
        target = max(min(here + ms * MS, line.tape_end), here)  # no further than the tape goes
        if line.driven:
            line.go_to(target)
        else:
            line.pos = Fraction(here)
            line.passes(Fraction(target - here))
        self._look_again(timeline, line)

    # -- what holds all the time

    @invariant()
    def everybody_heard_what_is_its_own_in_order_and_nothing_early(self) -> None:
        for client in self.clients:
            due = [each.payload for each in client.expected()]
            assert client.heard == due[: len(client.heard)]

    @invariant()
    def the_tape_is_where_the_model_is(self) -> None:
        for timeline, line in self.lines.items():
            assert timeline.course.leg == len(line.legs) - 1
            if line.mode is not Mode.MAX:
                assert timeline.elapsed(self.now_ns) == floor(line.pos)
                if self.options.at_end is not AtEnd.LOOP:
                    assert timeline.position(self.now_ns) <= max(line.tape_end, timeline.course.begin_ns)
                for market in ROWS:
                    due = seq_of(timeline.due_on(self.tapes.of(market), self.now_ns))
                    assert sum(row.seq < due for row in ROWS[market]) >= line.due(market)

    @precondition(lambda self: self.clients or self.gone)
    @rule(data=st.data())
    def counts(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from([*self.clients, *self.gone]))
        counts = channel_counts(client.session)
        assert counts.keys() == client.ever_held
        heard = client.reach if client.left else client.expected()[: len(client.heard)]
        for channel, row in counts.items():
            assert row["sent"] == sum(each.holding.count(channel) for each in heard)
            reasons = ("before_start", "before_subscribe", "after_unsubscribe", "after_leave", "ahead")
            assert row["on_tape"] == row["sent"] + sum(row[reason] for reason in reasons)
            assert all(row[reason] >= 0 for reason in reasons)


def split(wire: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of unmasked frames below 64 KiB."""
    while wire:
        start, length = (4, int.from_bytes(wire[2:4], "big")) if wire[1] == 126 else (2, wire[1])
        yield wire[0] & 15, wire[start : start + length]
        wire = wire[start + length :]


TestPlaying = Playing.TestCase
TestPlaying.settings = settings(max_examples=120, stateful_step_count=40, derandomize=True)


# -- by hand: what the machine, or a look at it, has found


class Drawn:
    """Values for a rule to draw, one after the other."""

    def __init__(self, values: Iterable[object]) -> None:
        self._values = iter(values)

    def draw(self, strategy: object) -> Any:
        return next(self._values)


class Hand(Playing):
    """The machine's rules, called by a test; what holds all the time is looked at after each."""

    def __init__(self, speed: str, **options: Any) -> None:
        super().__init__()
        usual = {"at_end": AtEnd.HOLD, "gaps": Gaps.SILENCE, "cap": None, "on_return": OnReturn.AUTO}
        self.opens(speed=speed, of=TimelineOf.KEY, window=(0, NEVER), **{**usual, **options})

    def does(self, verb: str, *drawn: object, **parts: Any) -> None:
        getattr(self, verb)(*([Drawn(drawn)] if drawn else []), **parts)
        self.everybody_heard_what_is_its_own_in_order_and_nothing_early()
        self.the_tape_is_where_the_model_is()

    def client(self, market: str, *wanted: str) -> Client:
        self.does("comes", key="one", market=market)
        client = self.clients[-1]
        self.reads(client)
        self.does("asks", client, list(wanted), held=True)
        return client

    def reads(self, client: Client) -> None:
        if not client.left:
            self.does("reads_all", client, limit=60, answers=True)

    def deck(self, verb: str, **parts: Any) -> None:
        self.does(verb, self.timeline, **parts)

    @property
    def timeline(self) -> Timeline:
        (timeline,) = self.lines
        return timeline

    @property
    def position(self) -> int:
        return self.timeline.position(self.now_ns)


def test_a_client_that_holds_nothing_for_a_moment_does_not_send_the_tape_to_its_end() -> None:
    hand = Hand("lockstep")
    client = hand.client("stocks", "T.A")
    hand.reads(client)
    here = hand.position
    hand.does("asks", client, ["T.A"], held=False)
    assert hand.position == here
    hand.does("asks", client, ["T.B"], held=True)
    hand.reads(client)
    hand.reads(client)
    assert b'"T","sym":"B"' in client.heard[-1]


def test_a_stepped_tape_ends_though_its_last_frame_is_at_the_position_of_the_last_one_wanted() -> None:
    hand = Hand("step")
    client = hand.client("stocks", "T.A")
    for _ in range(15):
        hand.deck("steps", frames=1, stand=True)
    hand.reads(client)
    assert hand.timeline.finished


def test_a_stepped_tape_begins_anew_when_it_has_ended_for_every_market() -> None:
    hand = Hand("step", at_end=AtEnd.LOOP)
    crypto, stocks = hand.client("crypto", "XT.C"), hand.client("stocks", "Q.A")
    while hand.timeline.course.leg == 0:
        hand.deck("steps", frames=1, stand=True)
        hand.reads(crypto)
        hand.reads(stocks)
    assert stocks.heard == [each.payload for each in stocks.expected()]


def test_at_max_a_tape_that_had_nothing_for_a_client_begins_anew_once_it_wants_something() -> None:
    hand = Hand("max", at_end=AtEnd.LOOP)
    client = hand.client("stocks", "Q.NONE")
    hand.reads(client)
    assert hand.timeline.course.leg == 0
    hand.does("asks", client, ["T.B"], held=True)
    hand.reads(client)
    assert hand.timeline.course.leg > 1


def test_what_a_client_says_in_a_pause_at_max_is_acknowledged() -> None:
    hand = Hand("1")
    client = hand.client("stocks", "T.B")
    hand.does("time_passes", ms=50, odd=0)
    hand.deck("another_speed", speed="max")
    hand.deck("pauses_or_goes_on", stands=True)
    hand.does("asks", client, ["T.A"], held=True)
    hand.reads(client)
    assert client.heard[-1] == ack(["T.A"])


@pytest.mark.parametrize(("cap", "gaps"), [(25 * MS, Gaps.SILENCE), (None, Gaps.SKIP)])
def test_a_step_over_a_stretch_that_is_left_out_goes_to_the_next_frame_and_no_further(
    cap: int | None, gaps: Gaps
) -> None:
    hand = Hand("1", cap=cap, gaps=gaps)
    hand.client("stocks", "T.A")
    while hand.position < 90 * MS:
        hand.deck("steps", frames=1, stand=True)
    assert hand.position == 150 * MS


def test_in_lockstep_only_the_pong_to_a_ping_behind_the_frame_lets_the_next_one_go() -> None:
    hand = Hand("1")
    client = hand.client("stocks", "T.A")
    hand.does("time_passes", ms=25, odd=0)
    hand.deck("another_speed", speed="lockstep")
    while client.ping is None:
        hand.does("reads_a_little", client, limit=1)
    assert client.heard == [each.payload for each in client.expected()]
    hand.deck("seeks", ms=0)
    hand.does("answers", client)
    due = seq_of(hand.timeline.due_on(hand.tapes.of("stocks"), hand.now_ns))
    assert due == ROWS["stocks"][0].seq + 1


@pytest.mark.parametrize("speed", ["1", "max", "step", "lockstep"])
def test_a_seek_moves_the_outage_that_a_client_is_lost_at(speed: str) -> None:
    hand = Hand(speed, gaps=Gaps.DISCONNECT)
    client = hand.client("stocks", "T.A")
    hand.does("time_passes", ms=15, odd=0)
    hand.deck("seeks", ms=10)
    assert not client.left
    for _ in range(20):
        hand.reads(client)
        hand.does("time_passes", ms=5, odd=0)
        if speed == "step":
            hand.deck("steps", frames=1, stand=True)
    assert client.left


@pytest.mark.parametrize("speed", ["1", "max", "step", "lockstep"])
def test_who_returns_from_an_outage_has_every_frame_behind_it_once(speed: str) -> None:
    hand = Hand(speed, gaps=Gaps.DISCONNECT)
    heard: list[bytes] = []
    for _ in range(3):
        client = hand.client("stocks", "T.A")
        for _ in range(60):
            hand.reads(client)
            if not client.left:
                hand.does("time_passes", ms=5, odd=0)
                if speed == "step":
                    hand.deck("steps", frames=1, stand=True)
        heard += [text for text in client.heard if b"status" not in text]
    assert len(heard) == len(set(heard)) == sum("T.A" in dict(row.events) for row in ROWS["stocks"])


def test_a_client_that_lags_loses_its_line_though_it_said_something_since() -> None:
    hand = Hand("1", gaps=Gaps.DISCONNECT)
    client = hand.client("stocks", "T.A")
    hand.does("time_passes", ms=200, odd=0)
    hand.does("asks", client, ["T.B"], held=True)
    hand.reads(client)
    assert client.left


def test_after_a_seek_at_max_what_a_client_was_sent_still_counts() -> None:
    hand = Hand("max")
    client = hand.client("stocks", "T.A")
    hand.reads(client)
    hand.deck("seeks", ms=100)
    hand.does("counts", client)
    hand.reads(client)
    hand.does("counts", client)


def test_where_playing_was_told_to_stop_is_the_end_whoever_asks_first() -> None:
    tapes = Tapes(CASSETTE)
    tapes.cut_to(0, 251 * MS)
    assert tapes.of("crypto").recorded_end_ns == 280 * MS
    assert tapes.of("crypto").end_ns == 251 * MS
