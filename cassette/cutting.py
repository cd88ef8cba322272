"""A piece of a cassette: fewer records, and fewer events in a frame, each byte of them as it was.

What makes a piece play is kept with it: of each track its opening and all that was
said about it (greeting, auth, acknowledgements, what the client asked), which is moved
to the beginning of the piece where it came before. The epoch stays, so that market
time does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tickdeck.cassette.indexing import STATUS, Indexer
from tickdeck.cassette.records import (
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)

ALWAYS: Final = 1 << 62
"""An offset behind every other."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What of a cassette is wanted: what came in ``[from_ns, to_ns)``, offsets of the cassette.

    ``channels``, ``tracks`` and ``interactions`` (numbers) of ``None`` are all; interactions are kept
    wherever they lie.
    """

    from_ns: int = 0
    to_ns: int = ALWAYS
    channels: frozenset[str] | None = None
    tracks: frozenset[int] | None = None
    interactions: frozenset[int] | None = None

    def wants_track(self, track: int) -> bool:
        """Whether anything of a track is kept."""
        return self.tracks is None or track in self.tracks

    def wants_channel(self, channel: str) -> bool:
        """Whether events of ``T.AAPL`` are kept: by that name, or by ``T.*``."""
        named = self.channels
        return named is None or channel in named or f"{channel.partition('.')[0]}.*" in named


@dataclass(slots=True)
class Kept:
    """What a piece came to."""

    records: int = 0
    frames: int = 0
    events: int = 0
    interactions: int = 0


def cut(records: Iterable[Record], piece: Piece, indexer: Indexer, kept: Kept) -> Iterator[Record]:
    """The records of a piece, in order, one at a time; ``kept`` counts them."""
    for record in records:
        found = _of(record, piece, indexer, kept)
        if found is None:
            continue
        if found.offset_ns < piece.from_ns:
            found = replace(found, offset_ns=piece.from_ns)
        kept.records += 1
        kept.interactions += isinstance(found, Interaction)
        yield found


def _of(record: Record, piece: Piece, indexer: Indexer, kept: Kept) -> Record | None:
    """What of one record is kept; its offset may lie before the piece."""
    match record:
        case Interaction() | BodyPart():
            return _answer(record, piece)
        case _ if record.offset_ns >= piece.to_ns:
            return None
        case TrackOpened():
            return record if piece.wants_track(record.track) else None
        case TrackClosed():
            return record if piece.wants_track(record.track) and record.offset_ns >= piece.from_ns else None
        case Frame():
            return _frame(record, piece, indexer, kept) if piece.wants_track(record.track) else None
        case Gap():
            return _gap(record, piece)
        case Anchor():
            return record if record.offset_ns >= piece.from_ns else None
        case Profile():
            return record


def _answer(record: Interaction | BodyPart, piece: Piece) -> Record | None:
    if piece.interactions is not None and record.interaction not in piece.interactions:
        return None
    if isinstance(record, BodyPart):
        return record
    start = max(record.offset_ns, piece.from_ns)
    first = max(record.first_byte_ns, start)
    return replace(record, offset_ns=start, first_byte_ns=first, end_ns=max(record.end_ns, first))


def _frame(frame: Frame, piece: Piece, indexer: Indexer, kept: Kept) -> Frame | None:
    early = frame.offset_ns < piece.from_ns
    if frame.sender is Sender.CLIENT or frame.opcode != TEXT:
        said = frame.opcode == TEXT
        kept.frames += said or not early
        return frame if said or not early else None
    events = indexer.events(frame.payload)
    if events is None:  # opaque: nobody can say what it is about
        found = None if early or piece.channels is not None else frame
        kept.frames += found is not None
        return found
    wanted = [
        event
        for event in events
        if event.channel == STATUS or (not early and piece.wants_channel(event.channel))
    ]
    if not wanted:
        return None
    kept.frames += 1
    kept.events += sum(event.channel != STATUS for event in wanted)
    if len(wanted) == len(events):
        return frame
    pieces: Sequence[bytes] = [frame.payload[event.start : event.end] for event in wanted]
    return replace(frame, payload=b"[" + b",".join(pieces) + b"]")


def _gap(gap: Gap, piece: Piece) -> Gap | None:
    if gap.end_ns <= piece.from_ns:
        return None
    return replace(gap, end_ns=min(gap.end_ns, piece.to_ns))
