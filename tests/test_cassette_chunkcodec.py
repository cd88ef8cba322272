import gc
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette import chunkcodec
from tickdeck.cassette.chunkcodec import build_chunk, check_chunk, decode_chunk, encode_chunk, read_summary
from tickdeck.cassette.chunks import Chunk, records_of, ref_of
from tickdeck.cassette.columns import pack_column
from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.indexing import Index, Indexer
from tickdeck.cassette.packing import pack
from tickdeck.cassette.records import BINARY, PING, TEXT, Anchor, BodyPart, Frame, Interaction, Record, Sender
from tickdeck.dialects import find

SERVER, CLIENT = Sender

EVENTS = st.sampled_from([b"{T:A 1}", b"{T:B 22}", b"{Q:A}", b"{status +T.A}", b"{x}"])
PAYLOADS = st.one_of(
    st.lists(EVENTS, max_size=4).map(lambda events: b"[" + b",".join(events) + b"]"),
    st.sampled_from([b"opaque", b"", b"[" + b"{T:LONG " + b"." * 200 + b"}]"]),
)
FRAMES = st.tuples(
    st.integers(1, 3), st.sampled_from(Sender), st.sampled_from([TEXT, BINARY, PING]), PAYLOADS
)
OFFSETS = st.integers(-(10**18), 10**18)


def tape(frames: list[tuple[int, Sender, int, bytes]], offset: int = 0) -> list[Record]:
    return [Frame(3 * seq, offset - seq, *frame) for seq, frame in enumerate(frames)]


@given(frames=st.lists(FRAMES, min_size=1, max_size=12), offset=OFFSETS, level=st.integers(0, 1))
def test_a_chunk_comes_back_as_it_was(letters, frames, offset: int, level: int) -> None:
    records = tape(frames, offset)
    chunk = build_chunk(4, records, letters.indexer)
    payload = encode_chunk(chunk, indexer="letters", revision=3, level=level)
    back = decode_chunk(payload)
    assert back == chunk
    assert records_of(back) == records
    summary = read_summary(payload)
    assert (summary.ref, summary.indexer, summary.revision) == (ref_of(4, records), "letters", 3)
    assert encode_chunk(back, indexer="letters", revision=3, level=level) == payload


@given(st.lists(st.tuples(st.integers(1, 900), OFFSETS), min_size=70, max_size=150))
def test_a_chunk_of_many_frames_at_uneven_times_comes_back(letters, steps: list[tuple[int, int]]) -> None:
    seqs = accumulate(step for step, _ in steps)
    records = [
        Frame(seq, offset, 1, SERVER, TEXT, b"[{T:A},{Q:B}]" if offset % 2 else b"[{T:A}]")
        for seq, (_, offset) in zip(seqs, steps, strict=True)
    ]
    chunk = build_chunk(0, records, letters.indexer)
    back = decode_chunk(encode_chunk(chunk))
    assert back.frames == len(records)
    assert list(back.lanes[0].event_rows) == list(chunk.lanes[0].event_rows)
    assert back == chunk


def test_data_frames_lie_in_wire_form_back_to_back(letters) -> None:
    records = tape([(1, SERVER, TEXT, b"[{T:A}]"), (1, SERVER, TEXT, b"[{T:B},{T:A}]")])
    (lane,) = build_chunk(0, records, letters.indexer).lanes
    assert lane.wire == b"\x81\x07[{T:A}]" + b"\x81\x0d[{T:B},{T:A}]"
    assert (lane.starts, lane.payload_starts, lane.first_event) == ([0, 9, 24], [2, 11], [0, 1, 3])
    events = [lane.wire[start:end] for start, end in zip(lane.event_starts, lane.event_ends, strict=True)]
    assert events == [b"{T:A}", b"{T:B}", b"{T:A}"]
    assert (lane.event_channels, lane.postings) == ([1, 2, 1], {1: [0, 2], 2: [1]})


