"""A run read back from its cassette: what each client did, and where on the tape it was then.

The other side of `tickdeck.mockserver.minutes`. Cursors are those of the server that
was: legs count from the start of a playback, and each playback (a timeline in one of
its runs) has legs of its own.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypeAlias

from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import Anchor, Frame, Record, Sender, TrackOpened
from tickdeck.dialects.jsontext import Json, JsonObject
from tickdeck.mockserver.course import Course, EndOf, cursor_of
from tickdeck.mockserver.minutes import DESK, VERSION
from tickdeck.mockserver.playhead import Line
from tickdeck.mockserver.tape import Tape

Playback: TypeAlias = tuple[int, int]
"""Number of a timeline, and its run."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something happened: when on the run's own cassette, and where on the tape."""

    at_ns: int
    cursor: int
    position_ns: int | None


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of a client, and where it took effect."""

    opcode: int
    payload: bytes
    place: Place


@dataclass(slots=True)
class Held:
    """A channel was wanted from one place to another (``None``: to the end)."""

    channel: str
    since: Place
    until: Place | None = None


class Marks:
    """How far a client had come, now and then; three numbers a mark."""

    def __init__(self) -> None:
        self._legs, self._seqs, self._times = array("q"), array("q"), array("q")

    def add(self, leg: int, seq: int, at_ns: int) -> None:
        """By then everything before the cursor had been sent."""
        self._legs.append(leg)
        self._seqs.append(seq)
        self._times.append(at_ns)

    def around(self, cursor: int) -> tuple[int | None, int | None]:
        """The last time at which the frame at a cursor was known not to be sent, and the first at which it was."""
        at = bisect_right(range(len(self._legs)), cursor, key=self._cursor)
        before = self._times[at - 1] if at else None
        return before, self._times[at] if at < len(self._times) else None

    @property
    def last(self) -> int:
        """The furthest cursor; 0 without any mark."""
        return self._cursor(len(self._legs) - 1) if self._legs else 0

    def _cursor(self, at: int) -> int:
        return cursor_of(self._legs[at], self._seqs[at])


@dataclass(slots=True)
class ClientRun:
    """What became of one client. ``turned`` is by leg the sequence at which it turned by itself (at max)."""

    number: int
    market: str
    connected: Place
    heard: list[Heard] = field(default_factory=list)
    joined: Place | None = None
    playback: Playback | None = None
    held: list[Held] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    turned: dict[int, int] = field(default_factory=dict)
    left: Place | None = None
    left_by: str = ""
    left_code: int | None = None
    stopped: bool = False
    """Whether it left because the run ended."""
    slow: bool = False

    @property
    def reached(self) -> int:
        """The cursor that it came to: everything before it was sent or not wanted."""
        return self.marks.last if self.left is None else self.left.cursor


@dataclass(frozen=True, slots=True)
class RequestRun:
    """One request, when it was answered, and by what: the sequence of a recording, a stub, or neither.

    ``sentence`` and ``ignore`` are those of a miss, ``variant`` says how the recording was made differently.
    """

    at_ns: int
    method: str
    url: str
    position_ns: int | None = None
    status: int | None = None
    recording: int | None = None
    stub: bool = False
    variant: str = ""
    sentence: str = ""
    ignore: tuple[str, ...] = ()


@dataclass(slots=True)
class PlaybackRun:
    """The legs of one playback: where each began and ended, and the lines its playhead was on."""

    begins: list[int]
    ends: list[Mapping[str, int]] = field(default_factory=list)
    lines: list[tuple[int, Line]] = field(default_factory=list)
    speed: str = ""

    def course(self, turned: Mapping[int, int]) -> Course:
        """The legs, for a client that turned where it turned."""
        course = Course(self.begins[0])
        for leg, ends in enumerate(self.ends):
            course.turn(self.begins[leg + 1], end=_end(ends, turned.get(leg)), left_ns=-1)
        return course

    def due_ns(self, leg: int, position_ns: int) -> int | None:
        """When, on the run's cassette, a position was due; ``None`` where no clock moved the tape."""
        fitting = (line for on, line in reversed(self.lines) if on == leg and line.from_ns <= position_ns)
        line = next(fitting, None)
        return None if line is None else line.deadline(position_ns)


