"""The minutes of a run: what happened on a server, as the records of a cassette.

Each client is a track, as its socket would be on a recording: what it said are client
frames, what the server said besides the tape (statuses, acknowledgements) are server
frames. Requests are interactions. All else, the entries of the journal and what only
a later question needs, is JSON in text frames on a track of its own, whose market is
`DESK`: no new kind of record is needed for it, and any reader of cassettes reads it.

Data of the tape is not copied. What a client was sent follows from the tape and from
the cursors that stand here, and `tickdeck.mockserver.rerun` shows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import (
    TEXT,
    Anchor,
    Frame,
    Header,
    HeaderPairs,
    Interaction,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.mockserver.choices import Channels, Clients, Start
from tickdeck.mockserver.course import leg_of, seq_of
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.tape import Tapes

DESK: Final = "__tickdeck"
"""The market of the track that holds the entries; no service has one of this name."""

VERSION: Final = 1
"""Rises when a line of the desk's track changes its meaning."""

_DESK_TRACK: Final = 0


def place(cursor: int) -> dict[str, object]:
    """A cursor as two numbers, for it does not fit into one that JSON readers agree on."""
    return {"leg": leg_of(cursor), "seq": seq_of(cursor)}


def run_header(tape: Header, *, name: str, epoch_ns: int, tool: str) -> Header:
    """The header of a run of ``tape`` that begins at ``epoch_ns``."""
    note = f"a run of {name}: what clients did, without the data of the tape"
    return Header(
        epoch_ns, dialect=tape.dialect, source=tape.source, note=note, tool=tool, program="tickdeck play"
    )


def run_facts(cassette: Readable, options: PlayOptions, tapes: Tapes) -> dict[str, object]:
    """What a run was of, and the options that decide what was sent; positions are those of the tape."""
    return {
        "tape": cassette.name,
        "digest": cassette.digest,
        "zero_wall_ns": cassette.wall_ns(tapes.zero_ns),
        "begin_ns": tapes.begin_ns,
        "stop_ns": tapes.stop_ns,
        "feed": options.feed,
        "speed": str(options.speed.factor) if options.speed.paced else str(options.speed),
        "start_on": _words(options.start_on),
        "timeline": options.timeline,
        "on_return": options.on_return,
        "at_end": options.at_end,
        "gaps": options.gaps,
        "idle_cap_ns": options.idle_cap_ns,
        "time_shift": None if options.time_shift is None else str(options.time_shift.to),
        "profile": options.profile,
        "not_entitled": list(options.not_entitled),
        "ignore": list(options.ignored.given),
        "match": [f"header:{name}" for name in options.matched],
    }


def _words(start: Start) -> str:
    match start:
        case Channels(names):
            return ",".join(names)
        case Clients(count):
            return f"clients:{count}"
    return start.value


class Minutes:
    """Numbers and stamps the records of one run; ``opened_ns`` is the clock when it began."""

    def __init__(self, *, opened_ns: int) -> None:
        self._opened_ns = opened_ns
        self._seq = 0
        self._tracks = 0
        self._interactions = 0
        self._track_of: dict[int, int] = {}

    def opening(self, facts: Mapping[str, object], *, wall_ns: int) -> list[Record]:
        """The run begins: of what, and how it is played."""
        now_ns = self._opened_ns
        opened = TrackOpened(self._next(), 0, _DESK_TRACK, DESK)
        return [
            opened,
            self.anchor(now_ns, wall_ns),
            self.line(now_ns, {"kind": "run", "v": VERSION, **facts}),
        ]

    def anchor(self, now_ns: int, wall_ns: int) -> Anchor:
        """The wall clock as it was."""
        return Anchor(self._next(), now_ns - self._opened_ns, wall_ns)

    def line(self, now_ns: int, line: Mapping[str, object]) -> Frame:
        """A line of the desk's track."""
        payload = json.dumps(line, separators=(",", ":")).encode("ascii")
        return Frame(self._next(), now_ns - self._opened_ns, _DESK_TRACK, Sender.SERVER, TEXT, payload)

    def entry(self, entry: Entry, **more: object) -> list[Record]:
        """An entry of the journal; a client's leaving closes its track, too."""
        who = {"client": entry.client, "timeline": entry.timeline, "position_ns": entry.position_ns}
        line: dict[str, object] = {"kind": entry.kind}
        line.update({name: value for name, value in who.items() if value is not None})
        if entry.cursor is not None:
            line.update(place(entry.cursor))
        if entry.kind == "connected" and entry.client in self._track_of:
            line["track"] = self._track_of[entry.client]
        records: list[Record] = [self.line(entry.now_ns, {**line, **entry.parts, **more})]
        if entry.kind == "left" and entry.client in self._track_of:
            records.append(self._closed(entry, self._track_of.pop(entry.client)))
        return records

    def opened(self, now_ns: int, client: int, market: str, headers: HeaderPairs) -> list[Record]:
        """A client's socket is open."""
        self._tracks += 1
        self._track_of[client] = self._tracks
        offset_ns = now_ns - self._opened_ns
        return [TrackOpened(self._next(), offset_ns, self._tracks, market, request_headers=headers)]

    def frame(self, now_ns: int, client: int, sender: Sender, opcode: int, payload: bytes) -> list[Record]:
        """What a client, or the server to it, said; nothing of one whose track is not open."""
        track = self._track_of.get(client)
        if track is None:
            return []
        return [Frame(self._next(), now_ns - self._opened_ns, track, sender, opcode, payload)]

    def request(
        self, started_ns: int, end_ns: int, *, method: str, url: str, status: int, headers: HeaderPairs
    ) -> Interaction:
        """A request was answered. Bodies are left out: the answer's is on the tape, or in a file."""
        self._interactions += 1
        start, end = started_ns - self._opened_ns, end_ns - self._opened_ns
        number = self._interactions
        return Interaction(
            self._next(), start, end, end, number, method, url, status, request_headers=headers
        )

    def offset(self, now_ns: int) -> int:
        """A clock reading as an offset of this cassette."""
        return now_ns - self._opened_ns

    def forget_clients(self) -> None:
        """Clients are counted anew."""
        self._track_of.clear()

    def _closed(self, entry: Entry, track: int) -> TrackClosed:
        code, reason = entry.parts.get("code"), entry.parts.get("reason")
        return TrackClosed(
            self._next(),
            entry.now_ns - self._opened_ns,
            track,
            Sender.SERVER if entry.parts.get("by") == "server" else Sender.CLIENT,
            code if isinstance(code, int) else None,
            reason if isinstance(reason, str) else "",
        )

    def _next(self) -> int:
        seq = self._seq
        self._seq += 1
        return seq