def test_what_is_no_market_data_lies_on_the_side(letters) -> None:
    side = [
        (1, CLIENT, TEXT, b"[{T:A}]"),
        (1, SERVER, BINARY, b"[{T:A}]"),
        (1, SERVER, PING, b"[{T:A}]"),
        (1, SERVER, TEXT, b"opaque"),
        (1, SERVER, TEXT, b"[]"),
        (1, SERVER, TEXT, b"[{status +T.A}]"),
    ]
    chunk = build_chunk(0, [*tape(side), Anchor(99, 0, 0)], letters.indexer)
    assert chunk.lanes == ()
    assert len(chunk.side) == 7


def test_a_frame_that_mixes_status_and_data_stays_in_the_lane(letters) -> None:
    chunk = build_chunk(0, tape([(1, SERVER, TEXT, b"[{status +T.A},{T:A}]")]), letters.indexer)
    assert chunk.channels == ("", "T.A")
    assert chunk.lanes[0].event_channels == [0, 1]
    assert chunk.side == ()


def test_each_track_has_a_lane_and_the_sequence_restores_the_order(letters) -> None:
    frames = [(track, SERVER, TEXT, b"[{T:A}]") for track in (2, 1, 2, 1)]
    chunk = build_chunk(0, tape(frames), letters.indexer)
    assert [(lane.track, list(lane.seqs)) for lane in chunk.lanes] == [(1, [3, 9]), (2, [0, 6])]
    assert records_of(chunk) == tape(frames)


def test_a_reference_counts_what_is_in_a_chunk() -> None:
    records: list[Record] = [
        Frame(1, 50, 9, SERVER, PING, b""),
        BodyPart(2, 40, 0, b"x"),
        Interaction(5, 45, 46, 47, 0, "GET", "https://a/b", 200),
    ]
    ref = ref_of(3, records, position=100, size=20)
    assert (ref.first_seq, ref.last_seq, ref.min_offset_ns, ref.max_offset_ns) == (1, 5, 40, 50)
    assert (ref.records, ref.interactions, ref.body_parts, ref.tracks) == (3, 1, 1, (9,))


def test_a_frame_of_more_than_64_kib_has_the_long_header(letters) -> None:
    records = tape([(1, SERVER, TEXT, b"[" + b"{Q:V}" * 20_000 + b"]")] * 2)
    chunk = build_chunk(0, records, letters.indexer)
    assert chunk.lanes[0].wire[:10].hex() == "817f00000000000186a2"
    assert decode_chunk(encode_chunk(chunk)) == chunk
    assert records_of(chunk) == records