def _end(ends: Mapping[str, int], turned: int | None) -> EndOf:
    def end(tape: Tape) -> int:
        return ends.get(tape.market, 0) if turned is None else turned

    return end


class Facts:
    """One line of the desk's track, asked by name; FormatError for what is not as it should be."""

    def __init__(self, values: JsonObject) -> None:
        self.values = values

    def integer(self, name: str) -> int:
        """A number that must be there."""
        value = self.maybe(name)
        if value is None:
            raise FormatError(f"a line {self.text('kind')} of the run has no {name}")
        return value

    def maybe(self, name: str) -> int | None:
        """A number, if it is there."""
        value = self.values.get(name)
        return value if isinstance(value, int) else None

    def text(self, name: str) -> str:
        """A text; empty if it is not there."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self.values.get(name)
        return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

    def numbers(self, name: str) -> dict[str, int]:
        """Numbers by name."""
        value = self.values.get(name)
        pairs = value.items() if isinstance(value, dict) else ()
        return {key: number for key, number in pairs if isinstance(number, int)}

    def place(self, at_ns: int) -> Place:
        """Where it happened."""
        return Place(at_ns, cursor_of(self.integer("leg"), self.integer("seq")), self.maybe("position_ns"))


def is_run(cassette: Readable) -> bool:
    """Whether this is the journal of a run, and no tape."""
    return any(track.market == DESK for track in cassette.survey.tracks.values())


class Rundown:
    """A whole run. UsageError for a cassette that is none."""

    def __init__(self, cassette: Readable) -> None:
        self.name = cassette.name
        self.epoch_ns = cassette.header.epoch_ns
        self.facts = Facts({})
        self.clients: dict[int, ClientRun] = {}
        self.playbacks: dict[Playback, PlaybackRun] = {}
        self.requests: list[RequestRun] = []
        self.end_ns = 0
        """When the last thing happened, on the run's cassette."""
        self.shift_ns = 0
        """By how much the tape was moved in time."""
        self._desk: int | None = None
        self._said: dict[int, Frame] = {}
        self._tracks: dict[int, int] = {}
        self._stopping = False
        if not is_run(cassette):
            raise UsageError(
                f"{cassette.name} is no journal of a run; `tickdeck play --journal FILE` keeps one"
            )
        for record in cassette.records():
            self._take(record)

    @property
    def begin_ns(self) -> int:
        """Where on the tape playing began."""
        return self.facts.integer("begin_ns")

    def _take(self, record: Record) -> None:
        if not isinstance(record, Anchor):
            self.end_ns = max(self.end_ns, record.offset_ns)
        if isinstance(record, TrackOpened) and record.market == DESK:
            self._desk = record.track
        elif isinstance(record, Frame) and record.track == self._desk:
            self._line(_facts(record.payload), record.offset_ns)
        elif isinstance(record, Frame) and record.sender is Sender.CLIENT:
            self._said[record.track] = record

    def _line(self, facts: Facts, at_ns: int) -> None:
        kind = facts.text("kind")
        if kind in _OF_THE_RUN:
            _OF_THE_RUN[kind](self, facts, at_ns)
        elif kind == "connected":
            number = facts.integer("client")
            self._tracks[number] = facts.integer("track")
            self.clients[number] = ClientRun(number, facts.text("market"), facts.place(at_ns))
        elif kind in _OF_A_CLIENT and (client := self.clients.get(facts.integer("client"))) is not None:
            _OF_A_CLIENT[kind](self, client, facts, at_ns)

    # -- lines about the run

    def _opened(self, facts: Facts, at_ns: int) -> None:
        if (version := facts.integer("v")) > VERSION:
            raise FormatError(
                f"the run was kept in version {version}, which is newer than this release reads"
            )
        self.facts = facts

    def _reset(self, facts: Facts, at_ns: int) -> None:
        self.clients.clear()
        self.playbacks.clear()
        self.requests.clear()

    def _requested(self, facts: Facts, at_ns: int) -> None:
        self.requests.append(
            RequestRun(
                *(at_ns, facts.text("method"), facts.text("url"), facts.maybe("position_ns")),
                status=facts.maybe("status"),
                recording=facts.maybe("recording"),
                stub=facts.values.get("stub") is True,
                variant=facts.text("variant"),
                sentence=facts.text("sentence"),
                ignore=tuple(facts.texts("ignore")),
            )
        )

    def _stops(self, facts: Facts, at_ns: int) -> None:
        self._stopping = True

    def _shifted(self, facts: Facts, at_ns: int) -> None:
        self.shift_ns = facts.integer("shift_ms") * 1_000_000

    def _turned(self, facts: Facts, at_ns: int) -> None:
        playback = self._playback((facts.integer("timeline"), facts.integer("run")))
        playback.ends.append(facts.numbers("ends"))
        playback.begins.append(facts.integer("begin_ns"))

    def _paced(self, facts: Facts, at_ns: int) -> None:
        playback = self._playback((facts.integer("timeline"), facts.integer("run")))
        playback.speed = facts.text("speed")
        if (anchor_ns := facts.maybe("at_ns")) is None:
            return
        line = Line(
            anchor_ns,
            facts.integer("position_ns"),
            Fraction(playback.speed),
            facts.integer("from_ns"),
            facts.values.get("paused") is True,
        )
        playback.lines.append((facts.integer("leg"), line))

    # -- lines about a client

    def _heard(self, client: ClientRun, facts: Facts, at_ns: int) -> None:
        frame = self._said.pop(self._tracks[client.number], None)
        if frame is not None:
            client.heard.append(Heard(frame.opcode, frame.payload, facts.place(at_ns)))

    def _joined(self, client: ClientRun, facts: Facts, at_ns: int) -> None:
        client.joined = facts.place(at_ns)
        client.playback = (facts.integer("timeline"), facts.integer("run"))
        self._playback(client.playback)

    def _subscribed(self, client: ClientRun, facts: Facts, at_ns: int) -> None:
        here = facts.place(at_ns)
        client.held += [Held(channel, here) for channel in facts.texts("channels")]

    def _unsubscribed(self, client: ClientRun, facts: Facts, at_ns: int) -> None:
        gone, here = set(facts.texts("channels")), facts.place(at_ns)
        for held in client.held:
            if held.until is None and held.channel in gone:
                held.until = here

    def _sent(self, client: ClientRun, facts: Facts, at_ns: int) -> None:
        client.marks.add(facts.integer("leg"), facts.integer("seq"), facts.integer("at_ns"))

    def _slow(self, client: ClientRun, facts: Facts, at_ns: int) -> None:
        client.slow = True

    def _left(self, client: ClientRun, facts: Facts, at_ns: int) -> None:
        client.left = facts.place(at_ns)
        client.left_by, client.left_code = facts.text("by"), facts.maybe("code")
        client.turned = {int(leg): seq for leg, seq in facts.numbers("turned").items()}
        client.stopped = self._stopping

    def _playback(self, name: Playback) -> PlaybackRun:
        return self.playbacks.setdefault(name, PlaybackRun([self.begin_ns]))


_OF_THE_RUN: Final[Mapping[str, Callable[[Rundown, Facts, int], None]]] = {
    "run": Rundown._opened,
    "reset": Rundown._reset,
    "request": Rundown._requested,
    "miss": Rundown._requested,
    "stopping": Rundown._stops,
    "shifted": Rundown._shifted,
    "turn": Rundown._turned,
    "pace": Rundown._paced,
}

_OF_A_CLIENT: Final[Mapping[str, Callable[[Rundown, ClientRun, Facts, int], None]]] = {
    "heard": Rundown._heard,
    "authenticated": Rundown._joined,
    "subscribed": Rundown._subscribed,
    "unsubscribed": Rundown._unsubscribed,
    "sent": Rundown._sent,
    "slow": Rundown._slow,
    "left": Rundown._left,
}


def _facts(payload: bytes) -> Facts:
    try:
        value: Json = json.loads(payload)
    except (ValueError, RecursionError):
        raise FormatError("a line of the run is no JSON") from None
    if not isinstance(value, dict):
        raise FormatError("a line of the run is no JSON object")
    return Facts(value)
