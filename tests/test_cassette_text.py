import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import (
    BINARY,
    PING,
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Header,
    HeaderPairs,
    Interaction,
    Profile,
    Record,
    Sender,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.text import KINDS, Choice, lines_of, records_from_lines
from tickdeck.cassette.writer import encode_cassette
from tickdeck.dialects.polygon import POLYGON

HEADER = Header(
    1_577_975_400_000_000_000, "polygon", ("https://a", "wss://b"), Source.RECORDED, "n", "t 1", "bot"
)
TRADES = b'[{"ev":"T","sym":"MSFT","p":114.170},{"ev":"T","sym":"BRK.B","p":1},{"ev":"Q","sym":"MSFT"}]'
ACK = b'[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]'
JSON = ((b"Content-Type", b"application/json"),)


def trades(seq: int, offset_ns: int = 0, payload: bytes = TRADES) -> Frame:
    return Frame(seq, offset_ns, 1, Sender.SERVER, TEXT, payload)


STORY: list[Record] = [
    Anchor(0, 0, 5),
    TrackOpened(1, 1, 1, "stocks", "socket", "wss://b/stocks", ((b"A", b"\xe9"),), ((b"B", b""),)),
    trades(2, 10, ACK),
    trades(3, 1_500_000_000),
    Frame(4, -5, 1, Sender.CLIENT, TEXT, '{"action":"auth","params":"☃"}'.encode()),
    Frame(5, 20, 1, Sender.CLIENT, BINARY, b"\x00text"),
    Frame(6, 20, 1, Sender.SERVER, PING, b"p"),
    Frame(7, 20, 1, Sender.SERVER, TEXT, b"\xff not UTF-8"),
    BodyPart(8, 20, 3, b"part"),
    Interaction(
        9, 20, 21, 22, 3, "POST", "https://a/b", 404, "No", JSON, b"\x00\xff", JSON, b"", 1, True, False
    ),
    Interaction(10, 20, 21, 22, 4, "GET", "https://a/b", 200, body=b'{"p":114.170}'),
    Gap(11, 30, 40, "stocks", "lost"),
    TrackClosed(12, 50, 1, None),
    TrackClosed(13, 50, 2, Sender.CLIENT, 1000, "bye"),
    Profile(14, 60, {"greeting": "hello", "a": "b"}),
]


def lines(records: list[Record], choice: Choice | None = None, *, events: bool = False) -> list[str]:
    options = {"choice": choice} if choice else {}
    return list(lines_of(HEADER, {}, records, indexer=POLYGON.indexer, events=events, **options))


def rows(
    records: list[Record], choice: Choice | None = None, *, events: bool = False
) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines(records, choice, events=events)][1:]


def packed(*texts: str | dict[str, object], origin: str | None = None) -> list[Record]:
    written = [text if isinstance(text, str) else json.dumps(text) for text in texts]
    return list(records_from_lines(written, origin=origin)[1])


def seqs(records: list[Record], choice: Choice) -> list[object]:
    return [row["seq"] for row in rows(records, choice)]


# Out.


def test_the_first_line_carries_header_and_profile() -> None:
    [first] = lines_of(HEADER, {"greeting": "hi"}, [], indexer=POLYGON.indexer)
    assert json.loads(first) == {
        "kind": "cassette",
        "v": 1,
        "epoch_ns": 1_577_975_400_000_000_000,
        "time": "2020-01-02T14:30:00.000000000Z",
        "dialect": "polygon",
        "origins": ["https://a", "wss://b"],
        "source": "recorded",
        "note": "n",
        "tool": "t 1",
        "program": "bot",
        "profile": {"greeting": "hi"},
    }


def test_a_frame_says_where_it_stands_who_said_it_and_which_channels_it_is_on() -> None:
    assert lines([trades(3, 1_500_000_007)])[1] == json.dumps(
        {
            "kind": "frame",
            "seq": 3,
            "offset_ns": 1_500_000_007,
            "time": "2020-01-02T14:30:01.500000007Z",
            "track": 1,
            "from": "server",
            "opcode": "text",
            "payload": TRADES.decode(),
            "channels": ["T.MSFT", "T.BRK.B", "Q.MSFT"],
        },
        separators=(",", ":"),
    )