def test_a_chunk_too_large_to_read_is_not_written(letters, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = build_chunk(0, [BodyPart(0, 0, 0, bytes(500))], letters.indexer)
    monkeypatch.setattr(chunkcodec, "MAX_PAYLOAD", 900)
    with pytest.raises(UsageError, match="a chunk of 5"):
        encode_chunk(chunk)


class OneByOne:
    """An indexer that never looks at several frames at once."""

    def __init__(self, indexer: Indexer) -> None:
        self.name, self.revision = indexer.name, indexer.revision
        self.events, self.holdings = indexer.events, indexer.holdings

    def index(self, payloads: Sequence[bytes]) -> Index | None:
        return None


MARKET = [
    b'[{"ev":"T","sym":"A","p":1}]',
    b'[{"ev":"Q","sym":"B"},{"ev":"T","sym":"A"}]',
    b'[{"ev":"status","status":"success","message":"subscribed to: T.A"}]',
    b"opaque",
]


@given(
    st.lists(
        st.tuples(st.integers(1, 2), st.sampled_from(Sender), st.just(TEXT), st.sampled_from(MARKET)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 5),
)
def test_a_chunk_does_not_depend_on_how_many_frames_are_looked_at_at_once(frames, at_once: int) -> None:
    indexer, records = find("polygon").indexer, tape(frames)
    alone = build_chunk(0, records, OneByOne(indexer))
    assert build_chunk(0, records, indexer) == alone
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunkcodec, "AT_ONCE", at_once)
        assert build_chunk(0, records, indexer) == alone


LANE_WIRE = b"\x81\x07[{T:A}]"
LANE = {
    "seqs": pack_column([0], rising=True),
    "offsets": pack_column([0], rising=True),
    "tails": pack_column([1]),
    "headers": pack_column([2]),
    "event_counts": pack_column([1]),
    "event_skips": pack_column([3]),
    "event_lengths": pack_column([5]),
    "event_channels": pack_column([1]),
    "posting_channels": pack_column([1], rising=True),
    "posting_counts": pack_column([1]),
    "postings": pack_column([0], rising=True),
}
SUMMARY = {
    "number": 0,
    "records": 1,
    "first_seq": 0,
    "last_seq": 0,
    "min_offset_ns": 0,
    "max_offset_ns": 0,
    "interactions": 0,
    "body_parts": 0,
    "tracks": [1],
    "lanes": [(1, 9, 1, 0)],
    "indexer": "letters",
    "revision": 3,
}


def payload_of(
    lane: dict[str, object] | None = None,
    columns: dict[str, object] | None = None,
    summary: dict[str, object] | None = None,
    blob: bytes = LANE_WIRE,
) -> bytes:
    """A chunk put together by hand, with some of it replaced."""
    inner = pack(
        {
            "channels": pack(["", "T.A"]),
            "lanes": [LANE | (lane or {})],
            "side": pack_column([]),
            **(columns or {}),
        }
    )
    parts = {"columns": [0, len(inner), len(inner)], "blob": [0, len(blob), len(blob)]}
    head = pack(SUMMARY | parts | (summary or {}))
    return len(head).to_bytes(4, "little") + head + inner + blob


def test_a_chunk_put_together_by_hand_reads(letters) -> None:
    chunk = decode_chunk(payload_of({"later": 1}, {"later": 2}, {"later": 3}))
    assert chunk == build_chunk(0, tape([(1, SERVER, TEXT, b"[{T:A}]")]), letters.indexer)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("tails", []),
        ("tails", [2]),
        ("tails", [-1]),
        ("event_counts", []),
        ("event_skips", [1]),
        ("headers", [3]),
        ("headers", [2, 2]),
        ("seqs", []),
        ("event_counts", [0]),
        ("event_counts", [10]),
        ("event_skips", [-1]),
        ("event_lengths", [-1]),
        ("event_lengths", [7]),
        ("event_channels", [2]),
        ("event_channels", [-1]),
        ("seqs", [-1]),
        ("seqs", [1 << 62]),
        ("offsets", [-1 << 62]),
        ("offsets", [1 << 62]),
    ],
)
def test_a_lane_that_does_not_hold_together_is_refused(column: str, values: list[int]) -> None:
    with pytest.raises(FormatError):
        check_chunk(decode_chunk(payload_of({column: pack_column(values)})))


def test_a_chunk_wanted_whole_is_read_whatever_its_columns_hold() -> None:
    (lane,) = decode_chunk(payload_of({"event_skips": pack_column([-1]), "offsets": b"?"})).lanes
    assert (lane.track, lane.frames, lane.wire, lane.seqs) == (1, 1, LANE_WIRE, [0])
    with pytest.raises(FormatError, match="the column event_skips of a lane has a value below zero"):
        lane.starts  # noqa: B018 - looking at it is what is tried
    with pytest.raises(FormatError, match="a column is cut short"):
        lane.offsets  # noqa: B018


