"""The market that the tracks of a cassette add up to.

A recording holds connections; a market has no connections. Two bots on one
account, a reconnect, an eviction: all of them leave tracks that overlap, and the
same trade lies on each. The tape of a market takes a channel, at any instant, from
the earliest track that is open and holds it, so that no trade comes twice.

Positions on the tape are nanoseconds since its zero, which all the markets of a
cassette share: the earliest data or subscription on it. They never step back, even
where recorded offsets do; the sequence decides the order.

Nothing here depends on who listens or how fast. What a listener is sent is cut from
the tape by `tickdeck.mockserver.reel`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from tickdeck.cassette.chunks import Chunk
from tickdeck.cassette.errors import TickdeckError, UsageError
from tickdeck.cassette.hearing import outages, zero_of
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.survey import TrackSummary
from tickdeck.dialects.channels import wildcard_of
from tickdeck.mockserver.chunkstore import ChunkStore, Decoder, Loader
from tickdeck.mockserver.ownership import Ownership
from tickdeck.mockserver.recent import Room
from tickdeck.mockserver.view import View

BEGINNING = 0
"""A cursor is the sequence number of the next frame; this one is before them all."""


@dataclass(frozen=True, slots=True)
class TapeGap:
    """A recorded outage, in tape positions."""

    start_ns: int
    end_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What finding a place needs of a piece: by row, the sequence and the position of a frame."""

    seqs: Sequence[int]
    positions: Sequence[int]