def test_what_is_not_text_is_shown_in_base64() -> None:
    shown = rows(STORY)
    assert [("payload" in row, "payload_base64" in row) for row in shown if row["kind"] == "frame"] == [
        *[(True, False)] * 3,
        (False, True),
        (True, False),
        (False, True),
    ]
    assert shown[9]["request_body_base64"] == "AP8="


def test_an_interaction_shows_request_and_answer() -> None:
    [row] = rows([STORY[10]])
    assert list(row) == [
        *("kind", "seq", "offset_ns", "time", "interaction", "first_byte_ns", "end_ns"),
        *("method", "url", "status", "reason", "request_headers", "headers", "body"),
    ]
    assert (row["method"], row["status"], row["body"]) == ("GET", 200, '{"p":114.170}')


def test_every_record_has_a_kind() -> None:
    assert {row["kind"] for row in rows(STORY)} == KINDS


def test_records_are_chosen_by_kind_and_time() -> None:
    assert seqs(STORY, Choice(kinds=frozenset({"gap", "closed"}))) == [11, 12, 13]
    assert seqs(STORY, Choice(since_ns=30)) == [3, 11, 12, 13, 14]
    assert seqs(STORY, Choice(since_ns=20, until_ns=30)) == [5, 6, 7, 8, 9, 10]
    assert seqs(STORY, Choice(until_ns=1, kinds=frozenset({"frame"}))) == [4]


@pytest.mark.parametrize(
    ("channel", "found"),
    [
        ("T.MSFT", True),
        ("T.*", True),
        ("*.BRK.B", True),
        ("T.BRK", False),
        ("AM.*", False),
        ("T.MSF?", False),
    ],
)
def test_frames_are_chosen_by_channel(channel: str, found: bool) -> None:
    assert seqs(STORY, Choice(channels=("A.NONE", channel))) == ([3] if found else [])


def test_channels_choose_among_frames_where_kinds_are_named() -> None:
    assert seqs(STORY, Choice(channels=("T.*",), kinds=frozenset({"frame", "gap"}))) == [3, 11]


def test_events_come_one_a_line_and_exactly_as_they_were() -> None:
    assert rows(STORY, Choice(channels=("*.MSFT",)), events=True) == [
        {
            "kind": "event",
            "seq": 3,
            "offset_ns": 1_500_000_000,
            "time": "2020-01-02T14:30:01.500000000Z",
            "track": 1,
            "channel": channel,
            "event": event,
        }
        for channel, event in [
            ("T.MSFT", '{"ev":"T","sym":"MSFT","p":114.170}'),
            ("Q.MSFT", '{"ev":"Q","sym":"MSFT"}'),
        ]
    ]
    assert len(rows(STORY, events=True)) == 3


# And back.


def test_what_cat_prints_pack_gives_back() -> None:
    header, records = records_from_lines(lines(STORY))
    assert header == HEADER
    assert list(records) == STORY


def test_the_same_lines_give_the_same_bytes(letters) -> None:
    def written() -> bytes:
        header, records = records_from_lines(lines(STORY))
        return b"".join(encode_cassette(header, records, indexer=POLYGON.indexer, redactor=letters.door()))

    assert written() == written()


def test_a_few_payloads_are_a_cassette() -> None:
    header, records = records_from_lines(['{"payload":"one"}', "", '{"payload":"two"}'])
    assert header == Header(1_577_975_400_000_000_000, source=Source.SYNTHETIC)
    assert list(records) == [
        TrackOpened(0, 0, 0, "stocks"),
        Frame(1, 0, 0, Sender.SERVER, TEXT, b"one"),
        Frame(2, 0, 0, Sender.SERVER, TEXT, b"two"),
    ]


