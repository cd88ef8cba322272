from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette import chunkcodec, survey
from tickdeck.cassette.chunkcodec import build_chunk
from tickdeck.cassette.columns import pack_column
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.packing import pack, unpack
from tickdeck.cassette.records import (
    BINARY,
    PING,
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
from tickdeck.cassette.survey import ChannelSummary, HoldingChange, Survey, SurveyTaker, TrackSummary
from tickdeck.cassette.surveymap import pack_survey, unpack_survey

SERVER, CLIENT = Sender

STORY: list[Record] = [
    Anchor(0, 5, 1_600_000_000),
    TrackOpened(1, 10, 1, "stocks", "socket", "wss://socket.massive.com/stocks"),
    Frame(2, 20, 1, SERVER, TEXT, b"[{status connected}]"),
    Frame(3, 30, 1, CLIENT, TEXT, b"subscribe T.A"),
    Frame(4, 40, 1, SERVER, TEXT, b"[{status +T.A},{status +Q.A}]"),
    Frame(5, 55, 1, SERVER, TEXT, b"[{T:A},{Q:A},{T:A}]"),
    Frame(6, 50, 1, SERVER, TEXT, b"[{T:A},{status -Q.A}]"),
    Frame(7, 60, 1, SERVER, TEXT, b"opaque"),
    Frame(8, 61, 1, SERVER, BINARY, b"[{T:A}]"),
    Frame(9, 62, 1, CLIENT, PING, b"hi"),
    BodyPart(10, 63, 1, b"12345"),
    Interaction(11, 64, 65, 66, 1, "POST", "https://a/b", 200, request_body=b"ask", body=b"answer"),
    Gap(12, 70, 80, "stocks", "the connection was lost"),
    Profile(13, 81, {"greeting": "first"}),
    Profile(14, 82, {"greeting": "second"}),
    TrackClosed(15, 90, 1, SERVER, 1008, "bye"),
    Frame(16, 100, 2, SERVER, TEXT, b"[{AM:A}]"),
]


def survey_of(records: list[Record], indexer) -> Survey:
    taker = SurveyTaker(indexer)
    for record in records:
        taker.add(record)
    return taker.survey


def test_a_survey_tells_what_happened(letters) -> None:
    survey = survey_of(STORY, letters.indexer)
    assert (survey.records, survey.last_seq, survey.first_offset_ns, survey.last_offset_ns) == (
        17,
        16,
        5,
        100,
    )
    assert (survey.interactions, survey.anchors, survey.profile) == (1, 2 - 1, {"greeting": "second"})
    assert survey.gaps == [STORY[12]]
    payloads = sum(len(record.payload) for record in STORY if isinstance(record, Frame))
    assert survey.raw_bytes == payloads + len(b"12345" + b"ask" + b"answer")


def test_a_track_tells_its_events_by_channel_and_how_it_ended(letters) -> None:
    track = survey_of(STORY, letters.indexer).tracks[1]
    assert (track.market, track.feed, track.opened_seq, track.opened_ns) == ("stocks", "socket", 1, 10)
    assert (track.frames, track.events, track.opaque) == (8, 4, 2)
    assert track.channels == {"T.A": ChannelSummary(3, 5, 55, 6, 50), "Q.A": ChannelSummary(1, 5, 55, 5, 55)}
    assert (track.closed_seq, track.closed_ns, track.closed_by) == (15, 90, SERVER)
    assert (track.close_code, track.close_reason) == (1008, "bye")


def test_a_track_tells_what_it_came_to_hold_and_no_longer_holds(letters) -> None:
    assert survey_of(STORY, letters.indexer).tracks[1].holdings == [
        HoldingChange(4, 40, "T.A", True),
        HoldingChange(4, 40, "Q.A", True),
        HoldingChange(6, 50, "Q.A", False),
    ]


def test_a_track_whose_opening_is_not_on_the_cassette_is_surveyed_too(letters) -> None:
    assert survey_of(STORY, letters.indexer).tracks[2].opened_seq == 16
    closed = survey_of([TrackClosed(4, 9, 7, None)], letters.indexer).tracks[7]
    assert closed == TrackSummary(7, "", "", "", 4, 9, closed_seq=4, closed_ns=9)


@given(cuts=st.lists(st.integers(0, len(STORY)), max_size=4))
def test_how_records_were_cut_into_chunks_does_not_show_in_the_survey(letters, cuts: list[int]) -> None:
    taker = SurveyTaker(letters.indexer)
    edges = [0, *sorted(cuts), len(STORY)]
    for start, end in pairwise(edges):
        taker.add_chunk(build_chunk(0, STORY[start:end], letters.indexer))
    assert taker.survey == survey_of(STORY, letters.indexer)


def test_a_survey_comes_back_as_it_was(letters) -> None:
    survey = survey_of(STORY, letters.indexer)
    survey.redactions = {"REDACTED-1": {"query apiKey": 2, "header authorization": 1}}
    assert unpack_survey(pack_survey(survey)) == survey
    assert unpack_survey(pack_survey(Survey())) == Survey()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tracks", [7]),
        ("gaps", [b"\x01"]),
        ("gaps", [7]),
        ("tracks", [{"closed_by": 7}]),
        ("gaps", [pack([7, 0, 0, 0])]),
        ("redactions", {"REDACTED-1": 7}),
        ("redactions", {"REDACTED-1": {"place": "often"}}),
        ("profile", 7),
        ("records", -1),
    ],
)
def test_what_is_no_survey_is_refused(letters, key: str, value: object) -> None:
    fields = unpack(pack_survey(survey_of(STORY, letters.indexer)))
    with pytest.raises(FormatError):
        unpack_survey(pack({**fields, key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("closed_by", 7),
        ("holdings", [[1, 2, 3, 4]]),
        ("channels", ["T.A"]),
        ("channel_events", b""),
        ("channel_events", pack_column([1])),
        ("track", None),
    ],
)
def test_what_is_no_track_of_a_survey_is_refused(letters, key: str, value: object) -> None:
    fields = unpack(pack_survey(survey_of(STORY, letters.indexer)))
    fields["tracks"][0][key] = value
    with pytest.raises(FormatError):
        unpack_survey(pack(fields))


def test_a_frame_of_more_events_than_a_lane_takes_is_opaque(letters, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (chunkcodec, survey):
        monkeypatch.setattr(module, "MAX_EVENTS", 1)
    taker = SurveyTaker(letters.indexer)
    taker.add(Frame(0, 0, 1, Sender.SERVER, TEXT, b"[{T:A},{T:A}]"))
    assert (taker.survey.tracks[1].opaque, taker.survey.tracks[1].events) == (1, 0)
