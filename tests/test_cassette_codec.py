import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette import codec
from tickdeck.cassette.codec import decode_row, encode_row, record_of
from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.packing import pack
from tickdeck.cassette.records import (
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

NUMBERS = st.integers(-(1 << 61), 1 << 61)
COUNTS = st.integers(0, 1 << 61)
PAIRS = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=3).map(tuple)
SENDERS = st.sampled_from(Sender)
TEXTS = st.text(max_size=12)
BODIES = st.binary(max_size=50)
HEAD = {"seq": COUNTS, "offset_ns": NUMBERS}
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(TrackOpened, **HEAD, track=COUNTS, market=TEXTS, request_headers=PAIRS, response_headers=PAIRS),
    st.builds(
        Frame,
        **HEAD,
        track=COUNTS,
        sender=SENDERS,
        opcode=st.sampled_from([1, 2, 9, 10]),
        payload=st.binary(max_size=300),
    ),
    st.builds(
        TrackClosed, **HEAD, track=COUNTS, by=st.none() | SENDERS, code=st.none() | COUNTS, reason=TEXTS
    ),
    st.builds(
        Interaction,
        **HEAD,
        first_byte_ns=NUMBERS,
        end_ns=NUMBERS,
        interaction=COUNTS,
        method=TEXTS,
        url=TEXTS,
        status=COUNTS,
        request_headers=PAIRS,
        request_body=BODIES,
        response_headers=PAIRS,
        body=BODIES,
        body_parts=COUNTS,
        decoded=st.booleans(),
        complete=st.booleans(),
    ),
    st.builds(BodyPart, **HEAD, interaction=COUNTS, data=BODIES),
    st.builds(Gap, **HEAD, end_ns=NUMBERS, market=TEXTS, reason=TEXTS),
    st.builds(Anchor, **HEAD, wall_ns=NUMBERS),
    st.builds(Profile, **HEAD, values=st.dictionaries(TEXTS, TEXTS, max_size=4)),
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    back = decode_row(encode_row(record))
    assert back == record
    assert encode_row(back) == encode_row(record)


def test_a_frame_byte_for_byte() -> None:
    frame = Frame(7, -2, 1, Sender.SERVER, 1, b"[]")
    assert encode_row(frame).hex() == "970207fe010001c4025b5d"


def test_a_profile_is_written_in_one_order_only() -> None:
    one, other = Profile(0, 0, {"b": "1", "a": "2"}), Profile(0, 0, {"a": "2", "b": "1"})
    assert encode_row(one) == encode_row(other)


def test_bytes_that_were_no_text_come_back_in_text() -> None:
    record = TrackClosed(0, 0, 1, None, None, "gone\udcff")
    assert decode_row(encode_row(record)) == record


@pytest.mark.parametrize(
    "row",
    [
        b"",
        pack("a string"),
        pack([]),
        pack(["2", 1]),
        pack([99, 0, 0]),
        pack([7, 0, 0]),
        pack([7, 0, 0, 0, 0]),
        pack([7, -1, 0, 0]),
        pack([7, 0, 1 << 62, 0]),
        pack([7, True, 0, 0]),
        pack([2, 0, 0, 1, 2, 1, b""]),
        pack([2, 0, 0, 1, "0", 1, b""]),
        pack([2, 0, 0, 1, 0, 8, b""]),
        pack([2, 0, 0, 1, 0, 1, "text"]),
        pack([5, 0, 0, 1, None]),
        pack([6, 0, 0, 1, b"market", ""]),
        pack([1, 0, 0, 1, "", "", "", {}, []]),
        pack([1, 0, 0, 1, "", "", "", [[b"a"]], []]),
        pack([8, 0, 0, []]),
        pack([8, 0, 0, {"a": 1}]),
        pack([4, 0, 0, 0, 0, 1, "GET", "", 200, "", [], b"", [], b"", 0, 0, True]),
    ],
)
def test_what_is_no_row_is_refused(row: bytes) -> None:
    with pytest.raises(FormatError):
        decode_row(row)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_refused(row: bytes) -> None:
    try:
        record = decode_row(row)
    except FormatError:
        return  # refused, in the one way that is allowed
    assert decode_row(encode_row(record)) == record


def test_text_that_nothing_can_hold_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="record 4 does not fit a cassette"):
        encode_row(TrackClosed(4, 0, 1, None, None, "\ud800"))


@pytest.mark.parametrize("record", [Anchor(-1, 0, 0), Anchor(0, 1 << 62, 0), Anchor(0, 0, 1 << 70)])
def test_a_number_that_no_reader_would_take_is_not_written(record: Record) -> None:
    with pytest.raises(UsageError):
        encode_row(record)


def test_a_record_too_large_for_a_row_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_ROW", 100)
    with pytest.raises(UsageError, match=r"record 3 takes \d+ bytes, a cassette holds 100 at most"):
        encode_row(BodyPart(3, 0, 1, bytes(200)))


def test_a_row_that_was_unpacked_already_is_taken() -> None:
    assert record_of([7, 1, 2, 3]) == Anchor(1, 2, 3)