def test_nothing_at_all_is_an_empty_cassette() -> None:
    header, records = records_from_lines(["", "\ufeff\n"])
    assert (header.source, list(records)) == (Source.SYNTHETIC, [])


def test_json_may_be_written_as_json_and_keeps_its_spelling() -> None:
    frame, answer = packed(
        '{"track":0,"kind":"track"}',
        '\ufeff{ "payload" : [ {"ev" : "T", "p": 114.170, "s":"a  b\\" ,", "t": 1e400} ] }',
        '{"url":"/b","body":{"payload": {}, "n": 100000000000000000000000, "body":[ ]},"method":"GET"}',
    )[1:]
    assert isinstance(frame, Frame)
    assert frame.payload == rb'[{"ev":"T","p":114.170,"s":"a  b\" ,","t":1e400}]'
    assert isinstance(answer, Interaction)
    assert answer.body == b'{"payload":{},"n":100000000000000000000000,"body":[]}'


def test_an_interaction_needs_no_more_than_a_path() -> None:
    [record] = packed('{"url":"/v1/marketstatus/now"}')
    assert record == Interaction(
        0, 0, 0, 0, 0, "GET", "http://localhost/v1/marketstatus/now", 200, response_headers=JSON
    )
    [record] = packed(
        '{"kind":"cassette","origins":["wss://b","https://a"]}', '{"url":"/b","headers":{"X":"y"}}'
    )
    assert record == Interaction(0, 0, 0, 0, 0, "GET", "https://a/b", 200, response_headers=((b"X", b"y"),))
    [record] = packed('{"url":"/b"}', origin="https://c")
    assert isinstance(record, Interaction)
    assert record.url == "https://c/b"


def test_interactions_are_numbered_where_they_are_not() -> None:
    records = packed('{"url":"/a"}', '{"url":"/b","interaction":7}', '{"url":"/c"}')
    assert [record.interaction for record in records if isinstance(record, Interaction)] == [0, 7, 8]


@pytest.mark.parametrize(
    ("at", "offset_ns"),
    [(1.5, 1_500_000_000), ("0.000000001", 1), (2, 2_000_000_000), ("-1", -1_000_000_000), (1e-9, 1)],
)
def test_a_time_may_be_given_in_seconds(at: object, offset_ns: int) -> None:
    assert packed({"payload": "x", "at": at})[1].offset_ns == offset_ns


def test_a_line_without_a_time_is_where_the_line_before_was() -> None:
    records = packed(
        '{"payload":"x","offset_ns":7}', '{"kind":"anchor"}', '{"kind":"gap","at":1}', '{"payload":"y"}'
    )
    assert [record.offset_ns for record in records] == [7, 7, 7, 1_000_000_000, 1_000_000_000]
    assert records[2] == Anchor(2, 7, 1_577_975_400_000_000_007)


def test_tracks_are_numbered_and_the_last_one_is_meant() -> None:
    records = packed(
        *('{"kind":"track","market":"crypto"}', '{"payload":"a"}', '{"kind":"track"}', '{"payload":"b"}'),
        *('{"kind":"closed"}', '{"payload":"c","track":0}', '{"payload":"d","track":9}'),
    )
    assert [record.track for record in records] == [0, 0, 1, 1, 1, 0, 9, 9]  # type: ignore[union-attr]
    assert records[4] == TrackClosed(4, 0, 1, Sender.SERVER, 1000)
    assert records[6] == TrackOpened(6, 0, 9, "stocks")


def test_numbers_rise_and_make_room_for_lines_put_between() -> None:
    five, nine, ten = (json.dumps({"payload": "x", "seq": seq}) for seq in (5, 9, 10))
    records = packed(five, nine, '{"payload":"y"}', ten)
    assert [record.seq for record in records] == [4, 5, 9, 10, 11]
    with pytest.raises(UsageError, match=r"^line 3: seq 9 does not rise above 9; leave seq out everywhere"):
        packed(five, nine, nine)