class Tape:
    """One market of a cassette, ready to be cut for listeners.

    A chunk that cannot be read stops whoever is to be sent it (`view` raises), and nobody
    else: where the tape stands and where it ends is still known, from what the index says.
    """

    def __init__(
        self, cassette: Readable, *, market: str, feed: str | None = None, chunks: ChunkStore | None = None
    ) -> None:
        tracks = [track for track in cassette.survey.tracks.values() if track.market == market]
        self.market = market
        self.feed = _the_feed(market, tracks, feed)
        self.zero_ns = zero_of(cassette.survey)
        self._chunks = ChunkStore(Decoder(cassette.chunk)) if chunks is None else chunks
        self._tracks = {track.track: track for track in tracks if self.feed in (None, track.feed)}
        self._refs = [ref for ref in cassette.chunk_refs() if not self._tracks.keys().isdisjoint(ref.tracks)]
        self.gaps = [
            TapeGap(gap.offset_ns - self.zero_ns, gap.end_ns - self.zero_ns, gap.reason)
            for gap in outages(cassette.survey, market, self._tracks.values())
        ]
        self.stop_ns: int | None = None
        """Frames at or behind this position are not played."""
        self._ownership = Ownership(self._tracks.values())
        latest = (ref.max_offset_ns - self.zero_ns for ref in self._refs)
        self._floors = list(accumulate(latest, max, initial=0))
        self._ever_held = frozenset(
            name
            for track in self._tracks.values()
            for name in (*track.channels, *(change.channel for change in track.holdings if change.held))
        )
        self._between = 0, 0, BEGINNING
        """From a position up to another there is no frame; the cursor behind it. All listeners ask for one moment."""
        self._unreadable: dict[int, Rows] = {}
        self._bare: set[int] = set()
        """Pieces that were looked at and have no frame of this tape."""

    @property
    def pieces(self) -> int:
        """How many views the tape has; they are numbered from 0."""
        return len(self._refs)

    @property
    def ownership(self) -> Ownership:
        """Who has which channel."""
        return self._ownership

    @cached_property
    def channels(self) -> Mapping[str, int]:
        """Events by channel over all its tracks, those that came twice included."""
        counts: dict[str, int] = {}
        for track in self._tracks.values():
            for channel, seen in track.channels.items():
                counts[channel] = counts.get(channel, 0) + seen.events
        return counts

    @property
    def end_ns(self) -> int:
        """The position of the last frame that is played, or where playing was told to stop; -1 if there is none."""
        return self.recorded_end_ns if self.stop_ns is None else min(self.recorded_end_ns, self.stop_ns)

    @cached_property
    def recorded_end_ns(self) -> int:
        """The position of the last frame on the cassette; -1 if there is none. One piece is decoded for it."""
        return self.position_behind(self.recorded_last_seq + 1)

    @property
    def room(self) -> Room:
        """The room for what is decoded of the tape, and cut from it."""
        return self._chunks.room

    @property
    def last_seq(self) -> int:
        """The sequence of the last frame that is played; -1 if there is none."""
        return self.recorded_last_seq if self.stop_ns is None else self._stopped_last_seq

    @cached_property
    def _stopped_last_seq(self) -> int:
        return min(self.recorded_last_seq, self.seq_behind((self.stop_ns or 0) - 1) - 1)

    @cached_property
    def recorded_last_seq(self) -> int:
        """The sequence of the last frame on the cassette; -1 if there is none."""
        lasts = [seen.last_seq for track in self._tracks.values() for seen in track.channels.values()]
        return max(lasts, default=-1)

    def is_beyond(self, position_ns: int) -> bool:
        """Whether a position is not played any more."""
        return self.stop_ns is not None and position_ns >= self.stop_ns

    def unrecorded(self, channels: Iterable[str]) -> list[str]:
        """Those of the channels that the recording never held: they are silent, for nobody listened."""
        return [channel for channel in channels if not self._was_held(channel)]

    def _was_held(self, channel: str) -> bool:
        wildcard = wildcard_of(channel)
        if channel == wildcard:
            return any(wildcard_of(held) == wildcard for held in self._ever_held)
        return channel in self._ever_held or wildcard in self._ever_held

    def view(self, number: int) -> View:
        """A piece of the tape; those used last are kept. FormatError when its chunk is damaged."""
        kept = self._chunks.kept(self._refs[number].number)
        view = kept.views.get(self.market)
        if view is None:
            view = kept.views[self.market] = self._make_view(number, kept.chunk)
        return view

    def prepare(self, number: int) -> None:
        """Piece ``number`` will be asked for soon, if there is such a piece; returns at once."""
        if number < self.pieces:
            self._chunks.prepare(self._refs[number].number)

    def views(self) -> Iterator[View]:
        """All of it, in order."""
        return map(self.view, range(self.pieces))

    def starts_at(self, number: int) -> int:
        """A position that no frame of the piece is before."""
        return max(self._floors[number], self._refs[number].min_offset_ns - self.zero_ns)

    def first_seq(self, number: int) -> int:
        """A sequence that no frame of the piece is before."""
        return self._refs[number].first_seq

    def piece_of_seq(self, seq: int) -> int:
        """The number of the first piece that has a frame at or behind ``seq`` (``pieces`` if none does)."""
        return bisect_left(self._refs, seq, key=lambda ref: ref.last_seq)

    def seq_after(self, number: int) -> int:
        """The cursor behind all of piece ``number``."""
        return self._refs[number].last_seq + 1

    def seq_behind(self, position_ns: int) -> int:
        """The cursor behind all frames at or before ``position_ns``."""
        if position_ns < 0:
            return BEGINNING
        since_ns, until_ns, seq = self._between
        if since_ns <= position_ns < until_ns:
            return seq
        number = bisect_right(self._floors, position_ns, lo=1) - 1
        if number == self.pieces:
            return self.recorded_last_seq + 1
        rows = self._rows(number)
        row = bisect_right(rows.positions, position_ns)
        if row == len(rows.positions):
            return self.seq_after(number)
        self._between = position_ns, rows.positions[row], rows.seqs[row]
        return rows.seqs[row]

    def position_behind(self, seq: int) -> int:
        """The position of the last frame before the cursor ``seq``; -1 at the beginning."""
        seq = min(seq, self.recorded_last_seq + 1)  # what lies behind the last frame need not be looked at
        number = bisect_left(self._refs, seq, key=lambda ref: ref.first_seq) - 1
        while number >= 0:
            if number not in self._bare:
                rows = self._rows(number)
                if row := bisect_left(rows.seqs, seq):
                    return rows.positions[row - 1]
            number -= 1
        return -1

    def frame_at(self, seq: int) -> tuple[int, int] | None:
        """Sequence and position of the first frame that is played at or behind ``seq``."""
        for number in range(self.piece_of_seq(seq), self.pieces):
            rows = self._rows(number)
            if (row := bisect_left(rows.seqs, seq)) < len(rows.seqs):
                found = rows.seqs[row], rows.positions[row]
                return found if found[0] <= self.last_seq else None
        return None

    def next_position(self, position_ns: int) -> int | None:
        """The position of the first frame that is played behind a position."""
        found = self.frame_at(self.seq_behind(position_ns))
        return None if found is None else found[1]

    def _rows(self, number: int) -> Rows | View:
        """The rows of a piece; of one that cannot be read, where it begins and where it ends."""
        if number in self._unreadable:
            return self._unreadable[number]
        try:
            return self.view(number)
        except TickdeckError:
            rows = self._unreadable[number] = self._rows_of_ref(number)
            return rows

    def _rows_of_ref(self, number: int) -> Rows:
        ref, begin_ns = self._refs[number], self.starts_at(number)
        if ref.first_seq > self.recorded_last_seq:
            return Rows((), ())
        end_ns = max(begin_ns, ref.max_offset_ns - self.zero_ns)
        return Rows((ref.first_seq, min(ref.last_seq, self.recorded_last_seq)), (begin_ns, end_ns))

    def _make_view(self, number: int, chunk: Chunk) -> View:
        lanes = [lane for lane in chunk.lanes if lane.track in self._tracks]
        if not lanes:
            self._bare.add(number)
        return View(number, chunk.channels, lanes, zero_ns=self.zero_ns, floor_ns=self._floors[number])


