"""Several cassettes as one: in memory, in a small dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.cassette import writer
from tickdeck.cassette.blocks import Bytes
from tickdeck.cassette.chain import chain
from tickdeck.cassette.chunks import records_of, ref_of
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.hearing import zero_of
from tickdeck.cassette.placing import Chain
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.reader import Cassette, open_sealed
from tickdeck.cassette.records import (
    PING,
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Header,
    Interaction,
    Profile,
    Record,
    Sender,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.survey import Survey, SurveyTaker
from tickdeck.cassette.writer import encode_cassette

SERVER, CLIENT = Sender
SECOND = 10**9
DAY = 24 * 3600 * SECOND
MONDAY = Header(100 * DAY, "letters", ("https://a",), Source.SYNTHETIC, "monday", "tool 1", "bot")
TUESDAY = replace(MONDAY, epoch_ns=101 * DAY, note="tuesday")

Seal: TypeAlias = Callable[..., Cassette]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHUNK_TARGET", 120)


@pytest.fixture(scope="session")
def seal(letters: Any) -> Seal:
    """Records as a sealed cassette in memory."""

    def make(records: Sequence[Record], header: Header = MONDAY, name: str = "x.cassette") -> Cassette:
        data = b"".join(encode_cassette(header, records, indexer=letters.indexer, redactor=letters.door()))
        cassette = open_sealed(name, Bytes(data))
        assert cassette is not None
        return cassette

    return make


def talk(track: int = 0, market: str = "stocks") -> list[Record]:
    """A connection that idles, asks, subscribes, hears two trades a second apart, and is open at the end."""
    return [
        TrackOpened(0, 0, track, market, "socket"),
        Interaction(1, 1 * SECOND, 1 * SECOND, 2 * SECOND, 0, "GET", "https://a/b", 200, body=b"answer"),
        Frame(2, 10 * SECOND, track, SERVER, TEXT, b"[{status +T.A}]"),
        Frame(3, 11 * SECOND, track, SERVER, TEXT, b"[{T:A 1}]"),
        Frame(4, 12 * SECOND, track, SERVER, TEXT, b"[{T:A 2}]"),
    ]


def taken(readable: Readable, letters: Any) -> Survey:
    """The survey of what is read, chunk by chunk."""
    taker = SurveyTaker(letters.indexer)
    for chunk in readable.chunks():
        taker.add_chunk(chunk)
    return taker.survey


def as_open(survey: Survey) -> Survey:
    """Without what a survey says of seams: tracks that end there, and gaps that were found out."""
    tracks = {
        number: replace(track, closed_seq=None, closed_ns=None, close_code=None)
        if track.closed_by is None
        else track
        for number, track in survey.tracks.items()
    }
    return replace(survey, tracks=tracks, gaps=[])


payloads = st.sampled_from(
    [b"[{T:A 1}]", b"[{T:A},{Q:B}]", b"[{status +T.A}]", b"[{status -T.A},{T:A}]", b"opaque", b"[{AM:C}]"]
)
kinds = st.one_of(
    st.builds(Frame, st.just(0), st.just(0), st.integers(0, 2), st.just(SERVER), st.just(TEXT), payloads),
    st.builds(Frame, st.just(0), st.just(0), st.integers(0, 2), st.just(CLIENT), st.just(PING), payloads),
    st.builds(TrackClosed, st.just(0), st.just(0), st.integers(0, 2), st.just(SERVER), st.just(1000)),
    st.builds(Anchor, st.just(0), st.just(0), st.integers(0, 9)),
    st.builds(Profile, st.just(0), st.just(0), st.just({"greeting": "hello"})),
    st.just(Gap(0, 0, 5, "stocks", "lost")),
    st.just(Interaction(0, 0, 1, 2, 0, "GET", "https://a/b", 200, body=b"whole")),
)


@st.composite
def stories(draw: st.DrawFn) -> list[Record]:
    """Records of any kind; each track is opened before it is used, and once; offsets may step back."""
    tracks = [TrackOpened(0, 0, track, draw(st.sampled_from(["stocks", "fx"]))) for track in range(3)]
    opened = tracks[: draw(st.integers(0, 3))]
    told = [
        kind
        for kind in draw(st.lists(kinds, max_size=12))
        if not isinstance(kind, Frame | TrackClosed) or kind.track < len(opened)
    ]
    return [
        placed(kind, seq, 10 * seq + draw(st.integers(-12, 12))) for seq, kind in enumerate([*opened, *told])
    ]


def placed(kind: Record, seq: int, at: int) -> Record:
    match kind:
        case Interaction():
            end_ns = 10 * seq - 12  # recorded when it is complete
            times = {"offset_ns": end_ns - 25, "first_byte_ns": end_ns - 1, "end_ns": end_ns}
            return replace(kind, seq=seq, interaction=seq, **times)
        case Gap():
            return replace(kind, seq=seq, offset_ns=at, end_ns=at + 5)
    return replace(kind, seq=seq, offset_ns=at)


def bytes_of(record: Record) -> object:
    """What must not change of a record, wherever it is moved."""
    match record:
        case Frame():
            return (record.sender, record.opcode, record.payload)
        case Interaction():
            return (record.method, record.url, record.body)
        case TrackOpened():
            return (record.market, record.feed)
        case TrackClosed():
            return (record.by, record.code)
        case Anchor():
            return record.wall_ns
    return type(record)


def test_one_cassette_is_itself(seal: Seal) -> None:
    cassette = seal(talk())
    assert chain([cassette]) is cassette
    with pytest.raises(UsageError, match="no cassette was given"):
        chain([])


@settings(max_examples=40)
@given(st.lists(stories(), min_size=2, max_size=4), st.sampled_from(Chain))
def test_the_records_are_those_of_the_parts_in_order_and_only_moved(
    seal: Seal, letters: Any, parts: list[list[Record]], order: Chain
) -> None:
    headers = [replace(MONDAY, epoch_ns=day * DAY) for day in range(len(parts))]
    cassettes = [seal(records, header) for records, header in zip(parts, headers, strict=True)]
    whole = chain(cassettes, order=order)
    records = list(whole.records())
    assert [bytes_of(record) for record in records] == [bytes_of(each) for part in parts for each in part]
    assert all(one.seq < other.seq for one, other in pairwise(records))
    refs = [
        replace(ref_of(chunk.number, records_of(chunk)), position=ref.position, size=ref.size)
        for chunk, ref in zip(whole.chunks(), whole.chunk_refs(), strict=True)
    ]
    assert refs == list(whole.chunk_refs())
    assert as_open(taken(whole, letters)) == as_open(whole.survey)
    assert list(whole.interactions()) == [each for each in records if type(each) is Interaction]


@settings(max_examples=40)
@given(st.lists(stories(), min_size=2, max_size=4))
def test_back_to_back_no_record_lies_before_the_end_of_the_part_before(
    seal: Seal, parts: list[list[Record]]
) -> None:
    headers = [replace(MONDAY, epoch_ns=day * DAY) for day in range(len(parts))]
    cassettes = [seal(records, header) for records, header in zip(parts, headers, strict=True)]
    whole = chain(cassettes)
    moved = iter(whole.records())
    ended_ns: int | None = None
    for part, cassette, header in zip(parts, cassettes, headers, strict=True):
        zero_ns = zero_of(cassette.survey) if ended_ns is not None else None
        here = [next(moved) for _ in part]
        if not here:
            continue
        shifts = {
            new.offset_ns - old.offset_ns
            for new, old in zip(here, part, strict=True)
            if zero_ns is None or old.offset_ns >= zero_ns
        }
        assert len(shifts) == 1
        if ended_ns is not None:
            assert min(record.offset_ns for record in here) == ended_ns + 1
        for new, old in zip(here, part, strict=True):
            if zero_ns is None or old.offset_ns >= zero_ns:
                assert whole.wall_ns(new.offset_ns) == header.epoch_ns + old.offset_ns
        ends = [each.end_ns if isinstance(each, Interaction | Gap) else each.offset_ns for each in here]
        ended_ns = max(*ends, *(record.offset_ns for record in here))


@settings(max_examples=40)
@given(stories(), st.integers(0, 14), st.integers(0, 14), st.sampled_from(Chain))
def test_a_recording_cut_anywhere_is_whole_again(
    seal: Seal, records: list[Record], one: int, other: int, order: Chain
) -> None:
    whole = seal(records)
    low, high = sorted((one, other))
    segments = chain([seal(records[:low]), seal(records[low:high]), seal(records[high:])], order=order)
    assert list(segments.records()) == records
    assert list(segments.interactions()) == list(whole.interactions())
    assert segments.survey == whole.survey
    assert segments.header == whole.header
    assert segments.wall_ns(7) == whole.wall_ns(7)


def test_what_a_recording_did_before_its_zero_lies_on_the_seam(seal: Seal) -> None:
    whole = chain([seal(talk()), seal(talk(), TUESDAY)])
    seam = 12 * SECOND + 1
    assert [record.offset_ns for record in whole.records()][5:] == [
        seam,
        seam,
        seam,
        seam + SECOND,
        seam + 2 * SECOND,
    ]
    _, late = whole.interactions()
    assert (late.offset_ns, late.first_byte_ns, late.end_ns) == (seam, seam, seam)
    assert whole.wall_ns(seam - 1) == MONDAY.epoch_ns + 12 * SECOND
    assert whole.wall_ns(seam) == TUESDAY.epoch_ns + 10 * SECOND


def test_a_moment_is_found_where_the_wall_clock_shows_it(seal: Seal) -> None:
    whole = chain([seal(talk()), seal(talk(), TUESDAY)])
    seam = 12 * SECOND + 1
    for offset_ns in (0, 7, seam - 1, seam, seam + 1, seam + 99 * SECOND):
        assert whole.offset_of(whole.wall_ns(offset_ns)) == offset_ns
    assert whole.offset_of(MONDAY.epoch_ns + 3600 * SECOND) == seam
    assert whole.offset_of(MONDAY.epoch_ns - 3600 * SECOND) == 0
    single = seal(talk())
    assert single.offset_of(single.wall_ns(5)) == 5


def test_a_moment_is_found_though_the_later_day_is_played_first(seal: Seal) -> None:
    whole = chain([seal(talk(), TUESDAY), seal(talk())])
    seam = 12 * SECOND + 1
    assert whole.offset_of(MONDAY.epoch_ns + 11 * SECOND) == seam + SECOND
    assert whole.offset_of(TUESDAY.epoch_ns + 11 * SECOND) == 11 * SECOND
    assert whole.offset_of(TUESDAY.epoch_ns + 99 * SECOND) > whole.survey.last_offset_ns


def test_the_next_begins_when_the_last_answer_is_there(seal: Seal) -> None:
    slow = Interaction(5, 20 * SECOND, 20 * SECOND, 50 * SECOND, 1, "GET", "https://a/c", 200)
    whole = chain([seal([*talk(), slow]), seal(talk(), TUESDAY)])
    assert list(whole.records())[-1].offset_ns == 52 * SECOND + 1


def test_at_wall_time_the_distance_stays_and_is_a_gap(seal: Seal) -> None:
    cassettes = [seal(talk(), name="a.cassette"), seal(talk(), TUESDAY, "b.cassette")]
    whole = chain(cassettes, order=Chain.WALL)
    assert [record.offset_ns for record in whole.records()][4:6] == [12 * SECOND, DAY]
    reason = "nothing was recorded between a.cassette and b.cassette"
    assert whole.survey.gaps == [Gap(5, 12 * SECOND, DAY + 10 * SECOND, "stocks", reason)]
    assert whole.wall_ns(DAY) == TUESDAY.epoch_ns


def test_at_wall_time_what_follows_at_once_leaves_no_gap(seal: Seal) -> None:
    tail = [
        TrackOpened(0, 12 * SECOND, 0, "stocks", "socket"),
        Frame(1, 12 * SECOND, 0, SERVER, TEXT, b"[{T:B}]"),
    ]
    assert chain([seal(talk()), seal(tail)], order=Chain.WALL).survey.gaps == []


def test_what_is_open_at_the_end_ends_there_and_that_is_no_loss(seal: Seal) -> None:
    survey = chain([seal(talk()), seal(talk(), TUESDAY)]).survey
    first, second = survey.tracks.values()
    assert (first.closed_seq, first.closed_ns, first.close_code) == (5, 12 * SECOND, 1001)
    assert (second.track, second.opened_seq, second.closed_seq) == (1, 5, None)
    assert survey.gaps == []


def test_at_wall_time_recordings_of_a_market_may_not_overlap(seal: Seal) -> None:
    early = replace(MONDAY, epoch_ns=MONDAY.epoch_ns + 8 * SECOND + SECOND // 2)
    cassettes = [seal(talk(), name="a"), seal(talk(), early, "b")]
    with pytest.raises(UsageError, match=r"b begins 3\.500 s before a ends on stocks"):
        chain(cassettes, order=Chain.WALL)
    with pytest.raises(UsageError, match=r"a begins 20\.500 s before b ends on stocks"):
        chain(cassettes[::-1], order=Chain.WALL)


def test_recordings_of_different_markets_may(seal: Seal) -> None:
    early = replace(MONDAY, epoch_ns=MONDAY.epoch_ns - 5 * SECOND)
    whole = chain([seal(talk()), seal(talk(market="fx"), early)], order=Chain.WALL)
    assert [record.offset_ns for record in whole.records()][4:6] == [12 * SECOND, -5 * SECOND]
    assert whole.survey.gaps == []


def test_a_gap_written_down_in_one_hides_no_loss_in_another(seal: Seal) -> None:
    lost: list[Record] = [
        *talk(),
        TrackClosed(5, 13 * SECOND, 0, SERVER, None),
        TrackOpened(6, 14 * SECOND, 1, "stocks", "socket"),
        Frame(7, 15 * SECOND, 1, SERVER, TEXT, b"[{T:A 3}]"),
    ]
    written: list[Record] = [*talk(), Gap(5, 13 * SECOND, 14 * SECOND, "stocks", "written")]
    first, second = chain([seal(lost), seal(written, TUESDAY)]).survey.gaps
    assert first == Gap(5, 13 * SECOND, 15 * SECOND, "stocks", "connection lost")
    assert (second.seq, second.reason, second.end_ns - second.offset_ns) == (13, "written", SECOND)


def test_segments_out_of_order_are_told(seal: Seal) -> None:
    records = talk()
    one, two = seal(records[:3], name="1.cassette"), seal(records[3:], name="2.cassette")
    with pytest.raises(
        UsageError, match=r"1\.cassette and 2\.cassette are segments .*; 1\.cassette comes first"
    ):
        chain([two, one])


def test_the_same_cassette_twice_is_played_twice(seal: Seal) -> None:
    whole = chain([seal(talk()), seal(talk())])
    assert whole.chunk_refs()[0].first_seq == 0
    assert whole.survey.records == 10
    assert sorted(whole.survey.tracks) == [0, 1]


def test_segments_between_other_recordings_keep_their_distance_to_each_other(seal: Seal) -> None:
    records = talk()
    whole = chain([seal(talk(), TUESDAY), seal(records[:4]), seal(records[4:]), seal(talk(), TUESDAY)])
    offsets = [record.offset_ns for record in whole.records()]
    assert offsets[9] - offsets[8] == SECOND
    assert sorted(whole.survey.tracks) == [0, 1, 2]
    assert whole.survey.tracks[1].frames == 3


def test_one_header_says_what_all_say(seal: Seal) -> None:
    other = replace(TUESDAY, origins=("https://b", "https://a"), source=Source.RECORDED, program="")
    whole = chain([seal(talk(), name="a.cassette"), seal(talk(), other, "b.cassette")])
    assert whole.header == replace(
        MONDAY, origins=("https://a", "https://b"), source=Source.RECORDED, note="monday; tuesday"
    )
    assert whole.name == "a.cassette and 1 more"
    assert whole.sealed
    with pytest.raises(UsageError, match="b speaks polygon and a letters"):
        chain([seal(talk(), name="a"), seal(talk(), replace(TUESDAY, dialect="polygon"), "b")])


def test_cassettes_without_records_take_no_place(seal: Seal) -> None:
    empty = seal([], replace(MONDAY, epoch_ns=0))
    assert list(chain([empty, empty]).records()) == []
    whole = chain([empty, seal(talk()), empty, seal(talk(), TUESDAY), empty])
    assert len(list(whole.records())) == 10
    assert whole.header.epoch_ns == MONDAY.epoch_ns
    assert list(whole.records())[:5] == talk()


def test_bodies_in_parts_of_two_recordings_do_not_mix(seal: Seal) -> None:
    begun: list[Record] = [BodyPart(0, 0, 7, b"never ended")]
    asked = Interaction(1, 1, 1, 1, 7, "GET", "https://a/b", 200, body_parts=1)
    whole = chain([seal(begun), seal([BodyPart(0, 0, 7, b"body"), asked], TUESDAY)])
    (answer,) = whole.interactions()
    assert answer.body == b"body"
    first, second, _ = whole.records()
    assert isinstance(first, BodyPart)
    assert isinstance(second, BodyPart)
    assert first.interaction != second.interaction


def test_a_chunk_that_is_not_there_is_an_index_error(seal: Seal) -> None:
    whole = chain([seal(talk()), seal(talk(), TUESDAY)])
    assert whole.chunk(-1).number == len(whole.chunk_refs()) - 1
    with pytest.raises(IndexError):
        whole.chunk(len(whole.chunk_refs()))


def test_the_bytes_of_frames_are_shared_with_the_cassette_they_come_from(seal: Seal) -> None:
    cassette = seal(talk(), TUESDAY)
    chunks = list(cassette.chunks())
    cassette.chunk = chunks.__getitem__  # type: ignore[method-assign]
    whole = chain([seal(talk()), cassette])
    wires = [lane.wire for chunk in chunks for lane in chunk.lanes]
    moved = [lane.wire for chunk in whole.chunks() for lane in chunk.lanes][-len(wires) :]
    assert wires
    assert all(one is other for one, other in zip(wires, moved, strict=True))


def test_closing_closes_all_even_if_one_fails(seal: Seal) -> None:
    closed: list[str] = []

    class Stuck(Cassette):
        def close(self) -> None:
            closed.append(self.name)
            raise OSError("stuck")

    plain = seal(talk())
    cassettes = [Stuck(name, plain._source, plain._contents) for name in "ab"]
    with pytest.raises(OSError, match="stuck"), chain(cassettes):
        pass
    assert sorted(closed) == ["a", "b"]