def test_what_is_found_late_passes_through_what_was_given_for_it() -> None:
    @contextmanager
    def within() -> Iterator[None]:
        try:
            yield
        except FormatError as error:
            raise FormatError(f"over there: {error}") from error

    payload = payload_of(
        {"seqs": pack_column([-1])}, {"side": pack_column([1])}, {"records": 2}, LANE_WIRE + b"?"
    )
    chunk = decode_chunk(payload, within=within)
    with pytest.raises(FormatError, match="over there: a sequence or an offset of a lane is out of range"):
        chunk.lanes[0].seqs  # noqa: B018
    with pytest.raises(FormatError, match="over there: a row"):
        chunk.side[0]


def test_chunks_are_equal_however_they_came_about(letters) -> None:
    records = tape([(1, SERVER, TEXT, b"[{T:A}]"), (2, SERVER, TEXT, b"[{T:B}]"), (1, SERVER, PING, b"x")])
    built = build_chunk(0, records, letters.indexer)
    first, second = (decode_chunk(encode_chunk(built)) for _ in range(2))
    assert built == first == second == built
    assert first.side == second.side == built.side
    assert first.lanes[0] != first.lanes[1]
    assert first.lanes[0] != "a lane"


def test_the_lanes_of_a_chunk_share_one_limit_to_their_events(
    letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tape([(track, SERVER, TEXT, b"[{T:A},{T:B}]") for track in (1, 2)])
    payload = encode_chunk(build_chunk(0, records, letters.indexer))
    monkeypatch.setattr(chunkcodec, "MAX_EVENTS", 4)
    check_chunk(decode_chunk(payload))
    monkeypatch.setattr(chunkcodec, "MAX_EVENTS", 3)
    with pytest.raises(FormatError, match="the events of a lane are more"):
        check_chunk(decode_chunk(payload))


def test_an_event_that_begins_in_a_frames_header_is_refused() -> None:
    with pytest.raises(FormatError, match="an event of a lane begins before its frame"):
        check_chunk(decode_chunk(payload_of({"event_skips": pack_column([1]), "tails": pack_column([3])})))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("posting_channels", []),
        ("posting_channels", [2]),
        ("posting_channels", [-1]),
        ("posting_counts", [0]),
        ("posting_counts", [1, 1]),
        ("postings", [1]),
        ("postings", [-1]),
    ],
)
def test_posting_lists_that_do_not_match_are_refused_when_asked_for(column: str, values: list[int]) -> None:
    lane = decode_chunk(payload_of({column: pack_column(values)})).lanes[0]
    with pytest.raises(FormatError):
        lane.postings[1]


def test_posting_lists_read_as_a_mapping() -> None:
    postings = decode_chunk(payload_of()).lanes[0].postings
    assert (len(postings), list(postings), postings[1], postings.get(0)) == (1, [1], [0], None)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\0\0\0",
        payload_of()[:-1],
        payload_of() + b"x",
        payload_of(columns={"channels": pack(["T.A"])}),
        payload_of(columns={"channels": pack([])}),
        payload_of(columns={"channels": [1, 2]}),
        payload_of(columns={"channels": [1 << 40, b""]}),
        payload_of(columns={"side": pack_column([1])}),
        payload_of(columns={"side": pack_column([2, -1])}, blob=b"\x81\x07[{T:A}]?"),
        payload_of(columns={"side": pack_column([1])}, blob=b"\x81\x07[{T:A}]??"),
        payload_of(None, {"side": pack_column([2])}, {"records": 2}, LANE_WIRE + b"?"),
        payload_of(None, {"side": pack_column([1])}, {"records": 2}),
        payload_of(blob=LANE_WIRE + b"?"),
        payload_of({"seqs": 7}),
        payload_of(columns={"lanes": [7]}),
        payload_of(summary={"records": 0}),
        payload_of(summary={"records": 2}),
        payload_of(summary={"blob": [0, 9]}),
        payload_of(summary={"blob": [0, -9, 9]}),
        payload_of(summary={"blob": [0, 9, 1 << 40]}),
        payload_of(summary={"blob": [0, 10_000, 9]}),
        payload_of(summary={"columns": [9, 0, 0]}),
        payload_of(summary={"lanes": [(1, 10, 1, 0)]}),
        payload_of(summary={"lanes": [(1, 8, 1, 0)]}),
        payload_of(summary={"lanes": [(1, 9, 1, 1)]}),
        payload_of(summary={"lanes": [(1, 9, 2, 0)]}),
        payload_of(summary={"lanes": [(1, 9, 0, 0)]}),
        payload_of(summary={"lanes": [(-1, 9, 1, 0)]}),
        payload_of(summary={"lanes": [(1, 9, 1)]}),
        payload_of(summary={"lanes": [1]}),
        payload_of(summary={"lanes": 1}),
        payload_of(summary={"lanes": []}),
        payload_of(columns={"lanes": []}),
        payload_of(columns={"lanes": [LANE, LANE]}),
    ],
)
def test_a_chunk_that_does_not_hold_together_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError):
        check_chunk(decode_chunk(payload))