def _the_feed(market: str, tracks: Iterable[TrackSummary], wanted: str | None) -> str | None:
    feeds = sorted({track.feed for track in tracks})
    if wanted is not None:
        if wanted not in feeds:
            raise UsageError(
                f"no track of {market} came from the feed {wanted}; recorded: {', '.join(feeds)}"
            )
        return wanted
    if len(feeds) > 1:
        raise UsageError(
            f"{market} was recorded from {len(feeds)} feeds: {', '.join(feeds)}; choose one with --feed"
        )
    return feeds[0] if feeds else None


class Tapes:
    """The tapes of a cassette, one a market; a market that was not recorded has an empty one."""

    def __init__(self, cassette: Readable, *, feed: str | None = None, loader: Loader | None = None) -> None:
        """``loader`` decodes chunks; without one that is done where it is asked for."""
        self.zero_ns = zero_of(cassette.survey)
        self.begin_ns = 0
        """Where playing begins."""
        self.stop_ns: int | None = None
        """Where it ends, if not with the tape."""
        self._cassette = cassette
        self._chunks = ChunkStore(Decoder(cassette.chunk) if loader is None else loader)
        recorded = dict.fromkeys(track.market for track in cassette.survey.tracks.values())
        self._recorded = tuple(recorded)
        self._tapes = {
            market: Tape(cassette, market=market, feed=feed, chunks=self._chunks) for market in recorded
        }

    @property
    def empty(self) -> bool:
        """Whether nothing is on any of them, as on a recording of REST alone."""
        return all(tape.recorded_last_seq < 0 for tape in self._tapes.values())

    @property
    def recorded(self) -> tuple[str, ...]:
        """The markets that were recorded, in the order of their first connection."""
        return self._recorded

    def of(self, market: str) -> Tape:
        """The tape of a market."""
        if market not in self._tapes:
            self._tapes[market] = Tape(self._cassette, market=market, chunks=self._chunks)
        return self._tapes[market]

    @property
    def decoded(self) -> int:
        """How many chunks were decoded for them so far."""
        return self._chunks.decoded

    @property
    def end_ns(self) -> int:
        """The position of the last frame on any of them; -1 if there is none."""
        return max((tape.end_ns for tape in self._tapes.values()), default=-1)

    @property
    def recorded_end_ns(self) -> int:
        """The same, whatever of it is played."""
        return max((tape.recorded_end_ns for tape in self._tapes.values()), default=-1)

    def cut_to(self, begin_ns: int, stop_ns: int | None) -> None:
        """Play from one position up to another, before anything is played; `UsageError` if nothing is there."""
        if begin_ns >= (self.end_ns if stop_ns is None else stop_ns):
            raise UsageError(
                f"there is no tape to play from {_seconds(begin_ns)} to "
                f"{'its end at ' + _seconds(self.end_ns) if stop_ns is None else _seconds(stop_ns)}"
            )
        self.begin_ns, self.stop_ns = max(begin_ns, 0), stop_ns
        for tape in self._tapes.values():
            tape.stop_ns = stop_ns

    def forget(self) -> None:
        """Chunks have become others, row by row the same: what is kept of them is let go."""
        self._chunks.room.clear()

    def next_position(self, markets: Iterable[str], position_ns: int) -> int | None:
        """The position of the first frame of any of the markets behind a position."""
        found = (self.of(market).next_position(position_ns) for market in markets)
        return min((each for each in found if each is not None), default=None)


def _seconds(position_ns: int) -> str:
    return f"{position_ns / 1e9:+.9g}s"
