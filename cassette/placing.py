"""Where each of several recordings comes to lie when they are one.

Sequences are moved behind those of the recording before, in the order given, so that
there is one order over all. In time there are two ways. *Back to back* a recording
begins with its zero (its earliest data or subscription) in the nanosecond after the
one before ended; what it did before that (a bot that started, and asked for
something) lies on the seam, so that nothing of it is known earlier. At its *wall*
time it lies where its epoch says, and what markets share may not overlap: a trade
would come twice, or from the past. Different markets may: each has a tape of its own.

Segments of one recording need no moving. They are known by what a recorder cannot
write twice: the same epoch, and sequences that go on where the segment before ended.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.hearing import heard_ns, zero_of
from tickdeck.cassette.joining import ended, joined_survey
from tickdeck.cassette.moving import STAY, Move, moved_survey
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import Gap, Interaction
from tickdeck.cassette.survey import Survey, TrackSummary


class Chain(enum.StrEnum):
    """How cassettes follow each other."""

    BACK_TO_BACK = "back-to-back"
    """Each right behind the one before."""
    WALL = "wall"
    """At the distances of their wall clocks."""


def chain_of(word: str) -> Chain:
    """The chain that a word names; UsageError if it names none."""
    if word not in list(Chain):
        raise UsageError(f"chain is none of {', '.join(Chain)}: {word!r}")
    return Chain(word)


class Recording:
    """One recording, in one segment or several."""

    def __init__(self, first: Readable) -> None:
        self.segments = [first]

    @property
    def name(self) -> str:
        """The name of its latest segment."""
        return self.segments[-1].name

    @property
    def epoch_ns(self) -> int:
        """The wall clock at its offset 0."""
        return self.segments[0].header.epoch_ns

    @property
    def first_seq(self) -> int:
        """Its first sequence; 0 if it has no records."""
        return next((refs[0].first_seq for each in self.segments if (refs := each.chunk_refs())), 0)

    @property
    def last_seq(self) -> int:
        """Its last sequence; -1 if it has no records."""
        return next(
            (refs[-1].last_seq for each in reversed(self.segments) if (refs := each.chunk_refs())), -1
        )

    @cached_property
    def survey(self) -> Survey:
        """What all its segments hold."""
        return joined_survey([each.survey for each in self.segments])

    @cached_property
    def end_ns(self) -> int:
        """The offset at which the last thing on it was over."""
        survey = self.survey
        ends = [survey.last_offset_ns or 0, *(gap.end_ns for gap in survey.gaps), *self._last_answers()]
        return max(ends)

    def _last_answers(self) -> Iterator[int]:
        """An answer is recorded when it is complete, at the offset of its request: only the last can end late."""
        last = next((each for each in reversed(self.segments) if each.chunk_refs()), None)
        if last is not None and last.chunk_refs()[-1].interactions:
            side = last.chunk(len(last.chunk_refs()) - 1).side
            yield from (record.end_ns for record in side if type(record) is Interaction)

    def goes_on_with(self, cassette: Readable) -> bool:
        """Whether a cassette is its next segment; UsageError when it is an earlier one."""
        one, other = self.segments[0].header, cassette.header
        if (one.epoch_ns, one.source) != (other.epoch_ns, other.source):
            return False
        refs = cassette.chunk_refs()
        if refs and self.last_seq >= 0 and refs[-1].last_seq < self.first_seq:
            raise UsageError(
                f"{cassette.name} and {self.name} are segments of one recording; {cassette.name} comes first"
            )
        return not refs or refs[0].first_seq > self.last_seq


def recordings(cassettes: Sequence[Readable]) -> list[Recording]:
    """The recordings that cassettes are, or are segments of, in order."""
    found: list[Recording] = []
    for cassette in cassettes:
        if found and found[-1].goes_on_with(cassette):
            found[-1].segments.append(cassette)
        else:
            found.append(Recording(cassette))
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recording lies: from ``start_ns`` to ``end_ns``, its numbers moved; and its survey there.

    ``wall_ns`` is what its wall clock would show at offset 0.
    """

    recording: Recording
    move: Move
    start_ns: int
    end_ns: int
    wall_ns: int
    survey: Survey


def place(found: Sequence[Recording], order: Chain) -> list[Place]:
    """The places of recordings, one at least; those without records have none, unless all are so.

    UsageError where two recordings of one market overlap at wall time.
    """
    filled = [each for each in found if each.survey.records] or found[:1]
    places: list[Place] = []
    for recording in filled:
        move = _behind(places, recording, order) if places else STAY
        survey, end_ns = moved_survey(recording.survey, move), move.offset(recording.end_ns)
        if recording is not filled[-1]:
            survey = ended(survey, seq=survey.last_seq + 1, offset_ns=end_ns)
        start_ns = move.offset(recording.survey.first_offset_ns or 0)
        places.append(Place(recording, move, start_ns, end_ns, recording.epoch_ns - move.offset_ns, survey))
    return places


def _behind(places: Sequence[Place], recording: Recording, order: Chain) -> Move:
    next_seq = places[-1].survey.last_seq + 1
    tracks = [track for each in places for track in each.survey.tracks]
    zero_ns = zero_of(recording.survey)
    back_to_back = order is Chain.BACK_TO_BACK
    return Move(
        seq=next_seq - recording.first_seq,
        offset_ns=places[-1].end_ns + 1 - zero_ns
        if back_to_back
        else recording.epoch_ns - places[0].recording.epoch_ns,
        track=max(tracks, default=-1) + 1,
        # Numbers count up at least as slowly as sequences do: they are free from here on.
        interaction=next_seq,
        floor_ns=zero_ns if back_to_back else None,
    )


@dataclass(frozen=True, slots=True)
class _Listening:
    """A recording listened to a market from one offset to another; it was first heard at ``heard_ns``."""

    name: str
    opened_ns: int
    heard_ns: int
    end_ns: int


def distances(places: Sequence[Place]) -> list[Gap]:
    """What nobody recorded of a market between one recording of it and the next, at wall time.

    UsageError where a recording of a market begins before another of it has ended.
    """
    gaps: list[Gap] = []
    before: dict[tuple[str, str], _Listening] = {}
    for each in places:
        for (market, feed), now in _listenings(each).items():
            last = before.get((market, feed))
            before[market, feed] = now
            if last is None:
                continue
            if now.opened_ns < last.end_ns:
                raise UsageError(_overlap(market, last, now))
            if now.heard_ns > last.end_ns:
                seq = each.move.seq + each.recording.first_seq
                reason = f"nothing was recorded between {last.name} and {now.name}"
                gaps.append(Gap(seq, last.end_ns, now.heard_ns, market, reason))
    return gaps


def _listenings(each: Place) -> dict[tuple[str, str], _Listening]:
    tracks: dict[tuple[str, str], list[TrackSummary]] = {}
    for track in each.survey.tracks.values():
        tracks.setdefault((track.market, track.feed), []).append(track)
    return {
        key: _Listening(
            each.recording.name,
            min(track.opened_ns for track in some),
            min(map(heard_ns, some)),
            max(each.end_ns if track.closed_ns is None else track.closed_ns for track in some),
        )
        for key, some in tracks.items()
    }


def _overlap(market: str, last: _Listening, now: _Listening) -> str:
    early_ns = last.end_ns - now.opened_ns
    return (
        f"{now.name} begins {early_ns // 10**9}.{early_ns // 10**6 % 1000:03d} s before {last.name} ends on"
        f" {market}; at wall time recordings of a market follow each other: give them in that order, leave"
        " one out, or play them back-to-back"
    )