def test_frames_chosen_from_a_cassette_are_a_cassette() -> None:
    header, records = records_from_lines(lines(STORY, Choice(channels=("T.*",))))
    assert header == HEADER
    assert list(records) == [TrackOpened(2, 1_500_000_000, 1, "stocks"), STORY[3]]


def test_the_profile_of_the_header_is_kept_if_no_line_has_one() -> None:
    first = '{"kind":"cassette","profile":{"greeting":"hi"}}'
    assert packed(first, '{"kind":"anchor","seq":3,"offset_ns":9}')[1:] == [Profile(4, 9, {"greeting": "hi"})]
    assert packed(first, '{"kind":"profile","values":{"a":"b"}}') == [Profile(0, 0, {"a": "b"})]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"payload":"x","from":"vendor"}', 'from is neither server nor client: "vendor"'),
        ('{"payload":"x"', "this is no JSON: expecting ',' delimiter at column 15"),
        ('{"payload":NaN}', "this is no JSON: NaN is no number"),
        ("[1]", "this is no JSON object"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"seq":1}', "kind is missing"),
        ('{"kind":7}', "kind is missing"),
        ('{"kind":"event"}', "an event is no record; pack reads what cat prints without --events"),
        ('{"kind":"cassette"}', "a line of kind cassette stands first or not at all"),
        (
            '{"kind":"frames"}',
            f'kind "frames" is unknown; known are {", ".join(sorted(KINDS))}',
        ),
        ('{"payload":"x","offest_ns":1}', "a line of kind frame has no field offest_ns"),
        ('{"payload":"x","seq":-1}', "seq is not a whole number from 0 on: -1"),
        ('{"payload":"x","seq":true}', "seq is not a whole number from 0 on: true"),
        ('{"payload":"x","offset_ns":1.5}', 'offset_ns is not a whole number: "1.5"'),
        ('{"payload":"x","offset_ns":99999999999999999999}', "offset_ns is not a whole number: 99999999999999999999"),
        ('{"payload":"x","at":"soon"}', 'at is not a number of seconds with nine decimals at most: "soon"'),
        ('{"payload":"x","at":1e99}', 'at is not a number of seconds with nine decimals at most: "1E+99"'),
        ('{"payload":"x","at":"9e99999999"}', 'at is not a number of seconds with nine decimals at most: "9e99999999"'),
        ('{"payload":"x","at":1,"offset_ns":1}', "at and offset_ns are both there"),
        ('{"payload":"x","opcode":"close"}', 'opcode is none of text, binary, ping, pong: "close"'),
        ('{"payload":7}', "payload is neither a string nor JSON: 7"),
        ('{"payload":"\\ud800"}', 'payload is not text that UTF-8 can hold: "\\ud800"'),
        ('{"payload":"x","payload_base64":"eA=="}', "payload and payload_base64 are both there"),
        ('{"payload_base64":"x"}', 'payload_base64 is no base64: "x"'),
        ('{"kind":"interaction"}', "url is missing"),
        ('{"url":"/","status":"200"}', 'status is not a whole number from 0 on: "200"'),
        ('{"url":"/","decoded":1}', "decoded is neither true nor false: 1"),
        ('{"url":7}', "url is not a string: 7"),
        ('{"url":"/","headers":["a"]}', 'headers is not a list of [name, value] in latin-1: ["a"]'),
        ('{"url":"/","headers":{"a":"☃"}}', 'headers is not a list of [name, value] in latin-1: {"a": "\\u2603"}'),
        ('{"url":"/","headers":7}', "headers is not a list of [name, value] in latin-1: 7"),
        ('{"kind":"profile","values":{"a":1}}', 'values is not an object of strings: {"a": 1}'),
        (f'{{"url":"x","method":[{"1," * 99}1]}}', f"method is not a string: [{'1, ' * 26}1..."),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_told_with_its_line(line: str, sentence: str) -> None:
    with pytest.raises(UsageError) as told:
        packed('{"kind":"anchor"}', "", line)
    assert str(told.value) == f"line 3: {sentence}"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"kind":"cassette","v":2}', "v is newer than this release reads (1): 2"),
        (
            '{"kind":"cassette","source":"bought"}',
            'source is none of recorded, synthetic, anonymised: "bought"',
        ),
        ('{"kind":"cassette","origins":"a"}', 'origins is not a list of strings: "a"'),
        ('{"kind":"cassette","epoch":1}', "a line of kind cassette has no field epoch"),
    ],
)
def test_the_first_line_is_held_to_its_word_as_well(line: str, sentence: str) -> None:
    with pytest.raises(UsageError) as told:
        records_from_lines([line])
    assert str(told.value) == f"line 1: {sentence}"