def test_a_summary_without_its_lanes_is_said_to_be_older() -> None:
    with pytest.raises(FormatError, match="an older release wrote it"):
        decode_chunk(payload_of(summary={"lanes": None}))


def test_a_row_on_the_side_that_is_none_is_refused() -> None:
    with pytest.raises(FormatError, match="a row"):
        check_chunk(
            decode_chunk(payload_of(None, {"side": pack_column([1])}, {"records": 2}, LANE_WIRE + b"\x01"))
        )


def test_a_few_bytes_cannot_promise_millions_of_events() -> None:
    frames, blob = 1 << 21, bytes(16 << 20)
    lane = {name: pack_column([0] * frames) for name in ("seqs", "event_counts")}
    with pytest.raises(FormatError, match="a lane of a chunk is not described as it should be"):
        decode_chunk(payload_of(lane, None, {"lanes": [(1, len(blob), frames, 0)]}, blob))
    room = {"lanes": [(1, len(blob), 1, 0)]}
    with pytest.raises(FormatError, match="a column of shape 0 and 2097152 rows is not one of ours"):
        check_chunk(decode_chunk(payload_of(lane, None, room, blob)))
    with pytest.raises(FormatError, match="the events of a lane are more"):
        check_chunk(decode_chunk(payload_of({"event_counts": pack_column([frames])}, None, room, blob)))


def test_a_large_blob_is_that_of_one_record() -> None:
    with pytest.raises(FormatError, match="a chunk of 2 records has a blob of 9437184 bytes"):
        decode_chunk(payload_of(summary={"records": 2}, blob=bytes(9 << 20)))


def test_a_frame_of_more_events_than_a_lane_has_lies_on_the_side(letters, monkeypatch) -> None:
    monkeypatch.setattr(chunkcodec, "MAX_EVENTS", 2)
    fits, more = tape([(1, SERVER, TEXT, b"[{T:A},{T:A}]"), (1, SERVER, TEXT, b"[{T:A},{T:A},{T:A}]")])
    chunk = build_chunk(0, [fits, more], letters.indexer)
    assert (chunk.side, len(chunk.lanes)) == ((more,), 1)
    assert decode_chunk(encode_chunk(chunk)) == chunk


def test_an_empty_chunk_table_is_a_chunk() -> None:
    assert Chunk(0, ("",), (), ()).lanes == ()


def test_a_chunk_that_nobody_holds_is_gone_at_once(letters) -> None:
    records = tape([(track, SERVER, TEXT, b"[{T:A},{T:B}]") for track in (1, 2)])
    payload = encode_chunk(build_chunk(0, records, letters.indexer))
    gc.collect()
    gc.disable()
    try:
        chunk = decode_chunk(payload)
        check_chunk(chunk)
        lane = weakref.ref(chunk.lanes[0])
        del chunk
        assert lane() is None
    finally:
        gc.enable()