def test_lines_are_read_as_they_are_needed() -> None:
    def endless():
        while True:
            yield '{"payload":"x"}'

    records = records_from_lines(endless())[1]
    assert [next(records).seq for _ in range(5)] == [0, 1, 2, 3, 4]


# The property.

NUMBERS = st.integers(-(1 << 61), 1 << 61)
COUNTS = st.integers(0, 1 << 40)
TEXTS = st.text(max_size=8)
BLOBS = st.one_of(st.binary(max_size=12), st.text(st.characters(codec="utf-8"), max_size=8).map(str.encode))
PAIRS: st.SearchStrategy[HeaderPairs] = st.lists(
    st.tuples(st.binary(max_size=5), st.binary(max_size=5)), max_size=3
).map(tuple)
SENDERS = st.sampled_from(Sender)
RECORDS = st.lists(
    st.one_of(
        st.builds(TrackOpened, COUNTS, NUMBERS, COUNTS, TEXTS, TEXTS, TEXTS, PAIRS, PAIRS),
        st.builds(Frame, COUNTS, NUMBERS, st.just(0), SENDERS, st.sampled_from([1, 2, 9, 10]), BLOBS),
        st.builds(TrackClosed, COUNTS, NUMBERS, COUNTS, st.none() | SENDERS, st.none() | COUNTS, TEXTS),
        st.builds(
            Interaction, COUNTS, NUMBERS, NUMBERS, NUMBERS, COUNTS, TEXTS, TEXTS.map("u".__add__), COUNTS, TEXTS,
            PAIRS, BLOBS, PAIRS, BLOBS, COUNTS, st.booleans(), st.booleans(),
        ),
        st.builds(BodyPart, COUNTS, NUMBERS, COUNTS, BLOBS),
        st.builds(Gap, COUNTS, NUMBERS, NUMBERS, TEXTS, TEXTS),
        st.builds(Anchor, COUNTS, NUMBERS, NUMBERS),
        st.builds(Profile, COUNTS, NUMBERS, st.dictionaries(TEXTS, TEXTS, max_size=3)),
    ),
    max_size=12,
)  # fmt: skip
HEADERS = st.builds(
    Header,
    NUMBERS,
    TEXTS,
    st.lists(TEXTS, max_size=3).map(tuple),
    st.sampled_from(Source),
    TEXTS,
    TEXTS,
    TEXTS,
)


@settings(max_examples=60, deadline=None)
@given(HEADERS, RECORDS, st.data())
def test_any_records_survive_the_way_there_and_back(
    header: Header, records: list[Record], data: st.DataObject
) -> None:
    rises = sorted(data.draw(st.sets(COUNTS, min_size=len(records), max_size=len(records))))
    records = [TrackOpened(0, 0, 0, "stocks"), *records]
    records = [
        replace(record, seq=seq)
        for record, seq in zip(records, [0, *(1 + each for each in rises)], strict=True)
    ]
    text = list(lines_of(header, {}, records, indexer=POLYGON.indexer))
    assert all(line.isascii() and "\n" not in line for line in text)
    again, packed_again = records_from_lines(text)
    assert (again, list(packed_again)) == (header, records)
